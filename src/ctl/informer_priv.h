/*
 * The inside of an informer, for this room and its tests: the reflector, a state machine that
 * lists and watches, and the interface through which it reaches the API server and its timer.
 *
 *              start                     done: ok
 *   STOPPED ──────────► LISTING ───────────────────────► WATCHING ◄─┐ ended in order
 *      ▲                 ▲   │ error                       │ │ └────┘ after 1 s or more
 *      │ stop            │   ▼                             │ │
 *      └─ (from any)   WAITING (backoff, then list or watch) ◄┘
 *
 * Threads: the loop's only.
 * Source: client-go tools/cache, reflector.
 */
#ifndef CTL_INFORMER_PRIV_H
#define CTL_INFORMER_PRIV_H

#include "base/backoff.h"
#include "ctl/informer.h"

/* One resource of one API server, and one timer. Tests have their own. */
struct lister_watcher_ops {
	/* As kube_list_start(): gives the call for cancel_list(), until ops->done was called. */
	void *(*list)(
	    void *api, const char *resource_version, const struct kube_list_ops *ops, void *data);
	void (*cancel_list)(void *api, void *call);
	/* As kube_watch_start(), for stop_watch() until ops->done was called. */
	void *(*watch)(void *api, const char *resource_version, guint timeout_s,
	    const struct kube_watch_ops *ops, void *data);
	void (*stop_watch)(void *api, void *watch);
	/* Calls fn(data) once, later. At most one wait is under way. */
	void (*wait)(void *api, gint64 after_ms, void (*fn)(void *data), void *data);
	void (*cancel_wait)(void *api);
	void (*free)(void *api);
};

struct lister_watcher {
	const struct lister_watcher_ops *ops;
	void *api; /* freed by ops->free */
};

/* The real one. Strings are copied; the resource is borrowed. */
struct lister_watcher lister_watcher_kube(struct loop *loop, struct kube_client *client,
    const struct kube_resource *resource, const char *namespace, const char *label_selector);

/* Where the reflector puts what it learns. It may be stopped from inside any of these. */
struct reflector_sink {
	/* A list begins: forget the items of one that was broken off. */
	void (*list_begin)(void *data);
	void (*list_item)(void *data, yyjson_val *object);
	/* The items since list_begin() are all there is. */
	void (*list_end)(void *data);
	/* Added, modified or deleted; no bookmarks. */
	void (*event)(void *data, enum kube_event_type type, yyjson_val *object);
	/* NULL: all is well. */
	void (*health)(void *data, const GError *error);
};

enum reflector_state {
	REFLECTOR_STOPPED,
	REFLECTOR_LISTING,
	REFLECTOR_WATCHING,
	REFLECTOR_WAITING,
};

struct reflector {
	struct lister_watcher lister_watcher;
	const struct clock *clock;
	const struct reflector_sink *sink;
	void *sink_data;
	GRand *random;
	enum reflector_state state;
	enum reflector_state after_wait; /* LISTING or WATCHING */
	void *call;                      /* the list or watch under way */
	/*
	 * Counts state changes. Callbacks compare it to see whether the sink stopped the reflector,
	 * and a start whether the call was over before it returned.
	 */
	guint turn;
	GString *resource_version; /* last one seen */
	gint64 watch_since_ms;
	gint64 listed_ms;     /* when the last list had arrived */
	guint watch_failures; /* in a row, without one that was established */
	struct backoff backoff;
	gint64 last_wait_ms;
};

/* Embedded; takes over the lister_watcher. */
void reflector_init(struct reflector *reflector, struct lister_watcher lister_watcher,
    const struct clock *clock, const struct reflector_sink *sink, void *sink_data);
void reflector_done(struct reflector *reflector);
void reflector_start(struct reflector *reflector);
void reflector_stop(struct reflector *reflector);

/* informer_new() with another API server; takes over the lister_watcher. */
struct informer *informer_new_on(struct lister_watcher lister_watcher, const struct clock *clock,
    const struct informer_options *options);

#endif
