#include "base/lines.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Joins the lines with '|' and stops after `stop_after` of them. */
struct collector {
	GString *text;
	guint count;
	guint stop_after;
};

static gboolean collect(void *data, const char *line, gsize len)
{
	struct collector *collector = data;

	g_string_append_len(collector->text, line, (gssize)len);
	g_string_append_c(collector->text, '|');
	collector->count++;
	return collector->stop_after == 0 || collector->count < collector->stop_after;
}

/* Feeds the stream in the pieces that the bits of `cuts` mark; returns the last result. */
static enum lines_result feed_cut(
    struct lines *lines, const char *stream, gsize len, guint cuts, struct collector *collector)
{
	gsize start = 0;

	for (gsize i = 1; i <= len; i++) {
		if (i == len || (cuts >> (i - 1) & 1) != 0) {
			/* A copy of its own length, so that ASan sees a read past the chunk. */
			g_autofree char *chunk = g_memdup2(stream + start, i - start);
			enum lines_result result =
			    lines_feed(lines, chunk, i - start, collect, collector);

			if (result != LINES_OK)
				return result;
			start = i;
		}
	}
	return LINES_OK;
}

static void all_splittings_give_the_same(void **state)
{
	static const char stream[] = "ab\n\r\nc\r\n\n\nd\rE";
	const gsize len = sizeof(stream) - 1;

	(void)state;
	for (guint cuts = 0; cuts < 1u << (len - 1); cuts++) {
		g_autoptr(GString) text = g_string_new(NULL);
		struct collector collector = {.text = text};
		struct lines lines;

		lines_init(&lines, 16);
		assert_int_equal(feed_cut(&lines, stream, len, cuts, &collector), LINES_OK);
		assert_string_equal(text->str, "ab|c|");
		assert_int_equal(lines_pending(&lines), 3);
		lines_done(&lines);
	}
}

/* max_bytes is allowed, one more is not, wherever the chunks are cut; earlier lines came through.
 */
static void cap_is_hit_in_every_splitting(void **state)
{
	static const char fits[] = "ab\n12345\n", over[] = "ab\n123456\n";

	(void)state;
	for (guint cuts = 0; cuts < 1u << (sizeof(over) - 2); cuts++) {
		g_autoptr(GString) text = g_string_new(NULL);
		struct collector collector = {.text = text};
		struct lines lines;

		lines_init(&lines, 5);
		assert_int_equal(
		    feed_cut(&lines, over, sizeof(over) - 1, cuts, &collector), LINES_TOO_LONG);
		assert_string_equal(text->str, "ab|");
		assert_true(lines_pending(&lines) <= 5);
		lines_done(&lines);
		g_string_truncate(text, 0);
		assert_int_equal(
		    feed_cut(&lines, fits, sizeof(fits) - 1, cuts, &collector), LINES_OK);
		assert_string_equal(text->str, "ab|12345|");
		assert_int_equal(lines_pending(&lines), 0);
		lines_done(&lines);
	}
}

static void callback_stops_the_feeding(void **state)
{
	g_autoptr(GString) text = g_string_new(NULL);
	struct collector collector = {.text = text, .stop_after = 2};
	struct lines lines;

	(void)state;
	lines_init(&lines, 100);
	assert_int_equal(lines_feed(&lines, "a", 1, collect, &collector), LINES_OK);
	assert_int_equal(lines_feed(&lines, "\nb\nc\n", 5, collect, &collector), LINES_STOPPED);
	assert_string_equal(text->str, "a|b|");
	lines_done(&lines);
}

static void bytes_are_not_text(void **state)
{
	g_autoptr(GString) text = g_string_new(NULL);
	struct collector collector = {.text = text};
	struct lines lines;

	(void)state;
	lines_init(&lines, 100);
	assert_int_equal(lines_feed(&lines, "a\0b\nx\0", 6, collect, &collector), LINES_OK);
	assert_int_equal(text->len, 4);
	assert_memory_equal(text->str, "a\0b|", 4);
	assert_int_equal(lines_pending(&lines), 2);
	lines_done(&lines);
	assert_int_equal(lines_pending(&lines), 0);
	lines_done(&lines);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(all_splittings_give_the_same),
	    cmocka_unit_test(cap_is_hit_in_every_splitting),
	    cmocka_unit_test(callback_stops_the_feeding),
	    cmocka_unit_test(bytes_are_not_text),
	};

	return cmocka_run_group_tests_name("base/lines", tests, NULL, NULL);
}
