#include "base/timefmt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const gint64 noon_us = 1795428672345678; /* 2026-11-23T10:11:12.345678Z */

static void writes_both_formats(void **state)
{
	g_autofree char *seconds = time_rfc3339(noon_us);
	g_autofree char *micros = time_rfc3339_us(noon_us);
	g_autofree char *small = time_rfc3339_us(7);
	g_autofree char *before = time_rfc3339_us(-1);
	g_autofree char *before_seconds = time_rfc3339(-1);

	(void)state;
	assert_string_equal(seconds, "2026-11-23T10:11:12Z");
	assert_string_equal(micros, "2026-11-23T10:11:12.345678Z");
	assert_string_equal(small, "1970-01-01T00:00:00.000007Z");
	assert_string_equal(before, "1969-12-31T23:59:59.999999Z");
	assert_string_equal(before_seconds, "1969-12-31T23:59:59Z");
}

/* A broken clock gives a strange time, not a crash. */
static void years_of_five_digits_are_held_back(void **state)
{
	g_autofree char *late = time_rfc3339(G_MAXINT64);
	g_autofree char *early = time_rfc3339(G_MININT64);

	(void)state;
	assert_string_equal(late, "9999-12-31T23:59:59Z");
	assert_string_equal(early, "0001-01-01T00:00:00Z");
}

static void reads_rfc_3339(void **state)
{
	static const struct {
		const char *text;
		gint64 wall_us;
	} cases[] = {
	    {"2026-11-23T10:11:12Z", 1795428672000000},
	    {"2026-11-23T10:11:12.345678Z", 1795428672345678},
	    {"2026-11-23T10:11:12.345678999Z", 1795428672345678},
	    {"2026-11-23T10:11:12.3Z", 1795428672300000},
	    {"2026-11-23T11:41:12.345678+01:30", 1795428672345678},
	    {"2026-11-23T04:11:12-06:00", 1795428672000000},
	    {"2026-11-23t10:11:12z", 1795428672000000},
	    {"1970-01-01T00:00:00Z", 0},
	    {"1969-12-31T23:59:59.5Z", -500000},
	    {"2024-02-29T00:00:00Z", 1709164800000000},
	    {"2016-12-31T23:59:60Z", 1483228799000000},
	};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		gint64 wall_us = -77;

		if (!time_parse(cases[i].text, &wall_us) || wall_us != cases[i].wall_us)
			fail_msg("%s: %" G_GINT64_FORMAT, cases[i].text, wall_us);
	}
}

static void refuses_the_rest_and_leaves_the_output(void **state)
{
	static const char *const wrong[] = {"", "now", "2026", "2026-11-23", "2026-11-23T10:11:12",
	    "2026-11-23 10:11:12Z", "2026-11-23T10:11Z", "20261123T101112Z", "2026-W47-1T10:11:12Z",
	    "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-11-31T00:00:00Z",
	    "2026-11-23T24:00:00Z", "2026-11-23T10:60:00Z", "2026-11-23T10:11:61Z",
	    "2026-11-23T10:11:12.Z", "2026-11-23T10:11:12,5Z", "2026-11-23T10:11:12ZZ",
	    "2026-11-23T10:11:12+1:00", "2026-11-23T10:11:12+0100", "2026-11-23T10:11:12+24:00",
	    "2026-11-23T10:11:12+01:60", "+026-11-23T10:11:12Z", "0000-01-01T00:00:00Z",
	    " 2026-11-23T10:11:12Z", "2026-11-23T10:11:12Z ", "2026-1-23T10:11:12Z"};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
		gint64 wall_us = -77;

		if (time_parse(wrong[i], &wall_us) || wall_us != -77)
			fail_msg("\"%s\" was read as %" G_GINT64_FORMAT, wrong[i], wall_us);
	}
}

/* Each microsecond survives: a resource lock compares its renewTime. */
static void what_is_written_reads_back(void **state)
{
	g_autoptr(GRand) random = g_rand_new_with_seed(3);

	(void)state;
	for (int i = 0; i < 20000; i++) {
		gint64 wall_us = noon_us + (gint64)g_rand_int(random) * 1009 - 1000000000000;
		g_autofree char *text = time_rfc3339_us(wall_us);
		gint64 back = 0;

		assert_true(time_parse(text, &back));
		assert_true(back == wall_us);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(writes_both_formats),
	    cmocka_unit_test(years_of_five_digits_are_held_back),
	    cmocka_unit_test(reads_rfc_3339),
	    cmocka_unit_test(refuses_the_rest_and_leaves_the_output),
	    cmocka_unit_test(what_is_written_reads_back),
	};

	return cmocka_run_group_tests_name("base/timefmt", tests, NULL, NULL);
}
