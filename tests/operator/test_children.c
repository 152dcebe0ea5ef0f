/* What a Model's Deployment and Service look like. */
#include "fixtures.h"
#include "operator/children.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static yyjson_doc *deployment_of(const char *spec, yyjson_val *existing)
{
	AUTO(model) model = model_with(spec, NULL);
	g_autoptr(GError) error = NULL;
	g_autoptr(yyjson_mut_doc) doc = child_deployment(
	    model, test_settings(), &(struct child_facts){.existing = existing}, &error);

	if (doc == NULL)
		fail_msg("%s", error->message);
	return yyjson_mut_doc_imut_copy(doc, NULL);
}

static yyjson_val *pod_of(yyjson_doc *doc)
{
	return json_at(yyjson_doc_get_root(doc), "spec", "template", "spec", NULL);
}

static yyjson_val *server_of(yyjson_doc *doc)
{
	return yyjson_arr_get_first(json_at(pod_of(doc), "containers", NULL));
}

static yyjson_val *named(yyjson_val *list, const char *name)
{
	yyjson_arr_iter iter;
	yyjson_val *entry;

	yyjson_arr_iter_init(list, &iter);
	while ((entry = yyjson_arr_iter_next(&iter)) != NULL) {
		if (g_strcmp0(json_str(entry, "name", NULL), name) == 0)
			return entry;
	}
	return NULL;
}

static void test_names_and_labels_are_those_of_compat(void **state)
{
	g_autoptr(yyjson_doc) doc = deployment_of("{image: phi}", NULL);
	yyjson_val *root = yyjson_doc_get_root(doc);
	yyjson_val *places[] = {json_at(root, "metadata", "labels", NULL),
	    json_at(root, "spec", "template", "metadata", "labels", NULL)};

	(void)state;
	assert_string_equal(json_str(root, "metadata", "name", NULL), "ollama-model-phi");
	assert_string_equal(json_str(root, "metadata", "namespace", NULL), "default");
	for (gsize i = 0; i < G_N_ELEMENTS(places); i++) {
		assert_string_equal(json_str(places[i], "app", NULL), "ollama-model-phi");
		assert_string_equal(json_str(places[i], "ollama.ayaka.io/type", NULL), "model");
		assert_string_equal(json_str(places[i], "model.ollama.ayaka.io", NULL), "phi");
		assert_string_equal(json_str(places[i], "model.ollama.ayaka.io/name", NULL), "phi");
	}
}

static void test_owner_is_the_model(void **state)
{
	g_autoptr(yyjson_doc) doc = deployment_of("{image: phi}", NULL);
	yyjson_val *owner = yyjson_arr_get_first(
	    json_at(yyjson_doc_get_root(doc), "metadata", "ownerReferences", NULL));

	(void)state;
	assert_string_equal(json_str(owner, "apiVersion", NULL), "ollama.ayaka.io/v1");
	assert_string_equal(json_str(owner, "kind", NULL), "Model");
	assert_string_equal(json_str(owner, "uid", NULL), "uid-1");
	assert_true(json_bool(owner, FALSE, "controller", NULL));
}

static void test_server_container_is_as_documented(void **state)
{
	g_autoptr(yyjson_doc) doc = deployment_of("{image: phi}", NULL);
	yyjson_val *server = server_of(doc);
	yyjson_val *port = yyjson_arr_get_first(json_at(server, "ports", NULL));

	(void)state;
	assert_string_equal(json_str(server, "name", NULL), "server");
	assert_string_equal(json_str(server, "image", NULL), "ollama:1");
	assert_string_equal(
	    yyjson_get_str(yyjson_arr_get_first(json_at(server, "args", NULL))), "serve");
	assert_string_equal(json_str(port, "name", NULL), "ollama");
	assert_int_equal(json_int(port, 0, "containerPort", NULL), 11434);
}

static void test_startup_probe_names_the_model_as_ollama_lists_it(void **state)
{
	g_autoptr(yyjson_doc) doc = deployment_of("{image: phi}", NULL);
	yyjson_val *command = json_at(server_of(doc), "startupProbe", "exec", "command", NULL);

	(void)state;
	assert_int_equal(yyjson_arr_size(command), 4);
	assert_string_equal(yyjson_get_str(yyjson_arr_get(command, 1)), "probe");
	assert_string_equal(yyjson_get_str(yyjson_arr_get(command, 3)), "phi:latest");
}

/* A stream is not cut by an update: the server is told to end only between requests. */
static void test_pod_stops_between_requests(void **state)
{
	g_autoptr(yyjson_doc) doc = deployment_of("{image: phi}", NULL);
	yyjson_val *command =
	    json_at(server_of(doc), "lifecycle", "preStop", "exec", "command", NULL);

	(void)state;
	assert_string_equal(yyjson_get_str(yyjson_arr_get(command, 1)), "drain");
	assert_int_equal(json_int(pod_of(doc), 0, "terminationGracePeriodSeconds", NULL), 330);
}

static void test_users_environment_wins(void **state)
{
	g_autoptr(yyjson_doc) doc =
	    deployment_of("{image: phi, contextLength: 512, extraEnv: [{name: "
			  "OLLAMA_KEEP_ALIVE, value: 5m}, {name: A, value: b}]}",
		NULL);
	yyjson_val *env = json_at(server_of(doc), "env", NULL);
	yyjson_arr_iter iter;
	yyjson_val *entry;
	guint times = 0;

	(void)state;
	yyjson_arr_iter_init(env, &iter);
	while ((entry = yyjson_arr_iter_next(&iter)) != NULL)
		times += g_strcmp0(json_str(entry, "name", NULL), "OLLAMA_KEEP_ALIVE") == 0;
	assert_int_equal(times, 1);
	assert_string_equal(json_str(named(env, "OLLAMA_KEEP_ALIVE"), "value", NULL), "5m");
	assert_string_equal(json_str(named(env, "A"), "value", NULL), "b");
	assert_string_equal(json_str(named(env, "OLLAMA_CONTEXT_LENGTH"), "value", NULL), "512");
	assert_string_equal(json_str(named(env, "OLLAMA_NOPRUNE"), "value", NULL), "1");
}

static void test_fields_pass_through(void **state)
{
	g_autoptr(yyjson_doc) doc = deployment_of(
	    "{image: phi, replicas: 3, serverImage: 'my/ollama:2', runtimeClassName: nvidia, "
	    "resources: {limits: {nvidia.com/gpu: 1}}, imagePullSecrets: [{name: s}], "
	    "extraEnvFrom: [{secretRef: {name: e}}]}",
	    NULL);
	yyjson_val *root = yyjson_doc_get_root(doc), *pod = pod_of(doc), *server = server_of(doc);

	(void)state;
	assert_int_equal(json_int(root, 0, "spec", "replicas", NULL), 3);
	assert_string_equal(json_str(server, "image", NULL), "my/ollama:2");
	assert_string_equal(json_str(pod, "runtimeClassName", NULL), "nvidia");
	assert_int_equal(json_int(server, 0, "resources", "limits", "nvidia.com/gpu", NULL), 1);
	assert_string_equal(
	    json_str(yyjson_arr_get_first(json_at(pod, "imagePullSecrets", NULL)), "name", NULL),
	    "s");
	assert_non_null(json_at(server, "envFrom", NULL));
}

static void test_no_resources_leaves_them_to_others(void **state)
{
	g_autoptr(yyjson_doc) doc = deployment_of("{image: phi}", NULL);

	(void)state;
	assert_null(json_at(server_of(doc), "resources", NULL));
}

static void test_suspended_runs_nothing(void **state)
{
	g_autoptr(yyjson_doc) doc = deployment_of("{image: phi, replicas: 3, suspend: true}", NULL);

	(void)state;
	assert_int_equal(json_int(yyjson_doc_get_root(doc), -1, "spec", "replicas", NULL), 0);
}

static void assert_restricted(yyjson_val *container)
{
	yyjson_val *security = json_at(container, "securityContext", NULL);

	assert_false(json_bool(security, TRUE, "allowPrivilegeEscalation", NULL));
	assert_true(json_bool(security, FALSE, "readOnlyRootFilesystem", NULL));
	assert_string_equal(
	    yyjson_get_str(yyjson_arr_get_first(json_at(security, "capabilities", "drop", NULL))),
	    "ALL");
}

static void test_pod_has_no_privileges(void **state)
{
	g_autoptr(yyjson_doc) doc = deployment_of("{image: phi}", NULL);
	yyjson_val *pod = pod_of(doc);

	(void)state;
	assert_true(json_bool(pod, FALSE, "securityContext", "runAsNonRoot", NULL));
	assert_string_equal(
	    json_str(pod, "securityContext", "seccompProfile", "type", NULL), "RuntimeDefault");
	assert_false(json_bool(pod, TRUE, "automountServiceAccountToken", NULL));
	assert_restricted(server_of(doc));
	assert_restricted(yyjson_arr_get_first(json_at(pod, "initContainers", NULL)));
}

static void test_weights_are_read_only_and_the_pods_own(void **state)
{
	g_autoptr(yyjson_doc) doc = deployment_of("{image: phi}", NULL);
	yyjson_val *mount = named(json_at(server_of(doc), "volumeMounts", NULL), "models");
	yyjson_val *volume = named(json_at(pod_of(doc), "volumes", NULL), "models");

	(void)state;
	assert_true(json_bool(mount, FALSE, "readOnly", NULL));
	assert_string_equal(json_str(mount, "subPathExpr", NULL), "pods/$(POD_UID)");
	assert_string_equal(json_str(volume, "hostPath", "path", NULL), "/var/lib/ollama-operator");
}

static void test_selector_of_an_existing_deployment_stays(void **state)
{
	g_autoptr(yyjson_doc) old =
	    doc_from_yaml("spec: {selector: {matchLabels: {model.ollama.ayaka.io: phi}}}");
	g_autoptr(yyjson_doc) doc = deployment_of("{image: phi}", yyjson_doc_get_root(old));
	yyjson_val *labels =
	    json_at(yyjson_doc_get_root(doc), "spec", "selector", "matchLabels", NULL);

	(void)state;
	assert_int_equal(yyjson_obj_size(labels), 1);
	assert_string_equal(json_str(labels, "model.ollama.ayaka.io", NULL), "phi");
}

static void test_service_is_stable(void **state)
{
	AUTO(model) model = model_with("{image: phi}", NULL);
	g_autoptr(yyjson_mut_doc) mut = child_service(model);
	g_autoptr(yyjson_doc) doc = yyjson_mut_doc_imut_copy(mut, NULL);
	yyjson_val *root = yyjson_doc_get_root(doc);
	yyjson_val *port = yyjson_arr_get_first(json_at(root, "spec", "ports", NULL));

	(void)state;
	assert_string_equal(json_str(root, "metadata", "name", NULL), "ollama-model-phi");
	assert_string_equal(json_str(root, "spec", "type", NULL), "ClusterIP");
	assert_string_equal(json_str(root, "spec", "selector", "app", NULL), "ollama-model-phi");
	assert_string_equal(json_str(port, "name", NULL), "ollama");
	assert_int_equal(json_int(port, 0, "port", NULL), 11434);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names_and_labels_are_those_of_compat),
	    cmocka_unit_test(test_owner_is_the_model),
	    cmocka_unit_test(test_server_container_is_as_documented),
	    cmocka_unit_test(test_startup_probe_names_the_model_as_ollama_lists_it),
	    cmocka_unit_test(test_pod_stops_between_requests),
	    cmocka_unit_test(test_users_environment_wins),
	    cmocka_unit_test(test_fields_pass_through),
	    cmocka_unit_test(test_no_resources_leaves_them_to_others),
	    cmocka_unit_test(test_suspended_runs_nothing),
	    cmocka_unit_test(test_pod_has_no_privileges),
	    cmocka_unit_test(test_weights_are_read_only_and_the_pods_own),
	    cmocka_unit_test(test_selector_of_an_existing_deployment_stays),
	    cmocka_unit_test(test_service_is_stable),
	};

	return cmocka_run_group_tests_name("children", tests, NULL, NULL);
}
