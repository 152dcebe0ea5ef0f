#include "json/yaml.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/*
 * What kubectl makes of each text: the JSON of all documents, one after the other, or NULL for an
 * error. Each line was compared with kubectl's own code (apimachinery's splitter and
 * sigs.k8s.io/yaml 1.6); a comment says where this reader differs.
 */
struct yaml_case {
	const char *yaml;
	const char *json;
};

static const struct yaml_case scalars[] = {
    {"[yes, no, on, off, y, n, Y, N, True, FALSE]",
	"[true,false,true,false,true,false,true,false,true,false]"},
    {"[yEs, oN, tRUE, nO, TrUe]", "[\"yEs\",\"oN\",\"tRUE\",\"nO\",\"TrUe\"]"},
    {"[null, ~, Null, NULL, nULL, none]", "[null,null,null,null,\"nULL\",\"none\"]"},
    {"a:", "{\"a\":null}"},
    {"[1, -1, +1, 0, -0, 00]", "[1,-1,1,0,0,0]"},
    {"[0777, 0o777, 0O17, 017, 0x1F, 0X1f, 0b101, -0b11, -0x10]", "[511,511,15,15,31,31,5,-3,-16]"},
    {"[08, 09.5, 0o8, 0x, 0b, 0b2, 0xg, 0x0x1, 1a]",
	"[8,9.5,\"0o8\",\"0x\",\"0b\",\"0b2\",\"0xg\",\"0x0x1\",\"1a\"]"},
    {"[1_000, 1__0, 0_7, _1, 1_, 0x_1]", "[1000,10,7,\"_1\",1,1]"},
    {"[1.5, .5, 1., 1.20, -.5, 1e3, 12e03, 1E-2, 1.e2]",
	"[1.5,0.5,1,1.2,-0.5,1000,12000,0.01,100]"},
    {"[1e, e1, +, '-', 1e+, --1, +-1, 1.2.3, .e1, .]",
	"[\"1e\",\"e1\",\"+\",\"-\",\"1e+\",\"--1\",\"+-1\",\"1.2.3\",\".e1\",\".\"]"},
    {"[9223372036854775807, 9223372036854775808, 18446744073709551615, -9223372036854775808]",
	"[9223372036854775807,9223372036854775808,18446744073709551615,-9223372036854775808]"},
    {"[18446744073709551616, -9223372036854775809, +9223372036854775808]",
	"[18446744073709552000.0,-9223372036854776000.0,9223372036854776000.0]"},
    {"[1e400, -1e400, 1e-400]", "[\"1e400\",\"-1e400\",0]"},
    {"[3.0, 1e15, 9007199254740993.0]", "[3,1000000000000000,9007199254740992]"},
    {"[1:30, 22:22, 190:20:30, 80:80]", "[\"1:30\",\"22:22\",\"190:20:30\",\"80:80\"]"},
    {"[2024-01-02, 2024-01-02T03:04:05Z]", "[\"2024-01-02\",\"2024-01-02T03:04:05Z\"]"},
    {"[1Gi, 500m, 10.0.0.1, 10.0.0.0/8]", "[\"1Gi\",\"500m\",\"10.0.0.1\",\"10.0.0.0/8\"]"},
    {"['1', \"true\", 'null', '', \"1.20\", 'it''s']",
	"[\"1\",\"true\",\"null\",\"\",\"1.20\",\"it's\"]"},
    {"[.inf]", NULL},
    {"[-.Inf]", NULL},
    {"a: .nan", NULL},
    {"[.iNf, +.nan]", "[\".iNf\",\"+.nan\"]"},
    {"\"\\u00e9\\n\\t\\x41\\U0001F600\\e\\0\"", "\"é\\n\\tA😀\\u001B\\u0000\""},
    {"hello", "\"hello\""},
    {"this is\n  continued", "\"this is continued\""},
};

static const struct yaml_case keys[] = {
    {"y: 1", "{\"true\":1}"},
    {"off: 1", "{\"false\":1}"},
    {"'y': 1", "{\"y\":1}"},
    /* kubectl refuses a key beyond 63 bits. */
    {"{1: a, 0x10: b, -3: c, 18446744073709551615: d}",
	"{\"1\":\"a\",\"16\":\"b\",\"-3\":\"c\",\"18446744073709551615\":\"d\"}"},
    {"{2.5: a, 1e3: b, 1e6: c, 123456.7: d, 1234567.0: e, 0.00001: f, 0.1: g, -1.50: h}",
	"{\"2.5\":\"a\",\"1000\":\"b\",\"1e+06\":\"c\",\"123456.7\":\"d\",\"1.234567e+06\":\"e\","
	"\"1e-05\":\"f\",\"0.1\":\"g\",\"-1.5\":\"h\"}"},
    {"{.inf: a, -.inf: b, .nan: c}", "{\".inf\":\"a\",\"-.inf\":\"b\",\".nan\":\"c\"}"},
    {"null: 1", NULL},
    {"? [a]\n: 1", NULL},
    {"? {a: b}\n: 1", NULL},
    {"a: 1\na: 2\nb: 3\na: 4", "{\"a\":4,\"b\":3}"},
    {"yes: 1\ntrue: 2", "{\"true\":2}"},
    {"? long\n: 1", "{\"long\":1}"},
    {"\"a\\0b\": 1\n\"a\": 2\n\"a\\0b\": 3", "{\"a\\u0000b\":3,\"a\":2}"},
};

static const struct yaml_case anchors[] = {
    {"a: &x {p: 1}\nb: *x\nc: *x", "{\"a\":{\"p\":1},\"b\":{\"p\":1},\"c\":{\"p\":1}}"},
    {"a: &x 1\nb: &x 2\nc: *x", "{\"a\":1,\"b\":2,\"c\":2}"},
    {"a: &x [&x 1, *x]\nb: *x", "{\"a\":[1,1],\"b\":1}"},
    {"a: &x yes\n*x : 1", "{\"a\":true,\"true\":1}"},
    {"&k key: *k", "{\"key\":\"key\"}"},
    {"a: &x {b: *x}", NULL},
    {"a: *x", NULL},
    {"a: &x 1\n---\nb: *x", NULL},
    {"b: &b {x: 1, z: 2}\nc:\n  <<: *b\n  z: 3",
	"{\"b\":{\"x\":1,\"z\":2},\"c\":{\"x\":1,\"z\":3}}"},
    /* Not what YAML says, but what kubectl does: a merge sets what was there before it. */
    {"b: &b {x: 1}\nc:\n  x: 3\n  <<: *b", "{\"b\":{\"x\":1},\"c\":{\"x\":1}}"},
    {"<<: [{x: 1}, {x: 2, z: 2}]", "{\"x\":1,\"z\":2}"},
    {"<<: &m {x: 1}\na: *m", "{\"x\":1,\"a\":{\"x\":1}}"},
    {"'<<': {x: 1}", "{\"<<\":{\"x\":1}}"},
    {"<<: 1", NULL},
    {"<<: [1]", NULL},
    {"a: <<", "{\"a\":\"<<\"}"},
};

static const struct yaml_case tags[] = {
    {"!!str 12", "\"12\""},
    {"!!int \"7\"", "7"},
    {"!!float 1", "1"},
    {"!!bool \"yes\"", "true"},
    {"a: !!null ''", "{\"a\":null}"},
    {"!custom 12", "\"12\""},
    {"! 12", "\"12\""},
    {"!!timestamp 2024-01-02", "\"2024-01-02\""},
    {"!!binary aGVsbG8=", "\"hello\""},
    {"!!binary /w==", NULL}, /* Bytes that are no text: kubectl sends U+FFFD instead. */
    {"!!int x", NULL},
    {"!!int 1.5", NULL},
    {"!!bool 1", NULL},
    {"!!null 1", NULL},
    {"!!map {a: 1}", "{\"a\":1}"},
    {"!foo [1]", "[1]"},
};

static const struct yaml_case documents[] = {
    {"", ""},
    {"# nothing", ""},
    {"---\n---\n", ""},
    {"a: 1\n---\nb: 2\n---\n# only this\n---\nc: 3\n...\n---\n", "{\"a\":1}{\"b\":2}{\"c\":3}"},
    {"a: |\n  x\n  ---\n  y\n--- # c\nb: 1", "{\"a\":\"x\\n---\\ny\\n\"}{\"b\":1}"},
    {"a: 1\r\nb: |\r\n  x\r\n  y\r\n", "{\"a\":1,\"b\":\"x\\ny\\n\"}"},
    {"\xef\xbb\xbf"
     "a: 1",
	"{\"a\":1}"},
    {"- 1\n- a: b\n", "[1,{\"a\":\"b\"}]"},
    {"a: |-\n  x\n   y\nb: >\n  f\n  g\n\n  h\nc: |+\n  k\n\nd: |2\n    t\n",
	"{\"a\":\"x\\n y\",\"b\":\"f g\\nh\\n\",\"c\":\"k\\n\\n\",\"d\":\"  t\\n\"}"},
    {"a: [1, 2\nb: }", NULL},
    {"a:\n\tb: 1", NULL},
    {"b: - not", NULL},
    {"f: @x", NULL},
    {"a: 1\n---\nb: [\n", NULL},
    {"\xff\xfe\xfd", NULL}, /* Half a character of UTF-16: kubectl reads what is there. */
    {"a: \x01", NULL},
    /* kubectl's splitter breaks on a directive; here it is read. */
    {"%YAML 1.1\n---\na: yes", "{\"a\":true}"},
};

/* JSON goes to the JSON reader, with its escapes; flow mappings only look like it. */
static const struct yaml_case json_texts[] = {
    {"{\"a\":[1,2.5,true,null,\"x\\u00e9\"]}", "{\"a\":[1,2.5,true,null,\"xé\"]}"},
    {"\n  {\"a\":\"\\ud83d\\ude00\\/\"}\n", "{\"a\":\"😀/\"}"},
    {"{\"y\":1}", "{\"y\":1}"},
    {"{\"a\":3.0,\"b\":[1e3,-0.0,0.5]}", "{\"a\":3,\"b\":[1000,-0.0,0.5]}"},
    {"[3.0, 1e15, 9007199254740993.0, x]", "[3,1000000000000000,9007199254740992,\"x\"]"},
    {"{y: 1}", "{\"true\":1}"},
    {"{\"a\":1,\"a\":2}", "{\"a\":2}"},
    {"[{\"b\":{\"a\":1,\"a\":2}}]", "[{\"b\":{\"a\":2}}]"},
    {"{\"a\":1}\n---\n{\"b\":2}", "{\"a\":1}{\"b\":2}"},
    {"{\n\t\"a\": 1\n}", "{\"a\":1}"},
    {"{\"a\":1", NULL},
    {"[]", "[]"},
    {"{}", "{}"},
};

static char *print_all(const GPtrArray *docs)
{
	GString *all = g_string_new(NULL);

	for (guint i = 0; i < docs->len; i++) {
		g_autofree char *text = json_print(yyjson_doc_get_root(docs->pdata[i]), NULL);

		g_string_append(all, text);
	}
	return g_string_free(all, FALSE);
}

static void check(const struct yaml_case *cases, gsize count)
{
	for (gsize i = 0; i < count; i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *exact = g_memdup2(cases[i].yaml, strlen(cases[i].yaml) + 1);
		g_autoptr(GPtrArray) docs = yaml_read(exact, strlen(exact), &error);
		g_autofree char *text = NULL;

		if (cases[i].json == NULL) {
			if (docs != NULL)
				fail_msg("was read: %s", cases[i].yaml);
			assert_true(g_error_matches(error, JSON_ERROR, JSON_ERROR_SYNTAX));
			assert_non_null(strstr(error->message, " at line "));
			continue;
		}
		if (docs == NULL)
			fail_msg("%s: %s", cases[i].yaml, error->message);
		text = print_all(docs);
		if (strcmp(text, cases[i].json) != 0)
			fail_msg("%s: %s, not %s", cases[i].yaml, text, cases[i].json);
	}
}

#define TABLE_TEST(table)                          \
	static void read_##table(void **state)     \
	{                                          \
		(void)state;                       \
		check(table, G_N_ELEMENTS(table)); \
	}

TABLE_TEST(scalars)
TABLE_TEST(keys)
TABLE_TEST(anchors)
TABLE_TEST(tags)
TABLE_TEST(documents)
TABLE_TEST(json_texts)

static void errors_name_the_line(void **state)
{
	static const struct {
		const char *yaml;
		const char *where;
	} cases[] = {
	    {"a: 1\nb: @x\n", "at line 2"},
	    {"a: 1\n---\nb: .inf\n", "at line 3"},
	    {"a:\n  b:\n    - *x\n", "at line 3"},
	    {"a:\n- 1\n- !!int x\n", "at line 3"},
	    {"a: 1\n\tb: 2\n", "at line 2"},
	    {"a: &x\n  b: *x\n", "an anchor that contains itself at line 2"},
	    {"a: 1\nb: *x\n", "an alias without an anchor at line 2"},
	};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;

		assert_null(yaml_read(cases[i].yaml, strlen(cases[i].yaml), &error));
		if (strstr(error->message, cases[i].where) == NULL)
			fail_msg("%s: %s", cases[i].yaml, error->message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(read_scalars),
	    cmocka_unit_test(read_keys),
	    cmocka_unit_test(read_anchors),
	    cmocka_unit_test(read_tags),
	    cmocka_unit_test(read_documents),
	    cmocka_unit_test(read_json_texts),
	    cmocka_unit_test(errors_name_the_line),
	};

	return cmocka_run_group_tests_name("json/yaml_cases", tests, NULL, NULL);
}
