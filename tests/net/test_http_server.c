/* The server as clients see it: order, framing, persistence, files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "test_server.h"

#include <glib/gstdio.h>
#include <sys/socket.h>
#include <unistd.h>

static char *ask(const struct test_server *test, const char *request)
{
	return raw_exchange(test, request, strlen(request));
}

static guint count_of(const char *text, const char *part)
{
	guint count = 0;

	for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part))
		count++;
	return count;
}

static void test_plain(void **state)
{
	struct test_server *test = *state;
	g_autofree char *answer =
	    ask(test, "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");

	assert_true(g_str_has_prefix(answer, "HTTP/1.1 200 OK\r\n"));
	assert_true(g_str_has_suffix(answer, "\r\n\r\nhello"));
	assert_non_null(strstr(answer, "\r\nContent-Length: 5\r\n"));
	assert_non_null(strstr(answer, "\r\nContent-Type: text/plain\r\n"));
	assert_non_null(strstr(answer, "\r\nConnection: close\r\n"));
	assert_non_null(strstr(answer, "\r\nDate: "));
	assert_non_null(strstr(answer, " GMT\r\n"));
}

/* Byte by byte comes out the same. */
static void test_bytewise(void **state)
{
	static const char request[] = "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
				      "Transfer-Encoding: chunked\r\n\r\n"
				      "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n";
	struct test_server *test = *state;
	int fd = raw_connect(test);

	for (gsize i = 0; i < sizeof(request) - 1; i++)
		raw_send(fd, request + i, 1);
	g_autofree char *answer = raw_read_all(fd);
	assert_true(g_str_has_suffix(answer, "\r\n\r\nabcde"));
	close(fd);
}

static void test_pipelined_answers_keep_their_order(void **state)
{
	struct test_server *test = *state;
	g_autofree char *answer = ask(test, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n"
					    "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
					    "POST /echo HTTP/1.1\r\nHost: x\r\n"
					    "Content-Length: 3\r\n\r\none"
					    "GET /later HTTP/1.1\r\nHost: x\r\n\r\n"
					    "POST /echo HTTP/1.1\r\nHost: x\r\n"
					    "Content-Length: 3\r\nConnection: close\r\n\r\ntwo"
					    "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	const char *at = answer;

	for (const char *const *body = (const char *const[]){"\r\n\r\nlater", "\r\n\r\nhello",
		 "\r\n\r\none", "\r\n\r\nlater", "\r\n\r\ntwo", NULL};
	    *body != NULL; body++) {
		at = strstr(at, *body);
		assert_non_null(at);
		at += strlen(*body);
	}
	/* What follows "Connection: close" is not answered. */
	assert_string_equal(at, "");
}

static void test_many_pipelined(void **state)
{
	struct test_server *test = *state;
	GString *requests = g_string_new(NULL);
	int fd = raw_connect(test);

	/* More than is kept ahead, behind an answer that takes its time. */
	g_string_append(requests, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
	for (int i = 0; i < 3000; i++)
		g_string_append(requests, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	g_string_append(requests, "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	raw_send(fd, requests->str, requests->len);
	g_autofree char *answer = raw_read_all(fd);
	assert_int_equal(count_of(answer, "\r\n\r\nhello"), 3001);
	close(fd);
	g_string_free(requests, TRUE);
}

static void test_head_has_no_body(void **state)
{
	struct test_server *test = *state;
	g_autofree char *answer = ask(test, "HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n"
					    "HEAD /stream?bytes=99 HTTP/1.1\r\nHost: x\r\n\r\n"
					    "HEAD /file HTTP/1.1\r\nHost: x\r\n\r\n"
					    "GET /empty HTTP/1.1\r\nHost: x\r\n"
					    "Connection: close\r\n\r\n");

	assert_non_null(strstr(answer, "Content-Length: 5\r\n"));
	assert_int_equal(count_of(answer, "HTTP/1.1 200 OK\r\n"), 3);
	assert_null(strstr(answer, "hello"));
	const char *empty = strstr(answer, "HTTP/1.1 204 No Content\r\n");
	assert_non_null(empty);
	assert_null(strstr(empty, "Content-Length"));
	assert_true(g_str_has_suffix(answer, "\r\n\r\n"));
	/* Each head is followed by the next one at once. */
	assert_int_equal(count_of(answer, "\r\n\r\nHTTP/1.1"), 3);
}

static void test_http_1_0(void **state)
{
	struct test_server *test = *state;
	g_autofree char *answer = ask(test, "GET /hello HTTP/1.0\r\n\r\n");
	g_autofree char *until_close =
	    ask(test, "GET /stream?bytes=5 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	g_autofree char *kept = ask(test, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
					  "GET /hello HTTP/1.0\r\n\r\n");

	assert_true(g_str_has_suffix(answer, "\r\n\r\nhello"));
	assert_null(strstr(until_close, "chunked"));
	assert_non_null(strstr(until_close, "Connection: close\r\n"));
	assert_int_equal(count_of(kept, "\r\n\r\nhello"), 2);
	assert_int_equal(count_of(kept, "Connection: keep-alive\r\n"), 1);
}

static void test_expect_continue(void **state)
{
	struct test_server *test = *state;
	int fd = raw_connect(test);
	static const char head[] = "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
				   "Content-Length: 4\r\n\r\n";

	raw_send(fd, head, sizeof(head) - 1);
	g_autofree char *interim = raw_read_until(fd, "\r\n\r\n");
	assert_string_equal(interim, "HTTP/1.1 100 Continue\r\n\r\n");
	raw_send(fd, "body", 4);
	g_autofree char *answer = raw_read_until(fd, "\r\n\r\nbody");
	assert_true(g_str_has_prefix(answer, "HTTP/1.1 200 OK\r\n"));
	/* The connection goes on; and an answer without 100 ends it. */
	static const char refused[] = "POST /nowhere HTTP/1.1\r\nHost: x\r\n"
				      "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n";
	raw_send(fd, refused, sizeof(refused) - 1);
	g_autofree char *last = raw_read_all(fd);
	assert_true(g_str_has_prefix(last, "HTTP/1.1 404 Not Found\r\n"));
	assert_non_null(strstr(last, "Connection: close\r\n"));
	close(fd);
}

static void test_unwanted_body_is_read_past(void **state)
{
	struct test_server *test = *state;
	g_autofree char *answer = ask(test, "POST /nowhere HTTP/1.1\r\nHost: x\r\n"
					    "Content-Length: 5\r\n\r\n12345"
					    "POST /hello HTTP/1.1\r\nHost: x\r\n"
					    "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
					    "GET /hello HTTP/1.1\r\nHost: x\r\n"
					    "Connection: close\r\n\r\n");

	assert_int_equal(count_of(answer, "HTTP/1.1 404 "), 1);
	assert_int_equal(count_of(answer, "HTTP/1.1 200 "), 2);
}

static void test_unwanted_large_body_ends_the_connection(void **state)
{
	struct test_server *test = *state;
	g_autofree char *body = g_strnfill(900 * 1024, 'x');
	int fd = raw_connect(test);
	static const char head[] =
	    "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";

	raw_send(fd, head, sizeof(head) - 1);
	raw_send(fd, body, 900 * 1024);
	/* It neither waits for the last 100 kB nor is the answer lost by a reset. */
	g_autofree char *answer = raw_read_all(fd);
	assert_true(g_str_has_prefix(answer, "HTTP/1.1 404 "));
	close(fd);
}

static void test_paused_body(void **state)
{
	struct test_server *test = *state;
	g_autofree char *answer =
	    ask(test, "POST /paused HTTP/1.1\r\nHost: x\r\n"
		      "Content-Length: 5\r\n\r\n12345"
		      "GET /paused HTTP/1.1\r\nHost: x\r\n\r\n"
		      "POST /paused HTTP/1.1\r\nHost: x\r\n"
		      "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
		      "3\r\nabc\r\n0\r\n\r\n");

	assert_int_equal(count_of(answer, "HTTP/1.1 200 "), 3);
	assert_non_null(strstr(answer, "\r\n\r\n12345HTTP/1.1"));
	assert_true(g_str_has_suffix(answer, "\r\n\r\nabc"));
}

static void test_targets(void **state)
{
	struct test_server *test = *state;
	g_autofree char *absolute = ask(
	    test, "GET http://other:1/target?q=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	g_autofree char *plain =
	    ask(test, "GET /target?a=b?c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");

	assert_true(g_str_has_suffix(absolute, "\r\n\r\nq=1"));
	assert_true(g_str_has_suffix(plain, "\r\n\r\na=b?c"));
}

static void test_client_gone_is_told(void **state)
{
	struct test_server *test = *state;
	gint64 aborted = test_server_get(test, &test->aborted);
	gint64 requests = test_server_get(test, &test->requests);
	int fd = raw_connect(test);

	raw_text(fd, "GET /hang HTTP/1.1\r\nHost: x\r\n\r\n");
	test_server_wait(test, &test->requests, requests + 1);
	close(fd);
	test_server_wait(test, &test->aborted, aborted + 1);
}

static void test_abort_is_seen(void **state)
{
	struct test_server *test = *state;
	g_autofree char *cut = ask(test, "GET /abort HTTP/1.1\r\nHost: x\r\n\r\n");
	gint64 aborted = test_server_get(test, &test->aborted);
	g_autofree char *too_short = ask(test, "GET /short HTTP/1.1\r\nHost: x\r\n\r\n");

	/* Closed by the server, not whole. */
	assert_false(g_str_has_suffix(cut, "\r\n\r\n"));
	assert_null(strstr(too_short, "HTTP/1.1 200 OK\r\n\r\n"));
	test_server_wait(test, &test->aborted, aborted + 1);
}

static void test_no_field_by_line_break(void **state)
{
	struct test_server *test = *state;
	g_autofree char *answer =
	    ask(test, "GET /inject HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");

	assert_non_null(strstr(answer, "\r\nX-Good: c\r\n"));
	assert_null(strstr(answer, "X-Worse"));
}

static void make_file(struct test_server *test, gsize len)
{
	int fd = g_file_open_tmp("net-file-XXXXXX", &test->path, NULL);
	g_autofree guint8 *bytes = g_malloc(len);

	assert_true(fd >= 0);
	for (gsize i = 0; i < len; i++)
		bytes[i] = (guint8)('a' + i % 23);
	for (gsize at = 0; at < len;) {
		ssize_t count = write(fd, bytes + at, len - at);
		assert_true(count > 0);
		at += (gsize)count;
	}
	close(fd);
}

static void test_file(void **state)
{
	struct test_server *test = *state;
	g_autofree char *whole =
	    ask(test, "GET /file HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	g_autofree char *rest =
	    ask(test, "GET /file?offset=2999999 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	g_autofree char *nothing =
	    ask(test, "GET /file?offset=3000000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	g_autofree char *too_long = ask(test, "GET /file?more=1 HTTP/1.1\r\nHost: x\r\n\r\n");
	const char *body = strstr(whole, "\r\n\r\n") + 4;

	assert_int_equal(strlen(body), 3000000);
	for (gsize i = 0; i < 3000000; i++)
		if (body[i] != (char)('a' + i % 23))
			fail_msg("byte %zu differs", i);
	assert_int_equal(strlen(strstr(rest, "\r\n\r\n") + 4), 1);
	assert_true(g_str_has_suffix(nothing, "\r\n\r\n"));
	/* A file that is shorter than was promised ends the connection. */
	assert_non_null(strstr(too_long, "Content-Length: 3000001\r\n"));
}

static void test_file_client_gone(void **state)
{
	struct test_server *test = *state;
	/* More than the kernel's buffers take. */
	assert_int_equal(truncate(test->path, 400 * 1024 * 1024), 0);
	gint64 aborted = test_server_get(test, &test->aborted);
	int fd = raw_connect(test);

	raw_text(fd, "GET /file HTTP/1.1\r\nHost: x\r\n\r\n");
	g_autofree char *some = raw_read_until(fd, "\r\n\r\n");
	assert_true(g_str_has_prefix(some, "HTTP/1.1 200 "));
	close(fd);
	test_server_wait(test, &test->aborted, aborted + 1);
}

static void test_shutdown_lets_answers_finish(void **state)
{
	struct test_server *test = test_server_start(NULL);
	int busy = raw_connect(test), idle = raw_connect(test);

	(void)state;
	raw_text(idle, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	g_autofree char *first = raw_read_until(idle, "hello");
	assert_true(g_str_has_prefix(first, "HTTP/1.1 200 "));
	raw_text(busy, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
	test_server_wait(test, &test->held, 1);
	test_server_shutdown(test);
	g_autofree char *nothing = raw_read_all(idle);
	assert_string_equal(nothing, "");
	test_server_release(test);
	g_autofree char *answer = raw_read_all(busy);
	assert_true(g_str_has_suffix(answer, "\r\n\r\nreleased"));
	assert_non_null(strstr(answer, "Connection: close\r\n"));
	close(busy);
	close(idle);
	test_server_stop(test);
}

static void test_free_closes_all(void **state)
{
	struct test_server *test = test_server_start(NULL);
	int fd = raw_connect(test);

	(void)state;
	raw_text(fd, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
	test_server_wait(test, &test->held, 1);
	test_server_stop(test);
	g_autofree char *nothing = raw_read_all(fd);
	assert_string_equal(nothing, "");
	close(fd);
}

static void test_listen_errors(void **state)
{
	static const struct http_server_ops no_ops = {0};
	struct test_server *test = *state;
	g_autoptr(GError) taken = NULL;
	g_autoptr(GError) invalid = NULL;
	AUTO(loop) loop = loop_new();

	assert_null(http_server_new(loop, "127.0.0.1", test->port, NULL, &no_ops, NULL, &taken));
	assert_true(g_error_matches(taken, NET_ERROR, NET_ERROR_SYSTEM));
	assert_non_null(strstr(taken->message, "in use"));
	assert_null(http_server_new(loop, "localhost", 0, NULL, &no_ops, NULL, &invalid));
	assert_true(g_error_matches(invalid, NET_ERROR, NET_ERROR_INVALID));
}

static int set_up(void **state)
{
	struct test_server *test = test_server_start(NULL);

	make_file(test, 3000000);
	*state = test;
	return 0;
}

static int tear_down(void **state)
{
	struct test_server *test = *state;

	g_unlink(test->path);
	g_free(test->path);
	test_server_stop(test);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_bytewise),
	    cmocka_unit_test(test_pipelined_answers_keep_their_order),
	    cmocka_unit_test(test_many_pipelined),
	    cmocka_unit_test(test_head_has_no_body),
	    cmocka_unit_test(test_http_1_0),
	    cmocka_unit_test(test_expect_continue),
	    cmocka_unit_test(test_unwanted_body_is_read_past),
	    cmocka_unit_test(test_unwanted_large_body_ends_the_connection),
	    cmocka_unit_test(test_paused_body),
	    cmocka_unit_test(test_targets),
	    cmocka_unit_test(test_client_gone_is_told),
	    cmocka_unit_test(test_abort_is_seen),
	    cmocka_unit_test(test_no_field_by_line_break),
	    cmocka_unit_test(test_file),
	    cmocka_unit_test(test_file_client_gone),
	    cmocka_unit_test(test_shutdown_lets_answers_finish),
	    cmocka_unit_test(test_free_closes_all),
	    cmocka_unit_test(test_listen_errors),
	};

	return cmocka_run_group_tests_name("http_server", tests, set_up, tear_down);
}
