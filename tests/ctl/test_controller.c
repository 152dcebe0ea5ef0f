#include "support.h"

#include "base/hash.h"
#include "ctl/controller.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A reconciler that notes what it is called for, and does what the test says. */
struct fixture {
	struct fake_clock fake;
	struct fake_api api;
	struct informer *informer;
	struct controller *controller;
	struct log *log;
	int log_fd;
	GMutex lock;
	GCond changed;
	GPtrArray *keys; /* in the order of their reconciles */
	guint running;
	guint overlaps;     /* of one key */
	guint most_running; /* at a time */
	GHashTable *busy;
	guint observed_ok, observed_failed;
	/* The script. */
	guint fail_first;    /* so many reconciles fail */
	guint requeue_first; /* so many ask to come again after 10 ms */
	gboolean hold;       /* none returns while this is set */
};

static guint done_count(struct fixture *fixture)
{
	return fixture->observed_ok + fixture->observed_failed;
}

static gboolean reconcile(
    void *data, const char *key, struct reconcile_result *ret_result, GError **error)
{
	struct fixture *fixture = data;
	gboolean fails;

	g_mutex_lock(&fixture->lock);
	if (!g_hash_table_add(fixture->busy, g_strdup(key)))
		fixture->overlaps++;
	g_ptr_array_add(fixture->keys, g_strdup(key));
	fixture->running++;
	fixture->most_running = MAX(fixture->most_running, fixture->running);
	fails = fixture->keys->len <= fixture->fail_first;
	if (fixture->keys->len <= fixture->requeue_first)
		ret_result->requeue_after_ms = 10;
	g_cond_broadcast(&fixture->changed);
	while (fixture->hold)
		g_cond_wait(&fixture->changed, &fixture->lock);
	fixture->running--;
	g_hash_table_remove(fixture->busy, key);
	g_mutex_unlock(&fixture->lock);
	if (fails)
		g_set_error(error, KUBE_ERROR, KUBE_ERROR_CONFLICT, "somebody was faster");
	return !fails;
}

static void observe(void *data, enum reconcile_outcome outcome, gint64 took_us)
{
	struct fixture *fixture = data;

	assert_true(took_us >= 0);
	g_mutex_lock(&fixture->lock);
	if (outcome != RECONCILE_ERROR)
		fixture->observed_ok++;
	else
		fixture->observed_failed++;
	g_cond_broadcast(&fixture->changed);
	g_mutex_unlock(&fixture->lock);
}

static int setup(void **state)
{
	struct fixture *fixture = g_new0(struct fixture, 1);
	struct informer_options informer_options = {.resource = &KUBE_PODS};
	struct controller_options options = {.name = "a-controller-with-a-name",
	    .workers = 4,
	    .reconcile = reconcile,
	    .data = fixture,
	    .observe = observe,
	    .observe_data = fixture};

	hash_str("draws the seed");
	fake_clock_init(&fixture->fake, 0);
	g_mutex_init(&fixture->lock);
	g_cond_init(&fixture->changed);
	fixture->keys = g_ptr_array_new_with_free_func(g_free);
	fixture->busy = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	fixture->log_fd = memfd_create("log", MFD_CLOEXEC);
	fixture->log = log_new(fixture->log_fd, LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
	fixture->informer = informer_new_on(
	    fake_api_lister_watcher(&fixture->api), &fixture->fake.clock, &informer_options);
	fixture->controller = controller_new(clock_system(), fixture->log, &options);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	informer_free(fixture->informer);
	controller_free(fixture->controller);
	fake_api_done(&fixture->api);
	log_free(fixture->log);
	close(fixture->log_fd);
	g_ptr_array_unref(fixture->keys);
	g_hash_table_unref(fixture->busy);
	g_cond_clear(&fixture->changed);
	g_mutex_clear(&fixture->lock);
	g_free(fixture);
	return 0;
}

/* Waits until so many reconciles are over. */
static void wait_for(struct fixture *fixture, guint count)
{
	g_mutex_lock(&fixture->lock);
	while (done_count(fixture) < count)
		g_cond_wait(&fixture->changed, &fixture->lock);
	g_mutex_unlock(&fixture->lock);
}

static void wait_for_running(struct fixture *fixture, guint count)
{
	g_mutex_lock(&fixture->lock);
	while (fixture->running < count)
		g_cond_wait(&fixture->changed, &fixture->lock);
	g_mutex_unlock(&fixture->lock);
}

static void set_hold(struct fixture *fixture, gboolean hold)
{
	g_mutex_lock(&fixture->lock);
	fixture->hold = hold;
	g_cond_broadcast(&fixture->changed);
	g_mutex_unlock(&fixture->lock);
}

/* The queue's keys in order of adding, one space between. The workers don't run. */
static void assert_queued(struct fixture *fixture, const char *want)
{
	struct workqueue *queue = controller_queue(fixture->controller);
	g_autoptr(GString) keys = g_string_new(NULL);
	char *key;

	while ((key = workqueue_try_get(queue)) != NULL) {
		g_string_append_printf(keys, "%s%s", keys->len > 0 ? " " : "", key);
		workqueue_done(queue, key);
		g_free(key);
	}
	assert_string_equal(keys->str, want);
}

/* ---- What is added for which change ---- */

static void start_watch(struct fixture *fixture)
{
	informer_start(fixture->informer);
	fake_list_end(&fixture->api, "1", 0);
}

static void emit(struct fixture *fixture, enum kube_event_type type, const char *namespace,
    const char *name, const char *version, const char *owner)
{
	g_autofree char *json = object_json(namespace, name, version, owner, NULL);

	fake_watch_json(&fixture->api, type, json);
}

static void test_watch(void **state)
{
	struct fixture *fixture = *state;

	controller_watch(fixture->controller, fixture->informer);
	start_watch(fixture);
	emit(fixture, KUBE_EVENT_ADDED, "ns", "a", "2", NULL);
	emit(fixture, KUBE_EVENT_ADDED, "", "cluster", "3", NULL);
	emit(fixture, KUBE_EVENT_MODIFIED, "ns", "a", "4", NULL);
	assert_queued(fixture, "ns/a cluster");
	emit(fixture, KUBE_EVENT_DELETED, "ns", "a", "5", NULL);
	assert_queued(fixture, "ns/a");
}

static void test_watch_owned(void **state)
{
	struct fixture *fixture = *state;

	controller_watch_owned(fixture->controller, fixture->informer, "Model");
	start_watch(fixture);
	emit(fixture, KUBE_EVENT_ADDED, "ns", "pod", "2", "phi");
	emit(fixture, KUBE_EVENT_ADDED, "ns", "stray", "3", NULL);
	assert_queued(fixture, "ns/owner-phi");
	emit(fixture, KUBE_EVENT_MODIFIED, "ns", "pod", "4", "qwen"); /* both want to know */
	assert_queued(fixture, "ns/owner-phi ns/owner-qwen");
	emit(fixture, KUBE_EVENT_DELETED, "ns", "pod", "5", "qwen");
	assert_queued(fixture, "ns/owner-qwen");
	emit(fixture, KUBE_EVENT_ADDED, "", "volume", "6", "phi");
	assert_queued(fixture, "owner-phi");
}

static void test_watch_owned_by_other_kind(void **state)
{
	struct fixture *fixture = *state;

	controller_watch_owned(fixture->controller, fixture->informer, "Node");
	start_watch(fixture);
	/* A Node is among its owners, but not its controller. */
	emit(fixture, KUBE_EVENT_ADDED, "ns", "pod", "2", "phi");
	assert_queued(fixture, "");
}

static void map_by_version(void *data, struct kube_object *object, struct workqueue *queue)
{
	g_autofree char *key = g_strconcat(data, object->resource_version, NULL);

	workqueue_add(queue, key);
}

static void test_watch_mapped(void **state)
{
	struct fixture *fixture = *state;

	controller_watch_mapped(
	    fixture->controller, fixture->informer, map_by_version, (gpointer) "version-");
	start_watch(fixture);
	emit(fixture, KUBE_EVENT_ADDED, "ns", "a", "2", NULL);
	assert_queued(fixture, "version-2");
	emit(fixture, KUBE_EVENT_MODIFIED, "ns", "a", "3", NULL);
	assert_queued(fixture, "version-2 version-3");
	emit(fixture, KUBE_EVENT_DELETED, "ns", "a", "4", NULL);
	assert_queued(fixture, "version-4");
}

/* ---- Workers ---- */

static void test_one_key_at_a_time(void **state)
{
	struct fixture *fixture = *state;
	struct workqueue *queue = controller_queue(fixture->controller);

	set_hold(fixture, TRUE);
	controller_start(fixture->controller);
	workqueue_add(queue, "a");
	wait_for_running(fixture, 1);
	workqueue_add(queue, "a"); /* waits for the first */
	workqueue_add(queue, "b");
	workqueue_add(queue, "c");
	workqueue_add(queue, "d");
	wait_for_running(fixture, 4);
	set_hold(fixture, FALSE);
	wait_for(fixture, 5);
	assert_int_equal(fixture->overlaps, 0);
	assert_int_equal(fixture->most_running, 4);
}

static void test_many_keys(void **state)
{
	struct fixture *fixture = *state;
	struct workqueue *queue = controller_queue(fixture->controller);
	struct workqueue_stats stats;

	controller_start(fixture->controller);
	for (int i = 0; i < 5000; i++) {
		g_autofree char *key = g_strdup_printf("ns/%d", i % 7);

		workqueue_add(queue, key);
	}
	do
		workqueue_stats(queue, &stats);
	while (stats.depth + stats.processing > 0);
	controller_stop(fixture->controller);
	assert_int_equal(fixture->overlaps, 0);
	assert_true(fixture->keys->len >= 7);
	assert_int_equal(fixture->observed_ok, stats.adds);
}

static void test_requeue_after(void **state)
{
	struct fixture *fixture = *state;

	fixture->requeue_first = 2;
	controller_start(fixture->controller);
	workqueue_add(controller_queue(fixture->controller), "a");
	wait_for(fixture, 3);
	controller_stop(fixture->controller);
	assert_int_equal(fixture->keys->len, 3);
	assert_int_equal(fixture->observed_failed, 0);
}

static guint count_lines(int fd, const char *part)
{
	char text[8192];
	ssize_t len = pread(fd, text, sizeof(text) - 1, 0);
	guint lines = 0;

	assert_true(len >= 0);
	text[len] = '\0';
	for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
		lines++;
	return lines;
}

static void test_failures(void **state)
{
	struct fixture *fixture = *state;
	struct workqueue_stats stats;

	fixture->fail_first = 3;
	controller_start(fixture->controller);
	workqueue_add(controller_queue(fixture->controller), "ns/a");
	wait_for(fixture, 4);
	workqueue_stats(controller_queue(fixture->controller), &stats);
	controller_stop(fixture->controller);
	assert_int_equal(stats.retries, 3);
	assert_int_equal(fixture->observed_failed, 3);
	assert_int_equal(fixture->observed_ok, 1);
	/* One line per failure, none for the success. */
	assert_int_equal(count_lines(fixture->log_fd, "level=warn"), 3);
	assert_int_equal(count_lines(fixture->log_fd, "level="), 3);
	assert_int_equal(count_lines(fixture->log_fd, "object=ns/a"), 3);
	assert_int_equal(count_lines(fixture->log_fd, "error=\"somebody was faster\""), 3);
}

/* A clock that worker threads may read while the test moves it. */
struct shared_clock {
	struct clock clock;
	gint now_ms;
};

static gint64 shared_monotonic_ms(const struct clock *clock)
{
	return g_atomic_int_get(&((const struct shared_clock *)(const void *)clock)->now_ms);
}

/* After a success the next failure waits as short as the first one did. */
static void test_success_forgets(void **state)
{
	struct fixture *fixture = *state;
	struct shared_clock shared = {{shared_monotonic_ms, NULL}, 0};
	struct controller_options options = {.name = "forgets",
	    .workers = 1,
	    .reconcile = reconcile,
	    .data = fixture,
	    .observe = observe,
	    .observe_data = fixture};
	struct controller *controller = controller_new(&shared.clock, NULL, &options);
	struct workqueue_stats stats;

	fixture->fail_first = 3;
	controller_start(controller);
	workqueue_add(controller_queue(controller), "a");
	for (guint i = 1; i <= 4; i++) {
		wait_for(fixture, i);
		g_atomic_int_add(&shared.now_ms, 1000);
	}
	set_hold(fixture, TRUE);
	workqueue_add_rate_limited(controller_queue(controller), "a");
	g_atomic_int_add(&shared.now_ms, 6);
	workqueue_stats(controller_queue(controller), &stats);
	assert_int_equal(stats.delayed, 0);
	set_hold(fixture, FALSE);
	controller_free(controller);
}

struct stopping {
	struct fixture *fixture;
	guint finished; /* reconciles, when controller_stop() returned */
};

static gpointer stop(gpointer data)
{
	struct stopping *stopping = data;

	controller_stop(stopping->fixture->controller);
	stopping->finished = done_count(stopping->fixture);
	return NULL;
}

/* A running reconcile ends, what waits isn't begun. */
static void test_stop(void **state)
{
	struct fixture *fixture = *state;
	struct workqueue *queue = controller_queue(fixture->controller);
	struct stopping stopping = {fixture, 0};
	GThread *thread;

	set_hold(fixture, TRUE);
	controller_start(fixture->controller);
	for (int i = 0; i < 100; i++) {
		g_autofree char *key = g_strdup_printf("%d", i);

		workqueue_add(queue, key);
	}
	wait_for_running(fixture, 4);
	workqueue_shutdown(queue); /* controller_stop() does it, but we can't see when */
	thread = g_thread_new("stop", stop, &stopping);
	set_hold(fixture, FALSE);
	g_thread_join(thread);
	assert_int_equal(stopping.finished, 4);
	assert_int_equal(fixture->keys->len, 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_watch),
	    TEST(test_watch_owned),
	    TEST(test_watch_owned_by_other_kind),
	    TEST(test_watch_mapped),
	    TEST(test_one_key_at_a_time),
	    TEST(test_many_keys),
	    TEST(test_requeue_after),
	    TEST(test_failures),
	    TEST(test_success_forgets),
	    TEST(test_stop),
	};

	return cmocka_run_group_tests_name("controller", tests, NULL, NULL);
}
