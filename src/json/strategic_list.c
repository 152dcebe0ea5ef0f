#include "json/strategic_priv.h"

#include "base/hash.h"

#include <string.h>

/* ---- what tells elements apart ---- */

/*
 * The JSON text of an element's key, or of the element itself when `merge_key` is NULL; so "80" and
 * 80 differ. The caller's; NULL with the error set when there is none.
 */
static char *identity(struct strategic *merge, yyjson_mut_val *element, const char *merge_key)
{
	yyjson_mut_val *key = element;

	if (merge_key != NULL) {
		if (!yyjson_mut_is_obj(element)) {
			strategic_fail(
			    merge, "each element must be an object with \"%s\"", merge_key);
			return NULL;
		}
		key = yyjson_mut_obj_get(element, merge_key);
		if (key == NULL) {
			strategic_fail(merge, "an element has no \"%s\"", merge_key);
			return NULL;
		}
	}
	if (yyjson_mut_is_ctn(key)) {
		strategic_fail(merge, "elements are told apart by a string or a number, not by %s",
		    yyjson_mut_get_type_desc(key));
		return NULL;
	}
	return json_mut_print(key, NULL);
}

/* A list, with what tells each element apart beside it. */
struct elements {
	GPtrArray *values;     /* yyjson_mut_val */
	GPtrArray *identities; /* char * */
	GHashTable *first;     /* identity, borrowed -> 1 + position of the first such element */
};

static void elements_free(struct elements *elements)
{
	if (elements == NULL)
		return;
	g_hash_table_unref(elements->first);
	g_ptr_array_unref(elements->identities);
	g_ptr_array_unref(elements->values);
	g_free(elements);
}
DEFINE_AUTO(elements, elements_free)

static struct elements *elements_new(void)
{
	struct elements *elements = g_new0(struct elements, 1);

	elements->values = g_ptr_array_new();
	elements->identities = g_ptr_array_new_with_free_func(g_free);
	elements->first = g_hash_table_new(hash_str, g_str_equal);
	return elements;
}

static void elements_add(struct elements *elements, yyjson_mut_val *value, char *take_identity)
{
	g_ptr_array_add(elements->values, value);
	g_ptr_array_add(elements->identities, take_identity);
	if (!g_hash_table_contains(elements->first, take_identity))
		g_hash_table_insert(
		    elements->first, take_identity, GUINT_TO_POINTER(elements->values->len));
}

/* The position of the first element of that identity, -1 when there is none. */
static gint64 elements_find(const struct elements *elements, const char *wanted)
{
	return (gint64)GPOINTER_TO_UINT(g_hash_table_lookup(elements->first, wanted)) - 1;
}

/* All of `list` (NULL: nothing), but for those in `without` (may be NULL). NULL: error set. */
static struct elements *elements_of(struct strategic *merge, yyjson_mut_val *list,
    const char *merge_key, const struct elements *without)
{
	AUTO(elements) elements = elements_new();
	yyjson_mut_arr_iter iter;
	yyjson_mut_val *element;

	yyjson_mut_arr_iter_init(list, &iter);
	while (list != NULL && (element = yyjson_mut_arr_iter_next(&iter)) != NULL) {
		char *key = identity(merge, element, merge_key);

		if (key == NULL)
			return NULL;
		if (without == NULL || elements_find(without, key) < 0)
			elements_add(elements, element, key);
		else
			g_free(key);
	}
	return g_steal_pointer(&elements);
}

/* ---- the order of the result ---- */

struct placed {
	yyjson_mut_val *value;
	gint64 rank;     /* to sort by: what has none comes last */
	gint64 position; /* in the result before it was ordered: keeps the sort stable */
	gint64 original; /* position in the original, or -1 */
};

static int compare_placed(gconstpointer a, gconstpointer b)
{
	const struct placed *left = a, *right = b;

	if (left->rank != right->rank)
		return left->rank < right->rank ? -1 : 1;
	return left->position < right->position ? -1 : left->position > right->position;
}

static void place(
    GArray *into, yyjson_mut_val *value, gint64 rank, gint64 position, gint64 original)
{
	const struct placed placed = {
	    .value = value,
	    .rank = rank < 0 ? G_MAXINT64 : rank,
	    .position = position,
	    .original = original,
	};

	g_array_append_val(into, placed);
}

/* NULL: past the end. */
static const struct placed *placed_at(const GArray *row, guint position)
{
	return position < row->len ? &g_array_index(row, struct placed, position) : NULL;
}

/*
 * Kubernetes' order: named elements (those in `order`) in that order, the others as they were; the
 * two rows are joined so that a pair that was in the original keeps its order there where it can,
 * and what is new comes first.
 */
static yyjson_mut_val *in_order(struct strategic *merge, const struct elements *merged,
    const struct elements *order, const struct elements *original)
{
	g_autoptr(GArray) named = g_array_new(FALSE, FALSE, sizeof(struct placed));
	g_autoptr(GArray) others = g_array_new(FALSE, FALSE, sizeof(struct placed));
	yyjson_mut_val *list = yyjson_mut_arr(merge->doc);
	guint n = 0, o = 0;

	for (guint i = 0; i < merged->values->len; i++) {
		const char *key = merged->identities->pdata[i];
		gint64 rank = elements_find(order, key), was = elements_find(original, key);

		place(rank >= 0 ? named : others, merged->values->pdata[i], rank >= 0 ? rank : was,
		    i, was);
	}
	g_array_sort(named, compare_placed);
	g_array_sort(others, compare_placed);
	while (n < named->len || o < others->len) {
		const struct placed *name = placed_at(named, n);
		const struct placed *other = placed_at(others, o);
		gboolean other_first =
		    name == NULL || (other != NULL && name->original >= 0 && other->original >= 0 &&
					other->original < name->original);

		yyjson_mut_arr_append(list, (other_first ? other : name)->value);
		other_first ? o++ : n++;
	}
	return list;
}

/* ---- merging ---- */

/* The elements of a patch's list, sorted by what they say. */
struct sorted_patch {
	struct elements *plain;
	struct elements *deleted;
	gboolean replace;
};

static void sorted_patch_free(struct sorted_patch *patch)
{
	if (patch == NULL)
		return;
	elements_free(patch->plain);
	elements_free(patch->deleted);
	g_free(patch);
}
DEFINE_AUTO(sorted_patch, sorted_patch_free)

static gboolean sort_element(struct strategic *merge, struct sorted_patch *sorted,
    yyjson_mut_val *element, const char *merge_key)
{
	yyjson_mut_val *directive = yyjson_mut_obj_get(element, DIRECTIVE_PATCH);
	gboolean deletes = yyjson_mut_equals_str(directive, "delete");
	char *key;

	if (yyjson_mut_equals_str(directive, "replace")) {
		sorted->replace = TRUE;
		return TRUE;
	}
	if (directive != NULL && !deletes)
		return strategic_fail(merge, "$patch of an element must be replace or delete");
	key = identity(merge, element, merge_key);
	if (key == NULL)
		return FALSE;
	elements_add(deletes ? sorted->deleted : sorted->plain, element, key);
	return TRUE;
}

/* NULL with the error set. `patch` may be NULL. */
static struct sorted_patch *sort_patch(
    struct strategic *merge, yyjson_mut_val *patch, const char *merge_key)
{
	AUTO(sorted_patch) sorted = g_new0(struct sorted_patch, 1);
	yyjson_mut_arr_iter iter;
	yyjson_mut_val *element;

	sorted->plain = elements_new();
	sorted->deleted = elements_new();
	yyjson_mut_arr_iter_init(patch, &iter);
	while (patch != NULL && (element = yyjson_mut_arr_iter_next(&iter)) != NULL) {
		if (!sort_element(merge, sorted, element, merge_key))
			return NULL;
	}
	return g_steal_pointer(&sorted);
}

static gboolean merge_element(struct strategic *merge, struct elements *merged,
    yyjson_mut_val *element, const char *key, const struct strategic_field *field)
{
	gint64 at = elements_find(merged, key);

	if (at < 0) {
		elements_add(merged, strategic_take(merge, element), g_strdup(key));
		return TRUE;
	}
	return !yyjson_mut_is_obj(element) ||
	       strategic_merge_object(merge, merged->values->pdata[at], element,
		   field == NULL ? NULL : field->members);
}

/* The elements of the result, not in order yet. NULL with the error set. */
static struct elements *merge_elements(struct strategic *merge, yyjson_mut_val *original,
    const struct sorted_patch *patch, const struct strategic_field *field)
{
	const char *merge_key = field == NULL ? NULL : field->merge_key;
	AUTO(elements)
	merged = patch->replace ? elements_new()
				: elements_of(merge, original, merge_key, patch->deleted);

	for (guint i = 0; merged != NULL && i < patch->plain->values->len; i++) {
		yyjson_mut_val *element = patch->plain->values->pdata[i];
		const char *key = patch->plain->identities->pdata[i];

		if (patch->replace)
			elements_add(merged, strategic_take(merge, element), g_strdup(key));
		else if (!merge_element(merge, merged, element, key, field))
			return NULL;
	}
	return g_steal_pointer(&merged);
}

/* What a patch says must be in the order that its $setElementOrder asks for. */
static gboolean check_order(
    struct strategic *merge, const struct elements *plain, const struct elements *order)
{
	guint at = 0;

	if (order->values->len == 0)
		return TRUE;
	for (guint i = 0; i < plain->values->len; i++) {
		const char *key = plain->identities->pdata[i];

		while (at < order->values->len && strcmp(order->identities->pdata[at], key) != 0)
			at++;
		if (at++ >= order->values->len)
			return strategic_fail(
			    merge, "$setElementOrder does not name %s where the patch does", key);
	}
	return TRUE;
}

static yyjson_mut_val *merge_by_key(struct strategic *merge, yyjson_mut_val *original,
    yyjson_mut_val *patch, yyjson_mut_val *order, const struct strategic_field *field)
{
	const char *merge_key = field == NULL ? NULL : field->merge_key;
	gboolean merges = field != NULL && (field->merge_key != NULL || field->is_set);
	AUTO(sorted_patch) sorted = sort_patch(merge, patch, merge_key);
	AUTO(elements) merged = NULL;
	AUTO(elements) named = NULL;
	AUTO(elements) before = NULL;

	if (sorted == NULL)
		return NULL;
	/* A list that does not merge is the patch's, if the patch has it. */
	if (!merges && patch != NULL)
		sorted->replace = TRUE;
	merged = merge_elements(merge, original, sorted, field);
	if (merged == NULL)
		return NULL;
	before = elements_of(merge, merges && sorted->replace ? NULL : original, merge_key, NULL);
	if (before == NULL)
		return NULL;
	if (order == NULL)
		return in_order(merge, merged, sorted->plain, before);
	named = elements_of(merge, order, merge_key, NULL);
	if (named == NULL || !check_order(merge, sorted->plain, named))
		return NULL;
	return in_order(merge, merged, named, before);
}

yyjson_mut_val *strategic_merge_list(struct strategic *merge, yyjson_mut_val *original,
    yyjson_mut_val *patch, yyjson_mut_val *order, const struct strategic_field *field)
{
	if (order == NULL && (field == NULL || (field->merge_key == NULL && !field->is_set)))
		return strategic_take(merge, patch);
	return merge_by_key(merge, original, patch, order, field);
}

yyjson_mut_val *strategic_delete_values(
    struct strategic *merge, yyjson_mut_val *original, yyjson_mut_val *values)
{
	AUTO(elements) gone = elements_of(merge, values, NULL, NULL);
	AUTO(elements) kept = gone == NULL ? NULL : elements_of(merge, original, NULL, gone);
	yyjson_mut_val *list;

	if (kept == NULL)
		return NULL;
	list = yyjson_mut_arr(merge->doc);
	for (guint i = 0; i < kept->values->len; i++)
		yyjson_mut_arr_append(list, kept->values->pdata[i]);
	return list;
}
