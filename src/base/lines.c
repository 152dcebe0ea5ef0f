#include "base/lines.h"

#include <string.h>

void lines_init(struct lines *lines, gsize max_bytes)
{
	lines->rest = NULL;
	lines->max_bytes = max_bytes;
}

void lines_done(struct lines *lines)
{
	g_clear_pointer(&lines->rest, g_byte_array_unref);
}

gsize lines_pending(const struct lines *lines)
{
	return lines->rest == NULL ? 0 : lines->rest->len;
}

static gboolean emit(const char *line, gsize len, lines_fn fn, void *data)
{
	if (len > 0 && line[len - 1] == '\r')
		len--;
	return len == 0 || fn(data, line, len);
}

/* Ends the begun line with `len` bytes of `chunk`; the buffer is given back afterwards. */
static gboolean emit_joined(
    struct lines *lines, const char *chunk, gsize len, lines_fn fn, void *data)
{
	GByteArray *whole = lines->rest;
	gboolean go_on;

	g_byte_array_append(whole, (const guint8 *)chunk, (guint)len);
	lines->rest = NULL;
	go_on = emit((const char *)whole->data, whole->len, fn, data);
	g_byte_array_unref(whole);
	return go_on;
}

enum lines_result lines_feed(
    struct lines *lines, const char *chunk, gsize len, lines_fn fn, void *data)
{
	while (len > 0) {
		const char *end = memchr(chunk, '\n', len);
		gsize part = end == NULL ? len : (gsize)(end - chunk);

		if (part + lines_pending(lines) > lines->max_bytes)
			return LINES_TOO_LONG;
		if (end == NULL) {
			if (lines->rest == NULL)
				lines->rest = g_byte_array_new();
			g_byte_array_append(lines->rest, (const guint8 *)chunk, (guint)part);
			return LINES_OK;
		}
		if (lines->rest != NULL) {
			if (!emit_joined(lines, chunk, part, fn, data))
				return LINES_STOPPED;
		} else if (!emit(chunk, part, fn, data)) {
			return LINES_STOPPED;
		}
		chunk += part + 1;
		len -= part + 1;
	}
	return LINES_OK;
}
