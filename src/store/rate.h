/*
 * Bytes per second over the last five seconds. A plain value: embed it, zeroed.
 * Threads: one at a time. Time and counter are passed in; the counter may fall (a restart).
 */
#ifndef STORE_RATE_H
#define STORE_RATE_H

#include <glib.h>

enum { RATE_SAMPLES = 11, RATE_GAP_MS = 500 };

struct rate {
	struct {
		gint64 at_ms, bytes;
	} samples[RATE_SAMPLES]; /* a ring, oldest overwritten */
	guint n, next;
};

/* `total_bytes` have arrived by now. */
void rate_note(struct rate *rate, gint64 now_ms, gint64 total_bytes);
/* 0 while nothing can be said. */
gint64 rate_per_second(const struct rate *rate, gint64 now_ms, gint64 total_bytes);

#endif
