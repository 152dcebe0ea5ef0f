/*
 * What yyjson lacks for this project: bounded parsing with GError, paths, and comparison.
 * yyjson's own types are used as they are; nothing is wrapped that need not be.
 *
 * Ownership: a `yyjson_doc *` is the caller's and frees all its values; a `yyjson_val *` borrows
 * from its document. Threads: a parsed document is immutable and may be read from any thread; a
 * mutable one belongs to one thread. Limits: see JSON_MAX_BYTES and JSON_MAX_DEPTH.
 * Source: RFC 8259.
 */
#ifndef JSON_JSON_H
#define JSON_JSON_H

#include <glib.h>
#include <yyjson.h>

enum {
	JSON_MAX_BYTES = 64 * 1024 * 1024, /* larger texts are refused before they are parsed */
	JSON_MAX_DEPTH = 256,              /* deeper nesting is refused */
};

/* Codes of the room's error domain. */
enum json_error {
	JSON_ERROR_SYNTAX,    /* not JSON, or not YAML */
	JSON_ERROR_TOO_LARGE, /* over a limit of this header */
};
#define JSON_ERROR (json_error_quark())
GQuark json_error_quark(void);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(yyjson_doc, yyjson_doc_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(yyjson_mut_doc, yyjson_mut_doc_free)

/*
 * GLib's allocator for yyjson: for all documents that are built here. Without memory it ends the
 * process, as GLib does; yyjson's own would leave members out, and such a text could be sent. The
 * parsers use malloc() and fail with an error. Text that it gave is freed by g_free().
 */
const yyjson_alc *json_alc(void);

/*
 * Parses one JSON text. Errors: SYNTAX with line and column, TOO_LARGE. The bytes are copied.
 * Data after the first value is an error, unless `ret_used` is given: then it takes the length
 * that was read.
 */
yyjson_doc *json_parse(const char *text, gsize len, GError **error) G_GNUC_WARN_UNUSED_RESULT;
yyjson_doc *json_parse_first(
    const char *text, gsize len, gsize *ret_used, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * Walks down objects by key; the list of keys ends with NULL. `root` may be NULL. NULL when a key
 * is missing or something on the way is no object. `json_at(pod, "metadata", "name", NULL)`.
 */
yyjson_val *json_at(yyjson_val *root, ...) G_GNUC_NULL_TERMINATED;

/*
 * The string there, borrowed; NULL when it is missing, no string, or holds a NUL (which would cut
 * it, and pass for a shorter name).
 */
const char *json_str(yyjson_val *root, ...) G_GNUC_NULL_TERMINATED;

/* The integer there, `fallback` when it is missing, no integer, or beyond 63 bits. */
gint64 json_int(yyjson_val *root, gint64 fallback, ...) G_GNUC_NULL_TERMINATED;

/* The truth there, `fallback` when it is missing or no boolean. */
gboolean json_bool(yyjson_val *root, gboolean fallback, ...) G_GNUC_NULL_TERMINATED;

/* The object under `key` of a mutable object, made if it is missing. Keys and values are copied. */
yyjson_mut_val *json_mut_object(yyjson_mut_doc *doc, yyjson_mut_val *parent, const char *key);

/* An empty array at parent[key], replacing what was there. */
yyjson_mut_val *json_mut_array(yyjson_mut_doc *doc, yyjson_mut_val *parent, const char *key);
/* The array at parent[key], made if it is missing. NULL: something else is there. */
yyjson_mut_val *json_mut_list_at(yyjson_mut_doc *doc, yyjson_mut_val *parent, const char *key);
/* The element of an array whose member "name" is this, as Kubernetes keys its lists; NULL: none. */
yyjson_mut_val *json_mut_find_named(yyjson_mut_val *array, const char *name);
/* A new last element of an array: an empty object, or a copied text. */
yyjson_mut_val *json_mut_append_object(yyjson_mut_doc *doc, yyjson_mut_val *array);
void json_mut_append_str(yyjson_mut_doc *doc, yyjson_mut_val *array, const char *text);
/* parent[key] = a copy of `value`, which may be another document's; NULL leaves it as it is. */
void json_mut_copy(yyjson_mut_doc *doc, yyjson_mut_val *parent, const char *key, yyjson_val *value);

/*
 * parent[key] = text, replacing what was there; NULL text leaves it as it is. Both are copied;
 * bytes of `text` that are no UTF-8 become U+FFFD.
 */
void json_mut_set_str(
    yyjson_mut_doc *doc, yyjson_mut_val *parent, const char *key, const char *text);
void json_mut_set_int(yyjson_mut_doc *doc, yyjson_mut_val *parent, const char *key, gint64 value);
void json_mut_set_bool(
    yyjson_mut_doc *doc, yyjson_mut_val *parent, const char *key, gboolean value);
/* parent[key] = value, replacing; `value` must belong to `doc`. The key is copied. */
void json_mut_set(
    yyjson_mut_doc *doc, yyjson_mut_val *parent, const char *key, yyjson_mut_val *value);

/* Compact text, NUL-terminated, the caller's. Never NULL: values that cannot be written are bugs.
 */
char *json_print(yyjson_val *value, gsize *ret_len);
char *json_mut_print(yyjson_mut_val *value, gsize *ret_len);

/*
 * Does `observed` hold everything that `desired` says? Objects: each desired key is there and
 * covered; arrays: same length, elements covered one by one; numbers by value; null is covered by
 * a missing key. This is how a reconciler sees that a server-side apply would change nothing.
 */
gboolean json_covers(yyjson_val *observed, yyjson_val *desired);

#endif
