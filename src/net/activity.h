/*
 * Which connections to a local TCP port have a request under way, seen from outside the server: for
 * servers that cannot tell (Ollama). The kernel knows how much each connection has moved, and when.
 *
 *   nothing sent since the last bytes came    the client waits for its answer   busy
 *   bytes sent a moment ago                   an answer streams                 busy
 *   sent after it received, and quiet         kept alive between requests       idle
 *
 * Threads: any. Only connections of the caller's network namespace are seen.
 * Source: sock_diag(7), struct tcp_info of linux/tcp.h. Needs no privilege. Linux only.
 */
#ifndef NET_ACTIVITY_H
#define NET_ACTIVITY_H

#include "net/error.h"

struct activity {
	guint connections;
	guint busy;
};

/*
 * A connection that sent nothing for `quiet_ms`, and owes no answer, is idle. Errors: SYSTEM.
 */
gboolean activity_of_port(guint16 port, guint quiet_ms, struct activity *ret_activity,
    GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
