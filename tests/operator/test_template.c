/* spec.podTemplate: what of it reaches the Deployment's pods, and what stays the operator's. */
#include "fixtures.h"
#include "operator/children.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static yyjson_doc *deployment_of(const char *spec)
{
	AUTO(model) model = model_with(spec, NULL);
	g_autoptr(GError) error = NULL;
	g_autoptr(yyjson_mut_doc) doc =
	    child_deployment(model, test_settings(), &(struct child_facts){0}, &error);

	if (doc == NULL)
		fail_msg("%s", error->message);
	return yyjson_mut_doc_imut_copy(doc, NULL);
}

/* With a podTemplate in YAML's flow style. */
static yyjson_doc *amended_by(const char *template)
{
	g_autofree char *spec = g_strdup_printf("{image: phi, podTemplate: %s}", template);

	return deployment_of(spec);
}

static yyjson_val *template_of(yyjson_doc *doc)
{
	return json_at(yyjson_doc_get_root(doc), "spec", "template", NULL);
}

static yyjson_val *pod_of(yyjson_doc *doc)
{
	return json_at(template_of(doc), "spec", NULL);
}

static yyjson_val *with(yyjson_val *list, const char *key, const char *value)
{
	yyjson_arr_iter iter;
	yyjson_val *entry;

	yyjson_arr_iter_init(list, &iter);
	while ((entry = yyjson_arr_iter_next(&iter)) != NULL) {
		if (g_strcmp0(json_str(entry, key, NULL), value) == 0)
			return entry;
	}
	return NULL;
}

static yyjson_val *container_of(yyjson_doc *doc, const char *name)
{
	return with(json_at(pod_of(doc), "containers", NULL), "name", name);
}

static yyjson_val *fetch_of(yyjson_doc *doc)
{
	return with(json_at(pod_of(doc), "initContainers", NULL), "name", "fetch");
}

static const char *variable(yyjson_val *container, const char *name)
{
	return json_str(with(json_at(container, "env", NULL), "name", name), "value", NULL);
}

static guint count_with(yyjson_val *list, const char *key, const char *value)
{
	yyjson_arr_iter iter;
	yyjson_val *entry;
	guint count = 0;

	yyjson_arr_iter_init(list, &iter);
	while ((entry = yyjson_arr_iter_next(&iter)) != NULL)
		count += g_strcmp0(json_str(entry, key, NULL), value) == 0;
	return count;
}

/* What no podTemplate may take away: the pods would not be found, or not find their weights. */
static void assert_still_ours(yyjson_doc *doc)
{
	g_autoptr(yyjson_doc) plain = deployment_of("{image: phi}");
	yyjson_val *labels = json_at(template_of(doc), "metadata", "labels", NULL);
	yyjson_val *server = container_of(doc, "server"), *fetch = fetch_of(doc);
	yyjson_val *mount = with(json_at(server, "volumeMounts", NULL), "mountPath", "/models");
	static const char *const volumes[] = {"models", "tools"};

	assert_true(json_covers(labels, json_at(template_of(plain), "metadata", "labels", NULL)));
	assert_string_equal(
	    json_str(template_of(doc), "metadata", "annotations", ANNOTATION_MODEL, NULL), "phi");
	assert_int_equal(count_with(json_at(pod_of(doc), "containers", NULL), "name", "server"), 1);
	assert_string_equal(json_str(mount, "name", NULL), "models");
	assert_string_equal(json_str(mount, "subPathExpr", NULL), "pods/$(POD_UID)");
	assert_true(json_bool(mount, FALSE, "readOnly", NULL));
	assert_non_null(with(json_at(server, "volumeMounts", NULL), "name", "tools"));
	assert_string_equal(json_str(with(json_at(server, "env", NULL), "name", "POD_UID"),
				"valueFrom", "fieldRef", "fieldPath", NULL),
	    "metadata.uid");
	assert_non_null(with(json_at(server, "ports", NULL), "name", "ollama"));
	assert_true(
	    yyjson_equals(json_at(fetch, "args", NULL), json_at(fetch_of(plain), "args", NULL)));
	assert_non_null(with(json_at(fetch, "env", NULL), "name", "POD_UID"));
	assert_non_null(with(json_at(fetch, "volumeMounts", NULL), "name", "tools"));
	for (gsize i = 0; i < G_N_ELEMENTS(volumes); i++)
		assert_true(
		    yyjson_equals(with(json_at(pod_of(doc), "volumes", NULL), "name", volumes[i]),
			with(json_at(pod_of(plain), "volumes", NULL), "name", volumes[i])));
}

static void test_nothing_in_it_changes_little(void **state)
{
	g_autoptr(yyjson_doc) plain = deployment_of("{image: phi}");
	g_autoptr(yyjson_doc) doc = amended_by("{}");

	(void)state;
	assert_still_ours(doc);
	assert_true(yyjson_equals(pod_of(doc), pod_of(plain)));
}

static void test_server_is_amended(void **state)
{
	g_autoptr(yyjson_doc) doc =
	    amended_by("{spec: {containers: [{name: server, image: 'ollama/ollama:rocm', command: "
		       "[/bin/mine], "
		       "env: [{name: OLLAMA_KEEP_ALIVE, value: 5m}, {name: MINE, value: x}], "
		       "resources: {limits: {memory: 8Gi}}, readinessProbe: {periodSeconds: 77}, "
		       "securityContext: {readOnlyRootFilesystem: false}}]}}");
	yyjson_val *server = container_of(doc, "server");

	(void)state;
	assert_still_ours(doc);
	assert_int_equal(yyjson_arr_size(json_at(pod_of(doc), "containers", NULL)), 1);
	assert_string_equal(json_str(server, "image", NULL), "ollama/ollama:rocm");
	assert_string_equal(
	    yyjson_get_str(yyjson_arr_get_first(json_at(server, "command", NULL))), "/bin/mine");
	assert_string_equal(variable(server, "OLLAMA_KEEP_ALIVE"), "5m");
	assert_int_equal(count_with(json_at(server, "env", NULL), "name", "OLLAMA_KEEP_ALIVE"), 1);
	assert_string_equal(variable(server, "MINE"), "x");
	assert_string_equal(variable(server, "OLLAMA_NOPRUNE"), "1");
	assert_string_equal(json_str(server, "resources", "limits", "memory", NULL), "8Gi");
	assert_int_equal(json_int(server, 0, "readinessProbe", "periodSeconds", NULL), 77);
	assert_string_equal(json_str(server, "readinessProbe", "httpGet", "path", NULL), "/");
	assert_false(json_bool(server, TRUE, "securityContext", "readOnlyRootFilesystem", NULL));
	assert_false(json_bool(server, TRUE, "securityContext", "allowPrivilegeEscalation", NULL));
}

static void test_another_handler_replaces_ours(void **state)
{
	g_autoptr(yyjson_doc) doc = amended_by(
	    "{spec: {containers: [{name: server, livenessProbe: {exec: {command: [/bin/true]}}, "
	    "startupProbe: {tcpSocket: {port: 1}, timeoutSeconds: 9}, "
	    "env: [{name: OLLAMA_KEEP_ALIVE, valueFrom: {configMapKeyRef: {name: c, key: k}}}]}], "
	    "volumes: [{name: tmp, persistentVolumeClaim: {claimName: mine}}, "
	    "{name: home, emptyDir: {sizeLimit: 1Gi}}]}}");
	yyjson_val *server = container_of(doc, "server");
	yyjson_val *entry = with(json_at(server, "env", NULL), "name", "OLLAMA_KEEP_ALIVE");
	yyjson_val *volumes = json_at(pod_of(doc), "volumes", NULL);

	(void)state;
	assert_still_ours(doc);
	assert_non_null(json_at(server, "livenessProbe", "exec", NULL));
	assert_null(json_at(server, "livenessProbe", "httpGet", NULL));
	assert_int_equal(json_int(server, 0, "livenessProbe", "periodSeconds", NULL), 10);
	assert_non_null(json_at(server, "startupProbe", "tcpSocket", NULL));
	assert_null(json_at(server, "startupProbe", "exec", NULL));
	assert_non_null(json_at(server, "readinessProbe", "httpGet", NULL));
	assert_null(json_at(entry, "value", NULL));
	assert_non_null(json_at(entry, "valueFrom", "configMapKeyRef", NULL));
	assert_null(json_at(with(volumes, "name", "tmp"), "emptyDir", NULL));
	assert_string_equal(
	    json_str(with(volumes, "name", "tmp"), "persistentVolumeClaim", "claimName", NULL),
	    "mine");
	assert_string_equal(
	    json_str(with(volumes, "name", "home"), "emptyDir", "sizeLimit", NULL), "1Gi");
}

static void test_whatever_else_comes_through(void **state)
{
	g_autoptr(yyjson_doc) doc = amended_by(
	    "{metadata: {labels: {team: a}, annotations: {note: b}}, "
	    "spec: {nodeSelector: {disk: ssd}, serviceAccountName: robot, priorityClassName: high, "
	    "tolerations: [{key: gpu, operator: Exists}], hostNetwork: false, "
	    "affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: []}}, "
	    "securityContext: {fsGroup: 7}, terminationGracePeriodSeconds: 5, "
	    "volumes: [{name: mine, emptyDir: {}}], initContainers: [{name: before, image: i}], "
	    "containers: [{name: sidecar, image: s, env: [{name: A, value: b}]}]}}");
	yyjson_val *pod = pod_of(doc), *metadata = json_at(template_of(doc), "metadata", NULL);

	(void)state;
	assert_still_ours(doc);
	assert_string_equal(json_str(metadata, "labels", "team", NULL), "a");
	assert_string_equal(json_str(metadata, "annotations", "note", NULL), "b");
	assert_string_equal(json_str(pod, "nodeSelector", "disk", NULL), "ssd");
	assert_string_equal(json_str(pod, "serviceAccountName", NULL), "robot");
	assert_string_equal(json_str(pod, "priorityClassName", NULL), "high");
	assert_int_equal(yyjson_arr_size(json_at(pod, "tolerations", NULL)), 1);
	assert_non_null(json_at(pod, "affinity", "nodeAffinity", NULL));
	assert_true(yyjson_is_false(json_at(pod, "hostNetwork", NULL)));
	assert_int_equal(json_int(pod, 0, "securityContext", "fsGroup", NULL), 7);
	assert_true(json_bool(pod, FALSE, "securityContext", "runAsNonRoot", NULL));
	assert_int_equal(json_int(pod, 0, "terminationGracePeriodSeconds", NULL), 5);
	assert_non_null(with(json_at(pod, "volumes", NULL), "name", "mine"));
	assert_non_null(with(json_at(pod, "initContainers", NULL), "name", "before"));
	assert_string_equal(variable(container_of(doc, "sidecar"), "A"), "b");
	assert_string_equal(
	    json_str(metadata, "annotations", "kubectl.kubernetes.io/default-container", NULL),
	    "server");
}

static void test_labels_cannot_be_taken_over(void **state)
{
	g_autoptr(yyjson_doc) doc =
	    amended_by("{metadata: {labels: {app: evil, ollama.ayaka.io/type: null, "
		       "model.ollama.ayaka.io: x}, "
		       "annotations: {ollama.ayaka.io/model: other}}}");

	(void)state;
	assert_still_ours(doc);
}

static void test_fetch_is_amended_but_still_fetches(void **state)
{
	g_autoptr(yyjson_doc) doc = amended_by(
	    "{spec: {initContainers: [{name: fetch, image: 'mirror/operator:1', args: [evil], "
	    "env: [{name: HTTPS_PROXY, value: p}, {name: POD_UID, value: x}], "
	    "resources: {limits: {memory: 1Gi}}}]}}");
	yyjson_val *fetch = fetch_of(doc);

	(void)state;
	assert_still_ours(doc);
	assert_string_equal(json_str(fetch, "image", NULL), "mirror/operator:1");
	assert_string_equal(variable(fetch, "HTTPS_PROXY"), "p");
	assert_null(variable(fetch, "POD_UID"));
	assert_string_equal(json_str(fetch, "resources", "limits", "memory", NULL), "1Gi");
	assert_string_equal(json_str(fetch, "resources", "requests", "memory", NULL), "16Mi");
}

/* Each takes away or bends something that must stay. */
static void test_what_is_needed_stays(void **state)
{
	static const char *const templates[] = {
	    "{spec: {containers: null, initContainers: null, volumes: null}, metadata: null}",
	    "{$patch: replace, spec: {containers: [{name: server, image: mine}]}}",
	    "{$patch: delete}",
	    "{spec: null}",
	    "{spec: {containers: [{name: server, $patch: delete}]}}",
	    "{spec: {initContainers: [{$patch: replace}], volumes: [{$patch: replace}]}}",
	    "{spec: {volumes: [{name: models, emptyDir: {}}, {name: tools, $patch: delete}]}}",
	    "{spec: {volumes: [{name: models, hostPath: {path: /etc}}]}}",
	    ("{spec: {containers: [{name: server, volumeMounts: [{mountPath: /models, name: "
	     "models, "
	     "readOnly: false, subPathExpr: null, subPath: x}]}]}}"),
	    "{spec: {containers: [{name: server, env: [{name: POD_UID, value: other}]}]}}",
	    "{spec: {containers: [{name: server, env: null, volumeMounts: null, ports: null}]}}",
	    "{spec: {containers: [{name: server, ports: [{containerPort: 11434, name: http}]}]}}",
	};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(templates); i++) {
		g_autoptr(yyjson_doc) doc = amended_by(templates[i]);

		print_message("# %s\n", templates[i]);
		assert_still_ours(doc);
		assert_null(json_at(with(json_at(container_of(doc, "server"), "volumeMounts", NULL),
					"mountPath", "/models"),
		    "subPath", NULL));
	}
}

static void test_fields_of_the_model_win(void **state)
{
	g_autoptr(yyjson_doc) doc = deployment_of(
	    "{image: phi, serverImage: 'field:1', runtimeClassName: field, "
	    "resources: {limits: {cpu: '1'}}, imagePullSecrets: [{name: field}], "
	    "extraEnv: [{name: A, value: field}, {name: B, valueFrom: {secretKeyRef: {name: s}}}], "
	    "extraEnvFrom: [{secretRef: {name: field}}], "
	    "podTemplate: {spec: {runtimeClassName: t, imagePullSecrets: [{name: t}], containers: "
	    "[{name: server, image: 't:1', env: [{name: A, value: t}, {name: B, value: t}, "
	    "{name: C, value: t}], envFrom: [{secretRef: {name: t}}], "
	    "resources: {limits: {cpu: '2', memory: 3Gi}}}]}}}");
	yyjson_val *server = container_of(doc, "server"), *pod = pod_of(doc);
	yyjson_val *source = yyjson_arr_get_first(json_at(server, "envFrom", NULL));

	(void)state;
	assert_still_ours(doc);
	assert_string_equal(json_str(server, "image", NULL), "field:1");
	assert_string_equal(json_str(pod, "runtimeClassName", NULL), "field");
	assert_string_equal(json_str(server, "resources", "limits", "cpu", NULL), "1");
	assert_string_equal(json_str(server, "resources", "limits", "memory", NULL), "3Gi");
	assert_non_null(with(json_at(pod, "imagePullSecrets", NULL), "name", "field"));
	assert_non_null(with(json_at(pod, "imagePullSecrets", NULL), "name", "t"));
	assert_string_equal(variable(server, "A"), "field");
	assert_null(variable(server, "B"));
	assert_string_equal(variable(server, "C"), "t");
	assert_string_equal(json_str(source, "secretRef", "name", NULL), "field");
}

static void test_what_cannot_be_merged_says_why(void **state)
{
	static const char *const cases[][2] = {
	    {"{spec: {containers: [{image: x}]}}",
		"spec.podTemplate.spec.containers: an element has no \"name\""},
	    {"{spec: {containers: [x]}}",
		"spec.podTemplate.spec.containers: each element must be an object with \"name\""},
	    {"{spec: 1}", "spec.podTemplate.spec: must be an object"},
	    {"{spec: {containers: {a: b}}}", "spec.podTemplate.spec.containers: must be a list"},
	    {"{spec: {volumes: x}}", "spec.podTemplate.spec.volumes: must be a list"},
	    {"{metadata: []}", "spec.podTemplate.metadata: must be an object"},
	};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *spec =
		    g_strdup_printf("{image: phi, podTemplate: %s}", cases[i][0]);
		AUTO(model) model = model_with(spec, NULL);
		g_autoptr(GError) error = NULL;
		g_autoptr(yyjson_mut_doc) doc =
		    child_deployment(model, test_settings(), &(struct child_facts){0}, &error);
		const struct observed observed = {.model = model};
		g_autofree char *refused = NULL;
		const char *reason = NULL;
		g_autoptr(GPtrArray) actions =
		    plan_children(&observed, test_settings(), &refused, &reason);

		assert_null(doc);
		assert_string_equal(error->message, cases[i][1]);
		assert_int_equal(actions->len, 0);
		assert_string_equal(refused, cases[i][1]);
		assert_string_equal(reason, "Invalid");
	}
}

/* What only the API server can refuse is left for it to refuse. */
static void test_odd_types_are_passed_on(void **state)
{
	g_autoptr(yyjson_doc) doc = amended_by(
	    "{spec: {nodeSelector: [1], containers: [{name: server, env: x, image: 3}]}}");
	yyjson_val *server = container_of(doc, "server");

	(void)state;
	assert_true(yyjson_is_arr(json_at(pod_of(doc), "nodeSelector", NULL)));
	assert_string_equal(json_str(server, "env", NULL), "x");
	assert_int_equal(json_int(server, 0, "image", NULL), 3);
}

static void test_a_megabyte_takes_no_time(void **state)
{
	enum { COUNT = 20000, LIMIT_S = 20 };
	g_autoptr(GString) text = g_string_new("{metadata: {annotations: {a: b");
	g_autoptr(yyjson_doc) doc = NULL;
	g_autofree char *spec = NULL, *last = g_strdup_printf("VARIABLE_%u", COUNT - 1);
	gint64 start;

	(void)state;
	for (guint i = 0; i < COUNT; i++)
		g_string_append_printf(text, ", note-%u: x", i);
	g_string_append(text, "}}, spec: {containers: [{name: server, env: [{name: A}");
	for (guint i = 0; i < COUNT; i++)
		g_string_append_printf(text, ", {name: VARIABLE_%u, value: a value}", i);
	g_string_append(text, "]}]}}");
	assert_true(text->len > 1024 * 1024);
	spec = g_strdup_printf("{image: phi, podTemplate: %s}", text->str);
	start = g_get_monotonic_time();
	doc = deployment_of(spec);
	assert_true(g_get_monotonic_time() - start < LIMIT_S * G_USEC_PER_SEC);
	assert_string_equal(variable(container_of(doc, "server"), last), "a value");
	assert_still_ours(doc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_nothing_in_it_changes_little),
	    cmocka_unit_test(test_server_is_amended),
	    cmocka_unit_test(test_another_handler_replaces_ours),
	    cmocka_unit_test(test_whatever_else_comes_through),
	    cmocka_unit_test(test_labels_cannot_be_taken_over),
	    cmocka_unit_test(test_fetch_is_amended_but_still_fetches),
	    cmocka_unit_test(test_what_is_needed_stays),
	    cmocka_unit_test(test_fields_of_the_model_win),
	    cmocka_unit_test(test_what_cannot_be_merged_says_why),
	    cmocka_unit_test(test_odd_types_are_passed_on),
	    cmocka_unit_test(test_a_megabyte_takes_no_time),
	};

	return cmocka_run_group_tests_name("template", tests, NULL, NULL);
}
