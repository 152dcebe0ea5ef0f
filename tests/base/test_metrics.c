/* Metrics and their text: what Prometheus reads must be exactly right. */
#include "base/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void assert_has_line(struct metrics *metrics, const char *line)
{
	g_autofree char *text = metrics_text(metrics);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	if (!g_strv_contains((const char *const *)lines, line))
		fail_msg("no line %s in\n%s", line, text);
}

static void test_counter_and_gauge(void **state)
{
	AUTO(metrics) metrics = metrics_new();
	struct metric *requests =
	    metrics_counter(metrics, "requests_total", "Requests.", "code", "verb", NULL);
	struct metric *leader = metrics_gauge(metrics, "leader", "Leads.", NULL);

	(void)state;
	metric_add(requests, 1, "200", "GET");
	metric_add(requests, 2, "200", "GET");
	metric_add(requests, 1, "404", "GET");
	metric_set(leader, 1);
	metric_set(leader, 0);
	assert_has_line(metrics, "# HELP requests_total Requests.");
	assert_has_line(metrics, "# TYPE requests_total counter");
	assert_has_line(metrics, "requests_total{code=\"200\",verb=\"GET\"} 3");
	assert_has_line(metrics, "requests_total{code=\"404\",verb=\"GET\"} 1");
	assert_has_line(metrics, "leader 0");
}

static void test_histogram_is_cumulative(void **state)
{
	static const double bounds[] = {0.1, 1};
	AUTO(metrics) metrics = metrics_new();
	struct metric *seconds = metrics_histogram(
	    metrics, "seconds", "How long.", bounds, G_N_ELEMENTS(bounds), "name", NULL);

	(void)state;
	metric_observe(seconds, 0.1, "a");
	metric_observe(seconds, 0.5, "a");
	metric_observe(seconds, 5, "a");
	assert_has_line(metrics, "seconds_bucket{name=\"a\",le=\"0.1\"} 1");
	assert_has_line(metrics, "seconds_bucket{name=\"a\",le=\"1\"} 2");
	assert_has_line(metrics, "seconds_bucket{name=\"a\",le=\"+Inf\"} 3");
	assert_has_line(metrics, "seconds_sum{name=\"a\"} 5.6");
	assert_has_line(metrics, "seconds_count{name=\"a\"} 3");
}

static void test_label_values_are_escaped(void **state)
{
	AUTO(metrics) metrics = metrics_new();
	struct metric *metric = metrics_counter(metrics, "x", "X.", "l", NULL);

	(void)state;
	metric_add(metric, 1, "a\"b\\c\nd");
	metric_add(metric, 1, "\xff");
	metric_add(metric, 1, (const char *)NULL);
	assert_has_line(metrics, "x{l=\"a\\\"b\\\\c\\nd\"} 1");
	assert_has_line(metrics, "x{l=\"\xef\xbf\xbd\"} 1");
	assert_has_line(metrics, "x{l=\"\"} 1");
}

static void test_series_are_bounded(void **state)
{
	AUTO(metrics) metrics = metrics_new();
	struct metric *metric = metrics_counter(metrics, "x", "X.", "l", NULL);

	(void)state;
	for (int i = 0; i < METRIC_MAX_SERIES + 5; i++) {
		g_autofree char *value = g_strdup_printf("%d", i);

		metric_add(metric, 1, value);
	}
	assert_has_line(metrics, "metrics_series_dropped_total 5");
	metric_add(metric, 1, "0");
	assert_has_line(metrics, "x{l=\"0\"} 2");
}

static void set_to_seven(void *data)
{
	metric_set(data, 7);
}

static void test_collectors_and_process(void **state)
{
	AUTO(metrics) metrics = metrics_new();
	struct metric *gauge = metrics_gauge(metrics, "late", "Late.", NULL);
	g_autofree char *text = NULL;
	const char *resident;

	(void)state;
	metrics_on_collect(metrics, set_to_seven, gauge, NULL);
	metrics_add_process(metrics);
	assert_has_line(metrics, "late 7");
	text = metrics_text(metrics);
	resident = strstr(text, "\nprocess_resident_memory_bytes ");
	assert_non_null(resident);
	assert_true(
	    g_ascii_strtod(resident + strlen("\nprocess_resident_memory_bytes "), NULL) > 1e5);
}

static void test_null_is_left_alone(void **state)
{
	(void)state;
	metric_add(NULL, 1);
	metric_set(NULL, 1);
	metric_observe(NULL, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_counter_and_gauge),
	    cmocka_unit_test(test_histogram_is_cumulative),
	    cmocka_unit_test(test_label_values_are_escaped),
	    cmocka_unit_test(test_series_are_bounded),
	    cmocka_unit_test(test_collectors_and_process),
	    cmocka_unit_test(test_null_is_left_alone),
	};

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
