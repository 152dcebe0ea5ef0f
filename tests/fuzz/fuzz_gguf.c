/*
 * Whatever is accepted as a GGUF header keeps the promises of gguf.h, survives the way through
 * JSON, and gives an estimate that is no nonsense; what is SHORT says what is missing.
 */
#include "model/memory.h"

#include "fuzz.h"

#include <string.h>

static void check_estimate(const struct gguf *gguf)
{
	struct memory_input input = {
	    .gguf = gguf, .weights_bytes = 1000, .context = 1 << 20, .parallel = 8};
	struct memory_estimate estimate;

	memory_estimate(&input, &estimate);
	g_assert_cmpint(estimate.weights_bytes, ==, 1000);
	g_assert_cmpint(estimate.cache_bytes, >=, 0);
	g_assert_cmpint(estimate.overhead_bytes, >, 0);
	g_assert_cmpint(estimate.total_bytes, >, estimate.overhead_bytes);
	g_assert_cmpint(estimate.total_bytes, <=, MEMORY_MAX_BYTES);
}

static void check_json(const struct gguf *gguf)
{
	g_autoptr(yyjson_mut_doc) doc = yyjson_mut_doc_new(NULL), again = yyjson_mut_doc_new(NULL);
	g_autofree char *text = json_mut_print(gguf_to_json(gguf, doc), NULL);
	g_autoptr(yyjson_doc) parsed = json_parse(text, strlen(text), NULL);
	AUTO(gguf) back = gguf_from_json(yyjson_doc_get_root(parsed), NULL);
	g_autofree char *text_again = NULL;

	g_assert_nonnull(back);
	text_again = json_mut_print(gguf_to_json(back, again), NULL);
	g_assert_cmpstr(text, ==, text_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(GError) error = NULL;
	gsize more = 0;
	AUTO(gguf) gguf = gguf_parse(data, size, &more, &error);

	if (gguf == NULL) {
		g_assert_nonnull(error);
		g_assert_true(
		    (more > 0) == g_error_matches(error, MODEL_ERROR, MODEL_ERROR_GGUF_SHORT));
		return 0;
	}
	g_assert_cmpint(gguf->block_count, >=, 0);
	g_assert_cmpint(gguf->block_count, <=, GGUF_MAX_LAYERS);
	g_assert_cmpuint(gguf->head_count_kv.n, <=, GGUF_MAX_LAYERS);
	check_json(gguf);
	check_estimate(gguf);
	return 0;
}
