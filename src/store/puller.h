/*
 * The table of the models that this node has or wants, and the threads that pull them.
 *
 *   Queued -> Resolving -> Pulling -> Ready
 *                 ^            |
 *                 +- Failed <--+      tried again after a while, as long as someone waits
 *
 * Many requests for one model are one pull, and a blob that two models share is transferred once.
 * A request is a ticket: it is served when a run that began after it has succeeded, so "Always"
 * means a look at the registry after the request was made.
 *
 * Ownership: puller_new/puller_free; what the options point to must outlive it. States are copies,
 * the caller's. Threads: any, except puller_free. `changed` is called from any thread, under the
 * puller's lock: it must only post.
 * Limits: PULLER_MAX_IMAGES in the table.
 */
#ifndef STORE_PULLER_H
#define STORE_PULLER_H

#include "store/image_state.h"
#include "store/pull.h"

enum { PULLER_MAX_IMAGES = 4096 };

struct puller_options {
	const struct content *content;
	const struct registry_options *registry;
	guint threads;               /* 0: 2 models at a time */
	gint64 retry_base_ms;        /* 0: 1 s */
	gint64 retry_cap_ms;         /* 0: 30 s */
	gint64 retry_late_ms;        /* 0: 60 s, for what will not go away by itself */
	void (*changed)(void *data); /* some state changed; may be NULL */
	void (*note)(void *data, const struct image_state *state); /* a pull begins, is done, has
				failed: for a log; from the pulling thread. May be NULL */
	void *data;
};

struct puller;

/* Looks through the content store for what is Ready already, starts the threads. */
struct puller *puller_new(const struct puller_options *options);
/* Breaks off what is under way (it can be resumed), joins the threads. */
void puller_free(struct puller *puller);
DEFINE_AUTO(puller, puller_free)

/* Registers a waiter; a ticket, never 0. 0: the table is full. */
guint64 puller_want(
    struct puller *puller, const struct reference *reference, enum pull_policy policy);
/* The waiter is gone, or has what it wanted. A pull under way goes on. */
void puller_unwant(struct puller *puller, const struct reference *reference);

/* A copy of one image's state; NULL: not in the table. */
struct image_state *puller_get(struct puller *puller, const struct reference *reference);
/* Copies of the states with a version over `since`, oldest change first. */
GPtrArray *puller_since(struct puller *puller, guint64 since);

#endif
