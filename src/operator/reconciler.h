/*
 * Brings one Model one step further: gathers what is observed, asks `plan`, does the actions.
 *
 * Ownership: the reconciler borrows caches, client, recorder. Threads: reconciler_run() on any
 * worker, one per key at a time.
 */
#ifndef OPERATOR_RECONCILER_H
#define OPERATOR_RECONCILER_H

#include "ctl/cache.h"
#include "ctl/controller.h"
#include "ctl/recorder.h"
#include "operator/inspector.h"
#include "operator/nodes.h"
#include "operator/phases.h"
#include "operator/pulls.h"
#include "operator/settings.h"

struct reconciler;

struct reconciler_deps {
	struct kube_client *client;
	struct recorder *recorder;
	const struct clock *clock;
	struct cache *models, *deployments, *services, *pods, *claims;
	struct cache *namespaces; /* empty where they may not be watched */
	struct pulls *pulls;
	struct phases *phases;
	struct inspector *inspector;
	struct nodes *nodes;
	const struct operator_settings *settings;
	/* May we write now? Asked before each write; NULL: always. */
	gboolean (*may_write)(void *data);
	void *may_write_data;
};

struct reconciler *reconciler_new(const struct reconciler_deps *deps);
void reconciler_free(struct reconciler *reconciler);
DEFINE_AUTO(reconciler, reconciler_free)

/* A reconcile_fn; `data` is the reconciler. */
gboolean reconciler_run(
    void *data, const char *key, struct reconcile_result *ret_result, GError **error);

#endif
