/* What the stores say, kept by image and node. */
#include "operator/pulls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct pull_state *state_of(const char *node, const char *phase, int completed)
{
	g_autofree char *line = g_strdup_printf(
	    "{\"image\":\"i\",\"node\":\"%s\",\"phase\":\"%s\",\"completed\":%d,\"total\":10}",
	    node, phase, completed);

	return pull_state_parse(line, strlen(line));
}

static void test_lines_that_are_no_state(void **state)
{
	static const char *const lines[] = {"", "{}", "{\"synced\":true}", "[]", "not json",
	    "{\"image\":\"i\"}", "{\"image\":\"i\",\"node\":\"n\",\"phase\":\"Dancing\"}",
	    "{\"image\":1,\"node\":\"n\",\"phase\":\"Ready\"}"};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(lines); i++)
		assert_null(pull_state_parse(lines[i], strlen(lines[i])));
}

static void test_put_tells_news_from_progress(void **state)
{
	AUTO(pulls) pulls = pulls_new();

	(void)state;
	assert_true(pulls_put(pulls, state_of("a", "Pulling", 1)));
	assert_false(pulls_put(pulls, state_of("a", "Pulling", 2)));
	assert_true(pulls_put(pulls, state_of("a", "Ready", 10)));
	assert_true(pulls_put(pulls, state_of("b", "Pulling", 1)));
}

static void test_images_are_found_and_nodes_dropped(void **state)
{
	AUTO(pulls) pulls = pulls_new();
	g_autoptr(GPtrArray) both = NULL;
	g_autoptr(GPtrArray) dropped = NULL;
	g_autoptr(GPtrArray) one = NULL;
	g_autoptr(GPtrArray) none = NULL;

	(void)state;
	pulls_put(pulls, state_of("a", "Ready", 1));
	pulls_put(pulls, state_of("b", "Pulling", 1));
	both = pulls_for_image(pulls, "i");
	assert_int_equal(both->len, 2);
	dropped = pulls_drop_node(pulls, "a");
	assert_int_equal(dropped->len, 1);
	assert_string_equal(dropped->pdata[0], "i");
	one = pulls_for_image(pulls, "i");
	assert_int_equal(one->len, 1);
	assert_string_equal(((struct pull_state *)one->pdata[0])->node, "b");
	g_ptr_array_unref(pulls_drop_node(pulls, "b"));
	none = pulls_for_image(pulls, "i");
	assert_int_equal(none->len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lines_that_are_no_state),
	    cmocka_unit_test(test_put_tells_news_from_progress),
	    cmocka_unit_test(test_images_are_found_and_nodes_dropped),
	};

	return cmocka_run_group_tests_name("pulls", tests, NULL, NULL);
}
