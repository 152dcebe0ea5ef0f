#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void fake_clock_stands_until_moved(void **state)
{
	struct fake_clock fake;

	(void)state;
	fake_clock_init(&fake, 5000000);
	assert_int_equal(clock_monotonic_ms(&fake.clock), 0);
	assert_int_equal(clock_wall_us(&fake.clock), 5000000);
	fake_clock_advance(&fake, 1500);
	assert_int_equal(clock_monotonic_ms(&fake.clock), 1500);
	assert_int_equal(clock_wall_us(&fake.clock), 6500000);
}

static void system_clock_moves_forward(void **state)
{
	const struct clock *clock = clock_system();
	gint64 before_ms = clock_monotonic_ms(clock);
	gint64 before_us = g_get_real_time();

	(void)state;
	assert_true(clock_monotonic_ms(clock) >= before_ms);
	assert_true(clock_wall_us(clock) >= before_us);
	assert_true(clock_wall_us(clock) - before_us < 60 * (gint64)G_USEC_PER_SEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(fake_clock_stands_until_moved),
	    cmocka_unit_test(system_clock_moves_forward),
	};

	return cmocka_run_group_tests_name("base/clock", tests, NULL, NULL);
}
