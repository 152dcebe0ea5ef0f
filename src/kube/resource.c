#include "kube/resource.h"

#include "net/url.h"

const struct kube_resource KUBE_CONFIGMAPS = {"", "v1", "configmaps", "ConfigMap", TRUE};
const struct kube_resource KUBE_DEPLOYMENTS = {"apps", "v1", "deployments", "Deployment", TRUE};
const struct kube_resource KUBE_ENDPOINTSLICES = {
    "discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", TRUE};
const struct kube_resource KUBE_EVENTS = {"", "v1", "events", "Event", TRUE};
const struct kube_resource KUBE_LEASES = {"coordination.k8s.io", "v1", "leases", "Lease", TRUE};
const struct kube_resource KUBE_NAMESPACES = {"", "v1", "namespaces", "Namespace", FALSE};
const struct kube_resource KUBE_NODES = {"", "v1", "nodes", "Node", FALSE};
const struct kube_resource KUBE_PODS = {"", "v1", "pods", "Pod", TRUE};
const struct kube_resource KUBE_PVCS = {
    "", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", TRUE};
const struct kube_resource KUBE_REPLICASETS = {"apps", "v1", "replicasets", "ReplicaSet", TRUE};
const struct kube_resource KUBE_SECRETS = {"", "v1", "secrets", "Secret", TRUE};
const struct kube_resource KUBE_SERVICES = {"", "v1", "services", "Service", TRUE};

static void append_segment(GString *path, const char *segment)
{
	g_autofree char *encoded = url_encode(segment);

	g_string_append_c(path, '/');
	g_string_append(path, encoded);
}

char *kube_resource_path(const struct kube_resource *resource, const char *namespace,
    const char *name, const char *subresource)
{
	GString *path = g_string_new(*resource->group == '\0' ? "/api" : "/apis");

	if (*resource->group != '\0')
		append_segment(path, resource->group);
	append_segment(path, resource->version);
	if (resource->namespaced && namespace != NULL) {
		g_string_append(path, "/namespaces");
		append_segment(path, namespace);
	}
	append_segment(path, resource->plural);
	if (name != NULL)
		append_segment(path, name);
	if (name != NULL && subresource != NULL)
		append_segment(path, subresource);
	return g_string_free(path, FALSE);
}

char *kube_resource_api_version(const struct kube_resource *resource)
{
	if (*resource->group == '\0')
		return g_strdup(resource->version);
	return g_strdup_printf("%s/%s", resource->group, resource->version);
}
