/*
 * An event loop that one thread runs (libuv), a thread-safe way into it, and timers.
 *
 * Ownership: loop_new/loop_free; the loop must outlive whatever was made on it.
 * Threads: loop_post() and loop_stop() from any thread; all else on the loop's own thread (or
 * before loop_run()). Callbacks run on the loop's thread and must not block.
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include "base/auto.h"

#include <uv.h>

struct loop;
struct loop_timer;

struct loop *loop_new(void);
/* Runs what was posted before, closes what is left open, frees. Not while loop_run() runs. */
void loop_free(struct loop *loop);
DEFINE_AUTO(loop, loop_free)

/* libuv's loop, for handles of one's own. */
uv_loop_t *loop_uv(struct loop *loop);

/* Runs until loop_stop(). May be called again afterwards. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* Is the caller on the thread that runs the loop now? For assertions against self-deadlock. */
gboolean loop_is_current(const struct loop *loop);

/*
 * Calls fn(data) on the loop's thread, soon, in the order of posting. Any thread. What is posted
 * to a loop that stops runs when it runs again, or in loop_free().
 */
void loop_post(struct loop *loop, void (*fn)(void *data), void *data);

/* Starts the loop on a thread of its own. `name` is at most 15 bytes. Join after loop_stop(). */
GThread *loop_run_in_thread(struct loop *loop, const char *name);

/* One-shot timer; starting it again moves it. Free from its own callback is allowed. */
struct loop_timer *loop_timer_new(struct loop *loop, void (*fn)(void *data), void *data);
void loop_timer_start(struct loop_timer *timer, gint64 after_ms);
void loop_timer_stop(struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer);

/* Calls fn on SIGTERM and SIGINT (on the loop's thread). For mains. */
void loop_on_terminate(struct loop *loop, void (*fn)(void *data), void *data);

#endif
