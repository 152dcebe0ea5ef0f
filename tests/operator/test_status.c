/* The status of a Model, from what is observed: it must be true, and go back when things break. */
#include "fixtures.h"
#include "operator/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define POD_FETCHING                                                                           \
	"metadata: {name: p, namespace: default}\nspec: {nodeName: node1}\n"                   \
	"status: {phase: Pending, initContainerStatuses: [{name: fetch, ready: false, state: " \
	"{running: {}}}]}"
#define POD_LOADING                                                               \
	"metadata: {name: p, namespace: default}\nspec: {nodeName: node1}\n"      \
	"status: {phase: Running, conditions: [{type: Ready, status: 'False'}], " \
	"containerStatuses: [{name: server, ready: false, state: {running: {}}}]}"
#define POD_READY                                                                \
	"metadata: {name: p, namespace: default}\nspec: {nodeName: node1}\n"     \
	"status: {phase: Running, conditions: [{type: Ready, status: 'True'}], " \
	"containerStatuses: [{name: server, ready: true, state: {running: {}}}]}"
#define DEPLOYMENT_READY                                                                      \
	"metadata: {name: ollama-model-phi, generation: 2}\n"                                 \
	"status: {observedGeneration: 2, replicas: 1, updatedReplicas: 1, readyReplicas: 1, " \
	"availableReplicas: 1}"
#define DEPLOYMENT_WAITING                                    \
	"metadata: {name: ollama-model-phi, generation: 2}\n" \
	"status: {observedGeneration: 2, replicas: 1, updatedReplicas: 1, unavailableReplicas: 1}"
#define PULLING                                                                                    \
	"{\"image\":\"registry.ollama.ai/library/phi:latest\",\"node\":\"node1\",\"phase\":"       \
	"\"Pulling\",\"completed\":43000000,\"total\":100000000,\"digest\":\"sha256:d\",\"size\":" \
	"100000000}"
#define PULL_DONE                                                                            \
	"{\"image\":\"registry.ollama.ai/library/phi:latest\",\"node\":\"node1\",\"phase\":" \
	"\"Ready\",\"digest\":\"sha256:d\",\"size\":100000000,\"family\":\"phi2\"}"
#define PULL_FAILED_LINE                                                                     \
	"{\"image\":\"registry.ollama.ai/library/phi:latest\",\"node\":\"node1\",\"phase\":" \
	"\"Failed\",\"reason\":\"NotFound\",\"message\":\"manifest not found: check spec.image\"}"

/* What a test observes; NULL members are absent. */
struct scene {
	const char *spec;
	const char *status_before;
	const char *deployment;
	const char *pod;
	const char *pull;
	const char *refused;
};

static yyjson_doc *status_of(const struct scene *scene)
{
	AUTO(model)
	model =
	    model_with(scene->spec != NULL ? scene->spec : "{image: phi}", scene->status_before);
	g_autoptr(yyjson_doc) deployment =
	    scene->deployment == NULL ? NULL : doc_from_yaml(scene->deployment);
	g_autoptr(GPtrArray) pods = g_ptr_array_new();
	g_autoptr(GPtrArray) pulls = g_ptr_array_new();
	AUTO(kube_object) pod = scene->pod == NULL ? NULL : object_from_yaml(scene->pod);
	AUTO(pull_state)
	pull = scene->pull == NULL ? NULL : pull_state_parse(scene->pull, strlen(scene->pull));
	struct status_input input = {
	    .model = model,
	    .deployment = yyjson_doc_get_root(deployment),
	    .pods = pods,
	    .pulls = pulls,
	    .refused = scene->refused,
	    .refused_reason = scene->refused == NULL ? NULL : "NameTaken",
	    .now_us = TEST_NOW_US,
	};
	g_autoptr(yyjson_mut_doc) status = NULL;

	if (pod != NULL)
		g_ptr_array_add(pods, pod);
	if (pull != NULL)
		g_ptr_array_add(pulls, pull);
	status = status_compute(&input);
	return yyjson_mut_doc_imut_copy(status, NULL);
}

static void assert_condition(
    yyjson_val *status, const char *type, const char *value, const char *reason)
{
	yyjson_val *condition = status_condition(status, type);

	assert_non_null(condition);
	assert_string_equal(json_str(condition, "status", NULL), value);
	assert_string_equal(json_str(condition, "reason", NULL), reason);
	assert_int_equal(json_int(condition, 0, "observedGeneration", NULL), 3);
}

static void assert_phase(yyjson_val *status, const char *phase)
{
	assert_string_equal(json_str(status, "phase", NULL), phase);
}

static void test_nothing_yet_is_pending(void **state)
{
	g_autoptr(yyjson_doc) doc = status_of(&(struct scene){0});
	yyjson_val *status = yyjson_doc_get_root(doc);

	(void)state;
	assert_phase(status, "Pending");
	assert_condition(status, "Available", "False", "NotReady");
	assert_condition(status, "Pulled", "Unknown", "Waiting");
	assert_int_equal(json_int(status, -1, "replicas", NULL), 0);
}

static void test_pulling_shows_percent_and_bytes(void **state)
{
	g_autoptr(yyjson_doc) doc = status_of(&(struct scene){
	    .deployment = DEPLOYMENT_WAITING, .pod = POD_FETCHING, .pull = PULLING});
	yyjson_val *status = yyjson_doc_get_root(doc);

	(void)state;
	assert_phase(status, "Pulling 43 %");
	assert_string_equal(json_str(status, "message", NULL), "43 MB of 100 MB on node1");
	assert_int_equal(json_int(status, 0, "pull", "completed", NULL), 43000000);
	assert_int_equal(json_int(status, 0, "pull", "total", NULL), 100000000);
	assert_condition(status, "Pulled", "False", "Pulling");
	assert_int_equal(json_int(status, 0, "unavailableReplicas", NULL), 1);
}

static void test_loading_comes_after_the_pull(void **state)
{
	g_autoptr(yyjson_doc) doc = status_of(&(struct scene){
	    .deployment = DEPLOYMENT_WAITING, .pod = POD_LOADING, .pull = PULL_DONE});
	yyjson_val *status = yyjson_doc_get_root(doc);

	(void)state;
	assert_phase(status, "Loading");
	assert_condition(status, "Pulled", "True", "Pulled");
	assert_null(json_at(status, "pull", NULL));
	assert_string_equal(json_str(status, "digest", NULL), "sha256:d");
}

static void test_between_pull_and_start_is_loading_too(void **state)
{
	static const char *const PODS[] = {
	    /* The init container has ended, the server has not started. */
	    "metadata: {name: p, namespace: default}\nspec: {nodeName: node1}\n"
	    "status: {phase: Pending, initContainerStatuses: [{name: fetch, ready: true, state: "
	    "{terminated: {exitCode: 0}}}], containerStatuses: [{name: server, ready: false, "
	    "state: "
	    "{waiting: {reason: PodInitializing}}}]}",
	    /* The pod is Ready, and its Deployment has not counted it. */
	    POD_READY,
	};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(PODS); i++) {
		g_autoptr(yyjson_doc) doc = status_of(&(struct scene){
		    .deployment = DEPLOYMENT_WAITING, .pod = PODS[i], .pull = PULL_DONE});

		assert_phase(yyjson_doc_get_root(doc), "Loading");
	}
}

static void test_ready_when_the_deployment_is(void **state)
{
	g_autoptr(yyjson_doc) doc = status_of(
	    &(struct scene){.deployment = DEPLOYMENT_READY, .pod = POD_READY, .pull = PULL_DONE});
	yyjson_val *status = yyjson_doc_get_root(doc);

	(void)state;
	assert_phase(status, "Ready");
	assert_condition(status, "Available", "True", "ModelAnswers");
	assert_condition(status, "Progressing", "True", "Complete");
	assert_condition(status, "ReplicaFailure", "False", "AsExpected");
	assert_int_equal(json_int(status, 0, "readyReplicas", NULL), 1);
	assert_int_equal(json_int(status, 0, "nodes", NULL), 1);
	assert_string_equal(json_str(status, "url", NULL), "http://ollama-model-phi.default:11434");
	assert_string_equal(json_str(status, "family", NULL), "phi2");
}

/* Fault 1 of the predecessor: Available never went back. */
static void test_available_goes_back_and_keeps_its_time(void **state)
{
	g_autoptr(yyjson_doc) doc = status_of(&(struct scene){
	    .deployment = DEPLOYMENT_WAITING,
	    .pod = POD_LOADING,
	    .status_before =
		"{conditions: [{type: Available, status: 'True', reason: ModelAnswers, "
		"lastTransitionTime: '2026-01-01T00:00:00Z'}, {type: ReplicaFailure, status: "
		"'False', "
		"reason: AsExpected, message: pods can be made, observedGeneration: 3, "
		"lastTransitionTime: '2026-01-01T00:00:00Z', lastUpdateTime: "
		"'2026-01-02T00:00:00Z'}]}",
	});
	yyjson_val *status = yyjson_doc_get_root(doc);
	yyjson_val *kept = status_condition(status, "ReplicaFailure");

	(void)state;
	assert_condition(status, "Available", "False", "NotReady");
	assert_string_equal(
	    json_str(status_condition(status, "Available"), "lastTransitionTime", NULL),
	    "2026-11-23T10:00:00Z");
	assert_string_equal(json_str(kept, "lastTransitionTime", NULL), "2026-01-01T00:00:00Z");
	assert_string_equal(json_str(kept, "lastUpdateTime", NULL), "2026-01-02T00:00:00Z");
}

static void test_failed_pull_says_why(void **state)
{
	g_autoptr(yyjson_doc) doc = status_of(&(struct scene){
	    .deployment = DEPLOYMENT_WAITING, .pod = POD_FETCHING, .pull = PULL_FAILED_LINE});
	yyjson_val *status = yyjson_doc_get_root(doc);

	(void)state;
	assert_phase(status, "Failed");
	assert_condition(status, "Pulled", "False", "NotFound");
	assert_condition(status, "Progressing", "False", "PullFailed");
	assert_string_equal(
	    json_str(status, "message", NULL), "manifest not found: check spec.image");
}

static void test_invalid_image_says_why(void **state)
{
	g_autoptr(yyjson_doc) doc = status_of(&(struct scene){.spec = "{image: 'a@b'}"});
	yyjson_val *status = yyjson_doc_get_root(doc);

	(void)state;
	assert_phase(status, "Failed");
	assert_condition(status, "Pulled", "False", "InvalidImage");
	assert_condition(status, "Progressing", "False", "InvalidImage");
	assert_non_null(json_str(status, "message", NULL));
}

static void test_refused_children_are_told(void **state)
{
	g_autoptr(yyjson_doc) doc =
	    status_of(&(struct scene){.refused = "Deployment default/x exists"});
	yyjson_val *status = yyjson_doc_get_root(doc);

	(void)state;
	assert_phase(status, "Failed");
	assert_condition(status, "Progressing", "False", "NameTaken");
	assert_condition(status, "ReplicaFailure", "True", "NameTaken");
}

static void test_no_replicas_is_asleep(void **state)
{
	g_autoptr(yyjson_doc) doc = status_of(&(struct scene){.spec = "{image: phi, replicas: 0}",
	    .deployment = "metadata: {generation: 1}\nstatus: {observedGeneration: 1}"});
	yyjson_val *status = yyjson_doc_get_root(doc);

	(void)state;
	assert_phase(status, "Asleep");
	assert_condition(status, "Available", "False", "Asleep");
	assert_condition(status, "Progressing", "True", "Complete");
}

static void test_unschedulable_gives_the_schedulers_reason(void **state)
{
	g_autoptr(yyjson_doc) doc = status_of(&(struct scene){.deployment = DEPLOYMENT_WAITING,
	    .pod = "metadata: {name: p, namespace: default}\nspec: {}\nstatus: {phase: Pending, "
		   "conditions: [{type: PodScheduled, status: 'False', message: '0/2 nodes are "
		   "available: 2 Insufficient memory.'}]}"});
	yyjson_val *status = yyjson_doc_get_root(doc);

	(void)state;
	assert_phase(status, "Pending");
	assert_condition(status, "Schedulable", "False", "Unschedulable");
	assert_non_null(strstr(json_str(status, "message", NULL), "2 Insufficient memory"));
}

static void test_crash_shows_last_words(void **state)
{
	g_autoptr(yyjson_doc) doc = status_of(&(struct scene){.deployment = DEPLOYMENT_WAITING,
	    .pod =
		"metadata: {name: p, namespace: default}\nspec: {nodeName: node1}\n"
		"status: {phase: Running, containerStatuses: [{name: server, ready: false, state: "
		"{waiting: {reason: CrashLoopBackOff, message: back-off}}, lastState: {terminated: "
		"{reason: Error, message: unable to load model}}}]}"});
	yyjson_val *status = yyjson_doc_get_root(doc);

	(void)state;
	assert_phase(status, "Failed");
	assert_condition(status, "Progressing", "False", "CrashLoopBackOff");
	assert_non_null(strstr(json_str(status, "message", NULL), "unable to load model"));
}

/* Stores start anew and know nothing for a while: what was pulled stays pulled. */
static void test_facts_outlive_a_stores_restart(void **state)
{
	static const char before[] = "{image: 'registry.ollama.ai/library/phi:latest', digest: "
				     "'sha256:d', size: 5, conditions: "
				     "[{type: Pulled, status: 'True', reason: Pulled}]}";
	g_autoptr(yyjson_doc) same =
	    status_of(&(struct scene){.status_before = before, .deployment = DEPLOYMENT_WAITING});
	g_autoptr(yyjson_doc) other = status_of(&(struct scene){
	    .spec = "{image: 'phi:3'}", .status_before = before, .deployment = DEPLOYMENT_WAITING});

	(void)state;
	assert_string_equal(json_str(yyjson_doc_get_root(same), "digest", NULL), "sha256:d");
	assert_condition(yyjson_doc_get_root(same), "Pulled", "True", "Pulled");
	assert_null(json_str(yyjson_doc_get_root(other), "digest", NULL));
	assert_condition(yyjson_doc_get_root(other), "Pulled", "Unknown", "Waiting");
}

static void test_same_is_same(void **state)
{
	static const struct {
		const char *before, *after;
		gboolean same;
	} table[] = {
	    {"{phase: Ready, replicas: 1}", "{phase: Ready, replicas: 1}", TRUE},
	    {"{phase: Ready, replicas: 1}", "{phase: Ready, replicas: 2}", FALSE},
	    {"{phase: Ready, pull: {total: 1}}", "{phase: Ready}", FALSE},
	    {"{phase: Ready, demand: [{gateway: a}]}", "{phase: Ready}", TRUE},
	    {"{}", "{phase: Ready}", FALSE},
	};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
		g_autoptr(yyjson_doc) before = doc_from_yaml(table[i].before);
		g_autoptr(yyjson_doc) after = doc_from_yaml(table[i].after);

		assert_int_equal(
		    status_same(yyjson_doc_get_root(before), yyjson_doc_get_root(after)),
		    table[i].same);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_nothing_yet_is_pending),
	    cmocka_unit_test(test_pulling_shows_percent_and_bytes),
	    cmocka_unit_test(test_loading_comes_after_the_pull),
	    cmocka_unit_test(test_between_pull_and_start_is_loading_too),
	    cmocka_unit_test(test_ready_when_the_deployment_is),
	    cmocka_unit_test(test_available_goes_back_and_keeps_its_time),
	    cmocka_unit_test(test_failed_pull_says_why),
	    cmocka_unit_test(test_invalid_image_says_why),
	    cmocka_unit_test(test_refused_children_are_told),
	    cmocka_unit_test(test_no_replicas_is_asleep),
	    cmocka_unit_test(test_unschedulable_gives_the_schedulers_reason),
	    cmocka_unit_test(test_crash_shows_last_words),
	    cmocka_unit_test(test_facts_outlive_a_stores_restart),
	    cmocka_unit_test(test_same_is_same),
	};

	return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
