/*
 * A queue, its workers and the reconciler they call: controller-runtime's controller.
 *
 * Ownership: the caller's; it must outlive the informers it watches (free those first).
 * Threads: reconcile() runs on worker threads, one per key at a time.
 */
#ifndef CTL_CONTROLLER_H
#define CTL_CONTROLLER_H

#include "base/log.h"
#include "ctl/informer.h"
#include "ctl/workqueue.h"

struct controller;

struct reconcile_result {
	gint64 requeue_after_ms; /* 0: not before something changes */
};

/*
 * Brings the object named by `key` ("namespace/name", it may be gone) one step nearer to what is
 * wanted. FALSE with an error: again after the key's backoff.
 */
typedef gboolean (*reconcile_fn)(
    void *data, const char *key, struct reconcile_result *ret_result, GError **error);

enum reconcile_outcome {
	RECONCILE_SUCCESS,
	RECONCILE_REQUEUE_AFTER, /* success, and again after a while */
	RECONCILE_ERROR,
};

struct controller_options {
	const char *name; /* "model": in logs and metrics */
	guint workers;    /* default 4 */
	reconcile_fn reconcile;
	void *data;
	/* For metrics; on the worker that takes or has done a key. May be NULL. */
	void (*waited)(void *observe_data, gint64 waited_ms);
	void (*observe)(void *observe_data, enum reconcile_outcome outcome, gint64 took_us);
	void *observe_data;
};

struct controller *controller_new(
    const struct clock *clock, struct log *log, const struct controller_options *options);
/* Stops first when it runs. */
void controller_free(struct controller *controller);
DEFINE_AUTO(controller, controller_free)

struct workqueue *controller_queue(struct controller *controller);

/* Adds the key of each changed object itself. */
void controller_watch(struct controller *controller, struct informer *informer);
/*
 * Adds the key of each changed object's owner of `owner_kind`: its controller ownerReference, in
 * the same namespace. For children.
 */
void controller_watch_owned(
    struct controller *controller, struct informer *informer, const char *owner_kind);
/* Adds whatever `map` adds to the queue for a changed or deleted object. */
typedef void (*controller_map_fn)(void *data, struct kube_object *object, struct workqueue *queue);
void controller_watch_mapped(
    struct controller *controller, struct informer *informer, controller_map_fn map, void *data);

/* Starts the workers. */
void controller_start(struct controller *controller);
/*
 * Lets running reconciles end, then joins the workers. Not on the loop's thread: they need it. For
 * good: a stopped controller can't be started again.
 */
void controller_stop(struct controller *controller);

#endif
