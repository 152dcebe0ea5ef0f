/* The store as a registry: what stock Ollama and `fetch --into` read from it. */
#include "store/server.h"

#include "fake_registry.h"
#include "lines_client.h"
#include "temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <glib/gstdio.h>

#include <cmocka.h>

enum { WEIGHTS_BYTES = 300 * 1000 };

struct fixture {
	char *root;
	struct fake_registry *registry;
	struct content *content;
	struct registry_options options;
	struct loop *loop;
	GThread *thread;
	struct store_server *server;
	GBytes *weights, *manifest;
	char *base;
};

/* A store that has "smollm2:135m" and "other.example:5000/ns/tiny:1". */
static int setup(void **state)
{
	struct fixture *fixture = g_new0(struct fixture, 1);
	struct store_server_options options = {.host = "127.0.0.1", .retry_base_ms = 10};
	static const char *const IMAGES[] = {"smollm2:135m", "other.example:5000/ns/tiny:1"};
	char *bytes = g_malloc(WEIGHTS_BYTES);

	g_autofree char *mirrors = NULL, *url = NULL;

	for (guint i = 0; i < WEIGHTS_BYTES; i++)
		bytes[i] = (char)(i % 251);
	fixture->root = temp_dir_new();
	fixture->registry = fake_registry_new(0);
	fixture->weights = g_bytes_new_take(bytes, WEIGHTS_BYTES);
	fixture->manifest =
	    fake_registry_put_model(fixture->registry, "smollm2:135m", fixture->weights);
	/* The fake knows names of the default namespace: the other host's model is told by hand. */
	fake_registry_put(fixture->registry, "/v2/ns/tiny/manifests/1", fixture->manifest);
	mirrors = g_strdup_printf("registry.ollama.ai=http://127.0.0.1:%u,"
				  "other.example:5000=http://127.0.0.1:%u",
	    fake_registry_port(fixture->registry), fake_registry_port(fixture->registry));
	fixture->options.mirrors = registry_parse_mirrors(mirrors, NULL);
	fixture->options.user_agent = "test/1";
	fixture->content = content_open(fixture->root, NULL);
	options.content = fixture->content;
	options.registry = &fixture->options;
	fixture->loop = loop_new();
	fixture->server = store_server_new(fixture->loop, &options, NULL);
	fixture->base = g_strdup_printf("http://127.0.0.1:%u", store_server_port(fixture->server));
	fixture->thread = loop_run_in_thread(fixture->loop, "store");
	url = g_strconcat(fixture->base, "/v1/pulls", NULL);
	for (guint i = 0; i < G_N_ELEMENTS(IMAGES); i++) {
		g_autofree char *body = g_strdup_printf("{\"image\":\"%s\"}", IMAGES[i]);
		AUTO(lines_client) client = lines_client_new(url, body);
		g_autofree char *ready = lines_client_wait(client, "\"Ready\"");

		if (ready == NULL || strstr(ready, "\"view\"") != NULL)
			return -1;
	}
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
	g_free(fixture->base);
	temp_dir_free(fixture->root);
	g_free(fixture);
	return 0;
}

static struct http_response *ask(
    struct fixture *fixture, const char *method, const char *path, const char *header)
{
	g_autofree char *url = g_strconcat(fixture->base, path, NULL);
	const char *const headers[] = {header, NULL};
	struct http_request request = {
	    .method = method, .url = url, .headers = headers, .proxy = ""};
	g_autoptr(GError) error = NULL;
	struct http_response *response = http_perform_fetch(&request, "t/1", NULL, &error);

	if (response == NULL)
		fail_msg("%s %s: %s", method, path, error->message);
	return response;
}

static void assert_header(
    const struct http_response *response, const char *name, const char *expected)
{
	const char *value = http_response_header(response, name);

	if (g_strcmp0(value, expected) != 0)
		fail_msg("%s is %s, not %s", name, value ?: "missing", expected ?: "missing");
}

static void no_pod_is_given_a_view_by_a_pull(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(temp_dir_entries(fixture->root, "pods"), 0);
}

static void a_manifest_by_tag_in_any_case_and_by_digest(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *digest = fake_digest(fixture->manifest);
	g_autofree char *by_digest = g_strconcat("/v2/library/smollm2/manifests/", digest, NULL);
	g_autofree char *other = g_strconcat("/v2/library/other/manifests/", digest, NULL);
	const char *const paths[] = {"/v2/library/smollm2/manifests/135m",
	    "/v2/Library/SmolLM2/manifests/135M", by_digest,
	    "/v1/hosts/registry.ollama.ai/v2/library/smollm2/manifests/135m",
	    "/v1/hosts/other.example:5000/v2/ns/tiny/manifests/1"};
	const char *const missing[] = {"/v2/library/smollm2/manifests/latest",
	    "/v2/ns/tiny/manifests/1", other, "/v2/library/smollm2/manifests/..",
	    "/v2/../smollm2/manifests/135m", "/v2/library/manifests/135m",
	    "/v2/library/smollm2/tags/list", "/v1/hosts/other.example/v2/ns/tiny/manifests/1",
	    "/v1/hosts/", "/v1/hosts//v2/a/b/c/d"};

	for (guint i = 0; i < G_N_ELEMENTS(paths); i++) {
		AUTO(http_response) response = ask(fixture, "GET", paths[i], NULL);
		g_autoptr(GBytes) body = g_bytes_new(response->body, response->body_len);

		if (response->status != 200 || !g_bytes_equal(body, fixture->manifest))
			fail_msg("%s: %d %s", paths[i], response->status, response->body);
		assert_header(response, "docker-content-digest", digest);
		assert_header(response, "content-type",
		    "application/vnd.docker.distribution.manifest.v2+json");
	}
	for (guint i = 0; i < G_N_ELEMENTS(missing); i++) {
		AUTO(http_response) response = ask(fixture, "GET", missing[i], NULL);

		if (response->status != 404)
			fail_msg("%s: %d %s", missing[i], response->status, response->body);
	}
}

/* A tag whose blobs have gone is nothing that others could pull. */
static void a_manifest_without_its_blobs_is_not_served(void **state)
{
	struct fixture *fixture = *state;
	AUTO(http_response)
	before = ask(fixture, "HEAD", "/v2/library/smollm2/manifests/135m", NULL);
	AUTO(http_response) after = NULL;
	g_autofree char *digest = fake_digest(fixture->weights);
	g_autofree char *file = digest_file_name(digest);
	g_autofree char *path = g_build_filename(fixture->root, "blobs", file, NULL);

	assert_int_equal(before->status, 200);
	assert_int_equal(before->body_len, 0);
	assert_int_equal(g_remove(path), 0);
	after = ask(fixture, "GET", "/v2/library/smollm2/manifests/135m", NULL);
	assert_int_equal(after->status, 404);
}

static void a_blob_with_its_location(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *digest = fake_digest(fixture->weights);
	g_autofree char *path = g_strconcat("/v2/library/smollm2/blobs/", digest, NULL);
	AUTO(http_response) all = ask(fixture, "GET", path, NULL);
	AUTO(http_response) head = ask(fixture, "HEAD", path, NULL);
	g_autoptr(GBytes) body = g_bytes_new(all->body, all->body_len);
	static const char *const missing[] = {
	    ("/v2/library/smollm2/blobs/sha256:"
	     "0000000000000000000000000000000000000000000000000000000000000000"),
	    "/v2/library/smollm2/blobs/sha256:00", "/v2/library/smollm2/blobs/135m",
	    "/v2/library/smollm2/blobs/../../.lock"};

	assert_int_equal(all->status, 200);
	assert_true(g_bytes_equal(body, fixture->weights));
	assert_header(all, "location", path);
	assert_header(all, "docker-content-digest", digest);
	assert_header(all, "accept-ranges", "bytes");
	assert_header(all, "content-length", "300000");
	assert_int_equal(head->status, 200);
	assert_int_equal(head->body_len, 0);
	assert_header(head, "content-length", "300000");
	for (guint i = 0; i < G_N_ELEMENTS(missing); i++) {
		AUTO(http_response) response = ask(fixture, "GET", missing[i], NULL);

		assert_int_equal(response->status, 404);
	}
}

static void ranges(void **state)
{
	static const struct {
		const char *range;
		int status;
		gsize offset, length;
		const char *content_range;
	} CASES[] = {
	    {"Range: bytes=0-0", 206, 0, 1, "bytes 0-0/300000"},
	    {"Range: bytes=5-", 206, 5, 299995, "bytes 5-299999/300000"},
	    {"Range: bytes=100-199", 206, 100, 100, "bytes 100-199/300000"},
	    {"Range: bytes=299999-400000", 206, 299999, 1, "bytes 299999-299999/300000"},
	    {"Range: bytes=-10", 206, 299990, 10, "bytes 299990-299999/300000"},
	    {"Range: bytes=-400000", 206, 0, 300000, "bytes 0-299999/300000"},
	    {"Range: bytes=300000-", 416, 0, 0, "bytes */300000"},
	    {"Range: bytes=-0", 416, 0, 0, "bytes */300000"},
	    {"Range: bytes=9-5", 200, 0, 300000, NULL},
	    {"Range: bytes=0-1,5-6", 200, 0, 300000, NULL},
	    {"Range: bytes=-", 200, 0, 300000, NULL},
	    {"Range: bytes=a-b", 200, 0, 300000, NULL},
	    {"Range: bytes=99999999999999999999-", 200, 0, 300000, NULL},
	    {"Range: lines=1-2", 200, 0, 300000, NULL},
	};
	struct fixture *fixture = *state;
	g_autofree char *digest = fake_digest(fixture->weights);
	g_autofree char *path = g_strconcat("/v2/library/smollm2/blobs/", digest, NULL);
	const char *weights = g_bytes_get_data(fixture->weights, NULL);

	for (guint i = 0; i < G_N_ELEMENTS(CASES); i++) {
		AUTO(http_response) response = ask(fixture, "GET", path, CASES[i].range);

		if (response->status != CASES[i].status || response->body_len != CASES[i].length ||
		    memcmp(response->body, weights + CASES[i].offset, CASES[i].length) != 0)
			fail_msg("%s: %d, %zu bytes", CASES[i].range, response->status,
			    response->body_len);
		assert_header(response, "content-range", CASES[i].content_range);
	}
}

static void other_methods_are_refused(void **state)
{
	struct fixture *fixture = *state;
	AUTO(http_response) hello = ask(fixture, "GET", "/v2/", NULL);
	AUTO(http_response) put = ask(fixture, "PUT", "/v2/library/smollm2/manifests/135m", NULL);

	assert_int_equal(hello->status, 200);
	assert_int_equal(put->status, 405);
	assert_header(put, "allow", "GET, HEAD");
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_STORE(no_pod_is_given_a_view_by_a_pull),
	    WITH_STORE(a_manifest_by_tag_in_any_case_and_by_digest),
	    WITH_STORE(a_manifest_without_its_blobs_is_not_served),
	    WITH_STORE(a_blob_with_its_location),
	    WITH_STORE(ranges),
	    WITH_STORE(other_methods_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
