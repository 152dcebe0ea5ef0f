#include "support.h"

#include "base/hash.h"
#include "ctl/recorder_priv.h"

#include <string.h>

/* Keeps what was written; fails when told to. */
struct event_server {
	GMutex lock;
	GCond changed;
	GPtrArray *creates; /* of bodies */
	GPtrArray *patches; /* "namespace name body" */
	guint calls;
	gboolean fails;
	enum kube_error code;
	guint failures_left; /* 0 with fails: for ever */
	gboolean hold;       /* calls wait while this is set */
};

static gboolean answer(struct event_server *server, GError **error)
{
	server->calls++;
	g_cond_broadcast(&server->changed);
	while (server->hold)
		g_cond_wait(&server->changed, &server->lock);
	if (!server->fails)
		return TRUE;
	if (server->failures_left > 0 && --server->failures_left == 0)
		server->fails = FALSE;
	g_set_error(error, KUBE_ERROR, (gint)server->code, "no event for you");
	return FALSE;
}

static gboolean server_create(
    void *data, const char *namespace, const char *body, gsize len, GError **error)
{
	struct event_server *server = data;
	g_autoptr(yyjson_doc) doc = json_parse(body, len, NULL);
	gboolean ok;

	assert_non_null(doc);
	assert_string_equal(
	    json_str(yyjson_doc_get_root(doc), "metadata", "namespace", NULL), namespace);
	g_mutex_lock(&server->lock);
	ok = answer(server, error);
	if (ok)
		g_ptr_array_add(server->creates, g_strdup(body));
	g_mutex_unlock(&server->lock);
	return ok;
}

static gboolean server_patch(void *data, const char *namespace, const char *name, const char *body,
    gsize len, GError **error)
{
	struct event_server *server = data;
	gboolean ok;

	assert_int_equal(len, strlen(body));
	g_mutex_lock(&server->lock);
	ok = answer(server, error);
	if (ok)
		g_ptr_array_add(
		    server->patches, g_strdup_printf("%s %s %s", namespace, name, body));
	g_mutex_unlock(&server->lock);
	return ok;
}

static const struct event_ops OPS = {server_create, server_patch};

struct fixture {
	struct fake_clock fake;
	struct event_server server;
	struct correlator correlator;
};

static int setup(void **state)
{
	struct fixture *fixture = g_new0(struct fixture, 1);

	hash_str("draws the seed");
	fake_clock_init(&fixture->fake, 1700000000000000);
	g_mutex_init(&fixture->server.lock);
	g_cond_init(&fixture->server.changed);
	fixture->server.creates = g_ptr_array_new_with_free_func(g_free);
	fixture->server.patches = g_ptr_array_new_with_free_func(g_free);
	correlator_init(&fixture->correlator, &OPS, &fixture->server, "operator", "pod-1");
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	correlator_done(&fixture->correlator);
	g_ptr_array_unref(fixture->server.creates);
	g_ptr_array_unref(fixture->server.patches);
	g_cond_clear(&fixture->server.changed);
	g_mutex_clear(&fixture->server.lock);
	g_free(fixture);
	return 0;
}

static const struct object_ref PHI = {"ollama.ayaka.io/v1", "Model", "default", "phi", "uid-phi"};
static const struct object_ref QWEN = {"ollama.ayaka.io/v1", "Model", "default", "qwen", "uid-q"};
static const struct object_ref NODE = {"v1", "Node", NULL, "node-1", NULL};

/* FALSE: it was held back. */
static gboolean record(struct fixture *fixture, const struct object_ref *about, const char *reason,
    const char *message, GError **error)
{
	AUTO(event_record)
	record = event_record_new(&fixture->fake.clock, about, "Normal", reason, message);
	struct known_event *event = correlator_observe(&fixture->correlator, record);

	return event != NULL && correlator_send(&fixture->correlator, record, event, error);
}

static const char *created(struct fixture *fixture, guint index)
{
	assert_true(index < fixture->server.creates->len);
	return g_ptr_array_index(fixture->server.creates, index);
}

static yyjson_doc *created_doc(struct fixture *fixture, guint index)
{
	const char *body = created(fixture, index);

	return json_parse(body, strlen(body), NULL);
}

static void assert_str(yyjson_val *object, const char *key, const char *want)
{
	const char *got = json_str(object, key, NULL);

	assert_non_null(got);
	assert_string_equal(got, want);
}

static void test_body(void **state)
{
	struct fixture *fixture = *state;
	g_autoptr(yyjson_doc) doc = NULL;
	yyjson_val *root, *about;

	assert_true(record(fixture, &PHI, "Pulled", "All is there.", NULL));
	doc = created_doc(fixture, 0);
	root = yyjson_doc_get_root(doc);
	assert_str(root, "apiVersion", "v1");
	assert_str(root, "kind", "Event");
	assert_str(root, "type", "Normal");
	assert_str(root, "reason", "Pulled");
	assert_str(root, "message", "All is there.");
	assert_str(root, "firstTimestamp", "2023-11-14T22:13:20Z");
	assert_str(root, "lastTimestamp", "2023-11-14T22:13:20Z");
	assert_str(root, "reportingComponent", "operator");
	assert_str(root, "reportingInstance", "pod-1");
	assert_str(json_at(root, "source", NULL), "component", "operator");
	assert_int_equal(json_int(root, 0, "count", NULL), 1);
	about = json_at(root, "involvedObject", NULL);
	assert_str(about, "apiVersion", "ollama.ayaka.io/v1");
	assert_str(about, "kind", "Model");
	assert_str(about, "namespace", "default");
	assert_str(about, "name", "phi");
	assert_str(about, "uid", "uid-phi");
	assert_true(g_regex_match_simple(
	    "^phi\\.[0-9a-f]{16}$", json_str(root, "metadata", "name", NULL), 0, 0));
}

static void test_cluster_scoped(void **state)
{
	struct fixture *fixture = *state;
	g_autoptr(yyjson_doc) doc = NULL;
	yyjson_val *root;

	assert_true(record(fixture, &NODE, "Full", "No room.", NULL));
	doc = created_doc(fixture, 0);
	root = yyjson_doc_get_root(doc);
	assert_str(json_at(root, "metadata", NULL), "namespace", "default");
	assert_null(json_at(root, "involvedObject", "namespace", NULL));
	assert_null(json_at(root, "involvedObject", "uid", NULL));
}

static void test_again_is_counted(void **state)
{
	struct fixture *fixture = *state;
	g_autoptr(yyjson_doc) doc = NULL;
	g_autofree char *want = NULL;

	assert_true(record(fixture, &PHI, "Pulling", "43 %", NULL));
	fake_clock_advance(&fixture->fake, 60000);
	assert_true(record(fixture, &PHI, "Pulling", "43 %", NULL));
	assert_int_equal(fixture->server.creates->len, 1);
	assert_int_equal(fixture->server.patches->len, 1);
	doc = created_doc(fixture, 0);
	want =
	    g_strdup_printf("default %s {\"count\":2,\"lastTimestamp\":\"2023-11-14T22:14:20Z\"}",
		json_str(yyjson_doc_get_root(doc), "metadata", "name", NULL));
	assert_string_equal(g_ptr_array_index(fixture->server.patches, 0), want);
}

static void test_others_are_not(void **state)
{
	struct fixture *fixture = *state;
	struct object_ref reborn = PHI;

	reborn.uid = "uid-of-the-next-phi";
	assert_true(record(fixture, &PHI, "Pulling", "43 %", NULL));
	assert_true(record(fixture, &PHI, "Pulling", "44 %", NULL));
	assert_true(record(fixture, &PHI, "Loading", "43 %", NULL));
	assert_true(record(fixture, &QWEN, "Pulling", "43 %", NULL));
	assert_true(record(fixture, &reborn, "Pulling", "43 %", NULL));
	assert_int_equal(fixture->server.creates->len, 5);
	assert_int_equal(fixture->server.patches->len, 0);
	for (guint i = 0; i < 5; i++) /* all at the same microsecond */
		for (guint j = 0; j < i; j++)
			assert_string_not_equal(created(fixture, i), created(fixture, j));
}

/* The API server forgets Events; the count doesn't start anew. */
static void test_expired(void **state)
{
	struct fixture *fixture = *state;
	g_autoptr(yyjson_doc) doc = NULL;
	yyjson_val *root;

	assert_true(record(fixture, &PHI, "Pulled", "x", NULL));
	fixture->server.fails = TRUE;
	fixture->server.failures_left = 1;
	fixture->server.code = KUBE_ERROR_NOT_FOUND;
	fake_clock_advance(&fixture->fake, 7200000);
	assert_true(record(fixture, &PHI, "Pulled", "x", NULL));
	assert_int_equal(fixture->server.creates->len, 2);
	doc = created_doc(fixture, 1);
	root = yyjson_doc_get_root(doc);
	assert_int_equal(json_int(root, 0, "count", NULL), 2);
	assert_str(root, "firstTimestamp", "2023-11-14T22:13:20Z");
	assert_str(root, "lastTimestamp", "2023-11-15T00:13:20Z");
	assert_true(record(fixture, &PHI, "Pulled", "x", NULL));
	assert_int_equal(fixture->server.patches->len, 1);
}

static void test_name_taken(void **state)
{
	struct fixture *fixture = *state;

	fixture->server.fails = TRUE;
	fixture->server.failures_left = 1;
	fixture->server.code = KUBE_ERROR_EXISTS;
	assert_true(record(fixture, &PHI, "Pulled", "x", NULL));
	assert_int_equal(fixture->server.calls, 2);
	assert_int_equal(fixture->server.creates->len, 1);
}

static void test_refused(void **state)
{
	struct fixture *fixture = *state;
	g_autoptr(GError) error = NULL;

	fixture->server.fails = TRUE;
	fixture->server.code = KUBE_ERROR_DENIED;
	assert_false(record(fixture, &PHI, "Pulled", "x", &error));
	assert_true(kube_error_is(error, KUBE_ERROR_DENIED));
	fixture->server.fails = FALSE;
	assert_true(record(fixture, &PHI, "Pulled", "x", NULL));
	assert_int_equal(fixture->server.creates->len, 1); /* it is still to be made */
}

static void test_spam(void **state)
{
	struct fixture *fixture = *state;
	guint written = 0;

	for (int i = 0; i < 100; i++) {
		g_autofree char *message = g_strdup_printf("attempt %d", i);

		written += (guint)record(fixture, &PHI, "Failed", message, NULL);
	}
	assert_int_equal(written, 25);
	assert_true(record(fixture, &QWEN, "Failed", "x", NULL)); /* has its own burst */
	fake_clock_advance(&fixture->fake, 299999);
	assert_false(record(fixture, &PHI, "Failed", "x", NULL));
	fake_clock_advance(&fixture->fake, 1);
	assert_true(record(fixture, &PHI, "Failed", "x", NULL));
	assert_false(record(fixture, &PHI, "Failed", "x", NULL));
	/* However long it is calm: a burst is 25. */
	fake_clock_advance(&fixture->fake, (gint64)1000 * 300000);
	written = 0;
	for (int i = 0; i < 100; i++)
		written += (guint)record(fixture, &PHI, "Failed", "x", NULL);
	assert_int_equal(written, 25);
}

static void test_held_back_is_counted(void **state)
{
	struct fixture *fixture = *state;

	for (int i = 0; i < 30; i++)
		record(fixture, &PHI, "Failed", "x", NULL);
	fake_clock_advance(&fixture->fake, 300000);
	assert_true(record(fixture, &PHI, "Failed", "x", NULL));
	assert_non_null(
	    strstr(g_ptr_array_index(fixture->server.patches, fixture->server.patches->len - 1),
		"\"count\":31,"));
}

static void test_memory_is_bounded(void **state)
{
	struct fixture *fixture = *state;

	for (int i = 0; i < 6000; i++) {
		g_autofree char *name = g_strdup_printf("m%d", i);
		struct object_ref about = {"v1", "Pod", "ns", name, name};

		assert_true(record(fixture, &about, "Failed", "x", NULL));
	}
	assert_int_equal(lru_size(fixture->correlator.events), 4096);
	assert_int_equal(lru_size(fixture->correlator.buckets), 4096);
}

static void test_long_texts(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *name = g_strnfill(253, 'n');
	g_autoptr(GString) message = g_string_new("x"); /* puts the cut inside a character */
	struct object_ref about = {"v1", "Pod", "ns", name, "u"};
	g_autoptr(yyjson_doc) doc = NULL;
	const char *event_name, *text;

	for (int i = 0; i < 1000; i++)
		g_string_append(message, "\u00e4");
	name[235] = '.'; /* where it is cut */
	assert_true(record(fixture, &about, "Failed", message->str, NULL));
	doc = created_doc(fixture, 0);
	event_name = json_str(yyjson_doc_get_root(doc), "metadata", "name", NULL);
	assert_in_range(strlen(event_name), 200, 253);
	assert_null(strstr(event_name, ".."));
	text = json_str(yyjson_doc_get_root(doc), "message", NULL);
	assert_int_equal(strlen(text), 1023);
	assert_true(g_str_has_prefix(message->str, text));
}

static void test_bad_utf8(void **state)
{
	struct fixture *fixture = *state;

	assert_true(record(fixture, &PHI, "Failed", "caf\xe9 \xff", NULL));
	assert_true(g_utf8_validate(created(fixture, 0), -1, NULL));
}

/* ---- The thread ---- */

static void wait_for_calls(struct event_server *server, guint calls)
{
	g_mutex_lock(&server->lock);
	while (server->calls < calls)
		g_cond_wait(&server->changed, &server->lock);
	g_mutex_unlock(&server->lock);
}

static void set_hold(struct event_server *server, gboolean hold)
{
	g_mutex_lock(&server->lock);
	server->hold = hold;
	g_cond_broadcast(&server->changed);
	g_mutex_unlock(&server->lock);
}

static void test_thread(void **state)
{
	struct fixture *fixture = *state;
	struct recorder *recorder =
	    recorder_new_on(&OPS, &fixture->server, &fixture->fake.clock, "operator", "p", 1);

	recorder_event(recorder, &PHI, "Warning", "Failed", "%d of %d", 1, 2);
	wait_for_calls(&fixture->server, 1);
	recorder_event(recorder, &PHI, "Normal", "Pulled", "done");
	recorder_event(recorder, &PHI, "Normal", "Pulled", "done");
	recorder_free(recorder); /* writes what waits */
	assert_int_equal(fixture->server.creates->len, 2);
	assert_int_equal(fixture->server.patches->len, 1);
	assert_non_null(strstr(created(fixture, 0), "1 of 2"));
}

static void test_thread_tries_again(void **state)
{
	struct fixture *fixture = *state;
	struct recorder_stats stats;
	struct recorder *recorder =
	    recorder_new_on(&OPS, &fixture->server, &fixture->fake.clock, "operator", "p", 1);

	fixture->server.fails = TRUE;
	fixture->server.failures_left = 5;
	fixture->server.code = KUBE_ERROR_RETRY;
	recorder_event(recorder, &PHI, "Normal", "Pulled", "done");
	wait_for_calls(&fixture->server, 6);
	assert_int_equal(fixture->server.failures_left, 0);
	g_mutex_lock(&fixture->server.lock);
	fixture->server.fails = TRUE;
	fixture->server.failures_left = 0;
	g_mutex_unlock(&fixture->server.lock);
	recorder_event(recorder, &PHI, "Normal", "Pulled", "more");
	wait_for_calls(&fixture->server, 6 + 12); /* then it is given up */
	recorder_event(recorder, &PHI, "Normal", "Pulled", "even more");
	wait_for_calls(&fixture->server, 6 + 12 + 1);
	recorder_get_stats(recorder, &stats);
	assert_int_equal(stats.written, 1);
	assert_int_equal(stats.failed, 1);
	recorder_free(recorder); /* doesn't wait for eleven more tries */
	assert_int_equal(fixture->server.creates->len, 1);
}

/* Nobody waits for a server that can't be had. */
static void test_thread_stops_waiting(void **state)
{
	struct fixture *fixture = *state;
	struct recorder *recorder =
	    recorder_new_on(&OPS, &fixture->server, &fixture->fake.clock, "operator", "p", 3600000);

	fixture->server.fails = TRUE;
	fixture->server.code = KUBE_ERROR_RETRY;
	recorder_event(recorder, &PHI, "Normal", "Pulled", "done");
	wait_for_calls(&fixture->server, 1);
	wait_until_asleep("recorder");
	recorder_free(recorder);
	assert_int_equal(fixture->server.calls, 1);
}

static void test_thread_is_bounded(void **state)
{
	struct fixture *fixture = *state;
	struct recorder_stats stats;
	struct recorder *recorder =
	    recorder_new_on(&OPS, &fixture->server, &fixture->fake.clock, "operator", "p", 1);

	set_hold(&fixture->server, TRUE);
	recorder_event(recorder, &PHI, "Normal", "Pulled", "first");
	wait_for_calls(&fixture->server, 1); /* the thread is busy with it */
	for (int i = 0; i < 1500; i++)
		recorder_event(recorder, &PHI, "Normal", "Pulled", "%d", i);
	recorder_get_stats(recorder, &stats);
	assert_int_equal(stats.dropped, 500);
	set_hold(&fixture->server, FALSE);
	recorder_free(recorder);
	assert_int_equal(fixture->server.creates->len, 25);
}

/* ---- The lru ---- */

static void test_lru(void **state)
{
	AUTO(lru) lru = lru_new(2, g_free);

	(void)state;
	lru_put(lru, "a", g_strdup("1"));
	lru_put(lru, "b", g_strdup("2"));
	assert_string_equal(lru_get(lru, "a"), "1");
	lru_put(lru, "c", g_strdup("3")); /* b was used longest ago */
	assert_null(lru_get(lru, "b"));
	assert_string_equal(lru_get(lru, "a"), "1");
	assert_string_equal(lru_get(lru, "c"), "3");
	assert_int_equal(lru_size(lru), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_body),
	    TEST(test_cluster_scoped),
	    TEST(test_again_is_counted),
	    TEST(test_others_are_not),
	    TEST(test_expired),
	    TEST(test_name_taken),
	    TEST(test_refused),
	    TEST(test_spam),
	    TEST(test_held_back_is_counted),
	    TEST(test_memory_is_bounded),
	    TEST(test_long_texts),
	    TEST(test_bad_utf8),
	    TEST(test_thread),
	    TEST(test_thread_tries_again),
	    TEST(test_thread_stops_waiting),
	    TEST(test_thread_is_bounded),
	    cmocka_unit_test(test_lru),
	};

	return cmocka_run_group_tests_name("recorder", tests, NULL, NULL);
}
