#include "operator/status.h"

#include "base/quantity.h"
#include "base/timefmt.h"
#include "operator/children.h"
#include "operator/memory_need.h"
#include "operator/pulls.h"

#include <string.h>

/* What is being worked out; lives for one status_compute(). */
struct draft {
	const struct status_input *in;
	struct pods_summary pods;
	const struct pull_state *pull; /* the state that says most about the Model now, or NULL */
	gint64 replicas, ready, available, unavailable;
	yyjson_mut_doc *doc;
	yyjson_mut_val *root;
	yyjson_mut_val *conditions;
	char *now;
	char *too_large; /* why no node can hold it, NULL: one can */
};

yyjson_val *status_condition(yyjson_val *status, const char *type)
{
	yyjson_arr_iter iter;
	yyjson_val *condition;

	yyjson_arr_iter_init(json_at(status, "conditions", NULL), &iter);
	while ((condition = yyjson_arr_iter_next(&iter)) != NULL) {
		if (g_strcmp0(json_str(condition, "type", NULL), type) == 0)
			return condition;
	}
	return NULL;
}

/* A condition keeps its times while it says the same. */
static void add_condition(struct draft *draft, const char *type, const char *status,
    const char *reason, const char *message)
{
	const struct model *model = draft->in->model;
	yyjson_val *before = status_condition(model->status, type);
	gboolean same_status = g_strcmp0(json_str(before, "status", NULL), status) == 0;
	gboolean same = same_status && g_strcmp0(json_str(before, "reason", NULL), reason) == 0 &&
			g_strcmp0(json_str(before, "message", NULL), message) == 0 &&
			json_int(before, 0, "observedGeneration", NULL) == model->generation;
	const char *since = same_status ? json_str(before, "lastTransitionTime", NULL) : NULL;
	const char *updated = same ? json_str(before, "lastUpdateTime", NULL) : NULL;
	yyjson_mut_val *condition = yyjson_mut_obj(draft->doc);

	json_mut_set_str(draft->doc, condition, "type", type);
	json_mut_set_str(draft->doc, condition, "status", status);
	json_mut_set_str(draft->doc, condition, "reason", reason);
	json_mut_set_str(draft->doc, condition, "message", message);
	json_mut_set_int(draft->doc, condition, "observedGeneration", model->generation);
	json_mut_set_str(
	    draft->doc, condition, "lastTransitionTime", since != NULL ? since : draft->now);
	json_mut_set_str(
	    draft->doc, condition, "lastUpdateTime", updated != NULL ? updated : draft->now);
	yyjson_mut_arr_append(draft->conditions, condition);
}

/* ---- counters ---- */

static void read_counters(struct draft *draft)
{
	yyjson_val *status = json_at(draft->in->deployment, "status", NULL);

	draft->replicas = json_int(status, 0, "replicas", NULL);
	draft->ready = json_int(status, 0, "readyReplicas", NULL);
	draft->available = json_int(status, 0, "availableReplicas", NULL);
	draft->unavailable = json_int(status, 0, "unavailableReplicas", NULL);
}

static void write_counters(struct draft *draft)
{
	json_mut_set_int(
	    draft->doc, draft->root, "observedGeneration", draft->in->model->generation);
	json_mut_set_int(draft->doc, draft->root, "replicas", draft->replicas);
	json_mut_set_int(draft->doc, draft->root, "readyReplicas", draft->ready);
	json_mut_set_int(draft->doc, draft->root, "availableReplicas", draft->available);
	json_mut_set_int(draft->doc, draft->root, "unavailableReplicas", draft->unavailable);
}

/* ---- the pull ---- */

/* Trouble first, then work in progress, then what is done. */
static int urgency(const struct pull_state *pull)
{
	static const int of_phase[] = {[PULL_FAILED] = 4,
	    [PULL_PULLING] = 3,
	    [PULL_RESOLVING] = 2,
	    [PULL_QUEUED] = 1,
	    [PULL_READY] = 0};

	return of_phase[pull->phase];
}

/*
 * Nodes on which this Model has pods count; before it has any, all do: another Model's pull of
 * the same image is this one's too.
 */
static void choose_pull(struct draft *draft)
{
	GHashTable *nodes = draft->pods.nodes;
	GPtrArray *pulls = draft->in->pulls;

	for (guint i = 0; i < pulls->len; i++) {
		const struct pull_state *pull = pulls->pdata[i];

		if (g_hash_table_size(nodes) > 0 && !g_hash_table_contains(nodes, pull->node))
			continue;
		if (draft->pull == NULL || urgency(pull) > urgency(draft->pull))
			draft->pull = pull;
	}
}

static guint count_holders(const struct draft *draft)
{
	guint count = 0;

	for (guint i = 0; i < draft->in->pulls->len; i++) {
		const struct pull_state *pull = draft->in->pulls->pdata[i];

		count += pull->phase == PULL_READY;
	}
	return count;
}

static int percent(const struct pull_state *pull)
{
	if (pull->total_bytes <= 0)
		return 0;
	return (int)(CLAMP(pull->completed_bytes, 0, pull->total_bytes) * 100 / pull->total_bytes);
}

static void write_pull(struct draft *draft)
{
	const struct pull_state *pull = draft->pull;
	yyjson_mut_val *out;

	if (pull == NULL || pull->phase == PULL_READY ||
	    (pull->phase == PULL_FAILED && pull->total_bytes == 0))
		return;
	out = json_mut_object(draft->doc, draft->root, "pull");
	json_mut_set_str(draft->doc, out, "node", pull->node);
	json_mut_set_int(draft->doc, out, "completed", pull->completed_bytes);
	json_mut_set_int(draft->doc, out, "total", pull->total_bytes);
	json_mut_set_int(draft->doc, out, "bytesPerSecond", pull->bytes_per_second);
	json_mut_set_str(draft->doc, out, "message", pull->message);
}

/* Is what the status said before about the weights still about this image? */
static gboolean facts_still_hold(const struct draft *draft)
{
	g_autofree char *image = NULL;

	if (draft->in->model->image == NULL)
		return FALSE;
	image = reference_full(draft->in->model->image);
	return g_strcmp0(json_str(draft->in->model->status, "image", NULL), image) == 0;
}

static void write_facts(struct draft *draft)
{
	static const char *const names[] = {"digest", "parameters", "quantization", "family"};
	const struct pull_state *pull = draft->pull;
	yyjson_val *before = facts_still_hold(draft) ? draft->in->model->status : NULL;
	const char *values[G_N_ELEMENTS(names)] = {NULL};
	gint64 size = json_int(before, 0, "size", NULL);
	g_autofree char *image = NULL;

	if (draft->in->model->image == NULL)
		return;
	image = reference_full(draft->in->model->image);
	if (pull != NULL) {
		values[0] = pull->digest;
		values[1] = pull->parameters;
		values[2] = pull->quantization;
		values[3] = pull->family;
		size = pull->size_bytes > 0 ? pull->size_bytes : size;
	}
	json_mut_set_str(draft->doc, draft->root, "image", image);
	for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
		json_mut_set_str(draft->doc, draft->root, names[i],
		    values[i] != NULL ? values[i] : json_str(before, names[i], NULL));
	}
	if (size > 0)
		json_mut_set_int(draft->doc, draft->root, "size", size);
	json_mut_set_int(draft->doc, draft->root, "nodes", count_holders(draft));
}

/* ---- conditions ---- */

static char *progress_sentence(const struct pull_state *pull)
{
	g_autofree char *done = quantity_human_bytes(pull->completed_bytes);
	g_autofree char *total = quantity_human_bytes(pull->total_bytes);

	if (pull->total_bytes <= 0)
		return g_strdup_printf("asking the registry for its manifest on %s", pull->node);
	return g_strdup_printf("%s of %s on %s", done, total, pull->node);
}

static void add_pulled(struct draft *draft)
{
	const struct pull_state *pull = draft->pull;
	yyjson_val *before = status_condition(draft->in->model->status, "Pulled");

	if (draft->in->model->image == NULL) {
		add_condition(
		    draft, "Pulled", "False", "InvalidImage", draft->in->model->image_error);
	} else if (pull != NULL && pull->phase == PULL_FAILED) {
		add_condition(draft, "Pulled", "False",
		    pull->reason != NULL ? pull->reason : "Failed",
		    pull->message != NULL ? pull->message : "the pull failed without a reason");
	} else if ((pull != NULL && pull->phase == PULL_READY) || draft->ready > 0) {
		add_condition(draft, "Pulled", "True", "Pulled",
		    "the weights are on the nodes that need them");
	} else if (pull != NULL) {
		/* The bytes are in status.pull: a condition that changed with each would be noise.
		 */
		add_condition(draft, "Pulled", "False", "Pulling", "the weights are on their way");
	} else if (facts_still_hold(draft) &&
		   g_strcmp0(json_str(before, "status", NULL), "True") == 0) {
		add_condition(draft, "Pulled", "True", "Pulled",
		    "the weights are on the nodes that need them");
	} else {
		add_condition(
		    draft, "Pulled", "Unknown", "Waiting", "no node's store has been asked yet");
	}
}

/* No node can hold it: the sentence with both numbers, the caller's; NULL: one can. */
static char *too_large(const struct draft *draft)
{
	const struct memory_estimate *memory = draft->in->memory;
	g_autofree char *needs = NULL, *weights = NULL, *cache = NULL, *has = NULL;

	if (memory == NULL || draft->in->largest_node_bytes == 0 || draft->available > 0 ||
	    memory->total_bytes <= draft->in->largest_node_bytes ||
	    !memory_need_is_requested(draft->in->model))
		return NULL;
	needs = quantity_human_bytes(memory->total_bytes);
	weights = quantity_human_bytes(memory->weights_bytes);
	cache = quantity_human_bytes(memory->cache_bytes);
	has = quantity_human_bytes(draft->in->largest_node_bytes);
	return g_strdup_printf(
	    "the model needs %s of memory (weights %s, cache %s), the largest node "
	    "has %s: take a smaller model or context, or say "
	    "spec.resources.requests.memory yourself",
	    needs, weights, cache, has);
}

static void add_schedulable(struct draft *draft)
{
	if (draft->too_large != NULL)
		add_condition(
		    draft, "Schedulable", "False", "InsufficientMemory", draft->too_large);
	else if (draft->pods.unschedulable)
		add_condition(draft, "Schedulable", "False", draft->pods.trouble,
		    draft->pods.trouble_message);
	else if (g_hash_table_size(draft->pods.nodes) > 0)
		add_condition(draft, "Schedulable", "True", "Scheduled", "its pods have nodes");
	else
		add_condition(draft, "Schedulable", "Unknown", "Waiting", "no pod has a node yet");
}

static void add_available(struct draft *draft)
{
	gint64 wanted = draft->in->model->replicas;
	g_autofree char *message = NULL;

	if (wanted == 0) {
		add_condition(draft, "Available", "False", "Asleep", "no replicas are wanted");
	} else if (draft->available > 0) {
		message = g_strdup_printf("%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT
					  " replicas have the model loaded and answer",
		    draft->available, wanted);
		add_condition(draft, "Available", "True", "ModelAnswers", message);
	} else {
		add_condition(
		    draft, "Available", "False", "NotReady", "no replica has the model loaded yet");
	}
}

static gboolean rolled_out(const struct draft *draft)
{
	yyjson_val *deployment = draft->in->deployment;

	return deployment != NULL &&
	       json_int(deployment, 0, "status", "observedGeneration", NULL) >=
		   json_int(deployment, 1, "metadata", "generation", NULL) &&
	       json_int(deployment, 0, "status", "updatedReplicas", NULL) >=
		   draft->in->model->replicas &&
	       draft->available >= draft->in->model->replicas &&
	       draft->replicas == draft->in->model->replicas;
}

static void add_progressing(struct draft *draft)
{
	const struct status_input *in = draft->in;

	if (in->model->image == NULL) {
		add_condition(
		    draft, "Progressing", "False", "InvalidImage", in->model->image_error);
	} else if (in->refused != NULL) {
		add_condition(draft, "Progressing", "False", in->refused_reason, in->refused);
	} else if (rolled_out(draft)) {
		add_condition(
		    draft, "Progressing", "True", "Complete", "all replicas are up to date");
	} else if (draft->pods.trouble != NULL) {
		add_condition(draft, "Progressing", "False", draft->pods.trouble,
		    draft->pods.trouble_message);
	} else if (draft->pull != NULL && draft->pull->phase == PULL_FAILED) {
		add_condition(draft, "Progressing", "False", "PullFailed",
		    "waiting for the weights: see the condition Pulled");
	} else {
		add_condition(draft, "Progressing", "True", "RollingOut",
		    "replicas are being brought up to date");
	}
}

/* The Deployment's own ReplicaFailure (quota, admission), or that its children were refused. */
static void add_replica_failure(struct draft *draft)
{
	yyjson_val *failure =
	    status_condition(json_at(draft->in->deployment, "status", NULL), "ReplicaFailure");
	const char *message = json_str(failure, "message", NULL);
	const char *reason = json_str(failure, "reason", NULL);

	if (draft->in->refused != NULL)
		add_condition(
		    draft, "ReplicaFailure", "True", draft->in->refused_reason, draft->in->refused);
	else if (g_strcmp0(json_str(failure, "status", NULL), "True") == 0)
		add_condition(draft, "ReplicaFailure", "True",
		    reason != NULL ? reason : "FailedCreate",
		    message != NULL ? message : "the Deployment cannot make its pods");
	else
		add_condition(draft, "ReplicaFailure", "False", "AsExpected", "pods can be made");
}

/* ---- phase ---- */

static char *phase_for_people(const struct draft *draft)
{
	const struct pull_state *pull = draft->pull;

	if (draft->in->model->image == NULL || draft->in->refused != NULL)
		return g_strdup("Failed");
	if (draft->in->model->replicas == 0)
		return g_strdup("Asleep");
	if (draft->available > 0)
		return g_strdup("Ready");
	if (draft->pods.trouble != NULL && !draft->pods.unschedulable)
		return g_strdup("Failed");
	if (pull != NULL && pull->phase == PULL_FAILED)
		return g_strdup("Failed");
	/* A pod that is Ready comes before the Deployment's count of it. */
	if (draft->pods.loading > 0 || draft->pods.ready > 0)
		return g_strdup("Loading");
	if (pull != NULL && pull->phase == PULL_PULLING)
		return g_strdup_printf("Pulling %d %%", percent(pull));
	if (draft->pods.fetching > 0 && pull != NULL && pull->phase != PULL_READY)
		return g_strdup("Pulling");
	/* Fetched on a pod's node: between the init container's end and the server's start. */
	if (pull != NULL && pull->phase == PULL_READY && g_hash_table_size(draft->pods.nodes) > 0)
		return g_strdup("Loading");
	return g_strdup("Pending");
}

/* One sentence under the phase: what is happening, or what to do. */
static char *message_for_people(const struct draft *draft)
{
	const struct status_input *in = draft->in;
	const struct pull_state *pull = draft->pull;

	if (in->model->image == NULL)
		return g_strdup(in->model->image_error);
	if (in->refused != NULL)
		return g_strdup(in->refused);
	if (pull != NULL && pull->phase == PULL_FAILED)
		return g_strdup(pull->message);
	if (draft->too_large != NULL)
		return g_strdup(draft->too_large);
	if (draft->pods.trouble_message != NULL)
		return g_strdup(draft->pods.trouble_message);
	if (pull != NULL && pull->phase != PULL_READY)
		return progress_sentence(pull);
	return NULL;
}

static void write_people(struct draft *draft)
{
	g_autofree char *phase = phase_for_people(draft);
	g_autofree char *message = message_for_people(draft);
	g_autofree char *service = model_child_name(draft->in->model->name);
	g_autofree char *url =
	    g_strdup_printf("http://%s.%s:%d", service, draft->in->model->namespace, OLLAMA_PORT);

	json_mut_set_str(draft->doc, draft->root, "phase", phase);
	json_mut_set_str(draft->doc, draft->root, "message", message);
	json_mut_set_str(draft->doc, draft->root, "url", url);
}

yyjson_mut_doc *status_compute(const struct status_input *input)
{
	struct draft draft = {.in = input};

	draft.doc = yyjson_mut_doc_new(json_alc());
	draft.root = yyjson_mut_obj(draft.doc);
	yyjson_mut_doc_set_root(draft.doc, draft.root);
	draft.now = time_rfc3339(input->now_us);
	pods_summarize(input->pods, &draft.pods);
	choose_pull(&draft);
	read_counters(&draft);
	draft.too_large = too_large(&draft);
	write_people(&draft);
	write_counters(&draft);
	write_facts(&draft);
	write_pull(&draft);
	if (input->memory != NULL)
		memory_need_write(draft.doc, draft.root, input->model, input->memory);
	draft.conditions = yyjson_mut_arr(draft.doc);
	json_mut_set(draft.doc, draft.root, "conditions", draft.conditions);
	add_available(&draft);
	add_progressing(&draft);
	add_replica_failure(&draft);
	add_pulled(&draft);
	add_schedulable(&draft);
	pods_summary_done(&draft.pods);
	g_free(draft.now);
	g_free(draft.too_large);
	return draft.doc;
}

gboolean status_same(yyjson_val *before, yyjson_val *after)
{
	yyjson_obj_iter iter;
	yyjson_val *key;

	if (!json_covers(before, after))
		return FALSE;
	/* Nothing that is not said any more may stay behind: "pull" ends, "message" ends. */
	yyjson_obj_iter_init(before, &iter);
	while ((key = yyjson_obj_iter_next(&iter)) != NULL) {
		yyjson_val *had = yyjson_obj_iter_get_val(key);

		if (yyjson_equals_str(key, "demand"))
			continue;
		if (!json_covers(yyjson_obj_get(after, yyjson_get_str(key)), had))
			return FALSE;
	}
	return TRUE;
}
