/*
 * Keys that want a reconcile: client-go's workqueue. A key is in the queue at most once; it is
 * worked on by at most one worker at a time; what is added meanwhile comes again afterwards.
 *
 *   add ─► waiting ─► get (processing) ─► done
 *            ▲  added while processing ────┘
 *
 * Ownership: keys are copied. Threads: any. Limits: as many keys as there are objects.
 * Source: client-go util/workqueue.
 */
#ifndef CTL_WORKQUEUE_H
#define CTL_WORKQUEUE_H

#include "base/auto.h"
#include "base/clock.h"

struct workqueue;

struct workqueue_options {
	gint64 base_delay_ms; /* first retry of a key; default 5 */
	gint64 max_delay_ms;  /* default 300 000; jitter of up to a fifth is added */
	guint32 seed;         /* for the jitter; 0: drawn */
	/*
	 * Told of each key that is taken how long it waited, on the thread that takes it: for
	 * metrics. May be NULL.
	 */
	void (*waited)(void *data, gint64 waited_ms);
	void *waited_data;
};

struct workqueue *workqueue_new(const struct clock *clock, const struct workqueue_options *options);
void workqueue_free(struct workqueue *queue);
DEFINE_AUTO(workqueue, workqueue_free)

void workqueue_add(struct workqueue *queue, const char *key);
/* Adds it later; an earlier time wins, an add at once wins over both. */
void workqueue_add_after(struct workqueue *queue, const char *key, gint64 after_ms);
/* Adds it after the key's own exponential backoff. */
void workqueue_add_rate_limited(struct workqueue *queue, const char *key);
/* Success: the key's backoff starts anew. */
void workqueue_forget(struct workqueue *queue, const char *key);

/*
 * Blocks for the next key, which is now being processed; the caller's. NULL: shut down. Delayed
 * keys are waited for in the system's time whatever the clock: with a fake one, try_get.
 */
char *workqueue_get(struct workqueue *queue);
/* The same without waiting; NULL also when nothing is due. */
char *workqueue_try_get(struct workqueue *queue);
void workqueue_done(struct workqueue *queue, const char *key);

/*
 * Wakes all getters; they get NULL, and so does whoever comes later: unlike client-go's, the queue
 * isn't emptied first. Adding does nothing from then on.
 */
void workqueue_shutdown(struct workqueue *queue);

struct workqueue_stats {
	guint depth;   /* waiting now */
	guint delayed; /* to be added later */
	guint processing;
	guint64 adds;
	guint64 retries;  /* rate-limited adds */
	gint64 oldest_ms; /* how long the longest waiting key waits */
};
void workqueue_stats(struct workqueue *queue, struct workqueue_stats *ret_stats);

#endif
