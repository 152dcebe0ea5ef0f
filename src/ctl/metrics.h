/*
 * The controller runtime's metrics, under the names that controller-runtime and client-go give
 * them, so that existing dashboards work.
 *
 * Ownership: the caller's; borrows the registry, which must outlive it. Threads: any.
 * Source: controller-runtime pkg/internal/controller/metrics, client-go util/workqueue/metrics.go
 * and tools/metrics.
 */
#ifndef CTL_METRICS_H
#define CTL_METRICS_H

#include "base/metrics.h"
#include "ctl/controller.h"
#include "ctl/leader.h"

struct ctl_metrics;

struct ctl_metrics *ctl_metrics_new(struct metrics *metrics);
void ctl_metrics_free(struct ctl_metrics *ctl_metrics);
DEFINE_AUTO(ctl_metrics, ctl_metrics_free)

/* For struct controller_options; data is the ctl_metrics. One controller per ctl_metrics. */
void ctl_metrics_waited(void *data, gint64 waited_ms);
void ctl_metrics_reconciled(void *data, enum reconcile_outcome outcome, gint64 took_us);

/* For struct kube_client_options; data is the ctl_metrics. */
void ctl_metrics_requested(
    void *data, const char *verb, const char *plural, int code, gint64 took_us);

/* What is read when the metrics are asked for. Both must outlive the registry's last text. */
void ctl_metrics_watch_controller(struct ctl_metrics *ctl_metrics, struct controller *controller,
    const char *name, guint workers);

/* `name` is the Lease's; leading: 1 or 0. */
void ctl_metrics_set_leading(struct ctl_metrics *ctl_metrics, const char *name, gboolean leading);

#endif
