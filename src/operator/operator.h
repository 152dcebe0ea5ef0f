/*
 * The controller `model`, wired: informers of Models and their children, the stores' progress,
 * the reconciler. What `ollama-operator manager` runs.
 *
 * Life: new (caches begin to fill at once), start_working (when it may write), free.
 * Threads: new and free on the loop's thread or while the loop does not run;
 * operator_start_working() and operator_stop_working() on any other thread; the rest on any.
 */
#ifndef OPERATOR_OPERATOR_H
#define OPERATOR_OPERATOR_H

#include "ctl/metrics.h"
#include "ctl/recorder.h"
#include "operator/settings.h"

struct operator;

struct operator_deps {
	struct loop *loop;
	struct kube_client *client; /* for lists and watches */
	/*
	 * For what the reconciler does. Its deadline must be shorter than the time between the end
	 * of may_write() and another manager's first write.
	 */
	struct kube_client *writer;
	struct recorder *recorder;
	const struct clock *clock;
	struct log *log;
	struct metrics *metrics;           /* NULL: nothing is counted */
	struct ctl_metrics *ctl_metrics;   /* as metrics */
	gboolean (*may_write)(void *data); /* NULL: always */
	void *may_write_data;
};

struct operator*
    operator_new(const struct operator_deps *deps, const struct operator_settings *settings);
void operator_free(struct operator* operator);
DEFINE_AUTO(operator, operator_free)

/* Are all caches filled? */
gboolean operator_has_synced(struct operator* operator);
/* Why not, the caller's; NULL when nothing is wrong. */
char *operator_problem(struct operator* operator);
/*
 * Which objects of the API server had to be left out since the last call, because they are not
 * what they should be; the caller's, NULL for none.
 */
char *operator_take_oddities(struct operator* operator);

/* Waits for the caches, then starts the workers. FALSE: operator_stop_working() came first. */
gboolean operator_start_working(struct operator* operator);
void operator_stop_working(struct operator* operator);

#endif
