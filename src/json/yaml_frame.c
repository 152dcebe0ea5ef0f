#include "json/yaml_frame_priv.h"

#include "base/hash.h"

#include <math.h>
#include <string.h>

enum {
	KEYS_BEFORE_INDEX = 32, /* larger mappings look their keys up in a hash table */
	KEY_DIGITS_MAX = 9,     /* enough to tell any two 32-bit floats apart */
};

void frame_init(struct frame *frame, gboolean is_map)
{
	memset(frame, 0, sizeof(*frame));
	frame->is_map = is_map;
	frame->height = 1;
	frame->values = g_ptr_array_new();
	frame->keys = is_map ? g_ptr_array_new() : NULL;
}

void frame_clear(struct frame *frame)
{
	g_clear_pointer(&frame->keys, g_ptr_array_unref);
	g_clear_pointer(&frame->values, g_ptr_array_unref);
	g_clear_pointer(&frame->index, g_hash_table_unref);
}

static guint key_hash(gconstpointer data)
{
	yyjson_mut_val *key =
	    (yyjson_mut_val *)(guintptr)data; /* yyjson's getters know no const. */

	return (guint)hash_bytes(yyjson_mut_get_str(key), yyjson_mut_get_len(key));
}

static gboolean key_equal(gconstpointer a, gconstpointer b)
{
	yyjson_mut_val *left = (yyjson_mut_val *)(guintptr)a,
		       *right = (yyjson_mut_val *)(guintptr)b;

	return yyjson_mut_equals_strn(left, yyjson_mut_get_str(right), yyjson_mut_get_len(right));
}

/*
 * A fraction as a key gets the shortest decimal text that reads back as the same 32-bit float,
 * which is what Kubernetes' reader makes of it.
 */
static char *real_key_text(double real)
{
	char text[64];
	int digits, exponent;
	const char *mark;

	if (!isfinite(real))
		return g_strdup(isnan(real) ? ".nan" : real > 0 ? ".inf" : "-.inf");
	for (digits = 0; digits < KEY_DIGITS_MAX - 1; digits++) {
		char form[] = {'%', '.', (char)('0' + digits), 'e', '\0'};

		g_ascii_formatd(text, sizeof(text), form, real);
		if ((float)g_ascii_strtod(text, NULL) == (float)real)
			break;
	}
	mark = strchr(text, 'e');
	exponent = mark == NULL ? 0 : (int)g_ascii_strtoll(mark + 1, NULL, 10);
	if (exponent >= -4 && exponent < 6) {
		char form[] = {'%', '.', '0', '0', 'f', '\0'};
		int decimals = MAX(0, digits - exponent);

		form[2] = (char)('0' + decimals / 10);
		form[3] = (char)('0' + decimals % 10);
		g_ascii_formatd(text, sizeof(text), form, real);
	}
	return g_strdup(text);
}

yyjson_mut_val *key_from_node(yyjson_mut_doc *doc, yyjson_mut_val *node)
{
	g_autofree char *text = NULL;

	if (yyjson_mut_is_str(node))
		return node;
	if (yyjson_mut_is_bool(node))
		return yyjson_mut_str(doc, yyjson_mut_get_bool(node) ? "true" : "false");
	if (yyjson_mut_is_uint(node))
		text = g_strdup_printf("%" G_GUINT64_FORMAT, yyjson_mut_get_uint(node));
	else if (yyjson_mut_is_sint(node))
		text = g_strdup_printf("%" G_GINT64_FORMAT, yyjson_mut_get_sint(node));
	else if (yyjson_mut_is_real(node))
		text = real_key_text(yyjson_mut_get_real(node));
	return text == NULL ? NULL : yyjson_mut_strcpy(doc, text);
}

static void build_index(struct frame *frame)
{
	frame->index = g_hash_table_new(key_hash, key_equal);
	for (guint i = 0; i < frame->keys->len; i++)
		g_hash_table_insert(frame->index, frame->keys->pdata[i], GUINT_TO_POINTER(i + 1));
}

static gboolean find_key(const struct frame *frame, yyjson_mut_val *key, guint *ret_place)
{
	if (frame->index != NULL) {
		guint place = GPOINTER_TO_UINT(g_hash_table_lookup(frame->index, key));

		if (place > 0)
			*ret_place = place - 1;
		return place > 0;
	}
	for (guint i = 0; i < frame->keys->len; i++) {
		if (key_equal(frame->keys->pdata[i], key)) {
			*ret_place = i;
			return TRUE;
		}
	}
	return FALSE;
}

void frame_set(struct frame *frame, yyjson_mut_val *key, yyjson_mut_val *value)
{
	guint place;

	if (find_key(frame, key, &place)) {
		frame->values->pdata[place] = value;
		return;
	}
	g_ptr_array_add(frame->keys, key);
	g_ptr_array_add(frame->values, value);
	if (frame->index != NULL)
		g_hash_table_insert(frame->index, key, GUINT_TO_POINTER(frame->keys->len));
	else if (frame->keys->len > KEYS_BEFORE_INDEX)
		build_index(frame);
}

yyjson_mut_val *frame_finish(const struct frame *frame, yyjson_mut_doc *doc)
{
	yyjson_mut_val *container = frame->is_map ? yyjson_mut_obj(doc) : yyjson_mut_arr(doc);

	for (guint i = 0; i < frame->values->len; i++) {
		if (frame->is_map)
			yyjson_mut_obj_add(
			    container, frame->keys->pdata[i], frame->values->pdata[i]);
		else
			yyjson_mut_arr_append(container, frame->values->pdata[i]);
	}
	return container;
}

gboolean real_is_whole(double real)
{
	const double whole_max = 9007199254740992.0; /* 2^53 */

	return real == trunc(real) && fabs(real) <= whole_max && !(real == 0 && signbit(real));
}

yyjson_mut_val *value_from_node(yyjson_mut_doc *doc, yyjson_mut_val *node)
{
	double real;

	if (!yyjson_mut_is_real(node))
		return node;
	real = yyjson_mut_get_real(node);
	if (!isfinite(real))
		return NULL;
	return real_is_whole(real) ? yyjson_mut_sint(doc, (gint64)real) : node;
}
