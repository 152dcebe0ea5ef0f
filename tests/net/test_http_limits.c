/* Each limit of struct http_server_options is hit once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "test_server.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"

static void test_max_connections(void **state)
{
	struct http_server_options options = {.max_connections = 2};
	struct test_server *test = test_server_start(&options);
	int first = raw_connect(test), second = raw_connect(test);

	(void)state;
	raw_text(first, REQUEST);
	raw_text(second, REQUEST);
	g_autofree char *one = raw_read_until(first, "hello");
	g_autofree char *two = raw_read_until(second, "hello");
	assert_true(g_str_has_suffix(one, "hello") && g_str_has_suffix(two, "hello"));
	g_autofree char *three = raw_exchange(test, REQUEST, strlen(REQUEST));
	assert_string_equal(three, "");
	/* A place becomes free again. */
	close(first);
	for (int i = 0; i < 1000 && strstr(three, "hello") == NULL; i++) {
		int fd = raw_connect(test);
		g_free(three);
		raw_text(fd, "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
		three = raw_read_all(fd);
		close(fd);
	}
	assert_non_null(strstr(three, "hello"));
	close(second);
	test_server_stop(test);
}

static void test_max_head(void **state)
{
	struct http_server_options options = {.max_head_bytes = 1000};
	struct test_server *test = test_server_start(&options);
	g_autofree char *fill = g_strnfill(2000, 'x');
	g_autofree char *request =
	    g_strdup_printf("GET /hello HTTP/1.1\r\nHost: x\r\nA: %s\r\n\r\n", fill);
	g_autofree char *answer = raw_exchange(test, request, strlen(request));

	(void)state;
	assert_true(g_str_has_prefix(answer, "HTTP/1.1 431 "));
	assert_int_equal(test_server_get(test, &test->requests), 0);
	test_server_stop(test);
}

static void test_max_body(void **state)
{
	struct http_server_options options = {.max_body_bytes = 10};
	struct test_server *test = test_server_start(&options);
	static const char said[] =
	    "POST /sink HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n01234567890";
	static const char chunked[] = "POST /sink HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
				      "chunked\r\n\r\na\r\n0123456789\r\n1\r\nx\r\n0\r\n\r\n";

	(void)state;
	g_autofree char *first = raw_exchange(test, said, sizeof(said) - 1);
	assert_true(g_str_has_prefix(first, "HTTP/1.1 413 "));
	assert_int_equal(test_server_get(test, &test->requests), 0);
	g_autofree char *second = raw_exchange(test, chunked, sizeof(chunked) - 1);
	assert_true(g_str_has_prefix(second, "HTTP/1.1 413 "));
	/* The handler saw what was allowed, and that it ended badly. */
	assert_int_equal(test_server_get(test, &test->consumed), 10);
	assert_int_equal(test_server_get(test, &test->aborted), 1);
	test_server_stop(test);
}

static void test_head_timeout(void **state)
{
	struct http_server_options options = {.head_timeout_ms = 50};
	struct test_server *test = test_server_start(&options);
	int silent = raw_connect(test), slow = raw_connect(test);

	(void)state;
	raw_text(slow, "GET /hello HTTP/1.1\r\nHost:");
	g_autofree char *answer = raw_read_all(slow);
	assert_true(g_str_has_prefix(answer, "HTTP/1.1 408 "));
	/* Who says nothing gets no answer. */
	g_autofree char *nothing = raw_read_all(silent);
	assert_string_equal(nothing, "");
	close(silent);
	close(slow);
	test_server_stop(test);
}

/* Bytes that trickle do not prolong the wait for the head. */
static void test_head_timeout_is_for_the_whole_head(void **state)
{
	struct http_server_options options = {.head_timeout_ms = 100};
	struct test_server *test = test_server_start(&options);
	int fd = raw_connect(test);
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	int sent = 0;

	(void)state;
	raw_text(fd, "GET /");
	/* The poll is the wait for the server's answer; each round without one sends a byte. */
	while (poll(&poll_fd, 1, 10) == 0 && sent < 1000) {
		raw_text(fd, "x");
		sent++;
	}
	g_autofree char *answer = raw_read_all(fd);
	assert_true(g_str_has_prefix(answer, "HTTP/1.1 408 "));
	assert_in_range(sent, 1, 100);
	close(fd);
	test_server_stop(test);
}

static void test_idle_timeout(void **state)
{
	struct http_server_options options = {.idle_timeout_ms = 50};
	struct test_server *test = test_server_start(&options);
	int fd = raw_connect(test), body = raw_connect(test);

	(void)state;
	raw_text(fd, REQUEST);
	g_autofree char *answer = raw_read_all(fd);
	assert_true(g_str_has_suffix(answer, "hello"));
	/* It is also the limit for a body that stops. */
	raw_text(body, "POST /sink HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc");
	g_autofree char *late = raw_read_all(body);
	assert_true(g_str_has_prefix(late, "HTTP/1.1 408 "));
	close(fd);
	close(body);
	test_server_stop(test);
}

/* The handler may take its time: no limit of the server's hits a request that is complete. */
static void test_no_timeout_while_answering(void **state)
{
	struct http_server_options options = {.idle_timeout_ms = 1, .head_timeout_ms = 50};
	struct test_server *test = test_server_start(&options);
	int fd = raw_connect(test), other = raw_connect(test);

	(void)state;
	raw_text(fd, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
	test_server_wait(test, &test->held, 1);
	/* The other one's end shows that both limits have passed. */
	g_autofree char *nothing = raw_read_all(other);
	assert_string_equal(nothing, "");
	test_server_release(test);
	g_autofree char *answer = raw_read_until(fd, "released");
	assert_true(g_str_has_prefix(answer, "HTTP/1.1 200 "));
	close(fd);
	close(other);
	test_server_stop(test);
}

static void test_write_timeout(void **state)
{
	struct http_server_options options = {.write_timeout_ms = 100};
	struct test_server *test = test_server_start(&options);
	int fd = raw_connect(test);

	(void)state;
	/* One answer of 64 MiB that nobody reads. */
	raw_text(fd, "GET /body?bytes=67108864 HTTP/1.1\r\nHost: x\r\n\r\n");
	test_server_wait(test, &test->aborted, 1);
	close(fd);
	test_server_stop(test);
}

static void test_write_high(void **state)
{
	struct http_server_options options = {.write_high_bytes = 1};
	struct test_server *test = test_server_start(&options);
	int fd = raw_connect(test);

	(void)state;
	raw_text(fd, "GET /length?bytes=104857600 HTTP/1.1\r\nHost: x\r\n"
		     "Connection: close\r\n\r\n");
	test_server_wait(test, &test->blocked, 1);
	/* What the kernel's buffers take is what was made, not the 100 MB. */
	assert_true(test_server_get(test, &test->produced) < 32 * 1024 * 1024);
	close(fd);
	test_server_wait(test, &test->aborted, 1);
	test_server_stop(test);
}

/* A paused handler stops the client, too. */
static void test_pause_stops_reading(void **state)
{
	struct http_server_options options = {.max_body_bytes = -1};
	struct test_server *test = test_server_start(&options);
	int fd = raw_connect(test);
	struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
	g_autofree char *piece = g_malloc0(65536);
	gint64 sent = 0;

	(void)state;
	raw_text(fd, "POST /stuck HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n");
	test_server_wait(test, &test->requests, 1);
	while (sent < 100 * 1024 * 1024 && poll(&poll_fd, 1, 300) == 1) {
		ssize_t count = send(fd, piece, 65536, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (count > 0)
			sent += count;
	}
	assert_true(sent < 32 * 1024 * 1024);
	assert_int_equal(test_server_get(test, &test->consumed), 0);
	close(fd);
	test_server_stop(test);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_max_connections),
	    cmocka_unit_test(test_max_head),
	    cmocka_unit_test(test_max_body),
	    cmocka_unit_test(test_head_timeout),
	    cmocka_unit_test(test_head_timeout_is_for_the_whole_head),
	    cmocka_unit_test(test_idle_timeout),
	    cmocka_unit_test(test_no_timeout_while_answering),
	    cmocka_unit_test(test_write_timeout),
	    cmocka_unit_test(test_write_high),
	    cmocka_unit_test(test_pause_stops_reading),
	};

	return cmocka_run_group_tests_name("http_limits", tests, NULL, NULL);
}
