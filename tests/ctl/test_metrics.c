/* The controller runtime's metrics carry the names that dashboards know. */
#include "ctl/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static gboolean reconcile(
    void *data, const char *key, struct reconcile_result *ret_result, GError **error)
{
	(void)data;
	(void)ret_result;
	if (strcmp(key, "a/bad") != 0)
		return TRUE;
	g_set_error(error, KUBE_ERROR, KUBE_ERROR_RETRY, "no");
	return FALSE;
}

static gboolean has_line(struct metrics *metrics, const char *line)
{
	g_autofree char *text = metrics_text(metrics);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	return g_strv_contains((const char *const *)lines, line);
}

static void wait_for_line(struct metrics *metrics, const char *line)
{
	gint64 end_us = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;

	while (!has_line(metrics, line)) {
		if (g_get_monotonic_time() > end_us) {
			g_autofree char *text = metrics_text(metrics);

			fail_msg("no line %s in\n%s", line, text);
		}
		g_usleep(1000);
	}
}

static void test_reconciles_and_queue(void **state)
{
	AUTO(metrics) metrics = metrics_new();
	AUTO(ctl_metrics) ctl_metrics = ctl_metrics_new(metrics);
	const struct controller_options options = {
	    .name = "model",
	    .workers = 2,
	    .reconcile = reconcile,
	    .waited = ctl_metrics_waited,
	    .observe = ctl_metrics_reconciled,
	    .observe_data = ctl_metrics,
	};
	AUTO(controller) controller = controller_new(clock_system(), NULL, &options);

	(void)state;
	ctl_metrics_watch_controller(ctl_metrics, controller, "model", 2);
	workqueue_add(controller_queue(controller), "a/good");
	wait_for_line(metrics, "workqueue_depth{name=\"model\",controller=\"model\"} 1");
	controller_start(controller);
	wait_for_line(metrics,
	    "controller_runtime_reconcile_total{controller=\"model\",result=\"success\"} 1");
	workqueue_add(controller_queue(controller), "a/bad");
	wait_for_line(metrics, "controller_runtime_reconcile_errors_total{controller=\"model\"} 1");
	controller_stop(controller);
	assert_true(has_line(metrics, "workqueue_depth{name=\"model\",controller=\"model\"} 0"));
	assert_true(has_line(
	    metrics, "controller_runtime_max_concurrent_reconciles{controller=\"model\"} 2"));
}

static void test_requests_and_leading(void **state)
{
	AUTO(metrics) metrics = metrics_new();
	AUTO(ctl_metrics) ctl_metrics = ctl_metrics_new(metrics);

	(void)state;
	ctl_metrics_requested(ctl_metrics, "apply", "deployments", 200, 3000);
	ctl_metrics_requested(ctl_metrics, "get", "pods", 0, 1);
	ctl_metrics_set_leading(ctl_metrics, "lease", TRUE);
	assert_true(has_line(metrics, "rest_client_requests_total{code=\"200\",method=\"PATCH\","
				      "resource=\"deployments\"} 1"));
	assert_true(has_line(metrics,
	    "rest_client_requests_total{code=\"<error>\",method=\"GET\",resource=\"pods\"} 1"));
	assert_true(has_line(metrics, "leader_election_master_status{name=\"lease\"} 1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reconciles_and_queue),
	    cmocka_unit_test(test_requests_and_leading),
	};

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
