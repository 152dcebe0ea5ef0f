#include "net/loop.h"

#include "net/sigpipe.h"

#include <signal.h>

struct post {
	struct post *next;
	void (*fn)(void *data);
	void *data;
};

struct loop {
	uv_loop_t uv;
	uv_async_t wake;
	uv_signal_t signals[2];
	gboolean has_signals;
	void (*on_terminate)(void *data);
	void *on_terminate_data;
	GThread *runner; /* atomic; NULL while nobody runs it */
	gint stop;       /* atomic */
	/*
	 * Why a pthread mutex and not GMutex: GLib's is made of futexes that the thread sanitizer
	 * cannot see, so each hand-over would be reported as a race.
	 */
	uv_mutex_t lock;
	struct post *first, **last; /* under `lock` */
};

static struct post *take_posts(struct loop *loop)
{
	uv_mutex_lock(&loop->lock);
	struct post *posts = loop->first;
	loop->first = NULL;
	loop->last = &loop->first;
	uv_mutex_unlock(&loop->lock);
	return posts;
}

/* Runs one batch. What the batch posts runs in the next turn, so that I/O is not starved. */
static gboolean run_posts(struct loop *loop)
{
	struct post *post = take_posts(loop);
	gboolean any = post != NULL;

	while (post != NULL) {
		struct post *next = post->next;
		post->fn(post->data);
		g_free(post);
		post = next;
	}
	return any;
}

static void on_wake(uv_async_t *wake)
{
	struct loop *loop = wake->data;

	run_posts(loop);
	if (g_atomic_int_get(&loop->stop))
		uv_stop(&loop->uv);
}

struct loop *loop_new(void)
{
	struct loop *loop = g_new0(struct loop, 1);

	/* Only the exhaustion of descriptors makes these fail, which at start nobody survives. */
	if (uv_loop_init(&loop->uv) != 0 || uv_mutex_init(&loop->lock) != 0 ||
	    uv_async_init(&loop->uv, &loop->wake, on_wake) != 0)
		g_error("no event loop: %s", g_strerror(errno));
	loop->wake.data = loop;
	loop->last = &loop->first;
	return loop;
}

static void close_handle(uv_handle_t *handle, void *data)
{
	(void)data;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

static void close_all(struct loop *loop)
{
	while (uv_loop_close(&loop->uv) == UV_EBUSY) {
		uv_walk(&loop->uv, close_handle, NULL);
		uv_run(&loop->uv, UV_RUN_DEFAULT);
	}
}

void loop_free(struct loop *loop)
{
	struct sigpipe_guard guard;

	if (loop == NULL)
		return;
	g_assert(g_atomic_pointer_get(&loop->runner) == NULL);
	sigpipe_block(&guard);
	g_atomic_pointer_set(&loop->runner, g_thread_self());
	while (run_posts(loop))
		;
	close_all(loop);
	/* Closing callbacks may have posted. */
	while (run_posts(loop))
		;
	sigpipe_restore(&guard);
	uv_mutex_destroy(&loop->lock);
	g_free(loop);
}

uv_loop_t *loop_uv(struct loop *loop)
{
	return &loop->uv;
}

void loop_run(struct loop *loop)
{
	struct sigpipe_guard guard;

	g_assert(g_atomic_pointer_get(&loop->runner) == NULL);
	sigpipe_block(&guard);
	g_atomic_pointer_set(&loop->runner, g_thread_self());
	uv_update_time(&loop->uv);
	while (!g_atomic_int_get(&loop->stop))
		uv_run(&loop->uv, UV_RUN_DEFAULT);
	g_atomic_int_set(&loop->stop, 0);
	g_atomic_pointer_set(&loop->runner, NULL);
	sigpipe_restore(&guard);
}

void loop_stop(struct loop *loop)
{
	g_atomic_int_set(&loop->stop, 1);
	uv_async_send(&loop->wake);
}

gboolean loop_is_current(const struct loop *loop)
{
	/* GLib's atomic reads take no pointer to const. */
	struct loop *self = (struct loop *)loop;

	return g_atomic_pointer_get(&self->runner) == g_thread_self();
}

void loop_post(struct loop *loop, void (*fn)(void *data), void *data)
{
	struct post *post = g_new(struct post, 1);

	*post = (struct post){.fn = fn, .data = data};
	uv_mutex_lock(&loop->lock);
	*loop->last = post;
	loop->last = &post->next;
	/* Inside the lock: afterwards the loop may already have run `fn` and be gone. */
	uv_async_send(&loop->wake);
	uv_mutex_unlock(&loop->lock);
}

static gpointer run_thread(gpointer data)
{
	loop_run(data);
	return NULL;
}

GThread *loop_run_in_thread(struct loop *loop, const char *name)
{
	return g_thread_new(name, run_thread, loop);
}

struct loop_timer {
	uv_timer_t uv;
	void (*fn)(void *data);
	void *data;
};

static void on_timer(uv_timer_t *uv)
{
	struct loop_timer *timer = uv->data;

	timer->fn(timer->data);
}

struct loop_timer *loop_timer_new(struct loop *loop, void (*fn)(void *data), void *data)
{
	struct loop_timer *timer = g_new0(struct loop_timer, 1);

	uv_timer_init(&loop->uv, &timer->uv);
	timer->uv.data = timer;
	timer->fn = fn;
	timer->data = data;
	return timer;
}

void loop_timer_start(struct loop_timer *timer, gint64 after_ms)
{
	/* The loop's clock stands still during a turn; a long turn must not shorten the wait. */
	uv_update_time(timer->uv.loop);
	uv_timer_start(&timer->uv, on_timer, (uint64_t)MAX(after_ms, 0), 0);
}

void loop_timer_stop(struct loop_timer *timer)
{
	uv_timer_stop(&timer->uv);
}

static void on_timer_closed(uv_handle_t *handle)
{
	g_free(handle->data);
}

void loop_timer_free(struct loop_timer *timer)
{
	if (timer != NULL)
		uv_close((uv_handle_t *)&timer->uv, on_timer_closed);
}

static void on_signal(uv_signal_t *handle, int signum)
{
	struct loop *loop = handle->data;

	(void)signum;
	loop->on_terminate(loop->on_terminate_data);
}

void loop_on_terminate(struct loop *loop, void (*fn)(void *data), void *data)
{
	static const int numbers[] = {SIGTERM, SIGINT};

	loop->on_terminate = fn;
	loop->on_terminate_data = data;
	if (loop->has_signals)
		return;
	loop->has_signals = TRUE;
	for (guint i = 0; i < G_N_ELEMENTS(numbers); i++) {
		uv_signal_init(&loop->uv, &loop->signals[i]);
		loop->signals[i].data = loop;
		uv_signal_start(&loop->signals[i], on_signal, numbers[i]);
	}
}
