/*
 * Exponential backoff with jitter, as client-go's wait.Backoff: the n-th failure waits
 * base * factor^(n-1), at most `cap_ms`, plus a random part of up to `jitter` of that (so the cap
 * may be passed by the jitter, as in client-go: many that wait at the cap must not wake together).
 *
 * Ownership: plain value, embed it. Threads: one at a time. Units: milliseconds.
 */
#ifndef BASE_BACKOFF_H
#define BASE_BACKOFF_H

#include <glib.h>

struct backoff {
	gint64 base_ms;
	gint64 cap_ms;
	double factor; /* 1 or less: the delay stays base_ms */
	double jitter; /* 0 = none, 0.5 = up to half of the delay is added */
	guint failures;
};

/* The delay after one more failure. `random` gives the jitter; NULL means no jitter. */
gint64 backoff_next_ms(struct backoff *backoff, GRand *random);

/* After a success: the next failure waits base_ms again. */
void backoff_reset(struct backoff *backoff);

#endif
