#include "base/quantity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct {
	const char *text;
	gint64 value;
	gint64 milli; /* 0 with a value: beyond 64 bits */
} cases[] = {
    {"0", 0, 0},
    {"1", 1, 1000},
    {"0.1", 1, 100},
    {"500m", 1, 500},
    {"0.5", 1, 500},
    {"1500m", 2, 1500},
    {"1000m", 1, 1000},
    {"1.5", 2, 1500},
    {"1e3", 1000, 1000000},
    {"1E3", 1000, 1000000},
    {"1e+3", 1000, 1000000},
    {"12e-1", 2, 1200},
    {"1.5Gi", 1610612736, 1610612736000},
    {"1Ki", 1024, 1024000},
    {"0.5Ki", 512, 512000},
    {"2Mi", 2097152, 2097152000},
    {"1k", 1000, 1000000},
    {"1M", 1000000, 1000000000},
    {"1G", 1000000000, 1000000000000},
    {"-1", -1, -1000},
    {"+1", 1, 1000},
    {"-500m", -1, -500},
    {"-1.5", -2, -1500},
    {".5", 1, 500},
    {"1.", 1, 1000},
    {"-0", 0, 0},
    {"00012", 12, 12000},
    {"1n", 1, 1},
    {"1u", 1, 1},
    {"1000000n", 1, 1},
    {"1000001n", 1, 2},
    {"0.0000000000000000000000001", 1, 1},
    {"1.0000000000000000000000000", 1, 1000},
    {"1.0000000000000000000000001", 2, 1001},
    {"4700000000000001", 4700000000000001, 4700000000000001000},
    {"9223372036854775807", G_MAXINT64, 0},
    {"-9223372036854775807", -G_MAXINT64, 0},
    {"9223372036854775807m", 9223372036854776, G_MAXINT64},
    {"7Ei", 8070450532247928832, 0},
    {"7.999999999999999999Ei", G_MAXINT64, 0},
    {"9E", 9000000000000000000, 0},
    {"1P", 1000000000000000, 1000000000000000000},
    {"1Pi", 1125899906842624, 1125899906842624000},
    {"3T", 3000000000000, 3000000000000000},
    {"1Ti", 1099511627776, 1099511627776000},
};

static void reads_what_kubernetes_reads(void **state)
{
	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		gint64 value = -77, milli = -77;
		gboolean large = cases[i].milli == 0 && cases[i].value != 0;

		if (!quantity_parse(cases[i].text, &value) || value != cases[i].value)
			fail_msg("%s: %" G_GINT64_FORMAT, cases[i].text, value);
		if (quantity_parse_milli(cases[i].text, &milli) == large)
			fail_msg("%s in thousandths", cases[i].text);
		if (milli != (large ? -77 : cases[i].milli))
			fail_msg("%s: %" G_GINT64_FORMAT " thousandths", cases[i].text, milli);
	}
}

static void refuses_the_rest_and_leaves_the_output(void **state)
{
	static const char *const wrong[] = {"", " ", "-", "+", ".", "-.", "Gi", "m", "e3", "1 ",
	    " 1", "1 Gi", "1gi", "1GI", "1K", "1kB", "1GiB", "1MB", "1mi", "1e", "1e+", "1e-",
	    "1e 3", "1e3m", "1e3.5", "1e19", "1e-19", "1ee3", "1E3i", "0x10", "1_000", "1,5",
	    "1..5", "1.5.5", "--1", "+-1", "inf", "nan", "1e99999999999999999999",
	    "9223372036854775808", "8Ei", "10E", "-9223372036854775808", "99999999999999999999",
	    "9.3E", "1000000000000000000000000000000000000000000000000000"};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
		gint64 value = -77;

		if (quantity_parse(wrong[i], &value) || value != -77)
			fail_msg("\"%s\" was read as %" G_GINT64_FORMAT, wrong[i], value);
		if (quantity_parse_milli(wrong[i], &value) || value != -77)
			fail_msg("\"%s\" was read as %" G_GINT64_FORMAT "m", wrong[i], value);
	}
}

static void writes_bytes_as_quantity_and_reads_them_back(void **state)
{
	static const struct {
		gint64 bytes;
		const char *text;
	} written[] = {
	    {0, "0"},
	    {1, "1"},
	    {1000, "1000"},
	    {1023, "1023"},
	    {1024, "1Ki"},
	    {1536, "1536"},
	    {3072, "3Ki"},
	    {2147483648, "2Gi"},
	    {1610612736, "1536Mi"},
	    {-1048576, "-1Mi"},
	    {G_MAXINT64, "9223372036854775807"},
	    {1152921504606846976, "1Ei"},
	};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(written); i++) {
		g_autofree char *text = quantity_format_bytes(written[i].bytes);
		gint64 back = -77;

		assert_string_equal(text, written[i].text);
		assert_true(quantity_parse(text, &back));
		assert_true(back == written[i].bytes);
	}
}

static void writes_bytes_for_people_as_ollama(void **state)
{
	static const struct {
		gint64 bytes;
		const char *text;
	} written[] = {
	    {0, "0 B"},
	    {999, "999 B"},
	    {1000, "1 KB"},
	    {1500, "1.5 KB"},
	    {98765432, "98 MB"},
	    {4661224676, "4.7 GB"},
	    {2000000000, "2 GB"},
	    {9999, "10.0 KB"},
	    {10999, "10 KB"},
	    {42520413916, "42 GB"},
	    {404430188519, "404 GB"},
	    {1500000000000, "1.5 TB"},
	    {5000000000000000, "5000 TB"},
	    {G_MAXINT64, "9223372 TB"},
	};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(written); i++) {
		g_autofree char *text = quantity_human_bytes(written[i].bytes);

		assert_string_equal(text, written[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_what_kubernetes_reads),
	    cmocka_unit_test(refuses_the_rest_and_leaves_the_output),
	    cmocka_unit_test(writes_bytes_as_quantity_and_reads_them_back),
	    cmocka_unit_test(writes_bytes_for_people_as_ollama),
	};

	return cmocka_run_group_tests_name("base/quantity", tests, NULL, NULL);
}
