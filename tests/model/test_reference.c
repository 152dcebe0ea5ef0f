/* Names of models: what is accepted, what the four parts become, and what is refused. */
#include "model/reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void good_names(void **state)
{
	static const struct {
		const char *text, *full, *shortest;
	} CASES[] = {
	    {"phi", "registry.ollama.ai/library/phi:latest", "phi:latest"},
	    {"Phi:V1", "registry.ollama.ai/library/Phi:V1", "Phi:V1"},
	    {"smollm2:135m", "registry.ollama.ai/library/smollm2:135m", "smollm2:135m"},
	    {"bob/tiny", "registry.ollama.ai/bob/tiny:latest", "bob/tiny:latest"},
	    {"localhost:5000/bob/tiny:a.b_c-d", "localhost:5000/bob/tiny:a.b_c-d",
		"localhost:5000/bob/tiny:a.b_c-d"},
	    {"http://h:80/n/m:t", "h:80/n/m:t", "h:80/n/m:t"},
	    {"hf.co/u/r:Q4_K_M", "hf.co/u/r:Q4_K_M", "hf.co/u/r:Q4_K_M"},
	    {"REGISTRY.ollama.ai/Library/x", "REGISTRY.ollama.ai/Library/x:latest", "x:latest"},
	    {"_a/_b:_c", "registry.ollama.ai/_a/_b:_c", "_a/_b:_c"},
	    {"qwen2.5", "registry.ollama.ai/library/qwen2.5:latest", "qwen2.5:latest"},
	};

	(void)state;
	for (guint i = 0; i < G_N_ELEMENTS(CASES); i++) {
		g_autoptr(GError) error = NULL;
		AUTO(reference) reference = reference_parse(CASES[i].text, &error);
		g_autofree char *full = NULL, *shortest = NULL;

		assert_null(error);
		full = reference_full(reference);
		shortest = reference_short(reference);
		assert_string_equal(full, CASES[i].full);
		assert_string_equal(shortest, CASES[i].shortest);
	}
}

static void bad_names(void **state)
{
	/* The word must be in the sentence: it says which part is wrong. */
	static const char *const CASES[][2] = {
	    {"", "model is empty"},
	    {":", "empty"},
	    {"phi:", "tag is empty"},
	    {"/phi", "namespace is empty"},
	    {"//phi", "empty"},
	    {"a/b/", "model is empty"},
	    {"http://phi", "empty"},
	    {"phi@sha256:00", "model may"},
	    {"..", "model may"},
	    {"a/..", "model may"},
	    {"../x", "namespace may"},
	    {"../../x", "may"},
	    {"../lib/x", "host may"},
	    {"h/../x", "namespace may"},
	    {"h/n/x:..", "tag may"},
	    {"a.b/x", "namespace may"},
	    {"-a", "model may"},
	    {"a b", "model may"},
	    {"phi\n", "model may"},
	    {"ph\xc3\xa9", "model may"},
	    {"ph\xff", "model may"},
	    {"a/b/c/d", "host may"},
	    {"h/n/m:t:u", "model may"},
	};

	(void)state;
	for (guint i = 0; i < G_N_ELEMENTS(CASES); i++) {
		g_autoptr(GError) error = NULL;

		assert_null(reference_parse(CASES[i][0], &error));
		assert_true(g_error_matches(error, MODEL_ERROR, MODEL_ERROR_REFERENCE));
		if (strstr(error->message, CASES[i][1]) == NULL)
			fail_msg("\"%s\" gave \"%s\"", CASES[i][0], error->message);
		assert_true(g_utf8_validate(error->message, -1, NULL));
		assert_null(strpbrk(error->message, "\n\r\033"));
	}
}

static void lengths(void **state)
{
	static const struct {
		const char *format;
		gsize max;
	} CASES[] = {{"%s/n/m:t", 350}, {"%s/m:t", 80}, {"%s:t", 80}, {"m:%s", 80}};

	(void)state;
	for (guint i = 0; i < G_N_ELEMENTS(CASES); i++) {
		for (gsize over = 0; over <= 1; over++) {
			g_autoptr(GError) error = NULL;
			g_autofree char *part = g_strnfill(CASES[i].max + over, 'a');
			g_auto(GStrv) pieces = g_strsplit(CASES[i].format, "%s", 2);
			g_autofree char *text = g_strconcat(pieces[0], part, pieces[1], NULL);
			AUTO(reference) reference = reference_parse(text, &error);

			assert_int_equal(reference == NULL, over);
			if (over)
				assert_non_null(strstr(error->message, "longer than"));
		}
	}
}

static void keys_and_paths(void **state)
{
	AUTO(reference) a = reference_parse("Bob/Tiny:V1", NULL);
	AUTO(reference) b = reference_parse("registry.OLLAMA.ai/bob/tiny:v1", NULL);
	g_autofree char *key_a = reference_key(a);
	g_autofree char *key_b = reference_key(b);
	g_autofree char *path = reference_manifest_path(a);

	(void)state;
	assert_string_equal(key_a, key_b);
	assert_string_equal(key_a, "registry.ollama.ai/bob/tiny:v1");
	assert_string_equal(path, "manifests/registry.ollama.ai/Bob/Tiny/V1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(good_names),
	    cmocka_unit_test(bad_names),
	    cmocka_unit_test(lengths),
	    cmocka_unit_test(keys_and_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
