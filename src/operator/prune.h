/*
 * What informers keep of each resource: the members that this room reads, and nothing else.
 * Transforms for struct informer_options; pure.
 */
#ifndef OPERATOR_PRUNE_H
#define OPERATOR_PRUNE_H

#include "json/json.h"

void prune_model(yyjson_mut_doc *doc, yyjson_mut_val *object);
void prune_deployment(yyjson_mut_doc *doc, yyjson_mut_val *object);
void prune_service(yyjson_mut_doc *doc, yyjson_mut_val *object);
void prune_node(yyjson_mut_doc *doc, yyjson_mut_val *object);
void prune_claim(yyjson_mut_doc *doc, yyjson_mut_val *object);
void prune_namespace(yyjson_mut_doc *doc, yyjson_mut_val *object);
void prune_pod(yyjson_mut_doc *doc, yyjson_mut_val *object);

#endif
