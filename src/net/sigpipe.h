/*
 * Keeps SIGPIPE away from a thread that writes to sockets, without touching the process's signal
 * dispositions: libuv writes by write(2), and libcurl with CURLOPT_NOSIGNAL leaves it to us.
 */
#ifndef NET_SIGPIPE_H
#define NET_SIGPIPE_H

#include <signal.h>

struct sigpipe_guard {
	sigset_t before;
};

void sigpipe_block(struct sigpipe_guard *guard);
/* Same thread. Swallows what became pending in between. */
void sigpipe_restore(const struct sigpipe_guard *guard);

#endif
