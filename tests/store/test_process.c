/*
 * The program itself: `store`, `fetch` and `probe` as processes, killed and started again. The
 * path of the program is this one's first argument.
 */
#include "fake_registry.h"
#include "lines_client.h"
#include "temp_dir.h"

#include "base/lines.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { WEIGHTS_BYTES = 1 << 20 };

static const char *program; /* Why: cmocka hands no arguments to tests */

struct fixture {
	char *root;
	char *directory; /* the store's */
	struct fake_registry *registry;
	GBytes *weights, *manifest;
	char *weights_path;
	char *mirrors;
};

static int setup(void **state)
{
	struct fixture *fixture = g_new0(struct fixture, 1);
	char *bytes = g_malloc(WEIGHTS_BYTES);

	memset(bytes, 'w', WEIGHTS_BYTES);
	fixture->root = temp_dir_new();
	fixture->directory = g_build_filename(fixture->root, "store", NULL);
	fixture->registry = fake_registry_new(0);
	fixture->weights = g_bytes_new_take(bytes, WEIGHTS_BYTES);
	fixture->manifest =
	    fake_registry_put_model(fixture->registry, "smollm2:135m", fixture->weights);
	fixture->weights_path = fake_registry_blob_path("smollm2:135m", fixture->weights);
	fixture->mirrors = g_strdup_printf(
	    "registry.ollama.ai=http://127.0.0.1:%u", fake_registry_port(fixture->registry));
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	fake_registry_free(fixture->registry);
	g_bytes_unref(fixture->weights);
	g_bytes_unref(fixture->manifest);
	g_free(fixture->weights_path);
	g_free(fixture->mirrors);
	g_free(fixture->directory);
	temp_dir_free(fixture->root);
	g_free(fixture);
	return 0;
}

/* --- processes ------------------------------------------------------------------------------ */

struct process {
	GPid pid;
	FILE *out, *err;
};

static struct process start(const char *const *argv)
{
	struct process process;
	g_autoptr(GError) error = NULL;
	int out, err;

	if (!g_spawn_async_with_pipes(NULL, (char **)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL,
		NULL, &process.pid, NULL, &out, &err, &error))
		fail_msg("%s", error->message);
	process.out = fdopen(out, "r");
	process.err = fdopen(err, "r");
	return process;
}

/* Reads lines until one has `part`; the caller's. NULL: the end. */
static char *read_until(FILE *stream, const char *part)
{
	char line[4096];

	while (fgets(line, sizeof(line), stream) != NULL)
		if (strstr(line, part) != NULL)
			return g_strdup(line);
	return NULL;
}

/* Waits for its end. The exit code; 128 + signal. */
static int finish(struct process *process)
{
	int status;

	while (waitpid(process->pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	fclose(process->out);
	fclose(process->err);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int stop(struct process *process, int number)
{
	assert_int_equal(kill(process->pid, number), 0);
	return finish(process);
}

/* Starts a store; its URL, when it serves. `port` 0: any. */
static struct process start_store(struct fixture *fixture, guint16 port, char **ret_url)
{
	g_autofree char *listen = g_strdup_printf("127.0.0.1:%u", port);
	const char *const argv[] = {program, "store", "--directory", fixture->directory, "--listen",
	    listen, "--node", "node1", "--registry-mirrors", fixture->mirrors, NULL};
	struct process process = start(argv);
	g_autofree char *line = read_until(process.err, "store is ready");
	const char *at;

	assert_non_null(line);
	at = strstr(line, "listen=127.0.0.1:");
	assert_non_null(at);
	at += strlen("listen=");
	*ret_url = g_strdup_printf("http://%.*s", (int)strcspn(at, " "), at);
	return process;
}

static struct process start_fetch(const char *url, const char *uid, const char *image)
{
	const char *const argv[] = {program, "fetch", "--store", url, "--pod-uid", uid, "--image",
	    image, "--model", "default/m", NULL};

	return start(argv);
}

static guint16 free_port(void)
{
	struct sockaddr_in address = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	close(fd);
	return ntohs(address.sin_port);
}

static void assert_pod_sees_model(struct fixture *fixture, const char *uid)
{
	g_autofree char *path =
	    g_strdup_printf("pods/%s/manifests/registry.ollama.ai/library/smollm2/135m", uid);
	g_autofree char *digest = fake_digest(fixture->weights);
	g_autofree char *blob =
	    g_strdup_printf("pods/%s/blobs/sha256-%s", uid, digest + strlen("sha256:"));
	g_autoptr(GBytes) manifest = temp_dir_read(fixture->directory, path);
	g_autoptr(GBytes) weights = temp_dir_read(fixture->directory, blob);

	assert_non_null(manifest);
	assert_true(g_bytes_equal(manifest, fixture->manifest));
	assert_non_null(weights);
	assert_true(g_bytes_equal(weights, fixture->weights));
}

/* --- store and fetch ------------------------------------------------------------------------ */

static void fetch_gets_the_model(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *url = NULL, *line = NULL;
	struct process store = start_store(fixture, 0, &url);
	struct process fetch = start_fetch(url, "uid-1", "smollm2:135m");

	line = read_until(fetch.out, "smollm2:135m is ready");
	assert_non_null(line);
	assert_int_equal(finish(&fetch), 0);
	assert_pod_sees_model(fixture, "uid-1");
	assert_int_equal(stop(&store, SIGTERM), 0);
}

/* Killed in the middle of a transfer, the store goes on where it was, and so does the pod. */
static void a_killed_store_resumes(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *url = NULL, *again = NULL, *progress_url = NULL, *line = NULL;
	g_autofree char *half = g_strdup_printf("\"completed\":%d", WEIGHTS_BYTES / 2);
	g_autofree char *range = g_strdup_printf("Range:bytes=%d-", WEIGHTS_BYTES / 2);
	struct process store, fetch;
	struct lines_client *progress;
	guint16 port = free_port();

	fake_registry_fault(fixture->registry, fixture->weights_path, FAULT_STALL, 1, 0, NULL);
	store = start_store(fixture, port, &url);
	progress_url = g_strconcat(url, "/v1/progress", NULL);
	progress = lines_client_new(progress_url, NULL);
	fetch = start_fetch(url, "uid-1", "smollm2:135m");
	/* The config and the template have some 110 bytes, so the first four digits are those. */
	half[strlen(half) - 3] = '\0';
	line = lines_client_wait(progress, half);
	assert_non_null(line);
	assert_int_equal(stop(&store, SIGKILL), 128 + SIGKILL);
	lines_client_free(progress);
	assert_int_equal(temp_dir_entries(fixture->directory, "partial"), 1);
	store = start_store(fixture, port, &again);
	g_free(line);
	line = read_until(fetch.out, "is ready");
	assert_non_null(line);
	assert_int_equal(finish(&fetch), 0);
	assert_pod_sees_model(fixture, "uid-1");
	assert_int_equal(fake_registry_count(fixture->registry, range), 1);
	assert_int_equal(stop(&store, SIGTERM), 0);
}

static void fetch_waits_for_a_store(void **state)
{
	struct fixture *fixture = *state;
	guint16 port = free_port();
	g_autofree char *url = g_strdup_printf("http://127.0.0.1:%u", port);
	struct process fetch = start_fetch(url, "uid-1", "smollm2:135m");
	g_autofree char *line = read_until(fetch.out, "does not serve us");
	g_autofree char *ready = NULL, *again = NULL;
	struct process store;

	assert_non_null(line);
	assert_non_null(strstr(line, url));
	assert_non_null(strstr(line, "trying again in"));
	store = start_store(fixture, port, &again);
	ready = read_until(fetch.out, "is ready");
	assert_non_null(ready);
	assert_int_equal(finish(&fetch), 0);
	assert_int_equal(stop(&store, SIGTERM), 0);
}

static void fetch_says_why_it_waits(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *url = NULL, *line = NULL;
	struct process store = start_store(fixture, 0, &url);
	struct process fetch = start_fetch(url, "uid-1", "nope:1");

	line = read_until(fetch.out, "NotFound");
	assert_non_null(line);
	assert_non_null(strstr(line, "check spec.image"));
	/* As an init container it must end at once. */
	assert_int_equal(stop(&fetch, SIGTERM), 128 + SIGTERM);
	assert_int_equal(stop(&store, SIGTERM), 0);
}

static void fetch_gives_up_on_a_bad_request(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *url = NULL, *line = NULL, *flag = NULL;
	struct process store = start_store(fixture, 0, &url);
	struct process fetch = start_fetch(url, "uid-1", "../nope");
	const char *const argv[] = {program, "fetch", "--store", url, "--pod-uid", "u", NULL};

	line = read_until(fetch.err, "is no model name");
	assert_non_null(line);
	assert_int_equal(finish(&fetch), 1);
	fetch = start(argv);
	flag = read_until(fetch.err, "--image");
	assert_non_null(flag);
	assert_int_equal(finish(&fetch), 2);
	assert_int_equal(stop(&store, SIGTERM), 0);
}

static void fetch_installs_the_program(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *url = NULL, *line = NULL;
	g_autofree char *copy = g_build_filename(fixture->root, "ollama-operator", NULL);
	struct process store = start_store(fixture, 0, &url);
	const char *const argv[] = {program, "fetch", "--store", url, "--pod-uid", "u", "--image",
	    "smollm2:135m", "--install-to", fixture->root, NULL};
	const char *const version[] = {copy, "version", NULL};
	const char *const nowhere[] = {program, "fetch", "--store", url, "--pod-uid", "u",
	    "--image", "smollm2:135m", "--install-to", "/nonexistent", NULL};
	struct process process = start(argv);
	struct stat st;

	assert_int_equal(finish(&process), 0);
	assert_int_equal(stat(copy, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	/* The copy, and no leftover beside it but the store. */
	assert_int_equal(temp_dir_entries(fixture->root, "."), 2);
	process = start(version);
	line = read_until(process.out, "ollama-operator ");
	assert_non_null(line);
	assert_int_equal(finish(&process), 0);
	process = start(nowhere);
	assert_int_equal(finish(&process), 1);
	assert_int_equal(stop(&store, SIGTERM), 0);
}

static void a_second_store_refuses(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *url = NULL, *line = NULL;
	struct process store = start_store(fixture, 0, &url);
	const char *const argv[] = {
	    program, "store", "--directory", fixture->directory, "--listen", "127.0.0.1:0", NULL};
	struct process second = start(argv);

	line = read_until(second.err, "another store is using");
	assert_non_null(line);
	assert_int_equal(finish(&second), 1);
	assert_int_equal(stop(&store, SIGTERM), 0);
}

static void wrong_flags_are_one_sentence(void **state)
{
	static const char *const CASES[][3] = {
	    {"--listen", "here", "must be HOST:PORT"},
	    {"--listen", "127.0.0.1:99999", "must be HOST:PORT"},
	    {"--registry-mirrors", "a=ftp://b", "--registry-mirrors"},
	    {"--registry-mirrors", "a", "host=URL"},
	    {"--insecure-registries", "http://a", "--insecure-registries"},
	    {"--ca-file", "/nonexistent", "--ca-file"},
	    {"--log-level", "loud", "log level"},
	    {"--wrong", "x", "--wrong"},
	};
	struct fixture *fixture = *state;

	for (guint i = 0; i < G_N_ELEMENTS(CASES); i++) {
		const char *const argv[] = {program, "store", "--directory", fixture->directory,
		    CASES[i][0], CASES[i][1], NULL};
		struct process process = start(argv);
		g_autofree char *line = read_until(process.err, "");

		if (line == NULL || strstr(line, CASES[i][2]) == NULL)
			fail_msg("%s %s gave %s", CASES[i][0], CASES[i][1], line ?: "nothing");
		assert_int_equal(finish(&process), 2);
	}
}

/* --- probe ---------------------------------------------------------------------------------- */

static int probe(struct fixture *fixture, char **ret_error)
{
	g_autofree char *url =
	    g_strdup_printf("http://127.0.0.1:%u", fake_registry_port(fixture->registry));
	const char *const argv[] = {program, "probe", "--model", "phi", "--server", url, NULL};
	struct process process = start(argv);

	*ret_error = read_until(process.err, "");
	return finish(&process);
}

static void answer_with(struct fixture *fixture, const char *path, const char *text)
{
	g_autoptr(GBytes) bytes = g_bytes_new_static(text, strlen(text));

	fake_registry_put(fixture->registry, path, bytes);
}

static void probe_loads(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *error = NULL;

	answer_with(fixture, "/api/generate",
	    "{\"model\":\"phi\",\"response\":\"\",\"done\":true,\"done_reason\":\"load\"}");
	assert_int_equal(probe(fixture, &error), 0);
	assert_null(error);
	assert_int_equal(fake_registry_count(fixture->registry, "POST /api/generate"), 1);
	assert_int_equal(fake_registry_count(fixture->registry, "/api/embed"), 0);
}

static void probe_loads_an_embedding_model(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *error = NULL;

	answer_with(
	    fixture, "/api/generate", "{\"error\":\"\\\"phi\\\" does not support generate\"}");
	answer_with(fixture, "/api/embed", "{\"model\":\"phi\",\"embeddings\":[]}");
	assert_int_equal(probe(fixture, &error), 0);
	assert_null(error);
	assert_int_equal(fake_registry_count(fixture->registry, "POST /api/embed"), 1);
}

static void probe_says_why_not(void **state)
{
	static const char *const CASES[][2] = {
	    {"{\"error\":\"llama runner terminated:\\nout of memory\"}",
		"llama runner terminated: out of memory"},
	    {"{\"done\":false}", "does not say that the model is loaded"},
	    {"<html>", "does not say that the model is loaded"},
	};
	struct fixture *fixture = *state;
	g_autofree char *refused = NULL, *missing = NULL;

	for (guint i = 0; i < G_N_ELEMENTS(CASES); i++) {
		g_autofree char *error = NULL;

		answer_with(fixture, "/api/generate", CASES[i][0]);
		assert_int_equal(probe(fixture, &error), 1);
		if (error == NULL || strstr(error, CASES[i][1]) == NULL)
			fail_msg("%s gave %s", CASES[i][0], error ?: "nothing");
	}
	fake_registry_fault(fixture->registry, "/api/generate", FAULT_STATUS, 1, 503, NULL);
	assert_int_equal(probe(fixture, &missing), 1);
	assert_non_null(strstr(missing, "status 503"));
	g_clear_pointer(&fixture->registry, fake_registry_free);
	fixture->registry = fake_registry_new(0);
	answer_with(fixture, "/api/generate", "{\"error\":\"model 'phi' not found\"}");
	assert_int_equal(probe(fixture, &refused), 1);
	assert_non_null(strstr(refused, "model 'phi' not found"));
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    WITH_STORE(fetch_gets_the_model),
	    WITH_STORE(a_killed_store_resumes),
	    WITH_STORE(fetch_waits_for_a_store),
	    WITH_STORE(fetch_says_why_it_waits),
	    WITH_STORE(fetch_gives_up_on_a_bad_request),
	    WITH_STORE(fetch_installs_the_program),
	    WITH_STORE(a_second_store_refuses),
	    WITH_STORE(wrong_flags_are_one_sentence),
	    WITH_STORE(probe_loads),
	    WITH_STORE(probe_loads_an_embedding_model),
	    WITH_STORE(probe_says_why_not),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: %s PROGRAM\n", argv[0]);
		return 2;
	}
	program = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
