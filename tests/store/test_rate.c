/* Bytes per second, at a clock that the test holds. */
#include "store/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void steady(void **state)
{
	struct rate rate = {0};

	(void)state;
	assert_int_equal(rate_per_second(&rate, 0, 0), 0);
	for (gint64 ms = 0; ms <= 20000; ms += 10)
		rate_note(&rate, ms, ms * 100);
	assert_int_equal(rate_per_second(&rate, 20000, 2000000), 100000);
}

/* What was long ago does not count: after five slow seconds the rate is the slow one. */
static void forgets(void **state)
{
	struct rate rate = {0};
	gint64 bytes = 0;

	(void)state;
	for (gint64 ms = 0; ms < 10000; ms += 100)
		rate_note(&rate, ms, bytes += 1000000);
	for (gint64 ms = 10000; ms <= 16000; ms += 100)
		rate_note(&rate, ms, bytes += 100);
	assert_int_equal(rate_per_second(&rate, 16000, bytes), 1000);
}

/* A transfer that starts over makes the counter fall; the rate is never negative. */
static void starts_over(void **state)
{
	struct rate rate = {0};

	(void)state;
	rate_note(&rate, 0, 5000);
	rate_note(&rate, 1000, 0);
	assert_int_equal(rate_per_second(&rate, 2000, 3000), 3000);
	rate_note(&rate, 2000, 3000);
	assert_int_equal(rate_per_second(&rate, 3000, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(steady),
	    cmocka_unit_test(forgets),
	    cmocka_unit_test(starts_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
