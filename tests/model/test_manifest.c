/* Manifests and config blobs: what is read out, and what is refused. */
#include "model/manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define HEX16 "0123456789abcdef"
#define D1 "sha256:" HEX16 HEX16 HEX16 HEX16
#define D2 "sha256:" HEX16 HEX16 HEX16 "0000000000000000"
#define D3 "sha256:" HEX16 HEX16 HEX16 "ffffffffffffffff"
#define BLOB(digest, size) "{\"mediaType\":\"m\",\"digest\":\"" digest "\",\"size\":" size "}"
#define MANIFEST(config, layers) \
	"{\"schemaVersion\":2,\"config\":" config ",\"layers\":[" layers "]}"

static struct manifest *parse(const char *text, GError **error)
{
	return manifest_parse(text, strlen(text), error);
}

static void reads_an_ollama_manifest(void **state)
{
	g_autoptr(GError) error = NULL;
	AUTO(manifest)
	manifest =
	    parse(MANIFEST(BLOB(D1, "485"), BLOB(D2, "98305432") "," BLOB(D3, "68")), &error);

	(void)state;
	assert_null(error);
	assert_int_equal(manifest->n_layers, 2);
	assert_string_equal(manifest->config.digest, D1);
	assert_string_equal(manifest->layers[0].digest, D2);
	assert_string_equal(manifest->layers[0].media_type, "m");
	assert_int_equal(manifest->layers[1].size_bytes, 68);
	assert_int_equal(manifest->size_bytes, 485 + 98305432 + 68);
	assert_true(digest_is_valid(manifest->digest));
}

/* The digest is the one that sha256sum prints for the same bytes. */
static void knows_its_own_digest(void **state)
{
	AUTO(manifest) manifest = parse(MANIFEST(BLOB(D1, "1"), BLOB(D2, "2")), NULL);
	g_autofree char *sum = g_compute_checksum_for_string(
	    G_CHECKSUM_SHA256, MANIFEST(BLOB(D1, "1"), BLOB(D2, "2")), -1);

	(void)state;
	assert_true(g_str_has_suffix(manifest->digest, sum));
	assert_true(g_str_has_prefix(manifest->digest, "sha256:"));
}

static void keeps_a_repeated_layer_once(void **state)
{
	AUTO(manifest)
	manifest = parse(MANIFEST(BLOB(D1, "10"),
			     BLOB(D2, "5") "," BLOB(D2, "5") "," BLOB(D1, "10") "," BLOB(D1, "10")),
	    NULL);

	(void)state;
	assert_non_null(manifest);
	assert_int_equal(manifest->n_layers, 2);
	assert_string_equal(manifest->layers[1].digest, D1);
	assert_int_equal(manifest->size_bytes, 15);
}

static void refuses(void **state)
{
	static const char *const CASES[][2] = {
	    {"", "no JSON"},
	    {"<html>", "no JSON"},
	    {"{}", "no manifest of an Ollama model"},
	    {"[]", "no manifest of an Ollama model"},
	    {"{\"config\":{},\"layers\":{}}", "no manifest of an Ollama model"},
	    {MANIFEST("[]", BLOB(D1, "1")), "no manifest of an Ollama model"},
	    {MANIFEST(BLOB(D1, "1"), ""), "0 layers"},
	    {MANIFEST("{}", BLOB(D1, "1")), "config has no digest"},
	    {MANIFEST(BLOB(D1, "1"), "7"), "layer has no digest"},
	    {MANIFEST(BLOB(D1, "1"), BLOB("sha256:../../../etc/passwd", "1")), "no digest"},
	    {MANIFEST(BLOB(D1, "1"), BLOB("../..", "1")), "no digest"},
	    {MANIFEST(BLOB(D1, "1"), BLOB("sha512:" HEX16 HEX16 HEX16 HEX16, "1")), "no digest"},
	    {MANIFEST(BLOB(D1, "1"), BLOB(D2 "0", "1")), "no digest"},
	    {MANIFEST(BLOB(D1, "1"), BLOB("sha256:" HEX16 HEX16 HEX16 "0123456789ABCDEF", "1")),
		"no digest"},
	    {MANIFEST(BLOB(D1, "1"), BLOB(D2, "-1")), "no usable size"},
	    {MANIFEST(BLOB(D1, "1"), BLOB(D2, "1.5")), "no usable size"},
	    {MANIFEST(BLOB(D1, "1"), BLOB(D2, "\"1\"")), "no usable size"},
	    {MANIFEST(BLOB(D1, "1"), BLOB(D2, "18446744073709551615")), "no usable size"},
	    {MANIFEST(BLOB(D1, "1"), BLOB(D2, "9223372036854775807")), "no usable size"},
	    {MANIFEST(BLOB(D1, "4611686018427387904"), BLOB(D2, "1")), "more than any disk"},
	    {MANIFEST(BLOB(D1, "1"), BLOB(D2, "1") "," BLOB(D2, "2")), "two sizes"},
	    {MANIFEST(BLOB(D1, "1"), BLOB(D1, "2")), "two sizes"},
	};

	(void)state;
	for (guint i = 0; i < G_N_ELEMENTS(CASES); i++) {
		g_autoptr(GError) error = NULL;

		if (parse(CASES[i][0], &error) != NULL)
			fail_msg("accepted %s", CASES[i][0]);
		assert_true(g_error_matches(error, MODEL_ERROR, MODEL_ERROR_MANIFEST));
		if (strstr(error->message, CASES[i][1]) == NULL)
			fail_msg("%s gave \"%s\"", CASES[i][0], error->message);
	}
}

/* `n` layers, all different. */
static char *manifest_of(guint n)
{
	GString *layers = g_string_new(NULL);

	for (guint i = 0; i < n; i++)
		g_string_append_printf(
		    layers, "%s{\"digest\":\"sha256:%064x\",\"size\":1}", i == 0 ? "" : ",", i);
	g_string_prepend(layers, "{\"config\":" BLOB(D1, "1") ",\"layers\":[");
	g_string_append(layers, "]}");
	return g_string_free(layers, FALSE);
}

static void limits(void **state)
{
	g_autoptr(GError) error = NULL, too_large = NULL;
	g_autofree char *most = manifest_of(MANIFEST_MAX_LAYERS);
	g_autofree char *more = manifest_of(MANIFEST_MAX_LAYERS + 1);
	g_autofree char *spaces = g_strnfill(MANIFEST_MAX_BYTES + 1, ' ');
	AUTO(manifest) manifest = parse(most, NULL);

	(void)state;
	assert_non_null(manifest);
	assert_int_equal(manifest->n_layers, MANIFEST_MAX_LAYERS);
	assert_null(parse(more, &error));
	assert_non_null(strstr(error->message, "1025 layers"));
	assert_null(parse(spaces, &too_large));
	assert_non_null(strstr(too_large->message, "more than 4194304 bytes"));
}

static void digests(void **state)
{
	g_autofree char *file = digest_file_name(D1);

	(void)state;
	assert_string_equal(file, "sha256-" HEX16 HEX16 HEX16 HEX16);
	assert_false(digest_is_valid(NULL));
	assert_false(digest_is_valid(""));
	assert_false(digest_is_valid("sha256:"));
	assert_false(digest_is_valid("sha256-" HEX16 HEX16 HEX16 HEX16));
	assert_false(digest_is_valid(" " D1));
	assert_true(digest_is_valid(D1));
}

static void configs(void **state)
{
	static const char FULL[] =
	    "{\"model_format\":\"gguf\",\"model_family\":\"llama\","
	    "\"model_type\":\"134.52M\",\"file_type\":\"Q4_1\",\"requires\":\"0.32.12\",\"os\":1}";
	g_autofree char *filler = g_strnfill(300, 'x');
	g_autofree char *silly =
	    g_strdup_printf("{\"model_family\":\"%s\",\"model_type\":5}", filler);
	g_autoptr(GError) error = NULL;
	AUTO(model_config) config = model_config_parse(FULL, strlen(FULL), NULL);
	AUTO(model_config) bare = model_config_parse(silly, strlen(silly), NULL);

	(void)state;
	assert_string_equal(config->family, "llama");
	assert_string_equal(config->parameters, "134.52M");
	assert_string_equal(config->quantization, "Q4_1");
	assert_string_equal(config->format, "gguf");
	assert_string_equal(config->requires, "0.32.12");
	assert_null(bare->family);
	assert_null(bare->parameters);
	assert_null(model_config_parse("[1]", 3, &error));
	assert_true(g_error_matches(error, MODEL_ERROR, MODEL_ERROR_MANIFEST));
	assert_null(model_config_parse("{", 1, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_an_ollama_manifest),
	    cmocka_unit_test(knows_its_own_digest),
	    cmocka_unit_test(keeps_a_repeated_layer_once),
	    cmocka_unit_test(refuses),
	    cmocka_unit_test(limits),
	    cmocka_unit_test(digests),
	    cmocka_unit_test(configs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
