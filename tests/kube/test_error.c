/* What an answer of an API server, or none, means for the caller. */
#include "kube/client_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define STATUS(code, reason, message)                                                      \
	"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"code\":" code \
	",\"reason\":\"" reason "\",\"message\":\"" message "\"}"

static void reads_answers(void **state)
{
	static const struct {
		int status;
		const char *body;
		enum kube_error code;
		const char *message;
	} cases[] = {
	    {404, STATUS("404", "NotFound", "pods \\\"x\\\" not found"), KUBE_ERROR_NOT_FOUND,
		"pods \"x\" not found"},
	    {409, STATUS("409", "AlreadyExists", "there"), KUBE_ERROR_EXISTS, "there"},
	    {409, STATUS("409", "Conflict", "modified"), KUBE_ERROR_CONFLICT, "modified"},
	    {410, STATUS("410", "Expired", "too old"), KUBE_ERROR_GONE, "too old"},
	    {400, STATUS("400", "BadRequest", "bad"), KUBE_ERROR_INVALID, "bad"},
	    {413, "", KUBE_ERROR_INVALID, "HTTP 413"},
	    {422, STATUS("422", "Invalid", "spec.x: Required"), KUBE_ERROR_INVALID,
		"spec.x: Required"},
	    {401, STATUS("401", "Unauthorized", "Unauthorized"), KUBE_ERROR_UNAUTHORIZED,
		"Unauthorized"},
	    {403, STATUS("403", "Forbidden", "no"), KUBE_ERROR_DENIED, "no"},
	    {429, STATUS("429", "TooManyRequests", "later"), KUBE_ERROR_RETRY, "later"},
	    {500, STATUS("500", "InternalError", "boom"), KUBE_ERROR_RETRY, "boom"},
	    {500,
		STATUS("500", "",
		    "failed to create typed patch object (a/b; v1, Kind=X): no such field"),
		KUBE_ERROR_INVALID,
		"failed to create typed patch object (a/b; v1, Kind=X): no such field"},
	    {500,
		STATUS("500", "",
		    "failed to create typed live object (a/b; v1, Kind=X): no such field"),
		KUBE_ERROR_RETRY,
		"failed to create typed live object (a/b; v1, Kind=X): no such field"},
	    {504, STATUS("504", "Timeout", ""), KUBE_ERROR_RETRY, "Timeout"},
	    {502, "<html>\n<b>Bad\tGateway</b>", KUBE_ERROR_RETRY,
		"HTTP 502: <html> <b>Bad Gateway</b>"},
	    {503, "", KUBE_ERROR_RETRY, "HTTP 503"},
	    {302, "", KUBE_ERROR_INVALID, "HTTP 302"},
	    {404, "{\"kind\":\"Pod\"}", KUBE_ERROR_NOT_FOUND, "HTTP 404: {\"kind\":\"Pod\"}"},
	    {404, "{\"kind\":\"Status\"}", KUBE_ERROR_NOT_FOUND, "HTTP 404"},
	    {500, "\xff\xfe", KUBE_ERROR_RETRY, "HTTP 500: \xef\xbf\xbd\xef\xbf\xbd"},
	};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error =
		    kube_error_from_answer(cases[i].status, cases[i].body, strlen(cases[i].body));

		assert_string_equal(error->message, cases[i].message);
		assert_true(kube_error_is(error, cases[i].code));
	}
}

static void cuts_long_messages(void **state)
{
	g_autofree char *page = g_strnfill(100000, 'x');
	g_autofree char *body = g_strdup_printf("{\"kind\":\"Status\",\"message\":\"%s\"}", page);
	g_autoptr(GError) excerpt = kube_error_from_answer(500, page, strlen(page));
	g_autoptr(GError) message = kube_error_from_answer(500, body, strlen(body));

	(void)state;
	assert_int_equal(strlen(excerpt->message), strlen("HTTP 500: ") + 200);
	assert_int_equal(strlen(message->message), 4096);
}

static void translates_net(void **state)
{
	static const struct {
		enum net_error from;
		enum kube_error to;
	} cases[] = {
	    {NET_ERROR_UNREACHABLE, KUBE_ERROR_RETRY},
	    {NET_ERROR_TIMEOUT, KUBE_ERROR_RETRY},
	    {NET_ERROR_PROTOCOL, KUBE_ERROR_RETRY},
	    {NET_ERROR_SYSTEM, KUBE_ERROR_RETRY},
	    {NET_ERROR_TLS, KUBE_ERROR_CONFIG},
	    {NET_ERROR_INVALID, KUBE_ERROR_CONFIG},
	    {NET_ERROR_TOO_LARGE, KUBE_ERROR_INVALID},
	    {NET_ERROR_CANCELLED, KUBE_ERROR_CANCELLED},
	};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) net = g_error_new(NET_ERROR, (gint)cases[i].from, "why");
		g_autoptr(GError) error = kube_error_from_net(net);

		assert_true(kube_error_is(error, cases[i].to));
		assert_string_equal(error->message, "why");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_answers),
	    cmocka_unit_test(cuts_long_messages),
	    cmocka_unit_test(translates_net),
	};

	return cmocka_run_group_tests_name("kube/error", tests, NULL, NULL);
}
