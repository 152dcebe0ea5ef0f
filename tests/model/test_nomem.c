/* Each allocation of the parsers of models' names, manifests and weights fails in turn. */
#include "../json/nomem.h"

#include "gguf_writer.h"
#include "model/gguf.h"
#include "model/manifest.h"
#include "model/reference.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define DIGEST "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const char MANIFEST[] =
    "{\"schemaVersion\":2,"
    "\"mediaType\":\"application/vnd.docker.distribution.manifest.v2+json\","
    "\"config\":{\"mediaType\":\"application/vnd.docker.container.image.v1+json\","
    "\"digest\":\"" DIGEST "0\",\"size\":10},"
    "\"layers\":[{\"mediaType\":\"application/vnd.ollama.image.model\","
    "\"digest\":\"" DIGEST "1\",\"size\":20},"
    "{\"mediaType\":\"application/vnd.ollama.image.template\","
    "\"digest\":\"" DIGEST "2\",\"size\":30}]}";

static const char CONFIG[] =
    "{\"model_format\":\"gguf\",\"model_family\":\"llama\",\"model_type\":\"7B\","
    "\"file_type\":\"Q4_0\"}";

static char *read_reference(const void *input, GError **error)
{
	AUTO(reference) reference = reference_parse(input, error);

	return reference == NULL ? NULL : reference_full(reference);
}

static char *read_manifest(const void *input, GError **error)
{
	AUTO(manifest) manifest = manifest_parse(input, strlen(input), error);

	if (manifest == NULL)
		return NULL;
	return g_strdup_printf("%s %u %" G_GINT64_FORMAT " %s %s", manifest->digest,
	    manifest->n_layers, manifest->size_bytes, manifest->config.digest,
	    manifest->n_layers == 0 ? "" : manifest->layers[manifest->n_layers - 1].digest);
}

static char *read_config(const void *input, GError **error)
{
	AUTO(model_config) config = model_config_parse(input, strlen(input), error);

	if (config == NULL)
		return NULL;
	return g_strjoin(" ", config->family != NULL ? config->family : "-",
	    config->parameters != NULL ? config->parameters : "-",
	    config->quantization != NULL ? config->quantization : "-",
	    config->format != NULL ? config->format : "-", NULL);
}

static char *read_gguf(const void *input, GError **error)
{
	gsize len = 0;
	const guint8 *bytes = g_bytes_get_data((GBytes *)(guintptr)input, &len);
	AUTO(gguf) gguf = gguf_parse(bytes, len, NULL, error);
	g_autoptr(yyjson_mut_doc) doc = NULL;

	if (gguf == NULL)
		return NULL;
	doc = yyjson_mut_doc_new(json_alc());
	return json_mut_print(gguf_to_json(gguf, doc), NULL);
}

static char *read_gguf_json(const void *input, GError **error)
{
	g_autoptr(yyjson_doc) doc = json_parse(input, strlen(input), error);
	AUTO(gguf) gguf = NULL;

	if (doc == NULL)
		return NULL;
	gguf = gguf_from_json(yyjson_doc_get_root(doc), error);
	return gguf == NULL ? NULL : g_strdup(gguf->architecture);
}

static void test_reference(void **state)
{
	(void)state;
	nomem_check(&(struct nomem_case){
	    "reference_parse", read_reference, "https://example.com:5000/some/model:q4_K_M"});
}

static void test_manifest(void **state)
{
	(void)state;
	nomem_check(&(struct nomem_case){"manifest_parse", read_manifest, MANIFEST});
	nomem_check(&(struct nomem_case){"model_config_parse", read_config, CONFIG});
}

static void test_gguf(void **state)
{
	g_autoptr(GBytes) header = gguf_llama2_7b(16);

	(void)state;
	nomem_check(&(struct nomem_case){"gguf_parse", read_gguf, header});
	nomem_check(&(struct nomem_case){"gguf_from_json", read_gguf_json,
	    "{\"architecture\":\"llama\",\"blockCount\":2,\"headCount\":[4,8],\"headCountKv\":4}"});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reference),
	    cmocka_unit_test(test_manifest),
	    cmocka_unit_test(test_gguf),
	};

	return cmocka_run_group_tests_name("model/nomem", tests, NULL, NULL);
}
