/* One line of a watch: type and object, or the error that it carries or is. */
#include "kube/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void reads_events(void **state)
{
	static const struct {
		const char *line;
		enum kube_event_type type;
		const char *version;
	} cases[] = {
	    {"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"1\"}}}",
		KUBE_EVENT_ADDED, "1"},
	    {"{\"object\":{\"metadata\":{\"resourceVersion\":\"2\"}},\"type\":\"MODIFIED\"}",
		KUBE_EVENT_MODIFIED, "2"},
	    {"{\"type\":\"DELETED\",\"object\":{\"metadata\":{\"resourceVersion\":\"3\"}}}\n",
		KUBE_EVENT_DELETED, "3"},
	    {"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"4\"}}}",
		KUBE_EVENT_BOOKMARK, "4"},
	};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		enum kube_event_type type;
		yyjson_val *object;
		g_autoptr(GError) error = NULL;
		g_autoptr(yyjson_doc) doc =
		    kube_watch_parse(cases[i].line, strlen(cases[i].line), &type, &object, &error);

		assert_null(error);
		assert_non_null(doc);
		assert_int_equal(type, cases[i].type);
		assert_string_equal(
		    json_str(object, "metadata", "resourceVersion", NULL), cases[i].version);
	}
}

static void refuses(const char *line, gsize len, enum kube_error code, const char *message)
{
	enum kube_event_type type = KUBE_EVENT_BOOKMARK;
	yyjson_val *object = NULL;
	g_autoptr(GError) error = NULL;
	yyjson_doc *doc = kube_watch_parse(line, len, &type, &object, &error);

	assert_null(doc);
	assert_true(kube_error_is(error, code));
	if (message != NULL)
		assert_string_equal(error->message, message);
	/* Outputs are untouched. */
	assert_int_equal(type, KUBE_EVENT_BOOKMARK);
	assert_null(object);
}

static void turns_error_events_into_errors(void **state)
{
	static const struct {
		const char *line;
		enum kube_error code;
		const char *message;
	} cases[] = {
	    {"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,"
	     "\"reason\":\"Expired\",\"message\":\"too old resource version\"}}",
		KUBE_ERROR_GONE, "too old resource version"},
	    {"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":500,"
	     "\"message\":\"etcd\"}}",
		KUBE_ERROR_RETRY, "etcd"},
	    {"{\"type\":\"ERROR\",\"object\":{\"code\":403,\"message\":\"no\"}}", KUBE_ERROR_DENIED,
		"no"},
	    {"{\"type\":\"ERROR\"}", KUBE_ERROR_RETRY, "HTTP 500"},
	    {"{\"type\":\"ERROR\",\"object\":{\"code\":-5}}", KUBE_ERROR_INVALID, "HTTP 0"},
	};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
		refuses(cases[i].line, strlen(cases[i].line), cases[i].code, cases[i].message);
}

static void refuses_the_rest(void **state)
{
	static const char *const lines[] = {"", "{", "null", "[]", "{}", "{\"type\":\"ADDED\"}",
	    "{\"type\":\"ADDED\",\"object\":[]}", "{\"type\":\"WHAT\",\"object\":{}}",
	    "{\"type\":5,\"object\":{}}", "{\"type\":\"added\",\"object\":{}}",
	    "{\"type\":\"ADDED\",\"object\":{}} {}"};
	g_autofree char *huge = g_strnfill(4 * 1024 * 1024 + 1, ' ');

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(lines); i++)
		refuses(lines[i], strlen(lines[i]), KUBE_ERROR_RETRY, NULL);
	refuses(huge, strlen(huge), KUBE_ERROR_RETRY, "a watch event is larger than 4 MiB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_events),
	    cmocka_unit_test(turns_error_events_into_errors),
	    cmocka_unit_test(refuses_the_rest),
	};

	return cmocka_run_group_tests_name("kube/watch_parse", tests, NULL, NULL);
}
