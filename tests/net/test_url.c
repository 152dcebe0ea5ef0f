#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/url.h"

static void test_encode(void **state)
{
	static const char *const cases[][2] = {
	    {"", ""},
	    {"plain-._~09AZaz", "plain-._~09AZaz"},
	    {"a/b", "a%2Fb"},
	    {"..", ".."},
	    {"a b+c?d#e%f&g=h", "a%20b%2Bc%3Fd%23e%25f%26g%3Dh"},
	    {"\xc3\xa4:\x01", "%C3%A4%3A%01"},
	};

	(void)state;
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *encoded = url_encode(cases[i][0]);
		assert_string_equal(encoded, cases[i][1]);
		g_autofree char *decoded = url_decode(encoded, strlen(encoded));
		assert_string_equal(decoded, cases[i][0]);
	}
}

static void test_decode(void **state)
{
	static const char *const broken[] = {"%", "a%2", "%zz", "%4g", "%00", "a%00b", "%%41"};
	g_autofree char *plus = url_decode("a+b%2fc", 7);

	(void)state;
	assert_string_equal(plus, "a+b/c");
	for (guint i = 0; i < G_N_ELEMENTS(broken); i++)
		assert_null(url_decode(broken[i], strlen(broken[i])));
	assert_null(url_decode("a\0b", 3));
	/* The length counts, not what follows. */
	assert_null(url_decode("%41", 2));
}

static void test_query(void **state)
{
	static const struct {
		const char *query, *key, *value;
	} cases[] = {
	    {"a=1&b=2", "a", "1"},
	    {"a=1&b=2", "b", "2"},
	    {"a=1&b=2", "c", NULL},
	    {"a=1&a=2", "a", "1"},
	    {"", "a", NULL},
	    {NULL, "a", NULL},
	    {"flag&b=", "flag", ""},
	    {"flag&b=", "b", ""},
	    {"ab=1", "a", NULL},
	    {"a%62=1+2%2B3", "ab", "1 2+3"},
	    {"a==x=", "a", "=x="},
	    {"a=%zz", "a", NULL},
	    {"%zz=1&a=2", "a", "2"},
	    {"&&a=1&", "a", "1"},
	};

	(void)state;
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *value = url_query_get(cases[i].query, cases[i].key);
		if (cases[i].value == NULL)
			assert_null(value);
		else
			assert_string_equal(value, cases[i].value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_encode),
	    cmocka_unit_test(test_decode),
	    cmocka_unit_test(test_query),
	};

	return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
