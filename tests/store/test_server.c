/* The store's HTTP API: streams of states, what they end with, what is refused. */
#include "store/server.h"

#include "fake_registry.h"
#include "lines_client.h"
#include "temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
	char *root;
	struct fake_registry *registry;
	struct content *content;
	struct registry_options options;
	struct loop *loop;
	GThread *thread;
	struct store_server *server;
	GBytes *weights, *manifest;
	char *weights_path;
	char *base;
};

static int setup(void **state)
{
	struct fixture *fixture = g_new0(struct fixture, 1);
	g_autofree char *mirror = NULL;
	char *bytes = g_malloc(1 << 20);
	struct store_server_options options = {.host = "127.0.0.1",
	    .node = "node1",
	    .retry_base_ms = 10,
	    .retry_cap_ms = 10,
	    .retry_late_ms = 3600 * 1000,
	    .flush_ms = 20,
	    .heartbeat_ms = 50};

	memset(bytes, 'w', 1 << 20);
	fixture->root = temp_dir_new();
	fixture->registry = fake_registry_new(0);
	fixture->weights = g_bytes_new_take(bytes, 1 << 20);
	fixture->manifest =
	    fake_registry_put_model(fixture->registry, "smollm2:135m", fixture->weights);
	fixture->weights_path = fake_registry_blob_path("smollm2:135m", fixture->weights);
	mirror = g_strdup_printf(
	    "registry.ollama.ai=http://127.0.0.1:%u", fake_registry_port(fixture->registry));
	fixture->options.mirrors = registry_parse_mirrors(mirror, NULL);
	fixture->options.user_agent = "test/1";
	fixture->content = content_open(fixture->root, NULL);
	options.content = fixture->content;
	options.registry = &fixture->options;
	fixture->loop = loop_new();
	fixture->server = store_server_new(fixture->loop, &options, NULL);
	if (fixture->server == NULL)
		return -1;
	fixture->base = g_strdup_printf("http://127.0.0.1:%u", store_server_port(fixture->server));
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
	g_free(fixture->base);
	temp_dir_free(fixture->root);
	g_free(fixture);
	return 0;
}

static struct lines_client *want(
    struct fixture *fixture, const char *image, const char *uid, const char *policy)
{
	g_autofree char *url = g_strconcat(fixture->base, "/v1/views", NULL);
	g_autofree char *body = g_strdup_printf("{\"image\":\"%s\",\"podUID\":\"%s\","
						"\"model\":\"default/m\",\"pullPolicy\":\"%s\"}",
	    image, uid, policy);

	return lines_client_new(url, body);
}

static struct lines_client *watch(struct fixture *fixture)
{
	g_autofree char *url = g_strconcat(fixture->base, "/v1/progress", NULL);

	return lines_client_new(url, NULL);
}

/* The member of a line, as text; NULL: not there. The caller's. */
static char *member(const char *line, const char *key)
{
	g_autoptr(yyjson_doc) doc = json_parse(line, strlen(line), NULL);
	yyjson_val *value = json_at(yyjson_doc_get_root(doc), key, NULL);

	assert_non_null(doc);
	if (value == NULL)
		return NULL;
	return yyjson_is_str(value) ? g_strdup(yyjson_get_str(value)) : json_print(value, NULL);
}

static void assert_member(const char *line, const char *key, const char *expected)
{
	g_autofree char *value = member(line, key);

	if (g_strcmp0(value, expected) != 0)
		fail_msg("\"%s\" is %s, not %s, in %s", key, value ?: "missing",
		    expected ?: "missing", line);
}

/* --- views ---------------------------------------------------------------------------------- */

static void a_view_stream_ends_with_ready(void **state)
{
	struct fixture *fixture = *state;
	AUTO(lines_client) client = want(fixture, "smollm2:135m", "uid-1", "IfNotPresent");
	g_autofree char *first = lines_client_wait(client, "{");
	g_autofree char *ready = lines_client_wait(client, "\"Ready\"");
	g_autofree char *after = lines_client_wait(client, "{");
	g_autofree char *digest = fake_digest(fixture->manifest);
	g_autofree char *view = NULL, *path = NULL, *target = NULL, *expected = NULL;
	g_autoptr(GBytes) manifest = NULL;

	assert_int_equal(lines_client_join(client), 200);
	assert_null(after);
	assert_non_null(first);
	assert_member(first, "image", "registry.ollama.ai/library/smollm2:135m");
	assert_member(first, "node", "node1");
	assert_member(ready, "digest", digest);
	assert_member(ready, "family", "llama");
	assert_member(ready, "parameters", "134.52M");
	assert_member(ready, "quantization", "Q4_1");
	assert_member(ready, "reason", NULL);
	assert_member(ready, "bytesPerSecond", NULL);
	view = member(ready, "view");
	path = g_build_filename(fixture->root, "pods/uid-1", NULL);
	target = g_file_read_link(path, NULL);
	expected = g_strconcat("../views/", view, NULL);
	assert_string_equal(target, expected);
	/* Through the pod's link, as the pod sees it. */
	manifest = temp_dir_read(
	    fixture->root, "pods/uid-1/manifests/registry.ollama.ai/library/smollm2/135m");
	assert_true(g_bytes_equal(manifest, fixture->manifest));
}

static void many_pods_are_one_transfer(void **state)
{
	enum { PODS = 12 };
	struct fixture *fixture = *state;
	struct lines_client *clients[PODS];

	for (guint i = 0; i < PODS; i++) {
		g_autofree char *uid = g_strdup_printf("uid-%u", i);

		clients[i] = want(fixture, "smollm2:135m", uid, "IfNotPresent");
	}
	for (guint i = 0; i < PODS; i++) {
		g_autofree char *ready = lines_client_wait(clients[i], "\"Ready\"");

		assert_non_null(ready);
		lines_client_free(clients[i]);
	}
	assert_int_equal(temp_dir_entries(fixture->root, "pods"), PODS);
	assert_int_equal(fake_registry_count(fixture->registry, fixture->weights_path), 1);
	assert_int_equal(fake_registry_count(fixture->registry, "/manifests/"), 1);
}

/* A failure is told and is not the end: the same stream hears of the recovery. */
static void a_failed_pull_does_not_end_the_stream(void **state)
{
	struct fixture *fixture = *state;
	AUTO(lines_client) client = NULL;
	g_autofree char *failed = NULL, *ready = NULL;

	fake_registry_fault(fixture->registry, "/manifests/", FAULT_STATUS, 20, 500, NULL);
	client = want(fixture, "smollm2:135m", "uid-1", "IfNotPresent");
	failed = lines_client_wait(client, "\"Failed\"");
	assert_member(failed, "reason", "RegistryUnavailable");
	assert_member(failed, "digest", NULL);
	assert_member(failed, "size", NULL);
	ready = lines_client_wait(client, "\"Ready\"");
	assert_non_null(ready);
}

static void a_client_that_leaves_cancels_nothing(void **state)
{
	struct fixture *fixture = *state;
	AUTO(lines_client) progress = watch(fixture);
	AUTO(lines_client) client = NULL;
	g_autofree char *pulling = NULL, *ready = NULL;

	fake_registry_fault(fixture->registry, fixture->weights_path, FAULT_TRUNCATE, 1, 0, NULL);
	client = want(fixture, "smollm2:135m", "uid-1", "IfNotPresent");
	pulling = lines_client_wait(client, "\"image\"");
	assert_non_null(pulling);
	lines_client_free(g_steal_pointer(&client));
	/* A second pod wants it; whatever the first one's leaving did, this must end well. */
	client = want(fixture, "smollm2:135m", "uid-2", "IfNotPresent");
	ready = lines_client_wait(client, "\"Ready\"");
	assert_non_null(ready);
	assert_int_equal(temp_dir_entries(fixture->root, "partial"), 0);
}

static void always_is_queued_while_others_are_ready(void **state)
{
	struct fixture *fixture = *state;
	AUTO(lines_client) one = want(fixture, "smollm2:135m", "uid-1", "IfNotPresent");
	g_autofree char *first = lines_client_wait(one, "\"Ready\"");
	AUTO(lines_client) two = NULL;
	AUTO(lines_client) three = NULL;
	g_autofree char *failed = NULL, *second = NULL;

	assert_non_null(first);
	fake_registry_fault(fixture->registry, "/manifests/", FAULT_STATUS, -1, 403, NULL);
	two = want(fixture, "smollm2:135m", "uid-2", "Always");
	failed = lines_client_wait(two, "\"Denied\"");
	assert_non_null(failed);
	three = want(fixture, "smollm2:135m", "uid-3", "IfNotPresent");
	second = lines_client_wait(three, "\"Ready\"");
	assert_non_null(second);
	assert_int_equal(temp_dir_entries(fixture->root, "pods"), 2);
}

static void bad_requests(void **state)
{
	static const struct {
		const char *body, *words;
	} CASES[] = {
	    {"{\"image\":\"../x\",\"podUID\":\"u\"}", "no model name"},
	    {"{\"image\":\"phi\",\"podUID\":\"../../etc\"}", "podUID must be"},
	    {"{\"image\":\"phi\",\"podUID\":\"\"}", "podUID must be"},
	    {"{\"image\":\"phi\"}", "podUID must be"},
	    {"{\"podUID\":\"u\"}", "names no image"},
	    {"{\"image\":5,\"podUID\":\"u\"}", "names no image"},
	    {"{\"image\":\"phi\",\"podUID\":\"u\",\"pullPolicy\":\"Sometimes\"}", "pullPolicy"},
	    {"[]", "names no image"},
	    {"", ""},
	    {"{", ""},
	};
	struct fixture *fixture = *state;
	g_autofree char *url = g_strconcat(fixture->base, "/v1/views", NULL);

	for (guint i = 0; i < G_N_ELEMENTS(CASES); i++) {
		AUTO(lines_client) client = lines_client_new(url, CASES[i].body);
		g_autofree char *line = NULL;
		struct http_request request = {.method = "POST",
		    .url = url,
		    .body = CASES[i].body,
		    .body_len = strlen(CASES[i].body),
		    .proxy = ""};
		AUTO(http_response) response = http_perform_fetch(&request, "t/1", NULL, NULL);

		assert_non_null(response);
		assert_int_equal(response->status, 400);
		line = member(response->body, "error");
		if (line == NULL || strstr(line, CASES[i].words) == NULL)
			fail_msg("%s gave %s", CASES[i].body, response->body);
		assert_int_equal(lines_client_join(client), 400);
	}
	assert_int_equal(temp_dir_entries(fixture->root, "pods"), 0);
	assert_int_equal(fake_registry_count(fixture->registry, "GET"), 0);
}

static int status_of(
    struct fixture *fixture, const char *method, const char *path, const char *body)
{
	g_autofree char *url = g_strconcat(fixture->base, path, NULL);
	struct http_request request = {.method = method,
	    .url = url,
	    .body = body,
	    .body_len = body == NULL ? 0 : strlen(body),
	    .proxy = ""};
	AUTO(http_response) response = http_perform_fetch(&request, "t/1", NULL, NULL);

	return response == NULL ? 0 : response->status;
}

static void routes(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *large = g_strnfill(70 * 1024, 'x');

	assert_int_equal(status_of(fixture, "GET", "/healthz", NULL), 200);
	assert_int_equal(status_of(fixture, "HEAD", "/healthz", NULL), 200);
	assert_int_equal(status_of(fixture, "GET", "/readyz", NULL), 200);
	assert_int_equal(status_of(fixture, "GET", "/", NULL), 404);
	assert_int_equal(status_of(fixture, "GET", "/v1/views", NULL), 405);
	assert_int_equal(status_of(fixture, "POST", "/v1/progress", "{}"), 405);
	assert_int_equal(status_of(fixture, "DELETE", "/healthz", NULL), 405);
	assert_int_equal(status_of(fixture, "POST", "/v1/views", large), 413);
}

/* --- progress ------------------------------------------------------------------------------- */

static void progress_tells_what_is_there_then_what_changes(void **state)
{
	struct fixture *fixture = *state;
	g_autoptr(GBytes) manifest =
	    fake_registry_put_model(fixture->registry, "other:1", fixture->weights);
	AUTO(lines_client) one = want(fixture, "smollm2:135m", "uid-1", "IfNotPresent");
	g_autofree char *ready = lines_client_wait(one, "\"Ready\"");
	AUTO(lines_client) progress = watch(fixture);
	g_autofree char *known = lines_client_wait(progress, "{");
	g_autofree char *synced = lines_client_wait(progress, "{");
	AUTO(lines_client) two = want(fixture, "other:1", "uid-2", "IfNotPresent");
	g_autofree char *changed = lines_client_wait(progress, "\"Ready\"");

	assert_non_null(manifest);
	assert_non_null(ready);
	assert_member(known, "image", "registry.ollama.ai/library/smollm2:135m");
	assert_member(known, "phase", "Ready");
	assert_member(known, "view", NULL);
	assert_string_equal(synced, "{\"synced\":true}");
	assert_member(changed, "image", "registry.ollama.ai/library/other:1");
	assert_member(changed, "node", "node1");
}

/* What was pulled in an earlier life is known without a request. */
static void progress_knows_what_an_earlier_store_pulled(void **state)
{
	struct fixture *fixture = *state;
	AUTO(lines_client) one = want(fixture, "smollm2:135m", "uid-1", "IfNotPresent");
	g_autofree char *ready = lines_client_wait(one, "\"Ready\"");
	struct store_server_options options = {.host = "127.0.0.1",
	    .node = "node1",
	    .content = fixture->content,
	    .registry = &fixture->options};
	AUTO(lines_client) progress = NULL;
	g_autofree char *known = NULL, *url = NULL;

	assert_non_null(ready);
	loop_stop(fixture->loop);
	g_thread_join(fixture->thread);
	store_server_free(fixture->server);
	fixture->server = store_server_new(fixture->loop, &options, NULL);
	url =
	    g_strdup_printf("http://127.0.0.1:%u/v1/progress", store_server_port(fixture->server));
	fixture->thread = loop_run_in_thread(fixture->loop, "store");
	progress = lines_client_new(url, NULL);
	known = lines_client_wait(progress, "{");
	assert_member(known, "phase", "Ready");
	assert_member(known, "family", "llama");
	assert_int_equal(fake_registry_count(fixture->registry, "/manifests/"), 1);
}

/* Raw bytes: the heartbeat is an empty line, which NDJSON readers pass over. */
struct heartbeat {
	guint newlines;
};

static gboolean count_newlines(void *data, const char *bytes, gsize len)
{
	struct heartbeat *heartbeat = data;

	for (gsize i = 0; i < len; i++)
		heartbeat->newlines += bytes[i] == '\n';
	return heartbeat->newlines < 4;
}

static void an_idle_stream_has_a_heartbeat(void **state)
{
	static const struct http_call_ops OPS = {.body = count_newlines};
	struct fixture *fixture = *state;
	g_autofree char *url = g_strconcat(fixture->base, "/v1/progress", NULL);
	struct http_request request = {
	    .method = "GET", .url = url, .proxy = "", .idle_timeout_ms = 20 * 1000};
	struct heartbeat heartbeat = {0};

	assert_false(http_perform(&request, "t/1", &OPS, &heartbeat, NULL, NULL));
	assert_int_equal(heartbeat.newlines, 4);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_STORE(a_view_stream_ends_with_ready),
	    WITH_STORE(many_pods_are_one_transfer),
	    WITH_STORE(a_failed_pull_does_not_end_the_stream),
	    WITH_STORE(a_client_that_leaves_cancels_nothing),
	    WITH_STORE(always_is_queued_while_others_are_ready),
	    WITH_STORE(bad_requests),
	    WITH_STORE(routes),
	    WITH_STORE(progress_tells_what_is_there_then_what_changes),
	    WITH_STORE(progress_knows_what_an_earlier_store_pulled),
	    WITH_STORE(an_idle_stream_has_a_heartbeat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
