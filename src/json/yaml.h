/*
 * YAML to JSON and back, reading as kubectl does (sigs.k8s.io/yaml: YAML 1.1 scalars such as `yes`
 * and 0777, duplicate keys: last wins, `<<` merges, several documents).
 *
 * Ownership: results are the caller's. Threads: any. Limits: JSON_MAX_BYTES of text, nesting
 * JSON_MAX_DEPTH, one million nodes after aliases are expanded; beyond: JSON_ERROR_TOO_LARGE.
 * Source: YAML 1.1; sigs.k8s.io/yaml and apimachinery's document splitter for the choices.
 */
#ifndef JSON_YAML_H
#define JSON_YAML_H

#include "json/json.h"

/*
 * All documents of a text, in order, empty ones left out: an array of `yyjson_doc *` that frees
 * its elements. Errors: SYNTAX with the line, TOO_LARGE.
 */
GPtrArray *yaml_read(const char *text, gsize len, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Block style as kubectl prints it; strings that would read as something else are quoted. */
char *yaml_write(yyjson_val *value);

#endif
