/* 100 MB each way, and what is held meanwhile stays small. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/http_client.h"
#include "test_server.h"

#include <sys/socket.h>
#include <unistd.h>

#define BYTES (100LL * 1024 * 1024)
/* Both kernel buffers, the server's mark, the client's piece: generous, far below BYTES. */
#define HELD_MAX (24LL * 1024 * 1024)

struct download {
	struct test_server *test;
	gint64 bytes, most_ahead;
};

static gboolean on_body(void *data, const char *bytes, gsize len)
{
	struct download *download = data;

	(void)bytes;
	download->bytes += (gint64)len;
	gint64 ahead = test_server_get(download->test, &download->test->produced) - download->bytes;
	download->most_ahead = MAX(download->most_ahead, ahead);
	return TRUE;
}

static void test_download(void **state)
{
	static const struct http_call_ops ops = {.body = on_body};
	struct test_server *test = *state;
	struct download download = {.test = test};
	g_autofree char *url = g_strdup_printf("%s/stream?bytes=%lld", test->url, BYTES);
	struct http_request request = {.url = url, .proxy = ""};
	g_autoptr(GError) error = NULL;

	assert_true(http_perform(&request, "t", &ops, &download, NULL, &error));
	assert_int_equal(download.bytes, BYTES);
	assert_true(download.most_ahead < HELD_MAX);
}

static gpointer read_answer(gpointer data)
{
	return raw_read_all(GPOINTER_TO_INT(data));
}

/* Chunked, from a raw client: its own memory is one piece. */
static void test_upload(void **state)
{
	static const char head[] = "POST /sink HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
				   "Transfer-Encoding: chunked\r\n\r\n";
	struct test_server *test = *state;
	g_autofree char *piece = g_malloc0(65536);
	int fd = raw_connect(test);
	GThread *reader = g_thread_new("reader", read_answer, GINT_TO_POINTER(fd));
	gint64 most_ahead = 0;

	raw_send(fd, head, sizeof(head) - 1);
	for (gint64 sent = 0; sent < BYTES; sent += 65536) {
		raw_text(fd, "10000\r\n");
		raw_send(fd, piece, 65536);
		raw_text(fd, "\r\n");
		gint64 ahead = sent + 65536 - test_server_get(test, &test->consumed);
		most_ahead = MAX(most_ahead, ahead);
	}
	raw_text(fd, "0\r\n\r\n");
	g_autofree char *answer = g_thread_join(reader);
	assert_true(g_str_has_suffix(answer, "\r\n\r\n104857600"));
	assert_true(most_ahead < HELD_MAX);
	close(fd);
}

/* The client's own way to send: one body, held by the caller. */
static void test_upload_by_client(void **state)
{
	struct test_server *test = *state;
	g_autofree char *url = g_strconcat(test->url, "/sink", NULL);
	g_autofree char *body = g_malloc0(32 * 1024 * 1024);
	struct http_request request = {.method = "PUT",
	    .url = url,
	    .proxy = "",
	    .body = body,
	    .body_len = 32 * 1024 * 1024,
	    .idle_timeout_ms = 10000};
	AUTO(http_response) response = http_perform_fetch(&request, "t", NULL, NULL);

	assert_non_null(response);
	assert_string_equal(response->body, "33554432");
}

static int set_up(void **state)
{
	struct http_server_options options = {.max_body_bytes = -1};

	*state = test_server_start(&options);
	return 0;
}

static int tear_down(void **state)
{
	test_server_stop(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_download, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_upload, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_upload_by_client, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
