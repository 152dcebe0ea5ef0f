/* Blocking requests against a scripted server: what goes out, what comes back, what is repeated. */
#include "kube/client_priv.h"
#include "script_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define POD "{\"metadata\":{\"name\":\"phi\"}}"
#define JSON "application/json"
#define STATUS(code, reason) \
	"{\"kind\":\"Status\",\"code\":" code ",\"reason\":\"" reason "\",\"message\":\"why\"}"

static struct script *play(const struct script_step *steps, guint n_steps)
{
	return script_new(steps, n_steps, NULL);
}

static void gets(void **state)
{
	/* The answer comes in two pieces. */
	static const struct script_step steps[] = {
	    {.status = 200, .pieces = {"{\"metadata\":{\"na", "me\":\"phi\"}}"}}};
	AUTO(script) script = play(steps, G_N_ELEMENTS(steps));
	g_autoptr(GError) error = NULL;
	g_autoptr(yyjson_doc) doc =
	    kube_get(script->client, &KUBE_DEPLOYMENTS, "de/fault", "phi", &error);

	(void)state;
	assert_null(error);
	assert_string_equal(json_str(yyjson_doc_get_root(doc), "metadata", "name", NULL), "phi");
	script_expect_seen(script,
	    "GET /prefix/apis/apps/v1/namespaces/de%2Ffault/deployments/phi|" JSON "|-|Bearer t1|");
	script_expect_event(script, "get deployments 200");
	script_expect_quiet(script);
}

static void lists_one_page(void **state)
{
	static const struct script_step steps[] = {{.status = 200, .pieces = {"{\"items\":[]}"}}};
	AUTO(script) script = play(steps, G_N_ELEMENTS(steps));
	g_autoptr(yyjson_doc) doc =
	    kube_list(script->client, &KUBE_NODES, NULL, "labelSelector=a%3Db", NULL);

	(void)state;
	assert_non_null(doc);
	script_expect_seen(
	    script, "GET /prefix/api/v1/nodes?labelSelector=a%3Db|" JSON "|-|Bearer t1|");
}

static void writes(void **state)
{
	static const struct script_step steps[] = {{.status = 201, .pieces = {POD}},
	    {.status = 200, .pieces = {POD}}, {.status = 200, .pieces = {POD}},
	    {.status = 200, .pieces = {POD}}, {.status = 200, .pieces = {POD}}};
	AUTO(script) script = play(steps, G_N_ELEMENTS(steps));
	struct kube_client *client = script->client;
	g_autoptr(yyjson_doc) created = kube_create(client, &KUBE_PODS, "a", "{1}", 3, NULL);
	g_autoptr(yyjson_doc) updated =
	    kube_update(client, &KUBE_PODS, "a", "b", "status", "{2}", 3, NULL);
	g_autoptr(yyjson_doc) applied =
	    kube_apply(client, &KUBE_PODS, "a", "b", NULL, "{3}", 3, TRUE, NULL);
	g_autoptr(yyjson_doc) gentle =
	    kube_apply(client, &KUBE_PODS, "a", "b", "status", "{4}", 3, FALSE, NULL);
	g_autoptr(yyjson_doc) patched =
	    kube_patch_merge(client, &KUBE_PODS, "a", "b", NULL, "{5}", 3, NULL);

	(void)state;
	assert_non_null(created);
	assert_non_null(updated);
	assert_non_null(applied);
	assert_non_null(gentle);
	assert_non_null(patched);
#define PODS "/prefix/api/v1/namespaces/a/pods"
	script_expect_seen(
	    script, "POST " PODS "?fieldManager=a%20test|" JSON "|" JSON "|Bearer t1|{1}");
	script_expect_seen(
	    script, "PUT " PODS "/b/status?fieldManager=a%20test|" JSON "|" JSON "|Bearer t1|{2}");
	script_expect_seen(script, "PATCH " PODS "/b?fieldManager=a%20test&force=true|" JSON
				   "|application/apply-patch+yaml|Bearer t1|{3}");
	script_expect_seen(script, "PATCH " PODS "/b/status?fieldManager=a%20test&force=false|" JSON
				   "|application/apply-patch+yaml|Bearer t1|{4}");
	script_expect_seen(script, "PATCH " PODS "/b?fieldManager=a%20test|" JSON
				   "|application/merge-patch+json|Bearer t1|{5}");
	script_expect_event(script, "create pods 201");
	script_expect_event(script, "update pods 200");
	script_expect_event(script, "apply pods 200");
	script_expect_event(script, "apply pods 200");
	script_expect_event(script, "patch pods 200");
}

static void deletes(void **state)
{
	static const struct script_step steps[] = {{.status = 200, .pieces = {STATUS("200", "")}},
	    {.status = 404, .pieces = {STATUS("404", "NotFound")}},
	    {.status = 409, .pieces = {STATUS("409", "Conflict")}}};
	AUTO(script) script = play(steps, G_N_ELEMENTS(steps));
	g_autoptr(GError) error = NULL;
	g_autofree char *plain = NULL;
	g_autofree char *guarded = NULL;

	(void)state;
	assert_true(kube_delete(script->client, &KUBE_PODS, "a", "b", NULL, &error));
	assert_true(kube_delete(script->client, &KUBE_PODS, "a", "b", "u1", &error));
	assert_null(error);
	assert_false(kube_delete(script->client, &KUBE_PODS, "a", "b", "u1", &error));
	assert_true(kube_error_is(error, KUBE_ERROR_CONFLICT));
	plain = script_seen(script);
	assert_true(g_str_has_prefix(plain, "DELETE " PODS "/b|"));
	assert_non_null(strstr(plain, "\"propagationPolicy\":\"Background\""));
	assert_null(strstr(plain, "preconditions"));
	guarded = script_seen(script);
	assert_non_null(strstr(guarded, "\"preconditions\":{\"uid\":\"u1\"}"));
}

static void gets_raw(void **state)
{
	static const struct script_step steps[] = {
	    {.status = 200, .pieces = {"ok"}}, {.status = 500, .pieces = {"[-]etcd failed"}}};
	AUTO(script) script = play(steps, G_N_ELEMENTS(steps));
	g_autoptr(GError) error = NULL;
	g_autofree char *ready = kube_get_raw(script->client, "/readyz", NULL);
	g_autofree char *failed = kube_get_raw(script->client, "/readyz", &error);

	(void)state;
	assert_string_equal(ready, "ok");
	assert_null(failed);
	assert_string_equal(error->message, "get /readyz: HTTP 500: [-]etcd failed");
	script_expect_seen(script, "GET /prefix/readyz|application/json, */*|-|Bearer t1|");
}

static void expect_failure(struct script *script, enum kube_error code, const char *message)
{
	g_autoptr(GError) error = NULL;
	yyjson_doc *doc = kube_get(script->client, &KUBE_PODS, "a", "b", &error);

	assert_null(doc);
	assert_non_null(error);
	if (message != NULL)
		assert_string_equal(error->message, message);
	assert_true(kube_error_is(error, code));
}

static void prefixes_errors(void **state)
{
	static const struct script_step steps[] = {
	    {.status = 404, .pieces = {STATUS("404", "NotFound")}},
	    {.status = 200, .pieces = {"<html>"}}, {.status = 503, .pieces = {"busy"}},
	    {.status = 302, .header = "Location: http://127.0.0.1:1/", .pieces = {""}}};
	AUTO(script) script = play(steps, G_N_ELEMENTS(steps));

	(void)state;
	expect_failure(script, KUBE_ERROR_NOT_FOUND, "get pods v1 a/b: why");
	expect_failure(script, KUBE_ERROR_RETRY, NULL);
	/* Without Retry-After it is for the caller. */
	expect_failure(script, KUBE_ERROR_RETRY, "get pods v1 a/b: HTTP 503: busy");
	/* A redirect is not followed: it would take the token along. */
	expect_failure(script, KUBE_ERROR_INVALID, "get pods v1 a/b: HTTP 302");
}

/* A write that is answered so may not have been carried out. */
static void takes_only_an_object_for_one(void **state)
{
	static const struct script_step steps[] = {{.status = 200, .pieces = {"{}"}},
	    {.status = 200, .pieces = {"{\"metadata\":[]}"}}, {.status = 200, .pieces = {"7"}}};
	AUTO(script) script = play(steps, G_N_ELEMENTS(steps));
	g_autoptr(GError) error = NULL;

	(void)state;
	assert_null(kube_get(script->client, &KUBE_PODS, "a", "b", NULL));
	assert_null(kube_create(script->client, &KUBE_PODS, "a", "{}", 2, NULL));
	assert_null(
	    kube_apply(script->client, &KUBE_PODS, "a", "b", "status", "{}", 2, TRUE, &error));
	assert_true(kube_error_is(error, KUBE_ERROR_RETRY));
	assert_string_equal(
	    error->message, "apply pods v1 a/b/status: the answer is not the object");
}

static void sees_a_cut_answer(void **state)
{
	static const struct script_step steps[] = {
	    {.status = 200, .pieces = {"{\"metadata\":{"}, .end = STEP_ABORT}};
	AUTO(script) script = play(steps, G_N_ELEMENTS(steps));

	(void)state;
	expect_failure(script, KUBE_ERROR_RETRY, NULL);
	script_expect_event(script, "get pods 0");
}

static void waits_when_asked(void **state)
{
	static const struct script_step steps[] = {
	    {.status = 429, .header = "Retry-After: 0", .pieces = {STATUS("429", "TooMany")}},
	    {.status = 503, .header = "Retry-After: 0", .pieces = {""}},
	    {.status = 200, .pieces = {POD}}};
	AUTO(script) script = play(steps, G_N_ELEMENTS(steps));
	g_autoptr(GError) error = NULL;
	g_autoptr(yyjson_doc) doc =
	    kube_apply(script->client, &KUBE_PODS, "a", "b", NULL, "{}", 2, TRUE, &error);

	(void)state;
	assert_null(error);
	assert_non_null(doc);
	for (guint i = 0; i < 3; i++)
		script_expect_seen(script, "PATCH " PODS "/b?fieldManager=a%20test&force=true|" JSON
					   "|application/apply-patch+yaml|Bearer t1|{}");
	script_expect_event(script, "apply pods 429");
	script_expect_event(script, "apply pods 503");
	script_expect_event(script, "apply pods 200");
}

static void does_not_wait_past_the_deadline(void **state)
{
	static const struct script_step steps[] = {
	    {.status = 429, .header = "Retry-After: 3600", .pieces = {STATUS("429", "TooMany")}},
	    {.status = 429,
		.header = "Retry-After: Mon, 23 Nov 2026 10:00:00 GMT",
		.pieces = {STATUS("429", "TooMany")}},
	    {.status = 500, .header = "Retry-After: 0", .pieces = {STATUS("500", "x")}}};
	AUTO(script) script = play(steps, G_N_ELEMENTS(steps));

	(void)state;
	for (guint i = 0; i < G_N_ELEMENTS(steps); i++)
		expect_failure(script, KUBE_ERROR_RETRY, "get pods v1 a/b: why");
	assert_int_equal(script->next, G_N_ELEMENTS(steps));
}

static void rotate(void *data)
{
	script_set_token(data, "t2");
}

static void renews_the_token_once(void **state)
{
	static const struct script_step steps[] = {
	    {.status = 401, .pieces = {STATUS("401", "Unauthorized")}, .before = rotate},
	    {.status = 200, .pieces = {POD}},
	    {.status = 401, .pieces = {STATUS("401", "Unauthorized")}}};
	AUTO(script) script = play(steps, G_N_ELEMENTS(steps));
	g_autoptr(yyjson_doc) doc = kube_get(script->client, &KUBE_PODS, "a", "b", NULL);

	(void)state;
	assert_non_null(doc);
	script_expect_seen(script, "GET " PODS "/b|" JSON "|-|Bearer t1|");
	script_expect_seen(script, "GET " PODS "/b|" JSON "|-|Bearer t2|");
	/* The same token again would be refused again. */
	expect_failure(script, KUBE_ERROR_UNAUTHORIZED, "get pods v1 a/b: why");
	assert_int_equal(script->next, G_N_ELEMENTS(steps));
}

static void refuses_huge_answers(void **state)
{
	g_autofree char *piece = g_strnfill(1024 * 1024, ' ');
	struct script_step steps[] = {
	    {.status = 200, .pieces = {piece}, .repeat_last_piece = 64, .end = STEP_HOLD}};
	AUTO(script) script = play(steps, G_N_ELEMENTS(steps));

	(void)state;
	expect_failure(
	    script, KUBE_ERROR_INVALID, "get pods v1 a/b: the answer is larger than 64 MiB");
}

static void gives_up_on_a_silent_server(void **state)
{
	static const struct script_step steps[] = {{.end = STEP_SILENT}};
	struct kube_client_options options = {.request_timeout_ms = 50};
	AUTO(script) script = script_new(steps, G_N_ELEMENTS(steps), &options);

	(void)state;
	expect_failure(script, KUBE_ERROR_RETRY, NULL);
	script_expect_event(script, "get pods 0");
}

static gpointer get_one(gpointer data)
{
	struct script *script = data;
	g_autoptr(GError) error = NULL;
	g_autoptr(yyjson_doc) doc = kube_get(script->client, &KUBE_PODS, "a", "b", &error);

	return g_strdup(doc == NULL ? error->message : "ok");
}

struct counts {
	struct kube_client *client;
	guint open, on_wire, waiting;
};

static void count_calls(void *data)
{
	struct counts *counts = data;

	counts->open = counts->client->calls.length;
	counts->on_wire = counts->client->on_wire;
	counts->waiting = counts->client->waiting.length;
}

static void queues_above_the_cap(void **state)
{
	static const struct script_step steps[] = {
	    {.status = 200, .pieces = {POD}, .end = STEP_HOLD},
	    {.status = 200, .pieces = {POD}, .end = STEP_HOLD}, {.status = 200, .pieces = {POD}}};
	struct kube_client_options options = {.max_in_flight = 2};
	AUTO(script) script = script_new(steps, G_N_ELEMENTS(steps), &options);
	struct counts counts = {.client = script->client};
	GThread *threads[3];

	(void)state;
	for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
		threads[i] = g_thread_new("get", get_one, script);
	do
		script_on_loop(script, count_calls, &counts);
	while (counts.open < G_N_ELEMENTS(threads));
	assert_int_equal(counts.on_wire, 2);
	assert_int_equal(counts.waiting, 1);
	g_free(script_seen(script));
	g_free(script_seen(script));
	script_expect_quiet(script);
	script_release(script);
	g_free(script_seen(script));
	for (guint i = 0; i < G_N_ELEMENTS(threads); i++) {
		g_autofree char *result = g_thread_join(threads[i]);

		assert_string_equal(result, "ok");
	}
}

static void leaves_the_queue_at_the_deadline(void **state)
{
	static const struct script_step steps[] = {
	    {.status = 200, .pieces = {POD}, .end = STEP_HOLD}};
	struct kube_client_options options = {
	    .max_in_flight = 1, .deadline_ms = 200, .request_timeout_ms = 60000};
	AUTO(script) script = script_new(steps, G_N_ELEMENTS(steps), &options);
	GThread *first = g_thread_new("get", get_one, script);
	g_autofree char *result = NULL;
	g_autoptr(GError) error = NULL;

	(void)state;
	g_free(script_seen(script));
	/* Its own deadline is later than the first one's, which then frees the slot. */
	assert_null(kube_get(script->client, &KUBE_PODS, "a", "c", &error));
	assert_true(kube_error_is(error, KUBE_ERROR_RETRY));
	result = g_thread_join(first);
	assert_true(g_str_has_prefix(result, "get pods v1 a/b: "));
}

static void leaves_a_loop_that_stands_still(void **state)
{
	AUTO(loop) loop = loop_new();
	struct kube_config_options where = {.server = "http://127.0.0.1:1"};
	AUTO(kube_config) config = kube_config_parse("", 0, "/", &where, NULL);
	struct kube_client_options options = {.user_agent = "test/1", .deadline_ms = 1};
	struct kube_client *client = kube_client_new(loop, config, &options);
	g_autoptr(GError) error = NULL;

	(void)state;
	assert_null(kube_get(client, &KUBE_PODS, "a", "b", &error));
	assert_string_equal(error->message, "get pods v1 a/b: the loop did not answer in time");
	/* What was posted runs in loop_free(), when the client is gone. */
	kube_client_free(client);
}

static void says_when_nobody_answers(void **state)
{
	AUTO(script) script = play(NULL, 0);
	struct kube_config_options where = {.server = "http://127.0.0.1:1", .token = "SECRET"};
	AUTO(kube_config) config = kube_config_parse("", 0, "/", &where, NULL);
	struct kube_client_options options = {.user_agent = "test/1"};
	struct kube_client *client = kube_client_new(script->loop, config, &options);
	g_autoptr(GError) error = NULL;

	(void)state;
	assert_null(kube_get(client, &KUBE_PODS, "a", "b", &error));
	assert_true(kube_error_is(error, KUBE_ERROR_RETRY));
	assert_true(g_str_has_prefix(error->message, "get pods v1 a/b: "));
	assert_null(strstr(error->message, "SECRET"));
	script_on_loop(script, (void (*)(void *))kube_client_free, client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(gets),
	    cmocka_unit_test(lists_one_page),
	    cmocka_unit_test(writes),
	    cmocka_unit_test(deletes),
	    cmocka_unit_test(gets_raw),
	    cmocka_unit_test(prefixes_errors),
	    cmocka_unit_test(takes_only_an_object_for_one),
	    cmocka_unit_test(sees_a_cut_answer),
	    cmocka_unit_test(waits_when_asked),
	    cmocka_unit_test(does_not_wait_past_the_deadline),
	    cmocka_unit_test(renews_the_token_once),
	    cmocka_unit_test(refuses_huge_answers),
	    cmocka_unit_test(gives_up_on_a_silent_server),
	    cmocka_unit_test(queues_above_the_cap),
	    cmocka_unit_test(leaves_the_queue_at_the_deadline),
	    cmocka_unit_test(leaves_a_loop_that_stands_still),
	    cmocka_unit_test(says_when_nobody_answers),
	};

	return cmocka_run_group_tests_name("kube/requests", tests, NULL, NULL);
}
