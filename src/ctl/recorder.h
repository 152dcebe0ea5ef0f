/*
 * Kubernetes Events about objects, aggregated as client-go does: the same event again raises
 * `count` of the first one instead of making another; a burst of one object is limited.
 *
 * Recording never fails and never blocks: Events are best effort. They are written by a thread of
 * the recorder's own. Threads: any. Limits: 1,000 wait at most; more are dropped and counted.
 * Source: client-go tools/record; core/v1 Event.
 */
#ifndef CTL_RECORDER_H
#define CTL_RECORDER_H

#include "base/clock.h"
#include "kube/client.h"

struct recorder;

/* What the Event is about; borrowed. */
struct object_ref {
	const char *api_version;
	const char *kind;
	const char *namespace;
	const char *name;
	const char *uid;
};

/* `component` "ollama-operator", `instance` the pod's name. */
struct recorder *recorder_new(struct kube_client *client, const struct clock *clock,
    const char *component, const char *instance);
/*
 * Writes what waits, for at most 2 s and the one request under way then: give the recorder a client
 * whose deadline_ms suits the way the process ends. Not on the loop's thread.
 */
void recorder_free(struct recorder *recorder);
DEFINE_AUTO(recorder, recorder_free)

/* `type` "Normal" or "Warning", `reason` CamelCase, `message` a sentence (cut at 1 KiB). */
void recorder_event(struct recorder *recorder, const struct object_ref *about, const char *type,
    const char *reason, const char *format, ...) G_GNUC_PRINTF(5, 6);

struct recorder_stats {
	guint64 written; /* created, or counted up */
	guint64 limited; /* held back: their object had too many (25, then one in 5 minutes) */
	guint64 dropped; /* the queue was full */
	guint64 failed;  /* the API server would not have them, or could not be reached */
};
void recorder_get_stats(struct recorder *recorder, struct recorder_stats *ret_stats);

#endif
