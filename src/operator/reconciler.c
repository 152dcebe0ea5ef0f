#include "operator/reconciler.h"

#include "base/hash.h"
#include "model/resource.h"
#include "operator/children.h"
#include "operator/memory_need.h"
#include "operator/plan.h"
#include "operator/volumes.h"

#include <string.h>

/* A status that only says how far a pull is follows the one before it no sooner. */
enum { PROGRESS_STATUS_MS = 2000 };

struct reconciler {
	struct reconciler_deps deps;
	/*
	 * What the last apply of a child said and what came of it: the API server may write a value
	 * differently than we do ("1000m" as "1"), which is no reason to apply it for ever.
	 * Only saves requests: after a restart each child is applied once more.
	 */
	GMutex lock;
	GHashTable *applied; /* "plural/namespace/name" -> struct applied */
	/*
	 * When a Model's status was last written, monotonic ms. Each write comes back as a change
	 * of the Model; while a pull runs there is always something newer to write by then.
	 */
	GHashTable *status_written; /* "namespace/name" -> gint64 * */
};

struct applied {
	guint64 body_hash;
	guint64 result_hash;
};

struct reconciler *reconciler_new(const struct reconciler_deps *deps)
{
	struct reconciler *reconciler = g_new0(struct reconciler, 1);

	reconciler->deps = *deps;
	g_mutex_init(&reconciler->lock);
	reconciler->applied = g_hash_table_new_full(hash_str, g_str_equal, g_free, g_free);
	reconciler->status_written = g_hash_table_new_full(hash_str, g_str_equal, g_free, g_free);
	return reconciler;
}

void reconciler_free(struct reconciler *reconciler)
{
	if (reconciler == NULL)
		return;
	g_hash_table_unref(reconciler->applied);
	g_hash_table_unref(reconciler->status_written);
	g_mutex_clear(&reconciler->lock);
	g_free(reconciler);
}

/* ---- what was applied last ---- */

/*
 * All of a child that we have a say in. Not its generation: labels and owners do not count in
 * that, and a Service has none.
 */
static guint64 hash_child(yyjson_val *child)
{
	yyjson_val *metadata = json_at(child, "metadata", NULL);
	yyjson_val *const parts[] = {yyjson_obj_get(metadata, "uid"),
	    yyjson_obj_get(metadata, "labels"), yyjson_obj_get(metadata, "annotations"),
	    yyjson_obj_get(metadata, "ownerReferences"), json_at(child, "spec", NULL)};
	g_autoptr(GString) text = g_string_new(NULL);

	for (gsize i = 0; i < G_N_ELEMENTS(parts); i++) {
		gsize len = 0;
		g_autofree char *part = parts[i] == NULL ? NULL : json_print(parts[i], &len);

		g_string_append_len(text, part != NULL ? part : "", (gssize)len);
		g_string_append_c(text, '\n');
	}
	return hash_bytes(text->str, text->len);
}

static char *applied_key(const struct model *model, const struct action *action)
{
	return g_strdup_printf(
	    "%s/%s/%s", action->resource->plural, model->namespace, action->name);
}

static gboolean was_just_applied(struct reconciler *reconciler, const struct model *model,
    const struct action *action, yyjson_val *child)
{
	g_autofree char *key = applied_key(model, action);
	guint64 body_hash = hash_bytes(action->body, action->body_len);
	struct applied *last;
	gboolean same;

	g_mutex_lock(&reconciler->lock);
	last = g_hash_table_lookup(reconciler->applied, key);
	same = last != NULL && child != NULL && last->body_hash == body_hash &&
	       last->result_hash == hash_child(child);
	g_mutex_unlock(&reconciler->lock);
	return same;
}

static void remember_applied(struct reconciler *reconciler, const struct model *model,
    const struct action *action, yyjson_val *stored)
{
	struct applied *applied = g_new0(struct applied, 1);

	applied->body_hash = hash_bytes(action->body, action->body_len);
	applied->result_hash = hash_child(stored);
	g_mutex_lock(&reconciler->lock);
	g_hash_table_replace(reconciler->applied, applied_key(model, action), applied);
	g_mutex_unlock(&reconciler->lock);
}

static gint64 status_written_ms(struct reconciler *reconciler, const char *key)
{
	const gint64 *when;
	gint64 result;

	g_mutex_lock(&reconciler->lock);
	when = g_hash_table_lookup(reconciler->status_written, key);
	result = when == NULL ? G_MININT64 / 2 : *when;
	g_mutex_unlock(&reconciler->lock);
	return result;
}

static void remember_status_written(struct reconciler *reconciler, const char *key)
{
	gint64 *when = g_new(gint64, 1);

	*when = clock_monotonic_ms(reconciler->deps.clock);
	g_mutex_lock(&reconciler->lock);
	g_hash_table_replace(reconciler->status_written, g_strdup(key), when);
	g_mutex_unlock(&reconciler->lock);
}

static void forget_model(struct reconciler *reconciler, const char *key)
{
	g_autofree char *namespace = g_path_get_dirname(key);
	g_autofree char *base = g_path_get_basename(key);
	g_autofree char *child = model_child_name(base);
	static const struct kube_resource *const kinds[] = {&KUBE_DEPLOYMENTS, &KUBE_SERVICES};

	g_mutex_lock(&reconciler->lock);
	g_hash_table_remove(reconciler->status_written, key);
	for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
		g_autofree char *entry =
		    g_strdup_printf("%s/%s/%s", kinds[i]->plural, namespace, child);

		g_hash_table_remove(reconciler->applied, entry);
	}
	g_mutex_unlock(&reconciler->lock);
}

/* ---- doing ---- */

static gboolean check_may_write(struct reconciler *reconciler, GError **error)
{
	if (reconciler->deps.may_write == NULL ||
	    reconciler->deps.may_write(reconciler->deps.may_write_data))
		return TRUE;
	g_set_error(error, KUBE_ERROR, KUBE_ERROR_RETRY, "not the leader any more");
	return FALSE;
}

/*
 * A child that our cache does not know is asked for once before it is made: our watches see only
 * objects with our labels, and an apply would silently take over anybody's.
 */
static gboolean is_free(struct reconciler *reconciler, const struct model *model,
    const struct action *action, char **ret_refused, GError **error)
{
	g_autoptr(GError) problem = NULL;
	g_autoptr(yyjson_doc) there = kube_get(
	    reconciler->deps.client, action->resource, model->namespace, action->name, &problem);
	yyjson_val *root = yyjson_doc_get_root(there);
	const char *owner;

	if (kube_error_is(problem, KUBE_ERROR_NOT_FOUND))
		return TRUE;
	if (there == NULL) {
		g_propagate_error(error, g_steal_pointer(&problem));
		return FALSE;
	}
	owner = json_str(
	    yyjson_arr_get_first(json_at(root, "metadata", "ownerReferences", NULL)), "uid", NULL);
	if (g_strcmp0(owner, model->uid) == 0)
		return TRUE;
	*ret_refused = plan_name_taken(action->resource, model, action->name);
	return FALSE;
}

static void record(struct reconciler *reconciler, const struct model *model, const char *type,
    const char *reason, const char *message)
{
	g_autofree char *api_version = kube_resource_api_version(&MODEL_RESOURCE);
	const struct object_ref about = {
	    .api_version = api_version,
	    .kind = MODEL_RESOURCE.kind,
	    .namespace = model->namespace,
	    .name = model->name,
	    .uid = model->uid,
	};

	recorder_event(reconciler->deps.recorder, &about, type, reason, "%s", message);
}

/* Were we asked to apply the very body that we applied last? Then somebody else has changed it. */
static gboolean was_changed_by_hand(const struct action *action, yyjson_val *child)
{
	const char *hash =
	    json_str(child, "metadata", "annotations", ANNOTATION_APPLIED_HASH, NULL);

	return hash != NULL && strstr(action->body, hash) != NULL;
}

static void record_applied(struct reconciler *reconciler, const struct model *model,
    const struct action *action, yyjson_val *child)
{
	const char *kind = action->resource->kind;
	g_autofree char *message = NULL;

	if (action->creates) {
		message = g_strdup_printf("created %s %s", kind, action->name);
		record(reconciler, model, "Normal", "Created", message);
	} else if (was_changed_by_hand(action, child)) {
		message =
		    g_strdup_printf("%s %s was changed by hand and is put back as the Model says: "
				    "change the Model instead",
			kind, action->name);
		record(reconciler, model, "Warning", "PutBack", message);
	} else {
		message = g_strdup_printf("updated %s %s", kind, action->name);
		record(reconciler, model, "Normal", "Updated", message);
	}
}

/* FALSE: an error to retry, or with *ret_refused set a refusal to report. */
static gboolean apply_child(struct reconciler *reconciler, const struct model *model,
    const struct action *action, yyjson_val *child, char **ret_refused, GError **error)
{
	g_autoptr(yyjson_doc) stored = NULL;

	if (!check_may_write(reconciler, error))
		return FALSE;
	/* Claims are all in our cache, and a shared one may be anybody's. */
	if (action->creates && action->resource != &KUBE_PVCS &&
	    !is_free(reconciler, model, action, ret_refused, error))
		return FALSE;
	stored = kube_apply(reconciler->deps.client, action->resource, model->namespace,
	    action->name, NULL, action->body, action->body_len, TRUE, error);
	if (stored == NULL)
		return FALSE;
	remember_applied(reconciler, model, action, yyjson_doc_get_root(stored));
	record_applied(reconciler, model, action, child);
	return TRUE;
}

static yyjson_val *child_of(const struct observed *observed, const struct kube_resource *resource)
{
	if (resource == &KUBE_PVCS)
		return observed->claim;
	return resource == &KUBE_DEPLOYMENTS ? observed->deployment : observed->service;
}

/*
 * What the API server will never take as it is ends in the status, in its own words; what may
 * work later is an error.
 */
static gboolean explain_refusal(GError **problem, char **ret_refused, const char **ret_reason)
{
	if (kube_error_is(*problem, KUBE_ERROR_INVALID))
		*ret_reason = "Invalid";
	else if (kube_error_is(*problem, KUBE_ERROR_DENIED))
		*ret_reason = "Forbidden";
	else
		return FALSE;
	*ret_refused = g_strdup((*problem)->message);
	g_clear_error(problem);
	return TRUE;
}

/* Its class may not let a claim grow: that is no reason to keep a Model from running. */
static gboolean is_growth_refused(const struct action *action, const GError *problem)
{
	return action->resource == &KUBE_PVCS && !action->creates &&
	       (kube_error_is(problem, KUBE_ERROR_INVALID) ||
		   kube_error_is(problem, KUBE_ERROR_DENIED));
}

/* Said once; and not asked for again before the claim or the wanted size changes. */
static void accept_claim_as_it_is(struct reconciler *reconciler, const struct model *model,
    const struct action *action, yyjson_val *claim, const GError *problem)
{
	g_autofree char *message =
	    g_strdup_printf("claim %s stays as large as it is: %s", action->name, problem->message);

	remember_applied(reconciler, model, action, claim);
	record(reconciler, model, "Warning", "ClaimNotGrown", message);
}

static gboolean do_children(struct reconciler *reconciler, const struct observed *observed,
    char **ret_refused, const char **ret_reason, GError **error)
{
	g_autoptr(GPtrArray) actions =
	    plan_children(observed, reconciler->deps.settings, ret_refused, ret_reason);

	for (guint i = 0; i < actions->len && *ret_refused == NULL; i++) {
		const struct action *action = actions->pdata[i];
		yyjson_val *child = child_of(observed, action->resource);
		GError *problem = NULL;

		if (was_just_applied(reconciler, observed->model, action, child))
			continue;
		if (apply_child(reconciler, observed->model, action, child, ret_refused, &problem))
			continue;
		if (*ret_refused != NULL) {
			*ret_reason = "NameTaken";
		} else if (is_growth_refused(action, problem)) {
			accept_claim_as_it_is(reconciler, observed->model, action, child, problem);
			g_clear_error(&problem);
		} else if (!explain_refusal(&problem, ret_refused, ret_reason)) {
			g_propagate_error(error, problem);
			return FALSE;
		}
	}
	return TRUE;
}

static void note_phase(struct reconciler *reconciler, const struct model *model, const char *phase)
{
	g_autofree char *key = g_strdup_printf("%s/%s", model->namespace, model->name);
	g_autofree char *word = phase == NULL ? NULL : g_strndup(phase, strcspn(phase, " "));

	phases_note(reconciler->deps.phases, key, word);
}

/* How long this status has to wait, 0: not at all. */
static gint64 status_waits_ms(
    struct reconciler *reconciler, const struct action *action, const char *key)
{
	gint64 since_ms =
	    clock_monotonic_ms(reconciler->deps.clock) - status_written_ms(reconciler, key);

	return action->is_progress ? MAX(PROGRESS_STATUS_MS - since_ms, 0) : 0;
}

static gboolean do_status(struct reconciler *reconciler, const struct observed *observed,
    const char *refused, const char *refused_reason, struct reconcile_result *ret_result,
    GError **error)
{
	g_autofree char *key =
	    g_strdup_printf("%s/%s", observed->model->namespace, observed->model->name);
	g_autoptr(GPtrArray) actions = plan_status(observed, refused, refused_reason);
	const char *phase = json_str(observed->model->status, "phase", NULL);

	for (guint i = 0; i < actions->len; i++) {
		const struct action *action = actions->pdata[i];
		g_autoptr(yyjson_doc) stored = NULL;
		gint64 wait_ms;

		if (action->kind == ACTION_EVENT) {
			record(reconciler, observed->model, action->event_type, action->reason,
			    action->message);
			continue;
		}
		wait_ms = status_waits_ms(reconciler, action, key);
		if (wait_ms > 0) {
			ret_result->requeue_after_ms = wait_ms;
			return TRUE;
		}
		if (!check_may_write(reconciler, error))
			return FALSE;
		stored = kube_apply(reconciler->deps.client, &MODEL_RESOURCE,
		    observed->model->namespace, observed->model->name, "status", action->body,
		    action->body_len, TRUE, error);
		if (stored == NULL)
			return FALSE;
		remember_status_written(reconciler, key);
		phase = action->phase;
	}
	note_phase(reconciler, observed->model, phase);
	return TRUE;
}

/* ---- gathering ---- */

static yyjson_doc *parse_cached(struct cache *cache, const char *namespace, const char *name)
{
	g_autofree char *key = g_strdup_printf("%s/%s", namespace, name);
	AUTO(kube_object) object = cache_get(cache, key);

	return object == NULL ? NULL : kube_object_parse(object);
}

/* What the status remembers, else what a store finds out now. */
static gboolean know_memory(struct reconciler *reconciler, const struct model *model,
    struct memory_estimate *ret, gint64 *ret_again_ms)
{
	if (model->image == NULL || model->deleting)
		return FALSE;
	return memory_need_read(model, ret) ||
	       inspector_estimate(reconciler->deps.inspector, model, ret, ret_again_ms);
}

/*
 * The claim that holds the Model's weights, by name (the caller's; NULL: none) and as it is. Where
 * the shared one is of another kind than the Model asks for, the one beside it.
 */
static char *find_claim(
    struct reconciler *reconciler, const struct model *model, yyjson_doc **ret_claim)
{
	struct cache *claims = reconciler->deps.claims;
	g_autofree char *name = volumes_claim_name(model);
	g_autoptr(yyjson_doc) claim =
	    name == NULL ? NULL : parse_cached(claims, model->namespace, name);

	if (claim != NULL && !volumes_claim_fits(model, yyjson_doc_get_root(claim))) {
		g_free(name);
		name = volumes_other_claim_name(model);
		yyjson_doc_free(claim);
		claim = parse_cached(claims, model->namespace, name);
	}
	*ret_claim = g_steal_pointer(&claim);
	return g_steal_pointer(&name);
}

static yyjson_doc *parse_namespace(struct reconciler *reconciler, const char *name)
{
	AUTO(kube_object) object = cache_get(reconciler->deps.namespaces, name);

	return object == NULL ? NULL : kube_object_parse(object);
}

static gboolean run_for(struct reconciler *reconciler, const struct model *model,
    struct reconcile_result *ret_result, GError **error)
{
	const struct reconciler_deps *deps = &reconciler->deps;
	g_autofree char *key = g_strdup_printf("%s/%s", model->namespace, model->name);
	g_autofree char *child = model_child_name(model->name);
	g_autofree char *image = model->image == NULL ? NULL : reference_full(model->image);
	g_autoptr(yyjson_doc) deployment = parse_cached(deps->deployments, model->namespace, child);
	g_autoptr(yyjson_doc) service = parse_cached(deps->services, model->namespace, child);
	g_autoptr(yyjson_doc) claim = NULL;
	g_autofree char *claim_name = find_claim(reconciler, model, &claim);
	g_autoptr(yyjson_doc) namespace = parse_namespace(reconciler, model->namespace);
	g_autoptr(GPtrArray) pods = cache_by_index(deps->pods, key);
	g_autoptr(GPtrArray) pulls = pulls_for_image(deps->pulls, image == NULL ? "" : image);
	struct memory_estimate estimate;
	gint64 ask_again_ms = 0;
	gboolean estimated = know_memory(reconciler, model, &estimate, &ask_again_ms);
	const struct observed observed = {
	    .model = model,
	    .deployment = yyjson_doc_get_root(deployment),
	    .service = yyjson_doc_get_root(service),
	    .claim = yyjson_doc_get_root(claim),
	    .claim_name = claim_name,
	    .namespace = yyjson_doc_get_root(namespace),
	    .pods = pods,
	    .pulls = pulls,
	    .memory = estimated ? &estimate : NULL,
	    .largest_node_bytes = nodes_largest_bytes(deps->nodes),
	    .now_us = clock_wall_us(deps->clock),
	};
	g_autofree char *refused = NULL;
	const char *reason = NULL;

	if (!do_children(reconciler, &observed, &refused, &reason, error))
		return FALSE;
	ret_result->requeue_after_ms = ask_again_ms;
	/* Nothing we watch will tell when somebody else's object goes away. */
	if (refused != NULL)
		ret_result->requeue_after_ms = 30 * 1000;
	return do_status(reconciler, &observed, refused, reason, ret_result, error);
}

gboolean reconciler_run(
    void *data, const char *key, struct reconcile_result *ret_result, GError **error)
{
	struct reconciler *reconciler = data;
	AUTO(kube_object) object = cache_get(reconciler->deps.models, key);
	AUTO(model) model = NULL;
	g_autoptr(GError) problem = NULL;

	if (object == NULL) {
		forget_model(reconciler, key);
		phases_note(reconciler->deps.phases, key, NULL);
		return TRUE;
	}
	model = model_from_object(object, error);
	if (model == NULL)
		return FALSE;
	if (run_for(reconciler, model, ret_result, &problem))
		return TRUE;
	/* Deleted meanwhile, or another one under its name: the watch will tell. */
	if (kube_error_is(problem, KUBE_ERROR_NOT_FOUND) ||
	    kube_error_is(problem, KUBE_ERROR_CONFLICT)) {
		AUTO(kube_object) now = cache_get(reconciler->deps.models, key);

		if (now == NULL || strcmp(now->uid, model->uid) != 0)
			return TRUE;
	}
	g_propagate_error(error, g_steal_pointer(&problem));
	return FALSE;
}
