#include "support.h"

#include "base/hash.h"
#include "ctl/workqueue.h"

/* What every test with a fake clock has. */
struct fixture {
	struct fake_clock fake;
	struct workqueue *queue;
};

static int setup(void **state)
{
	struct fixture *fixture = g_new0(struct fixture, 1);
	struct workqueue_options options = {.base_delay_ms = 5, .max_delay_ms = 100, .seed = 7};

	fake_clock_init(&fixture->fake, 0);
	fixture->queue = workqueue_new(&fixture->fake.clock, &options);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	workqueue_free(fixture->queue);
	g_free(fixture);
	return 0;
}

/* NULL: nothing is due. */
static void assert_next(struct workqueue *queue, const char *key)
{
	g_autofree char *got = workqueue_try_get(queue);

	if (key == NULL) {
		assert_null(got);
		return;
	}
	assert_non_null(got);
	assert_string_equal(got, key);
}

static void assert_runs(struct workqueue *queue, const char *key)
{
	assert_next(queue, key);
	workqueue_done(queue, key);
}

static void test_order_and_once(void **state)
{
	struct fixture *fixture = *state;

	workqueue_add(fixture->queue, "b");
	workqueue_add(fixture->queue, "a");
	workqueue_add(fixture->queue, "b");
	assert_runs(fixture->queue, "b");
	assert_runs(fixture->queue, "a");
	assert_next(fixture->queue, NULL);
}

static void test_added_while_processing(void **state)
{
	struct fixture *fixture = *state;

	workqueue_add(fixture->queue, "a");
	assert_next(fixture->queue, "a");
	workqueue_add(fixture->queue, "a");
	workqueue_add(fixture->queue, "a");
	assert_next(fixture->queue, NULL); /* not by two workers at a time */
	workqueue_add(fixture->queue, "b");
	workqueue_done(fixture->queue, "a");
	assert_runs(fixture->queue, "b"); /* it went to the end */
	assert_runs(fixture->queue, "a");
	assert_next(fixture->queue, NULL); /* and came once */
}

static void test_done_of_strangers(void **state)
{
	struct fixture *fixture = *state;
	struct workqueue_stats stats;

	workqueue_done(fixture->queue, "never-seen");
	workqueue_add(fixture->queue, "a");
	workqueue_done(fixture->queue, "a"); /* waits, isn't processed */
	workqueue_stats(fixture->queue, &stats);
	assert_int_equal(stats.depth, 1);
	assert_int_equal(stats.processing, 0);
	assert_runs(fixture->queue, "a");
}

static void test_delayed(void **state)
{
	struct fixture *fixture = *state;

	workqueue_add_after(fixture->queue, "late", 30);
	workqueue_add_after(fixture->queue, "soon", 10);
	workqueue_add_after(fixture->queue, "also-soon", 10);
	workqueue_add_after(fixture->queue, "now", 0);
	assert_runs(fixture->queue, "now");
	fake_clock_advance(&fixture->fake, 9);
	assert_next(fixture->queue, NULL);
	fake_clock_advance(&fixture->fake, 1);
	assert_runs(fixture->queue, "soon");
	assert_runs(fixture->queue, "also-soon");
	assert_next(fixture->queue, NULL);
	fake_clock_advance(&fixture->fake, 20);
	assert_runs(fixture->queue, "late");
}

static void test_earlier_time_wins(void **state)
{
	struct fixture *fixture = *state;

	workqueue_add_after(fixture->queue, "a", 50);
	workqueue_add_after(fixture->queue, "a", 10);
	workqueue_add_after(fixture->queue, "a", 40);
	fake_clock_advance(&fixture->fake, 10);
	assert_runs(fixture->queue, "a");
	fake_clock_advance(&fixture->fake, 100);
	assert_next(fixture->queue, NULL);
}

static void test_at_once_wins(void **state)
{
	struct fixture *fixture = *state;

	workqueue_add_after(fixture->queue, "a", 10);
	workqueue_add(fixture->queue, "a");
	workqueue_add_after(fixture->queue, "a", 10);
	assert_runs(fixture->queue, "a");
	fake_clock_advance(&fixture->fake, 100);
	assert_next(fixture->queue, NULL);
}

static void test_due_while_processing(void **state)
{
	struct fixture *fixture = *state;

	workqueue_add(fixture->queue, "a");
	assert_next(fixture->queue, "a");
	workqueue_add_after(fixture->queue, "a", 5);
	fake_clock_advance(&fixture->fake, 5);
	assert_next(fixture->queue, NULL);
	workqueue_done(fixture->queue, "a");
	assert_runs(fixture->queue, "a");
}

/* How long the next rate-limited add of "a" waits; it is run then. */
static gint64 backoff_of(struct fixture *fixture)
{
	g_autofree char *key = NULL;
	gint64 waited_ms = 0;

	workqueue_add_rate_limited(fixture->queue, "a");
	while ((key = workqueue_try_get(fixture->queue)) == NULL) {
		fake_clock_advance(&fixture->fake, 1);
		waited_ms++;
		assert_true(waited_ms < 10000);
	}
	workqueue_done(fixture->queue, key);
	return waited_ms;
}

static void test_rate_limit(void **state)
{
	static const gint64 delays[] = {5, 10, 20, 40, 80, 100, 100};
	struct fixture *fixture = *state;
	struct workqueue_stats stats;

	for (guint i = 0; i < G_N_ELEMENTS(delays); i++)
		assert_in_range(backoff_of(fixture), delays[i], delays[i] + delays[i] / 5);
	workqueue_forget(fixture->queue, "a");
	assert_in_range(backoff_of(fixture), 5, 6);
	workqueue_stats(fixture->queue, &stats);
	assert_int_equal(stats.retries, G_N_ELEMENTS(delays) + 1);
}

static void test_stats(void **state)
{
	struct fixture *fixture = *state;
	struct workqueue_stats stats;

	workqueue_add(fixture->queue, "a");
	fake_clock_advance(&fixture->fake, 7);
	workqueue_add(fixture->queue, "b");
	workqueue_add(fixture->queue, "b");
	workqueue_add_after(fixture->queue, "c", 50);
	workqueue_stats(fixture->queue, &stats);
	assert_int_equal(stats.depth, 2);
	assert_int_equal(stats.delayed, 1);
	assert_int_equal(stats.processing, 0);
	assert_int_equal(stats.adds, 2);
	assert_int_equal(stats.oldest_ms, 7);
	assert_next(fixture->queue, "a");
	workqueue_stats(fixture->queue, &stats);
	assert_int_equal(stats.depth, 1);
	assert_int_equal(stats.processing, 1);
	assert_int_equal(stats.oldest_ms, 0);
	workqueue_done(fixture->queue, "a");
	fake_clock_advance(&fixture->fake, 50);
	workqueue_stats(fixture->queue, &stats);
	assert_int_equal(stats.depth, 2);
	assert_int_equal(stats.delayed, 0);
}

static void test_shutdown(void **state)
{
	struct fixture *fixture = *state;
	struct workqueue_stats stats;

	workqueue_add(fixture->queue, "a");
	assert_next(fixture->queue, "a");
	workqueue_add(fixture->queue, "b");
	workqueue_shutdown(fixture->queue);
	assert_null(workqueue_get(fixture->queue));
	assert_null(workqueue_try_get(fixture->queue));
	workqueue_add(fixture->queue, "c");
	workqueue_add_after(fixture->queue, "d", 1);
	workqueue_add_rate_limited(fixture->queue, "e");
	workqueue_done(fixture->queue, "a");
	workqueue_stats(fixture->queue, &stats);
	assert_int_equal(stats.depth, 1);
	assert_int_equal(stats.delayed, 0);
}

/* Thousands of delays in any order come out in order. */
static void test_many_delays(void **state)
{
	enum { MANY = 5000 };
	struct fixture *fixture = *state;
	GRand *random = g_rand_new_with_seed(3);
	gint64 due_ms[MANY];

	for (int i = 0; i < MANY; i++) {
		g_autofree char *key = g_strdup_printf("%d", i);

		due_ms[i] = g_rand_int_range(random, 1, 1000);
		workqueue_add_after(fixture->queue, key, due_ms[i]);
		if (i % 3 == 0) { /* an earlier time, in the middle of the heap */
			due_ms[i] = MIN(due_ms[i], 1 + due_ms[i] / 2);
			workqueue_add_after(fixture->queue, key, due_ms[i]);
		}
	}
	for (int i = 1; i < MANY; i += 7) { /* out of the middle of the heap */
		g_autofree char *key = g_strdup_printf("%d", i);

		workqueue_add(fixture->queue, key);
		assert_runs(fixture->queue, key);
		due_ms[i] = 0;
	}
	for (int now_ms = 1; now_ms <= 1000; now_ms++) {
		char *key;

		fake_clock_advance(&fixture->fake, 1);
		while ((key = workqueue_try_get(fixture->queue)) != NULL) {
			gint64 index = g_ascii_strtoll(key, NULL, 10);

			assert_int_equal(due_ms[index], now_ms);
			due_ms[index] = 0;
			workqueue_done(fixture->queue, key);
			g_free(key);
		}
	}
	for (int i = 0; i < MANY; i++)
		assert_int_equal(due_ms[i], 0);
	g_rand_free(random);
}

/* ---- Threads and the system's clock ---- */

static gpointer get_one(gpointer data)
{
	return workqueue_get(data);
}

/* A getter that waits for a far time sees a nearer one that comes meanwhile. */
static void test_get_blocks(void **state)
{
	AUTO(workqueue) queue = workqueue_new(clock_system(), NULL);
	g_autofree char *first = NULL;
	g_autofree char *second = NULL;
	GThread *getter;

	(void)state;
	workqueue_add_after(queue, "far", 3600000);
	getter = g_thread_new("getter", get_one, queue);
	wait_until_asleep("getter");
	workqueue_add_after(queue, "near", 20);
	first = g_thread_join(getter);
	assert_string_equal(first, "near");
	getter = g_thread_new("getter", get_one, queue);
	wait_until_asleep("getter");
	workqueue_add(queue, "now");
	second = g_thread_join(getter);
	assert_string_equal(second, "now");
	getter = g_thread_new("getter", get_one, queue);
	wait_until_asleep("getter");
	workqueue_shutdown(queue);
	assert_null(g_thread_join(getter));
}

enum { KEYS = 25, THREADS = 4, ROUNDS = 2000 };

/*
 * Four threads add, four work. Each add is announced by a number that rises first; a worker notes
 * the number that it saw at the start of its work. No add may get lost, no key be worked on twice
 * at a time.
 */
struct stress {
	struct workqueue *queue;
	gint wanted[KEYS];
	gint seen[KEYS];
	gint busy[KEYS];
	gint overlaps;
};

static gpointer produce(gpointer data)
{
	struct stress *stress = data;
	GRand *random = g_rand_new();

	for (int i = 0; i < ROUNDS; i++) {
		int k = g_rand_int_range(random, 0, KEYS);
		g_autofree char *key = g_strdup_printf("%d", k);

		g_atomic_int_inc(&stress->wanted[k]);
		switch (g_rand_int_range(random, 0, 4)) {
		case 0:
			workqueue_add_after(stress->queue, key, g_rand_int_range(random, 0, 3));
			break;
		case 1:
			workqueue_add_rate_limited(stress->queue, key);
			break;
		default:
			workqueue_add(stress->queue, key);
		}
	}
	g_rand_free(random);
	return NULL;
}

static gpointer consume(gpointer data)
{
	struct stress *stress = data;
	char *key;

	while ((key = workqueue_get(stress->queue)) != NULL) {
		gint64 k = g_ascii_strtoll(key, NULL, 10);

		if (g_atomic_int_add(&stress->busy[k], 1) != 0)
			g_atomic_int_inc(&stress->overlaps);
		g_atomic_int_set(&stress->seen[k], g_atomic_int_get(&stress->wanted[k]));
		g_thread_yield();
		g_atomic_int_add(&stress->busy[k], -1);
		workqueue_forget(stress->queue, key);
		workqueue_done(stress->queue, key);
		g_free(key);
	}
	return NULL;
}

static void wait_until_idle(struct workqueue *queue)
{
	struct workqueue_stats stats;

	do {
		g_thread_yield();
		workqueue_stats(queue, &stats);
	} while (stats.depth + stats.delayed + stats.processing > 0);
}

static void test_stress(void **state)
{
	struct workqueue_options options = {.base_delay_ms = 1, .max_delay_ms = 4};
	struct stress stress = {0};
	GThread *producers[THREADS];
	GThread *consumers[THREADS];

	(void)state;
	hash_str("draws the seed");
	stress.queue = workqueue_new(clock_system(), &options);
	for (int i = 0; i < THREADS; i++) {
		producers[i] = g_thread_new("producer", produce, &stress);
		consumers[i] = g_thread_new("consumer", consume, &stress);
	}
	for (int i = 0; i < THREADS; i++)
		g_thread_join(producers[i]);
	wait_until_idle(stress.queue);
	workqueue_shutdown(stress.queue);
	for (int i = 0; i < THREADS; i++)
		g_thread_join(consumers[i]);
	assert_int_equal(stress.overlaps, 0);
	for (int k = 0; k < KEYS; k++) {
		assert_true(stress.wanted[k] > 0);
		assert_int_equal(stress.seen[k], stress.wanted[k]);
	}
	workqueue_free(stress.queue);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_order_and_once, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_added_while_processing, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_done_of_strangers, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_delayed, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_earlier_time_wins, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_at_once_wins, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_due_while_processing, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_rate_limit, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_stats, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_shutdown, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_many_delays, setup, teardown),
	    cmocka_unit_test(test_get_blocks),
	    cmocka_unit_test(test_stress),
	};

	return cmocka_run_group_tests_name("workqueue", tests, NULL, NULL);
}
