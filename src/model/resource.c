#include "model/resource.h"

#include "base/hash.h"

#include <string.h>

enum { KUBE_NAME_MAX = 63 };

const struct kube_resource MODEL_RESOURCE = {
    .group = "ollama.ayaka.io",
    .version = "v1",
    .plural = "models",
    .kind = "Model",
    .namespaced = TRUE,
};

void model_free(struct model *model)
{
	if (model == NULL)
		return;
	reference_free(model->image);
	g_free(model->image_error);
	yyjson_doc_free(model->body);
	g_free(model);
}

static void read_image(struct model *model, yyjson_val *spec)
{
	g_autoptr(GError) error = NULL;

	model->image_text = json_str(spec, "image", NULL);
	if (model->image_text == NULL)
		model->image_text = "";
	model->image = reference_parse(model->image_text, &error);
	if (model->image == NULL)
		model->image_error = g_strdup(error->message);
}

static yyjson_val *member_of_type(yyjson_val *spec, const char *key, gboolean array)
{
	yyjson_val *value = yyjson_obj_get(spec, key);

	if (array ? yyjson_is_arr(value) : yyjson_is_obj(value))
		return value;
	return NULL;
}

static void read_spec(struct model *model, yyjson_val *spec)
{
	read_image(model, spec);
	model->replicas = json_int(spec, 1, "replicas", NULL);
	if (json_bool(spec, FALSE, "suspend", NULL))
		model->replicas = 0;
	model->pull_policy = json_str(spec, "imagePullPolicy", NULL);
	if (model->pull_policy == NULL)
		model->pull_policy = "IfNotPresent";
	model->server_image = json_str(spec, "serverImage", NULL);
	model->runtime_class = json_str(spec, "runtimeClassName", NULL);
	model->context_length = json_int(spec, 4096, "contextLength", NULL);
	model->parallel = json_int(spec, 1, "parallel", NULL);
	model->keep_alive = json_str(spec, "keepAlive", NULL);
	if (model->keep_alive == NULL)
		model->keep_alive = "-1";
	model->claim_name = json_str(spec, "persistentVolumeClaim", "claimName", NULL);
	model->claim_read_only = json_bool(spec, FALSE, "persistentVolumeClaim", "readOnly", NULL);
	model->storage_class = json_str(spec, "storageClassName", NULL);
	model->access_mode = json_str(spec, "persistentVolume", "accessMode", NULL);
	model->resources = member_of_type(spec, "resources", FALSE);
	model->image_pull_secrets = member_of_type(spec, "imagePullSecrets", TRUE);
	model->extra_env = member_of_type(spec, "extraEnv", TRUE);
	model->extra_env_from = member_of_type(spec, "extraEnvFrom", TRUE);
	model->pod_template = member_of_type(spec, "podTemplate", FALSE);
}

struct model *model_from_object(const struct kube_object *object, GError **error)
{
	g_autoptr(yyjson_doc) body = kube_object_parse(object);
	yyjson_val *root = yyjson_doc_get_root(body);
	yyjson_val *spec = json_at(root, "spec", NULL);
	struct model *model;

	if (json_str(root, "metadata", "uid", NULL) == NULL || !yyjson_is_obj(spec)) {
		g_set_error(error, MODEL_ERROR, MODEL_ERROR_RESOURCE,
		    "Model %s has no metadata.uid or no spec", object->key);
		return NULL;
	}
	model = g_new0(struct model, 1);
	model->namespace = json_str(root, "metadata", "namespace", NULL);
	model->name = json_str(root, "metadata", "name", NULL);
	model->uid = json_str(root, "metadata", "uid", NULL);
	model->generation = json_int(root, 0, "metadata", "generation", NULL);
	model->deleting = json_str(root, "metadata", "deletionTimestamp", NULL) != NULL;
	model->status = json_at(root, "status", NULL);
	read_spec(model, spec);
	model->body = g_steal_pointer(&body);
	return model;
}

/* `prefix`, as much of `name` as fits, "-" and eight digits of the whole name's hash. */
static char *hashed_name(const char *prefix, const char *name)
{
	gsize keep = MIN(strlen(name), KUBE_NAME_MAX - strlen(prefix) - 9);

	/* A part of a name must not end in "-" or ".", which the cut could leave. */
	while (keep > 0 && !g_ascii_isalnum(name[keep - 1]))
		keep--;
	return g_strdup_printf("%s%.*s-%08x", prefix, (int)keep, name,
	    (guint)(hash_stable(name, strlen(name)) & 0xffffffff));
}

char *model_child_name(const char *model_name)
{
	static const char prefix[] = "ollama-model-";

	if (strchr(model_name, '.') == NULL && strlen(prefix) + strlen(model_name) <= KUBE_NAME_MAX)
		return g_strconcat(prefix, model_name, NULL);
	/* A Service's name is a DNS label, without dots; the hash keeps "a.b" and "a-b" apart. */
	return g_strdelimit(hashed_name(prefix, model_name), ".", '-');
}

char *model_label_value(const char *model_name)
{
	if (strlen(model_name) <= KUBE_NAME_MAX)
		return g_strdup(model_name);
	return hashed_name("", model_name);
}
