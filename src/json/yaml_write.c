#include "json/yaml.h"

#include "json/yaml_priv.h"

#include <string.h>
#include <yaml.h>

/*
 * The emitter fails only for want of memory or for text that is no UTF-8, which parsed JSON cannot
 * hold: both are handled as GLib handles the first.
 */
static void emit(yaml_emitter_t *emitter, int made, yaml_event_t *event)
{
	if (!made || !yaml_emitter_emit(emitter, event))
		g_error(
		    "writing YAML: %s", emitter->problem != NULL ? emitter->problem : "no memory");
}

static int append(void *data, unsigned char *bytes, size_t len)
{
	g_string_append_len(data, (const char *)bytes, (gssize)len);
	return 1;
}

static void emit_scalar(
    yaml_emitter_t *emitter, const char *text, gsize len, yaml_scalar_style_t style)
{
	gboolean plain = style == YAML_PLAIN_SCALAR_STYLE;
	yaml_event_t event;

	emit(emitter,
	    yaml_scalar_event_initialize(
		&event, NULL, NULL, (const yaml_char_t *)text, (int)len, plain, 1, style),
	    &event);
}

static void emit_string(yaml_emitter_t *emitter, yyjson_val *value)
{
	const char *text = yyjson_get_str(value);
	gsize len = yyjson_get_len(value);
	yaml_scalar_style_t style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;

	if (memchr(text, '\n', len) != NULL)
		style = YAML_LITERAL_SCALAR_STYLE;
	else if (plain_is_safe(text, len))
		style = YAML_PLAIN_SCALAR_STYLE;
	emit_scalar(emitter, text, len, style);
}

/* Numbers, booleans and null look the same in JSON; a raw number keeps its spelling. */
static void emit_word(yaml_emitter_t *emitter, yyjson_val *value)
{
	gsize len = 0;
	char *text = json_print(value, &len);

	emit_scalar(emitter, text, len, YAML_PLAIN_SCALAR_STYLE);
	g_free(text);
}

static int key_class(char c)
{
	return g_ascii_isalpha(c) ? 2 : g_ascii_isdigit(c) ? 1 : 0;
}

/*
 * kubectl's order of keys: signs before digits before letters, runs of digits count as numbers.
 * `key2` is before `key10`, `app.kubernetes.io` before `appVersion`.
 */
static int compare_keys(gconstpointer a, gconstpointer b)
{
	const char *left = yyjson_get_str(*(yyjson_val *const *)a);
	const char *right = yyjson_get_str(*(yyjson_val *const *)b);

	while (*left != '\0' && *left == *right) {
		left++;
		right++;
	}
	if (*left != '\0' && *right != '\0' && key_class(*left) != key_class(*right))
		return key_class(*left) - key_class(*right);
	if (g_ascii_isdigit(*left) && g_ascii_isdigit(*right)) {
		gsize left_run = strspn(left, "0123456789"),
		      right_run = strspn(right, "0123456789");

		if (left_run != right_run)
			return left_run < right_run ? -1 : 1;
	}
	return (int)(guchar)*left - (int)(guchar)*right;
}

static void emit_value(yaml_emitter_t *emitter, yyjson_val *value);

static void emit_object(yaml_emitter_t *emitter, yyjson_val *object)
{
	g_autoptr(GPtrArray) keys = g_ptr_array_new();
	yyjson_obj_iter iter;
	yyjson_val *key;
	yaml_event_t event;

	yyjson_obj_iter_init(object, &iter);
	while ((key = yyjson_obj_iter_next(&iter)) != NULL)
		g_ptr_array_add(keys, key);
	g_ptr_array_sort(keys, compare_keys);
	emit(emitter,
	    yaml_mapping_start_event_initialize(&event, NULL, NULL, 1,
		keys->len > 0 ? YAML_BLOCK_MAPPING_STYLE : YAML_FLOW_MAPPING_STYLE),
	    &event);
	for (guint i = 0; i < keys->len; i++) {
		emit_string(emitter, keys->pdata[i]);
		emit_value(emitter, yyjson_obj_iter_get_val(keys->pdata[i]));
	}
	emit(emitter, yaml_mapping_end_event_initialize(&event), &event);
}

static void emit_array(yaml_emitter_t *emitter, yyjson_val *array)
{
	yyjson_arr_iter iter;
	yyjson_val *element;
	yaml_event_t event;

	emit(emitter,
	    yaml_sequence_start_event_initialize(&event, NULL, NULL, 1,
		yyjson_arr_size(array) > 0 ? YAML_BLOCK_SEQUENCE_STYLE : YAML_FLOW_SEQUENCE_STYLE),
	    &event);
	yyjson_arr_iter_init(array, &iter);
	while ((element = yyjson_arr_iter_next(&iter)) != NULL)
		emit_value(emitter, element);
	emit(emitter, yaml_sequence_end_event_initialize(&event), &event);
}

static void emit_value(yaml_emitter_t *emitter, yyjson_val *value)
{
	if (yyjson_is_obj(value))
		emit_object(emitter, value);
	else if (yyjson_is_arr(value))
		emit_array(emitter, value);
	else if (yyjson_is_str(value))
		emit_string(emitter, value);
	else
		emit_word(emitter, value);
}

char *yaml_write(yyjson_val *value)
{
	GString *out = g_string_new(NULL);
	yaml_emitter_t emitter;
	yaml_event_t event;

	if (!yaml_emitter_initialize(&emitter))
		g_error("writing YAML: no memory");
	yaml_emitter_set_output(&emitter, append, out);
	yaml_emitter_set_width(&emitter, -1);
	yaml_emitter_set_unicode(&emitter, 1);
	yaml_emitter_set_indent(&emitter, 2);
	emit(&emitter, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING), &event);
	emit(&emitter, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1), &event);
	emit_value(&emitter, value);
	emit(&emitter, yaml_document_end_event_initialize(&event, 1), &event);
	emit(&emitter, yaml_stream_end_event_initialize(&event), &event);
	yaml_emitter_delete(&emitter);
	return g_string_free(out, FALSE);
}
