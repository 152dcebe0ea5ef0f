#include "operator/plan.h"

#include "base/quantity.h"
#include "operator/children.h"
#include "operator/memory_need.h"
#include "operator/pulls.h"
#include "operator/status.h"
#include "operator/volumes.h"

#include <string.h>

void action_free(struct action *action)
{
	if (action == NULL)
		return;
	g_free(action->name);
	g_free(action->body);
	g_free(action->phase);
	g_free(action->reason);
	g_free(action->message);
	g_free(action);
}

static GPtrArray *new_list(void)
{
	return g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))action_free);
}

/* ---- children ---- */

char *plan_name_taken(
    const struct kube_resource *resource, const struct model *model, const char *name)
{
	return g_strdup_printf(
	    "%s %s/%s exists and is not this Model's: delete or rename it, or give "
	    "the Model another name",
	    resource->kind, model->namespace, name);
}

/*
 * Ours: owned by this very Model; or by nobody, but with the labels of a Model's child, as the
 * predecessor's objects are.
 */
static gboolean belongs_to(yyjson_val *child, const struct model *model)
{
	yyjson_val *owners = json_at(child, "metadata", "ownerReferences", NULL);
	g_autofree char *label = model_label_value(model->name);
	yyjson_arr_iter iter;
	yyjson_val *owner;

	yyjson_arr_iter_init(owners, &iter);
	while ((owner = yyjson_arr_iter_next(&iter)) != NULL) {
		if (g_strcmp0(json_str(owner, "uid", NULL), model->uid) == 0)
			return TRUE;
	}
	return yyjson_arr_size(owners) == 0 &&
	       g_strcmp0(json_str(child, "metadata", "labels", LABEL_MODEL_NAME, NULL), label) == 0;
}

/* Covered in all that we say. */
static gboolean is_as_wanted(yyjson_val *child, yyjson_mut_doc *wanted)
{
	g_autoptr(yyjson_doc) fixed = yyjson_mut_doc_imut_copy(wanted, json_alc());
	yyjson_val *root = yyjson_doc_get_root(fixed);

	return child != NULL &&
	       json_covers(json_at(child, "metadata", NULL), json_at(root, "metadata", NULL)) &&
	       json_covers(json_at(child, "spec", NULL), json_at(root, "spec", NULL));
}

static void plan_child(GPtrArray *actions, const struct kube_resource *resource, yyjson_val *child,
    yyjson_mut_doc *wanted)
{
	struct action *action;

	if (is_as_wanted(child, wanted))
		return;
	action = g_new0(struct action, 1);
	action->kind = ACTION_APPLY;
	action->resource = resource;
	action->creates = child == NULL;
	action->name = g_strdup(yyjson_mut_get_str(yyjson_mut_obj_get(
	    yyjson_mut_obj_get(yyjson_mut_doc_get_root(wanted), "metadata"), "name")));
	action->body = json_mut_print(yyjson_mut_doc_get_root(wanted), &action->body_len);
	g_ptr_array_add(actions, action);
}

/* Before the pods that use it. It is nobody's child: it may be there long before, and long after.
 */
static void plan_claim(
    GPtrArray *actions, const struct observed *observed, const struct operator_settings *settings)
{
	const struct volume_choice volumes = volumes_choose(
	    observed->model, observed->claim_name, observed->claim, observed->namespace);
	g_autoptr(yyjson_mut_doc) claim =
	    volumes_shared_claim(observed->model, settings, &volumes, observed->claim);

	if (claim != NULL)
		plan_child(actions, &KUBE_PVCS, observed->claim, claim);
}

/* "a, b": what keeps it. The caller's. */
static char *finalizers_of(yyjson_val *child)
{
	GString *text = g_string_new(NULL);
	yyjson_arr_iter iter;
	yyjson_val *finalizer;

	yyjson_arr_iter_init(json_at(child, "metadata", "finalizers", NULL), &iter);
	while ((finalizer = yyjson_arr_iter_next(&iter)) != NULL) {
		if (yyjson_is_str(finalizer))
			g_string_append_printf(
			    text, "%s%s", text->len == 0 ? "" : ", ", yyjson_get_str(finalizer));
	}
	return g_string_free(text, FALSE);
}

/* Why a child must be left as it is, the caller's; NULL: it may be made or changed. */
static char *refusal(const struct kube_resource *resource, yyjson_val *child,
    const struct model *model, const char **ret_reason)
{
	const char *name = json_str(child, "metadata", "name", NULL);
	g_autofree char *finalizers = NULL;

	if (child == NULL)
		return NULL;
	/* What goes cannot be brought back, only waited for: its end is an event. */
	if (json_str(child, "metadata", "deletionTimestamp", NULL) != NULL) {
		finalizers = finalizers_of(child);
		*ret_reason = "BeingDeleted";
		return g_strdup_printf("%s %s/%s is being deleted, and a new one comes when it has "
				       "gone; its finalizers: %s",
		    resource->kind, model->namespace, name,
		    *finalizers == '\0' ? "none" : finalizers);
	}
	if (belongs_to(child, model))
		return NULL;
	*ret_reason = "NameTaken";
	return plan_name_taken(resource, model, name);
}

/*
 * The estimate becomes the request, unless somebody set it by hand (kubectl set resources): then we
 * say nothing of it, and theirs stays. And a Model that serves is not restarted for a better
 * estimate alone: when all else is as it was, what its pods ask for stays.
 */
static yyjson_mut_doc *wanted_deployment(
    const struct observed *observed, const struct operator_settings *settings, GError **error)
{
	const struct model *model = observed->model;
	yyjson_val *existing = observed->deployment;
	gboolean serves = json_int(existing, 0, "status", "availableReplicas", NULL) > 0;
	gint64 has_bytes = child_memory_request(existing);
	const struct volume_choice volumes =
	    volumes_choose(model, observed->claim_name, observed->claim, observed->namespace);
	struct child_facts facts = {.existing = existing, .volumes = &volumes};
	g_autoptr(yyjson_mut_doc) as_it_was = NULL;
	gint64 asked_bytes;
	gboolean estimated;

	child_memory_asked(existing, &asked_bytes, &estimated);
	if (!memory_need_is_requested(model) || (has_bytes > 0 && has_bytes != asked_bytes))
		return child_deployment(model, settings, &facts, error);
	if (serves || observed->memory == NULL) {
		facts.memory_bytes = estimated ? asked_bytes : 0;
		as_it_was = child_deployment(model, settings, &facts, error);
		if (as_it_was == NULL || observed->memory == NULL ||
		    is_as_wanted(existing, as_it_was))
			return g_steal_pointer(&as_it_was);
	}
	facts.memory_bytes = observed->memory->total_bytes;
	return child_deployment(model, settings, &facts, error);
}

GPtrArray *plan_children(const struct observed *observed, const struct operator_settings *settings,
    char **ret_refused, const char **ret_refused_reason)
{
	const struct model *model = observed->model;
	GPtrArray *actions = new_list();
	g_autoptr(yyjson_mut_doc) deployment = NULL;
	g_autoptr(yyjson_mut_doc) service = NULL;
	g_autoptr(GError) error = NULL;

	*ret_refused = NULL;
	*ret_refused_reason = NULL;
	/* Children of a Model that goes are the garbage collector's. */
	if (model->deleting || model->image == NULL)
		return actions;
	*ret_refused = refusal(&KUBE_DEPLOYMENTS, observed->deployment, model, ret_refused_reason);
	if (*ret_refused == NULL)
		*ret_refused =
		    refusal(&KUBE_SERVICES, observed->service, model, ret_refused_reason);
	if (*ret_refused != NULL)
		return actions;
	plan_claim(actions, observed, settings);
	deployment = wanted_deployment(observed, settings, &error);
	if (deployment == NULL) {
		*ret_refused = g_strdup(error->message);
		*ret_refused_reason = "Invalid";
		return actions;
	}
	plan_child(actions, &KUBE_DEPLOYMENTS, observed->deployment, deployment);
	service = child_service(model);
	plan_child(actions, &KUBE_SERVICES, observed->service, service);
	return actions;
}

/* ---- status ---- */

static void add_event(GPtrArray *actions, const char *type, const char *reason, char *take_message)
{
	struct action *action = g_new0(struct action, 1);

	action->kind = ACTION_EVENT;
	action->event_type = type;
	action->reason = g_strdup(reason);
	action->message = take_message;
	g_ptr_array_add(actions, action);
}

static gboolean condition_is_true(yyjson_val *condition)
{
	return g_strcmp0(json_str(condition, "status", NULL), "True") == 0;
}

/* An Event when weights have arrived, or when it became clear why they cannot. */
static void plan_pull_event(GPtrArray *actions, const struct model *model, yyjson_val *after)
{
	yyjson_val *was = status_condition(model->status, "Pulled");
	yyjson_val *is = status_condition(after, "Pulled");
	const char *reason = json_str(is, "reason", NULL);
	g_autofree char *size = NULL;

	if (condition_is_true(is) && !condition_is_true(was)) {
		size = quantity_human_bytes(json_int(after, 0, "size", NULL));
		add_event(actions, "Normal", "Pulled",
		    g_strdup_printf("%s (%s) is on its nodes", model->image_text, size));
	} else if (g_strcmp0(json_str(is, "status", NULL), "False") == 0 &&
		   g_strcmp0(reason, "Pulling") != 0 &&
		   (g_strcmp0(reason, json_str(was, "reason", NULL)) != 0 ||
		       g_strcmp0(json_str(is, "message", NULL), json_str(was, "message", NULL)) !=
			   0)) {
		add_event(actions, "Warning", reason, g_strdup(json_str(is, "message", NULL)));
	}
}

static void plan_progress_events(GPtrArray *actions, const struct model *model, yyjson_val *after)
{
	yyjson_val *was = status_condition(model->status, "Available");
	yyjson_val *is = status_condition(after, "Available");
	yyjson_val *progress_was = status_condition(model->status, "Progressing");
	yyjson_val *progress_is = status_condition(after, "Progressing");
	const char *reason = json_str(progress_is, "reason", NULL);

	if (condition_is_true(is) && !condition_is_true(was))
		add_event(actions, "Normal", "Loaded",
		    g_strdup_printf("the model answers at %s", json_str(after, "url", NULL)));
	if (condition_is_true(was) && !condition_is_true(is) && model->replicas > 0)
		add_event(
		    actions, "Warning", "Unavailable", g_strdup(json_str(is, "message", NULL)));
	if (g_strcmp0(json_str(progress_is, "status", NULL), "False") == 0 &&
	    g_strcmp0(reason, "PullFailed") != 0 &&
	    g_strcmp0(reason, json_str(progress_was, "reason", NULL)) != 0)
		add_event(
		    actions, "Warning", reason, g_strdup(json_str(progress_is, "message", NULL)));
}

static gboolean is_pulling(yyjson_val *status)
{
	const char *phase = json_str(status, "phase", NULL);

	return phase != NULL && g_str_has_prefix(phase, "Pulling") &&
	       json_at(status, "pull", NULL) != NULL;
}

static gboolean same_conditions_but_for_words(yyjson_val *before, yyjson_val *after)
{
	yyjson_arr_iter iter;
	yyjson_val *is;

	yyjson_arr_iter_init(json_at(after, "conditions", NULL), &iter);
	while ((is = yyjson_arr_iter_next(&iter)) != NULL) {
		yyjson_val *was = status_condition(before, json_str(is, "type", NULL));

		if (g_strcmp0(json_str(was, "status", NULL), json_str(is, "status", NULL)) != 0 ||
		    g_strcmp0(json_str(was, "reason", NULL), json_str(is, "reason", NULL)) != 0)
			return FALSE;
	}
	return TRUE;
}

/* Has nothing changed but how far a pull is? */
static gboolean only_progressed(yyjson_val *before, yyjson_val *after)
{
	yyjson_obj_iter iter;
	yyjson_val *key;

	if (!is_pulling(before) || !is_pulling(after) ||
	    !same_conditions_but_for_words(before, after))
		return FALSE;
	yyjson_obj_iter_init(after, &iter);
	while ((key = yyjson_obj_iter_next(&iter)) != NULL) {
		const char *name = yyjson_get_str(key);

		if (g_str_equal(name, "pull") || g_str_equal(name, "phase") ||
		    g_str_equal(name, "message") || g_str_equal(name, "conditions"))
			continue;
		if (!json_covers(yyjson_obj_get(before, name), yyjson_obj_iter_get_val(key)))
			return FALSE;
	}
	return TRUE;
}

static struct action *status_action(const struct model *model, yyjson_mut_doc *status)
{
	g_autofree char *api_version = kube_resource_api_version(&MODEL_RESOURCE);
	yyjson_mut_val *root = yyjson_mut_obj(status);
	yyjson_mut_val *metadata = yyjson_mut_obj(status);
	struct action *action = g_new0(struct action, 1);

	json_mut_set_str(status, root, "apiVersion", api_version);
	json_mut_set_str(status, root, "kind", MODEL_RESOURCE.kind);
	json_mut_set(status, root, "metadata", metadata);
	json_mut_set_str(status, metadata, "name", model->name);
	json_mut_set_str(status, metadata, "namespace", model->namespace);
	/* Another Model of the same name must not get this one's status. */
	json_mut_set_str(status, metadata, "uid", model->uid);
	json_mut_set(status, root, "status", yyjson_mut_doc_get_root(status));
	action->kind = ACTION_STATUS;
	action->body = json_mut_print(root, &action->body_len);
	return action;
}

/* "Pulling 43 %" is one phase with all its percents. */
static char *first_word(const char *text)
{
	return text == NULL ? NULL : g_strndup(text, strcspn(text, " "));
}

GPtrArray *plan_status(
    const struct observed *observed, const char *refused, const char *refused_reason)
{
	const struct model *model = observed->model;
	const struct status_input input = {
	    .model = model,
	    .deployment = observed->deployment,
	    .pods = observed->pods,
	    .pulls = observed->pulls,
	    .memory = observed->memory,
	    .largest_node_bytes = observed->largest_node_bytes,
	    .refused = refused,
	    .refused_reason = refused_reason,
	    .now_us = observed->now_us,
	};
	GPtrArray *actions = new_list();
	g_autoptr(yyjson_mut_doc) status = NULL;
	g_autoptr(yyjson_doc) after = NULL;
	struct action *action;

	if (model->deleting)
		return actions;
	status = status_compute(&input);
	after = yyjson_mut_doc_imut_copy(status, json_alc());
	if (status_same(model->status, yyjson_doc_get_root(after)))
		return actions;
	action = status_action(model, status);
	action->is_progress = only_progressed(model->status, yyjson_doc_get_root(after));
	action->phase = first_word(json_str(yyjson_doc_get_root(after), "phase", NULL));
	g_ptr_array_add(actions, action);
	plan_pull_event(actions, model, yyjson_doc_get_root(after));
	plan_progress_events(actions, model, yyjson_doc_get_root(after));
	return actions;
}
