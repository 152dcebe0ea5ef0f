#include "test_server.h"

#include "net/url.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE_MS 20000

/* What an exchange of this server remembers. */
struct visit {
	GString *body;
	gint64 left; /* of a streamed answer */
	gint64 seen;
	gboolean echo, count, held;
	struct loop_timer *timer;
	struct http_exchange *exchange;
};

static void add(struct test_server *test, gint64 *counter, gint64 value)
{
	uv_mutex_lock(&test->lock);
	*counter += value;
	uv_cond_broadcast(&test->changed);
	uv_mutex_unlock(&test->lock);
}

gint64 test_server_get(struct test_server *test, const gint64 *counter)
{
	uv_mutex_lock(&test->lock);
	gint64 value = *counter;
	uv_mutex_unlock(&test->lock);
	return value;
}

void test_server_wait(struct test_server *test, const gint64 *counter, gint64 value)
{
	gint64 end_us = g_get_monotonic_time() + DEADLINE_MS * 1000;

	uv_mutex_lock(&test->lock);
	while (*counter < value && g_get_monotonic_time() < end_us)
		uv_cond_timedwait(&test->changed, &test->lock, 100 * 1000 * 1000);
	gboolean reached = *counter >= value;
	uv_mutex_unlock(&test->lock);
	assert_true(reached);
}

static gint64 query_number(struct http_exchange *exchange, const char *key)
{
	g_autofree char *text = url_query_get(http_exchange_query(exchange), key);

	return text != NULL ? g_ascii_strtoll(text, NULL, 10) : 0;
}

static void produce(struct test_server *test, struct http_exchange *exchange, struct visit *visit)
{
	static char piece[32768];
	gboolean go_on = TRUE;

	while (visit->left > 0 && go_on) {
		gsize len = (gsize)MIN(visit->left, (gint64)sizeof(piece));

		visit->left -= (gint64)len;
		go_on = http_exchange_write(exchange, piece, len);
		add(test, &test->produced, (gint64)len);
	}
	if (!go_on)
		add(test, &test->blocked, 1);
	if (visit->left == 0)
		http_exchange_end(exchange);
}

static void respond_text(struct http_exchange *exchange, int status, const char *text)
{
	http_exchange_respond(exchange, status, "text/plain", NULL, text, strlen(text));
}

static void redirect(struct http_exchange *exchange)
{
	g_autofree char *to = url_query_get(http_exchange_query(exchange), "to");
	g_autofree char *line = g_strdup_printf("Location: %s", to);
	const char *headers[] = {line, NULL};

	http_exchange_respond(exchange, 302, "text/plain", headers, "moved", 5);
}

static void on_later(void *data)
{
	struct visit *visit = data;

	respond_text(visit->exchange, 200, "later");
}

static void on_resume(void *data)
{
	struct visit *visit = data;

	http_exchange_resume(visit->exchange);
}

static void send_file(struct test_server *test, struct http_exchange *exchange)
{
	int fd = open(test->path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	gint64 offset = query_number(exchange, "offset");
	gint64 more = query_number(exchange, "more"); /* a lie about the length */
	http_exchange_send_file(exchange, 200, "application/octet-stream", NULL, fd, offset,
	    st.st_size - offset + more);
}

static void answer_special(
    struct test_server *test, struct http_exchange *exchange, struct visit *visit, const char *path)
{
	if (strcmp(path, "/later") == 0) {
		visit->timer = loop_timer_new(test->loop, on_later, visit);
		loop_timer_start(visit->timer, 5);
	} else if (strcmp(path, "/paused") == 0) {
		visit->echo = TRUE;
		http_exchange_pause(exchange);
		visit->timer = loop_timer_new(test->loop, on_resume, visit);
		loop_timer_start(visit->timer, 5);
	} else if (strcmp(path, "/stuck") == 0) {
		http_exchange_pause(exchange);
	} else if (strcmp(path, "/drip") == 0) {
		http_exchange_begin(exchange, 200, "text/plain", NULL, -1);
		http_exchange_write(exchange, "drop", 4);
	} else if (strcmp(path, "/abort") == 0) {
		http_exchange_begin(exchange, 200, "text/plain", NULL, 100);
		http_exchange_write(exchange, "0123456789", 10);
		http_exchange_abort(exchange);
	} else if (strcmp(path, "/short") == 0) {
		http_exchange_begin(exchange, 200, "text/plain", NULL, 100);
		http_exchange_end(exchange);
	} else if (strcmp(path, "/inject") == 0) {
		const char *headers[] = {"X-Bad: a\r\nX-Worse: b", "X-Good: c", NULL};
		http_exchange_respond(exchange, 200, "text/plain", headers, "x", 1);
	} else if (strcmp(path, "/hang") == 0) {
		; /* The client will have to go away. */
	} else {
		respond_text(exchange, 404, "not found");
	}
}

static void on_request(void *data, struct http_exchange *exchange)
{
	struct test_server *test = data;
	struct visit *visit = g_new0(struct visit, 1);
	const char *path = http_exchange_path(exchange);

	visit->exchange = exchange;
	http_exchange_set_data(exchange, visit);
	add(test, &test->requests, 1);
	if (strcmp(path, "/hello") == 0) {
		respond_text(exchange, 200, "hello");
	} else if (strcmp(path, "/empty") == 0) {
		http_exchange_respond(exchange, 204, NULL, NULL, NULL, 0);
	} else if (strcmp(path, "/echo") == 0) {
		visit->echo = TRUE;
	} else if (strcmp(path, "/sink") == 0) {
		visit->count = TRUE;
	} else if (strcmp(path, "/hold") == 0) {
		visit->held = TRUE;
		uv_mutex_lock(&test->lock);
		g_queue_push_tail(&test->waiting, exchange);
		uv_mutex_unlock(&test->lock);
		add(test, &test->held, 1);
	} else if (strcmp(path, "/redirect") == 0) {
		redirect(exchange);
	} else if (strcmp(path, "/auth") == 0) {
		const char *seen = http_exchange_header(exchange, "Authorization");
		respond_text(exchange, 200, seen != NULL ? seen : "(none)");
	} else if (strcmp(path, "/host") == 0) {
		const char *seen = http_exchange_header(exchange, "host");
		respond_text(exchange, 200, seen != NULL ? seen : "(none)");
	} else if (strcmp(path, "/target") == 0) {
		respond_text(exchange, 200, http_exchange_query(exchange));
	} else if (strcmp(path, "/stream") == 0 || strcmp(path, "/length") == 0) {
		visit->left = query_number(exchange, "bytes");
		http_exchange_begin(exchange, 200, "application/octet-stream", NULL,
		    path[1] == 'l' ? visit->left : -1);
		produce(test, exchange, visit);
	} else if (strcmp(path, "/body") == 0) {
		gsize len = (gsize)query_number(exchange, "bytes");
		g_autofree char *body = g_malloc0(len + 1);
		http_exchange_respond(exchange, 200, "text/plain", NULL, body, len);
	} else if (strcmp(path, "/big-head") == 0) {
		g_autofree char *value = g_strnfill(70 * 1024, 'x');
		g_autofree char *line = g_strdup_printf("X-Big: %s", value);
		const char *headers[] = {line, NULL};
		http_exchange_respond(exchange, 200, "text/plain", headers, "x", 1);
	} else if (strcmp(path, "/file") == 0) {
		send_file(test, exchange);
	} else {
		answer_special(test, exchange, visit, path);
	}
}

static void on_body(void *data, struct http_exchange *exchange, const char *bytes, gsize len)
{
	struct test_server *test = data;
	struct visit *visit = http_exchange_data(exchange);

	visit->seen += (gint64)len;
	add(test, &test->consumed, (gint64)len);
	if (!visit->echo)
		return;
	if (visit->body == NULL)
		visit->body = g_string_new(NULL);
	g_string_append_len(visit->body, bytes, (gssize)len);
}

static void on_complete(void *data, struct http_exchange *exchange)
{
	struct visit *visit = http_exchange_data(exchange);

	(void)data;
	if (visit->echo) {
		const char *method = http_exchange_method(exchange);
		const char *headers[] = {"X-Method: ?", NULL};
		g_autofree char *line = g_strdup_printf("X-Method: %s", method);
		headers[0] = line;
		http_exchange_respond(exchange, 200, http_exchange_header(exchange, "content-type"),
		    headers, visit->body != NULL ? visit->body->str : "",
		    visit->body != NULL ? visit->body->len : 0);
	} else if (visit->count) {
		g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, visit->seen);
		respond_text(exchange, 200, text);
	}
}

static void on_drained(void *data, struct http_exchange *exchange)
{
	produce(data, exchange, http_exchange_data(exchange));
}

static void on_closed(void *data, struct http_exchange *exchange, gboolean aborted)
{
	struct test_server *test = data;
	struct visit *visit = http_exchange_data(exchange);

	if (visit->held) {
		uv_mutex_lock(&test->lock);
		g_queue_remove(&test->waiting, exchange);
		uv_mutex_unlock(&test->lock);
	}
	if (visit->body != NULL)
		g_string_free(visit->body, TRUE);
	loop_timer_free(visit->timer);
	g_free(visit);
	add(test, aborted ? &test->aborted : &test->closed, 1);
}

static const struct http_server_ops ops = {on_request, on_body, on_complete, on_drained, on_closed};

struct test_server *test_server_start(const struct http_server_options *options)
{
	struct test_server *test = g_new0(struct test_server, 1);
	g_autoptr(GError) error = NULL;

	uv_mutex_init(&test->lock);
	uv_cond_init(&test->changed);
	test->loop = loop_new();
	test->server = http_server_new(test->loop, "127.0.0.1", 0, options, &ops, test, &error);
	assert_non_null(test->server);
	test->port = http_server_port(test->server);
	assert_true(test->port > 0);
	test->url = g_strdup_printf("http://127.0.0.1:%u", test->port);
	test->thread = loop_run_in_thread(test->loop, "test-server");
	return test;
}

static void release(void *data)
{
	struct test_server *test = data;
	struct http_exchange *exchange;

	for (;;) {
		uv_mutex_lock(&test->lock);
		exchange = g_queue_pop_head(&test->waiting);
		uv_mutex_unlock(&test->lock);
		if (exchange == NULL)
			return;
		respond_text(exchange, 200, "released");
	}
}

void test_server_release(struct test_server *test)
{
	loop_post(test->loop, release, test);
}

static void shut_down(void *data)
{
	struct test_server *test = data;

	http_server_shutdown(test->server);
}

void test_server_shutdown(struct test_server *test)
{
	loop_post(test->loop, shut_down, test);
}

static void stop(void *data)
{
	struct test_server *test = data;

	http_server_free(test->server);
	loop_stop(test->loop);
}

void test_server_stop(struct test_server *test)
{
	loop_post(test->loop, stop, test);
	g_thread_join(test->thread);
	loop_free(test->loop);
	uv_cond_destroy(&test->changed);
	uv_mutex_destroy(&test->lock);
	/* Each request was closed exactly once. */
	assert_int_equal(test->requests, test->closed + test->aborted);
	g_free(test->url);
	g_free(test);
}

/* --- raw client --------------------------------------------------------------------------- */

int raw_connect(const struct test_server *test)
{
	struct sockaddr_in address = {
	    .sin_family = AF_INET,
	    .sin_port = htons(test->port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

void raw_send(int fd, const char *bytes, gsize len)
{
	while (len > 0) {
		ssize_t count = send(fd, bytes, len, MSG_NOSIGNAL);
		/* The server may have refused and closed before all was sent. */
		if (count <= 0)
			return;
		bytes += count;
		len -= (gsize)count;
	}
}

void raw_text(int fd, const char *text)
{
	raw_send(fd, text, strlen(text));
}

/* FALSE: the end. */
static gboolean read_some(int fd, GString *into)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	char buffer[65536];

	assert_int_equal(poll(&poll_fd, 1, DEADLINE_MS), 1);
	ssize_t count = recv(fd, buffer, sizeof(buffer), 0);
	if (count <= 0)
		return FALSE;
	g_string_append_len(into, buffer, count);
	return TRUE;
}

char *raw_read_all(int fd)
{
	GString *text = g_string_new(NULL);

	while (read_some(fd, text))
		;
	return g_string_free(text, FALSE);
}

char *raw_read_until(int fd, const char *text)
{
	GString *read = g_string_new(NULL);

	while (strstr(read->str, text) == NULL)
		assert_true(read_some(fd, read));
	return g_string_free(read, FALSE);
}

char *raw_exchange(const struct test_server *test, const char *request, gsize len)
{
	int fd = raw_connect(test);

	raw_send(fd, request, len);
	char *answer = raw_read_all(fd);
	close(fd);
	return answer;
}
