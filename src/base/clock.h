/*
 * Time as a parameter. Code that waits or stamps takes a `const struct clock *`, so that tests
 * can hold the hands; only mains use clock_system().
 *
 * Threads: a clock may be read from any thread.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <glib.h>

struct clock {
	/* Milliseconds that only move forward; the zero point means nothing. */
	gint64 (*monotonic_ms)(const struct clock *clock);
	/* Microseconds since 1970-01-01 UTC; may jump when the node's clock is set. */
	gint64 (*wall_us)(const struct clock *clock);
};

const struct clock *clock_system(void);

static inline gint64 clock_monotonic_ms(const struct clock *clock)
{
	return clock->monotonic_ms(clock);
}

static inline gint64 clock_wall_us(const struct clock *clock)
{
	return clock->wall_us(clock);
}

/* A clock for tests: stands still until it is moved. Embed or put on the stack. */
struct fake_clock {
	struct clock clock;
	gint64 monotonic_value_ms;
	gint64 wall_value_us;
};

void fake_clock_init(struct fake_clock *fake, gint64 wall_us);
void fake_clock_advance(struct fake_clock *fake, gint64 ms);

#endif
