/* Lists and watches against a scripted server. */
#include "script_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define HEADERS "|application/json|-|Bearer t1|"
#define NAMED(name) "{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" name "\"}}"
#define PAGE(next, items)                                                                        \
	"{\"metadata\":{\"resourceVersion\":\"77\",\"continue\":\"" next "\"},\"items\":[" items \
	"]}"
#define STATUS(code, message) "{\"kind\":\"Status\",\"code\":" code ",\"message\":\"" message "\"}"
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"

/* A list or watch in a script; its callbacks say what they got. */
struct stream {
	struct script *script;
	struct kube_list_call *list;
	struct kube_watch *watch;
	const char *stop_at; /* end it inside the callback that gets this name */
};

static const char *name_of(yyjson_val *object)
{
	const char *name = json_str(object, "metadata", "name", NULL);

	return name == NULL ? "-" : name;
}

static void on_item(void *data, yyjson_val *object)
{
	struct stream *stream = data;

	script_say(stream->script, "item %s", name_of(object));
	if (g_strcmp0(stream->stop_at, name_of(object)) == 0)
		kube_list_cancel(stream->list);
}

static const char *code_name(const GError *error)
{
	static const char *const names[] = {"NOT_FOUND", "EXISTS", "CONFLICT", "GONE", "INVALID",
	    "DENIED", "UNAUTHORIZED", "RETRY", "CANCELLED", "CONFIG"};

	return names[error->code];
}

static void on_list_done(void *data, const char *resource_version, const GError *error)
{
	struct stream *stream = data;

	if (error != NULL)
		script_say(stream->script, "done %s %s", code_name(error), error->message);
	else
		script_say(stream->script, "done at %s", resource_version);
}

static void start_list(void *data)
{
	static const struct kube_list_ops ops = {on_item, on_list_done};
	struct stream *stream = data;

	stream->list =
	    kube_list_start(stream->script->client, &KUBE_PODS, NULL, "app=phi", "0", &ops, stream);
}

static void cancel_list(void *data)
{
	struct stream *stream = data;

	kube_list_cancel(stream->list);
}

#define FIRST "GET /prefix/api/v1/pods?limit=500&labelSelector=app%3Dphi&resourceVersion=0" HEADERS
#define SECOND "GET /prefix/api/v1/pods?limit=500&labelSelector=app%3Dphi&continue=a%2Fb" HEADERS

static void lists_in_pages(void **state)
{
	static const struct script_step steps[] = {
	    {.status = 200, .pieces = {PAGE("a/b", NAMED("1") "," NAMED("2"))}},
	    {.status = 200, .pieces = {PAGE("", NAMED("3"))}}};
	AUTO(script) script = script_new(steps, G_N_ELEMENTS(steps), NULL);
	struct stream stream = {.script = script};

	(void)state;
	script_on_loop(script, start_list, &stream);
	script_expect_seen(script, FIRST);
	script_expect_seen(script, SECOND);
	script_expect_event(script, "list pods 200");
	script_expect_event(script, "item 1");
	script_expect_event(script, "item 2");
	script_expect_event(script, "list pods 200");
	script_expect_event(script, "item 3");
	script_expect_event(script, "done at 77");
	script_expect_quiet(script);
}

static void lists_nothing(void **state)
{
	static const char body[] = "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":null}";
	static const struct script_step steps[] = {{.status = 200, .pieces = {body}}};
	AUTO(script) script = script_new(steps, G_N_ELEMENTS(steps), NULL);
	struct stream stream = {.script = script};

	(void)state;
	script_on_loop(script, start_list, &stream);
	script_expect_event(script, "list pods 200");
	script_expect_event(script, "done at 5");
}

static void a_list_can_expire(void **state)
{
	static const struct script_step steps[] = {
	    {.status = 200, .pieces = {PAGE("a/b", NAMED("1"))}},
	    {.status = 410, .pieces = {STATUS("410", "continue parameter is too old")}}};
	AUTO(script) script = script_new(steps, G_N_ELEMENTS(steps), NULL);
	struct stream stream = {.script = script};

	(void)state;
	script_on_loop(script, start_list, &stream);
	script_expect_seen(script, FIRST);
	script_expect_seen(script, SECOND);
	script_expect_event(script, "list pods 200");
	script_expect_event(script, "item 1");
	script_expect_event(script, "list pods 410");
	script_expect_event(script, "done GONE list pods v1: continue parameter is too old");
	script_expect_quiet(script);
}

static void a_list_can_be_nonsense(void **state)
{
	static const char *const bodies[] = {
	    "<html>", "{\"items\":[]}", "[]", "{\"metadata\":{},\"items\":5}"};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(bodies); i++) {
		struct script_step steps[] = {{.status = 200, .pieces = {bodies[i]}}};
		AUTO(script) script = script_new(steps, G_N_ELEMENTS(steps), NULL);
		struct stream stream = {.script = script};

		script_on_loop(script, start_list, &stream);
		script_expect_event(script, "list pods 200");
		script_expect_event(script, "done RETRY list pods v1: the answer is no list");
	}
}

static void cancels_a_list(void **state)
{
	static const struct script_step steps[] = {
	    {.status = 200, .pieces = {PAGE("a/b", NAMED("1") "," NAMED("2"))}},
	    {.end = STEP_SILENT}};
	AUTO(script) script = script_new(steps, G_N_ELEMENTS(steps), NULL);
	struct stream inside = {.script = script, .stop_at = "1"};
	struct stream outside = {.script = script};

	(void)state;
	script_on_loop(script, start_list, &inside);
	script_expect_seen(script, FIRST);
	script_expect_event(script, "list pods 200");
	script_expect_event(script, "item 1");
	script_expect_quiet(script);
	script_on_loop(script, start_list, &outside);
	script_expect_seen(script, FIRST);
	script_on_loop(script, cancel_list, &outside);
	script_expect_quiet(script);
}

/* ---- Watches ---- */

static void on_established(void *data)
{
	struct stream *stream = data;

	script_say(stream->script, "established");
	if (g_strcmp0(stream->stop_at, "established") == 0)
		kube_watch_stop(stream->watch);
}

static void on_event(void *data, enum kube_event_type type, yyjson_val *object)
{
	static const char *const names[] = {"added", "modified", "deleted", "bookmark"};
	struct stream *stream = data;

	script_say(stream->script, "%s %s", names[type],
	    json_str(object, "metadata", "resourceVersion", NULL));
	if (g_strcmp0(stream->stop_at, name_of(object)) == 0)
		kube_watch_stop(stream->watch);
}

static void on_watch_done(void *data, const GError *error)
{
	struct stream *stream = data;

	if (error != NULL)
		script_say(stream->script, "done %s %s", code_name(error), error->message);
	else
		script_say(stream->script, "done");
}

static void start_watch(void *data)
{
	static const struct kube_watch_ops ops = {on_established, on_event, on_watch_done};
	struct stream *stream = data;

	stream->watch = kube_watch_start(
	    stream->script->client, &KUBE_PODS, "a", "app=phi", "41", 300, &ops, stream);
}

static void stop_watch(void *data)
{
	struct stream *stream = data;

	kube_watch_stop(stream->watch);
}

#define WATCH                                                                      \
	"GET /prefix/api/v1/namespaces/a/pods?watch=true&allowWatchBookmarks=true" \
	"&timeoutSeconds=300&resourceVersion=41&labelSelector=app%3Dphi"

/* Plays one step and expects the events, the last of which is done. */
static void expect_watch(const struct script_step *step, const char *const *events)
{
	AUTO(script) script = script_new(step, 1, NULL);
	struct stream stream = {.script = script};

	script_on_loop(script, start_watch, &stream);
	script_expect_seen(script, WATCH HEADERS);
	for (; *events != NULL; events++)
		script_expect_event(script, *events);
	script_expect_quiet(script);
}

static void watches(void **state)
{
	/* Events are split between and within chunks. */
	static const struct script_step step = {.status = 200,
	    .pieces = {EVENT("ADDED", NAMED("42")) "{\"type\":\"MODI",
		"FIED\",\"object\":", NAMED("43") "}", "\n" EVENT("BOOKMARK", NAMED("44")),
		EVENT("DELETED", NAMED("45"))}};

	(void)state;
	expect_watch(&step, (const char *const[]){"established", "added 42", "modified 43",
				"bookmark 44", "deleted 45", "done", NULL});
}

static void a_watch_can_fail_in_the_middle(void **state)
{
	static const struct script_step gone = {.status = 200,
	    .pieces = {EVENT("ADDED", NAMED("42")) EVENT("ERROR", STATUS("410", "too old"))
		    EVENT("ADDED", NAMED("43"))},
	    .end = STEP_HOLD};
	static const struct script_step half = {
	    .status = 200, .pieces = {EVENT("ADDED", NAMED("42")), "{\"type\":"}};
	static const struct script_step odd = {
	    .status = 200, .pieces = {EVENT("WHAT", NAMED("42"))}, .end = STEP_HOLD};

	(void)state;
	expect_watch(&gone, (const char *const[]){"established", "added 42",
				"done GONE watch pods v1 a: too old", NULL});
	expect_watch(&half, (const char *const[]){"established", "added 42",
				"done RETRY watch pods v1 a: the stream ended in the middle of an "
				"event",
				NULL});
	expect_watch(&odd, (const char *const[]){"established",
			       "done RETRY watch pods v1 a: a watch event has no known type or no "
			       "object",
			       NULL});
}

static void a_watch_can_be_refused(void **state)
{
	static const struct script_step expired = {
	    .status = 410, .pieces = {STATUS("410", "too old")}};
	static const struct script_step denied = {.status = 403, .pieces = {STATUS("403", "no")}};
	static const struct script_step busy = {
	    .status = 429, .header = "Retry-After: 1", .pieces = {"later"}};

	(void)state;
	expect_watch(&expired, (const char *const[]){"done GONE watch pods v1 a: too old", NULL});
	expect_watch(&denied, (const char *const[]){"done DENIED watch pods v1 a: no", NULL});
	expect_watch(
	    &busy, (const char *const[]){"done RETRY watch pods v1 a: HTTP 429: later", NULL});
}

static void a_watch_can_be_cut(void **state)
{
	static const struct script_step step = {
	    .status = 200, .pieces = {EVENT("ADDED", NAMED("42"))}, .end = STEP_ABORT};
	AUTO(script) script = script_new(&step, 1, NULL);
	struct stream stream = {.script = script};
	g_autofree char *last = NULL;

	(void)state;
	script_on_loop(script, start_watch, &stream);
	/* How much of the answer arrives before the cut is up to the kernel. */
	do {
		g_free(last);
		last = script_event(script);
	} while (!g_str_has_prefix(last, "done"));
	assert_true(g_str_has_prefix(last, "done RETRY watch pods v1 a: "));
}

static void a_watch_event_has_a_limit(void **state)
{
	g_autofree char *piece = g_strnfill(1024 * 1024, ' ');
	struct script_step step = {
	    .status = 200, .pieces = {piece}, .repeat_last_piece = 4, .end = STEP_HOLD};

	(void)state;
	expect_watch(
	    &step, (const char *const[]){"established",
		       "done RETRY watch pods v1 a: a watch event is larger than 4 MiB", NULL});
}

static void rotate(void *data)
{
	script_set_token(data, "t2");
}

static void a_watch_renews_the_token_once(void **state)
{
	static const struct script_step steps[] = {
	    {.status = 401, .pieces = {STATUS("401", "Unauthorized")}, .before = rotate},
	    {.status = 401, .pieces = {STATUS("401", "still not")}, .before = NULL}};
	AUTO(script) script = script_new(steps, G_N_ELEMENTS(steps), NULL);
	struct stream stream = {.script = script};

	(void)state;
	script_on_loop(script, start_watch, &stream);
	script_expect_seen(script, WATCH HEADERS);
	script_expect_seen(script, WATCH "|application/json|-|Bearer t2|");
	script_expect_event(script, "done UNAUTHORIZED watch pods v1 a: still not");
	script_expect_quiet(script);
}

static void stops_a_watch_from_inside(void **state)
{
	static const struct script_step step = {.status = 200,
	    .pieces = {EVENT("ADDED", NAMED("42")) EVENT("ADDED", NAMED("43"))},
	    .end = STEP_HOLD};
	AUTO(script) first = script_new(&step, 1, NULL);
	AUTO(script) second = script_new(&step, 1, NULL);
	struct stream early = {.script = first, .stop_at = "established"};
	struct stream later = {.script = second, .stop_at = "42"};

	(void)state;
	script_on_loop(first, start_watch, &early);
	script_expect_event(first, "established");
	script_on_loop(second, start_watch, &later);
	script_expect_event(second, "established");
	script_expect_event(second, "added 42");
	script_wait_for_aborts(first, 1);
	script_wait_for_aborts(second, 1);
	g_free(script_seen(first));
	g_free(script_seen(second));
	script_expect_quiet(first);
	script_expect_quiet(second);
}

static void stops_a_watch_from_outside(void **state)
{
	static const struct script_step steps[] = {
	    {.status = 200, .pieces = {EVENT("ADDED", NAMED("42"))}, .end = STEP_HOLD},
	    {.end = STEP_SILENT}};
	AUTO(script) script = script_new(steps, G_N_ELEMENTS(steps), NULL);
	struct stream open = {.script = script};
	struct stream silent = {.script = script};

	(void)state;
	script_on_loop(script, start_watch, &open);
	script_expect_event(script, "established");
	script_expect_event(script, "added 42");
	script_on_loop(script, start_watch, &silent);
	g_free(script_seen(script));
	g_free(script_seen(script));
	script_on_loop(script, stop_watch, &open);
	script_on_loop(script, stop_watch, &silent);
	script_wait_for_aborts(script, 2);
	script_expect_quiet(script);
}

/* Watches do not count: they would fill the cap for ever. */
static void watches_leave_the_cap_alone(void **state)
{
	static const struct script_step steps[] = {
	    {.status = 200, .pieces = {"\n"}, .end = STEP_HOLD},
	    {.status = 200, .pieces = {PAGE("", NAMED("1"))}}};
	struct kube_client_options options = {.max_in_flight = 1};
	AUTO(script) script = script_new(steps, G_N_ELEMENTS(steps), &options);
	struct stream watch = {.script = script};
	struct stream list = {.script = script};

	(void)state;
	script_on_loop(script, start_watch, &watch);
	script_expect_seen(script, WATCH HEADERS);
	script_on_loop(script, start_list, &list);
	script_expect_seen(script, FIRST);
	script_on_loop(script, stop_watch, &watch);
}

static void closing_the_client_ends_all(void **state)
{
	static const struct script_step steps[] = {
	    {.status = 200, .pieces = {"\n"}, .end = STEP_HOLD},
	    {.status = 200, .pieces = {"{"}, .end = STEP_HOLD}};
	struct kube_client_options options = {.max_in_flight = 1};
	AUTO(script) script = script_new(steps, G_N_ELEMENTS(steps), &options);
	struct stream watch = {.script = script};
	struct stream list = {.script = script};
	struct stream queued = {.script = script};

	(void)state;
	script_on_loop(script, start_watch, &watch);
	script_expect_seen(script, WATCH HEADERS);
	script_expect_event(script, "established");
	script_on_loop(script, start_list, &list);
	script_on_loop(script, start_list, &queued);
	script_expect_seen(script, FIRST);
	script_on_loop(
	    script, (void (*)(void *))kube_client_free, g_steal_pointer(&script->client));
	script_expect_event(script, "done CANCELLED list pods v1: the client was closed");
	script_expect_event(script, "done CANCELLED list pods v1: the client was closed");
	script_expect_event(script, "done CANCELLED watch pods v1 a: the client was closed");
	script_expect_quiet(script);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lists_in_pages),
	    cmocka_unit_test(lists_nothing),
	    cmocka_unit_test(a_list_can_expire),
	    cmocka_unit_test(a_list_can_be_nonsense),
	    cmocka_unit_test(cancels_a_list),
	    cmocka_unit_test(watches),
	    cmocka_unit_test(a_watch_can_fail_in_the_middle),
	    cmocka_unit_test(a_watch_can_be_refused),
	    cmocka_unit_test(a_watch_can_be_cut),
	    cmocka_unit_test(a_watch_event_has_a_limit),
	    cmocka_unit_test(a_watch_renews_the_token_once),
	    cmocka_unit_test(stops_a_watch_from_inside),
	    cmocka_unit_test(stops_a_watch_from_outside),
	    cmocka_unit_test(watches_leave_the_cap_alone),
	    cmocka_unit_test(closing_the_client_ends_all),
	};

	return cmocka_run_group_tests_name("kube/streams", tests, NULL, NULL);
}
