/* Many calls at once share one HTTP/2 connection, and all come whole; against nghttpd. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/http_client.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS 150
#define FILE_BYTES 200000

struct fixture {
	char *dir, *log, *url;
	GPid pid;
	struct http_tls tls;
	struct loop *loop;
	int left, bad;
	gint64 bytes;
};

static gboolean on_body(void *data, const char *bytes, gsize len)
{
	struct fixture *fixture = data;

	(void)bytes;
	fixture->bytes += (gint64)len;
	return TRUE;
}

static void on_done(void *data, const GError *error)
{
	struct fixture *fixture = data;

	if (error != NULL) {
		print_error("%s\n", error->message);
		fixture->bad++;
	}
	if (--fixture->left == 0)
		loop_stop(fixture->loop);
}

/* How many connections the server's log speaks of: "[id=N]" begins its lines. */
static guint count_connections(const struct fixture *fixture)
{
	g_autoptr(GHashTable) ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autofree char *log = NULL;

	assert_true(g_file_get_contents(fixture->log, &log, NULL, NULL));
	for (const char *at = log; (at = strstr(at, "[id=")) != NULL; at++)
		g_hash_table_add(ids, g_strndup(at, strcspn(at, "]")));
	return g_hash_table_size(ids);
}

static void test_one_connection_for_all(void **state)
{
	static const struct http_call_ops ops = {NULL, on_body, on_done};
	struct fixture *fixture = *state;
	struct http_request request = {
	    .url = fixture->url, .proxy = "", .tls = &fixture->tls, .idle_timeout_ms = 20000};
	guint before = count_connections(fixture);

	fixture->loop = loop_new();
	struct http_client *client = http_client_new(fixture->loop, "t");
	fixture->left = CALLS;
	for (int i = 0; i < CALLS; i++)
		http_client_start(client, &request, &ops, fixture);
	loop_run(fixture->loop);
	assert_int_equal(fixture->bad, 0);
	assert_int_equal(fixture->bytes, (gint64)CALLS * FILE_BYTES);
	assert_int_equal(count_connections(fixture), before + 1);
	http_client_free(client);
	loop_free(fixture->loop);
}

static gboolean run(const struct fixture *fixture, const char *line)
{
	g_auto(GStrv) argv = NULL;
	int status = -1;

	return g_shell_parse_argv(line, NULL, &argv, NULL) &&
	       g_spawn_sync(fixture->dir, argv, NULL,
		   G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL,
		   NULL, NULL, NULL, NULL, &status, NULL) &&
	       status == 0;
}

static int free_port(void)
{
	struct sockaddr_in address = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	close(fd);
	return ntohs(address.sin_port);
}

static void child_set_up(gpointer data)
{
	dup2(GPOINTER_TO_INT(data), STDOUT_FILENO);
	/* It ends even when this program does not get to end it. */
	alarm(60);
}

/* It does not say when it listens in a way that can be waited for, so: ask until it answers. */
static gboolean answers(struct fixture *fixture)
{
	struct http_request request = {.url = fixture->url, .proxy = "", .tls = &fixture->tls};

	for (int i = 0; i < 1000; i++) {
		AUTO(http_response) response = http_perform_fetch(&request, "t", NULL, NULL);
		if (response != NULL && response->status == 200)
			return TRUE;
		g_usleep(10000);
	}
	return FALSE;
}

static int set_up(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *content = g_strnfill(FILE_BYTES, 'x');
	g_autofree char *file = g_build_filename(fixture->dir, "file", NULL);
	g_autofree char *cert = g_build_filename(fixture->dir, "cert.pem", NULL);
	int port = free_port();
	g_autofree char *line =
	    g_strdup_printf("nghttpd -v -m 1000 -a 127.0.0.1 %d key.pem cert.pem", port);
	g_auto(GStrv) argv = NULL;
	char *pem;
	gsize len;

	assert_true(run(fixture, "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
				 "-nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost "
				 "-addext subjectAltName=DNS:localhost"));
	assert_true(g_file_get_contents(cert, &pem, &len, NULL));
	fixture->tls.ca_pem = g_bytes_new_take(pem, len);
	assert_true(g_file_set_contents(file, content, -1, NULL));
	fixture->url = g_strdup_printf("https://localhost:%d/file", port);
	fixture->log = g_build_filename(fixture->dir, "log", NULL);
	int log = open(fixture->log, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(log >= 0 && g_shell_parse_argv(line, NULL, &argv, NULL));
	assert_true(
	    g_spawn_async(fixture->dir, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD,
		child_set_up, GINT_TO_POINTER(log), &fixture->pid, NULL));
	close(log);
	assert_true(answers(fixture));
	return 0;
}

static int tear_down(void **state)
{
	static const char *const files[] = {"file", "cert.pem", "key.pem", "log"};
	struct fixture *fixture = *state;

	kill(fixture->pid, SIGKILL);
	waitpid(fixture->pid, NULL, 0);
	g_bytes_unref(fixture->tls.ca_pem);
	for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *path = g_build_filename(fixture->dir, files[i], NULL);
		g_unlink(path);
	}
	g_rmdir(fixture->dir);
	g_free(fixture->url);
	g_free(fixture->log);
	return 0;
}

int main(void)
{
	struct fixture fixture = {0};
	void *state = &fixture;
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_prestate_setup_teardown(
		test_one_connection_for_all, set_up, tear_down, state),
	};
	g_autofree char *openssl = g_find_program_in_path("openssl");
	g_autofree char *nghttpd = g_find_program_in_path("nghttpd");

	if (openssl == NULL || nghttpd == NULL) {
		printf("1..0 # SKIP openssl or nghttpd is not installed\n");
		return 0;
	}
	fixture.dir = g_dir_make_tmp("net-http2-XXXXXX", NULL);
	int failed = cmocka_run_group_tests_name("http2", tests, NULL, NULL);
	g_free(fixture.dir);
	return failed;
}
