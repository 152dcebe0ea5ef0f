/* The memory that a Model needs: estimated once, asked for, and told when no node has it. */
#include "fixtures.h"
#include "operator/children.h"
#include "operator/memory_need.h"
#include "operator/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define GIB (G_GINT64_CONSTANT(1) << 30)

static const struct memory_estimate ESTIMATE = {.weights_bytes = 4 * GIB,
    .cache_bytes = GIB,
    .overhead_bytes = GIB / 2,
    .total_bytes = 11 * GIB / 2};

/* The Deployment that a Model gets with this estimate, as it would be stored and serve. */
static yyjson_doc *served_deployment(const char *spec, gint64 memory_bytes)
{
	AUTO(model) model = model_with(spec, NULL);
	g_autoptr(yyjson_mut_doc) doc = child_deployment(
	    model, test_settings(), &(struct child_facts){.memory_bytes = memory_bytes}, NULL);
	yyjson_mut_val *root = yyjson_mut_doc_get_root(doc);

	json_mut_set_int(doc, json_mut_object(doc, root, "status"), "availableReplicas", 1);
	return yyjson_mut_doc_imut_copy(doc, NULL);
}

/* The memory request of the Deployment that is planned, -1: nothing is. */
static gint64 planned_request(const char *spec, const char *status, yyjson_doc *deployment,
    const struct memory_estimate *memory)
{
	AUTO(model) model = model_with(spec, status);
	g_autoptr(GPtrArray) none = g_ptr_array_new();
	g_autoptr(yyjson_mut_doc) service_mut = child_service(model);
	g_autoptr(yyjson_doc) service = yyjson_mut_doc_imut_copy(service_mut, NULL);
	const struct observed observed = {.model = model,
	    .deployment = yyjson_doc_get_root(deployment),
	    .service = yyjson_doc_get_root(service),
	    .pods = none,
	    .pulls = none,
	    .memory = memory,
	    .now_us = TEST_NOW_US};
	g_autofree char *refused = NULL;
	const char *reason;
	g_autoptr(GPtrArray) actions = plan_children(&observed, test_settings(), &refused, &reason);
	g_autoptr(yyjson_doc) body = NULL;
	const struct action *action;

	assert_null(refused);
	if (actions->len == 0)
		return -1;
	action = actions->pdata[0];
	body = json_parse(action->body, action->body_len, NULL);
	return child_memory_request(yyjson_doc_get_root(body));
}

static void test_estimate_becomes_the_request(void **state)
{
	(void)state;
	assert_int_equal(
	    planned_request("{image: phi}", NULL, NULL, &ESTIMATE), ESTIMATE.total_bytes);
	assert_int_equal(planned_request("{image: phi}", NULL, NULL, NULL), 0);
}

static void test_who_says_something_is_heard(void **state)
{
	(void)state;
	assert_int_equal(planned_request("{image: phi, resources: {requests: {memory: 1Gi}}}", NULL,
			     NULL, &ESTIMATE),
	    GIB);
	/* Kubernetes makes the limit the request. */
	assert_int_equal(planned_request("{image: phi, resources: {limits: {memory: 1Gi}}}", NULL,
			     NULL, &ESTIMATE),
	    0);
	assert_int_equal(planned_request("{image: phi, resources: {limits: {nvidia.com/gpu: 1}}}",
			     NULL, NULL, &ESTIMATE),
	    0);
	assert_int_equal(
	    planned_request("{image: phi, resources: {limits: {cpu: 1}}}", NULL, NULL, &ESTIMATE),
	    ESTIMATE.total_bytes);
	assert_int_equal(
	    planned_request("{image: phi, podTemplate: {spec: {containers: [{name: server, "
			    "resources: {requests: {memory: 2Gi}}}]}}}",
		NULL, NULL, &ESTIMATE),
	    2 * GIB);
}

static void test_an_estimate_restarts_nobody(void **state)
{
	g_autoptr(yyjson_doc) without = served_deployment("{image: phi}", 0);
	g_autoptr(yyjson_doc) with = served_deployment("{image: phi}", 11 * GIB / 2);

	(void)state;
	assert_int_equal(planned_request("{image: phi}", NULL, without, &ESTIMATE), -1);
	/* A change that rolls out anyway takes it along. */
	assert_int_equal(
	    planned_request("{image: phi, contextLength: 512}", NULL, without, &ESTIMATE),
	    ESTIMATE.total_bytes);
	/* Stores that are gone for a while take nothing back. */
	assert_int_equal(planned_request("{image: phi}", NULL, with, NULL), -1);
}

/*
 * kubectl set resources: the Model says nothing of memory, so it holds, whatever else changes. We
 * leave the field out: then it is theirs alone.
 */
static void test_a_request_by_hand_stays(void **state)
{
	g_autoptr(yyjson_doc) ours = served_deployment("{image: phi}", 11 * GIB / 2);
	g_autofree char *text = json_print(yyjson_doc_get_root(ours), NULL);
	g_auto(GStrv) parts = g_strsplit(text, "\"memory\":\"5632Mi\"", 2);
	g_autofree char *edited = g_strjoinv("\"memory\":\"8Gi\"", parts);
	g_autoptr(yyjson_doc) by_hand = json_parse(edited, strlen(edited), NULL);

	(void)state;
	assert_int_equal(child_memory_request(yyjson_doc_get_root(by_hand)), 8 * GIB);
	assert_int_equal(
	    planned_request("{image: phi, contextLength: 512}", NULL, by_hand, &ESTIMATE), 0);
	assert_int_equal(planned_request("{image: phi}", NULL, by_hand, &ESTIMATE), 0);
}

/* What the Model itself asked for goes when the Model says nothing any more. */
static void test_a_request_taken_back_goes(void **state)
{
	g_autoptr(yyjson_doc) before =
	    served_deployment("{image: phi, resources: {requests: {memory: 1Gi}}}", 0);

	(void)state;
	assert_int_equal(planned_request("{image: phi}", NULL, before, NULL), 0);
	assert_int_equal(
	    planned_request("{image: phi}", NULL, before, &ESTIMATE), ESTIMATE.total_bytes);
}

static void test_the_status_remembers(void **state)
{
	AUTO(model) model = model_with("{image: phi}", NULL);
	g_autoptr(yyjson_mut_doc) doc = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = yyjson_mut_obj(doc);
	g_autofree char *text = NULL;
	struct memory_estimate back;

	(void)state;
	yyjson_mut_doc_set_root(doc, root);
	json_mut_set_str(doc, root, "image", "registry.ollama.ai/library/phi:latest");
	memory_need_write(doc, root, model, &ESTIMATE);
	text = json_mut_print(root, NULL);
	{
		AUTO(model) same = model_with("{image: phi}", text);
		AUTO(model) other_context = model_with("{image: phi, contextLength: 512}", text);
		AUTO(model) other_image = model_with("{image: 'phi:2'}", text);
		AUTO(model)
		other_cache = model_with(
		    "{image: phi, extraEnv: [{name: OLLAMA_KV_CACHE_TYPE, value: q8_0}]}", text);

		assert_true(memory_need_read(same, &back));
		assert_int_equal(back.total_bytes, ESTIMATE.total_bytes);
		assert_int_equal(back.weights_bytes, ESTIMATE.weights_bytes);
		assert_false(memory_need_read(other_context, &back));
		assert_false(memory_need_read(other_image, &back));
		assert_false(memory_need_read(other_cache, &back));
	}
}

static char *schedulable(const char *spec, gint64 largest_bytes, char **ret_message)
{
	AUTO(model) model = model_with(spec, NULL);
	g_autoptr(GPtrArray) none = g_ptr_array_new();
	struct status_input input = {.model = model,
	    .pods = none,
	    .pulls = none,
	    .memory = &ESTIMATE,
	    .largest_node_bytes = largest_bytes,
	    .now_us = TEST_NOW_US};
	g_autoptr(yyjson_mut_doc) mut = status_compute(&input);
	g_autoptr(yyjson_doc) doc = yyjson_mut_doc_imut_copy(mut, NULL);
	yyjson_val *condition = status_condition(yyjson_doc_get_root(doc), "Schedulable");

	if (ret_message != NULL)
		*ret_message = g_strdup(json_str(yyjson_doc_get_root(doc), "message", NULL));
	return g_strdup(json_str(condition, "status", NULL));
}

static void test_both_numbers_when_no_node_can_hold_it(void **state)
{
	g_autofree char *message = NULL;
	g_autofree char *small = schedulable("{image: phi}", 4 * GIB, &message);
	g_autofree char *large = schedulable("{image: phi}", 8 * GIB, NULL);
	g_autofree char *unknown = schedulable("{image: phi}", 0, NULL);
	g_autofree char *own =
	    schedulable("{image: phi, resources: {requests: {memory: 1Gi}}}", 4 * GIB, NULL);

	(void)state;
	assert_string_equal(small, "False");
	assert_non_null(strstr(message, "needs 5.9 GB"));
	assert_non_null(strstr(message, "the largest node has 4.3 GB"));
	assert_string_equal(large, "Unknown");
	assert_string_equal(unknown, "Unknown");
	assert_string_equal(own, "Unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_estimate_becomes_the_request),
	    cmocka_unit_test(test_who_says_something_is_heard),
	    cmocka_unit_test(test_an_estimate_restarts_nobody),
	    cmocka_unit_test(test_a_request_by_hand_stays),
	    cmocka_unit_test(test_a_request_taken_back_goes),
	    cmocka_unit_test(test_the_status_remembers),
	    cmocka_unit_test(test_both_numbers_when_no_node_can_hold_it),
	};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
