/*
 * Keeps a cache equal to the API server's objects of one resource, and tells handlers what
 * changed: client-go's reflector and shared informer.
 *
 *   list (pages) ─► replace cache ─► watch from its resourceVersion ─► events ─► cache, handlers
 *        ▲                                │ ended, reset: watch again after backoff
 *        └──────────── 410 Gone ──────────┘
 *
 * Nothing polls. A list finds what a broken watch missed: handlers see it as updates and deletes.
 *
 * Ownership: the caller's; handlers' data must outlive it. Threads: new, start, stop, free on the
 * loop's thread; informer_has_synced() and the cache from any. Handlers run on the loop's thread
 * and must only do quick things, such as adding to a workqueue.
 */
#ifndef CTL_INFORMER_H
#define CTL_INFORMER_H

#include "base/clock.h"
#include "ctl/cache.h"
#include "kube/client.h"

struct informer;

struct informer_options {
	const struct kube_resource *resource;
	const char *namespace;      /* NULL: all */
	const char *label_selector; /* NULL: all */
	kube_prune_fn prune;        /* NULL: keep everything but managedFields */
	cache_index_fn index;       /* NULL: none */
};

struct informer_handler {
	/*
	 * Added (old NULL) or changed; also for objects whose resourceVersion alone changed. An
	 * object that was deleted and made again unseen comes as changed, with another uid.
	 */
	void (*upserted)(
	    void *data, struct kube_object *old_object, struct kube_object *new_object);
	void (*deleted)(void *data, struct kube_object *object);
};

struct informer *informer_new(struct loop *loop, struct kube_client *client,
    const struct clock *clock, const struct informer_options *options);
void informer_free(struct informer *informer);
DEFINE_AUTO(informer, informer_free)

/* When the informer has synced already, the handler hears of all that is known, as added. */
void informer_add_handler(
    struct informer *informer, const struct informer_handler *handler, void *data);
void informer_start(struct informer *informer);
/* The cache stays; a later start begins with a list. */
void informer_stop(struct informer *informer);

/* Was the first list taken in whole? */
gboolean informer_has_synced(struct informer *informer);
struct cache *informer_cache(struct informer *informer);
const struct kube_resource *informer_resource(const struct informer *informer);
/* The last failure of list or watch, the caller's; NULL while all is well. Any thread. */
char *informer_last_error(struct informer *informer);
/*
 * How many objects have been left out since the last call, because they had no name or were too
 * large: they are as if they were not there. Any thread.
 */
guint informer_take_left_out(struct informer *informer);

#endif
