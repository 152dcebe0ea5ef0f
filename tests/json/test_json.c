#include "json/json.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static yyjson_doc *parsed(const char *text)
{
	yyjson_doc *doc = json_parse(text, strlen(text), NULL);

	assert_non_null(doc);
	return doc;
}

static void errors_name_line_and_column(void **state)
{
	static const struct {
		const char *text;
		const char *where;
	} cases[] = {
	    {"", "line 1, column 1"},
	    {"{\"a\": nul}", "line 1, column 7"},
	    {"{\n  \"a\": 1,\n  \"b\" 2\n}", "line 3, column 7"},
	    {"[1, 2", "line 1, column 6"},
	    {"1 2", "line 1, column 3"},
	    {"{}\n\n x", "line 3, column 2"},
	    {"[\"\xff\"]", "line 1, column 3"},
	    {"[1,]", "line 1, column 3"},
	    {"// no\n1", "line 1, column 1"},
	    {"[NaN]", "line 1, column 2"},
	    {"[\"\\ud800\"]", "line 1, column"},
	    {"[\"a\nb\"]", "line 1, column"},
	    {"01", "line 1, column"},
	};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;

		if (json_parse(cases[i].text, strlen(cases[i].text), &error) != NULL)
			fail_msg("\"%s\" was read", cases[i].text);
		assert_true(g_error_matches(error, JSON_ERROR, JSON_ERROR_SYNTAX));
		if (strstr(error->message, cases[i].where) == NULL)
			fail_msg("\"%s\": %s", cases[i].text, error->message);
	}
}

/* `depth` arrays within each other. */
static char *nested(guint depth)
{
	g_autofree char *open = g_strnfill(depth, '[');
	g_autofree char *close = g_strnfill(depth, ']');

	return g_strconcat(open, close, NULL);
}

static void depth_is_limited(void **state)
{
	g_autofree char *fits = nested(JSON_MAX_DEPTH);
	g_autofree char *over = nested(JSON_MAX_DEPTH + 1);
	g_autofree char *far_over = g_strnfill(5000000, '[');
	g_autofree char *flat = g_strconcat("[\"\\\"[[[\"", NULL);
	g_autoptr(GString) wide = g_string_new(flat);
	g_autoptr(GError) error = NULL;
	g_autoptr(yyjson_doc) doc = NULL;
	g_autoptr(yyjson_doc) wide_doc = NULL;

	(void)state;
	doc = json_parse(fits, strlen(fits), NULL);
	assert_non_null(doc);
	assert_null(json_parse(over, strlen(over), &error));
	assert_true(g_error_matches(error, JSON_ERROR, JSON_ERROR_TOO_LARGE));
	g_clear_error(&error);
	assert_null(json_parse(far_over, strlen(far_over), &error));
	assert_true(g_error_matches(error, JSON_ERROR, JSON_ERROR_TOO_LARGE));
	/* Many brackets, in strings and side by side, are no depth. */
	for (int i = 0; i < 1000; i++)
		g_string_append(wide, ",[{\"a\":\"}]{{[[\\\\\"}]");
	g_string_append_c(wide, ']');
	wide_doc = json_parse(wide->str, wide->len, NULL);
	assert_non_null(wide_doc);
}

/* The text is never touched when it is too large, so that none needs to be there. */
static void size_is_limited(void **state)
{
	g_autofree char *spaces = g_strnfill(JSON_MAX_BYTES, ' ');
	g_autoptr(yyjson_doc) doc = NULL;
	g_autoptr(GError) error = NULL;

	(void)state;
	spaces[0] = '1';
	doc = json_parse(spaces, JSON_MAX_BYTES, NULL);
	assert_non_null(doc);
	assert_null(json_parse("", (gsize)JSON_MAX_BYTES + 1, &error));
	assert_true(g_error_matches(error, JSON_ERROR, JSON_ERROR_TOO_LARGE));
}

static void first_value_of_several(void **state)
{
	const char *text = "{\"a\":1}\n[2] 3";
	gsize used = 0;
	g_autoptr(yyjson_doc) one = json_parse_first(text, strlen(text), &used, NULL);
	g_autoptr(yyjson_doc) two = NULL;

	(void)state;
	assert_int_equal(used, 7);
	assert_int_equal(json_int(yyjson_doc_get_root(one), 0, "a", NULL), 1);
	two = json_parse_first(text + used, strlen(text) - used, &used, NULL);
	assert_int_equal(used, 4);
	assert_true(yyjson_is_arr(yyjson_doc_get_root(two)));
}

/* What comes after the first value has no say in whether that can be read. */
static void later_depth_does_not_matter_to_the_first(void **state)
{
	g_autofree char *deep = g_strnfill(1000, '[');
	g_autofree char *text = g_strconcat("{\"a\":[1]}", deep, NULL);
	g_autoptr(yyjson_doc) doc = NULL;
	gsize used = 77;
	g_autoptr(GError) error = NULL;

	(void)state;
	doc = json_parse_first(text, strlen(text), &used, NULL);
	assert_non_null(doc);
	assert_int_equal(used, 9);
	assert_null(json_parse_first(deep, 1000, &used, &error));
	assert_true(g_error_matches(error, JSON_ERROR, JSON_ERROR_TOO_LARGE));
	assert_int_equal(used, 9);
}

static void paths_lead_down_objects(void **state)
{
	g_autoptr(yyjson_doc) doc = parsed("{\"metadata\":{\"name\":\"web\",\"generation\":7,"
					   "\"n\":null,\"big\":18446744073709551615,\"neg\":-3,"
					   "\"f\":1.5,\"nul\":\"a\\u0000b\",\"empty\":\"\"},"
					   "\"list\":[{\"a\":1}],\"yes\":true}");
	yyjson_val *root = yyjson_doc_get_root(doc);

	(void)state;
	assert_ptr_equal(json_at(root, NULL), root);
	assert_string_equal(json_str(root, "metadata", "name", NULL), "web");
	assert_string_equal(json_str(root, "metadata", "empty", NULL), "");
	assert_null(json_str(root, "metadata", "generation", NULL));
	assert_null(json_str(root, "metadata", "nul", NULL));
	assert_null(json_str(root, "metadata", "name", "deeper", NULL));
	assert_null(json_at(root, "list", "0", NULL));
	assert_null(json_at(root, "missing", "name", NULL));
	assert_null(json_at(NULL, "metadata", NULL));
	assert_true(yyjson_is_null(json_at(root, "metadata", "n", NULL)));
	assert_int_equal(json_int(root, -1, "metadata", "generation", NULL), 7);
	assert_int_equal(json_int(root, -1, "metadata", "neg", NULL), -3);
	assert_int_equal(json_int(root, -1, "metadata", "name", NULL), -1);
	assert_int_equal(json_int(root, -1, "metadata", "f", NULL), -1);
	assert_int_equal(json_int(root, -1, "metadata", "big", NULL), -1);
	assert_int_equal(json_int(NULL, 5, "a", NULL), 5);
	assert_true(json_bool(root, FALSE, "yes", NULL));
	assert_true(json_bool(root, TRUE, "no", NULL));
	assert_false(json_bool(root, FALSE, "metadata", "generation", NULL));
}

static void objects_are_built(void **state)
{
	g_autoptr(yyjson_mut_doc) doc = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = yyjson_mut_obj(doc);
	yyjson_mut_val *labels =
	    json_mut_object(doc, json_mut_object(doc, root, "metadata"), "labels");
	char key[] = "app";
	g_autofree char *text = NULL;
	gsize len = 0;

	(void)state;
	json_mut_set_str(doc, labels, key, "old");
	key[0] = 'x'; /* Keys are copied. */
	json_mut_set_str(doc, labels, "app", "web");
	json_mut_set_str(doc, labels, "app", NULL);
	assert_ptr_equal(
	    json_mut_object(doc, root, "metadata"), yyjson_mut_obj_get(root, "metadata"));
	json_mut_set_int(doc, root, "n", -5);
	json_mut_set_bool(doc, root, "b", 2);
	json_mut_set_str(doc, root, "o", "text");
	json_mut_object(doc, root, "o");
	text = json_mut_print(root, &len);
	assert_string_equal(text,
	    "{\"metadata\":{\"labels\":{\"app\":\"web\"}},\"n\":-5,\"b\":true,"
	    "\"o\":{}}");
	assert_int_equal(len, strlen(text));
}

/* A message from outside that is no UTF-8 must not end the program when it is printed. */
static void foreign_bytes_are_made_printable(void **state)
{
	g_autoptr(yyjson_mut_doc) doc = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = yyjson_mut_obj(doc);
	g_autofree char *text = NULL;

	(void)state;
	json_mut_set_str(doc, root, "message", "bad \xff\xc3 byte \xc3\xa9");
	text = json_mut_print(root, NULL);
	assert_string_equal(text, "{\"message\":\"bad \xef\xbf\xbd\xef\xbf\xbd byte \xc3\xa9\"}");
}

static void prints_what_it_read(void **state)
{
	const char *text = "{\"a\":[1,-2,18446744073709551615,1.5,true,null,\"\\n\\u0000é\"]}";
	g_autoptr(yyjson_doc) doc = parsed(text);
	g_autofree char *printed = json_print(yyjson_doc_get_root(doc), NULL);

	(void)state;
	assert_string_equal(printed, text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(errors_name_line_and_column),
	    cmocka_unit_test(depth_is_limited),
	    cmocka_unit_test(size_is_limited),
	    cmocka_unit_test(first_value_of_several),
	    cmocka_unit_test(later_depth_does_not_matter_to_the_first),
	    cmocka_unit_test(paths_lead_down_objects),
	    cmocka_unit_test(objects_are_built),
	    cmocka_unit_test(foreign_bytes_are_made_printable),
	    cmocka_unit_test(prints_what_it_read),
	};

	return cmocka_run_group_tests_name("json/json", tests, NULL, NULL);
}
