#include "operator/volumes.h"

#include "base/hash.h"
#include "base/quantity.h"
#include "operator/children.h"
#include "operator/server_env.h"

#include <string.h>

/* ---- which ---- */

char *volumes_claim_name(const struct model *model)
{
	if (model->claim_name != NULL)
		return g_strdup(model->claim_name);
	if (model->storage_class != NULL || model->access_mode != NULL)
		return g_strdup(SHARED_CLAIM);
	return NULL;
}

static gboolean has_mode(yyjson_val *claim, const char *mode)
{
	yyjson_arr_iter iter;
	yyjson_val *has;

	yyjson_arr_iter_init(json_at(claim, "spec", "accessModes", NULL), &iter);
	while ((has = yyjson_arr_iter_next(&iter)) != NULL) {
		if (yyjson_equals_str(has, mode))
			return TRUE;
	}
	return FALSE;
}

gboolean volumes_claim_fits(const struct model *model, yyjson_val *claim)
{
	const char *class = json_str(claim, "spec", "storageClassName", NULL);

	if (model->claim_name != NULL)
		return TRUE;
	return (model->storage_class == NULL || g_strcmp0(class, model->storage_class) == 0) &&
	       (model->access_mode == NULL || has_mode(claim, model->access_mode));
}

char *volumes_other_claim_name(const struct model *model)
{
	g_autofree char *kind =
	    g_strdup_printf("%s\n%s", model->storage_class != NULL ? model->storage_class : "",
		model->access_mode != NULL ? model->access_mode : "");

	return g_strdup_printf(
	    SHARED_CLAIM "-%08x", (guint)(hash_stable(kind, strlen(kind)) & 0xffffffff));
}

static gboolean refuses_host_paths(yyjson_val *namespace)
{
	const char *level = json_str(namespace, "metadata", "labels", LABEL_ENFORCE, NULL);

	return g_strcmp0(level, "baseline") == 0 || g_strcmp0(level, "restricted") == 0;
}

/* What is not known yet is taken for the narrowest that is usual: one node. */
static void choose_places(
    struct volume_choice *choice, const struct model *model, yyjson_val *claim)
{
	const char *wanted = model->access_mode != NULL ? model->access_mode : "ReadWriteOnce";

	if (claim != NULL) {
		choice->one_pod = has_mode(claim, "ReadWriteOncePod");
		choice->one_node = !has_mode(claim, "ReadWriteMany") &&
				   !(choice->is_read_only && has_mode(claim, "ReadOnlyMany"));
	} else {
		choice->one_pod = choice->is_shared && strcmp(wanted, "ReadWriteOncePod") == 0;
		choice->one_node = !choice->is_shared || strcmp(wanted, "ReadWriteMany") != 0;
	}
}

struct volume_choice volumes_choose(
    const struct model *model, const char *claim_name, yyjson_val *claim, yyjson_val *namespace)
{
	struct volume_choice choice = {.kind = VOLUME_HOST};

	if (claim_name != NULL) {
		choice.kind = VOLUME_CLAIM;
		choice.claim = claim_name;
		choice.is_shared = model->claim_name == NULL;
		choice.is_read_only = !choice.is_shared && model->claim_read_only;
		choose_places(&choice, model, claim);
	} else if (refuses_host_paths(namespace)) {
		choice.kind = VOLUME_POD;
	}
	return choice;
}

/* ---- the shared claim ---- */

/* The size that it is to have, NULL: it has it. A claim is never asked to shrink. */
static const char *new_size(const struct operator_settings *settings, yyjson_val *claim)
{
	const char *wanted =
	    settings->claim_size != NULL ? settings->claim_size : DEFAULT_CLAIM_SIZE;
	const char *has = json_str(claim, "spec", "resources", "requests", "storage", NULL);
	gint64 wanted_bytes, has_bytes;

	if (claim == NULL)
		return wanted;
	if (has == NULL || !quantity_parse(has, &has_bytes) ||
	    !quantity_parse(wanted, &wanted_bytes))
		return NULL;
	return wanted_bytes > has_bytes ? wanted : NULL;
}

/* What cannot change is said again as it is. */
static void set_kind(
    yyjson_mut_doc *doc, yyjson_mut_val *spec, const struct model *model, yyjson_val *claim)
{
	if (claim != NULL) {
		json_mut_copy(
		    doc, spec, "accessModes", json_at(claim, "spec", "accessModes", NULL));
		json_mut_copy(doc, spec, "storageClassName",
		    json_at(claim, "spec", "storageClassName", NULL));
		return;
	}
	json_mut_append_str(doc, json_mut_array(doc, spec, "accessModes"),
	    model->access_mode != NULL ? model->access_mode : "ReadWriteOnce");
	json_mut_set_str(doc, spec, "storageClassName", model->storage_class);
}

yyjson_mut_doc *volumes_shared_claim(const struct model *model,
    const struct operator_settings *settings, const struct volume_choice *choice, yyjson_val *claim)
{
	const char *size;
	yyjson_mut_doc *doc;
	yyjson_mut_val *root, *metadata, *spec, *resources;

	if (choice->kind != VOLUME_CLAIM || !choice->is_shared ||
	    json_str(claim, "metadata", "deletionTimestamp", NULL) != NULL)
		return NULL;
	size = new_size(settings, claim);
	if (size == NULL)
		return NULL;
	doc = yyjson_mut_doc_new(json_alc());
	root = yyjson_mut_obj(doc);
	yyjson_mut_doc_set_root(doc, root);
	json_mut_set_str(doc, root, "apiVersion", "v1");
	json_mut_set_str(doc, root, "kind", KUBE_PVCS.kind);
	metadata = json_mut_object(doc, root, "metadata");
	json_mut_set_str(doc, metadata, "name", choice->claim);
	json_mut_set_str(doc, metadata, "namespace", model->namespace);
	/* No owner: who deletes a Model has not said that the weights may go. */
	json_mut_set_str(
	    doc, json_mut_object(doc, metadata, "labels"), LABEL_MANAGED_BY, FIELD_MANAGER);
	spec = json_mut_object(doc, root, "spec");
	set_kind(doc, spec, model, claim);
	resources = json_mut_object(doc, spec, "resources");
	json_mut_set_str(doc, json_mut_object(doc, resources, "requests"), "storage", size);
	return doc;
}

/* ---- the pod ---- */

static void set_source(
    yyjson_mut_doc *doc, yyjson_mut_val *volume, const struct volume_choice *choice)
{
	yyjson_mut_val *claim;

	yyjson_mut_obj_clear(volume);
	json_mut_set_str(doc, volume, "name", MODELS_VOLUME);
	if (choice->kind == VOLUME_POD) {
		json_mut_object(doc, volume, "emptyDir");
		return;
	}
	claim = json_mut_object(doc, volume, "persistentVolumeClaim");
	json_mut_set_str(doc, claim, "claimName", choice->claim);
	if (choice->is_read_only)
		json_mut_set_bool(doc, claim, "readOnly", TRUE);
}

static void add_env(
    yyjson_mut_doc *doc, yyjson_mut_val *container, const char *name, const char *value)
{
	yyjson_mut_val *env = json_mut_list_at(doc, container, "env");
	yyjson_mut_val *entry;

	if (value == NULL || env == NULL || json_mut_find_named(env, name) != NULL)
		return;
	entry = json_mut_append_object(doc, env);
	json_mut_set_str(doc, entry, "name", name);
	json_mut_set_str(doc, entry, "value", value);
}

static void set_fetch(yyjson_mut_doc *doc, yyjson_mut_val *fetch,
    const struct operator_settings *settings, const struct volume_choice *choice)
{
	yyjson_mut_val *args = json_mut_list_at(doc, fetch, "args");
	yyjson_mut_val *mounts = json_mut_list_at(doc, fetch, "volumeMounts");
	yyjson_mut_val *mount;

	if (args == NULL || mounts == NULL)
		return;
	json_mut_append_str(doc, args, "--into");
	json_mut_append_str(doc, args, MODELS_DIRECTORY);
	if (choice->is_read_only)
		json_mut_append_str(doc, args, "--read-only");
	mount = json_mut_append_object(doc, mounts);
	json_mut_set_str(doc, mount, "name", MODELS_VOLUME);
	json_mut_set_str(doc, mount, "mountPath", MODELS_DIRECTORY);
	if (choice->is_read_only)
		json_mut_set_bool(doc, mount, "readOnly", TRUE);
	/* For a node whose store does not answer. */
	add_env(doc, fetch, "OLLAMA_INSECURE_REGISTRIES", settings->insecure_registries);
	add_env(doc, fetch, "OLLAMA_REGISTRY_MIRRORS", settings->registry_mirrors);
	/* Why it gave up (a full volume, a claim without the model) is for the Model's status. */
	json_mut_set_str(doc, fetch, "terminationMessagePolicy", "FallbackToLogsOnError");
}

/*
 * All pods of a claim that one node can have go where the first one is. Why by affinity to each
 * other and not by the volume's node: the scheduler places one pod after the other and lets the
 * first one that such a rule selects go anywhere, so it is never in two minds; it holds before the
 * claim is bound, and for volumes that can move from node to node but say nothing of where they
 * are, which are those that fail with Multi-Attach.
 */
static void pin(yyjson_mut_doc *doc, yyjson_mut_val *template, const char *claim)
{
	yyjson_mut_val *metadata = json_mut_object(doc, template, "metadata");
	yyjson_mut_val *pod = yyjson_mut_obj_get(template, "spec");
	g_autofree char *value = model_label_value(claim);
	yyjson_mut_val *affinity, *terms, *term, *selector;

	json_mut_set_str(doc, json_mut_object(doc, metadata, "labels"), LABEL_CLAIM, value);
	affinity = json_mut_object(doc, json_mut_object(doc, pod, "affinity"), "podAffinity");
	terms = json_mut_list_at(doc, affinity, "requiredDuringSchedulingIgnoredDuringExecution");
	if (terms == NULL)
		return;
	term = json_mut_append_object(doc, terms);
	selector = json_mut_object(doc, term, "labelSelector");
	json_mut_set_str(doc, json_mut_object(doc, selector, "matchLabels"), LABEL_CLAIM, value);
	json_mut_set_str(doc, term, "topologyKey", "kubernetes.io/hostname");
}

/* The new pod cannot have the claim before the old one is gone: an update has a gap. */
static void make_room_first(yyjson_mut_doc *doc, yyjson_mut_val *spec)
{
	yyjson_mut_val *rolling =
	    json_mut_object(doc, json_mut_object(doc, spec, "strategy"), "rollingUpdate");

	json_mut_set_int(doc, rolling, "maxSurge", 0);
	json_mut_set_int(doc, rolling, "maxUnavailable", 1);
}

void volumes_apply(yyjson_mut_doc *doc, yyjson_mut_val *spec,
    const struct operator_settings *settings, const struct volume_choice *choice)
{
	yyjson_mut_val *template = yyjson_mut_obj_get(spec, "template");
	yyjson_mut_val *pod = yyjson_mut_obj_get(template, "spec");
	yyjson_mut_val *volume =
	    json_mut_find_named(yyjson_mut_obj_get(pod, "volumes"), MODELS_VOLUME);
	yyjson_mut_val *server =
	    json_mut_find_named(yyjson_mut_obj_get(pod, "containers"), SERVER_CONTAINER);
	yyjson_mut_val *fetch =
	    json_mut_find_named(yyjson_mut_obj_get(pod, "initContainers"), FETCH_CONTAINER);

	if (choice == NULL || choice->kind == VOLUME_HOST || volume == NULL || fetch == NULL)
		return;
	set_source(doc, volume, choice);
	/* The server's mount stays read-only; it shows the volume's root, not a pod's view. */
	yyjson_mut_obj_remove_key(
	    json_mut_find_named(yyjson_mut_obj_get(server, "volumeMounts"), MODELS_VOLUME),
	    "subPathExpr");
	set_fetch(doc, fetch, settings, choice);
	if (choice->kind == VOLUME_CLAIM && choice->one_node)
		pin(doc, template, choice->claim);
	if (choice->kind == VOLUME_CLAIM && choice->one_pod)
		make_room_first(doc, spec);
}
