#include "json/yaml.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static char *written(const char *json)
{
	g_autoptr(yyjson_doc) doc = json_parse(json, strlen(json), NULL);

	assert_non_null(doc);
	return yaml_write(yyjson_doc_get_root(doc));
}

/* Laid out as `kubectl get -o yaml` does: sorted keys, lists not indented, quotes where needed. */
static void looks_like_kubectl(void **state)
{
	g_autofree char *text = written(
	    "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"web\",\"labels\":{},"
	    "\"creationTimestamp\":\"2026-11-23T10:11:12Z\",\"annotations\":{\"on\":\"true\","
	    "\"v\":\"1.20\",\"note\":\"a: "
	    "b\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"command\":"
	    "[\"sh\",\"-c\",\"set "
	    "-e\\nls\\n\"],\"env\":[],\"image\":\"x:1\"}],\"hostNetwork\":false,"
	    "\"priority\":0},\"status\":{\"podIP\":\"10.0.0.1\",\"message\":\"\",\"x\":null,"
	    "\"f\":1.5}}");

	(void)state;
	assert_string_equal(text, "apiVersion: v1\n"
				  "kind: Pod\n"
				  "metadata:\n"
				  "  annotations:\n"
				  "    note: 'a: b'\n"
				  "    \"on\": \"true\"\n"
				  "    v: \"1.20\"\n"
				  "  creationTimestamp: \"2026-11-23T10:11:12Z\"\n"
				  "  labels: {}\n"
				  "  name: web\n"
				  "spec:\n"
				  "  containers:\n"
				  "  - command:\n"
				  "    - sh\n"
				  "    - -c\n"
				  "    - |\n"
				  "      set -e\n"
				  "      ls\n"
				  "    env: []\n"
				  "    image: x:1\n"
				  "    name: c\n"
				  "  hostNetwork: false\n"
				  "  priority: 0\n"
				  "status:\n"
				  "  f: 1.5\n"
				  "  message: \"\"\n"
				  "  podIP: 10.0.0.1\n"
				  "  x: null\n");
}

static void keys_are_in_kubectls_order(void **state)
{
	g_autofree char *text =
	    written("{\"key10\":1,\"key2\":1,\"appVersion\":1,\"app.x\":1,\"app\":1,"
		    "\"b\":1,\"B\":1,\"_u\":1,\"10\":1,\"9\":1,\"key\":1}");

	(void)state;
	assert_string_equal(text, "_u: 1\n\"9\": 1\n\"10\": 1\nB: 1\napp: 1\napp.x: 1\n"
				  "appVersion: 1\nb: 1\nkey: 1\nkey2: 1\nkey10: 1\n");
}

static void lone_values(void **state)
{
	static const struct {
		const char *json;
		const char *yaml;
	} cases[] = {
	    {"1", "1\n"},
	    {"\"a\"", "a\n"},
	    {"\"1\"", "\"1\"\n"},
	    {"null", "null\n"},
	    {"{}", "{}\n"},
	    {"[]", "[]\n"},
	    {"[[1],[]]", "- - 1\n- []\n"},
	    {"-1", "-1\n"},
	    {"18446744073709551615", "18446744073709551615\n"},
	    {"\"1:30\"", "\"1:30\"\n"},
	    {"\"80:80\"", "80:80\n"},
	    {"\"2024-01-02\"", "\"2024-01-02\"\n"},
	    {"\"2024-01-02x\"", "2024-01-02x\n"},
	    {"\"1.2.3\"", "1.2.3\n"},
	};
	g_autofree char *words = g_strnfill(300, 'a');
	g_autofree char *json = NULL, *yaml = NULL, *line = NULL;

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *text = written(cases[i].json);

		assert_string_equal(text, cases[i].yaml);
	}
	/* Long lines are not folded. */
	for (gsize i = 10; i < 300; i += 10)
		words[i] = ' ';
	json = g_strdup_printf("\"%s\"", words);
	line = g_strconcat(words, "\n", NULL);
	yaml = written(json);
	assert_string_equal(yaml, line);
}

/* A document that was read with its numbers raw is written with their spelling. */
static void raw_numbers_keep_their_spelling(void **state)
{
	char json[] = "[1.50,1e3,100000000000000000000,-0.0,3.0]";
	g_autoptr(yyjson_doc) doc = yyjson_read(json, strlen(json), YYJSON_READ_NUMBER_AS_RAW);
	g_autofree char *text = yaml_write(yyjson_doc_get_root(doc));

	(void)state;
	assert_string_equal(text, "- 1.50\n- 1e3\n- 100000000000000000000\n- -0.0\n- 3.0\n");
}

/* Strings that some reader takes for something else, or that are hard to lay out. */
static const char *const nasty[] = {"", " ", "~", "y", "n", "Y", "N", "yes", "No", "on", "OFF",
    "true", "False", "null", "Null", "None", "1", "-1", "+1", "1.20", ".5", "1.", "-.5", "1e3",
    "1e400", "0x1f", "0o7", "017", "08", "0b11", "1_000", "_1", ".inf", "-.INF", ".nan", "nan",
    "Infinity", "1:30", "190:20:30", "22:22", "80:80", "1:30.5", "2024-01-02",
    "2024-01-02T03:04:05Z", "2001-12-14 21:59:43.10 -5", " lead", "trail ", "a: b", "a:", "a #c",
    "#c", "- x", "-", "--", "---", "...", "--- a", "? x", "?", ":", "::", ": a", "key: [v", "{",
    "}", "[", "]", "{a", "a,b", ",", "!x", "&a", "*a", "%x", "@x", "`x", "|", ">", "'", "\"",
    "it's", "\"q\"", "\\", "a\\n", "multi\nline\n", "multi\nline", "\n", "\n\n", "\nx", "x\n\n\n",
    " lead\nmulti", "\ttab\nx", "trail \nx", "x\n ", "x\n \n", "\n x", "#x\ny\n", "- a\n- b\n",
    "---\n", "a\n---\nb\n", "...\n", "key: v\nk2: w\n", "tab\there", "\t", "cr\r\nx", "\r", "é",
    "😀", "\xc2\x85", "a\xe2\x80\xa8x\ny", "\xef\xbb\xbfx", "\xef\xbf\xbe", "\x07", "\x1b[0m",
    "\x7f", "=", "<<", "500m", "1Gi", "10.0.0.1", "\xe2\x80\x8b",
    "a\xc2\xa0"
    "b",
    "~x", "0.", "00", "+", "-0", "1,000", "0777", "9223372036854775808",
    "a very long line of many words that an emitter with a width would fold somewhere around "
    "here, which would change nothing but would be hard to read and to compare"};

static void check_same(const char *text, yyjson_val *value)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) docs = yaml_read(text, strlen(text), &error);

	if (docs == NULL)
		fail_msg("%s: %s", text, error->message);
	assert_int_equal(docs->len, 1);
	if (!yyjson_equals(yyjson_doc_get_root(docs->pdata[0]), value))
		fail_msg("another value: %s", text);
}

/* As a value, in a list, in a list of lists, and as a key. */
static void nasty_strings_read_back(void **state)
{
	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(nasty); i++) {
		g_autoptr(yyjson_mut_doc) built = yyjson_mut_doc_new(NULL);
		yyjson_mut_val *root = yyjson_mut_obj(built);
		yyjson_mut_val *list = yyjson_mut_arr(built);
		yyjson_mut_val *inner = yyjson_mut_obj(built);
		g_autoptr(yyjson_doc) doc = NULL;
		g_autofree char *text = NULL;

		yyjson_mut_arr_add_strcpy(built, list, nasty[i]);
		yyjson_mut_arr_append(list, inner);
		json_mut_set_int(built, inner, nasty[i], 1);
		json_mut_set_str(built, root, "value", nasty[i]);
		json_mut_set(built, root, "list", list);
		json_mut_set_str(built, root, nasty[i], nasty[i]);
		yyjson_mut_doc_set_root(built, root);
		doc = yyjson_mut_doc_imut_copy(built, NULL);
		text = yaml_write(yyjson_doc_get_root(doc));
		check_same(text, yyjson_doc_get_root(doc));
	}
}

static void a_string_with_nul_reads_back(void **state)
{
	const char *json = "{\"a\\u0000b\":\"\\u0000\",\"c\":\"x\\u0000\\ny\"}";
	g_autoptr(yyjson_doc) doc = json_parse(json, strlen(json), NULL);
	g_autofree char *text = yaml_write(yyjson_doc_get_root(doc));

	(void)state;
	check_same(text, yyjson_doc_get_root(doc));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(looks_like_kubectl),
	    cmocka_unit_test(keys_are_in_kubectls_order),
	    cmocka_unit_test(lone_values),
	    cmocka_unit_test(raw_numbers_keep_their_spelling),
	    cmocka_unit_test(nasty_strings_read_back),
	    cmocka_unit_test(a_string_with_nul_reads_back),
	};

	return cmocka_run_group_tests_name("json/yaml_write", tests, NULL, NULL);
}
