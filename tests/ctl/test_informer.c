#include "support.h"

#include "ctl/informer.h"

struct fixture {
	struct fake_clock fake;
	struct fake_api api;
	struct informer *informer;
	GString *heard; /* "+a:1 ~a:1>2 -a:2 " */
	gboolean stop_in_handler;
};

static void on_upserted(void *data, struct kube_object *old_object, struct kube_object *new_object)
{
	struct fixture *fixture = data;

	if (old_object == NULL)
		g_string_append_printf(
		    fixture->heard, "+%s:%s ", new_object->name, new_object->resource_version);
	else
		g_string_append_printf(fixture->heard, "~%s:%s>%s ", new_object->name,
		    old_object->resource_version, new_object->resource_version);
	if (fixture->stop_in_handler)
		informer_stop(fixture->informer);
}

static void on_deleted(void *data, struct kube_object *object)
{
	struct fixture *fixture = data;

	g_string_append_printf(fixture->heard, "-%s:%s ", object->name, object->resource_version);
}

static const struct informer_handler HANDLER = {on_upserted, on_deleted};

static int setup(void **state)
{
	struct fixture *fixture = g_new0(struct fixture, 1);
	struct informer_options options = {.resource = &KUBE_PODS, .index = index_label};

	fake_clock_init(&fixture->fake, 0);
	fake_clock_advance(&fixture->fake, 1000000);
	fixture->heard = g_string_new(NULL);
	fixture->informer =
	    informer_new_on(fake_api_lister_watcher(&fixture->api), &fixture->fake.clock, &options);
	informer_add_handler(fixture->informer, &HANDLER, fixture);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	informer_free(fixture->informer);
	fake_api_done(&fixture->api);
	g_string_free(fixture->heard, TRUE);
	g_free(fixture);
	return 0;
}

static void assert_heard(struct fixture *fixture, const char *want)
{
	assert_string_equal(fixture->heard->str, want);
	g_string_truncate(fixture->heard, 0);
}

static void assert_cached(struct fixture *fixture, const char *key, const char *version)
{
	AUTO(kube_object) object = cache_get(informer_cache(fixture->informer), key);

	assert_int_equal(object != NULL, version != NULL);
	if (object != NULL)
		assert_string_equal(object->resource_version, version);
}

static void assert_error(struct fixture *fixture, const char *want)
{
	g_autofree char *error = informer_last_error(fixture->informer);

	if (want == NULL) {
		assert_null(error);
		return;
	}
	assert_non_null(error);
	assert_string_equal(error, want);
}

/* Up to an established watch from version 10, with a:1 and b:2. */
static void synced(struct fixture *fixture)
{
	informer_start(fixture->informer);
	fake_list_item(&fixture->api, "a", "1");
	fake_list_item(&fixture->api, "b", "2");
	fake_list_end(&fixture->api, "10", 0);
	fixture->api.watch->established(fixture->api.data);
	assert_heard(fixture, "+a:1 +b:2 ");
}

static void test_list_then_watch(void **state)
{
	struct fixture *fixture = *state;

	informer_start(fixture->informer);
	informer_start(fixture->informer); /* once is enough */
	assert_string_equal(fixture->api.list_version, "");
	fake_list_item(&fixture->api, "a", "1");
	assert_heard(fixture, "");
	assert_false(informer_has_synced(fixture->informer));
	fake_list_end(&fixture->api, "10", 0);
	assert_true(informer_has_synced(fixture->informer));
	assert_heard(fixture, "+a:1 ");
	assert_cached(fixture, "ns/a", "1");
	assert_string_equal(fixture->api.watch_version, "10");
	assert_in_range(fixture->api.timeout_s, 300, 600);
}

static void test_events(void **state)
{
	struct fixture *fixture = *state;

	synced(fixture);
	fake_watch_event(&fixture->api, KUBE_EVENT_ADDED, "c", "11");
	fake_watch_event(&fixture->api, KUBE_EVENT_MODIFIED, "a", "12");
	fake_watch_event(&fixture->api, KUBE_EVENT_MODIFIED, "a", "12"); /* nothing new */
	fake_watch_event(&fixture->api, KUBE_EVENT_DELETED, "b", "13");
	fake_watch_event(&fixture->api, KUBE_EVENT_DELETED, "never-seen", "14");
	fake_watch_json(&fixture->api, KUBE_EVENT_ADDED, "{\"kind\":\"nameless\"}");
	assert_heard(fixture, "+c:11 ~a:1>12 -b:13 ");
	assert_cached(fixture, "ns/a", "12");
	assert_cached(fixture, "ns/b", NULL);
	assert_cached(fixture, "ns/c", "11");
	assert_int_equal(informer_take_left_out(fixture->informer), 1);
	assert_int_equal(informer_take_left_out(fixture->informer), 0);
}

/* A server that tells old events again must not bring the past back. */
static void test_replayed(void **state)
{
	struct fixture *fixture = *state;

	synced(fixture);
	fake_watch_event(&fixture->api, KUBE_EVENT_ADDED, "c", "11");
	fake_watch_event(&fixture->api, KUBE_EVENT_MODIFIED, "a", "12");
	fake_watch_event(&fixture->api, KUBE_EVENT_DELETED, "c", "13");
	assert_heard(fixture, "+c:11 ~a:1>12 -c:13 ");
	fake_watch_event(&fixture->api, KUBE_EVENT_ADDED, "c", "11");
	fake_watch_event(&fixture->api, KUBE_EVENT_MODIFIED, "a", "9");
	fake_watch_event(&fixture->api, KUBE_EVENT_DELETED, "a", "12");
	assert_heard(fixture, "");
	assert_cached(fixture, "ns/a", "12");
	assert_cached(fixture, "ns/c", NULL);
	/* Nor do we ask for it. */
	fake_clock_advance(&fixture->fake, 300000);
	fake_watch_end_in_order(&fixture->api);
	assert_string_equal(fixture->api.watch_version, "13");
	/* Versions need not be numbers. */
	fake_watch_event(&fixture->api, KUBE_EVENT_MODIFIED, "a", "b1");
	fake_watch_event(&fixture->api, KUBE_EVENT_MODIFIED, "a", "a2");
	assert_heard(fixture, "~a:12>b1 ~a:b1>a2 ");
}

/* A watch that ends in order goes on at once from the last event or bookmark. */
static void test_resume(void **state)
{
	struct fixture *fixture = *state;

	synced(fixture);
	fake_watch_event(&fixture->api, KUBE_EVENT_MODIFIED, "a", "12");
	fake_clock_advance(&fixture->fake, 300000);
	fake_watch_end_in_order(&fixture->api);
	assert_string_equal(fixture->api.watch_version, "12");
	fake_watch_json(&fixture->api, KUBE_EVENT_BOOKMARK,
	    "{\"kind\":\"Pod\",\"metadata\":{\"resourceVersion\":\"99\"}}");
	fake_clock_advance(&fixture->fake, 1000);
	fake_watch_end_in_order(&fixture->api);
	assert_string_equal(fixture->api.watch_version, "99");
	assert_int_equal(fixture->api.lists, 1);
	assert_int_equal(fixture->api.waits, 0);
	assert_heard(fixture, "~a:1>12 ");
}

static void test_short_watch_backs_off(void **state)
{
	struct fixture *fixture = *state;

	synced(fixture);
	fake_clock_advance(&fixture->fake, 999);
	fake_watch_end_in_order(&fixture->api);
	assert_null(fixture->api.watch);
	assert_in_range(fixture->api.wait_ms, 800, 1600);
	fake_wait_over(&fixture->api);
	assert_string_equal(fixture->api.watch_version, "10");
	assert_int_equal(fixture->api.lists, 1);
}

/* What happened while nobody watched is found by comparing. */
static void test_gone_relists(void **state)
{
	struct fixture *fixture = *state;
	AUTO(kube_object) before = NULL;
	AUTO(kube_object) after = NULL;

	synced(fixture);
	fake_watch_event(&fixture->api, KUBE_EVENT_ADDED, "c", "11");
	before = cache_get(informer_cache(fixture->informer), "ns/c");
	assert_heard(fixture, "+c:11 ");
	fake_watch_fail(&fixture->api, KUBE_ERROR_GONE);
	assert_error(fixture, NULL); /* an expired version is no trouble */
	fake_wait_over(&fixture->api);
	assert_string_equal(fixture->api.list_version, "");
	fake_list_item(&fixture->api, "a", "21");
	fake_list_item(&fixture->api, "c", "11");
	fake_list_item(&fixture->api, "d", "20");
	assert_heard(fixture, "");
	fake_list_end(&fixture->api, "30", 0);
	assert_heard(fixture, "~a:1>21 +d:20 -b:2 ");
	assert_cached(fixture, "ns/b", NULL);
	assert_string_equal(fixture->api.watch_version, "30");
	after = cache_get(informer_cache(fixture->informer), "ns/c");
	assert_ptr_equal(before, after); /* the same version isn't built again */
}

static void test_list_fails(void **state)
{
	struct fixture *fixture = *state;
	gint64 least_ms = 800;

	informer_start(fixture->informer);
	for (int i = 0; i < 10; i++) {
		fake_list_item(&fixture->api, "half", "1"); /* of a list that breaks off */
		fake_list_end(&fixture->api, NULL, KUBE_ERROR_RETRY);
		assert_error(fixture, "list failed with 7");
		assert_in_range(fixture->api.wait_ms, least_ms, 2 * least_ms);
		fake_clock_advance(&fixture->fake, fixture->api.wait_ms);
		fake_wait_over(&fixture->api);
		least_ms = MIN(2 * least_ms, 30000);
	}
	assert_false(informer_has_synced(fixture->informer));
	fake_list_item(&fixture->api, "a", "1");
	fake_list_end(&fixture->api, "10", 0);
	assert_heard(fixture, "+a:1 ");
	assert_error(fixture, "list failed with 7"); /* until a watch stands */
	fixture->api.watch->established(fixture->api.data);
	assert_error(fixture, NULL);
}

static void test_watch_fails(void **state)
{
	struct fixture *fixture = *state;

	synced(fixture);
	fake_watch_event(&fixture->api, KUBE_EVENT_MODIFIED, "a", "12");
	fake_clock_advance(&fixture->fake, 60000);
	fake_watch_fail(&fixture->api, KUBE_ERROR_RETRY);
	assert_error(fixture, "watch failed with 7");
	assert_in_range(fixture->api.wait_ms, 800, 1600);
	fake_wait_over(&fixture->api);
	assert_string_equal(fixture->api.watch_version, "12");
	fake_watch_fail(&fixture->api, KUBE_ERROR_RETRY);
	assert_in_range(fixture->api.wait_ms, 1600, 3200);
	fake_wait_over(&fixture->api);
	fixture->api.watch->established(fixture->api.data);
	assert_error(fixture, NULL);
	/* After two calm minutes it starts with the shortest wait again. */
	fake_clock_advance(&fixture->fake, 120001);
	fake_watch_fail(&fixture->api, KUBE_ERROR_RETRY);
	assert_in_range(fixture->api.wait_ms, 800, 1600);
	assert_int_equal(fixture->api.lists, 1);
}

/* A server restored from a backup never gets to our version: in the end we list. */
static void test_watch_never_stands(void **state)
{
	struct fixture *fixture = *state;
	guint failures = 0;

	synced(fixture);
	while (fixture->api.list == NULL) {
		fake_watch_fail(&fixture->api, KUBE_ERROR_RETRY);
		fake_wait_over(&fixture->api);
		failures++;
		assert_true(failures <= 8);
	}
	assert_int_equal(failures, 8);
	assert_int_equal(fixture->api.lists, 2);
	fake_list_end(&fixture->api, "3", 0);
	fake_watch_fail(&fixture->api, KUBE_ERROR_RETRY);
	fake_wait_over(&fixture->api);
	assert_non_null(fixture->api.watch); /* it is counted anew */
}

static void test_invalid_version_relists(void **state)
{
	struct fixture *fixture = *state;

	synced(fixture);
	fake_watch_fail(&fixture->api, KUBE_ERROR_INVALID);
	fake_wait_over(&fixture->api);
	assert_int_equal(fixture->api.lists, 2);
}

/* Starts that are over before they return. */
static void test_failures_at_once(void **state)
{
	struct fixture *fixture = *state;
	g_autoptr(GError) error = g_error_new(KUBE_ERROR, KUBE_ERROR_RETRY, "no route");

	fixture->api.fail_at_once = error;
	informer_start(fixture->informer);
	assert_int_equal(fixture->api.waits, 1);
	fixture->api.fail_at_once = NULL;
	fake_wait_over(&fixture->api);
	fixture->api.fail_at_once = error;
	fake_list_end(&fixture->api, "10", 0);
	assert_int_equal(fixture->api.watches, 1);
	assert_int_equal(fixture->api.waits, 2);
	informer_stop(fixture->informer);
}

/* ---- Stopping: the fake fails when anything is left, or called for nothing ---- */

static void assert_stopped(struct fixture *fixture)
{
	assert_null(fixture->api.list);
	assert_null(fixture->api.watch);
	assert_null(fixture->api.wait);
}

static void test_stop_while_listing(void **state)
{
	struct fixture *fixture = *state;

	informer_start(fixture->informer);
	fake_list_item(&fixture->api, "half", "1");
	informer_stop(fixture->informer);
	informer_stop(fixture->informer);
	assert_stopped(fixture);
	informer_start(fixture->informer);
	fake_list_end(&fixture->api, "10", 0);
	assert_heard(fixture, ""); /* nothing is left of the first list */
}

static void test_stop_while_watching(void **state)
{
	struct fixture *fixture = *state;

	synced(fixture);
	informer_stop(fixture->informer);
	assert_stopped(fixture);
	assert_cached(fixture, "ns/a", "1");
	informer_start(fixture->informer);
	fake_list_item(&fixture->api, "a", "1");
	fake_list_end(&fixture->api, "20", 0);
	assert_heard(fixture, "-b:2 ");
}

static void test_stop_while_waiting(void **state)
{
	struct fixture *fixture = *state;

	informer_start(fixture->informer);
	fake_list_end(&fixture->api, NULL, KUBE_ERROR_DENIED);
	informer_stop(fixture->informer);
	assert_stopped(fixture);
}

static void test_stop_in_handlers(void **state)
{
	struct fixture *fixture = *state;

	fixture->stop_in_handler = TRUE;
	informer_start(fixture->informer);
	fake_list_item(&fixture->api, "a", "1");
	fake_list_end(&fixture->api, "10", 0);
	assert_stopped(fixture);
	fixture->stop_in_handler = FALSE;
	informer_start(fixture->informer);
	fake_list_item(&fixture->api, "a", "1");
	fake_list_end(&fixture->api, "10", 0);
	fixture->stop_in_handler = TRUE;
	fake_watch_event(&fixture->api, KUBE_EVENT_MODIFIED, "a", "11");
	assert_stopped(fixture);
	assert_int_equal(fixture->api.watches, 1);
}

static void test_late_handler(void **state)
{
	struct fixture *fixture = *state;

	synced(fixture);
	informer_add_handler(fixture->informer, &HANDLER, fixture);
	assert_true(g_str_equal(fixture->heard->str, "+a:1 +b:2 ") ||
		    g_str_equal(fixture->heard->str, "+b:2 +a:1 "));
}

static void prune_labels(yyjson_mut_doc *doc, yyjson_mut_val *object)
{
	(void)doc;
	yyjson_mut_obj_remove_key(yyjson_mut_obj_get(object, "metadata"), "labels");
}

static void test_prune_and_index(void **state)
{
	struct fake_clock fake;
	struct fake_api api = {0};
	struct informer_options options = {
	    .resource = &KUBE_PODS, .prune = prune_labels, .index = index_label};
	struct informer *informer;
	g_autofree char *json = object_json("ns", "a", "1", "u1", "x");
	g_autoptr(GPtrArray) owned = NULL;
	g_autoptr(GPtrArray) indexed = NULL;

	(void)state;
	fake_clock_init(&fake, 0);
	informer = informer_new_on(fake_api_lister_watcher(&api), &fake.clock, &options);
	informer_start(informer);
	fake_list_json(&api, json);
	fake_list_end(&api, "1", 0);
	owned = cache_by_owner(informer_cache(informer), "u1");
	indexed = cache_by_index(informer_cache(informer), "x");
	assert_int_equal(owned->len, 1);
	assert_int_equal(indexed->len, 0); /* what was pruned can't be indexed */
	assert_ptr_equal(informer_resource(informer), &KUBE_PODS);
	informer_free(informer);
	fake_api_done(&api);
}

/* ---- A server that changes all the time, and connections that break ---- */

enum { KEYS = 12, STEPS = 30000, LOG_MAX = 200 };

struct change {
	enum kube_event_type type;
	int key;
	int version;
};

struct server {
	struct fixture *fixture;
	GRand *random;
	int stored[KEYS]; /* the version, 0: not there */
	int version;
	GArray *log;      /* of struct change, the oldest first */
	int watched;      /* the watch has seen everything up to this version */
	int mirror[KEYS]; /* what a handler believes */
};

static int key_of(const struct kube_object *object)
{
	return (int)g_ascii_strtoll(object->name + 1, NULL, 10);
}

static int version_of(const struct kube_object *object)
{
	return (int)g_ascii_strtoll(object->resource_version, NULL, 10);
}

static void mirror_upserted(
    void *data, struct kube_object *old_object, struct kube_object *new_object)
{
	struct server *server = data;
	int key = key_of(new_object);

	assert_int_equal(old_object != NULL ? version_of(old_object) : 0, server->mirror[key]);
	assert_true(version_of(new_object) > server->mirror[key]);
	server->mirror[key] = version_of(new_object);
}

static void mirror_deleted(void *data, struct kube_object *object)
{
	struct server *server = data;

	assert_int_not_equal(server->mirror[key_of(object)], 0);
	server->mirror[key_of(object)] = 0;
}

static void server_change(struct server *server)
{
	int key = g_rand_int_range(server->random, 0, KEYS);
	gboolean there = server->stored[key] != 0;
	gboolean delete = there && g_rand_int_range(server->random, 0, 3) == 0;
	struct change change = {KUBE_EVENT_ADDED, key, ++server->version};

	if (there)
		change.type = delete ? KUBE_EVENT_DELETED : KUBE_EVENT_MODIFIED;
	server->stored[key] = delete ? 0 : change.version;
	g_array_append_val(server->log, change);
	if (server->log->len > LOG_MAX)
		g_array_remove_range(server->log, 0, LOG_MAX / 2);
}

static void server_list(struct server *server)
{
	struct fake_api *api = &server->fixture->api;
	g_autofree char *version = g_strdup_printf("%d", server->version);

	for (int key = 0; key < KEYS; key++) {
		g_autofree char *name = g_strdup_printf("k%d", key);
		g_autofree char *object = g_strdup_printf("%d", server->stored[key]);

		if (server->stored[key] != 0)
			fake_list_item(api, name, object);
	}
	fake_list_end(api, version, 0);
}

/* One more event, or an answer to a watch that asks for what is forgotten. */
static void server_watch(struct server *server)
{
	struct fake_api *api = &server->fixture->api;
	int oldest = g_array_index(server->log, struct change, 0).version;

	if (server->watched + 1 < oldest) {
		fake_watch_fail(api, KUBE_ERROR_GONE);
		return;
	}
	if (server->watched < server->version) {
		/* Every version is one change, so the next one's place is known. */
		struct change change =
		    g_array_index(server->log, struct change, server->watched + 1 - oldest);
		g_autofree char *name = g_strdup_printf("k%d", change.key);
		g_autofree char *version = g_strdup_printf("%d", change.version);

		assert_int_equal(change.version, server->watched + 1);
		server->watched = change.version;
		fake_watch_event(api, change.type, name, version);
	}
}

static void server_break(struct server *server)
{
	struct fake_api *api = &server->fixture->api;

	if (g_rand_boolean(server->random))
		fake_watch_fail(api, KUBE_ERROR_RETRY);
	else
		fake_watch_end_in_order(api);
}

/* A watch that was just started has seen what its version says. */
static void server_note_watch(struct server *server, guint *watches)
{
	struct fake_api *api = &server->fixture->api;

	if (api->watches == *watches)
		return;
	*watches = api->watches;
	server->watched = (int)g_ascii_strtoll(api->watch_version, NULL, 10);
}

static void server_answer(struct server *server, gboolean may_break)
{
	struct fake_api *api = &server->fixture->api;
	int dice = g_rand_int_range(server->random, 0, 40);

	if (api->wait != NULL) {
		fake_wait_over(api);
	} else if (api->list != NULL) {
		if (may_break && dice < 10)
			fake_list_end(api, NULL, KUBE_ERROR_RETRY);
		else
			server_list(server);
	} else if (may_break && dice == 0) {
		server_break(server);
	} else {
		server_watch(server);
	}
}

static void assert_same(struct server *server)
{
	for (int key = 0; key < KEYS; key++) {
		g_autofree char *name = g_strdup_printf("ns/k%d", key);
		g_autofree char *version = g_strdup_printf("%d", server->stored[key]);

		assert_int_equal(server->mirror[key], server->stored[key]);
		assert_cached(server->fixture, name, server->stored[key] != 0 ? version : NULL);
	}
}

static void test_random_server(void **state)
{
	static const struct informer_handler mirror = {mirror_upserted, mirror_deleted};
	struct fixture *fixture = *state;
	struct server server = {.fixture = fixture};
	guint watches = 0;

	server.random = g_rand_new_with_seed(5);
	server.log = g_array_new(FALSE, FALSE, sizeof(struct change));
	informer_add_handler(fixture->informer, &mirror, &server);
	server_change(&server);
	informer_start(fixture->informer);
	for (int step = 0; step < STEPS; step++) {
		/* Now and then it changes faster than it tells, and forgets. */
		int changes = step % 1000 == 0 ? 300 : g_rand_int_range(server.random, 0, 2);

		for (int i = 0; i < changes; i++)
			server_change(&server);
		fake_clock_advance(&fixture->fake, g_rand_int_range(server.random, 0, 500));
		server_answer(&server, TRUE);
		server_note_watch(&server, &watches);
	}
	while (server.watched < server.version || fixture->api.watch == NULL) {
		server_answer(&server, FALSE);
		server_note_watch(&server, &watches);
	}
	assert_same(&server);
	assert_true(fixture->api.lists > 20); /* the scenario had its GONEs */
	g_array_unref(server.log);
	g_rand_free(server.random);
	informer_stop(fixture->informer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_list_then_watch),
	    TEST(test_events),
	    TEST(test_replayed),
	    TEST(test_resume),
	    TEST(test_short_watch_backs_off),
	    TEST(test_gone_relists),
	    TEST(test_list_fails),
	    TEST(test_watch_fails),
	    TEST(test_watch_never_stands),
	    TEST(test_invalid_version_relists),
	    TEST(test_failures_at_once),
	    TEST(test_stop_while_listing),
	    TEST(test_stop_while_watching),
	    TEST(test_stop_while_waiting),
	    TEST(test_stop_in_handlers),
	    TEST(test_late_handler),
	    TEST(test_prune_and_index),
	    TEST(test_random_server),
	};

	return cmocka_run_group_tests_name("informer", tests, NULL, NULL);
}
