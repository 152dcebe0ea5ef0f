/*
 * Informer, leader election and recorder against a real API server. It runs when CONTROL_PLANE_DIR
 * names a running one of lab/control-plane (which it stops and starts), and CONTROL_PLANE that
 * program; see lab/README.md.
 */
#include "support.h"

#include "ctl/leader.h"
#include "ctl/recorder.h"

#include <stdio.h>
#include <string.h>

enum { PATIENCE_S = 60 };

/* A client with a loop of its own. */
struct side {
	struct loop *loop;
	GThread *thread;
	struct kube_config *config;
	struct kube_client *client;
	gint lists; /* that were made */
};

struct world {
	struct side ours;  /* whose informers are tested */
	struct side other; /* who changes things */
	struct informer *informer;
	char *namespace;
	GMutex lock;
	GCond changed;
	GHashTable *mirror; /* names, as handlers heard of them */
	gboolean loop_blocked;
};

static void observe(void *data, const char *verb, const char *plural, int code, gint64 took_us)
{
	struct side *side = data;

	(void)plural;
	(void)took_us;
	if (g_str_equal(verb, "list") && code == 200)
		g_atomic_int_inc(&side->lists);
}

static void side_open(struct side *side)
{
	g_autofree char *path = g_build_filename(g_getenv("CONTROL_PLANE_DIR"), "kubeconfig", NULL);
	struct kube_config_options options = {.kubeconfig = path};
	struct kube_client_options client_options = {.user_agent = "test",
	    .field_manager = "test",
	    .deadline_ms = 5000,
	    .observe = observe,
	    .observe_data = side};
	g_autoptr(GError) error = NULL;

	side->loop = loop_new();
	side->config = kube_config_load(&options, &error);
	assert_null(error);
	side->client = kube_client_new(side->loop, side->config, &client_options);
	side->thread = loop_run_in_thread(side->loop, "test-loop");
}

static void side_close(struct side *side)
{
	loop_stop(side->loop);
	g_thread_join(side->thread);
	kube_client_free(side->client);
	loop_free(side->loop);
	kube_config_free(side->config);
}

static void lab(const char *verb, const char *flag)
{
	const char *argv[] = {g_getenv("CONTROL_PLANE"), verb, g_getenv("CONTROL_PLANE_DIR"),
	    flag != NULL ? "--" : NULL, flag, NULL};
	g_autoptr(GError) error = NULL;
	gint status = -1;

	g_spawn_sync(
	    NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status, &error);
	assert_null(error);
	assert_int_equal(status, 0);
}

static void create(struct world *world, const char *name)
{
	g_autofree char *body = g_strdup_printf("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\","
						"\"metadata\":{\"name\":\"%s\"},\"data\":{}}",
	    name);
	g_autoptr(GError) error = NULL;
	g_autoptr(yyjson_doc) doc = kube_create(
	    world->other.client, &KUBE_CONFIGMAPS, world->namespace, body, strlen(body), &error);

	assert_null(error);
	assert_non_null(doc);
}

static void delete(struct world *world, const char *name)
{
	g_autoptr(GError) error = NULL;

	assert_true(kube_delete(
	    world->other.client, &KUBE_CONFIGMAPS, world->namespace, name, NULL, &error));
}

static void on_upserted(void *data, struct kube_object *old_object, struct kube_object *new_object)
{
	struct world *world = data;

	(void)old_object;
	g_mutex_lock(&world->lock);
	g_hash_table_add(world->mirror, g_strdup(new_object->name));
	g_cond_broadcast(&world->changed);
	g_mutex_unlock(&world->lock);
}

static void on_deleted(void *data, struct kube_object *object)
{
	struct world *world = data;

	g_mutex_lock(&world->lock);
	g_hash_table_remove(world->mirror, object->name);
	g_cond_broadcast(&world->changed);
	g_mutex_unlock(&world->lock);
}

static void wait_for(struct world *world, const char *name, gboolean there)
{
	gint64 until_us = g_get_monotonic_time() + PATIENCE_S * G_TIME_SPAN_SECOND;

	g_mutex_lock(&world->lock);
	while (g_hash_table_contains(world->mirror, name) != there)
		assert_true(g_cond_wait_until(&world->changed, &world->lock, until_us));
	g_mutex_unlock(&world->lock);
}

/* ---- Things done on our loop ---- */

struct job {
	struct world *world;
	void (*fn)(struct world *world);
	gboolean done;
};

static void run_job(void *data)
{
	struct job *job = data;

	job->fn(job->world);
	g_mutex_lock(&job->world->lock);
	job->done = TRUE;
	g_cond_broadcast(&job->world->changed);
	g_mutex_unlock(&job->world->lock);
}

static void on_our_loop(struct world *world, void (*fn)(struct world *world))
{
	struct job job = {world, fn, FALSE};

	loop_post(world->ours.loop, run_job, &job);
	g_mutex_lock(&world->lock);
	while (!job.done)
		g_cond_wait(&world->changed, &world->lock);
	g_mutex_unlock(&world->lock);
}

static void block(void *data)
{
	struct world *world = data;

	g_mutex_lock(&world->lock);
	while (world->loop_blocked)
		g_cond_wait(&world->changed, &world->lock);
	g_mutex_unlock(&world->lock);
}

static void set_blocked(struct world *world, gboolean blocked)
{
	g_mutex_lock(&world->lock);
	world->loop_blocked = blocked;
	g_cond_broadcast(&world->changed);
	g_mutex_unlock(&world->lock);
	if (blocked)
		loop_post(world->ours.loop, block, world);
}

static void make_informer(struct world *world)
{
	static const struct informer_handler handler = {on_upserted, on_deleted};
	struct informer_options options = {
	    .resource = &KUBE_CONFIGMAPS, .namespace = world->namespace};

	world->informer =
	    informer_new(world->ours.loop, world->ours.client, clock_system(), &options);
	informer_add_handler(world->informer, &handler, world);
	informer_start(world->informer);
}

static void free_informer(struct world *world)
{
	informer_free(world->informer);
}

/* ---- Setup ---- */

static int setup(void **state)
{
	struct world *world = g_new0(struct world, 1);
	g_autofree char *body = NULL;
	g_autoptr(yyjson_doc) doc = NULL;

	g_mutex_init(&world->lock);
	g_cond_init(&world->changed);
	world->mirror = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	world->namespace = g_strdup_printf("test-%08x", g_random_int());
	side_open(&world->ours);
	side_open(&world->other);
	body = g_strdup_printf("{\"apiVersion\":\"v1\",\"kind\":\"Namespace\","
			       "\"metadata\":{\"name\":\"%s\"}}",
	    world->namespace);
	doc = kube_create(world->other.client, &KUBE_NAMESPACES, NULL, body, strlen(body), NULL);
	assert_non_null(doc);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	side_close(&world->ours);
	side_close(&world->other);
	g_hash_table_unref(world->mirror);
	g_cond_clear(&world->changed);
	g_mutex_clear(&world->lock);
	g_free(world->namespace);
	g_free(world);
	return 0;
}

/* ---- Tests ---- */

static void test_informer(void **state)
{
	struct world *world = *state;

	create(world, "before");
	on_our_loop(world, make_informer);
	wait_for(world, "before", TRUE);
	create(world, "after");
	wait_for(world, "after", TRUE);
	delete (world, "before");
	wait_for(world, "before", FALSE);

	/* The server goes and comes again: the watch goes on from where it was. */
	lab("stop-apiserver", NULL);
	lab("start-apiserver", "--watch-cache=false");
	create(world, "after-restart");
	wait_for(world, "after-restart", TRUE);
	assert_int_equal(g_atomic_int_get(&world->ours.lists), 1);

	/* The watch breaks, things change, etcd forgets: only a list can tell. */
	set_blocked(world, TRUE);
	lab("stop-apiserver", NULL);
	lab("start-apiserver", "--watch-cache=false");
	delete (world, "after");
	create(world, "unseen");
	delete (world, "unseen");
	create(world, "seen");
	lab("compact", NULL);
	set_blocked(world, FALSE);
	wait_for(world, "seen", TRUE);
	wait_for(world, "after", FALSE);
	assert_int_equal(g_atomic_int_get(&world->ours.lists), 2);
	assert_int_equal(cache_size(informer_cache(world->informer)), 2);
	on_our_loop(world, free_informer);
}

struct election {
	struct world *world;
	guint started;
};

static void on_started(void *data)
{
	struct election *election = data;

	g_mutex_lock(&election->world->lock);
	election->started++;
	g_cond_broadcast(&election->world->changed);
	g_mutex_unlock(&election->world->lock);
}

static void wait_started(struct election *election)
{
	struct world *world = election->world;
	gint64 until_us = g_get_monotonic_time() + PATIENCE_S * G_TIME_SPAN_SECOND;

	g_mutex_lock(&world->lock);
	while (election->started == 0)
		assert_true(g_cond_wait_until(&world->changed, &world->lock, until_us));
	g_mutex_unlock(&world->lock);
}

static struct leader *start_leader(struct election *election, struct side *side, const char *who)
{
	struct leader_options options = {.namespace = election->world->namespace,
	    .name = "lease",
	    .identity = who,
	    .retry_period_ms = 200,
	    .started_leading = on_started,
	    .data = election};

	return leader_start(side->client, clock_system(), NULL, &options);
}

static void test_leader(void **state)
{
	struct world *world = *state;
	struct election one = {world, 0}, two = {world, 0};
	struct leader *first = start_leader(&one, &world->ours, "one");
	struct leader *second;
	g_autoptr(yyjson_doc) lease = NULL;
	yyjson_val *root;

	wait_started(&one);
	second = start_leader(&two, &world->other, "two");
	assert_true(leader_may_write(first));
	assert_false(leader_is_leading(second));
	leader_stop(first);
	wait_started(&two);
	assert_true(leader_may_write(second));
	leader_stop(second);
	lease = kube_get(world->other.client, &KUBE_LEASES, world->namespace, "lease", NULL);
	root = yyjson_doc_get_root(lease);
	assert_int_equal(json_int(root, -1, "spec", "leaseTransitions", NULL), 1);
	/* The API server leaves an empty holder out or keeps it. */
	assert_string_equal(json_str(root, "spec", "holderIdentity", NULL) != NULL
				? json_str(root, "spec", "holderIdentity", NULL)
				: "",
	    "");
}

static void test_recorder(void **state)
{
	struct world *world = *state;
	struct object_ref about = {"v1", "ConfigMap", world->namespace, "thing", "uid-1"};
	struct object_ref node = {"v1", "Node", NULL, world->namespace, NULL};
	struct recorder *recorder =
	    recorder_new(world->ours.client, clock_system(), "test", "pod-1");
	struct recorder_stats stats;
	g_autoptr(yyjson_doc) doc = NULL;
	yyjson_val *items;

	for (int i = 0; i < 3; i++)
		recorder_event(recorder, &about, "Normal", "Tested", "It works %d.", 1);
	recorder_event(recorder, &node, "Warning", "Tested", "A node.");
	do
		recorder_get_stats(recorder, &stats);
	while (stats.written + stats.failed < 4);
	recorder_free(recorder);
	assert_int_equal(stats.written, 4);
	doc = kube_list(world->other.client, &KUBE_EVENTS, world->namespace, NULL, NULL);
	items = json_at(yyjson_doc_get_root(doc), "items", NULL);
	assert_int_equal(yyjson_arr_size(items), 1);
	assert_int_equal(json_int(yyjson_arr_get_first(items), 0, "count", NULL), 3);
	assert_string_equal(json_str(yyjson_arr_get_first(items), "message", NULL), "It works 1.");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_informer),
	    TEST(test_leader),
	    TEST(test_recorder),
	};

	if (g_getenv("CONTROL_PLANE_DIR") == NULL || g_getenv("CONTROL_PLANE") == NULL) {
		puts("1..0 # SKIP no CONTROL_PLANE_DIR");
		return 0;
	}
	return cmocka_run_group_tests_name("real_server", tests, NULL, NULL);
}
