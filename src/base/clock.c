#include "base/clock.h"

static gint64 system_monotonic_ms(const struct clock *clock)
{
	(void)clock;
	return g_get_monotonic_time() / 1000;
}

static gint64 system_wall_us(const struct clock *clock)
{
	(void)clock;
	return g_get_real_time();
}

const struct clock *clock_system(void)
{
	static const struct clock system = {system_monotonic_ms, system_wall_us};
	return &system;
}

/* The struct clock is the first member, so the cast back is the usual embedding. */
static gint64 fake_monotonic_ms(const struct clock *clock)
{
	return ((const struct fake_clock *)(const void *)clock)->monotonic_value_ms;
}

static gint64 fake_wall_us(const struct clock *clock)
{
	return ((const struct fake_clock *)(const void *)clock)->wall_value_us;
}

void fake_clock_init(struct fake_clock *fake, gint64 wall_us)
{
	fake->clock.monotonic_ms = fake_monotonic_ms;
	fake->clock.wall_us = fake_wall_us;
	fake->monotonic_value_ms = 0;
	fake->wall_value_us = wall_us;
}

void fake_clock_advance(struct fake_clock *fake, gint64 ms)
{
	fake->monotonic_value_ms += ms;
	fake->wall_value_us += ms * 1000;
}
