#include "model/gguf_priv.h"

#include <string.h>

static const char ARCHITECTURE[] = "architecture";
static const char VOCABULARY[] = "vocabulary";

static void add_layers(
    yyjson_mut_doc *doc, yyjson_mut_val *root, const char *member, const struct gguf_layers *layers)
{
	yyjson_mut_val *list;

	if (layers->n == 1) {
		json_mut_set_int(doc, root, member, layers->values[0]);
	} else if (layers->n > 1) {
		list = yyjson_mut_arr(doc);
		for (guint i = 0; i < layers->n; i++)
			yyjson_mut_arr_add_sint(doc, list, layers->values[i]);
		json_mut_set(doc, root, member, list);
	}
}

yyjson_mut_val *gguf_to_json(const struct gguf *gguf, yyjson_mut_doc *doc)
{
	yyjson_mut_val *root = yyjson_mut_obj(doc);

	json_mut_set_str(doc, root, ARCHITECTURE, gguf->architecture);
	for (guint i = 0; i < GGUF_N_FIELDS; i++) {
		const struct gguf_field *field = &GGUF_FIELDS[i];
		/* The accessors are for writing too; here nothing is written. */
		struct gguf *members = (struct gguf *)(gpointer)gguf;

		if (field->per_layer)
			add_layers(doc, root, field->member, gguf_layers(members, field));
		else if (*gguf_number(members, field) >= 0)
			json_mut_set_int(doc, root, field->member, *gguf_number(members, field));
	}
	if (gguf->vocabulary >= 0)
		json_mut_set_int(doc, root, VOCABULARY, gguf->vocabulary);
	return root;
}

static gboolean refuse(GError **error, const char *member)
{
	g_set_error(error, MODEL_ERROR, MODEL_ERROR_GGUF,
	    "the member \"%s\" of a model's header cannot be used", member);
	return FALSE;
}

/* A number of struct gguf; FALSE: it is none. */
static gboolean get_number(yyjson_val *value, gint64 *ret_number)
{
	guint64 number = yyjson_is_uint(value) ? yyjson_get_uint(value) : G_MAXUINT64;

	if (number > G_MAXINT32)
		return FALSE;
	*ret_number = (gint64)number;
	return TRUE;
}

static gboolean get_layers(yyjson_val *value, struct gguf_layers *layers)
{
	gboolean is_array = yyjson_is_arr(value);
	gsize n = is_array ? yyjson_arr_size(value) : 1;
	gint64 number;

	if (n == 0 || n > GGUF_MAX_LAYERS)
		return FALSE;
	layers->values = g_new0(guint32, n);
	layers->n = (guint)n;
	for (guint i = 0; i < layers->n; i++) {
		if (!get_number(is_array ? yyjson_arr_get(value, i) : value, &number))
			return FALSE;
		layers->values[i] = (guint32)number;
	}
	return TRUE;
}

static gboolean get_fields(yyjson_val *root, struct gguf *gguf, GError **error)
{
	for (guint i = 0; i < GGUF_N_FIELDS; i++) {
		const struct gguf_field *field = &GGUF_FIELDS[i];
		yyjson_val *value = yyjson_obj_get(root, field->member);

		if (value == NULL)
			continue;
		if (!(field->per_layer ? get_layers(value, gguf_layers(gguf, field))
				       : get_number(value, gguf_number(gguf, field))))
			return refuse(error, field->member);
	}
	if (gguf->block_count < 0 || gguf->block_count > GGUF_MAX_LAYERS)
		return refuse(error, "blockCount");
	if (yyjson_obj_get(root, VOCABULARY) != NULL &&
	    !get_number(yyjson_obj_get(root, VOCABULARY), &gguf->vocabulary))
		return refuse(error, VOCABULARY);
	return TRUE;
}

struct gguf *gguf_from_json(yyjson_val *value, GError **error)
{
	const char *architecture = json_str(value, ARCHITECTURE, NULL);
	AUTO(gguf) gguf = NULL;

	if (architecture == NULL ||
	    !gguf_architecture_is_sane(architecture, strlen(architecture))) {
		refuse(error, ARCHITECTURE);
		return NULL;
	}
	gguf = gguf_new(g_strdup(architecture));
	return get_fields(value, gguf, error) ? g_steal_pointer(&gguf) : NULL;
}
