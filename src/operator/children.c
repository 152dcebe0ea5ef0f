#include "operator/children.h"

#include "base/hash.h"
#include "base/quantity.h"
#include "operator/hardware.h"
#include "operator/server_env.h"
#include "operator/template.h"
#include "operator/volumes.h"

#include <string.h>

/* Where `fetch` leaves our own binary, for probes and hooks. */
#define TOOLS_DIRECTORY "/run/ollama-operator"

enum {
	UNPRIVILEGED_ID = 65532,
	/* The longest that a stopping pod waits for its requests to end. */
	DRAIN_SECONDS = 300,
	MEBIBYTE = 1024 * 1024,
};

static yyjson_mut_val *new_body(
    yyjson_mut_doc *doc, const struct kube_resource *resource, const struct model *model)
{
	g_autofree char *api_version = kube_resource_api_version(resource);
	g_autofree char *name = model_child_name(model->name);
	yyjson_mut_val *root = yyjson_mut_obj(doc);
	yyjson_mut_val *metadata;

	yyjson_mut_doc_set_root(doc, root);
	json_mut_set_str(doc, root, "apiVersion", api_version);
	json_mut_set_str(doc, root, "kind", resource->kind);
	metadata = json_mut_object(doc, root, "metadata");
	json_mut_set_str(doc, metadata, "name", name);
	json_mut_set_str(doc, metadata, "namespace", model->namespace);
	return root;
}

static void set_labels(yyjson_mut_doc *doc, yyjson_mut_val *metadata, const struct model *model)
{
	g_autofree char *app = model_child_name(model->name);
	g_autofree char *name = model_label_value(model->name);
	yyjson_mut_val *labels = json_mut_object(doc, metadata, "labels");

	json_mut_set_str(doc, labels, LABEL_APP, app);
	json_mut_set_str(doc, labels, LABEL_TYPE, "model");
	json_mut_set_str(doc, labels, LABEL_MODEL, name);
	json_mut_set_str(doc, labels, LABEL_MODEL_NAME, name);
	json_mut_set_str(doc, labels, LABEL_MANAGED_BY, FIELD_MANAGER);
}

static void set_owner(yyjson_mut_doc *doc, yyjson_mut_val *metadata, const struct model *model)
{
	g_autofree char *api_version = kube_resource_api_version(&MODEL_RESOURCE);
	yyjson_mut_val *owner =
	    json_mut_append_object(doc, json_mut_array(doc, metadata, "ownerReferences"));

	json_mut_set_str(doc, owner, "apiVersion", api_version);
	json_mut_set_str(doc, owner, "kind", MODEL_RESOURCE.kind);
	json_mut_set_str(doc, owner, "name", model->name);
	json_mut_set_str(doc, owner, "uid", model->uid);
	json_mut_set_bool(doc, owner, "controller", TRUE);
	json_mut_set_bool(doc, owner, "blockOwnerDeletion", TRUE);
}

/* ---- the pod ---- */

static void set_container_security(yyjson_mut_doc *doc, yyjson_mut_val *container)
{
	yyjson_mut_val *security = json_mut_object(doc, container, "securityContext");
	yyjson_mut_val *capabilities = json_mut_object(doc, security, "capabilities");

	json_mut_set_bool(doc, security, "allowPrivilegeEscalation", FALSE);
	json_mut_set_bool(doc, security, "readOnlyRootFilesystem", TRUE);
	json_mut_append_str(doc, json_mut_array(doc, capabilities, "drop"), "ALL");
}

static void set_pod_security(yyjson_mut_doc *doc, yyjson_mut_val *pod)
{
	yyjson_mut_val *security = json_mut_object(doc, pod, "securityContext");

	json_mut_set_bool(doc, security, "runAsNonRoot", TRUE);
	json_mut_set_int(doc, security, "runAsUser", UNPRIVILEGED_ID);
	json_mut_set_int(doc, security, "runAsGroup", UNPRIVILEGED_ID);
	json_mut_set_int(doc, security, "fsGroup", UNPRIVILEGED_ID);
	json_mut_set_str(
	    doc, json_mut_object(doc, security, "seccompProfile"), "type", "RuntimeDefault");
}

static void add_mount(yyjson_mut_doc *doc, yyjson_mut_val *mounts, const char *name,
    const char *path, gboolean read_only)
{
	yyjson_mut_val *mount = json_mut_append_object(doc, mounts);

	json_mut_set_str(doc, mount, "name", name);
	json_mut_set_str(doc, mount, "mountPath", path);
	if (read_only)
		json_mut_set_bool(doc, mount, "readOnly", TRUE);
}

static void set_resource(yyjson_mut_doc *doc, yyjson_mut_val *container, const char *kind,
    const char *name, const char *quantity)
{
	yyjson_mut_val *resources = json_mut_object(doc, container, "resources");

	json_mut_set_str(doc, json_mut_object(doc, resources, kind), name, quantity);
}

/* The init container: waits until the node's store has the model and hands out its view. */
static void add_fetch_container(yyjson_mut_doc *doc, yyjson_mut_val *containers,
    const struct model *model, const struct operator_settings *settings)
{
	g_autofree char *model_key = g_strdup_printf("%s/%s", model->namespace, model->name);
	yyjson_mut_val *container = json_mut_append_object(doc, containers);
	const char *const args[] = {"fetch", "--image", model->image_text, "--model", model_key,
	    "--pull-policy", model->pull_policy, "--store", settings->store_url, "--install-to",
	    TOOLS_DIRECTORY};
	yyjson_mut_val *list;

	json_mut_set_str(doc, container, "name", FETCH_CONTAINER);
	json_mut_set_str(doc, container, "image", settings->image);
	json_mut_set_str(doc, container, "imagePullPolicy", "IfNotPresent");
	list = json_mut_array(doc, container, "args");
	for (gsize i = 0; i < G_N_ELEMENTS(args); i++)
		json_mut_append_str(doc, list, args[i]);
	server_env_add_pod_uid(doc, json_mut_array(doc, container, "env"));
	add_mount(doc, json_mut_array(doc, container, "volumeMounts"), TOOLS_VOLUME,
	    TOOLS_DIRECTORY, FALSE);
	set_resource(doc, container, "requests", "cpu", "10m");
	set_resource(doc, container, "requests", "memory", "16Mi");
	set_resource(doc, container, "limits", "memory", "64Mi");
	set_container_security(doc, container);
}

/*
 * The startup probe loads the model into the pod's own server and succeeds when it is loaded: so
 * a Ready pod answers at once. It may take as long as the largest model needs. It waits for a
 * server that only just starts; a load that the server itself refuses is tried three times, then
 * the container starts anew, and why is its last word in the pod's status.
 */
static void set_probes(yyjson_mut_doc *doc, yyjson_mut_val *container, const struct model *model)
{
	g_autofree char *name = reference_short(model->image);
	yyjson_mut_val *startup = json_mut_object(doc, container, "startupProbe");
	yyjson_mut_val *command =
	    json_mut_array(doc, json_mut_object(doc, startup, "exec"), "command");
	static const char *const http_probes[] = {"readinessProbe", "livenessProbe"};

	json_mut_append_str(doc, command, TOOLS_DIRECTORY "/ollama-operator");
	json_mut_append_str(doc, command, "probe");
	json_mut_append_str(doc, command, "--model");
	json_mut_append_str(doc, command, name);
	json_mut_set_int(doc, startup, "periodSeconds", 2);
	json_mut_set_int(doc, startup, "timeoutSeconds", 3600);
	json_mut_set_int(doc, startup, "failureThreshold", 3);
	for (gsize i = 0; i < G_N_ELEMENTS(http_probes); i++) {
		yyjson_mut_val *probe = json_mut_object(doc, container, http_probes[i]);
		yyjson_mut_val *get = json_mut_object(doc, probe, "httpGet");

		json_mut_set_str(doc, get, "path", "/");
		json_mut_set_str(doc, get, "port", "ollama");
		json_mut_set_int(doc, probe, "periodSeconds", i == 0 ? 5 : 10);
		json_mut_set_int(doc, probe, "timeoutSeconds", 5);
		json_mut_set_int(doc, probe, "failureThreshold", i == 0 ? 3 : 6);
	}
}

/*
 * SIGTERM cuts Ollama's streams at once, so it comes only when `drain` found nothing under way, or
 * gave up; a pod has as long to end, and a little more for the server itself.
 */
static void set_pre_stop(yyjson_mut_doc *doc, yyjson_mut_val *container)
{
	yyjson_mut_val *hook =
	    json_mut_object(doc, json_mut_object(doc, container, "lifecycle"), "preStop");
	yyjson_mut_val *command =
	    json_mut_array(doc, json_mut_object(doc, hook, "exec"), "command");
	g_autofree char *timeout = g_strdup_printf("%ds", DRAIN_SECONDS);

	json_mut_append_str(doc, command, TOOLS_DIRECTORY "/ollama-operator");
	json_mut_append_str(doc, command, "drain");
	json_mut_append_str(doc, command, "--timeout");
	json_mut_append_str(doc, command, timeout);
}

static void set_server_mounts(yyjson_mut_doc *doc, yyjson_mut_val *container)
{
	yyjson_mut_val *mounts = json_mut_array(doc, container, "volumeMounts");
	yyjson_mut_val *models = json_mut_append_object(doc, mounts);

	json_mut_set_str(doc, models, "name", MODELS_VOLUME);
	json_mut_set_str(doc, models, "mountPath", MODELS_DIRECTORY);
	/* `fetch` has the store make this link to the view before this container starts. */
	json_mut_set_str(doc, models, "subPathExpr", "pods/$(POD_UID)");
	json_mut_set_bool(doc, models, "readOnly", TRUE);
	add_mount(doc, mounts, TOOLS_VOLUME, TOOLS_DIRECTORY, TRUE);
	add_mount(doc, mounts, "home", HOME_DIRECTORY, FALSE);
	add_mount(doc, mounts, "tmp", "/tmp", FALSE);
}

static char *server_image(const struct model *model, const struct operator_settings *settings,
    const struct hardware *hardware)
{
	if (model->server_image != NULL)
		return g_strdup(model->server_image);
	if (hardware->amd)
		return hardware_rocm_image(settings->server_image);
	return g_strdup(settings->server_image);
}

static void add_server_container(yyjson_mut_doc *doc, yyjson_mut_val *containers,
    const struct model *model, const struct operator_settings *settings)
{
	yyjson_mut_val *container = json_mut_append_object(doc, containers);
	struct hardware hardware;
	g_autofree char *image = NULL;
	yyjson_mut_val *port;

	hardware_read(model->resources, &hardware);
	image = server_image(model, settings, &hardware);
	json_mut_set_str(doc, container, "name", SERVER_CONTAINER);
	json_mut_set_str(doc, container, "image", image);
	json_mut_set_str(doc, container, "imagePullPolicy", "IfNotPresent");
	json_mut_append_str(doc, json_mut_array(doc, container, "args"), "serve");
	port = json_mut_append_object(doc, json_mut_array(doc, container, "ports"));
	json_mut_set_str(doc, port, "name", "ollama");
	json_mut_set_int(doc, port, "containerPort", OLLAMA_PORT);
	json_mut_set_str(doc, port, "protocol", "TCP");
	server_env_set(doc, container, model, &hardware);
	json_mut_copy(doc, container, "resources", model->resources);
	set_probes(doc, container, model);
	set_pre_stop(doc, container);
	set_server_mounts(doc, container);
	set_container_security(doc, container);
}

static void set_volumes(
    yyjson_mut_doc *doc, yyjson_mut_val *pod, const struct operator_settings *settings)
{
	static const char *const scratch[] = {TOOLS_VOLUME, "home", "tmp"};
	yyjson_mut_val *volumes = json_mut_array(doc, pod, "volumes");
	yyjson_mut_val *volume = json_mut_append_object(doc, volumes);
	yyjson_mut_val *host_path = json_mut_object(doc, volume, "hostPath");

	json_mut_set_str(doc, volume, "name", MODELS_VOLUME);
	json_mut_set_str(doc, host_path, "path", settings->store_directory);
	json_mut_set_str(doc, host_path, "type", "DirectoryOrCreate");
	for (gsize i = 0; i < G_N_ELEMENTS(scratch); i++) {
		volume = json_mut_append_object(doc, volumes);
		json_mut_set_str(doc, volume, "name", scratch[i]);
		json_mut_object(doc, volume, "emptyDir");
	}
}

static void set_pod(yyjson_mut_doc *doc, yyjson_mut_val *template, const struct model *model,
    const struct operator_settings *settings)
{
	yyjson_mut_val *metadata = json_mut_object(doc, template, "metadata");
	yyjson_mut_val *pod = json_mut_object(doc, template, "spec");

	set_labels(doc, metadata, model);
	json_mut_set_str(
	    doc, json_mut_object(doc, metadata, "annotations"), ANNOTATION_MODEL, model->name);
	json_mut_set_bool(doc, pod, "automountServiceAccountToken", FALSE);
	json_mut_set_bool(doc, pod, "enableServiceLinks", FALSE);
	json_mut_set_int(doc, pod, "terminationGracePeriodSeconds", DRAIN_SECONDS + 30);
	json_mut_set_str(doc, pod, "runtimeClassName", model->runtime_class);
	json_mut_copy(doc, pod, "imagePullSecrets", model->image_pull_secrets);
	set_pod_security(doc, pod);
	add_fetch_container(doc, json_mut_array(doc, pod, "initContainers"), model, settings);
	add_server_container(doc, json_mut_array(doc, pod, "containers"), model, settings);
	set_volumes(doc, pod, settings);
}

/* ---- the children ---- */

/*
 * What we no longer want is no difference in what we want: without this, a member that the Model
 * does not set any more would stay in its child for ever. The hash of all that we say is part of
 * it, so any change is applied, and the API server then removes what we owned and do not say now.
 */
static void set_applied_hash(yyjson_mut_doc *doc)
{
	yyjson_mut_val *root = yyjson_mut_doc_get_root(doc);
	yyjson_mut_val *metadata = yyjson_mut_obj_get(root, "metadata");
	gsize len;
	g_autofree char *text = json_mut_print(root, &len);
	g_autofree char *hash =
	    g_strdup_printf("%016" G_GINT64_MODIFIER "x", hash_stable(text, len));

	json_mut_set_str(
	    doc, json_mut_object(doc, metadata, "annotations"), ANNOTATION_APPLIED_HASH, hash);
}

static void set_selector(
    yyjson_mut_doc *doc, yyjson_mut_val *spec, const struct model *model, yyjson_val *existing)
{
	yyjson_val *selector = json_at(existing, "spec", "selector", NULL);
	g_autofree char *app = NULL;
	yyjson_mut_val *labels;

	if (selector != NULL) {
		json_mut_copy(doc, spec, "selector", selector);
		return;
	}
	app = model_child_name(model->name);
	labels = json_mut_object(doc, json_mut_object(doc, spec, "selector"), "matchLabels");
	json_mut_set_str(doc, labels, LABEL_APP, app);
}

gint64 child_round_memory(gint64 bytes)
{
	return (bytes + MEBIBYTE - 1) / MEBIBYTE * MEBIBYTE;
}

static yyjson_mut_val *find_server(yyjson_mut_val *template)
{
	return json_mut_find_named(
	    yyjson_mut_obj_get(yyjson_mut_obj_get(template, "spec"), "containers"),
	    SERVER_CONTAINER);
}

static const char *memory_of(yyjson_mut_val *container, const char *kind)
{
	yyjson_mut_val *resources = yyjson_mut_obj_get(container, "resources");

	return yyjson_mut_get_str(
	    yyjson_mut_obj_get(yyjson_mut_obj_get(resources, kind), "memory"));
}

/*
 * The estimate is asked for only where neither the Model nor its pod template says anything of
 * memory. An annotation tells what we asked for, and whence, so that it can later be told from what
 * somebody set by hand.
 */
static void request_memory(
    yyjson_mut_doc *doc, yyjson_mut_val *metadata, yyjson_mut_val *template, gint64 estimate_bytes)
{
	yyjson_mut_val *server = find_server(template);
	const char *source = "spec";
	g_autofree char *quantity = g_strdup_printf(
	    "%" G_GINT64_FORMAT "Mi", child_round_memory(estimate_bytes) / MEBIBYTE);
	g_autofree char *note = NULL;

	if (estimate_bytes > 0 && memory_of(server, "requests") == NULL &&
	    memory_of(server, "limits") == NULL) {
		set_resource(doc, server, "requests", "memory", quantity);
		source = "estimate";
	}
	if (memory_of(server, "requests") == NULL)
		return;
	note = g_strdup_printf("%s=%s", source, memory_of(server, "requests"));
	json_mut_set_str(
	    doc, json_mut_object(doc, metadata, "annotations"), ANNOTATION_MEMORY, note);
}

static gint64 bytes_of(const char *quantity)
{
	gint64 bytes;

	return quantity != NULL && quantity_parse(quantity, &bytes) ? bytes : 0;
}

gint64 child_memory_request(yyjson_val *deployment)
{
	yyjson_arr_iter iter;
	yyjson_val *container;

	yyjson_arr_iter_init(
	    json_at(deployment, "spec", "template", "spec", "containers", NULL), &iter);
	while ((container = yyjson_arr_iter_next(&iter)) != NULL) {
		if (g_strcmp0(json_str(container, "name", NULL), SERVER_CONTAINER) == 0)
			return bytes_of(
			    json_str(container, "resources", "requests", "memory", NULL));
	}
	return 0;
}

void child_memory_asked(yyjson_val *deployment, gint64 *ret_bytes, gboolean *ret_estimated)
{
	const char *note = json_str(deployment, "metadata", "annotations", ANNOTATION_MEMORY, NULL);
	const char *equals = note == NULL ? NULL : strchr(note, '=');

	*ret_bytes = equals == NULL ? 0 : bytes_of(equals + 1);
	*ret_estimated = note != NULL && g_str_has_prefix(note, "estimate=");
}

yyjson_mut_doc *child_deployment(const struct model *model,
    const struct operator_settings *settings, const struct child_facts *facts, GError **error)
{
	g_autoptr(yyjson_mut_doc) doc = yyjson_mut_doc_new(json_alc());
	yyjson_mut_val *root = new_body(doc, &KUBE_DEPLOYMENTS, model);
	yyjson_mut_val *metadata = json_mut_object(doc, root, "metadata");
	yyjson_mut_val *spec = json_mut_object(doc, root, "spec");
	yyjson_mut_val *rolling, *template;

	set_labels(doc, metadata, model);
	set_owner(doc, metadata, model);
	json_mut_set_int(doc, spec, "replicas", model->replicas);
	set_selector(doc, spec, model, facts->existing);
	/* A new pod first, then the old one goes: an update leaves no gap. */
	rolling = json_mut_object(doc, spec, "strategy");
	json_mut_set_str(doc, rolling, "type", "RollingUpdate");
	rolling = json_mut_object(doc, rolling, "rollingUpdate");
	json_mut_set_int(doc, rolling, "maxSurge", 1);
	json_mut_set_int(doc, rolling, "maxUnavailable", 0);
	template = json_mut_object(doc, spec, "template");
	set_pod(doc, template, model, settings);
	if (!template_amend(doc, template, model, error))
		return NULL;
	request_memory(doc, metadata, template, facts->memory_bytes);
	volumes_apply(doc, spec, settings, facts->volumes);
	set_applied_hash(doc);
	return g_steal_pointer(&doc);
}

yyjson_mut_doc *child_service(const struct model *model)
{
	yyjson_mut_doc *doc = yyjson_mut_doc_new(json_alc());
	yyjson_mut_val *root = new_body(doc, &KUBE_SERVICES, model);
	yyjson_mut_val *metadata = json_mut_object(doc, root, "metadata");
	yyjson_mut_val *spec = json_mut_object(doc, root, "spec");
	g_autofree char *app = model_child_name(model->name);
	yyjson_mut_val *port;

	set_labels(doc, metadata, model);
	set_owner(doc, metadata, model);
	json_mut_set_str(doc, spec, "type", "ClusterIP");
	json_mut_set_str(doc, json_mut_object(doc, spec, "selector"), LABEL_APP, app);
	port = json_mut_append_object(doc, json_mut_array(doc, spec, "ports"));
	json_mut_set_str(doc, port, "name", "ollama");
	json_mut_set_int(doc, port, "port", OLLAMA_PORT);
	json_mut_set_str(doc, port, "protocol", "TCP");
	json_mut_set_str(doc, port, "targetPort", "ollama");
	set_applied_hash(doc);
	return doc;
}
