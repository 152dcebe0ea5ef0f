/*
 * The recorder's inside, for this room and its tests: one record of what happened, and the
 * correlator, which decides what becomes of it (client-go's EventCorrelator).
 *
 *   recorder_event ─► queue (1,000) ─► thread: correlator_observe ─► correlator_send ─► store
 */
#ifndef CTL_RECORDER_PRIV_H
#define CTL_RECORDER_PRIV_H

#include "base/lru.h"
#include "ctl/recorder.h"

/* Where Events are kept; errors are KUBE_ERROR. */
struct event_ops {
	gboolean (*create)(
	    void *store, const char *namespace, const char *body, gsize len, GError **error);
	/* JSON merge patch. */
	gboolean (*patch)(void *store, const char *namespace, const char *name, const char *body,
	    gsize len, GError **error);
};

/* One call of recorder_event(). */
struct event_record {
	char *api_version;
	char *kind;
	char *namespace; /* "" for cluster-scoped */
	char *name;
	char *uid;
	char *type;
	char *reason;
	char *message;
	gint64 wall_us;
	gint64 monotonic_ms;
};

struct event_record *event_record_new(const struct clock *clock, const struct object_ref *about,
    const char *type, const char *reason, const char *message);
void event_record_free(struct event_record *record);
DEFINE_AUTO(event_record, event_record_free)

/* An Event that was made, or is about to be. */
struct known_event {
	char *name;
	guint count;
	gint64 first_us;
	gboolean stored;
};

struct correlator {
	const struct event_ops *ops;
	void *store;
	const char *component;
	const char *instance;
	struct lru *events;  /* of struct known_event, by object, type, reason, message */
	struct lru *buckets; /* of tokens, by object */
	guint sequence;      /* makes names unique within a microsecond */
};

/* Embedded; strings are borrowed. */
void correlator_init(struct correlator *correlator, const struct event_ops *ops, void *store,
    const char *component, const char *instance);
void correlator_done(struct correlator *correlator);

/*
 * Counts the record. The Event to write for it, borrowed until the next call; NULL: its object
 * has had too many.
 */
struct known_event *correlator_observe(
    struct correlator *correlator, const struct event_record *record);
/* Creates or patches it; RETRY may be tried again. */
gboolean correlator_send(struct correlator *correlator, const struct event_record *record,
    struct known_event *event, GError **error);

/* recorder_new() with another store, which must outlive the recorder. */
struct recorder *recorder_new_on(const struct event_ops *ops, void *store,
    const struct clock *clock, const char *component, const char *instance, gint64 retry_ms);

#endif
