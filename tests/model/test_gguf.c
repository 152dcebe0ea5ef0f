/* Headers of GGUF files: whole, cut anywhere, in all versions and orders, and hostile. */
#include "model/gguf.h"

#include "gguf_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Of a copy of exactly that length, so that ASan sees a read past its end. */
static struct gguf *parse(GBytes *bytes, gsize len, gsize *ret_more, GError **error)
{
	g_autofree guint8 *copy = g_memdup2(g_bytes_get_data(bytes, NULL), len);

	return gguf_parse(copy, len, ret_more, error);
}

static struct gguf *parse_all(GBytes *bytes)
{
	g_autoptr(GError) error = NULL;
	gsize more = 0;
	struct gguf *gguf = parse(bytes, g_bytes_get_size(bytes), &more, &error);

	if (gguf == NULL)
		fail_msg("%s", error->message);
	return gguf;
}

static void reads_a_whole_header(void **state)
{
	g_autoptr(GBytes) bytes = gguf_llama2_7b(100);
	AUTO(gguf) gguf = parse_all(bytes);

	(void)state;
	assert_string_equal(gguf->architecture, "llama");
	assert_false(gguf->truncated);
	assert_int_equal(gguf->block_count, 32);
	assert_int_equal(gguf->context_length, 4096);
	assert_int_equal(gguf->embedding_length, 4096);
	assert_int_equal(gguf_layers_at(&gguf->feed_forward_length, 31, -1), 11008);
	assert_int_equal(gguf_layers_at(&gguf->head_count, 0, -1), 32);
	assert_int_equal(gguf_layers_at(&gguf->head_count_kv, 5, -1), 32);
	assert_int_equal(gguf->file_type, 2);
	assert_int_equal(gguf->vocabulary, 100);
	assert_int_equal(gguf->key_length, -1);
	assert_int_equal(gguf->pooling_type, -1);
	assert_int_equal(gguf->sliding_window_pattern.n, 0);
}

/*
 * Every prefix is either enough, or SHORT with a number that leads to the next element and never
 * past the end of the header.
 */
static void every_prefix_is_short_or_enough(void **state)
{
	g_autoptr(GBytes) bytes = gguf_llama2_7b(50);
	gsize size = g_bytes_get_size(bytes);
	gboolean was_enough = FALSE;

	(void)state;
	for (gsize len = 0; len < size; len++) {
		g_autoptr(GError) error = NULL;
		gsize more = 0;
		AUTO(gguf) gguf = parse(bytes, len, &more, &error);

		if (gguf != NULL) {
			was_enough = TRUE;
			assert_true(gguf->truncated);
			assert_int_equal(gguf->block_count, 32);
			assert_int_equal(gguf->file_type, 2);
			continue;
		}
		assert_false(was_enough);
		assert_true(g_error_matches(error, MODEL_ERROR, MODEL_ERROR_GGUF_SHORT));
		assert_true(more > 0 && len + more <= size);
	}
	assert_true(was_enough);
}

/* Following `more` from nothing gets to the model in few steps. */
static void more_leads_to_the_model(void **state)
{
	g_autoptr(GBytes) bytes = gguf_llama2_7b(32000);
	gsize len = 0, more = 0;
	guint steps = 0;
	AUTO(gguf) gguf = NULL;

	(void)state;
	while ((gguf = parse(bytes, len, &more, NULL)) == NULL && steps++ < 100)
		len += more;
	assert_non_null(gguf);
	assert_true(gguf->truncated);
	assert_true(len < 1000);
	assert_true(g_bytes_get_size(bytes) > 400 * 1000);
}

/* The number of tokens is known although the tokens are cut off. */
static void a_cut_tokenizer_has_its_size(void **state)
{
	g_autoptr(GBytes) bytes = gguf_llama2_7b(32000);
	AUTO(gguf) gguf = parse(bytes, 4096, NULL, NULL);

	(void)state;
	assert_non_null(gguf);
	assert_true(gguf->truncated);
	assert_int_equal(gguf->vocabulary, 32000);
}

static GBytes *small(guint version, gboolean big_endian)
{
	static const guint32 KV[] = {8, 0, 4};
	struct gguf_writer *writer = gguf_writer_new(version, big_endian);

	gguf_writer_u32(writer, "bert.block_count", 3); /* sorted keys: before the architecture */
	gguf_writer_array(writer, "bert.attention.head_count_kv", 5, 3, KV);
	gguf_writer_number(writer, "bert.attention.causal", 7, 0);
	gguf_writer_number(writer, "bert.context_length", 10, 512);
	gguf_writer_number(writer, "bert.embedding_length", 2, 384);
	gguf_writer_text(writer, "general.architecture", "bert");
	return gguf_writer_end(writer);
}

static void versions_and_byte_orders(void **state)
{
	(void)state;
	for (guint version = 1; version <= 3; version++)
		for (gboolean big = FALSE; big <= TRUE; big++) {
			g_autoptr(GBytes) bytes = small(version, big);
			AUTO(gguf) gguf = parse_all(bytes);

			assert_string_equal(gguf->architecture, "bert");
			assert_int_equal(gguf->block_count, 3);
			assert_int_equal(gguf->context_length, 512);
			assert_int_equal(gguf->embedding_length, 384);
			assert_int_equal(gguf->causal, 0);
			assert_int_equal(gguf->head_count_kv.n, 3);
			assert_int_equal(gguf_layers_at(&gguf->head_count_kv, 0, -1), 8);
			assert_int_equal(gguf_layers_at(&gguf->head_count_kv, 1, -1), 0);
			assert_int_equal(gguf_layers_at(&gguf->head_count_kv, 2, -1), 4);
			assert_int_equal(gguf_layers_at(&gguf->head_count_kv, 3, -1), -1);
		}
}

/* llama.cpp writes big-endian files with the magic of little-endian ones. */
static void a_big_endian_file_with_the_usual_magic(void **state)
{
	g_autoptr(GBytes) bytes = small(3, TRUE);
	gsize size;
	g_autofree guint8 *copy =
	    g_memdup2(g_bytes_get_data(bytes, &size), g_bytes_get_size(bytes));
	AUTO(gguf) gguf = NULL;

	(void)state;
	memcpy(copy, "GGUF", 4);
	gguf = gguf_parse(copy, size, NULL, NULL);
	assert_non_null(gguf);
	assert_int_equal(gguf->context_length, 512);
}

/* What a model cannot have counts as not said, and says nothing about the rest. */
static void numbers_that_cannot_be(void **state)
{
	struct gguf_writer *writer = gguf_writer_new(3, FALSE);
	g_autoptr(GBytes) bytes = NULL;
	AUTO(gguf) gguf = NULL;

	(void)state;
	gguf_writer_text(writer, "general.architecture", "x");
	gguf_writer_u32(writer, "x.block_count", 1);
	gguf_writer_number(writer, "x.context_length", 10, G_MAXUINT64);
	gguf_writer_number(writer, "x.embedding_length", 5, (guint32)-5);
	gguf_writer_number(writer, "x.attention.key_length", 6, 0x42000000);
	gguf_writer_text(writer, "x.attention.value_length", "128");
	gguf_writer_array(writer, "x.attention.sliding_window", 4, 1, (const guint32[]){7});
	gguf_writer_number(writer, "x.expert_count", 11, G_MAXINT32);
	bytes = gguf_writer_end(writer);
	gguf = parse_all(bytes);
	assert_int_equal(gguf->context_length, -1);
	assert_int_equal(gguf->embedding_length, -1);
	assert_int_equal(gguf->key_length, -1);
	assert_int_equal(gguf->value_length, -1);
	assert_int_equal(gguf->sliding_window, -1);
	assert_int_equal(gguf->expert_count, G_MAXINT32);
}

/* --- what is refused ------------------------------------------------------------------------ */

static void assert_refused(GBytes *take_bytes, const char *sentence)
{
	g_autoptr(GBytes) bytes = take_bytes;
	g_autoptr(GError) error = NULL;
	gsize more = 77;

	if (parse(bytes, g_bytes_get_size(bytes), &more, &error) != NULL)
		fail_msg("accepted, not \"%s\"", sentence);
	if (!g_error_matches(error, MODEL_ERROR, MODEL_ERROR_GGUF) ||
	    strstr(error->message, sentence) == NULL)
		fail_msg("\"%s\" is not \"%s\"", error->message, sentence);
	assert_int_equal(more, 77);
}

static struct gguf_writer *begun(void)
{
	struct gguf_writer *writer = gguf_writer_new(3, FALSE);

	gguf_writer_text(writer, "general.architecture", "llama");
	return writer;
}

static GBytes *with_layers(guint n)
{
	g_autofree guint32 *zeros = g_new0(guint32, n);
	struct gguf_writer *writer = begun();

	gguf_writer_u32(writer, "llama.block_count", 32);
	gguf_writer_array(writer, "llama.attention.head_count", 4, n, zeros);
	return gguf_writer_end(writer);
}

static GBytes *with_claim(guint type, guint64 n)
{
	struct gguf_writer *writer = begun();

	gguf_writer_claim(writer, "tokenizer.ggml.scores", type, n);
	return gguf_writer_end(writer);
}

static GBytes *with_blocks(const char *architecture, guint32 blocks)
{
	struct gguf_writer *writer = gguf_writer_new(3, FALSE);

	gguf_writer_text(writer, "general.architecture", architecture);
	gguf_writer_u32(writer, "llama.block_count", blocks);
	return gguf_writer_end(writer);
}

static void refuses(void **state)
{
	AUTO(gguf) most = NULL;
	g_autoptr(GBytes) at_limit = with_layers(GGUF_MAX_LAYERS);
	g_autofree char *long_name = g_strnfill(GGUF_MAX_ARCHITECTURE + 1, 'a');

	(void)state;
	assert_refused(g_bytes_new_static("<html>", 6), "does not begin with GGUF");
	assert_refused(g_bytes_new_static("GGML\1\0\0\0", 8), "does not begin with GGUF");
	assert_refused(g_bytes_new_static("GGUF\4\0\0\0", 8), "version is not known");
	assert_refused(g_bytes_new_static("GGUF\0\0\0\0", 8), "version is not known");
	assert_refused(g_bytes_new_static("GGUF\3\0\0\0........\1\0\1\0\0\0\0\0", 24),
	    "too many keys (65537)");
	assert_refused(gguf_writer_end(gguf_writer_new(3, FALSE)), "no architecture");
	assert_refused(gguf_writer_end(begun()), "no number of layers");
	assert_refused(with_blocks("llama", GGUF_MAX_LAYERS + 1), "too many layers (1025)");
	assert_refused(with_blocks("qwen", 32), "no number of layers");
	assert_refused(with_blocks("../x", 32), "architecture is no name");
	assert_refused(with_blocks("", 32), "architecture is no name");
	assert_refused(with_blocks(long_name, 32), "architecture is no name");
	assert_refused(with_layers(GGUF_MAX_LAYERS + 1), "too many layers (1025)");
	assert_refused(with_claim(8, (64 << 20) + 1), "array is too long (67108865)");
	assert_refused(with_claim(9, 1), "an array holds arrays");
	assert_refused(with_claim(13, 1), "unknown type (13)");
	most = parse_all(at_limit);
	assert_int_equal(most->head_count.n, GGUF_MAX_LAYERS);
}

/* Lengths that are claimed are not allocated; they only say what would have to follow. */
static void claims_cost_nothing(void **state)
{
	struct gguf_writer *writer = begun();
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) bytes = NULL;
	gsize more = 0;

	(void)state;
	gguf_writer_claim(writer, "llama.attention.head_count", 10, 64 << 20);
	bytes = gguf_writer_end(writer);
	assert_null(parse(bytes, g_bytes_get_size(bytes), &more, &error));
	assert_true(g_error_matches(error, MODEL_ERROR, MODEL_ERROR_GGUF_SHORT));
	assert_int_equal(more, (gsize)(64 << 20) * 8);
}

/* The tokenizer comes first and is cut: the model's own keys are still to come. */
static void a_tokenizer_in_front(void **state)
{
	struct gguf_writer *writer = begun();
	g_autoptr(GBytes) bytes = NULL;
	g_autoptr(GError) error = NULL;
	AUTO(gguf) gguf = NULL;
	gsize more = 0, tokens_begin;

	(void)state;
	gguf_writer_tokens(writer, "tokenizer.ggml.tokens", 1000);
	tokens_begin = gguf_writer_size(writer) - 1000 * 8;
	gguf_writer_u32(writer, "llama.block_count", 32);
	bytes = gguf_writer_end(writer);
	assert_null(parse(bytes, 200, &more, &error));
	assert_true(g_error_matches(error, MODEL_ERROR, MODEL_ERROR_GGUF_SHORT));
	/* At least the lengths of those tokens that are not there. */
	assert_true(more > 900 * 8 && 200 + more < g_bytes_get_size(bytes));
	assert_true(tokens_begin > 0);
	gguf = parse_all(bytes);
	assert_int_equal(gguf->vocabulary, 1000);
}

/* --- JSON ----------------------------------------------------------------------------------- */

static char *to_text(const struct gguf *gguf)
{
	g_autoptr(yyjson_mut_doc) doc = yyjson_mut_doc_new(NULL);

	return json_mut_print(gguf_to_json(gguf, doc), NULL);
}

static struct gguf *from_text(const char *text, GError **error)
{
	g_autoptr(yyjson_doc) doc = json_parse(text, strlen(text), NULL);

	return gguf_from_json(yyjson_doc_get_root(doc), error);
}

static void json_and_back(void **state)
{
	g_autoptr(GBytes) llama = gguf_llama2_7b(1000), bert = small(3, FALSE);
	AUTO(gguf) one = parse_all(llama);
	AUTO(gguf) two = parse_all(bert);
	g_autofree char *one_text = to_text(one), *two_text = to_text(two);
	AUTO(gguf) one_again = from_text(one_text, NULL);
	AUTO(gguf) two_again = from_text(two_text, NULL);
	g_autofree char *one_twice = NULL, *two_twice = NULL;

	(void)state;
	assert_string_equal(one_text,
	    "{\"architecture\":\"llama\",\"fileType\":2,\"blockCount\":32,\"contextLength\":4096,"
	    "\"embeddingLength\":4096,\"feedForwardLength\":11008,\"headCount\":32,"
	    "\"headCountKV\":32,\"vocabulary\":1000}");
	assert_string_equal(two_text, "{\"architecture\":\"bert\",\"blockCount\":3,"
				      "\"contextLength\":512,\"embeddingLength\":384,"
				      "\"headCountKV\":[8,0,4],\"causal\":0}");
	assert_non_null(one_again);
	assert_non_null(two_again);
	one_twice = to_text(one_again);
	two_twice = to_text(two_again);
	assert_string_equal(one_twice, one_text);
	assert_string_equal(two_twice, two_text);
}

static void json_that_is_refused(void **state)
{
	static const char *const CASES[] = {
	    "{}",
	    "[]",
	    "{\"architecture\":\"llama\"}",
	    "{\"architecture\":\"\",\"blockCount\":1}",
	    "{\"architecture\":\"a b\",\"blockCount\":1}",
	    "{\"architecture\":\"llama\",\"blockCount\":1025}",
	    "{\"architecture\":\"llama\",\"blockCount\":-1}",
	    "{\"architecture\":\"llama\",\"blockCount\":1.5}",
	    "{\"architecture\":\"llama\",\"blockCount\":1,\"keyLength\":2147483648}",
	    "{\"architecture\":\"llama\",\"blockCount\":1,\"headCount\":[]}",
	    "{\"architecture\":\"llama\",\"blockCount\":1,\"headCount\":[1,\"2\"]}",
	    "{\"architecture\":\"llama\",\"blockCount\":1,\"vocabulary\":true}",
	};

	(void)state;
	for (guint i = 0; i < G_N_ELEMENTS(CASES); i++) {
		g_autoptr(GError) error = NULL;

		if (from_text(CASES[i], &error) != NULL)
			fail_msg("accepted %s", CASES[i]);
		assert_true(g_error_matches(error, MODEL_ERROR, MODEL_ERROR_GGUF));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_a_whole_header),
	    cmocka_unit_test(every_prefix_is_short_or_enough),
	    cmocka_unit_test(more_leads_to_the_model),
	    cmocka_unit_test(a_cut_tokenizer_has_its_size),
	    cmocka_unit_test(versions_and_byte_orders),
	    cmocka_unit_test(a_big_endian_file_with_the_usual_magic),
	    cmocka_unit_test(numbers_that_cannot_be),
	    cmocka_unit_test(refuses),
	    cmocka_unit_test(claims_cost_nothing),
	    cmocka_unit_test(a_tokenizer_in_front),
	    cmocka_unit_test(json_and_back),
	    cmocka_unit_test(json_that_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
