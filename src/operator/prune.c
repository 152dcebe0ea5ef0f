#include "operator/prune.h"

#include <string.h>

static gboolean in_list(const char *key, const char *const keep[], gsize count)
{
	for (gsize i = 0; i < count; i++) {
		if (strcmp(keep[i], key) == 0)
			return TRUE;
	}
	return FALSE;
}

/* Removes every member of `object` that is not named. */
static void keep_only(yyjson_mut_val *object, const char *const keep[], gsize count)
{
	yyjson_mut_obj_iter iter;
	yyjson_mut_val *key;

	if (!yyjson_mut_obj_iter_init(object, &iter))
		return;
	while ((key = yyjson_mut_obj_iter_next(&iter)) != NULL) {
		if (!in_list(yyjson_mut_get_str(key), keep, count))
			yyjson_mut_obj_iter_remove(&iter);
	}
}

#define KEEP_ONLY(object, ...)                                    \
	do {                                                      \
		static const char *const keep_[] = {__VA_ARGS__}; \
		keep_only((object), keep_, G_N_ELEMENTS(keep_));  \
	} while (0)

static void prune_metadata(yyjson_mut_val *object)
{
	KEEP_ONLY(yyjson_mut_obj_get(object, "metadata"), "name", "namespace", "uid",
	    "resourceVersion", "generation", "labels", "annotations", "ownerReferences",
	    "deletionTimestamp", "finalizers", "creationTimestamp");
}

void prune_model(yyjson_mut_doc *doc, yyjson_mut_val *object)
{
	(void)doc;
	prune_metadata(object);
	KEEP_ONLY(object, "metadata", "spec", "status");
}

void prune_deployment(yyjson_mut_doc *doc, yyjson_mut_val *object)
{
	(void)doc;
	prune_metadata(object);
	KEEP_ONLY(object, "metadata", "spec", "status");
}

void prune_service(yyjson_mut_doc *doc, yyjson_mut_val *object)
{
	(void)doc;
	prune_metadata(object);
	KEEP_ONLY(object, "metadata", "spec");
}

static void prune_container_statuses(yyjson_mut_val *list)
{
	yyjson_mut_arr_iter iter;
	yyjson_mut_val *status;

	if (!yyjson_mut_arr_iter_init(list, &iter))
		return;
	while ((status = yyjson_mut_arr_iter_next(&iter)) != NULL)
		KEEP_ONLY(status, "name", "ready", "started", "restartCount", "state", "lastState");
}

void prune_pod(yyjson_mut_doc *doc, yyjson_mut_val *object)
{
	yyjson_mut_val *metadata = yyjson_mut_obj_get(object, "metadata");
	yyjson_mut_val *status = yyjson_mut_obj_get(object, "status");

	(void)doc;
	KEEP_ONLY(metadata, "name", "namespace", "uid", "resourceVersion", "annotations", "labels",
	    "deletionTimestamp", "creationTimestamp", "ownerReferences");
	KEEP_ONLY(object, "metadata", "spec", "status");
	KEEP_ONLY(yyjson_mut_obj_get(object, "spec"), "nodeName");
	KEEP_ONLY(status, "phase", "podIP", "reason", "message", "conditions",
	    "initContainerStatuses", "containerStatuses");
	prune_container_statuses(yyjson_mut_obj_get(status, "initContainerStatuses"));
	prune_container_statuses(yyjson_mut_obj_get(status, "containerStatuses"));
}

void prune_node(yyjson_mut_doc *doc, yyjson_mut_val *object)
{
	(void)doc;
	KEEP_ONLY(yyjson_mut_obj_get(object, "metadata"), "name", "uid", "resourceVersion");
	KEEP_ONLY(object, "metadata", "status");
	KEEP_ONLY(yyjson_mut_obj_get(object, "status"), "allocatable");
}

void prune_claim(yyjson_mut_doc *doc, yyjson_mut_val *object)
{
	(void)doc;
	prune_metadata(object);
	KEEP_ONLY(object, "metadata", "spec");
	KEEP_ONLY(
	    yyjson_mut_obj_get(object, "spec"), "accessModes", "storageClassName", "resources");
}

void prune_namespace(yyjson_mut_doc *doc, yyjson_mut_val *object)
{
	(void)doc;
	KEEP_ONLY(object, "metadata");
	KEEP_ONLY(
	    yyjson_mut_obj_get(object, "metadata"), "name", "uid", "resourceVersion", "labels");
}
