#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/loop.h"

#include <signal.h>
#include <unistd.h>

#define THREADS 4
#define POSTS 5000

struct poster {
	struct loop *loop;
	int last;   /* loop's thread only */
	int *total; /* loop's thread only */
	gboolean sorted;
};

struct post {
	struct poster *poster;
	int number;
};

static void on_post(void *data)
{
	struct post *post = data;
	struct poster *poster = post->poster;

	poster->sorted = poster->sorted && post->number == poster->last + 1;
	poster->last = post->number;
	*poster->total += 1;
	if (*poster->total == THREADS * POSTS)
		loop_stop(poster->loop);
	g_free(post);
}

static gpointer post_many(gpointer data)
{
	struct poster *poster = data;

	for (int i = 1; i <= POSTS; i++) {
		struct post *post = g_new(struct post, 1);
		*post = (struct post){poster, i};
		loop_post(poster->loop, on_post, post);
	}
	return NULL;
}

static void test_posts_from_threads_keep_their_order(void **state)
{
	struct loop *loop = loop_new();
	struct poster posters[THREADS];
	GThread *threads[THREADS];
	int total = 0;

	(void)state;
	for (int i = 0; i < THREADS; i++) {
		posters[i] = (struct poster){loop, 0, &total, TRUE};
		threads[i] = g_thread_new("poster", post_many, &posters[i]);
	}
	loop_run(loop);
	for (int i = 0; i < THREADS; i++) {
		g_thread_join(threads[i]);
		assert_true(posters[i].sorted);
	}
	assert_int_equal(total, THREADS * POSTS);
	loop_free(loop);
}

static void count(void *data)
{
	*(int *)data += 1;
}

static void stop(void *data)
{
	loop_stop(data);
}

static void test_stop_before_run_is_kept(void **state)
{
	AUTO(loop) loop = loop_new();
	int counter = 0;

	(void)state;
	loop_stop(loop);
	loop_run(loop);
	/* And it runs again afterwards. */
	loop_post(loop, count, &counter);
	loop_post(loop, stop, loop);
	loop_run(loop);
	assert_int_equal(counter, 1);
}

static void test_free_runs_what_was_posted(void **state)
{
	struct loop *loop = loop_new();
	int counter = 0;

	(void)state;
	loop_post(loop, count, &counter);
	loop_free(loop);
	assert_int_equal(counter, 1);
	loop_free(NULL);
}

struct timers {
	struct loop *loop;
	struct loop_timer *first, *second, *never;
	GString *order;
};

static void on_first(void *data)
{
	struct timers *timers = data;

	g_string_append_c(timers->order, '1');
	loop_timer_free(timers->first);
	loop_timer_stop(timers->never);
	loop_timer_start(timers->second, 1);
}

static void on_second(void *data)
{
	struct timers *timers = data;

	g_string_append_c(timers->order, '2');
	if (timers->order->len < 4)
		loop_timer_start(timers->second, 1);
	else
		loop_stop(timers->loop);
}

static void on_never(void *data)
{
	struct timers *timers = data;

	g_string_append_c(timers->order, 'x');
}

static void test_timers(void **state)
{
	struct timers timers = {.loop = loop_new(), .order = g_string_new(NULL)};

	(void)state;
	timers.first = loop_timer_new(timers.loop, on_first, &timers);
	timers.second = loop_timer_new(timers.loop, on_second, &timers);
	timers.never = loop_timer_new(timers.loop, on_never, &timers);
	loop_timer_start(timers.second, 60000);
	loop_timer_start(timers.never, 2);
	loop_timer_start(timers.first, 0);
	loop_run(timers.loop);
	assert_string_equal(timers.order->str, "1222");
	loop_timer_free(timers.second);
	loop_timer_free(timers.never);
	loop_timer_free(NULL);
	loop_free(timers.loop);
	g_string_free(timers.order, TRUE);
}

struct whereabouts {
	struct loop *loop;
	gboolean on_loop;
};

static void look(void *data)
{
	struct whereabouts *where = data;

	where->on_loop = loop_is_current(where->loop);
	loop_stop(where->loop);
}

static void test_is_current(void **state)
{
	AUTO(loop) loop = loop_new();
	struct whereabouts where = {loop, FALSE};
	GThread *thread = loop_run_in_thread(loop, "other");

	(void)state;
	assert_false(loop_is_current(loop));
	loop_post(loop, look, &where);
	g_thread_join(thread);
	assert_true(where.on_loop);
	assert_false(loop_is_current(loop));
}

static void on_terminate(void *data)
{
	loop_stop(data);
}

static void test_terminate(void **state)
{
	AUTO(loop) loop = loop_new();

	(void)state;
	loop_on_terminate(loop, on_terminate, loop);
	assert_int_equal(kill(getpid(), SIGTERM), 0);
	loop_run(loop);
	assert_int_equal(kill(getpid(), SIGINT), 0);
	loop_run(loop);
}

static void write_to_closed_pipe(void *data)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	close(fds[0]);
	assert_int_equal(write(fds[1], "x", 1), -1);
	close(fds[1]);
	loop_stop(data);
}

static void test_sigpipe_does_not_kill(void **state)
{
	AUTO(loop) loop = loop_new();

	(void)state;
	loop_post(loop, write_to_closed_pipe, loop);
	loop_run(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_posts_from_threads_keep_their_order),
	    cmocka_unit_test(test_stop_before_run_is_kept),
	    cmocka_unit_test(test_free_runs_what_was_posted),
	    cmocka_unit_test(test_timers),
	    cmocka_unit_test(test_is_current),
	    cmocka_unit_test(test_terminate),
	    cmocka_unit_test(test_sigpipe_does_not_kill),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
