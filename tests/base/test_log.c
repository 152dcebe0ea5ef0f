#include "base/log.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A log into memory; each test reads back what was written since it began. */
struct fixture {
	int fd;
	struct log *log;
};

static void start(struct fixture *fixture, enum log_format format, enum log_level level)
{
	fixture->fd = memfd_create("log", MFD_CLOEXEC);
	assert_true(fixture->fd >= 0);
	fixture->log = log_new(fixture->fd, format, level);
}

/* What was logged, with the time (which must have its form) cut off the front. */
static char *finish(struct fixture *fixture, const char *before_time, gsize time_len)
{
	char buffer[65536];
	ssize_t len = pread(fixture->fd, buffer, sizeof(buffer) - 1, 0);
	gsize skip = strlen(before_time);

	log_free(fixture->log);
	close(fixture->fd);
	assert_true(len >= 0);
	buffer[len] = '\0';
	if (len == 0)
		return g_strdup("");
	assert_memory_equal(buffer, before_time, skip);
	assert_int_equal(buffer[skip + 10], 'T');
	return g_strdup(buffer + skip + time_len);
}

static char *finish_logfmt(struct fixture *fixture)
{
	return finish(fixture, "time=", strlen("2026-11-23T10:11:12.345678Z "));
}

static void logfmt_quotes_what_could_be_misread(void **state)
{
	struct fixture fixture;
	g_autofree char *text = NULL;

	(void)state;
	start(&fixture, LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
	log_info(fixture.log, "model ready", "model", "default/phi", "empty", "", "none", NULL,
	    "eq", "a=b", "quote", "say \"hi\"", "back", "a\\b", "nl", "a\nlevel=error", "ctl",
	    "\x1b[2J", "utf8", "\xc3\xa9", "bad", "\xff", NULL);
	text = finish_logfmt(&fixture);
	assert_string_equal(text,
	    "level=info msg=\"model ready\" model=default/phi empty=\"\" eq=\"a=b\" "
	    "quote=\"say \\\"hi\\\"\" back=\"a\\\\b\" nl=\"a\\nlevel=error\" "
	    "ctl=\"\\u001b[2J\" utf8=\"\xc3\xa9\" bad=\"\xef\xbf\xbd\"\n");
}

static void json_is_json(void **state)
{
	struct fixture fixture;
	g_autofree char *text = NULL;

	(void)state;
	start(&fixture, LOG_FORMAT_JSON, LOG_LEVEL_DEBUG);
	log_warn(fixture.log, "a \"b\"", "key", "1\t2", "none", NULL, NULL);
	text = finish(&fixture, "{\"time\":\"", strlen("2026-11-23T10:11:12.345678Z\","));
	assert_string_equal(
	    text, "\"level\":\"warn\",\"msg\":\"a \\\"b\\\"\",\"key\":\"1\\t2\"}\n");
}

static void lower_levels_are_left_out(void **state)
{
	struct fixture fixture;
	g_autofree char *text = NULL;

	(void)state;
	start(&fixture, LOG_FORMAT_LOGFMT, LOG_LEVEL_WARN);
	log_debug(fixture.log, "no", NULL);
	log_info(fixture.log, "no", NULL);
	log_error(fixture.log, "yes", NULL);
	text = finish_logfmt(&fixture);
	assert_string_equal(text, "level=error msg=yes\n");
}

/* Cut in the middle of a two-byte character, whose half must not get out. */
static void long_values_are_cut(void **state)
{
	g_autofree char *long_value = g_strnfill(9000, 'x');
	struct fixture fixture;
	g_autofree char *text = NULL;

	(void)state;
	memcpy(long_value + 8191, "\xc3\xa9", 2);
	start(&fixture, LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
	log_info(fixture.log, "m", "v", long_value, NULL);
	text = finish_logfmt(&fixture);
	assert_true(strlen(text) < 8192 + 100);
	assert_true(g_utf8_validate(text, -1, NULL));
	assert_non_null(strstr(text, "x\xef\xbf\xbd\"\n"));
}

static void no_log_is_no_log(void **state)
{
	(void)state;
	log_error(NULL, "nobody hears", "key", "value", NULL);
	log_free(NULL);
}

static void names_are_parsed(void **state)
{
	enum log_level level = LOG_LEVEL_WARN;
	enum log_format format = LOG_FORMAT_JSON;

	(void)state;
	assert_true(log_level_parse("debug", &level));
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_true(log_level_parse("error", &level));
	assert_int_equal(level, LOG_LEVEL_ERROR);
	assert_false(log_level_parse("INFO", &level));
	assert_false(log_level_parse("", &level));
	assert_false(log_level_parse(NULL, &level));
	assert_int_equal(level, LOG_LEVEL_ERROR);
	assert_true(log_format_parse("logfmt", &format));
	assert_int_equal(format, LOG_FORMAT_LOGFMT);
	assert_false(log_format_parse("xml", &format));
	assert_int_equal(format, LOG_FORMAT_LOGFMT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(logfmt_quotes_what_could_be_misread),
	    cmocka_unit_test(json_is_json),
	    cmocka_unit_test(lower_levels_are_left_out),
	    cmocka_unit_test(long_values_are_cut),
	    cmocka_unit_test(no_log_is_no_log),
	    cmocka_unit_test(names_are_parsed),
	};

	return cmocka_run_group_tests_name("base/log", tests, NULL, NULL);
}
