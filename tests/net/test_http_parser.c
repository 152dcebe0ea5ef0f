/* What is a request, what is refused; and that it does not depend on how the bytes arrive. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/http_parser.h"

#define MAX_HEAD 512
#define MAX_BODY 64

/* Everything that happened, as text. */
struct record {
	struct http_parser parser;
	GString *text;
};

static void on_head(void *data)
{
	struct record *record = data;
	struct http_message *message = record->parser.message;

	g_string_append_printf(record->text, "%s %s?%s len=%d%s%s%s\n", message->method,
	    message->path, message->query, (int)message->content_length,
	    message->http10 ? " 1.0" : "", message->keep_alive ? "" : " close",
	    message->expects_continue ? " expect" : "");
	for (guint i = 0; i < message->fields->len; i++) {
		struct http_field *field = &g_array_index(message->fields, struct http_field, i);
		g_string_append_printf(record->text, "[%s]=[%s]\n",
		    message->text->str + field->name, message->text->str + field->value);
	}
}

static void on_body(void *data, const char *bytes, gsize len)
{
	struct record *record = data;

	g_string_append_len(record->text, bytes, (gssize)len);
}

static void on_complete(void *data)
{
	struct record *record = data;

	g_string_append(record->text, "|END\n");
}

static const struct http_parser_ops ops = {on_head, on_body, on_complete};

/* Feeds in pieces of `piece` bytes; the record's text, with "!STATUS" when it was refused. */
static char *run(const char *bytes, gsize len, gsize piece)
{
	struct record record = {.text = g_string_new(NULL)};

	http_parser_init(&record.parser, MAX_HEAD, MAX_BODY, &ops, &record);
	for (gsize at = 0; at < len && record.parser.state != HTTP_PARSER_FAILED;) {
		gsize used = http_parser_feed(&record.parser, bytes + at, MIN(piece, len - at));
		at += used;
		if (record.parser.state == HTTP_PARSER_COMPLETE)
			http_parser_next(&record.parser);
	}
	if (record.parser.state == HTTP_PARSER_FAILED)
		g_string_append_printf(record.text, "!%d", record.parser.error_status);
	http_parser_done(&record.parser);
	return g_string_free(record.text, FALSE);
}

static char *run_all_ways(const char *bytes, gsize len)
{
	char *whole = run(bytes, len, len);

	for (gsize piece = 1; piece < MIN(len, 40); piece++) {
		g_autofree char *other = run(bytes, len, piece);
		assert_string_equal(whole, other);
	}
	return whole;
}

static void test_accepted(void **state)
{
	static const struct {
		const char *bytes, *expected;
	} cases[] = {
	    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET /? len=0\n[Host]=[a]\n|END\n"},
	    {"GET /a?b=c?d HTTP/1.1\r\nHost:a \t\r\nEmpty:\r\nX:  b c\r\n\r\n",
		"GET /a?b=c?d len=0\n[Host]=[a]\n[Empty]=[]\n[X]=[b c]\n|END\n"},
	    {"GET / HTTP/1.0\r\n\r\n", "GET /? len=0 1.0 close\n|END\n"},
	    {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		"GET /? len=0 1.0\n[Connection]=[keep-alive]\n|END\n"},
	    {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS *? len=0\n[Host]=[a]\n|END\n"},
	    {"GET http://u:1?q HTTP/1.1\r\nHost: a\r\n\r\n", "GET /?q len=0\n[Host]=[a]\n|END\n"},
	    /* llhttp skips blanks before the target, which RFC 9112, section 3 allows. */
	    {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "GET /? len=0\n[Host]=[a]\n|END\n"},
	    {"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET /? len=0\n[Host]=[a]\n|END\n"},
	    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
		"POST /? len=3\n[Host]=[a]\n[Content-Length]=[3]\nabc|END\n"},
	    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	     "2\r\nab\r\n1;e=\"q\"\r\nc\r\n0\r\nT: v\r\n\r\n",
		"POST /? len=-1\n[Host]=[a]\n[Transfer-Encoding]=[chunked]\nabc|END\n"},
	    {"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
		"POST /? len=1 expect\n[Host]=[a]\n[Expect]=[100-continue]\n"
		"[Content-Length]=[1]\nx|END\n"},
	    /* An offer to upgrade is not taken; the next request is still one. */
	    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
	     "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /? len=0\n[Host]=[a]\n[Connection]=[Upgrade]\n[Upgrade]=[h2c]\n|END\n"
		"GET /2? len=0\n[Host]=[a]\n|END\n"},
	};

	(void)state;
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *got = run_all_ways(cases[i].bytes, strlen(cases[i].bytes));
		assert_string_equal(got, cases[i].expected);
	}
}

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"
#define CASE(status, text) {status, text, sizeof(text) - 1}

/* Each of these is read differently by some proxy or server out there, or by none. */
static const struct {
	int status;
	const char *bytes;
	gsize len;
} refused[] = {
    /* Whose length counts? */
    CASE(400, POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET"),
    CASE(400, POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nGET"),
    CASE(400, POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef"),
    CASE(400, POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde"),
    CASE(400, POST "Content-Length: 5, 5\r\n\r\nabcde"),
    CASE(400, POST "Content-Length: +5\r\n\r\nabcde"),
    CASE(400, POST "Content-Length: -5\r\n\r\nabcde"),
    CASE(400, POST "Content-Length: 0x5\r\n\r\nabcde"),
    CASE(400, POST "Content-Length: 5 5\r\n\r\nabcde"),
    CASE(400, POST "Content-Length: 99999999999999999999\r\n\r\n"),
    CASE(413, POST "Content-Length: 18446744073709551615\r\n\r\n"),
    CASE(413, POST "Content-Length: 65\r\n\r\n"),
    /* Which coding? */
    CASE(501, POST "Transfer-Encoding: identity\r\n\r\n"),
    CASE(400, POST "Transfer-Encoding: chunked, identity\r\n\r\n"),
    CASE(501, POST "Transfer-Encoding: gzip, chunked\r\n\r\n"),
    CASE(501, POST "Transfer-Encoding: xchunked\r\n\r\n"),
    CASE(400, POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n"),
    CASE(400, POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
    CASE(400, POST "Transfer-Encoding: \x0b"
		   "chunked\r\n\r\n0\r\n\r\n"),
    CASE(400, POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    CASE(400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    /* Where does a line end? */
    CASE(400, GET "A: b\r\n c\r\n\r\n"),
    CASE(400, GET "A: b\r\n\tc\r\n\r\n"),
    CASE(400, GET " A: b\r\n\r\n"),
    CASE(400, GET "A: b\rX: c\r\n\r\n"),
    CASE(400, GET "A: b\nX: c\r\n\r\n"),
    CASE(400, GET "A: b\r\n\n"),
    CASE(400, GET "A\r\n\r\n"),
    CASE(400, GET ": b\r\n\r\n"),
    CASE(400, GET "A b: c\r\n\r\n"),
    CASE(400, "GET / HTTP/1.1\rHost: a\r\n\r\n"),
    CASE(400, "GET / HTTP/1.1\nHost: a\n\n"),
    CASE(400, GET "A: b\0c\r\n\r\n"),
    CASE(400, GET "A\0: b\r\n\r\n"),
    CASE(400, "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
    CASE(400, GET "A: \x7f\r\n\r\n"),
    CASE(400, GET "A\xc3\xa4: b\r\n\r\n"),
    /* How long is a chunk? */
    CASE(400, CHUNKED "g\r\n"),
    CASE(400, CHUNKED "-1\r\n"),
    CASE(400, CHUNKED "0x1\r\na\r\n"),
    CASE(400, CHUNKED "1 \r\na\r\n"),
    CASE(400, CHUNKED "1\na\n"),
    CASE(400, CHUNKED "1\r\nab\r\n"),
    CASE(400, CHUNKED "1\r\na0\r\n\r\n"),
    CASE(400, CHUNKED "\r\n"),
    CASE(400, CHUNKED "ffffffffffffffff1\r\n"),
    /* Whom and what does it ask? */
    CASE(400, "GET / HTTP/1.1\r\n\r\n"),
    CASE(400, GET "Host: b\r\n\r\n"),
    CASE(400, "GET a HTTP/1.1\r\nHost: a\r\n\r\n"),
    CASE(400, "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    CASE(400, "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    CASE(400, "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
    CASE(400, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    CASE(400, " GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    CASE(400, "get / HTTP/1.1\r\nHost: a\r\n\r\n"),
    CASE(400, "NONSENSE / HTTP/1.1\r\nHost: a\r\n\r\n"),
    CASE(501, "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"),
    CASE(417, POST "Expect: a-miracle\r\nContent-Length: 1\r\n\r\n"),
    /* Which language is it? */
    CASE(400, "GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
    CASE(505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    CASE(400, "GET / HTTP/11.1\r\nHost: a\r\n\r\n"),
    CASE(400, "GET / HTTP/1.1x\r\nHost: a\r\n\r\n"),
    CASE(400, "GET / http/1.1\r\nHost: a\r\n\r\n"),
    CASE(505, "GET /\r\n\r\n"),
    CASE(400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    CASE(400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
};

static void test_refused(void **state)
{
	int failed = 0;

	(void)state;
	for (guint i = 0; i < G_N_ELEMENTS(refused); i++) {
		g_autofree char *got = run_all_ways(refused[i].bytes, refused[i].len);
		g_autofree char *suffix = g_strdup_printf("!%d", refused[i].status);

		if (!g_str_has_suffix(got, suffix) || strstr(got, "|END") != NULL) {
			print_error("case %u: %s\n  gives: %s\n", i, refused[i].bytes, got);
			failed++;
		}
	}
	assert_int_equal(failed, 0);
}

static char *filled(const char *prefix, gsize count, char c, const char *suffix)
{
	g_autofree char *fill = g_strnfill(count, c);

	return g_strconcat(prefix, fill, suffix, NULL);
}

/* The limit is the last byte that passes. */
static void test_head_limit(void **state)
{
	gsize rest = MAX_HEAD - strlen(GET "A: \r\n\r\n");
	g_autofree char *fits = filled(GET "A: ", rest, 'x', "\r\n\r\n");
	g_autofree char *over = filled(GET "A: ", rest + 1, 'x', "\r\n\r\n");
	g_autofree char *target = filled("GET /", MAX_HEAD, 'x', "");
	g_autofree char *blank = filled("", MAX_HEAD, '\n', "");
	g_autofree char *got_fits = run_all_ways(fits, strlen(fits));
	g_autofree char *got_over = run_all_ways(over, strlen(over));
	g_autofree char *got_target = run_all_ways(target, strlen(target));
	g_autofree char *got_blank = run_all_ways(blank, strlen(blank));

	(void)state;
	assert_int_equal(strlen(fits), MAX_HEAD);
	assert_true(g_str_has_suffix(got_fits, "|END\n"));
	assert_true(g_str_has_suffix(got_over, "!431"));
	assert_true(g_str_has_suffix(got_target, "!431"));
	assert_true(g_str_has_suffix(got_blank, "!431"));
}

static void test_body_limit(void **state)
{
	g_autofree char *fits = filled(CHUNKED "40\r\n", 64, 'x', "\r\n0\r\n\r\n");
	g_autofree char *over = filled(CHUNKED "40\r\n", 64, 'x', "\r\n1\r\ny\r\n0\r\n\r\n");
	g_autofree char *trailer = filled(CHUNKED "0\r\nT: ", MAX_HEAD, 'x', "\r\n\r\n");
	g_autofree char *extension = filled(CHUNKED "0;", MAX_HEAD + 1, 'x', "\r\n\r\n");
	g_autofree char *got_fits = run_all_ways(fits, strlen(fits));
	g_autofree char *got_over = run_all_ways(over, strlen(over));
	g_autofree char *got_trailer = run_all_ways(trailer, strlen(trailer));
	g_autofree char *got_extension = run_all_ways(extension, strlen(extension));

	(void)state;
	assert_true(g_str_has_suffix(got_fits, "|END\n"));
	assert_true(g_str_has_suffix(got_over, "!413"));
	assert_true(g_str_has_suffix(got_trailer, "!431"));
	assert_true(g_str_has_suffix(got_extension, "!431"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_accepted),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_head_limit),
	    cmocka_unit_test(test_body_limit),
	};

	return cmocka_run_group_tests_name("http_parser", tests, NULL, NULL);
}
