#include "json/json.h"

#include <string.h>

G_DEFINE_QUARK(json - error - quark, json_error)

/* Line and column, counted from 1, of a position: what a person can find in an editor. */
static void locate(const char *text, gsize pos, guint *ret_line, guint *ret_column)
{
	guint line = 1, column = 1;

	for (gsize i = 0; i < pos; i++) {
		if (text[i] == '\n') {
			line++;
			column = 1;
		} else {
			column++;
		}
	}
	*ret_line = line;
	*ret_column = column;
}

/*
 * yyjson has no depth limit of its own; our walkers recurse, so depth is bounded here, once. Looks
 * no further than the end of the first array or object: what follows is refused or not yet asked
 * for, and a text of many values is not searched once for each.
 */
static gboolean depth_ok(const char *text, gsize len)
{
	int depth = 0;
	gboolean in_string = FALSE;

	for (gsize i = 0; i < len; i++) {
		char c = text[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = FALSE;
		} else if (c == '"') {
			in_string = TRUE;
		} else if (c == '{' || c == '[') {
			if (++depth > JSON_MAX_DEPTH)
				return FALSE;
		} else if ((c == '}' || c == ']') && --depth <= 0) {
			break;
		}
	}
	return TRUE;
}

static yyjson_doc *parse(const char *text, gsize len, yyjson_read_flag flags, GError **error)
{
	yyjson_read_err problem;
	yyjson_doc *doc;
	guint line, column;

	if (len > JSON_MAX_BYTES) {
		g_set_error(error, JSON_ERROR, JSON_ERROR_TOO_LARGE,
		    "JSON text of %" G_GSIZE_FORMAT " bytes is over the limit of %d", len,
		    JSON_MAX_BYTES);
		return NULL;
	}
	if (!depth_ok(text, len)) {
		g_set_error(error, JSON_ERROR, JSON_ERROR_TOO_LARGE,
		    "JSON is nested deeper than %d", JSON_MAX_DEPTH);
		return NULL;
	}
	/* Without the INSITU flag yyjson only reads the text, in spite of its signature. */
	doc = yyjson_read_opts((char *)(guintptr)text, len, flags, NULL, &problem);
	if (doc == NULL && problem.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION) {
		g_set_error(error, JSON_ERROR, JSON_ERROR_TOO_LARGE,
		    "JSON text of %" G_GSIZE_FORMAT " bytes does not fit into memory", len);
	} else if (doc == NULL) {
		locate(text, MIN(problem.pos, len), &line, &column);
		g_set_error(error, JSON_ERROR, JSON_ERROR_SYNTAX,
		    "not valid JSON: %s at line %u, column %u", problem.msg, line, column);
	}
	return doc;
}

yyjson_doc *json_parse(const char *text, gsize len, GError **error)
{
	return parse(text, len, YYJSON_READ_NOFLAG, error);
}

yyjson_doc *json_parse_first(const char *text, gsize len, gsize *ret_used, GError **error)
{
	yyjson_doc *doc = parse(text, len, YYJSON_READ_STOP_WHEN_DONE, error);

	if (doc != NULL)
		*ret_used = yyjson_doc_get_read_size(doc);
	return doc;
}

static void *alc_malloc(void *ctx, size_t size)
{
	(void)ctx;
	return g_malloc(size);
}

static void *alc_realloc(void *ctx, void *block, size_t old_size, size_t size)
{
	(void)ctx;
	(void)old_size;
	return g_realloc(block, size);
}

static void alc_free(void *ctx, void *block)
{
	(void)ctx;
	g_free(block);
}

const yyjson_alc *json_alc(void)
{
	static const yyjson_alc alc = {alc_malloc, alc_realloc, alc_free, NULL};

	return &alc;
}

static yyjson_val *walk(yyjson_val *value, va_list keys)
{
	const char *key;

	while (value != NULL && (key = va_arg(keys, const char *)) != NULL)
		value = yyjson_obj_get(value, key);
	return value;
}

yyjson_val *json_at(yyjson_val *root, ...)
{
	va_list keys;

	va_start(keys, root);
	root = walk(root, keys);
	va_end(keys);
	return root;
}

const char *json_str(yyjson_val *root, ...)
{
	const char *text;
	va_list keys;

	va_start(keys, root);
	root = walk(root, keys);
	va_end(keys);
	text = yyjson_get_str(root);
	return text != NULL && strlen(text) == yyjson_get_len(root) ? text : NULL;
}

gint64 json_int(yyjson_val *root, gint64 fallback, ...)
{
	va_list keys;

	va_start(keys, fallback);
	root = walk(root, keys);
	va_end(keys);
	if (!yyjson_is_int(root) || (yyjson_is_uint(root) && yyjson_get_uint(root) > G_MAXINT64))
		return fallback;
	return yyjson_get_sint(root);
}

gboolean json_bool(yyjson_val *root, gboolean fallback, ...)
{
	va_list keys;

	va_start(keys, fallback);
	root = walk(root, keys);
	va_end(keys);
	return yyjson_is_bool(root) ? yyjson_get_bool(root) : fallback;
}

void json_mut_set(
    yyjson_mut_doc *doc, yyjson_mut_val *parent, const char *key, yyjson_mut_val *value)
{
	yyjson_mut_obj_put(parent, yyjson_mut_strcpy(doc, key), value);
}

yyjson_mut_val *json_mut_object(yyjson_mut_doc *doc, yyjson_mut_val *parent, const char *key)
{
	yyjson_mut_val *child = yyjson_mut_obj_get(parent, key);

	if (!yyjson_mut_is_obj(child)) {
		child = yyjson_mut_obj(doc);
		json_mut_set(doc, parent, key, child);
	}
	return child;
}

yyjson_mut_val *json_mut_array(yyjson_mut_doc *doc, yyjson_mut_val *parent, const char *key)
{
	yyjson_mut_val *array = yyjson_mut_arr(doc);

	json_mut_set(doc, parent, key, array);
	return array;
}

yyjson_mut_val *json_mut_list_at(yyjson_mut_doc *doc, yyjson_mut_val *parent, const char *key)
{
	yyjson_mut_val *list = yyjson_mut_obj_get(parent, key);

	if (list == NULL)
		list = json_mut_array(doc, parent, key);
	return yyjson_mut_is_arr(list) ? list : NULL;
}

yyjson_mut_val *json_mut_find_named(yyjson_mut_val *array, const char *name)
{
	yyjson_mut_arr_iter iter;
	yyjson_mut_val *element;

	if (!yyjson_mut_arr_iter_init(array, &iter))
		return NULL;
	while ((element = yyjson_mut_arr_iter_next(&iter)) != NULL) {
		if (yyjson_mut_equals_str(yyjson_mut_obj_get(element, "name"), name))
			return element;
	}
	return NULL;
}

yyjson_mut_val *json_mut_append_object(yyjson_mut_doc *doc, yyjson_mut_val *array)
{
	yyjson_mut_val *object = yyjson_mut_obj(doc);

	yyjson_mut_arr_append(array, object);
	return object;
}

void json_mut_append_str(yyjson_mut_doc *doc, yyjson_mut_val *array, const char *text)
{
	yyjson_mut_arr_append(array, yyjson_mut_strcpy(doc, text));
}

void json_mut_copy(yyjson_mut_doc *doc, yyjson_mut_val *parent, const char *key, yyjson_val *value)
{
	if (value != NULL)
		json_mut_set(doc, parent, key, yyjson_val_mut_copy(doc, value));
}

void json_mut_set_str(
    yyjson_mut_doc *doc, yyjson_mut_val *parent, const char *key, const char *text)
{
	g_autofree char *valid = NULL;

	if (text == NULL)
		return;
	/* Text of a process or a peer may be anything; what is no UTF-8 could not be printed. */
	if (!g_utf8_validate(text, -1, NULL))
		text = valid = g_utf8_make_valid(text, -1);
	json_mut_set(doc, parent, key, yyjson_mut_strcpy(doc, text));
}

void json_mut_set_int(yyjson_mut_doc *doc, yyjson_mut_val *parent, const char *key, gint64 value)
{
	json_mut_set(doc, parent, key, yyjson_mut_sint(doc, value));
}

void json_mut_set_bool(yyjson_mut_doc *doc, yyjson_mut_val *parent, const char *key, gboolean value)
{
	json_mut_set(doc, parent, key, yyjson_mut_bool(doc, value != FALSE));
}

char *json_print(yyjson_val *value, gsize *ret_len)
{
	char *text = yyjson_val_write_opts(value, YYJSON_WRITE_NOFLAG, json_alc(), ret_len, NULL);

	g_assert(text != NULL);
	return text;
}

char *json_mut_print(yyjson_mut_val *value, gsize *ret_len)
{
	char *text =
	    yyjson_mut_val_write_opts(value, YYJSON_WRITE_NOFLAG, json_alc(), ret_len, NULL);

	g_assert(text != NULL);
	return text;
}

static gboolean object_covers(yyjson_val *observed, yyjson_val *desired)
{
	yyjson_obj_iter iter;
	yyjson_val *key;

	yyjson_obj_iter_init(desired, &iter);
	while ((key = yyjson_obj_iter_next(&iter)) != NULL) {
		yyjson_val *there =
		    yyjson_obj_getn(observed, yyjson_get_str(key), yyjson_get_len(key));

		if (!json_covers(there, yyjson_obj_iter_get_val(key)))
			return FALSE;
	}
	return TRUE;
}

static gboolean array_covers(yyjson_val *observed, yyjson_val *desired)
{
	yyjson_arr_iter have, want;
	yyjson_val *element;

	if (yyjson_arr_size(observed) != yyjson_arr_size(desired))
		return FALSE;
	yyjson_arr_iter_init(observed, &have);
	yyjson_arr_iter_init(desired, &want);
	while ((element = yyjson_arr_iter_next(&want)) != NULL) {
		if (!json_covers(yyjson_arr_iter_next(&have), element))
			return FALSE;
	}
	return TRUE;
}

static gboolean is_negative(yyjson_val *integer)
{
	return yyjson_is_sint(integer) && yyjson_get_sint(integer) < 0;
}

/* Integers exactly, also those that a double cannot tell apart. */
static gboolean numbers_equal(yyjson_val *a, yyjson_val *b)
{
	if (yyjson_is_int(a) && yyjson_is_int(b))
		return is_negative(a) == is_negative(b) && yyjson_get_uint(a) == yyjson_get_uint(b);
	return yyjson_get_num(a) == yyjson_get_num(b);
}

gboolean json_covers(yyjson_val *observed, yyjson_val *desired)
{
	if (desired == NULL || yyjson_is_null(desired))
		return observed == NULL || yyjson_is_null(observed);
	/* Kubernetes drops empty objects and lists that it defaults to nothing. */
	if (observed == NULL)
		return yyjson_is_ctn(desired) && yyjson_get_len(desired) == 0;
	if (yyjson_is_obj(desired))
		return yyjson_is_obj(observed) && object_covers(observed, desired);
	if (yyjson_is_arr(desired))
		return yyjson_is_arr(observed) && array_covers(observed, desired);
	if (yyjson_is_num(desired))
		return yyjson_is_num(observed) && numbers_equal(observed, desired);
	return yyjson_equals(observed, desired);
}
