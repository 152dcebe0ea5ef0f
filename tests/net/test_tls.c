/* Trust, names and client certificates, against `openssl s_server` with certificates of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/http_client.h"

#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
	char *dir;
	GBytes *ca, *other_ca, *cert, *key;
};

static char *path_of(const struct fixture *fixture, const char *name)
{
	return g_build_filename(fixture->dir, name, NULL);
}

/* Runs openssl in the directory; FALSE when it failed. */
static gboolean openssl(const struct fixture *fixture, const char *arguments)
{
	g_autofree char *line = g_strconcat("openssl ", arguments, NULL);
	g_auto(GStrv) argv = NULL;
	int status = -1;

	return g_shell_parse_argv(line, NULL, &argv, NULL) &&
	       g_spawn_sync(fixture->dir, argv, NULL,
		   G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL,
		   NULL, NULL, NULL, NULL, &status, NULL) &&
	       status == 0;
}

static GBytes *read_pem(const struct fixture *fixture, const char *name)
{
	g_autofree char *path = path_of(fixture, name);
	char *text;
	gsize len;

	assert_true(g_file_get_contents(path, &text, &len, NULL));
	return g_bytes_new_take(text, len);
}

#define NEW_KEY "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "

static gboolean make_certificates(struct fixture *fixture)
{
	g_autofree char *extensions = path_of(fixture, "server.ext");

	return g_file_set_contents(
		   extensions, "subjectAltName=DNS:server.test,DNS:localhost\n", -1, NULL) &&
	       openssl(fixture,
		   "req -x509 " NEW_KEY "-keyout ca.key -out ca.pem -days 2 -subj /CN=test-ca") &&
	       openssl(fixture, "req -x509 " NEW_KEY
				"-keyout other.key -out other.pem -days 2 -subj /CN=other-ca") &&
	       openssl(
		   fixture, "req " NEW_KEY "-keyout server.key -out server.csr -subj /CN=server") &&
	       openssl(fixture, "x509 -req -in server.csr -CA ca.pem -CAkey ca.key "
				"-CAcreateserial -days 2 -extfile server.ext -out server.pem") &&
	       openssl(
		   fixture, "req " NEW_KEY "-keyout client.key -out client.csr -subj /CN=client") &&
	       openssl(fixture, "x509 -req -in client.csr -CA ca.pem -CAkey ca.key "
				"-CAcreateserial -days 2 -out client.pem");
}

/* --- the server --------------------------------------------------------------------------- */

struct server {
	GPid pid;
	int out;
	guint16 port;
};

static void child_dies_with_us(gpointer data)
{
	(void)data;
	alarm(60);
}

/* It prints "ACCEPT 127.0.0.1:PORT" when it listens. */
static guint16 read_port(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	g_autoptr(GString) text = g_string_new(NULL);
	char c;

	while (!g_str_has_prefix(text->str, "ACCEPT ") || strchr(text->str, '\n') == NULL) {
		if (strchr(text->str, '\n') != NULL)
			g_string_truncate(text, 0);
		assert_int_equal(poll(&poll_fd, 1, 20000), 1);
		assert_int_equal(read(fd, &c, 1), 1);
		g_string_append_c(text, c);
	}
	return (guint16)g_ascii_strtoull(strrchr(text->str, ':') + 1, NULL, 10);
}

static struct server start_server(const struct fixture *fixture, const char *more)
{
	g_autofree char *line = g_strconcat("openssl s_server -accept 127.0.0.1:0 -cert server.pem "
					    "-key server.key -www -alpn http/1.1 ",
	    more, NULL);
	g_auto(GStrv) argv = NULL;
	struct server server = {0};

	assert_true(g_shell_parse_argv(line, NULL, &argv, NULL));
	assert_true(g_spawn_async_with_pipes(fixture->dir, argv, NULL,
	    G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDERR_TO_DEV_NULL,
	    child_dies_with_us, NULL, &server.pid, NULL, &server.out, NULL, NULL));
	server.port = read_port(server.out);
	return server;
}

static void stop_server(struct server *server)
{
	kill(server->pid, SIGKILL);
	waitpid(server->pid, NULL, 0);
	g_spawn_close_pid(server->pid);
	close(server->out);
}

static struct http_response *get(
    const struct server *server, const char *host, const struct http_tls *tls, GError **error)
{
	g_autofree char *url = g_strdup_printf("https://%s:%u/", host, server->port);
	struct http_request request = {.url = url, .proxy = "", .tls = tls, .timeout_ms = 20000};

	return http_perform_fetch(&request, "t", NULL, error);
}

static void assert_works(const struct server *server, const char *host, const struct http_tls *tls)
{
	g_autoptr(GError) error = NULL;
	AUTO(http_response) response = get(server, host, tls, &error);

	if (response == NULL)
		fail_msg("%s", error->message);
	assert_int_equal(response->status, 200);
	assert_non_null(strstr(response->body, "s_server"));
}

static void assert_refused(
    const struct server *server, const char *host, const struct http_tls *tls, const char *text)
{
	g_autoptr(GError) error = NULL;

	assert_null(get(server, host, tls, &error));
	if (!g_error_matches(error, NET_ERROR, NET_ERROR_TLS) ||
	    strstr(error->message, text) == NULL)
		fail_msg("expected TLS with '%s', got %d: %s", text, error->code, error->message);
	assert_false(net_error_is_temporary(error));
}

/* --- tests -------------------------------------------------------------------------------- */

static void test_trust(void **state)
{
	struct fixture *fixture = *state;
	struct server server = start_server(fixture, "");
	struct http_tls ours = {.ca_pem = fixture->ca}, other = {.ca_pem = fixture->other_ca};
	struct http_tls anyone = {.insecure = TRUE};

	assert_works(&server, "localhost", &ours);
	assert_refused(&server, "localhost", &other, "connect to localhost:");
	assert_refused(&server, "localhost", NULL, "certificate");
	assert_works(&server, "127.0.0.1", &anyone);
	stop_server(&server);
}

static void test_names(void **state)
{
	struct fixture *fixture = *state;
	struct server server = start_server(fixture, "");
	struct http_tls tls = {.ca_pem = fixture->ca};

	assert_refused(&server, "127.0.0.1", &tls, "127.0.0.1");
	tls.server_name = (char *)"server.test";
	assert_works(&server, "127.0.0.1", &tls);
	tls.server_name = (char *)"wrong.test";
	assert_refused(&server, "localhost", &tls, "connect to localhost:");
	stop_server(&server);
}

/* What s_server shows of its handshake is that the name went out as SNI. */
static void test_server_name_is_sent(void **state)
{
	struct fixture *fixture = *state;
	struct server server = start_server(fixture, "-servername server.test -servername_fatal "
						     "-cert2 server.pem -key2 server.key");
	struct http_tls tls = {.ca_pem = fixture->ca, .server_name = (char *)"server.test"};

	assert_works(&server, "127.0.0.1", &tls);
	tls.server_name = NULL;
	g_autoptr(GError) error = NULL;
	assert_null(get(&server, "localhost", &tls, &error));
	assert_true(g_error_matches(error, NET_ERROR, NET_ERROR_TLS));
	stop_server(&server);
}

static void test_client_certificate(void **state)
{
	struct fixture *fixture = *state;
	struct server server =
	    start_server(fixture, "-tls1_2 -Verify 2 -verify_return_error -CAfile ca.pem");
	struct http_tls with = {
	    .ca_pem = fixture->ca, .cert_pem = fixture->cert, .key_pem = fixture->key};
	struct http_tls without = {.ca_pem = fixture->ca};
	struct http_tls wrong_key = {
	    .ca_pem = fixture->ca, .cert_pem = fixture->cert, .key_pem = fixture->ca};

	assert_works(&server, "localhost", &with);
	assert_refused(&server, "localhost", &without, "localhost");
	assert_refused(&server, "localhost", &wrong_key, "localhost");
	stop_server(&server);
}

static void test_not_tls(void **state)
{
	struct fixture *fixture = *state;
	struct server server = start_server(fixture, "");
	g_autofree char *url = g_strdup_printf("http://127.0.0.1:%u/", server.port);
	struct http_request request = {.url = url, .proxy = "", .timeout_ms = 20000};
	g_autoptr(GError) error = NULL;

	/* Plain HTTP to a TLS port: an error in any case, and not one of certificates. */
	assert_null(http_perform_fetch(&request, "t", NULL, &error));
	assert_true(net_error_is_temporary(error));
	stop_server(&server);
}

static void test_fetch_over_tls(void **state)
{
	struct fixture *fixture = *state;
	struct server server = start_server(fixture, "");
	struct http_tls tls = {.ca_pem = fixture->ca};
	g_autofree char *url = g_strdup_printf("https://localhost:%u/", server.port);
	struct http_request request = {.url = url, .proxy = "", .tls = &tls, .timeout_ms = 20000};
	struct loop *loop = loop_new();
	struct http_client *client = http_client_new(loop, "t");
	GThread *thread = loop_run_in_thread(loop, "client");

	for (int i = 0; i < 3; i++) {
		AUTO(http_response) response = http_client_fetch(client, &request, NULL);
		assert_non_null(response);
		assert_int_equal(response->status, 200);
	}
	loop_stop(loop);
	g_thread_join(thread);
	http_client_free(client);
	loop_free(loop);
	stop_server(&server);
}

static int set_up(void **state)
{
	struct fixture *fixture = *state;

	fixture->ca = read_pem(fixture, "ca.pem");
	fixture->other_ca = read_pem(fixture, "other.pem");
	fixture->cert = read_pem(fixture, "client.pem");
	fixture->key = read_pem(fixture, "client.key");
	return 0;
}

static void remove_dir(const char *path)
{
	GDir *dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
		g_autofree char *file = g_build_filename(path, name, NULL);
		g_unlink(file);
	}
	if (dir != NULL)
		g_dir_close(dir);
	g_rmdir(path);
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	g_bytes_unref(fixture->ca);
	g_bytes_unref(fixture->other_ca);
	g_bytes_unref(fixture->cert);
	g_bytes_unref(fixture->key);
	return 0;
}

int main(void)
{
	struct fixture fixture = {.dir = g_dir_make_tmp("net-tls-XXXXXX", NULL)};
	void *state = &fixture;
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_prestate_setup_teardown(test_trust, set_up, tear_down, state),
	    cmocka_unit_test_prestate_setup_teardown(test_names, set_up, tear_down, state),
	    cmocka_unit_test_prestate_setup_teardown(
		test_server_name_is_sent, set_up, tear_down, state),
	    cmocka_unit_test_prestate_setup_teardown(
		test_client_certificate, set_up, tear_down, state),
	    cmocka_unit_test_prestate_setup_teardown(test_not_tls, set_up, tear_down, state),
	    cmocka_unit_test_prestate_setup_teardown(test_fetch_over_tls, set_up, tear_down, state),
	};
	g_autofree char *program = g_find_program_in_path("openssl");
	int failed = 0;

	if (program == NULL) {
		printf("1..0 # SKIP openssl is not installed\n");
	} else if (fixture.dir == NULL || !make_certificates(&fixture)) {
		printf("1..1\nnot ok 1 - certificates could not be made\n");
		failed = 1;
	} else {
		failed = cmocka_run_group_tests_name("tls", tests, NULL, NULL);
	}
	if (fixture.dir != NULL)
		remove_dir(fixture.dir);
	g_free(fixture.dir);
	return failed;
}
