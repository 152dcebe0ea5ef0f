#include "json/json.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct {
	const char *observed;
	const char *desired;
	gboolean covered;
} cases[] = {
    {"1", "1", TRUE},
    {"1", "2", FALSE},
    {"1", "1.0", TRUE},
    {"-1", "-1", TRUE},
    {"-1", "18446744073709551615", FALSE},
    {"9007199254740993", "9007199254740992", FALSE},
    {"\"a\"", "\"a\"", TRUE},
    {"\"a\"", "\"b\"", FALSE},
    {"\"1\"", "1", FALSE},
    {"true", "true", TRUE},
    {"true", "false", FALSE},
    {"0", "false", FALSE},
    {"{}", "{}", TRUE},
    {"{}", "[]", FALSE},
    {"{\"a\":1,\"b\":2}", "{\"a\":1}", TRUE},
    {"{\"a\":1}", "{\"a\":1,\"b\":2}", FALSE},
    {"{\"b\":2,\"a\":1}", "{\"a\":1,\"b\":2}", TRUE},
    {"{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"c\":2}}", TRUE},
    {"{\"a\":{\"b\":1}}", "{\"a\":{\"c\":1}}", FALSE},
    {"{\"a\":\"x\"}", "{\"a\":{}}", FALSE},
    {"[1,2]", "[1,2]", TRUE},
    {"[1,2]", "[2,1]", FALSE},
    {"[1,2]", "[1]", FALSE},
    {"[1]", "[1,2]", FALSE},
    {"[{\"a\":1,\"defaulted\":9}]", "[{\"a\":1}]", TRUE},
    {"[{\"a\":1}]", "[{\"a\":2}]", FALSE},
    /* null is covered by nothing, and by null. */
    {"{}", "{\"a\":null}", TRUE},
    {"{\"a\":null}", "{\"a\":null}", TRUE},
    {"{\"a\":1}", "{\"a\":null}", FALSE},
    {"null", "null", TRUE},
    {"null", "1", FALSE},
    {"{\"a\":null}", "{\"a\":1}", FALSE},
    /* The API server drops empty lists and maps. */
    {"{}", "{\"a\":{}}", TRUE},
    {"{}", "{\"a\":[]}", TRUE},
    {"{}", "{\"a\":[1]}", FALSE},
    {"{}", "{\"a\":\"\"}", FALSE},
    {"{}", "{\"a\":false}", FALSE},
    /* A key with a NUL is not the key before it. */
    {"{\"a\":1}", "{\"a\\u0000b\":1}", FALSE},
};

static void table(void **state)
{
	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(yyjson_doc) observed =
		    json_parse(cases[i].observed, strlen(cases[i].observed), NULL);
		g_autoptr(yyjson_doc) desired =
		    json_parse(cases[i].desired, strlen(cases[i].desired), NULL);

		assert_non_null(observed);
		assert_non_null(desired);
		if (json_covers(yyjson_doc_get_root(observed), yyjson_doc_get_root(desired)) !=
		    cases[i].covered)
			fail_msg("%s and %s", cases[i].observed, cases[i].desired);
	}
}

/* What was built here has signed integers where a parsed text has unsigned ones. */
static void built_integers_equal_parsed_ones(void **state)
{
	g_autoptr(yyjson_mut_doc) mutable = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = yyjson_mut_obj(mutable);
	g_autoptr(yyjson_doc) parsed = json_parse("{\"replicas\":3}", 14, NULL);
	g_autoptr(yyjson_doc) built = NULL;

	(void)state;
	json_mut_set_int(mutable, root, "replicas", 3);
	yyjson_mut_doc_set_root(mutable, root);
	built = yyjson_mut_doc_imut_copy(mutable, NULL);
	assert_true(json_covers(yyjson_doc_get_root(parsed), yyjson_doc_get_root(built)));
	assert_true(json_covers(yyjson_doc_get_root(built), yyjson_doc_get_root(parsed)));
}

static void nothing_desired_wants_nothing_there(void **state)
{
	g_autoptr(yyjson_doc) one = json_parse("1", 1, NULL);

	(void)state;
	assert_true(json_covers(NULL, NULL));
	assert_false(json_covers(yyjson_doc_get_root(one), NULL));
	assert_false(json_covers(NULL, yyjson_doc_get_root(one)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(table),
	    cmocka_unit_test(built_integers_equal_parsed_ones),
	    cmocka_unit_test(nothing_desired_wants_nothing_there),
	};

	return cmocka_run_group_tests_name("json/json_covers", tests, NULL, NULL);
}
