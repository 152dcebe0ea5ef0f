/*
 * The environment of a model's server container: what Ollama is told. Pure.
 * Source: Ollama's envconfig/config.go; llama.cpp's LLAMA_ARG_*, which its engine inherits.
 */
#ifndef OPERATOR_SERVER_ENV_H
#define OPERATOR_SERVER_ENV_H

#include "model/memory.h"
#include "model/resource.h"
#include "operator/hardware.h"

/* Where the server finds and keeps things inside its pod. */
#define MODELS_DIRECTORY "/models"
#define HOME_DIRECTORY "/home/ollama"

/*
 * Sets env and envFrom of a container: defaults first, then the user's entries; a default that the
 * user sets is left out.
 */
void server_env_set(yyjson_mut_doc *doc, yyjson_mut_val *container, const struct model *model,
    const struct hardware *hardware);

/* POD_UID, by which the pod's own view of the weights is found. */
void server_env_add_pod_uid(yyjson_mut_doc *doc, yyjson_mut_val *env);

#endif
