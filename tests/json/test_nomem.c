/* Each allocation of the JSON and YAML parsers fails in turn. */
#include "nomem.h"

#include "json/json.h"
#include "json/yaml.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char JSON[] =
    "{\"kind\":\"Model\",\"metadata\":{\"name\":\"phi\",\"labels\":{\"a\":\"b\"}},"
    "\"spec\":{\"image\":\"phi\",\"extraEnv\":[{\"name\":\"A\",\"value\":\"\\u00e4\"}],"
    "\"replicas\":3,\"x\":[1,2.5,-3,true,null,[]]}}";

static const char YAML[] = "base: &base\n"
			   "  image: phi   # a comment\n"
			   "  list: [1, 0x10, yes, ~, 'text']\n"
			   "other:\n"
			   "  <<: *base\n"
			   "  text: |\n"
			   "    two\n"
			   "    lines\n"
			   "---\n"
			   "second: {a: \"b\\n\"}\n";

static char *read_json(const void *input, GError **error)
{
	g_autoptr(yyjson_doc) doc = json_parse(input, strlen(input), error);

	return doc == NULL ? NULL : json_print(yyjson_doc_get_root(doc), NULL);
}

static char *read_yaml(const void *input, GError **error)
{
	g_autoptr(GPtrArray) docs = yaml_read(input, strlen(input), error);
	GString *text;

	if (docs == NULL)
		return NULL;
	text = g_string_new(NULL);
	for (guint i = 0; i < docs->len; i++) {
		g_autofree char *printed = json_print(yyjson_doc_get_root(docs->pdata[i]), NULL);

		g_string_append_printf(text, "%s\n", printed);
	}
	return g_string_free(text, FALSE);
}

/* What is parsed is changed and printed, as objects on their way to the API server are. */
static char *build_json(const void *input, GError **error)
{
	g_autoptr(yyjson_doc) doc = json_parse(input, strlen(input), error);
	g_autoptr(yyjson_mut_doc) copy = NULL;
	yyjson_mut_val *root;

	if (doc == NULL)
		return NULL;
	copy = yyjson_doc_mut_copy(doc, json_alc());
	root = yyjson_mut_doc_get_root(copy);
	json_mut_set_str(copy, json_mut_object(copy, root, "status"), "phase", "Ready");
	json_mut_set_int(copy, root, "n", 7);
	json_mut_set_bool(copy, root, "b", TRUE);
	return json_mut_print(root, NULL);
}

static char *write_yaml(const void *input, GError **error)
{
	g_autoptr(yyjson_doc) doc = json_parse(input, strlen(input), error);

	return doc == NULL ? NULL : yaml_write(yyjson_doc_get_root(doc));
}

static void test_json(void **state)
{
	(void)state;
	nomem_check(&(struct nomem_case){"json_parse", read_json, JSON});
}

static void test_json_building(void **state)
{
	(void)state;
	nomem_check(&(struct nomem_case){"json_mut_*", build_json, JSON});
}

static void test_yaml(void **state)
{
	(void)state;
	nomem_check(&(struct nomem_case){"yaml_read", read_yaml, YAML});
	nomem_check(&(struct nomem_case){"yaml_read of JSON", read_yaml, JSON});
}

static void test_yaml_writing(void **state)
{
	(void)state;
	nomem_check(&(struct nomem_case){"yaml_write", write_yaml, JSON});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_json),
	    cmocka_unit_test(test_json_building),
	    cmocka_unit_test(test_yaml),
	    cmocka_unit_test(test_yaml_writing),
	};

	return cmocka_run_group_tests_name("json/nomem", tests, NULL, NULL);
}
