/*
 * Names of API resources and their URL paths.
 * Source: Kubernetes API Concepts, "Resource URIs".
 */
#ifndef KUBE_RESOURCE_H
#define KUBE_RESOURCE_H

#include <glib.h>

struct kube_resource {
	const char *group; /* "" for the core group */
	const char *version;
	const char *plural;
	const char *kind;
	gboolean namespaced;
};

/* The resources that this project uses; the Model is declared by the room `model`. */
extern const struct kube_resource KUBE_CONFIGMAPS, KUBE_DEPLOYMENTS, KUBE_ENDPOINTSLICES,
    KUBE_EVENTS, KUBE_LEASES, KUBE_NAMESPACES, KUBE_NODES, KUBE_PODS, KUBE_PVCS, KUBE_REPLICASETS,
    KUBE_SECRETS, KUBE_SERVICES;

/*
 * "/apis/apps/v1/namespaces/default/deployments/phi/status". NULL `namespace` on a namespaced
 * resource: all namespaces; NULL `name`: the collection; NULL `subresource`: the object itself.
 * Every part is percent-encoded. The caller's.
 */
char *kube_resource_path(const struct kube_resource *resource, const char *namespace,
    const char *name, const char *subresource);

/* "apps/v1", "v1". The caller's. */
char *kube_resource_api_version(const struct kube_resource *resource);

#endif
