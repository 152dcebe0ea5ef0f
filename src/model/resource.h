/*
 * The Model resource (models.ollama.ayaka.io/v1) as a typed view, and the names of its children.
 *
 * Ownership: a `struct model` owns its strings and keeps the parsed body alive, into which its
 * `yyjson_val *` members point. Immutable. Threads: any.
 * Source: config/crd/models.yaml of this project.
 */
#ifndef MODEL_RESOURCE_H
#define MODEL_RESOURCE_H

#include "kube/object.h"
#include "kube/resource.h"
#include "model/reference.h"

extern const struct kube_resource MODEL_RESOURCE;

struct model {
	yyjson_doc *body;
	const char *namespace;
	const char *name;
	const char *uid;
	gint64 generation;
	gboolean deleting;

	const char *image_text;  /* spec.image as written */
	struct reference *image; /* NULL when it is no model name: see `image_error` */
	char *image_error;
	gint64 replicas;           /* default 1, 0 while suspended */
	const char *pull_policy;   /* "Always", "IfNotPresent", "Never" */
	const char *server_image;  /* NULL: the operator's */
	const char *runtime_class; /* NULL: none */
	gint64 context_length;     /* default 4096 */
	gint64 parallel;           /* default 1 */
	const char *keep_alive;    /* Ollama's words; default "-1" */
	const char *claim_name;    /* spec.persistentVolumeClaim.claimName; NULL: none */
	gboolean claim_read_only;  /* spec.persistentVolumeClaim.readOnly */
	const char *storage_class; /* NULL: none named */
	const char *access_mode;   /* spec.persistentVolume.accessMode; NULL: none named */
	yyjson_val *resources;     /* ResourceRequirements or NULL */
	yyjson_val *image_pull_secrets;
	yyjson_val *extra_env;
	yyjson_val *extra_env_from;
	yyjson_val *pod_template; /* an object, not checked; or NULL */
	yyjson_val *status;       /* as last written, or NULL */
};

/* NULL with RESOURCE: the object has no name, or fields of a wrong type. */
struct model *model_from_object(
    const struct kube_object *object, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void model_free(struct model *model);
DEFINE_AUTO(model, model_free)

/*
 * "ollama-model-<name>": its Deployment and its Service. Names over Kubernetes' 63 bytes are cut
 * and end in a hash. The caller's.
 */
char *model_child_name(const char *model_name);
/* The same rule for a value of a label, which may have 63 bytes. */
char *model_label_value(const char *model_name);

#endif
