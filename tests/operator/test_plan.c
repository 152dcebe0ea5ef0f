/* What has to be done, given what is observed. */
#include "fixtures.h"
#include "operator/children.h"
#include "operator/plan.h"
#include "json/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* An observation with empty lists; free with scene_done(). */
struct scene {
	struct model *model;
	GPtrArray *none;
	struct observed observed;
	char *refused;
	const char *reason;
};

static void scene_init(struct scene *scene, const char *spec, const char *status)
{
	*scene = (struct scene){0};
	scene->model = model_with(spec, status);
	scene->none = g_ptr_array_new();
	scene->observed = (struct observed){.model = scene->model,
	    .pods = scene->none,
	    .pulls = scene->none,
	    .now_us = TEST_NOW_US};
}

static void scene_done(struct scene *scene)
{
	model_free(scene->model);
	g_ptr_array_unref(scene->none);
	g_free(scene->refused);
}

static GPtrArray *children(struct scene *scene)
{
	g_clear_pointer(&scene->refused, g_free);
	return plan_children(&scene->observed, test_settings(), &scene->refused, &scene->reason);
}

/* Our own children as an API server would give them back: with defaults and a status. */
static yyjson_doc *as_stored(yyjson_mut_doc *doc)
{
	yyjson_mut_val *spec = yyjson_mut_obj_get(yyjson_mut_doc_get_root(doc), "spec");

	json_mut_set_int(doc, spec, "revisionHistoryLimit", 10);
	json_mut_set_str(
	    doc, yyjson_mut_obj_get(yyjson_mut_doc_get_root(doc), "metadata"), "uid", "u");
	return yyjson_mut_doc_imut_copy(doc, NULL);
}

static void test_makes_both_children(void **state)
{
	struct scene scene;
	g_autoptr(GPtrArray) actions = NULL;
	const struct action *first, *second;

	(void)state;
	scene_init(&scene, "{image: phi}", NULL);
	actions = children(&scene);
	assert_int_equal(actions->len, 2);
	first = actions->pdata[0];
	second = actions->pdata[1];
	assert_int_equal(first->kind, ACTION_APPLY);
	assert_ptr_equal(first->resource, &KUBE_DEPLOYMENTS);
	assert_string_equal(first->name, "ollama-model-phi");
	assert_true(first->creates);
	assert_ptr_equal(second->resource, &KUBE_SERVICES);
	assert_null(scene.refused);
	scene_done(&scene);
}

static void test_nothing_to_do_when_all_is_as_wanted(void **state)
{
	struct scene scene;
	g_autoptr(yyjson_mut_doc) deployment = NULL;
	g_autoptr(yyjson_mut_doc) service = NULL;
	g_autoptr(yyjson_doc) stored_deployment = NULL;
	g_autoptr(yyjson_doc) stored_service = NULL;
	g_autoptr(GPtrArray) actions = NULL;

	(void)state;
	scene_init(&scene, "{image: phi}", NULL);
	deployment = child_deployment(scene.model, test_settings(), &(struct child_facts){0}, NULL);
	service = child_service(scene.model);
	stored_deployment = as_stored(deployment);
	stored_service = as_stored(service);
	scene.observed.deployment = yyjson_doc_get_root(stored_deployment);
	scene.observed.service = yyjson_doc_get_root(stored_service);
	actions = children(&scene);
	assert_int_equal(actions->len, 0);
	scene_done(&scene);
}

/* It cannot be brought back: whoever keeps it is named, whether it was ours or another's. */
static void test_a_child_that_goes_is_waited_for(void **state)
{
	static const char *const services[] = {
	    "{metadata: {name: ollama-model-phi, deletionTimestamp: '2026-01-01T00:00:00Z', "
	    "finalizers: [example.com/hold, b]}}",
	    "{metadata: {name: ollama-model-phi, deletionTimestamp: '2026-01-01T00:00:00Z', "
	    "finalizers: [example.com/hold, b], ownerReferences: [{uid: other}]}}",
	};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(services); i++) {
		struct scene scene;
		g_autoptr(GPtrArray) read = yaml_read(services[i], strlen(services[i]), NULL);
		g_autoptr(GPtrArray) actions = NULL;

		scene_init(&scene, "{image: phi}", NULL);
		scene.observed.service = yyjson_doc_get_root(read->pdata[0]);
		actions = children(&scene);
		assert_int_equal(actions->len, 0);
		assert_string_equal(scene.reason, "BeingDeleted");
		assert_non_null(strstr(scene.refused, "example.com/hold, b"));
		scene_done(&scene);
	}
}

/* Fault 3 of the predecessor: only replicas were kept in step. */
static void test_any_change_of_the_spec_is_applied(void **state)
{
	static const char *const specs[] = {
	    "{image: 'phi:2'}",
	    "{image: phi, replicas: 2}",
	    "{image: phi, serverImage: other}",
	    "{image: phi, resources: {limits: {cpu: 1}}}",
	    "{image: phi, extraEnv: [{name: A, value: b}]}",
	    "{image: phi, contextLength: 1024}",
	    "{image: phi, runtimeClassName: nvidia}",
	    "{image: phi, imagePullPolicy: Always}",
	    "{image: phi, keepAlive: 5m}",
	    "{image: phi, parallel: 4}",
	    "{image: phi, podTemplate: {spec: {nodeSelector: {a: b}}}}",
	};
	AUTO(model) before = model_with("{image: phi}", NULL);
	g_autoptr(yyjson_mut_doc) deployment =
	    child_deployment(before, test_settings(), &(struct child_facts){0}, NULL);
	g_autoptr(yyjson_mut_doc) service = child_service(before);
	g_autoptr(yyjson_doc) stored_deployment = as_stored(deployment);
	g_autoptr(yyjson_doc) stored_service = as_stored(service);

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(specs); i++) {
		struct scene scene;
		g_autoptr(GPtrArray) actions = NULL;

		scene_init(&scene, specs[i], NULL);
		scene.observed.deployment = yyjson_doc_get_root(stored_deployment);
		scene.observed.service = yyjson_doc_get_root(stored_service);
		actions = children(&scene);
		assert_int_equal(actions->len, 1);
		assert_false(((const struct action *)actions->pdata[0])->creates);
		scene_done(&scene);
	}
}

/* What the Model does not set any more is no difference in what it sets: it must go none the less.
 */
static void test_what_is_set_no_more_is_applied(void **state)
{
	static const char *const specs[] = {
	    "{image: phi, resources: {limits: {cpu: 1}}}",
	    "{image: phi, runtimeClassName: nvidia}",
	    "{image: phi, imagePullSecrets: [{name: key}]}",
	    "{image: phi, extraEnvFrom: [{configMapRef: {name: c}}]}",
	    "{image: phi, podTemplate: {spec: {nodeSelector: {a: b}}}}",
	};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(specs); i++) {
		AUTO(model) before = model_with(specs[i], NULL);
		g_autoptr(yyjson_mut_doc) deployment =
		    child_deployment(before, test_settings(), &(struct child_facts){0}, NULL);
		g_autoptr(yyjson_mut_doc) service = child_service(before);
		g_autoptr(yyjson_doc) stored_deployment = as_stored(deployment);
		g_autoptr(yyjson_doc) stored_service = as_stored(service);
		struct scene scene;
		g_autoptr(GPtrArray) actions = NULL;

		scene_init(&scene, "{image: phi}", NULL);
		scene.observed.deployment = yyjson_doc_get_root(stored_deployment);
		scene.observed.service = yyjson_doc_get_root(stored_service);
		actions = children(&scene);
		assert_int_equal(actions->len, 1);
		scene_done(&scene);
	}
}

static void test_somebody_elses_objects_are_not_touched(void **state)
{
	g_autoptr(yyjson_doc) theirs = doc_from_yaml(
	    "metadata: {name: ollama-model-phi, ownerReferences: [{uid: other}]}\nspec: {}");
	struct scene scene;
	g_autoptr(GPtrArray) actions = NULL;

	(void)state;
	scene_init(&scene, "{image: phi}", NULL);
	scene.observed.service = yyjson_doc_get_root(theirs);
	actions = children(&scene);
	assert_int_equal(actions->len, 0);
	assert_non_null(scene.refused);
	assert_string_equal(scene.reason, "NameTaken");
	scene_done(&scene);
}

/* The predecessor's Deployment has no owner but our labels: it is taken over, not doubled. */
static void test_the_predecessors_objects_are_adopted(void **state)
{
	g_autoptr(yyjson_doc) theirs = doc_from_yaml(
	    "metadata: {name: ollama-model-phi, labels: {model.ollama.ayaka.io/name: phi}}\n"
	    "spec: {selector: {matchLabels: {app: ollama-model-phi}}}");
	struct scene scene;
	g_autoptr(GPtrArray) actions = NULL;

	(void)state;
	scene_init(&scene, "{image: phi}", NULL);
	scene.observed.deployment = yyjson_doc_get_root(theirs);
	actions = children(&scene);
	assert_null(scene.refused);
	assert_int_equal(actions->len, 2);
	assert_false(((const struct action *)actions->pdata[0])->creates);
	scene_done(&scene);
}

static void test_nothing_is_made_for_a_model_that_goes_or_has_no_image(void **state)
{
	struct scene scene;
	g_autoptr(GPtrArray) none = NULL;
	g_autoptr(GPtrArray) none_either = NULL;

	(void)state;
	scene_init(&scene, "{image: 'a@b'}", NULL);
	none = children(&scene);
	assert_int_equal(none->len, 0);
	scene_done(&scene);
	scene_init(&scene, "{image: phi}", NULL);
	scene.model->deleting = TRUE;
	none_either = children(&scene);
	assert_int_equal(none_either->len, 0);
	scene_done(&scene);
}

static const struct action *find(GPtrArray *actions, enum action_kind kind, const char *reason)
{
	for (guint i = 0; i < actions->len; i++) {
		const struct action *action = actions->pdata[i];

		if (action->kind == kind &&
		    (reason == NULL || g_strcmp0(action->reason, reason) == 0))
			return action;
	}
	return NULL;
}

static void test_status_is_written_once(void **state)
{
	struct scene scene;
	g_autoptr(GPtrArray) first = NULL;
	g_autoptr(GPtrArray) second = NULL;
	g_autoptr(yyjson_doc) body = NULL;
	g_autofree char *status = NULL;

	(void)state;
	scene_init(&scene, "{image: phi}", NULL);
	first = plan_status(&scene.observed, NULL, NULL);
	assert_non_null(find(first, ACTION_STATUS, NULL));
	body = json_parse(find(first, ACTION_STATUS, NULL)->body,
	    find(first, ACTION_STATUS, NULL)->body_len, NULL);
	status = json_print(json_at(yyjson_doc_get_root(body), "status", NULL), NULL);
	scene_done(&scene);
	scene_init(&scene, "{image: phi}", status);
	scene.observed.now_us += 60 * G_USEC_PER_SEC;
	second = plan_status(&scene.observed, NULL, NULL);
	assert_int_equal(second->len, 0);
	scene_done(&scene);
}

static void test_events_tell_of_changes_only(void **state)
{
	static const char line[] = "{\"image\":\"registry.ollama.ai/library/"
				   "phi:latest\",\"node\":\"n\",\"phase\":\"Failed\","
				   "\"reason\":\"NotFound\",\"message\":\"not found\"}";
	AUTO(pull_state) pull = pull_state_parse(line, strlen(line));
	g_autoptr(GPtrArray) pulls = g_ptr_array_new();
	struct scene scene;
	g_autoptr(GPtrArray) first = NULL;
	g_autoptr(GPtrArray) again = NULL;

	(void)state;
	g_ptr_array_add(pulls, pull);
	scene_init(&scene, "{image: phi}", NULL);
	scene.observed.pulls = pulls;
	first = plan_status(&scene.observed, NULL, NULL);
	assert_non_null(find(first, ACTION_EVENT, "NotFound"));
	assert_string_equal(find(first, ACTION_EVENT, "NotFound")->event_type, "Warning");
	scene_done(&scene);
	scene_init(&scene, "{image: phi}",
	    "{conditions: [{type: Pulled, status: 'False', reason: NotFound, message: not "
	    "found}]}");
	scene.observed.pulls = pulls;
	again = plan_status(&scene.observed, NULL, NULL);
	assert_null(find(again, ACTION_EVENT, "NotFound"));
	scene_done(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_makes_both_children),
	    cmocka_unit_test(test_nothing_to_do_when_all_is_as_wanted),
	    cmocka_unit_test(test_a_child_that_goes_is_waited_for),
	    cmocka_unit_test(test_any_change_of_the_spec_is_applied),
	    cmocka_unit_test(test_what_is_set_no_more_is_applied),
	    cmocka_unit_test(test_somebody_elses_objects_are_not_touched),
	    cmocka_unit_test(test_the_predecessors_objects_are_adopted),
	    cmocka_unit_test(test_nothing_is_made_for_a_model_that_goes_or_has_no_image),
	    cmocka_unit_test(test_status_is_written_once),
	    cmocka_unit_test(test_events_tell_of_changes_only),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
