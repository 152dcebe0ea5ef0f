#include "base/duration.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void reads_what_go_reads(void **state)
{
	static const struct {
		const char *text;
		gint64 ms;
	} cases[] = {
	    {"0", 0},
	    {"-0", 0},
	    {"+0", 0},
	    {"0s", 0},
	    {"1s", 1000},
	    {"-1s", -1000},
	    {"+5s", 5000},
	    {"250ms", 250},
	    {"1.5h", 5400000},
	    {"1h30m", 5400000},
	    {"1h30m10.5s", 5410500},
	    {".5s", 500},
	    {"1.s", 1000},
	    {"1m1ms", 60001},
	    {"1500us", 2},
	    {"1500\302\265s", 2},
	    {"1500\316\274s", 2},
	    {"400us", 0},
	    {"1000000ns", 1},
	    {"-1h1m", -3660000},
	    {"2562047h47m16.854s", 9223372036854},
	    {"0.100000000000000000000h", 360000},
	    {"0.3333333333333333333h", 1200000},
	    {"5m0s", 300000},
	};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		gint64 ms = -77;

		if (!duration_parse_ms(cases[i].text, &ms) || ms != cases[i].ms)
			fail_msg("%s: %" G_GINT64_FORMAT, cases[i].text, ms);
	}
}

static void refuses_the_rest_and_leaves_the_output(void **state)
{
	static const char *const cases[] = {"", "-", "+", "s", ".", ".s", "-.s", "1", "3000", "1x",
	    "1hr", " 1s", "1s ", "1 s", "1e3s", "1E3s", "0x10s", "0X10s", "--1s", "+-1s", "1s-1s",
	    "1_000s", "1,5s", "1..5s", "1.5.s", "infs", "nans", "INFs", "1d", "1S", "00",
	    "9999999999999999999h", "1\302s"};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		gint64 ms = -77;

		if (duration_parse_ms(cases[i], &ms) || ms != -77)
			fail_msg("\"%s\" was read as %" G_GINT64_FORMAT, cases[i], ms);
	}
}

/* A number as long as a megabyte is refused or read, but never overflows anything. */
static void bears_long_digits(void **state)
{
	g_autofree char *nines = g_strnfill(100000, '9');
	g_autofree char *large = g_strconcat(nines, "h", NULL);
	g_autofree char *fine = g_strconcat("0.", nines, "s", NULL);
	gint64 ms = 0;

	(void)state;
	assert_false(duration_parse_ms(large, &ms));
	assert_true(duration_parse_ms(fine, &ms));
	assert_int_equal(ms, 1000);
}

static void writes_for_people(void **state)
{
	static const struct {
		gint64 ms;
		const char *text;
	} cases[] = {
	    {0, "0ms"},
	    {850, "850ms"},
	    {999, "999ms"},
	    {1000, "1s"},
	    {1500, "1.5s"},
	    {1999, "1.9s"},
	    {59999, "59.9s"},
	    {60000, "1m0s"},
	    {123000, "2m3s"},
	    {3599999, "59m59s"},
	    {3600000, "1h0m"},
	    {90061000, "25h1m"},
	    {-850, "-850ms"},
	    {-1500, "-1.5s"},
	    {-3600000, "-1h0m"},
	    {G_MAXINT64, "2562047788015h12m"},
	    {G_MININT64, "-2562047788015h12m"},
	};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *text = duration_format_ms(cases[i].ms);

		assert_string_equal(text, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_what_go_reads),
	    cmocka_unit_test(refuses_the_rest_and_leaves_the_output),
	    cmocka_unit_test(bears_long_digits),
	    cmocka_unit_test(writes_for_people),
	};

	return cmocka_run_group_tests_name("base/duration", tests, NULL, NULL);
}
