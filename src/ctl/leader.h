/*
 * Leader election over a coordination.k8s.io Lease, with client-go's times: a lease of 15 s,
 * renewed within 10 s, tried every 2 s. The leader gives the Lease up on a clean stop.
 *
 * A leader that cannot renew in time calls stopped_leading() and never leads again: its process
 * should end. Another manager's clock is never compared with ours: only how long the Lease has
 * looked the same to us counts.
 *
 * Requests are made one after the other, so a request that hangs delays stopped_leading() and
 * leader_stop() (never leader_may_write()): give the elector a client of its own whose deadline_ms
 * is half of renew_deadline_ms, as controller-runtime does.
 *
 * Threads: callbacks run on the elector's own thread, which renews the Lease: they must be quick
 * and must not call leader_stop().
 * Source: client-go tools/leaderelection.
 */
#ifndef CTL_LEADER_H
#define CTL_LEADER_H

#include "base/clock.h"
#include "base/log.h"
#include "kube/client.h"

struct leader;

struct leader_options {
	const char *namespace;
	const char *name;     /* of the Lease */
	const char *identity; /* ours, unique per process */
	/*
	 * With what the identities of our earlier processes begin, NULL: not known. Whoever holds
	 * the Lease under such a name is dead, so it is taken at once. Only for a name that no two
	 * live processes can have: a pod's.
	 */
	const char *own_prefix;
	gint64 lease_duration_ms; /* default 15 000 */
	gint64 renew_deadline_ms; /* default 10 000 */
	gint64 retry_period_ms;   /* default 2 000 */
	void (*started_leading)(void *data);
	void (*stopped_leading)(void *data); /* only after started_leading, not on leader_stop() */
	void *data;
};

/* Starts the elector's thread. */
struct leader *leader_start(struct kube_client *client, const struct clock *clock, struct log *log,
    const struct leader_options *options);
gboolean leader_is_leading(struct leader *leader);
/*
 * Still ours by our own clock right now? Writers ask before they write: a process that was paused
 * must not act on an old belief. It ends renew_deadline_ms after the last renewal that succeeded
 * was *begun*; another manager leads lease_duration_ms after that at the earliest, so what lies
 * between (5 s) is there for writes already on their way and for clocks that run unevenly.
 */
gboolean leader_may_write(struct leader *leader);
/* Gives the Lease up if it is ours, ends the thread. Not on the loop's thread. */
void leader_stop(struct leader *leader);
DEFINE_AUTO(leader, leader_stop)

#endif
