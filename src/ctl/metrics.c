#include "ctl/metrics.h"

/* client-go's buckets of the workqueue: ten from 10 ns, each ten times the last. */
static const double queue_bounds[] = {
    1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 100, 1000};

/* controller-runtime's buckets of a reconcile. */
static const double reconcile_bounds[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35,
    0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5, 6, 7,
    8, 9, 10, 15, 20, 25, 30, 40, 50, 60};

/* client-go's buckets of a request. */
static const double request_bounds[] = {0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60};

struct ctl_metrics {
	struct metrics *registry;
	const char *controller_name;
	struct controller *controller;
	guint64 adds_told, retries_told;
	struct metric *reconciles, *reconcile_errors, *reconcile_seconds;
	struct metric *max_workers, *active_workers;
	struct metric *depth, *adds, *retries, *queue_seconds, *work_seconds, *longest;
	struct metric *requests, *request_seconds;
	struct metric *leading;
};

static void register_controller(struct ctl_metrics *m, struct metrics *r)
{
	m->reconciles = metrics_counter(r, "controller_runtime_reconcile_total",
	    "Total number of reconciliations per controller.", "controller", "result", NULL);
	m->reconcile_errors = metrics_counter(r, "controller_runtime_reconcile_errors_total",
	    "Total number of reconciliation errors per controller.", "controller", NULL);
	m->reconcile_seconds = metrics_histogram(r, "controller_runtime_reconcile_time_seconds",
	    "Length of time per reconciliation per controller.", reconcile_bounds,
	    G_N_ELEMENTS(reconcile_bounds), "controller", NULL);
	m->max_workers = metrics_gauge(r, "controller_runtime_max_concurrent_reconciles",
	    "Maximum number of concurrent reconciles per controller.", "controller", NULL);
	m->active_workers = metrics_gauge(r, "controller_runtime_active_workers",
	    "Number of currently used workers per controller.", "controller", NULL);
}

static void register_queue(struct ctl_metrics *m, struct metrics *r)
{
	m->depth = metrics_gauge(
	    r, "workqueue_depth", "Current depth of workqueue.", "name", "controller", NULL);
	m->adds = metrics_counter(r, "workqueue_adds_total",
	    "Total number of adds handled by workqueue.", "name", "controller", NULL);
	m->retries = metrics_counter(r, "workqueue_retries_total",
	    "Total number of retries handled by workqueue.", "name", "controller", NULL);
	m->queue_seconds = metrics_histogram(r, "workqueue_queue_duration_seconds",
	    "How long in seconds an item stays in workqueue before being requested.", queue_bounds,
	    G_N_ELEMENTS(queue_bounds), "name", "controller", NULL);
	m->work_seconds = metrics_histogram(r, "workqueue_work_duration_seconds",
	    "How long in seconds processing an item from workqueue takes.", queue_bounds,
	    G_N_ELEMENTS(queue_bounds), "name", "controller", NULL);
	m->longest = metrics_gauge(r, "workqueue_oldest_waiting_seconds",
	    "How long the item that waits longest has been waiting.", "name", "controller", NULL);
}

struct ctl_metrics *ctl_metrics_new(struct metrics *metrics)
{
	struct ctl_metrics *m = g_new0(struct ctl_metrics, 1);

	m->registry = metrics;
	m->controller_name = "";
	register_controller(m, metrics);
	register_queue(m, metrics);
	m->requests = metrics_counter(metrics, "rest_client_requests_total",
	    "Number of HTTP requests, partitioned by status code, verb, and resource.", "code",
	    "method", "resource", NULL);
	m->request_seconds = metrics_histogram(metrics, "rest_client_request_duration_seconds",
	    "Request latency in seconds. Broken down by verb.", request_bounds,
	    G_N_ELEMENTS(request_bounds), "verb", NULL);
	m->leading = metrics_gauge(metrics, "leader_election_master_status",
	    "Gauge of if the reporting system is master of the relevant lease.", "name", NULL);
	return m;
}

void ctl_metrics_free(struct ctl_metrics *ctl_metrics)
{
	g_free(ctl_metrics);
}

void ctl_metrics_waited(void *data, gint64 waited_ms)
{
	struct ctl_metrics *m = data;

	metric_observe(
	    m->queue_seconds, (double)waited_ms / 1000, m->controller_name, m->controller_name);
}

void ctl_metrics_reconciled(void *data, enum reconcile_outcome outcome, gint64 took_us)
{
	static const char *const results[] = {"success", "requeue_after", "error"};
	struct ctl_metrics *m = data;
	double seconds = (double)took_us / G_USEC_PER_SEC;

	metric_add(m->reconciles, 1, m->controller_name, results[outcome]);
	if (outcome == RECONCILE_ERROR)
		metric_add(m->reconcile_errors, 1, m->controller_name);
	metric_observe(m->reconcile_seconds, seconds, m->controller_name);
	metric_observe(m->work_seconds, seconds, m->controller_name, m->controller_name);
}

/* Dashboards sum by the HTTP method, as client-go tells it. */
static const char *http_method(const char *verb)
{
	static const char *const methods[][2] = {{"create", "POST"}, {"update", "PUT"},
	    {"apply", "PATCH"}, {"patch", "PATCH"}, {"delete", "DELETE"}};

	for (gsize i = 0; i < G_N_ELEMENTS(methods); i++) {
		if (g_str_equal(methods[i][0], verb))
			return methods[i][1];
	}
	return "GET";
}

void ctl_metrics_requested(
    void *data, const char *verb, const char *plural, int code, gint64 took_us)
{
	struct ctl_metrics *m = data;
	g_autofree char *text = code == 0 ? g_strdup("<error>") : g_strdup_printf("%d", code);

	metric_add(m->requests, 1, text, http_method(verb), plural);
	metric_observe(m->request_seconds, (double)took_us / G_USEC_PER_SEC, verb);
}

static void collect(void *data)
{
	struct ctl_metrics *m = data;
	const char *name = m->controller_name;
	struct workqueue_stats stats;

	workqueue_stats(controller_queue(m->controller), &stats);
	metric_set(m->depth, stats.depth, name, name);
	metric_set(m->active_workers, stats.processing, name);
	metric_set(m->longest, (double)stats.oldest_ms / 1000, name, name);
	metric_add(m->adds, (double)(stats.adds - m->adds_told), name, name);
	metric_add(m->retries, (double)(stats.retries - m->retries_told), name, name);
	m->adds_told = stats.adds;
	m->retries_told = stats.retries;
}

void ctl_metrics_watch_controller(
    struct ctl_metrics *ctl_metrics, struct controller *controller, const char *name, guint workers)
{
	ctl_metrics->controller_name = name;
	ctl_metrics->controller = controller;
	metric_set(ctl_metrics->max_workers, workers, name);
	metrics_on_collect(ctl_metrics->registry, collect, ctl_metrics, NULL);
}

void ctl_metrics_set_leading(struct ctl_metrics *ctl_metrics, const char *name, gboolean leading)
{
	metric_set(ctl_metrics->leading, leading ? 1 : 0, name);
}
