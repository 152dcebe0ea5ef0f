/* The client on a loop and alone, against the room's own server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/http_client.h"
#include "net/url.h"
#include "test_server.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

struct fixture {
	struct test_server *test;
	struct loop *loop; /* run by the test itself, or by `thread` */
	GThread *thread;
	struct http_client *client;
};

/* What one call told. */
struct seen {
	struct fixture *fixture;
	struct http_call *call;
	int heads, dones, status;
	gint64 bytes, content_length;
	char *url;
	GError *error;
	gboolean cancel_in_head, cancel_in_body, refuse_head, refuse_body, free_client_in_body;
	gboolean end_after_cancel;
	int *left; /* stops the loop at 0 */
};

static void stop_soon(void *data)
{
	loop_stop(data);
}

static gboolean on_head(void *data, const struct http_head *head)
{
	struct seen *seen = data;

	seen->heads++;
	seen->status = http_head_status(head);
	seen->content_length = http_head_content_length(head);
	g_free(seen->url);
	seen->url = g_strdup(http_head_url(head));
	if (seen->cancel_in_head) {
		http_call_cancel(seen->call);
		loop_stop(seen->fixture->loop);
	}
	return !seen->refuse_head;
}

static gboolean on_body(void *data, const char *bytes, gsize len)
{
	struct seen *seen = data;

	(void)bytes;
	seen->bytes += (gint64)len;
	if (seen->cancel_in_body) {
		http_call_cancel(seen->call);
		loop_stop(seen->fixture->loop);
	}
	if (seen->free_client_in_body) {
		http_client_free(g_steal_pointer(&seen->fixture->client));
		loop_stop(seen->fixture->loop);
	}
	return !seen->refuse_body;
}

static void on_done(void *data, const GError *error)
{
	struct seen *seen = data;

	seen->dones++;
	seen->error = error != NULL ? g_error_copy(error) : NULL;
	/* The handle is still good in here and cancelling it does nothing. */
	http_call_cancel(seen->call);
	if (seen->left == NULL || --*seen->left == 0)
		loop_stop(seen->fixture->loop);
}

static const struct http_call_ops ops = {on_head, on_body, on_done};

static void seen_clear(struct seen *seen)
{
	g_clear_error(&seen->error);
	g_clear_pointer(&seen->url, g_free);
}

static void start_path(struct fixture *fixture, struct seen *seen, const char *path)
{
	g_autofree char *url = g_strconcat(fixture->test->url, path, NULL);
	struct http_request request = {.url = url, .proxy = ""};

	seen->fixture = fixture;
	seen->call = http_client_start(fixture->client, &request, &ops, seen);
	assert_non_null(seen->call);
	/* Nothing happens inside. */
	assert_int_equal(seen->heads + seen->dones, 0);
}

static void test_one_call(void **state)
{
	struct fixture *fixture = *state;
	struct seen seen = {0};

	start_path(fixture, &seen, "/hello");
	loop_run(fixture->loop);
	assert_int_equal(seen.heads, 1);
	assert_int_equal(seen.dones, 1);
	assert_null(seen.error);
	assert_int_equal(seen.status, 200);
	assert_int_equal(seen.bytes, 5);
	assert_int_equal(seen.content_length, 5);
	assert_true(g_str_has_suffix(seen.url, "/hello"));
	seen_clear(&seen);
}

static void test_two_hundred_at_once(void **state)
{
	struct fixture *fixture = *state;
	struct seen seen[200] = {0};
	int left = G_N_ELEMENTS(seen);

	for (guint i = 0; i < G_N_ELEMENTS(seen); i++) {
		seen[i].left = &left;
		start_path(fixture, &seen[i], i % 2 == 0 ? "/later" : "/stream?bytes=100000");
	}
	loop_run(fixture->loop);
	for (guint i = 0; i < G_N_ELEMENTS(seen); i++) {
		assert_null(seen[i].error);
		assert_int_equal(seen[i].dones, 1);
		assert_int_equal(seen[i].bytes, i % 2 == 0 ? 5 : 100000);
		seen_clear(&seen[i]);
	}
}

static void test_cancel_before_it_began(void **state)
{
	struct fixture *fixture = *state;
	struct seen cancelled = {0}, other = {0};

	start_path(fixture, &cancelled, "/hello");
	http_call_cancel(cancelled.call);
	start_path(fixture, &other, "/hello");
	loop_run(fixture->loop);
	assert_int_equal(cancelled.heads + cancelled.dones, 0);
	assert_int_equal(other.dones, 1);
	seen_clear(&other);
}

static void test_cancel_in_callbacks(void **state)
{
	struct fixture *fixture = *state;
	struct seen in_head = {.cancel_in_head = TRUE}, in_body = {.cancel_in_body = TRUE};
	struct seen after = {0};

	start_path(fixture, &in_head, "/stream?bytes=10000000");
	loop_run(fixture->loop);
	assert_int_equal(in_head.heads, 1);
	start_path(fixture, &in_body, "/stream?bytes=10000000");
	loop_run(fixture->loop);
	gint64 bytes = in_body.bytes;
	assert_true(bytes > 0 && bytes < 10000000);
	/* Silence afterwards, while others go on. */
	start_path(fixture, &after, "/hello");
	loop_run(fixture->loop);
	assert_int_equal(in_head.bytes, 0);
	assert_int_equal(in_head.dones, 0);
	assert_int_equal(in_body.bytes, bytes);
	assert_int_equal(in_body.dones, 0);
	test_server_wait(fixture->test, &fixture->test->aborted, 2);
	seen_clear(&in_head);
	seen_clear(&in_body);
	seen_clear(&after);
}

static void test_callbacks_refuse(void **state)
{
	struct fixture *fixture = *state;
	struct seen head = {.refuse_head = TRUE}, body = {.refuse_body = TRUE};

	start_path(fixture, &head, "/hello");
	loop_run(fixture->loop);
	start_path(fixture, &body, "/hello");
	loop_run(fixture->loop);
	assert_int_equal(head.dones, 1);
	assert_int_equal(head.bytes, 0);
	assert_true(g_error_matches(head.error, NET_ERROR, NET_ERROR_CANCELLED));
	assert_int_equal(body.dones, 1);
	assert_true(g_error_matches(body.error, NET_ERROR, NET_ERROR_CANCELLED));
	seen_clear(&head);
	seen_clear(&body);
}

static gboolean cancel_the_other(void *data, const char *bytes, gsize len)
{
	struct seen *victim = data;

	(void)bytes;
	(void)len;
	if (victim->call != NULL) {
		http_call_cancel(g_steal_pointer(&victim->call));
		loop_stop(victim->fixture->loop);
	}
	return TRUE;
}

/* From inside libcurl one call ends another. */
static void test_cancel_another_in_body(void **state)
{
	static const struct http_call_ops killer = {NULL, cancel_the_other, NULL};
	struct fixture *fixture = *state;
	struct seen victim = {0};
	g_autofree char *url = g_strconcat(fixture->test->url, "/drip", NULL);
	struct http_request request = {.url = url, .proxy = ""};

	start_path(fixture, &victim, "/hang");
	http_call_cancel(NULL);
	http_client_start(fixture->client, &request, &killer, &victim);
	loop_run(fixture->loop);
	assert_int_equal(victim.heads + victim.dones, 0);
	assert_null(victim.call);
}

static void test_client_free_in_body(void **state)
{
	struct fixture *fixture = *state;
	struct seen killer = {.free_client_in_body = TRUE}, other = {0};

	start_path(fixture, &other, "/hang");
	start_path(fixture, &killer, "/drip");
	loop_run(fixture->loop);
	assert_int_equal(killer.dones + other.dones, 0);
	assert_null(fixture->client);
	seen_clear(&killer);
}

static GError *failure_of(struct fixture *fixture, const struct http_request *request)
{
	struct seen seen = {.fixture = fixture};

	seen.call = http_client_start(fixture->client, request, &ops, &seen);
	loop_run(fixture->loop);
	assert_int_equal(seen.dones, 1);
	g_clear_pointer(&seen.url, g_free);
	return seen.error;
}

static void assert_failure(GError *take_error, enum net_error code, const char *text)
{
	g_autoptr(GError) error = take_error;

	assert_non_null(error);
	if (!g_error_matches(error, NET_ERROR, (int)code) || strstr(error->message, text) == NULL)
		fail_msg(
		    "expected %d with '%s', got %d: %s", code, text, error->code, error->message);
}

static void test_invalid_requests(void **state)
{
	struct fixture *fixture = *state;
	const char *split[] = {"A: b\r\nC: d", NULL};
	const char *no_colon[] = {"A", NULL};
	const char *bad_name[] = {"A B: c", NULL};
	const struct http_request requests[] = {
	    {.url = NULL},
	    {.url = ""},
	    {.url = "ftp://127.0.0.1/"},
	    {.url = "file:///etc/passwd"},
	    {.url = "http://"},
	    {.url = "http://a b/"},
	    {.url = "http://a/\r\nX: y"},
	    {.url = "http://a/", .method = "GET /x HTTP/1.1\r\n"},
	    {.url = "http://a/", .method = ""},
	    {.url = "http://a/", .headers = split},
	    {.url = "http://a/", .headers = no_colon},
	    {.url = "http://a/", .headers = bad_name},
	};

	for (guint i = 0; i < G_N_ELEMENTS(requests); i++) {
		GError *error = NULL;
		assert_failure(failure_of(fixture, &requests[i]), NET_ERROR_INVALID, "not a");
		assert_null(http_perform_fetch(&requests[i], "t", NULL, &error));
		assert_failure(error, NET_ERROR_INVALID, "not a");
	}
}

/* A port that nobody listens on, and which nobody gets while the socket is open. */
static int closed_port(guint16 *port)
{
	struct sockaddr_in address = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	*port = ntohs(address.sin_port);
	return fd;
}

static void test_refused(void **state)
{
	struct fixture *fixture = *state;
	guint16 port;
	int fd = closed_port(&port);
	g_autofree char *url = g_strdup_printf("http://127.0.0.1:%u/", port);
	g_autofree char *text =
	    g_strdup_printf("connect to 127.0.0.1:%u: Connection refused", port);
	struct http_request request = {.url = url, .proxy = ""};
	GError *error = failure_of(fixture, &request);

	assert_true(net_error_is_temporary(error));
	assert_failure(error, NET_ERROR_UNREACHABLE, text);
	close(fd);
}

static void test_cut_off(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *url = g_strconcat(fixture->test->url, "/abort", NULL);
	struct http_request request = {.url = url, .proxy = ""};

	assert_failure(failure_of(fixture, &request), NET_ERROR_UNREACHABLE, "127.0.0.1");
}

static void test_timeouts(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *hang = g_strconcat(fixture->test->url, "/hang", NULL);
	g_autofree char *drip = g_strconcat(fixture->test->url, "/drip", NULL);
	struct http_request whole = {.url = hang, .proxy = "", .timeout_ms = 50};
	struct http_request idle = {.url = drip, .proxy = "", .idle_timeout_ms = 50};
	GError *error = NULL;

	assert_failure(failure_of(fixture, &whole), NET_ERROR_TIMEOUT, "50 ms");
	assert_failure(failure_of(fixture, &idle), NET_ERROR_TIMEOUT, "no byte for 50 ms");
	assert_null(http_perform_fetch(&whole, "t", NULL, &error));
	assert_failure(g_steal_pointer(&error), NET_ERROR_TIMEOUT, "50 ms");
	assert_null(http_perform_fetch(&idle, "t", NULL, &error));
	assert_failure(error, NET_ERROR_TIMEOUT, "no byte for 50 ms");
}

/* What moves is not idle, however long it takes. */
static void test_idle_is_not_slow(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *url = g_strconcat(fixture->test->url, "/stream?bytes=50000000", NULL);
	struct http_request request = {.url = url, .proxy = "", .idle_timeout_ms = 2000};

	assert_null(failure_of(fixture, &request));
}

static void test_head_too_large(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *url = g_strconcat(fixture->test->url, "/big-head", NULL);
	struct http_request request = {.url = url, .proxy = ""};

	assert_failure(failure_of(fixture, &request), NET_ERROR_TOO_LARGE, "head");
}

/* --- redirects ---------------------------------------------------------------------------- */

static struct http_response *perform_get(const char *url, guint redirects, GError **error)
{
	const char *headers[] = {"Authorization: Bearer secret", NULL};
	struct http_request request = {
	    .url = url, .proxy = "", .headers = headers, .max_redirects = redirects};

	return http_perform_fetch(&request, "t", NULL, error);
}

static char *redirect_url(const struct fixture *fixture, const char *to)
{
	g_autofree char *encoded = url_encode(to);

	return g_strconcat(fixture->test->url, "/redirect?to=", encoded, NULL);
}

static void test_redirect_is_handed_out(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *url = redirect_url(fixture, "/auth");
	AUTO(http_response) response = perform_get(url, 0, NULL);

	assert_non_null(response);
	assert_int_equal(response->status, 302);
	assert_string_equal(http_response_header(response, "location"), "/auth");
	assert_string_equal(response->body, "moved");
}

static void test_redirect_keeps_credentials_at_home(void **state)
{
	struct fixture *fixture = *state;
	struct test_server *elsewhere = test_server_start(NULL);
	g_autofree char *same = redirect_url(fixture, "/auth");
	g_autofree char *localhost =
	    g_strdup_printf("http://localhost:%u/auth", fixture->test->port);
	g_autofree char *other_host = redirect_url(fixture, localhost);
	g_autofree char *there = g_strconcat(elsewhere->url, "/auth", NULL);
	g_autofree char *other_port = redirect_url(fixture, there);

	AUTO(http_response) home = perform_get(same, 1, NULL);
	assert_non_null(home);
	assert_string_equal(home->body, "Bearer secret");
	AUTO(http_response) away = perform_get(other_host, 1, NULL);
	assert_non_null(away);
	assert_string_equal(away->body, "(none)");
	AUTO(http_response) next_door = perform_get(other_port, 1, NULL);
	assert_non_null(next_door);
	assert_string_equal(next_door->body, "(none)");
	test_server_stop(elsewhere);
}

static void test_redirect_limits(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *inner = redirect_url(fixture, "/hello");
	g_autofree char *twice = redirect_url(fixture, inner);
	g_autofree char *file = redirect_url(fixture, "file:///etc/passwd");
	GError *error = NULL;

	assert_null(perform_get(twice, 1, &error));
	assert_failure(g_steal_pointer(&error), NET_ERROR_PROTOCOL, "127.0.0.1");
	AUTO(http_response) response = perform_get(twice, 2, NULL);
	assert_non_null(response);
	assert_string_equal(response->body, "hello");
	assert_null(perform_get(file, 5, &error));
	assert_failure(error, NET_ERROR_PROTOCOL, "127.0.0.1");
}

static void test_redirect_head_tells_the_last_url(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *url = redirect_url(fixture, "/hello");
	struct http_request request = {.url = url, .proxy = "", .max_redirects = 1};
	struct seen seen = {.fixture = fixture};

	seen.call = http_client_start(fixture->client, &request, &ops, &seen);
	loop_run(fixture->loop);
	assert_int_equal(seen.heads, 1);
	assert_int_equal(seen.status, 200);
	assert_int_equal(seen.bytes, 5);
	assert_true(g_str_has_suffix(seen.url, "/hello"));
	seen_clear(&seen);
}

/* --- without a loop, and blocking --------------------------------------------------------- */

static void test_methods_and_bodies(void **state)
{
	static const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE"};
	struct fixture *fixture = *state;
	g_autofree char *url = g_strconcat(fixture->test->url, "/echo", NULL);
	const char *headers[] = {"Content-Type: application/json", NULL};

	for (guint i = 0; i < G_N_ELEMENTS(methods); i++) {
		struct http_request request = {.method = methods[i],
		    .url = url,
		    .proxy = "",
		    .headers = headers,
		    .body = "a\0b",
		    .body_len = 3};
		AUTO(http_response) response = http_perform_fetch(&request, "t", NULL, NULL);
		assert_non_null(response);
		assert_int_equal(response->body_len, 3);
		assert_memory_equal(response->body, "a\0b", 4);
		assert_string_equal(http_response_header(response, "x-method"), methods[i]);
		assert_string_equal(
		    http_response_header(response, "content-type"), "application/json");
		/* Without a type and a body: none is made up. */
		request.headers = NULL;
		request.body = NULL;
		AUTO(http_response) empty = http_perform_fetch(&request, "t", NULL, NULL);
		assert_non_null(empty);
		assert_int_equal(empty->body_len, 0);
		assert_null(http_response_header(empty, "content-type"));
	}
	struct http_request head = {.method = "HEAD", .url = url, .proxy = ""};
	AUTO(http_response) response = http_perform_fetch(&head, "t", NULL, NULL);
	assert_non_null(response);
	assert_string_equal(http_response_header(response, "x-method"), "HEAD");
}

static void test_path_goes_out_as_it_is(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *url = g_strconcat(fixture->test->url, "/a/../hello", NULL);
	struct http_request request = {.url = url, .proxy = ""};
	AUTO(http_response) response = http_perform_fetch(&request, "t", NULL, NULL);

	assert_non_null(response);
	assert_int_equal(response->status, 404);
}

static void test_collected_limit(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *url = g_strconcat(fixture->test->url, "/stream?bytes=1000", NULL);
	struct http_request request = {.url = url, .proxy = "", .max_response_bytes = 1000};
	GError *error = NULL;
	AUTO(http_response) response = http_perform_fetch(&request, "t", NULL, NULL);

	assert_non_null(response);
	assert_int_equal(response->body_len, 1000);
	request.max_response_bytes = 999;
	assert_null(http_perform_fetch(&request, "t", NULL, &error));
	assert_failure(error, NET_ERROR_TOO_LARGE, "999");
}

static gpointer cancel_when_it_runs(gpointer data)
{
	struct {
		struct test_server *test;
		gint *cancelled;
	} *job = data;

	test_server_wait(job->test, &job->test->requests, 1);
	g_atomic_int_set(job->cancelled, 1);
	return NULL;
}

static void test_perform_cancelled(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *url = g_strconcat(fixture->test->url, "/hang", NULL);
	struct http_request request = {.url = url, .proxy = ""};
	gint cancelled = 0;
	struct {
		struct test_server *test;
		gint *cancelled;
	} job = {fixture->test, &cancelled};
	GThread *thread = g_thread_new("cancel", cancel_when_it_runs, &job);
	GError *error = NULL;

	assert_null(http_perform_fetch(&request, "t", &cancelled, &error));
	g_thread_join(thread);
	assert_failure(error, NET_ERROR_CANCELLED, "cancelled");
}

struct many {
	struct fixture *fixture;
	int good;
};

static gpointer fetch_many(gpointer data)
{
	struct many *many = data;
	g_autofree char *url = g_strconcat(many->fixture->test->url, "/stream?bytes=50000", NULL);
	struct http_request request = {.url = url, .proxy = "", .timeout_ms = 20000};

	for (int i = 0; i < 25; i++) {
		AUTO(http_response)
		response = http_client_fetch(many->fixture->client, &request, NULL);
		many->good += response != NULL && response->body_len == 50000;
	}
	return NULL;
}

static void run_client_loop(struct fixture *fixture)
{
	fixture->thread = loop_run_in_thread(fixture->loop, "client");
}

static void test_fetch_from_many_threads(void **state)
{
	struct fixture *fixture = *state;
	struct many many[4];
	GThread *threads[4];

	run_client_loop(fixture);
	for (int i = 0; i < 4; i++) {
		many[i] = (struct many){fixture, 0};
		threads[i] = g_thread_new("fetch", fetch_many, &many[i]);
	}
	for (int i = 0; i < 4; i++) {
		g_thread_join(threads[i]);
		assert_int_equal(many[i].good, 25);
	}
}

static void test_fetch_errors(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *big = g_strconcat(fixture->test->url, "/stream?bytes=1000", NULL);
	g_autofree char *hang = g_strconcat(fixture->test->url, "/hang", NULL);
	struct http_request large = {.url = big, .proxy = "", .max_response_bytes = 10};
	struct http_request slow = {.url = hang, .proxy = "", .timeout_ms = 50};
	struct http_request wrong = {.url = "nonsense:"};
	GError *error = NULL;

	run_client_loop(fixture);
	assert_null(http_client_fetch(fixture->client, &large, &error));
	assert_failure(g_steal_pointer(&error), NET_ERROR_TOO_LARGE, "10 bytes");
	assert_null(http_client_fetch(fixture->client, &slow, &error));
	assert_failure(g_steal_pointer(&error), NET_ERROR_TIMEOUT, "50 ms");
	assert_null(http_client_fetch(fixture->client, &wrong, &error));
	assert_failure(error, NET_ERROR_INVALID, "not a");
}

/* Nobody runs the loop: the deadline holds all the same, and nothing is left behind. */
static void test_fetch_with_a_stuck_loop(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *url = g_strconcat(fixture->test->url, "/hello", NULL);
	struct http_request request = {.url = url, .proxy = "", .timeout_ms = 1};
	GError *error = NULL;

	assert_null(http_client_fetch(fixture->client, &request, &error));
	assert_failure(error, NET_ERROR_TIMEOUT, "loop did not answer");
}

static void free_client(void *data)
{
	struct fixture *fixture = data;

	http_client_free(g_steal_pointer(&fixture->client));
}

static gpointer fetch_hanging(gpointer data)
{
	struct fixture *fixture = data;
	g_autofree char *url = g_strconcat(fixture->test->url, "/hang", NULL);
	struct http_request request = {.url = url, .proxy = ""};
	GError *error = NULL;
	struct http_response *response = http_client_fetch(fixture->client, &request, &error);

	return response == NULL ? error : NULL;
}

static void test_fetch_ends_with_its_client(void **state)
{
	struct fixture *fixture = *state;

	run_client_loop(fixture);
	GThread *thread = g_thread_new("fetch", fetch_hanging, fixture);
	test_server_wait(fixture->test, &fixture->test->requests, 1);
	loop_post(fixture->loop, free_client, fixture);
	assert_failure(g_thread_join(thread), NET_ERROR_CANCELLED, "closed");
}

/* --- frame -------------------------------------------------------------------------------- */

static int set_up(void **state)
{
	struct fixture *fixture = g_new0(struct fixture, 1);

	fixture->test = test_server_start(NULL);
	fixture->loop = loop_new();
	fixture->client = http_client_new(fixture->loop, "net-test");
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	if (fixture->thread != NULL) {
		loop_post(fixture->loop, stop_soon, fixture->loop);
		g_thread_join(fixture->thread);
	}
	http_client_free(fixture->client);
	loop_free(fixture->loop);
	test_server_stop(fixture->test);
	g_free(fixture);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_one_call),
	    TEST(test_two_hundred_at_once),
	    TEST(test_cancel_before_it_began),
	    TEST(test_cancel_in_callbacks),
	    TEST(test_callbacks_refuse),
	    TEST(test_cancel_another_in_body),
	    TEST(test_client_free_in_body),
	    TEST(test_invalid_requests),
	    TEST(test_refused),
	    TEST(test_cut_off),
	    TEST(test_timeouts),
	    TEST(test_idle_is_not_slow),
	    TEST(test_head_too_large),
	    TEST(test_redirect_is_handed_out),
	    TEST(test_redirect_keeps_credentials_at_home),
	    TEST(test_redirect_limits),
	    TEST(test_redirect_head_tells_the_last_url),
	    TEST(test_methods_and_bodies),
	    TEST(test_path_goes_out_as_it_is),
	    TEST(test_collected_limit),
	    TEST(test_perform_cancelled),
	    TEST(test_fetch_from_many_threads),
	    TEST(test_fetch_errors),
	    TEST(test_fetch_with_a_stuck_loop),
	    TEST(test_fetch_ends_with_its_client),
	};

	return cmocka_run_group_tests_name("http_client", tests, NULL, NULL);
}
