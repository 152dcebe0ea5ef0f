/*
 * The elector without its thread, for this room and its tests: one step reads or writes the Lease
 * and says what came of it and when to come again.
 *
 *   standby ── Lease free, expired or made ──► leading ── deadline passed, or taken ──► lost
 *
 * Threads: one at a time.
 * Source: client-go tools/leaderelection (tryAcquireOrRenew, renew, release).
 */
#ifndef CTL_LEADER_PRIV_H
#define CTL_LEADER_PRIV_H

#include "ctl/leader.h"

/* Where the one Lease is kept; errors are KUBE_ERROR. Returns the Lease as stored, the caller's. */
struct lease_ops {
	yyjson_doc *(*get)(void *store, GError **error);
	yyjson_doc *(*create)(void *store, const char *body, gsize len, GError **error);
	/* CONFLICT when the body's resourceVersion is no longer the stored one. */
	yyjson_doc *(*update)(void *store, const char *body, gsize len, GError **error);
};

enum elector_event {
	ELECTOR_NOTHING,
	ELECTOR_STARTED, /* leads from now on */
	ELECTOR_LOST,    /* led, and does no more: no further steps */
};

struct elector {
	const struct lease_ops *ops;
	void *store;
	const struct clock *clock;
	char *namespace;
	char *name;
	char *identity;
	char *own_prefix; /* NULL: none */
	gint64 lease_duration_ms;
	gint64 renew_deadline_ms;
	gint64 retry_period_ms;
	GRand *random;
	yyjson_doc *lease;  /* as last seen, NULL: never or gone */
	char *spec;         /* its spec's text: what "looks the same" is about */
	gint64 observed_ms; /* since then it looks like that */
	gboolean leading;
	gint64 renewed_ms; /* when the last request that made or kept us leader was begun */
};

void elector_init(struct elector *elector, const struct lease_ops *ops, void *store,
    const struct clock *clock, const struct leader_options *options);
void elector_done(struct elector *elector);

/* `error` tells why a step could do nothing, for a log; it may be set with any event. */
enum elector_event elector_step(struct elector *elector, gint64 *ret_wait_ms, GError **error);

/* Until then a leader may write: see leader_may_write(). */
gint64 elector_may_write_until_ms(const struct elector *elector);

/* Gives the Lease up; nothing happens when it isn't ours. */
gboolean elector_release(struct elector *elector, GError **error);

/* leader_start() with another store, which must outlive the leader. */
struct leader *leader_start_on(const struct lease_ops *ops, void *store, const struct clock *clock,
    struct log *log, const struct leader_options *options);

#endif
