/* lines_feed: the first byte says how large the chunks are; all chunkings give the same lines. */
#include "base/lines.h"
#include "fuzz.h"

enum { LINE_MAX_BYTES = 64 };

static gboolean collect(void *data, const char *line, gsize len)
{
	g_assert(len > 0 && len <= LINE_MAX_BYTES);
	g_string_append_len(data, line, (gssize)len);
	g_string_append_c(data, '\n');
	return TRUE;
}

static GString *read_in_chunks(const uint8_t *data, size_t size, size_t chunk)
{
	GString *text = g_string_new(NULL);
	enum lines_result result = LINES_OK;
	struct lines lines;

	lines_init(&lines, LINE_MAX_BYTES);
	for (size_t i = 0; i < size && result == LINES_OK; i += chunk) {
		result =
		    lines_feed(&lines, (const char *)data + i, MIN(chunk, size - i), collect, text);
		g_assert(lines_pending(&lines) <= LINE_MAX_BYTES);
	}
	g_string_append_printf(text, "%d", (int)result);
	if (result == LINES_OK)
		g_string_append_printf(text, " %" G_GSIZE_FORMAT, lines_pending(&lines));
	lines_done(&lines);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(GString) whole = NULL;
	g_autoptr(GString) parts = NULL;

	if (size == 0)
		return 0;
	whole = read_in_chunks(data + 1, size - 1, size);
	parts = read_in_chunks(data + 1, size - 1, data[0] % 100u + 1);
	g_assert(g_string_equal(whole, parts));
	return 0;
}
