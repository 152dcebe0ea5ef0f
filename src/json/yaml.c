#include "json/yaml.h"

#include "base/hash.h"
#include "json/yaml_frame_priv.h"
#include "json/yaml_priv.h"

#include <string.h>
#include <yaml.h>

enum {
	NODES_MAX = 1000000, /* of all documents, copies made by aliases included */
};

struct reader {
	yaml_parser_t parser;
	GPtrArray *docs;
	yyjson_mut_doc *doc;
	yyjson_mut_val *root;
	GArray *frames;      /* struct frame, outermost first */
	GHashTable *anchors; /* name to the anchor that has it now */
	GPtrArray *anchor_pool;
	guint nodes;
	gsize line; /* of the event at hand, from 1 */
};

static void clear_frame(gpointer data)
{
	frame_clear(data);
}

static gboolean fail(const struct reader *reader, GError **error, const char *problem)
{
	g_set_error(error, JSON_ERROR, JSON_ERROR_SYNTAX,
	    "not valid YAML: %s at line %" G_GSIZE_FORMAT, problem, reader->line);
	return FALSE;
}

static gboolean fail_large(const struct reader *reader, GError **error, const char *problem)
{
	g_set_error(error, JSON_ERROR, JSON_ERROR_TOO_LARGE, "YAML %s at line %" G_GSIZE_FORMAT,
	    problem, reader->line);
	return FALSE;
}

static gboolean count_nodes(struct reader *reader, guint nodes, GError **error)
{
	if (nodes > NODES_MAX - reader->nodes)
		return fail_large(reader, error, "has too many nodes, aliases included,");
	reader->nodes += nodes;
	return TRUE;
}

static struct frame *top_frame(const struct reader *reader)
{
	if (reader->frames->len == 0)
		return NULL;
	return &g_array_index(reader->frames, struct frame, reader->frames->len - 1);
}

/* --- Merging ----------------------------------------------------------------------------- */

/*
 * Sets every member of `source`. Copies, as an anchor may still name it; each node of it was
 * counted when it was read, so this at most doubles what the limit allows.
 */
static void merge_object(struct reader *reader, struct frame *frame, yyjson_mut_val *source)
{
	yyjson_mut_obj_iter iter = yyjson_mut_obj_iter_with(source);
	yyjson_mut_val *key;

	while ((key = yyjson_mut_obj_iter_next(&iter)) != NULL)
		frame_set(frame, yyjson_mut_val_mut_copy(reader->doc, key),
		    yyjson_mut_val_mut_copy(reader->doc, yyjson_mut_obj_iter_get_val(key)));
}

/* `<<: map` or `<<: [map, ...]`, of which the first map that has a key wins. */
static gboolean merge(
    struct reader *reader, struct frame *frame, yyjson_mut_val *source, GError **error)
{
	gsize count = yyjson_mut_is_arr(source) ? yyjson_mut_arr_size(source) : 1;
	g_autofree yyjson_mut_val **maps = g_new0(yyjson_mut_val *, count + 1);

	if (yyjson_mut_is_arr(source)) {
		yyjson_mut_arr_iter iter = yyjson_mut_arr_iter_with(source);

		for (gsize i = 0; i < count; i++)
			maps[i] = yyjson_mut_arr_iter_next(&iter);
	} else {
		maps[0] = source;
	}
	for (gsize i = count; i-- > 0;) {
		if (!yyjson_mut_is_obj(maps[i]))
			return fail(reader, error, "`<<` wants a map or a list of maps");
		merge_object(reader, frame, maps[i]);
	}
	return TRUE;
}

/* --- Values ------------------------------------------------------------------------------ */

/* Hands a finished node to whatever is open. `merge_key`: it is an unquoted `<<`. */
static gboolean put(
    struct reader *reader, yyjson_mut_val *node, guint height, gboolean merge_key, GError **error)
{
	struct frame *frame = top_frame(reader);
	yyjson_mut_val *key, *value;

	if (frame != NULL && frame->is_map && frame->key == NULL) {
		frame->key = key_from_node(reader->doc, node);
		frame->merging = merge_key;
		return frame->key != NULL ||
		       fail(reader, error, "a map key that is no scalar, or null,");
	}
	value = value_from_node(reader->doc, node);
	if (value == NULL)
		return fail(reader, error, "a number that JSON does not have");
	if (frame == NULL) {
		reader->root = value;
		return TRUE;
	}
	frame->height = MAX(frame->height, height + 1);
	if (!frame->is_map) {
		g_ptr_array_add(frame->values, value);
		return TRUE;
	}
	key = g_steal_pointer(&frame->key);
	if (frame->merging)
		return merge(reader, frame, value, error);
	frame_set(frame, key, value);
	return TRUE;
}

/* An anchor of that name from here on; one of the same name before it is forgotten. */
static struct anchor *anchor_new(struct reader *reader, const yaml_char_t *name)
{
	struct anchor *anchor;

	if (name == NULL)
		return NULL;
	anchor = g_new0(struct anchor, 1);
	g_ptr_array_add(reader->anchor_pool, anchor);
	g_hash_table_replace(reader->anchors, g_strdup((const char *)name), anchor);
	return anchor;
}

static void anchor_set(struct anchor *anchor, yyjson_mut_val *value, guint nodes, guint height)
{
	if (anchor == NULL)
		return;
	anchor->value = value;
	anchor->nodes = nodes;
	anchor->height = height;
}

static yyjson_mut_val *plain_value(
    yyjson_mut_doc *doc, const struct plain *plain, const char *text, gsize len)
{
	switch (plain->kind) {
	case PLAIN_NULL:
		return yyjson_mut_null(doc);
	case PLAIN_BOOL:
		return yyjson_mut_bool(doc, plain->truth != FALSE);
	case PLAIN_SINT:
		return yyjson_mut_sint(doc, plain->sint);
	case PLAIN_UINT:
		return yyjson_mut_uint(doc, plain->uint);
	case PLAIN_REAL:
		return yyjson_mut_real(doc, plain->real);
	case PLAIN_STRING:
		break;
	}
	return yyjson_mut_strncpy(doc, text, len);
}

/* `!!binary` is base64 of text; of anything else JSON could not carry the result. */
static yyjson_mut_val *binary_value(yyjson_mut_doc *doc, const char *text)
{
	g_autofree guchar *bytes = NULL;
	gsize len;

	bytes = g_base64_decode(text, &len);
	if (!g_utf8_validate((const char *)bytes, (gssize)len, NULL))
		return NULL;
	return yyjson_mut_strncpy(doc, (const char *)bytes, len);
}

/* Does a scalar that was tagged `tag` mean what the tag says? A whole number is a float too. */
static gboolean tag_allows(const char *tag, enum plain_kind kind)
{
	gboolean whole = kind == PLAIN_SINT || kind == PLAIN_UINT;

	if (strcmp(tag, YAML_INT_TAG) == 0)
		return whole;
	if (strcmp(tag, YAML_FLOAT_TAG) == 0)
		return whole || kind == PLAIN_REAL;
	if (strcmp(tag, YAML_BOOL_TAG) == 0)
		return kind == PLAIN_BOOL;
	return kind == PLAIN_NULL;
}

static yyjson_mut_val *scalar_value(
    struct reader *reader, const yaml_event_t *event, GError **error)
{
	static const char *const resolved_tags[] = {
	    YAML_INT_TAG, YAML_FLOAT_TAG, YAML_BOOL_TAG, YAML_NULL_TAG, NULL};
	const char *text = (const char *)event->data.scalar.value;
	const char *tag = (const char *)event->data.scalar.tag;
	gsize len = event->data.scalar.length;
	yyjson_mut_val *value = NULL;
	struct plain plain;

	if (tag != NULL && strcmp(tag, "tag:yaml.org,2002:binary") == 0) {
		value = binary_value(reader->doc, text);
		if (value == NULL)
			fail(reader, error, "`!!binary` that is no text");
		return value;
	}
	if (tag == NULL ? !event->data.scalar.plain_implicit : !g_strv_contains(resolved_tags, tag))
		return yyjson_mut_strncpy(reader->doc, text, len);
	plain_resolve(text, len, &plain);
	if (tag != NULL && !tag_allows(tag, plain.kind)) {
		fail(reader, error, "a value that is not what its tag says");
		return NULL;
	}
	return plain_value(reader->doc, &plain, text, len);
}

/* --- Events ------------------------------------------------------------------------------ */

static gboolean on_scalar(struct reader *reader, const yaml_event_t *event, GError **error)
{
	gboolean merge_key = event->data.scalar.plain_implicit &&
			     strcmp((const char *)event->data.scalar.value, "<<") == 0;
	struct anchor *anchor = anchor_new(reader, event->data.scalar.anchor);
	yyjson_mut_val *value = scalar_value(reader, event, error);

	if (value == NULL || !count_nodes(reader, 1, error))
		return FALSE;
	anchor_set(anchor, value, 1, 0);
	return put(reader, value, 0, merge_key, error);
}

/*
 * Copies what the anchor names. Its nodes are counted before they are copied, and its height is
 * added to the depth here: aliases of aliases would otherwise grow beyond both limits.
 */
static gboolean on_alias(struct reader *reader, const yaml_event_t *event, GError **error)
{
	const struct anchor *anchor =
	    g_hash_table_lookup(reader->anchors, event->data.alias.anchor);

	if (anchor == NULL)
		return fail(reader, error, "an alias without an anchor");
	if (anchor->value == NULL)
		return fail(reader, error, "an anchor that contains itself");
	if (!count_nodes(reader, anchor->nodes, error))
		return FALSE;
	if (reader->frames->len + anchor->height > JSON_MAX_DEPTH)
		return fail_large(reader, error, "is nested too deep by an alias");
	return put(reader, yyjson_mut_val_mut_copy(reader->doc, anchor->value), anchor->height,
	    FALSE, error);
}

static gboolean on_start(
    struct reader *reader, gboolean is_map, const yaml_char_t *name, GError **error)
{
	struct frame frame;

	if (reader->frames->len == JSON_MAX_DEPTH)
		return fail_large(reader, error, "is nested too deep");
	if (!count_nodes(reader, 1, error))
		return FALSE;
	frame_init(&frame, is_map);
	frame.nodes_before = reader->nodes - 1;
	frame.anchor = anchor_new(reader, name);
	g_array_append_val(reader->frames, frame);
	return TRUE;
}

static gboolean on_end(struct reader *reader, GError **error)
{
	struct frame *frame = top_frame(reader);
	yyjson_mut_val *container = frame_finish(frame, reader->doc);
	guint height = frame->height;

	anchor_set(frame->anchor, container, reader->nodes - frame->nodes_before, height);
	g_array_set_size(reader->frames, reader->frames->len - 1);
	return put(reader, container, height, FALSE, error);
}

static void document_start(struct reader *reader)
{
	reader->doc = yyjson_mut_doc_new(json_alc());
	reader->root = NULL;
	g_hash_table_remove_all(reader->anchors);
	g_ptr_array_set_size(reader->anchor_pool, 0);
}

static gboolean document_end(struct reader *reader, GError **error)
{
	g_autoptr(yyjson_mut_doc) doc = g_steal_pointer(&reader->doc);
	yyjson_doc *result;

	if (reader->root == NULL || yyjson_mut_is_null(reader->root))
		return TRUE;
	yyjson_mut_doc_set_root(doc, reader->root);
	result = yyjson_mut_doc_imut_copy(doc, json_alc());
	if (result == NULL)
		return fail_large(reader, error, "does not fit into memory");
	g_ptr_array_add(reader->docs, result);
	return TRUE;
}

static gboolean on_event(struct reader *reader, const yaml_event_t *event, GError **error)
{
	reader->line = event->start_mark.line + 1;
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		document_start(reader);
		return TRUE;
	case YAML_DOCUMENT_END_EVENT:
		return document_end(reader, error);
	case YAML_SCALAR_EVENT:
		return on_scalar(reader, event, error);
	case YAML_ALIAS_EVENT:
		return on_alias(reader, event, error);
	case YAML_SEQUENCE_START_EVENT:
		return on_start(reader, FALSE, event->data.sequence_start.anchor, error);
	case YAML_MAPPING_START_EVENT:
		return on_start(reader, TRUE, event->data.mapping_start.anchor, error);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return on_end(reader, error);
	default:
		return TRUE;
	}
}

static gboolean read_events(struct reader *reader, GError **error)
{
	gboolean ok = TRUE, done = FALSE;

	while (ok && !done) {
		yaml_event_t event;

		if (!yaml_parser_parse(&reader->parser, &event)) {
			const char *problem = reader->parser.problem;

			/* The input's decoder knows an offset only; it is at the mark, or near it.
			 */
			reader->line = (reader->parser.error == YAML_READER_ERROR
					       ? reader->parser.mark.line
					       : reader->parser.problem_mark.line) +
				       1;
			return fail(reader, error, problem != NULL ? problem : "unreadable");
		}
		done = event.type == YAML_STREAM_END_EVENT;
		ok = on_event(reader, &event, error);
		yaml_event_delete(&event);
	}
	return ok;
}

/* --- JSON text --------------------------------------------------------------------------- */

static gboolean settle_array(yyjson_val *array);

/*
 * Makes parsed JSON what YAML would be: whole numbers without a fraction. FALSE if a key is there
 * twice, of which yyjson would find the first, and kubectl takes the last.
 */
static gboolean settle(yyjson_val *value)
{
	g_autoptr(GHashTable) seen = NULL;
	yyjson_obj_iter iter;
	yyjson_val *key;

	if (yyjson_is_arr(value))
		return settle_array(value);
	if (yyjson_is_real(value) && real_is_whole(yyjson_get_real(value)))
		yyjson_set_sint(value, (gint64)yyjson_get_real(value));
	if (!yyjson_is_obj(value) || yyjson_obj_size(value) == 0)
		return TRUE;
	seen = g_hash_table_new(hash_str, g_str_equal);
	yyjson_obj_iter_init(value, &iter);
	while ((key = yyjson_obj_iter_next(&iter)) != NULL) {
		/* Two keys that differ only after a NUL count as twins: the YAML reader can tell.
		 */
		if (!g_hash_table_add(seen, (gpointer)(guintptr)yyjson_get_str(key)) ||
		    !settle(yyjson_obj_iter_get_val(key)))
			return FALSE;
	}
	return TRUE;
}

static gboolean settle_array(yyjson_val *array)
{
	yyjson_arr_iter iter;
	yyjson_val *element;

	yyjson_arr_iter_init(array, &iter);
	while ((element = yyjson_arr_iter_next(&iter)) != NULL) {
		if (!settle(element))
			return FALSE;
	}
	return TRUE;
}

/*
 * JSON is read as JSON where that works: YAML 1.1 lacks some of its escapes and long keys. What
 * only looks like it (a flow mapping) or has a key twice is left to the YAML reader. NULL then.
 */
static GPtrArray *read_json(const char *text, gsize len)
{
	g_autoptr(GPtrArray) docs = NULL;
	g_autoptr(yyjson_doc) doc = NULL;
	gsize start = 0;

	while (start < len && g_ascii_isspace(text[start]))
		start++;
	if (start == len || (text[start] != '{' && text[start] != '['))
		return NULL;
	doc = json_parse(text + start, len - start, NULL);
	if (doc == NULL || !settle(yyjson_doc_get_root(doc)))
		return NULL;
	docs = g_ptr_array_new_with_free_func((GDestroyNotify)yyjson_doc_free);
	g_ptr_array_add(docs, g_steal_pointer(&doc));
	return g_steal_pointer(&docs);
}

GPtrArray *yaml_read(const char *text, gsize len, GError **error)
{
	struct reader reader = {0};
	GPtrArray *json;
	gboolean ok;

	if (len > JSON_MAX_BYTES) {
		g_set_error(error, JSON_ERROR, JSON_ERROR_TOO_LARGE,
		    "YAML text of %" G_GSIZE_FORMAT " bytes is over the limit of %d", len,
		    JSON_MAX_BYTES);
		return NULL;
	}
	json = read_json(text, len);
	if (json != NULL)
		return json;
	if (!yaml_parser_initialize(&reader.parser)) {
		fail_large(&reader, error, "does not fit into memory");
		return NULL;
	}
	yaml_parser_set_input_string(&reader.parser, (const yaml_char_t *)text, len);
	reader.docs = g_ptr_array_new_with_free_func((GDestroyNotify)yyjson_doc_free);
	reader.frames = g_array_new(FALSE, FALSE, sizeof(struct frame));
	g_array_set_clear_func(reader.frames, clear_frame);
	reader.anchors = g_hash_table_new_full(hash_str, g_str_equal, g_free, NULL);
	reader.anchor_pool = g_ptr_array_new_with_free_func(g_free);

	ok = read_events(&reader, error);

	yaml_parser_delete(&reader.parser);
	g_clear_pointer(&reader.doc, yyjson_mut_doc_free);
	g_array_unref(reader.frames);
	g_hash_table_unref(reader.anchors);
	g_ptr_array_unref(reader.anchor_pool);
	if (!ok)
		g_clear_pointer(&reader.docs, g_ptr_array_unref);
	return reader.docs;
}
