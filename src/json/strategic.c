#include "json/strategic_priv.h"

#include "base/hash.h"

#include <string.h>

/* ---- the members of an object while it is merged ---- */

/*
 * A hash beside the order of the keys: with objects of thousands of members, searching yyjson's
 * lists for each of them would take minutes.
 */
struct members {
	GPtrArray *keys;    /* yyjson_mut_val, in order, each once */
	GHashTable *values; /* key -> yyjson_mut_val; NULL: was removed */
};

static guint key_hash(gconstpointer key)
{
	yyjson_mut_val *text = (yyjson_mut_val *)(guintptr)key;

	return (guint)hash_bytes(yyjson_mut_get_str(text), yyjson_mut_get_len(text));
}

static gboolean key_equal(gconstpointer a, gconstpointer b)
{
	yyjson_mut_val *left = (yyjson_mut_val *)(guintptr)a;
	yyjson_mut_val *right = (yyjson_mut_val *)(guintptr)b;

	return yyjson_mut_equals_strn(left, yyjson_mut_get_str(right), yyjson_mut_get_len(right));
}

static void members_set(struct members *members, yyjson_mut_val *key, yyjson_mut_val *value)
{
	if (!g_hash_table_contains(members->values, key))
		g_ptr_array_add(members->keys, key);
	g_hash_table_insert(members->values, key, value);
}

static void members_load(struct members *members, yyjson_mut_val *object)
{
	yyjson_mut_obj_iter iter;
	yyjson_mut_val *key;

	members->keys = g_ptr_array_new();
	members->values = g_hash_table_new(key_hash, key_equal);
	yyjson_mut_obj_iter_init(object, &iter);
	while ((key = yyjson_mut_obj_iter_next(&iter)) != NULL)
		members_set(members, key, yyjson_mut_obj_iter_get_val(key));
}

/* Writes the members back and frees what is not the document's. */
static void members_store(struct members *members, yyjson_mut_val *object)
{
	yyjson_mut_obj_clear(object);
	for (guint i = 0; i < members->keys->len; i++) {
		yyjson_mut_val *key = members->keys->pdata[i];
		yyjson_mut_val *value = g_hash_table_lookup(members->values, key);

		if (value != NULL)
			yyjson_mut_obj_add(object, key, value);
	}
	g_hash_table_unref(members->values);
	g_ptr_array_unref(members->keys);
}

static yyjson_mut_val *copy_key(struct strategic *merge, yyjson_mut_val *key, gsize skip)
{
	return yyjson_mut_strncpy(
	    merge->doc, yyjson_mut_get_str(key) + skip, yyjson_mut_get_len(key) - skip);
}

/* ---- small things ---- */

gboolean strategic_fail(struct strategic *merge, const char *format, ...)
{
	g_autoptr(GString) path = g_string_new(NULL);
	g_autofree char *what = NULL;
	va_list arguments;

	for (guint i = 0; i < merge->path->len; i++)
		g_string_append_printf(
		    path, "%s%s", i == 0 ? "" : ".", (const char *)merge->path->pdata[i]);
	va_start(arguments, format);
	what = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_set_error(merge->error, JSON_ERROR, JSON_ERROR_SYNTAX, "%s%s%s", path->str,
	    path->len == 0 ? "" : ": ", what);
	return FALSE;
}

static gboolean has_prefix(yyjson_mut_val *key, const char *prefix)
{
	gsize len = strlen(prefix);

	return yyjson_mut_get_len(key) > len && memcmp(yyjson_mut_get_str(key), prefix, len) == 0;
}

static gboolean is_directive(yyjson_mut_val *key)
{
	return yyjson_mut_equals_str(key, DIRECTIVE_PATCH) ||
	       yyjson_mut_equals_str(key, DIRECTIVE_RETAIN) || has_prefix(key, DIRECTIVE_DELETE) ||
	       has_prefix(key, DIRECTIVE_ORDER);
}

static yyjson_mut_val *take_object(struct strategic *merge, yyjson_mut_val *object)
{
	yyjson_mut_val *directive = yyjson_mut_obj_get(object, DIRECTIVE_PATCH);
	yyjson_mut_val *copy, *key, *value;
	yyjson_mut_obj_iter iter;

	if (directive != NULL && !yyjson_mut_equals_str(directive, "replace"))
		return NULL;
	copy = yyjson_mut_obj(merge->doc);
	yyjson_mut_obj_iter_init(object, &iter);
	while ((key = yyjson_mut_obj_iter_next(&iter)) != NULL) {
		value = yyjson_mut_obj_iter_get_val(key);
		if (is_directive(key) || yyjson_mut_is_null(value))
			continue;
		value = strategic_take(merge, value);
		if (value != NULL)
			yyjson_mut_obj_add(copy, copy_key(merge, key, 0), value);
	}
	return copy;
}

yyjson_mut_val *strategic_take(struct strategic *merge, yyjson_mut_val *value)
{
	yyjson_mut_val *copy, *element;
	yyjson_mut_arr_iter iter;

	if (yyjson_mut_is_obj(value))
		return take_object(merge, value);
	if (!yyjson_mut_is_arr(value))
		return yyjson_mut_val_mut_copy(merge->doc, value);
	copy = yyjson_mut_arr(merge->doc);
	yyjson_mut_arr_iter_init(value, &iter);
	while ((element = yyjson_mut_arr_iter_next(&iter)) != NULL) {
		/* In a list, an object with a directive is nothing but a directive. */
		if (yyjson_mut_obj_get(element, DIRECTIVE_PATCH) == NULL)
			yyjson_mut_arr_append(copy, strategic_take(merge, element));
	}
	return copy;
}

static const struct strategic_field *find_field(
    const struct strategic_field *fields, yyjson_mut_val *key)
{
	for (; fields != NULL && fields->name != NULL; fields++) {
		if (yyjson_mut_equals_str(key, fields->name))
			return fields;
	}
	return NULL;
}

/* ---- directives of an object ---- */

static gboolean follow_patch_directive(struct strategic *merge, yyjson_mut_val *original,
    yyjson_mut_val *patch, yyjson_mut_val *directive)
{
	yyjson_mut_val *taken, *key;
	yyjson_mut_obj_iter iter;
	struct members members;

	if (yyjson_mut_equals_str(directive, "delete")) {
		yyjson_mut_obj_clear(original);
		return TRUE;
	}
	if (!yyjson_mut_equals_str(directive, "replace"))
		return strategic_fail(merge, "$patch of an object must be replace or delete");
	taken = take_object(merge, patch);
	yyjson_mut_obj_clear(original);
	members_load(&members, original);
	yyjson_mut_obj_iter_init(taken, &iter);
	while ((key = yyjson_mut_obj_iter_next(&iter)) != NULL)
		members_set(&members, key, yyjson_mut_obj_iter_get_val(key));
	members_store(&members, original);
	return TRUE;
}

/* The set of the strings of a list, borrowed; NULL with the error set. */
static GHashTable *key_set(struct strategic *merge, yyjson_mut_val *list)
{
	g_autoptr(GHashTable) set = g_hash_table_new(key_hash, key_equal);
	yyjson_mut_arr_iter iter;
	yyjson_mut_val *entry;

	if (!yyjson_mut_arr_iter_init(list, &iter)) {
		strategic_fail(merge, "$retainKeys must be a list");
		return NULL;
	}
	while ((entry = yyjson_mut_arr_iter_next(&iter)) != NULL) {
		if (yyjson_mut_is_str(entry))
			g_hash_table_add(set, entry);
	}
	return g_steal_pointer(&set);
}

static gboolean retain_keys(struct strategic *merge, struct members *members, yyjson_mut_val *patch)
{
	yyjson_mut_val *list = yyjson_mut_obj_get(patch, DIRECTIVE_RETAIN);
	g_autoptr(GHashTable) retained = NULL;
	yyjson_mut_obj_iter iter;
	yyjson_mut_val *key;

	if (list == NULL)
		return TRUE;
	retained = key_set(merge, list);
	if (retained == NULL)
		return FALSE;
	yyjson_mut_obj_iter_init(patch, &iter);
	while ((key = yyjson_mut_obj_iter_next(&iter)) != NULL) {
		if (!is_directive(key) && !yyjson_mut_is_null(yyjson_mut_obj_iter_get_val(key)) &&
		    !g_hash_table_contains(retained, key))
			return strategic_fail(merge,
			    "$retainKeys does not list \"%s\", which the patch sets",
			    yyjson_mut_get_str(key));
	}
	for (guint i = 0; i < members->keys->len; i++) {
		if (!g_hash_table_contains(retained, members->keys->pdata[i]))
			members_set(members, members->keys->pdata[i], NULL);
	}
	return TRUE;
}

static gboolean delete_values(struct strategic *merge, struct members *members,
    yyjson_mut_val *directive, yyjson_mut_val *values)
{
	yyjson_mut_val *key = copy_key(merge, directive, strlen(DIRECTIVE_DELETE));
	yyjson_mut_val *there = g_hash_table_lookup(members->values, key);

	if (yyjson_mut_is_null(values)) {
		members_set(members, key, NULL);
		return TRUE;
	}
	/* What is no list has no values to delete. */
	if (!yyjson_mut_is_arr(there) || !yyjson_mut_is_arr(values))
		return TRUE;
	there = strategic_delete_values(merge, there, values);
	members_set(members, key, there);
	return there != NULL;
}

static gboolean merge_in_order(struct strategic *merge, struct members *members,
    yyjson_mut_val *directive, yyjson_mut_val *order, yyjson_mut_val *patch,
    const struct strategic_field *fields)
{
	yyjson_mut_val *key = copy_key(merge, directive, strlen(DIRECTIVE_ORDER));
	yyjson_mut_val *there = g_hash_table_lookup(members->values, key);
	yyjson_mut_val *list =
	    yyjson_mut_obj_getn(patch, yyjson_mut_get_str(key), yyjson_mut_get_len(key));
	yyjson_mut_val *merged;

	if (!yyjson_mut_is_arr(order) || (there != NULL && !yyjson_mut_is_arr(there)) ||
	    (list != NULL && !yyjson_mut_is_arr(list)))
		return strategic_fail(
		    merge, "%s and what it orders must be lists", yyjson_mut_get_str(directive));
	if (there == NULL && list == NULL)
		return TRUE;
	merged = strategic_merge_list(merge, there, list, order, find_field(fields, key));
	members_set(members, key, merged);
	return merged != NULL;
}

/* Directives about lists come first. *ret_ordered: at least one list is merged by them. */
static gboolean follow_list_directives(struct strategic *merge, struct members *members,
    yyjson_mut_val *patch, const struct strategic_field *fields, gboolean *ret_ordered)
{
	yyjson_mut_obj_iter iter;
	yyjson_mut_val *key, *value;

	yyjson_mut_obj_iter_init(patch, &iter);
	while ((key = yyjson_mut_obj_iter_next(&iter)) != NULL) {
		gboolean good = TRUE;

		value = yyjson_mut_obj_iter_get_val(key);
		if (has_prefix(key, DIRECTIVE_DELETE)) {
			good = delete_values(merge, members, key, value);
		} else if (has_prefix(key, DIRECTIVE_ORDER)) {
			good = merge_in_order(merge, members, key, value, patch, fields);
			*ret_ordered = TRUE;
		}
		if (!good)
			return FALSE;
	}
	return TRUE;
}

/* ---- members ---- */

static gboolean merge_member(struct strategic *merge, struct members *members, yyjson_mut_val *key,
    yyjson_mut_val *value, const struct strategic_field *field)
{
	yyjson_mut_val *there = g_hash_table_lookup(members->values, key);

	if (yyjson_mut_is_null(value)) {
		members_set(members, copy_key(merge, key, 0), NULL);
		return TRUE;
	}
	if (yyjson_mut_is_obj(value) && yyjson_mut_is_obj(there))
		return strategic_merge_object(
		    merge, there, value, field == NULL ? NULL : field->members);
	if (yyjson_mut_is_arr(value) && yyjson_mut_is_arr(there))
		value = strategic_merge_list(merge, there, value, NULL, field);
	else
		value = strategic_take(merge, value);
	members_set(members, copy_key(merge, key, 0), value);
	/* An object that says to delete itself gives nothing, which is no error. */
	return *merge->error == NULL;
}

static gboolean has_order(yyjson_mut_val *patch, yyjson_mut_val *key)
{
	g_autofree char *directive = g_strconcat(DIRECTIVE_ORDER, yyjson_mut_get_str(key), NULL);

	return yyjson_mut_obj_get(patch, directive) != NULL;
}

static gboolean merge_members(struct strategic *merge, struct members *members,
    yyjson_mut_val *patch, const struct strategic_field *fields)
{
	yyjson_mut_obj_iter iter;
	yyjson_mut_val *key;
	gboolean ordered = FALSE, good = TRUE;

	if (!retain_keys(merge, members, patch) ||
	    !follow_list_directives(merge, members, patch, fields, &ordered))
		return FALSE;
	yyjson_mut_obj_iter_init(patch, &iter);
	while (good && (key = yyjson_mut_obj_iter_next(&iter)) != NULL) {
		if (is_directive(key) || (ordered && has_order(patch, key)))
			continue;
		g_ptr_array_add(merge->path, (gpointer)(guintptr)yyjson_mut_get_str(key));
		good = merge_member(
		    merge, members, key, yyjson_mut_obj_iter_get_val(key), find_field(fields, key));
		g_ptr_array_set_size(merge->path, (gint)merge->path->len - 1);
	}
	return good;
}

gboolean strategic_merge_object(struct strategic *merge, yyjson_mut_val *original,
    yyjson_mut_val *patch, const struct strategic_field *fields)
{
	yyjson_mut_val *directive = yyjson_mut_obj_get(patch, DIRECTIVE_PATCH);
	struct members members;
	gboolean good;

	if (directive != NULL)
		return follow_patch_directive(merge, original, patch, directive);
	if (yyjson_mut_obj_size(patch) == 0)
		return TRUE;
	members_load(&members, original);
	good = merge_members(merge, &members, patch, fields);
	members_store(&members, original);
	return good;
}

gboolean strategic_merge(yyjson_mut_doc *doc, yyjson_mut_val *original, yyjson_mut_val *patch,
    const struct strategic_field *fields, GError **error)
{
	g_autoptr(GPtrArray) path = g_ptr_array_new();
	GError *problem = NULL;
	struct strategic merge = {.doc = doc, .path = path, .error = &problem};

	if (!yyjson_mut_is_obj(original) || !yyjson_mut_is_obj(patch))
		strategic_fail(&merge, "only an object can be merged, and only into an object");
	else
		strategic_merge_object(&merge, original, patch, fields);
	if (problem == NULL)
		return TRUE;
	g_propagate_error(error, problem);
	return FALSE;
}
