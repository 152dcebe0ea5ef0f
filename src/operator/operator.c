#include "operator/operator.h"

#include "base/hash.h"
#include "model/resource.h"
#include "operator/children.h"
#include "operator/inspector.h"
#include "operator/nodes.h"
#include "operator/prune.h"
#include "operator/pull_watcher.h"
#include "operator/reconciler.h"
#include "operator/volumes.h"

#include <string.h>

#define CONTROLLER_NAME "model"

enum {
	/* Progress in bytes reaches the status at most this often per Model. */
	PROGRESS_EVERY_MS = 2000,
	SYNC_POLL_MS = 20,
};

/* The first ones are waited for at the start; without the others something is not known, not wrong.
 */
enum informer_index {
	MODELS,
	DEPLOYMENTS,
	SERVICES,
	PODS,
	CLAIMS,
	NAMESPACES,
	N_WAITED_FOR,
	STORES = N_WAITED_FOR,
	NODES,
	N_INFORMERS
};

struct operator
{
	struct operator_deps deps;
	const struct operator_settings *settings;
	struct informer *informers[N_INFORMERS];
	struct http_client *store_client;
	struct pulls *pulls;
	struct phases *phases;
	struct nodes *nodes;
	struct inspector *inspector;
	struct pull_watcher *pull_watcher;
	struct reconciler *reconciler;
	struct controller *controller;
	gint stopping;
};

/* ---- who wants to know ---- */

/* The Model's key of one of its pods: "namespace/model", from the annotation that we gave it. */
static char *model_key_of_pod(const struct kube_object *pod, yyjson_val *body)
{
	const char *model = json_str(body, "metadata", "annotations", ANNOTATION_MODEL, NULL);

	return model == NULL ? NULL : g_strdup_printf("%s/%s", pod->namespace, model);
}

static void map_pod_to_model(void *data, struct kube_object *pod, struct workqueue *queue)
{
	g_autoptr(yyjson_doc) body = kube_object_parse(pod);
	g_autofree char *key = model_key_of_pod(pod, yyjson_doc_get_root(body));

	(void)data;
	if (key != NULL)
		workqueue_add(queue, key);
}

/* Models are found by the image that they want, as the stores name it. */
static char *image_of_model(const struct kube_object *object, yyjson_val *body)
{
	const char *text = json_str(body, "spec", "image", NULL);
	AUTO(reference) image = text == NULL ? NULL : reference_parse(text, NULL);

	(void)object;
	return image == NULL ? NULL : reference_full(image);
}

static void pull_changed(void *data, const char *image, gboolean at_once)
{
	struct operator* operator= data;
	g_autoptr(GPtrArray) models =
	    cache_by_index(informer_cache(operator->informers[MODELS]), image);
	struct workqueue *queue = controller_queue(operator->controller);

	for (guint i = 0; i < models->len; i++) {
		const struct kube_object *model = models->pdata[i];

		if (at_once)
			workqueue_add(queue, model->key);
		else
			workqueue_add_after(queue, model->key, PROGRESS_EVERY_MS);
	}
}

/* What no node could hold may fit now, or the other way round. */
static void largest_node_changed(void *data)
{
	struct operator* operator= data;
	g_autoptr(GPtrArray) models = cache_list(informer_cache(operator->informers[MODELS]));

	for (guint i = 0; i < models->len; i++)
		workqueue_add(controller_queue(operator->controller),
		    ((const struct kube_object *)models->pdata[i])->key);
}

static void work_on_namespace(struct operator* operator, const char * namespace)
{
	g_autoptr(GPtrArray) models = cache_list(informer_cache(operator->informers[MODELS]));

	for (guint i = 0; i < models->len; i++) {
		const struct kube_object *model = models->pdata[i];

		if (strcmp(model->namespace, namespace) == 0)
			workqueue_add(controller_queue(operator->controller), model->key);
	}
}

/* A claim that a Model names matters by its access mode alone, which never changes. */
static void claim_changed(void *data, struct kube_object *claim)
{
	if (g_str_has_prefix(claim->name, SHARED_CLAIM))
		work_on_namespace(data, claim->namespace);
}

static void claim_upserted(
    void *data, struct kube_object *old_object, struct kube_object *new_object)
{
	(void)old_object;
	claim_changed(data, new_object);
}

static const struct informer_handler CLAIMS_HANDLER = {claim_upserted, claim_changed};

static char *enforced_level(const struct kube_object *namespace)
{
	g_autoptr(yyjson_doc) body = namespace == NULL ? NULL : kube_object_parse(namespace);

	return g_strdup(
	    json_str(yyjson_doc_get_root(body), "metadata", "labels", LABEL_ENFORCE, NULL));
}

static void namespace_upserted(
    void *data, struct kube_object *old_object, struct kube_object *new_object)
{
	g_autofree char *before = enforced_level(old_object);
	g_autofree char *after = enforced_level(new_object);

	if (g_strcmp0(before, after) != 0)
		work_on_namespace(data, new_object->name);
}

static void namespace_deleted(void *data, struct kube_object *object)
{
	/* Its Models go too. */
	(void)data;
	(void)object;
}

static const struct informer_handler NAMESPACES_HANDLER = {namespace_upserted, namespace_deleted};

/* ---- life ---- */

/* Nodes and namespaces are in no namespace: whoever may only see one is not asked for them. */
static gboolean is_watched(const struct operator* operator, guint i)
{
	return (i != NODES && i != NAMESPACES) || operator->settings->watch_namespace == NULL;
}

static struct informer *make_informer(
    struct operator* operator, const struct informer_options * options)
{
	return informer_new(operator->deps.loop, operator->deps.client, operator->deps.clock,
	    options);
}

static void make_informers(struct operator* operator)
{
	const struct operator_settings *settings = operator->settings;
	const struct informer_options options[N_INFORMERS] = {
	    [MODELS] = {.resource = &MODEL_RESOURCE,
		.namespace = settings->watch_namespace,
		.prune = prune_model,
		.index = image_of_model},
	    [DEPLOYMENTS] = {.resource = &KUBE_DEPLOYMENTS,
		.namespace = settings->watch_namespace,
		.label_selector = CHILD_SELECTOR,
		.prune = prune_deployment},
	    [SERVICES] = {.resource = &KUBE_SERVICES,
		.namespace = settings->watch_namespace,
		.label_selector = CHILD_SELECTOR,
		.prune = prune_service},
	    [PODS] = {.resource = &KUBE_PODS,
		.namespace = settings->watch_namespace,
		.label_selector = CHILD_SELECTOR,
		.prune = prune_pod,
		.index = model_key_of_pod},
	    [STORES] = {.resource = &KUBE_PODS,
		.namespace = settings->namespace,
		.label_selector = settings->store_selector,
		.prune = prune_pod},
	    [CLAIMS] = {.resource = &KUBE_PVCS,
		.namespace = settings->watch_namespace,
		.prune = prune_claim},
	    [NAMESPACES] = {.resource = &KUBE_NAMESPACES, .prune = prune_namespace},
	    [NODES] = {.resource = &KUBE_NODES, .prune = prune_node},
	};

	for (guint i = 0; i < N_INFORMERS; i++)
		operator->informers[i] = make_informer(operator, & options[i]);
}

static void make_reconciler(struct operator* operator)
{
	const struct reconciler_deps deps = {
	    .client = operator->deps.writer,
	    .recorder = operator->deps.recorder,
	    .clock = operator->deps.clock,
	    .models = informer_cache(operator->informers[MODELS]),
	    .deployments = informer_cache(operator->informers[DEPLOYMENTS]),
	    .services = informer_cache(operator->informers[SERVICES]),
	    .pods = informer_cache(operator->informers[PODS]),
	    .claims = informer_cache(operator->informers[CLAIMS]),
	    .namespaces = informer_cache(operator->informers[NAMESPACES]),
	    .pulls = operator->pulls,
	    .phases = operator->phases,
	    .inspector = operator->inspector,
	    .nodes = operator->nodes,
	    .settings = operator->settings,
	    .may_write = operator->deps.may_write,
	    .may_write_data = operator->deps.may_write_data,
	};

	operator->reconciler = reconciler_new(&deps);
}

static void make_controller(struct operator* operator)
{
	struct ctl_metrics *ctl_metrics = operator->deps.ctl_metrics;
	const struct controller_options options = {
	    .name = CONTROLLER_NAME,
	    .workers = operator->settings->workers,
	    .reconcile = reconciler_run,
	    .data = operator->reconciler,
	    .waited = ctl_metrics == NULL ? NULL : ctl_metrics_waited,
	    .observe = ctl_metrics == NULL ? NULL : ctl_metrics_reconciled,
	    .observe_data = ctl_metrics,
	};

	operator->controller = controller_new(operator->deps.clock, operator->deps.log, &options);
	controller_watch(operator->controller, operator->informers[MODELS]);
	controller_watch_owned(operator->controller, operator->informers[DEPLOYMENTS],
	    MODEL_RESOURCE.kind);
	controller_watch_owned(operator->controller, operator->informers[SERVICES],
	    MODEL_RESOURCE.kind);
	controller_watch_mapped(operator->controller, operator->informers[PODS], map_pod_to_model,
	    NULL);
	if (ctl_metrics != NULL)
		ctl_metrics_watch_controller(ctl_metrics, operator->controller,
		    CONTROLLER_NAME, operator->settings->workers);
}

static void make_pull_watcher(struct operator* operator)
{
	const struct pull_watcher_options options = {.client = operator->store_client,
	    .pulls = operator->pulls,
	    .log = operator->deps.log,
	    .port = operator->settings->store_port,
	    .changed = pull_changed,
	    .data = operator, };

	operator->pull_watcher = pull_watcher_new(operator->deps.loop, &options);
	informer_add_handler(operator->informers[STORES],
	    &PULL_WATCHER_HANDLER, operator->pull_watcher);
}

struct operator*
    operator_new(const struct operator_deps *deps, const struct operator_settings *settings)
{
	struct operator* operator= g_new0(struct operator, 1);

	operator->deps = * deps;
	operator->settings = settings;
	operator->pulls = pulls_new();
	operator->phases = phases_new(deps->metrics);
	operator->store_client = http_client_new(deps->loop, "ollama-operator/" OPERATOR_VERSION);
	operator->inspector = inspector_new(operator->store_client, operator->pulls, deps->clock);
	operator->nodes = nodes_new(largest_node_changed, operator);
	make_informers(operator);
	make_reconciler(operator);
	make_controller(operator);
	make_pull_watcher(operator);
	informer_add_handler(operator->informers[CLAIMS], &CLAIMS_HANDLER, operator);
	informer_add_handler(operator->informers[NAMESPACES], &NAMESPACES_HANDLER, operator);
	informer_add_handler(operator->informers[NODES], &NODES_HANDLER, operator->nodes);
	for (guint i = 0; i < N_INFORMERS; i++) {
		if (is_watched(operator, i))
			informer_start(operator->informers[i]);
	}
	return operator;
}

void operator_free(struct operator* operator)
{
	if (operator== NULL)
		return;
	for (guint i = 0; i < N_INFORMERS; i++)
		informer_stop(operator->informers[i]);
	pull_watcher_free(operator->pull_watcher);
	controller_free(operator->controller);
	reconciler_free(operator->reconciler);
	for (guint i = 0; i < N_INFORMERS; i++)
		informer_free(operator->informers[i]);
	http_client_free(operator->store_client);
	inspector_free(operator->inspector);
	nodes_free(operator->nodes);
	phases_free(operator->phases);
	pulls_free(operator->pulls);
	g_free(operator);
}

gboolean operator_has_synced(struct operator* operator)
{
	for (guint i = 0; i < N_WAITED_FOR; i++) {
		if (is_watched(operator, i) && !informer_has_synced(operator->informers[i]))
			return FALSE;
	}
	return TRUE;
}

char *operator_problem(struct operator* operator)
{
	for (guint i = 0; i < N_INFORMERS; i++) {
		char *problem = informer_last_error(operator->informers[i]);

		if (problem != NULL)
			return problem;
	}
	return NULL;
}

char *operator_take_oddities(struct operator* operator)
{
	GString *text = g_string_new(NULL);

	for (guint i = 0; i < N_INFORMERS; i++) {
		guint count = informer_take_left_out(operator->informers[i]);

		if (count > 0)
			g_string_append_printf(text, "%s%u of %s", text->len == 0 ? "" : ", ",
			    count, informer_resource(operator->informers[i])->plural);
	}
	return g_string_free(text, text->len == 0);
}

gboolean operator_start_working(struct operator* operator)
{
	/* Why: a short poll. It ends with the first lists, and runs once in a process's life. */
	while (!operator_has_synced(operator)) {
		if (g_atomic_int_get(&operator->stopping))
			return FALSE;
		g_usleep(SYNC_POLL_MS * 1000);
	}
	if (g_atomic_int_get(&operator->stopping))
		return FALSE;
	controller_start(operator->controller);
	return TRUE;
}

void operator_stop_working(struct operator* operator)
{
	g_atomic_int_set(&operator->stopping, 1);
	controller_stop(operator->controller);
}
