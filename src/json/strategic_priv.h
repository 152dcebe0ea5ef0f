/* What the files of strategic merge share. */
#ifndef JSON_STRATEGIC_PRIV_H
#define JSON_STRATEGIC_PRIV_H

#include "json/strategic.h"

#define DIRECTIVE_PATCH "$patch"
#define DIRECTIVE_RETAIN "$retainKeys"
#define DIRECTIVE_DELETE "$deleteFromPrimitiveList/"
#define DIRECTIVE_ORDER "$setElementOrder/"

/* One merge under way. */
struct strategic {
	yyjson_mut_doc *doc;
	GPtrArray *path; /* keys from the root to where we are, borrowed; for messages */
	GError **error;
};

/* Sets the error, which begins with the path, and returns FALSE. */
gboolean strategic_fail(struct strategic *merge, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* A copy of `value` of a patch without nulls and directives; NULL when it says to delete. */
yyjson_mut_val *strategic_take(struct strategic *merge, yyjson_mut_val *value);

gboolean strategic_merge_object(struct strategic *merge, yyjson_mut_val *original,
    yyjson_mut_val *patch, const struct strategic_field *fields);

/*
 * Both are lists. `field` may be NULL. With `order`, the list of a $setElementOrder, `original` or
 * `patch` may be NULL: there is none. The result is a list of merge->doc, NULL with the error set.
 */
yyjson_mut_val *strategic_merge_list(struct strategic *merge, yyjson_mut_val *original,
    yyjson_mut_val *patch, yyjson_mut_val *order, const struct strategic_field *field);

/* `original` without the values of `values`. NULL with the error set. */
yyjson_mut_val *strategic_delete_values(
    struct strategic *merge, yyjson_mut_val *original, yyjson_mut_val *values);

#endif
