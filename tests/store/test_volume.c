/* `fetch --into` as a process: a volume gets one model, from a store or from the registry. */
#include "fake_registry.h"
#include "lines_client.h"
#include "temp_dir.h"

#include "store/server.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { WEIGHTS_BYTES = 1 << 20 };

static const char *program; /* Why: cmocka hands no arguments to tests */

struct fixture {
	char *root, *volume, *mirrors;
	struct fake_registry *registry;
	GBytes *weights, *manifest;
	char *weights_path, *weights_file;
	struct registry_options options;
	struct content *content;
	struct loop *loop;
	GThread *thread;
	struct store_server *server;
	char *store;
};

static int setup(void **state)
{
	struct fixture *fixture = g_new0(struct fixture, 1);
	struct store_server_options options = {.host = "127.0.0.1", .retry_base_ms = 10};
	char *bytes = g_malloc(WEIGHTS_BYTES);
	g_autofree char *digest = NULL, *name = NULL, *directory = NULL;

	for (guint i = 0; i < WEIGHTS_BYTES; i++)
		bytes[i] = (char)(i % 251);
	fixture->root = temp_dir_new();
	fixture->volume = g_build_filename(fixture->root, "volume", NULL);
	g_mkdir_with_parents(fixture->volume, 0775);
	fixture->registry = fake_registry_new(0);
	fixture->weights = g_bytes_new_take(bytes, WEIGHTS_BYTES);
	fixture->manifest =
	    fake_registry_put_model(fixture->registry, "smollm2:135m", fixture->weights);
	fixture->weights_path = fake_registry_blob_path("smollm2:135m", fixture->weights);
	digest = fake_digest(fixture->weights);
	name = digest_file_name(digest);
	fixture->weights_file = g_strconcat("blobs/", name, NULL);
	fixture->mirrors = g_strdup_printf(
	    "registry.ollama.ai=http://127.0.0.1:%u", fake_registry_port(fixture->registry));
	fixture->options.mirrors = registry_parse_mirrors(fixture->mirrors, NULL);
	fixture->options.user_agent = "test/1";
	directory = g_build_filename(fixture->root, "store", NULL);
	fixture->content = content_open(directory, NULL);
	options.content = fixture->content;
	options.registry = &fixture->options;
	fixture->loop = loop_new();
	fixture->server = store_server_new(fixture->loop, &options, NULL);
	fixture->store = g_strdup_printf("http://127.0.0.1:%u", store_server_port(fixture->server));
	fixture->thread = loop_run_in_thread(fixture->loop, "store");
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	loop_stop(fixture->loop);
	g_thread_join(fixture->thread);
	store_server_free(fixture->server);
	loop_free(fixture->loop);
	content_free(fixture->content);
	fake_registry_free(fixture->registry);
	g_hash_table_unref(fixture->options.mirrors);
	g_bytes_unref(fixture->weights);
	g_bytes_unref(fixture->manifest);
	g_free(fixture->weights_path);
	g_free(fixture->weights_file);
	g_free(fixture->mirrors);
	g_free(fixture->store);
	g_free(fixture->volume);
	temp_dir_free(fixture->root);
	g_free(fixture);
	return 0;
}

/* Starts it; `extra` is one more argument or NULL. */
static GPid spawn(struct fixture *fixture, const char *store, const char *image, const char *uid,
    const char *extra)
{
	const char *const argv[] = {program, "fetch", "--store", store, "--image", image,
	    "--pod-uid", uid, "--into", fixture->volume, "--registry-mirrors", fixture->mirrors,
	    "--store-patience", "0", extra, NULL};
	g_autoptr(GError) error = NULL;
	GPid pid;

	if (!g_spawn_async(NULL, (char **)argv, NULL,
		G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, &pid, &error))
		fail_msg("%s", error->message);
	return pid;
}

static int wait_for(GPid pid)
{
	int status = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int fetch(struct fixture *fixture, const char *store, const char *extra)
{
	return wait_for(spawn(fixture, store, "smollm2:135m", "pod-1", extra));
}

static void assert_filled(struct fixture *fixture)
{
	g_autoptr(GBytes) manifest =
	    temp_dir_read(fixture->volume, "manifests/registry.ollama.ai/library/smollm2/135m");
	g_autoptr(GBytes) weights = temp_dir_read(fixture->volume, fixture->weights_file);

	assert_non_null(manifest);
	assert_non_null(weights);
	assert_true(g_bytes_equal(manifest, fixture->manifest));
	assert_true(g_bytes_equal(weights, fixture->weights));
	assert_int_equal(temp_dir_entries(fixture->volume, "partial"), -1);
	assert_int_equal(temp_dir_entries(fixture->volume, "views"), -1);
	assert_int_equal(temp_dir_entries(fixture->volume, "pods"), -1);
}

/* A dead port: whoever connects is refused. */
#define NO_STORE "http://127.0.0.1:9"

static void from_the_store_with_one_pull_upstream(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *blobs = g_build_filename(fixture->volume, "blobs", NULL);
	g_autoptr(GBytes) other = NULL;

	g_mkdir_with_parents(blobs, 0775);
	temp_dir_write(fixture->volume, "blobs/sha256-other", "other", 5);
	assert_int_equal(fetch(fixture, fixture->store, NULL), 0);
	assert_filled(fixture);
	assert_int_equal(fake_registry_count(fixture->registry, fixture->weights_path), 1);
	other = temp_dir_read(fixture->volume, "blobs/sha256-other");
	assert_int_equal(g_bytes_get_size(other), 5);
	/* Again: nobody is asked, not even a store. */
	assert_int_equal(fetch(fixture, NO_STORE, NULL), 0);
	assert_int_equal(fake_registry_count(fixture->registry, "/manifests/"), 1);
}

static void without_a_store_from_the_registry_where_it_was(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *partial = g_build_filename(fixture->volume, "partial", NULL);
	g_autofree char *file =
	    g_strconcat("partial/", fixture->weights_file + strlen("blobs/"), NULL);
	g_autofree char *range = g_strdup_printf("Range:bytes=%d-", WEIGHTS_BYTES / 2);

	g_mkdir_with_parents(partial, 0775);
	temp_dir_write(
	    fixture->volume, file, g_bytes_get_data(fixture->weights, NULL), WEIGHTS_BYTES / 2);
	assert_int_equal(fetch(fixture, NO_STORE, NULL), 0);
	assert_filled(fixture);
	assert_int_equal(fake_registry_count(fixture->registry, range), 1);
}

static void damaged_bytes_are_thrown_away(void **state)
{
	struct fixture *fixture = *state;

	fake_registry_fault(fixture->registry, fixture->weights_path, FAULT_CORRUPT, 1, 0, NULL);
	assert_int_equal(fetch(fixture, NO_STORE, NULL), 0);
	assert_filled(fixture);
	assert_int_equal(fake_registry_count(fixture->registry, fixture->weights_path), 2);
}

static void many_pods_one_writer(void **state)
{
	enum { PODS = 4 };
	struct fixture *fixture = *state;
	GPid pids[PODS];

	for (guint i = 0; i < PODS; i++) {
		g_autofree char *uid = g_strdup_printf("pod-%u", i);

		pids[i] = spawn(fixture, NO_STORE, "smollm2:135m", uid, NULL);
	}
	for (guint i = 0; i < PODS; i++)
		assert_int_equal(wait_for(pids[i]), 0);
	assert_filled(fixture);
	assert_int_equal(fake_registry_count(fixture->registry, fixture->weights_path), 1);
}

/* Killed in the middle: its lock goes with it, and its own next container goes on at once. */
static void a_killed_writer_is_followed(void **state)
{
	struct fixture *fixture = *state;
	GPid pid;

	fake_registry_fault(fixture->registry, fixture->weights_path, FAULT_STALL, 1, 0, NULL);
	pid = spawn(fixture, NO_STORE, "smollm2:135m", "pod-1", NULL);
	while (fake_registry_count(fixture->registry, fixture->weights_path) == 0)
		g_usleep(1000);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(wait_for(pid), -1);
	assert_int_equal(fetch(fixture, NO_STORE, NULL), 0);
	assert_filled(fixture);
}

static void sigterm_ends_it_and_frees_the_volume(void **state)
{
	struct fixture *fixture = *state;
	GPid pid;

	fake_registry_fault(fixture->registry, fixture->weights_path, FAULT_STALL, 1, 0, NULL);
	pid = spawn(fixture, NO_STORE, "smollm2:135m", "pod-1", NULL);
	while (fake_registry_count(fixture->registry, fixture->weights_path) == 0)
		g_usleep(1000);
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_int_equal(wait_for(pid), 128 + SIGTERM);
	/* Another pod: it would wait half a minute for one that died. */
	pid = spawn(fixture, NO_STORE, "smollm2:135m", "pod-2", NULL);
	assert_int_equal(wait_for(pid), 0);
	assert_filled(fixture);
}

static void a_read_only_volume_is_only_looked_at(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(fetch(fixture, fixture->store, "--read-only"), 1);
	assert_int_equal(temp_dir_entries(fixture->root, "volume"), 0);
	assert_int_equal(fetch(fixture, fixture->store, NULL), 0);
	assert_int_equal(fetch(fixture, NO_STORE, "--read-only"), 0);
}

static void what_will_not_go_away_ends_it(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(wait_for(spawn(fixture, NO_STORE, "missing:1", "pod-1", NULL)), 1);
	assert_int_equal(wait_for(spawn(fixture, NO_STORE, "a b", "pod-1", NULL)), 1);
}

#define WITH_VOLUME(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    WITH_VOLUME(from_the_store_with_one_pull_upstream),
	    WITH_VOLUME(without_a_store_from_the_registry_where_it_was),
	    WITH_VOLUME(damaged_bytes_are_thrown_away),
	    WITH_VOLUME(many_pods_one_writer),
	    WITH_VOLUME(a_killed_writer_is_followed),
	    WITH_VOLUME(sigterm_ends_it_and_frees_the_volume),
	    WITH_VOLUME(a_read_only_volume_is_only_looked_at),
	    WITH_VOLUME(what_will_not_go_away_ends_it),
	};

	program = argc > 1 ? argv[1] : "ollama-operator";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
