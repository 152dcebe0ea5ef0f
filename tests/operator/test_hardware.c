/* What resources say of hardware, and what the server container gets from it. */
#include "fixtures.h"
#include "operator/children.h"
#include "operator/hardware.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_resources(void **state)
{
	static const struct {
		const char *resources;
		gboolean gpu, amd;
		gint64 threads;
	} table[] = {
	    {"{}", FALSE, FALSE, 0},
	    {"{limits: {cpu: 4}}", FALSE, FALSE, 4},
	    {"{limits: {cpu: '4'}}", FALSE, FALSE, 4},
	    {"{limits: {cpu: 500m}}", FALSE, FALSE, 1},
	    {"{limits: {cpu: 2500m}}", FALSE, FALSE, 2},
	    {"{limits: {cpu: nonsense}}", FALSE, FALSE, 0},
	    {"{requests: {cpu: 4}}", FALSE, FALSE, 0},
	    {"{limits: {nvidia.com/gpu: 1}}", TRUE, FALSE, 0},
	    {"{limits: {nvidia.com/gpu: '0'}}", FALSE, FALSE, 0},
	    {"{limits: {nvidia.com/mig-1g.5gb: 1}}", TRUE, FALSE, 0},
	    {"{limits: {gpu.intel.com/i915: 1}}", TRUE, FALSE, 0},
	    {"{requests: {amd.com/gpu: 1}}", TRUE, TRUE, 0},
	};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
		g_autoptr(yyjson_doc) doc = doc_from_yaml(table[i].resources);
		struct hardware hardware;

		hardware_read(yyjson_doc_get_root(doc), &hardware);
		assert_int_equal(hardware.gpu, table[i].gpu);
		assert_int_equal(hardware.amd, table[i].amd);
		assert_int_equal(hardware.threads, table[i].threads);
	}
}

static void test_rocm_image(void **state)
{
	static const char *const table[][2] = {
	    {"docker.io/ollama/ollama:0.33.0", "docker.io/ollama/ollama:0.33.0-rocm"},
	    {"ollama/ollama", "ollama/ollama:rocm"},
	    {"ollama/ollama:latest", "ollama/ollama:rocm"},
	    {"host:5000/ollama", "host:5000/ollama:rocm"},
	    {"ollama/ollama:0.33.0-rocm", "ollama/ollama:0.33.0-rocm"},
	    {"ollama/ollama@sha256:abc", "ollama/ollama@sha256:abc"},
	};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
		g_autofree char *image = hardware_rocm_image(table[i][0]);

		assert_string_equal(image, table[i][1]);
	}
}

/* The value of an environment variable of the server container, NULL: not set. The caller's. */
static char *env_of(const char *spec, const char *name, char **ret_image)
{
	AUTO(model) model = model_with(spec, NULL);
	g_autoptr(yyjson_mut_doc) mut =
	    child_deployment(model, test_settings(), &(struct child_facts){0}, NULL);
	g_autoptr(yyjson_doc) doc = yyjson_mut_doc_imut_copy(mut, NULL);
	yyjson_val *server = yyjson_arr_get_first(
	    json_at(yyjson_doc_get_root(doc), "spec", "template", "spec", "containers", NULL));
	yyjson_arr_iter iter;
	yyjson_val *entry;

	if (ret_image != NULL)
		*ret_image = g_strdup(json_str(server, "image", NULL));
	yyjson_arr_iter_init(json_at(server, "env", NULL), &iter);
	while ((entry = yyjson_arr_iter_next(&iter)) != NULL) {
		if (g_strcmp0(json_str(entry, "name", NULL), name) == 0)
			return g_strdup(json_str(entry, "value", NULL));
	}
	return NULL;
}

static void assert_env(const char *spec, const char *name, const char *value)
{
	g_autofree char *got = env_of(spec, name, NULL);

	if (g_strcmp0(got, value) != 0)
		fail_msg("%s: %s is %s, not %s", spec, name, got ? got : "unset",
		    value ? value : "unset");
}

static void test_environment_follows(void **state)
{
	(void)state;
	assert_env("{image: phi}", "CUDA_VISIBLE_DEVICES", "-1");
	assert_env("{image: phi}", "NVIDIA_VISIBLE_DEVICES", "void");
	assert_env(
	    "{image: phi, resources: {limits: {nvidia.com/gpu: 1}}}", "CUDA_VISIBLE_DEVICES", NULL);
	assert_env("{image: phi, runtimeClassName: nvidia}", "CUDA_VISIBLE_DEVICES", NULL);
	assert_env("{image: phi, extraEnv: [{name: CUDA_VISIBLE_DEVICES, value: '0'}]}",
	    "CUDA_VISIBLE_DEVICES", "0");
	assert_env("{image: phi}", "LLAMA_ARG_THREADS", NULL);
	assert_env("{image: phi, resources: {limits: {cpu: 3}}}", "LLAMA_ARG_THREADS", "3");
}

static void test_amd_gets_the_rocm_image(void **state)
{
	g_autofree char *amd = NULL, *named = NULL;

	(void)state;
	g_free(env_of("{image: phi, resources: {limits: {amd.com/gpu: 1}}}", "A", &amd));
	assert_string_equal(amd, "ollama:1-rocm");
	g_free(env_of(
	    "{image: phi, serverImage: mine, resources: {limits: {amd.com/gpu: 1}}}", "A", &named));
	assert_string_equal(named, "mine");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_resources),
	    cmocka_unit_test(test_rocm_image),
	    cmocka_unit_test(test_environment_follows),
	    cmocka_unit_test(test_amd_gets_the_rocm_image),
	};

	return cmocka_run_group_tests_name("hardware", tests, NULL, NULL);
}
