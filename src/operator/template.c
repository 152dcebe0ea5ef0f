#include "operator/template.h"

#include "operator/children.h"
#include "json/strategic.h"

#include <string.h>

#define ANNOTATION_DEFAULT_CONTAINER "kubectl.kubernetes.io/default-container"

static const char *const container_lists[] = {"initContainers", "containers"};
static const char *const container_names[] = {FETCH_CONTAINER, SERVER_CONTAINER};

/* ---- lists whose elements have names ---- */

/* The element whose `key` is that of `like`; NULL when there is none. */
static yyjson_mut_val *find_like(
    yyjson_mut_val *list, const char *key, yyjson_mut_val *like, gsize *ret_position)
{
	yyjson_mut_val *wanted = yyjson_mut_obj_get(like, key);
	yyjson_mut_arr_iter iter;
	yyjson_mut_val *element;
	gsize position = 0;

	if (wanted == NULL || !yyjson_mut_arr_iter_init(list, &iter))
		return NULL;
	while ((element = yyjson_mut_arr_iter_next(&iter)) != NULL) {
		if (yyjson_mut_equals(yyjson_mut_obj_get(element, key), wanted)) {
			*ret_position = position;
			return element;
		}
		position++;
	}
	return NULL;
}

/* A copy of `element` in the place of the one with its `key`, or at the end. */
static void put(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *list_key, const char *key,
    yyjson_mut_val *element)
{
	yyjson_mut_val *list = json_mut_list_at(doc, object, list_key);
	yyjson_mut_val *copy = yyjson_mut_val_mut_copy(doc, element);
	gsize position;

	if (list == NULL)
		return;
	if (find_like(list, key, element, &position) != NULL)
		yyjson_mut_arr_replace(list, position, copy);
	else
		yyjson_mut_arr_append(list, copy);
}

/* ---- things that exclude each other ---- */

static gboolean sets_other_than(yyjson_mut_val *patch, const char *const keys[], const char *key)
{
	for (gsize i = 0; keys[i] != NULL; i++) {
		yyjson_mut_val *value = yyjson_mut_obj_get(patch, keys[i]);

		if (strcmp(keys[i], key) != 0 && value != NULL && !yyjson_mut_is_null(value))
			return TRUE;
	}
	return FALSE;
}

/* Of `keys` (ends with NULL), takes from `ours` each for which the patch names another instead. */
static void drop_rivals(yyjson_mut_val *ours, yyjson_mut_val *patch, const char *const keys[])
{
	for (gsize i = 0; keys[i] != NULL; i++) {
		if (yyjson_mut_obj_get(patch, keys[i]) == NULL &&
		    sets_other_than(patch, keys, keys[i]))
			yyjson_mut_obj_remove_key(ours, keys[i]);
	}
}

static void drop_rivals_of_container(yyjson_mut_val *ours, yyjson_mut_val *patch)
{
	static const char *const probes[] = {"startupProbe", "readinessProbe", "livenessProbe"};
	static const char *const handlers[] = {"exec", "httpGet", "tcpSocket", "grpc", NULL};
	static const char *const values[] = {"value", "valueFrom", NULL};
	yyjson_mut_arr_iter iter;
	yyjson_mut_val *entry;

	for (gsize i = 0; i < G_N_ELEMENTS(probes); i++)
		drop_rivals(yyjson_mut_obj_get(ours, probes[i]),
		    yyjson_mut_obj_get(patch, probes[i]), handlers);
	yyjson_mut_arr_iter_init(yyjson_mut_obj_get(ours, "env"), &iter);
	while ((entry = yyjson_mut_arr_iter_next(&iter)) != NULL) {
		const char *name = yyjson_mut_get_str(yyjson_mut_obj_get(entry, "name"));

		drop_rivals(
		    entry, json_mut_find_named(yyjson_mut_obj_get(patch, "env"), name), values);
	}
}

/* A volume has its name and one kind. */
static void drop_rival_of_volume(yyjson_mut_val *ours, yyjson_mut_val *patch)
{
	yyjson_mut_obj_iter iter;
	yyjson_mut_val *key;
	gboolean names_kind = FALSE;

	yyjson_mut_obj_iter_init(patch, &iter);
	while (patch != NULL && (key = yyjson_mut_obj_iter_next(&iter)) != NULL)
		names_kind = names_kind || (!yyjson_mut_equals_str(key, "name") &&
					       yyjson_mut_is_obj(yyjson_mut_obj_iter_get_val(key)));
	if (!names_kind)
		return;
	yyjson_mut_obj_iter_init(ours, &iter);
	while ((key = yyjson_mut_obj_iter_next(&iter)) != NULL) {
		if (!yyjson_mut_equals_str(key, "name") &&
		    yyjson_mut_obj_get(patch, yyjson_mut_get_str(key)) == NULL)
			yyjson_mut_obj_iter_remove(&iter);
	}
}

static void drop_all_rivals(yyjson_mut_val *template, yyjson_mut_val *patch)
{
	yyjson_mut_val *pod = yyjson_mut_obj_get(template, "spec");
	yyjson_mut_val *patch_pod = yyjson_mut_obj_get(patch, "spec");
	yyjson_mut_val *volumes = yyjson_mut_obj_get(pod, "volumes"), *volume;
	yyjson_mut_arr_iter iter;

	for (gsize i = 0; i < G_N_ELEMENTS(container_lists); i++) {
		yyjson_mut_val *ours = yyjson_mut_obj_get(pod, container_lists[i]);
		yyjson_mut_val *theirs = yyjson_mut_obj_get(patch_pod, container_lists[i]);

		drop_rivals_of_container(json_mut_find_named(ours, container_names[i]),
		    json_mut_find_named(theirs, container_names[i]));
	}
	yyjson_mut_arr_iter_init(volumes, &iter);
	while ((volume = yyjson_mut_arr_iter_next(&iter)) != NULL)
		drop_rival_of_volume(
		    volume, json_mut_find_named(yyjson_mut_obj_get(patch_pod, "volumes"),
				yyjson_mut_get_str(yyjson_mut_obj_get(volume, "name"))));
}

/* ---- the Model's own fields ---- */

static void copy_field(
    yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, yyjson_val *value)
{
	if (value != NULL)
		json_mut_set(doc, object, key, yyjson_val_mut_copy(doc, value));
}

/* A patch of what the Model's fields say about the pod. */
static yyjson_mut_val *patch_of_fields(yyjson_mut_doc *doc, const struct model *model)
{
	yyjson_mut_val *patch = yyjson_mut_obj(doc);
	yyjson_mut_val *pod = json_mut_object(doc, patch, "spec");
	yyjson_mut_val *server = yyjson_mut_obj(doc);

	json_mut_set_str(doc, server, "name", SERVER_CONTAINER);
	json_mut_set_str(doc, server, "image", model->server_image);
	copy_field(doc, server, "resources", model->resources);
	copy_field(doc, server, "env", model->extra_env);
	copy_field(doc, server, "envFrom", model->extra_env_from);
	yyjson_mut_arr_append(json_mut_list_at(doc, pod, "containers"), server);
	json_mut_set_str(doc, pod, "runtimeClassName", model->runtime_class);
	copy_field(doc, pod, "imagePullSecrets", model->image_pull_secrets);
	return patch;
}

static gboolean merge_over(
    yyjson_mut_doc *doc, yyjson_mut_val *template, yyjson_mut_val *patch, GError **error)
{
	drop_all_rivals(template, patch);
	return strategic_merge(doc, template, patch, STRATEGIC_POD_TEMPLATE, error);
}

/* ---- what must be ours ---- */

static void put_members(
    yyjson_mut_doc *doc, yyjson_mut_val *metadata, yyjson_mut_val *ours, const char *key)
{
	yyjson_mut_obj_iter iter;
	yyjson_mut_val *name;

	if (!yyjson_mut_obj_iter_init(yyjson_mut_obj_get(ours, key), &iter))
		return;
	while ((name = yyjson_mut_obj_iter_next(&iter)) != NULL)
		json_mut_set(doc, json_mut_object(doc, metadata, key), yyjson_mut_get_str(name),
		    yyjson_mut_val_mut_copy(doc, yyjson_mut_obj_iter_get_val(name)));
}

static gboolean is_needed_volume(yyjson_mut_val *thing)
{
	yyjson_mut_val *name = yyjson_mut_obj_get(thing, "name");

	return yyjson_mut_equals_str(name, MODELS_VOLUME) ||
	       yyjson_mut_equals_str(name, TOOLS_VOLUME);
}

/* Those of our variables that the pod's own fields fill; and those of our mounts that are needed.
 */
static void put_needed(yyjson_mut_doc *doc, yyjson_mut_val *container, yyjson_mut_val *ours)
{
	yyjson_mut_arr_iter iter;
	yyjson_mut_val *entry;

	yyjson_mut_arr_iter_init(yyjson_mut_obj_get(ours, "env"), &iter);
	while ((entry = yyjson_mut_arr_iter_next(&iter)) != NULL) {
		if (yyjson_mut_obj_get(yyjson_mut_obj_get(entry, "valueFrom"), "fieldRef") != NULL)
			put(doc, container, "env", "name", entry);
	}
	yyjson_mut_arr_iter_init(yyjson_mut_obj_get(ours, "volumeMounts"), &iter);
	while ((entry = yyjson_mut_arr_iter_next(&iter)) != NULL) {
		if (is_needed_volume(entry))
			put(doc, container, "volumeMounts", "mountPath", entry);
	}
}

/* The container of that name, made again from `ours` when the user's template took it away. */
static yyjson_mut_val *keep_container(yyjson_mut_doc *doc, yyjson_mut_val *pod,
    yyjson_mut_val *our_pod, const char *list_key, const char *name)
{
	yyjson_mut_val *ours = json_mut_find_named(yyjson_mut_obj_get(our_pod, list_key), name);
	yyjson_mut_val *container = json_mut_find_named(yyjson_mut_obj_get(pod, list_key), name);

	if (container == NULL) {
		put(doc, pod, list_key, "name", ours);
		container = json_mut_find_named(yyjson_mut_obj_get(pod, list_key), name);
	}
	if (container != NULL)
		put_needed(doc, container, ours);
	return container;
}

/* The Service and the probes ask for the port by its name. */
static void keep_port(yyjson_mut_doc *doc, yyjson_mut_val *server, yyjson_mut_val *our_server)
{
	yyjson_mut_val *ours = yyjson_mut_arr_get_first(yyjson_mut_obj_get(our_server, "ports"));
	const char *name = yyjson_mut_get_str(yyjson_mut_obj_get(ours, "name"));

	if (name != NULL && json_mut_find_named(yyjson_mut_obj_get(server, "ports"), name) == NULL)
		put(doc, server, "ports", "containerPort", ours);
}

static void put_ours(yyjson_mut_doc *doc, yyjson_mut_val *template, yyjson_mut_val *ours)
{
	yyjson_mut_val *metadata = json_mut_object(doc, template, "metadata");
	yyjson_mut_val *pod = json_mut_object(doc, template, "spec");
	yyjson_mut_val *our_pod = yyjson_mut_obj_get(ours, "spec");
	yyjson_mut_val *container, *our_container, *volume;
	yyjson_mut_arr_iter iter;

	put_members(doc, metadata, yyjson_mut_obj_get(ours, "metadata"), "labels");
	put_members(doc, metadata, yyjson_mut_obj_get(ours, "metadata"), "annotations");
	yyjson_mut_arr_iter_init(yyjson_mut_obj_get(our_pod, "volumes"), &iter);
	while ((volume = yyjson_mut_arr_iter_next(&iter)) != NULL) {
		if (is_needed_volume(volume))
			put(doc, pod, "volumes", "name", volume);
	}
	container = keep_container(doc, pod, our_pod, "initContainers", FETCH_CONTAINER);
	our_container =
	    json_mut_find_named(yyjson_mut_obj_get(our_pod, "initContainers"), FETCH_CONTAINER);
	if (container != NULL)
		json_mut_set(doc, container, "args",
		    yyjson_mut_val_mut_copy(doc, yyjson_mut_obj_get(our_container, "args")));
	container = keep_container(doc, pod, our_pod, "containers", SERVER_CONTAINER);
	our_container =
	    json_mut_find_named(yyjson_mut_obj_get(our_pod, "containers"), SERVER_CONTAINER);
	if (container != NULL)
		keep_port(doc, container, our_container);
}

/* ---- all of it ---- */

/* NULL and null are left to the merge. */
static gboolean check_type(yyjson_mut_val *value, gboolean list, const char *path, GError **error)
{
	if (value == NULL || yyjson_mut_is_null(value) ||
	    (list ? yyjson_mut_is_arr(value) : yyjson_mut_is_obj(value)))
		return TRUE;
	g_set_error(error, MODEL_ERROR, MODEL_ERROR_RESOURCE, "spec.podTemplate.%s: must be %s",
	    path, list ? "a list" : "an object");
	return FALSE;
}

/* Under these keys, anything else would be covered by what we put there, and never be refused. */
static gboolean check_shape(yyjson_mut_val *patch, GError **error)
{
	static const char *const lists[] = {"containers", "initContainers", "volumes"};
	yyjson_mut_val *pod = yyjson_mut_obj_get(patch, "spec");

	if (!check_type(yyjson_mut_obj_get(patch, "metadata"), FALSE, "metadata", error) ||
	    !check_type(pod, FALSE, "spec", error))
		return FALSE;
	for (gsize i = 0; i < G_N_ELEMENTS(lists); i++) {
		g_autofree char *path = g_strconcat("spec.", lists[i], NULL);

		if (!check_type(yyjson_mut_obj_get(pod, lists[i]), TRUE, path, error))
			return FALSE;
	}
	return TRUE;
}

gboolean template_amend(
    yyjson_mut_doc *doc, yyjson_mut_val *template, const struct model *model, GError **error)
{
	yyjson_mut_val *ours, *patch, *annotations;

	if (model->pod_template == NULL)
		return TRUE;
	patch = yyjson_val_mut_copy(doc, model->pod_template);
	if (!check_shape(patch, error))
		return FALSE;
	ours = yyjson_mut_val_mut_copy(doc, template);
	/* The server may not be the first container any more; people mean it still. */
	annotations =
	    json_mut_object(doc, json_mut_object(doc, template, "metadata"), "annotations");
	json_mut_set_str(doc, annotations, ANNOTATION_DEFAULT_CONTAINER, SERVER_CONTAINER);
	if (!merge_over(doc, template, patch, error)) {
		g_prefix_error(error, "spec.podTemplate.");
		return FALSE;
	}
	if (!merge_over(doc, template, patch_of_fields(doc, model), error)) {
		g_prefix_error(error, "spec.podTemplate, with the Model's other fields: ");
		return FALSE;
	}
	put_ours(doc, template, ours);
	return TRUE;
}
