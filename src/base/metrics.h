/*
 * Counters, gauges and histograms, and their text for Prometheus.
 *
 *	struct metric *requests = metrics_counter(metrics, "requests_total", "Requests.", "code",
 *NULL); metric_add(requests, 1, "200");
 *
 * Ownership: the registry owns its metrics; they live as long as it does. Threads: any; one short
 * lock per registry. Limits: METRIC_MAX_SERIES label combinations per metric; what comes beyond is
 * counted in `metrics_series_dropped_total`. Label values are cut at 256 bytes.
 * Source: Prometheus text exposition format 0.0.4.
 */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include "base/auto.h"

enum { METRIC_MAX_SERIES = 1000, METRIC_MAX_LABELS = 6 };

struct metrics;
struct metric;

struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics);
DEFINE_AUTO(metrics, metrics_free)

/* Names and helps are literals; after them come the label names, then NULL. */
struct metric *metrics_counter(
    struct metrics *metrics, const char *name, const char *help, ...) G_GNUC_NULL_TERMINATED;
struct metric *metrics_gauge(
    struct metrics *metrics, const char *name, const char *help, ...) G_GNUC_NULL_TERMINATED;
/* `bounds`: upper bounds of its buckets, rising; a literal array; +Inf is added. */
struct metric *metrics_histogram(struct metrics *metrics, const char *name, const char *help,
    const double *bounds, guint n_bounds, ...) G_GNUC_NULL_TERMINATED;

/* As many label values follow as the metric has names. A NULL metric is left alone. */
void metric_add(struct metric *metric, double value, ...);
void metric_set(struct metric *metric, double value, ...);
void metric_observe(struct metric *metric, double value, ...);

/*
 * Called before each text is written, to set what is only worth knowing then. Must not call
 * metrics_text(). `destroy` (may be NULL) frees `data` with the registry.
 */
void metrics_on_collect(
    struct metrics *metrics, void (*collect)(void *data), void *data, GDestroyNotify destroy);

/* Adds process_* of this process, as Prometheus' client libraries name them. */
void metrics_add_process(struct metrics *metrics);

/* Everything, in order of registration. The caller's. */
char *metrics_text(struct metrics *metrics);

#endif
