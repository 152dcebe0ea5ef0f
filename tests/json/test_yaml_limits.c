#include "json/yaml.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Hostile texts: each is refused as too large, and soon, or read in sane time. */

static void assert_too_large(const char *text, gsize len)
{
	g_autoptr(GError) error = NULL;

	assert_null(yaml_read(text, len, &error));
	if (!g_error_matches(error, JSON_ERROR, JSON_ERROR_TOO_LARGE))
		fail_msg("%.40s...: %s", text, error->message);
}

static void assert_reads(const GString *text)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) docs = yaml_read(text->str, text->len, &error);

	if (docs == NULL)
		fail_msg("%.40s...: %s", text->str, error->message);
	assert_int_equal(docs->len, 1);
}

static void text_size(void **state)
{
	(void)state;
	assert_too_large("", (gsize)JSON_MAX_BYTES + 1);
}

/* Nine levels of nine aliases each: 3 * 10^9 nodes from 600 bytes. */
static void billion_laughs(void **state)
{
	g_autoptr(GString) text = g_string_new("a0: &a0 [x]\n");

	(void)state;
	for (int level = 1; level <= 10; level++) {
		g_string_append_printf(text, "a%d: &a%d [", level, level);
		for (int i = 0; i < 9; i++)
			g_string_append_printf(text, "%s*a%d", i > 0 ? ", " : "", level - 1);
		g_string_append(text, "]\n");
	}
	assert_too_large(text->str, text->len);
}

/* The limit counts what aliases copy: 999,000 nodes pass, a million and more do not. */
static void nodes_through_aliases(void **state)
{
	g_autoptr(GString) text = g_string_new("base: &b [");

	(void)state;
	for (int i = 0; i < 996; i++)
		g_string_append(text, "1,");
	g_string_append(text, "1]\nlist:\n");
	for (int i = 0; i < 998; i++)
		g_string_append(text, "- *b\n");
	assert_reads(text);
	for (int i = 0; i < 10; i++)
		g_string_append(text, "- *b\n");
	assert_too_large(text->str, text->len);
}

/* The count runs over all documents of a text. */
static void nodes_over_many_documents(void **state)
{
	g_autoptr(GString) text = g_string_new(NULL);

	(void)state;
	for (int doc = 0; doc < 110; doc++) {
		g_string_append(text, "---\n- &a [");
		for (int i = 0; i < 998; i++)
			g_string_append(text, "1,");
		g_string_append(text, "]\n- [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n");
	}
	assert_too_large(text->str, text->len);
}

static void merges_count_too(void **state)
{
	g_autoptr(GString) text = g_string_new("base: &b {");

	(void)state;
	for (int i = 0; i < 1000; i++)
		g_string_append_printf(text, "k%d: 1,", i);
	g_string_append(text, "}\nlist:\n");
	for (int i = 0; i < 5000; i++)
		g_string_append(text, "- <<: *b\n");
	assert_too_large(text->str, text->len);
}

static void depth_in_every_notation(void **state)
{
	static const char *const opens[] = {"[", "{a: ", "- ", "? ", "[{a: "};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(opens); i++) {
		g_autoptr(GString) text = g_string_new(NULL);

		for (int level = 0; level < 100000; level++)
			g_string_append(text, opens[i]);
		assert_too_large(text->str, text->len);
	}
}

/* 256 levels are read, 257 are not; text after a word, so that it is no JSON. */
static void depth_to_the_level(void **state)
{
	for (guint depth = JSON_MAX_DEPTH; depth <= JSON_MAX_DEPTH + 1; depth++) {
		g_autofree char *open = g_strnfill(depth, '[');
		g_autofree char *close = g_strnfill(depth, ']');
		g_autoptr(GString) text = g_string_new(open);

		(void)state;
		g_string_append_printf(text, "word%s", close);
		if (depth == JSON_MAX_DEPTH)
			assert_reads(text);
		else
			assert_too_large(text->str, text->len);
	}
}

/* Aliases within anchors pile depth upon depth, though the text itself is flat. */
static void depth_through_aliases(void **state)
{
	g_autofree char *open = g_strnfill(100, '[');
	g_autofree char *close = g_strnfill(100, ']');
	g_autoptr(GString) text = g_string_new(NULL);

	(void)state;
	g_string_append_printf(text, "a: &a %sx%s\nb: &b %s*a%s\n", open, close, open, close);
	assert_reads(text);
	g_string_append_printf(text, "c: &c %s*b%s\n", open, close);
	assert_too_large(text->str, text->len);
}

/* Linear in time: with a search per key this is 10^10 comparisons, and the test's time limit. */
static void many_keys(void **state)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_autoptr(GPtrArray) docs = NULL;
	yyjson_val *root;

	(void)state;
	for (int i = 0; i < 150000; i++)
		g_string_append_printf(text, "key%d: %d\n", i, i);
	for (int i = 0; i < 150000; i++)
		g_string_append_printf(text, "key%d: x\n", i);
	docs = yaml_read(text->str, text->len, NULL);
	assert_non_null(docs);
	root = yyjson_doc_get_root(docs->pdata[0]);
	assert_int_equal(yyjson_obj_size(root), 150000);
	assert_string_equal(json_str(root, "key0", NULL), "x");
	assert_string_equal(json_str(root, "key149999", NULL), "x");
}

/* Around the number of keys from which a table is used, the last value wins as well. */
static void duplicate_keys_around_the_index(void **state)
{
	(void)state;
	for (int count = 30; count <= 35; count++) {
		g_autoptr(GString) text = g_string_new(NULL);
		g_autoptr(GPtrArray) docs = NULL;
		yyjson_val *root;

		for (int round = 0; round < 2; round++) {
			for (int i = 0; i < count; i++)
				g_string_append_printf(text, "k%d: %d\n", i, i + round * 1000);
		}
		docs = yaml_read(text->str, text->len, NULL);
		assert_non_null(docs);
		root = yyjson_doc_get_root(docs->pdata[0]);
		assert_int_equal(yyjson_obj_size(root), count);
		assert_int_equal(json_int(root, 0, "k0", NULL), 1000);
		assert_int_equal(json_int(root, 0, "k29", NULL), 1029);
	}
}

static void long_numbers(void **state)
{
	g_autofree char *digits = g_strnfill(1000000, '9');
	g_autofree char *text = g_strconcat("a: ", digits, "\nb: 0.", digits, NULL);
	g_autoptr(GPtrArray) docs = yaml_read(text, strlen(text), NULL);
	yyjson_val *root;

	(void)state;
	assert_non_null(docs);
	root = yyjson_doc_get_root(docs->pdata[0]);
	assert_string_equal(json_str(root, "a", NULL), digits);
	assert_int_equal(json_int(root, 0, "b", NULL), 1);
}

/* A key longer than YAML's 1,024 characters is fine in JSON. */
static void long_json_key(void **state)
{
	g_autofree char *key = g_strnfill(5000, 'k');
	g_autofree char *text = g_strconcat("{\"", key, "\": 1}", NULL);
	g_autoptr(GPtrArray) docs = yaml_read(text, strlen(text), NULL);

	(void)state;
	assert_non_null(docs);
	assert_int_equal(json_int(yyjson_doc_get_root(docs->pdata[0]), 0, key, NULL), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(text_size),
	    cmocka_unit_test(billion_laughs),
	    cmocka_unit_test(nodes_through_aliases),
	    cmocka_unit_test(nodes_over_many_documents),
	    cmocka_unit_test(merges_count_too),
	    cmocka_unit_test(depth_in_every_notation),
	    cmocka_unit_test(depth_to_the_level),
	    cmocka_unit_test(depth_through_aliases),
	    cmocka_unit_test(many_keys),
	    cmocka_unit_test(duplicate_keys_around_the_index),
	    cmocka_unit_test(long_numbers),
	    cmocka_unit_test(long_json_key),
	};

	return cmocka_run_group_tests_name("json/yaml_limits", tests, NULL, NULL);
}
