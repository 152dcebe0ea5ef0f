/*
 * A server with the routes that the tests of this room need, on a thread of its own, and a raw
 * client that sends bytes as they are.
 */
#ifndef TEST_SERVER_H
#define TEST_SERVER_H

#include "net/http_server.h"

struct test_server {
	struct loop *loop;
	GThread *thread;
	struct http_server *server;
	guint16 port;
	char *url;  /* "http://127.0.0.1:PORT" */
	char *path; /* of the file that /file sends */

	uv_mutex_t lock;
	uv_cond_t changed;
	/* Under the lock. */
	gint64 requests, closed, aborted, blocked, produced, consumed, held;
	GString *authorization; /* what /auth saw last; "(none)" */
	GQueue waiting;         /* exchanges of /hold */
};

/* `options` may be NULL. */
struct test_server *test_server_start(const struct http_server_options *options);
void test_server_stop(struct test_server *test);
/* Waits until *counter (a member) is at least `value`; fails the test after 20 s. */
void test_server_wait(struct test_server *test, const gint64 *counter, gint64 value);
gint64 test_server_get(struct test_server *test, const gint64 *counter);
/* Answers (from the loop) what /hold holds. */
void test_server_release(struct test_server *test);
void test_server_shutdown(struct test_server *test);

int raw_connect(const struct test_server *test);
void raw_send(int fd, const char *bytes, gsize len);
void raw_text(int fd, const char *text);
/* Everything until the server closes; fails the test after 20 s. */
char *raw_read_all(int fd);
/* Until `text` was read; what was read. */
char *raw_read_until(int fd, const char *text);
/* Sends, reads until the server closes. */
char *raw_exchange(const struct test_server *test, const char *request, gsize len);

#endif
