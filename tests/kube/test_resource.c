/* URL paths of resources: every part is encoded, so that no name can reach another object. */
#include "kube/client_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void builds_paths(void **state)
{
	static const struct {
		const struct kube_resource *resource;
		const char *namespace, *name, *subresource, *path;
	} cases[] = {
	    {&KUBE_PODS, "default", "phi", NULL, "/api/v1/namespaces/default/pods/phi"},
	    {&KUBE_PODS, NULL, NULL, NULL, "/api/v1/pods"},
	    {&KUBE_PODS, "default", NULL, NULL, "/api/v1/namespaces/default/pods"},
	    {&KUBE_PODS, "default", "phi", "status", "/api/v1/namespaces/default/pods/phi/status"},
	    /* A subresource of a collection does not exist. */
	    {&KUBE_PODS, "default", NULL, "status", "/api/v1/namespaces/default/pods"},
	    {&KUBE_NODES, NULL, "node1", NULL, "/api/v1/nodes/node1"},
	    /* Cluster-scoped: a namespace makes no difference. */
	    {&KUBE_NODES, "default", "node1", NULL, "/api/v1/nodes/node1"},
	    {&KUBE_DEPLOYMENTS, "a", "b", "scale",
		"/apis/apps/v1/namespaces/a/deployments/b/scale"},
	    {&KUBE_ENDPOINTSLICES, "a", NULL, NULL,
		"/apis/discovery.k8s.io/v1/namespaces/a/endpointslices"},
	    {&KUBE_LEASES, "a", "b", NULL, "/apis/coordination.k8s.io/v1/namespaces/a/leases/b"},
	    {&KUBE_PODS, "a/../b", "x?y#z", NULL, "/api/v1/namespaces/a%2F..%2Fb/pods/x%3Fy%23z"},
	    {&KUBE_PODS, "a", "50%", NULL, "/api/v1/namespaces/a/pods/50%25"},
	};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *path = kube_resource_path(
		    cases[i].resource, cases[i].namespace, cases[i].name, cases[i].subresource);

		assert_string_equal(path, cases[i].path);
	}
}

static void names_versions(void **state)
{
	g_autofree char *core = kube_resource_api_version(&KUBE_PODS);
	g_autofree char *apps = kube_resource_api_version(&KUBE_DEPLOYMENTS);

	(void)state;
	assert_string_equal(core, "v1");
	assert_string_equal(apps, "apps/v1");
}

static void describes_requests(void **state)
{
	static const struct {
		const struct kube_resource *resource;
		const char *namespace, *name, *subresource, *text;
	} cases[] = {
	    {&KUBE_DEPLOYMENTS, "default", "phi", NULL, "get deployments apps/v1 default/phi"},
	    {&KUBE_DEPLOYMENTS, "default", "phi", "status",
		"get deployments apps/v1 default/phi/status"},
	    {&KUBE_PODS, NULL, NULL, NULL, "get pods v1"},
	    {&KUBE_PODS, "a", NULL, NULL, "get pods v1 a"},
	    {&KUBE_NODES, NULL, "n", NULL, "get nodes v1 n"},
	};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *text = kube_describe("get", cases[i].resource, cases[i].namespace,
		    cases[i].name, cases[i].subresource);

		assert_string_equal(text, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(builds_paths),
	    cmocka_unit_test(names_versions),
	    cmocka_unit_test(describes_requests),
	};

	return cmocka_run_group_tests_name("kube/resource", tests, NULL, NULL);
}
