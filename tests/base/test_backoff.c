#include "base/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void grows_to_the_cap(void **state)
{
	struct backoff backoff = {.base_ms = 100, .cap_ms = 1000, .factor = 2};
	const gint64 expected[] = {100, 200, 400, 800, 1000, 1000};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(expected); i++)
		assert_int_equal(backoff_next_ms(&backoff, NULL), expected[i]);
}

static void success_starts_over(void **state)
{
	struct backoff backoff = {.base_ms = 100, .cap_ms = 1000, .factor = 2};

	(void)state;
	backoff_next_ms(&backoff, NULL);
	assert_int_equal(backoff_next_ms(&backoff, NULL), 200);
	backoff_reset(&backoff);
	assert_int_equal(backoff_next_ms(&backoff, NULL), 100);
}

/* Every delay is within [delay, delay * 1.5), and they are not all the same. */
static void jitter_adds_up_to_its_share(void **state)
{
	g_autoptr(GRand) random = g_rand_new_with_seed(7);
	gint64 least = G_MAXINT64, most = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		struct backoff backoff = {
		    .base_ms = 1000, .cap_ms = 60000, .factor = 2, .jitter = 0.5};
		gint64 delay_ms = backoff_next_ms(&backoff, random);

		least = MIN(least, delay_ms);
		most = MAX(most, delay_ms);
	}
	assert_in_range(least, 1000, 1050);
	assert_in_range(most, 1450, 1499);
}

static void no_jitter_is_asked_for(void **state)
{
	struct backoff backoff = {.base_ms = 100, .cap_ms = 1000, .factor = 2};
	g_autoptr(GRand) random = g_rand_new_with_seed(7);

	(void)state;
	assert_int_equal(backoff_next_ms(&backoff, random), 100);
}

/* Two billion failures must neither take long nor overflow. */
static void many_failures_cost_nothing(void **state)
{
	struct backoff still = {.base_ms = 5, .cap_ms = 1000, .factor = 1, .failures = G_MAXUINT};
	struct backoff zero = {.base_ms = 0, .cap_ms = 1000, .factor = 2, .failures = G_MAXUINT};
	struct backoff huge = {
	    .base_ms = 1, .cap_ms = G_MAXINT64, .factor = 10, .failures = G_MAXUINT};

	(void)state;
	assert_int_equal(backoff_next_ms(&still, NULL), 5);
	assert_int_equal(still.failures, G_MAXUINT);
	assert_int_equal(backoff_next_ms(&zero, NULL), 0);
	assert_int_equal(backoff_next_ms(&huge, NULL), G_MAXINT64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(grows_to_the_cap),
	    cmocka_unit_test(success_starts_over),
	    cmocka_unit_test(jitter_adds_up_to_its_share),
	    cmocka_unit_test(no_jitter_is_asked_for),
	    cmocka_unit_test(many_failures_cost_nothing),
	};

	return cmocka_run_group_tests_name("base/backoff", tests, NULL, NULL);
}
