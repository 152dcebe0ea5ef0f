/* POST /v1/inspect: what is known of a model before it is pulled, and what goes wrong. */
#include "model/memory.h"
#include "store/inspect_pool.h"
#include "store/server.h"

#include "../model/gguf_writer.h"
#include "fake_registry.h"
#include "lines_client.h"
#include "temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { WEIGHTS_BYTES = 8 * 1024 * 1024 };

struct fixture {
	char *root;
	struct fake_registry *registry;
	struct content *content;
	struct registry_options options;
	struct loop *loop;
	GThread *thread;
	struct store_server *server;
	char *base;
};

static void start(struct fixture *fixture)
{
	struct store_server_options options = {.host = "127.0.0.1",
	    .content = fixture->content,
	    .registry = &fixture->options,
	    .flush_ms = 10};

	fixture->loop = loop_new();
	fixture->server = store_server_new(fixture->loop, &options, NULL);
	assert_non_null(fixture->server);
	fixture->base = g_strdup_printf("http://127.0.0.1:%u", store_server_port(fixture->server));
	fixture->thread = loop_run_in_thread(fixture->loop, "store");
}

static void stop(struct fixture *fixture)
{
	loop_stop(fixture->loop);
	g_thread_join(fixture->thread);
	store_server_free(fixture->server);
	loop_free(fixture->loop);
	g_free(fixture->base);
}

static int setup(void **state)
{
	struct fixture *fixture = g_new0(struct fixture, 1);
	g_autofree char *mirror = NULL;

	fixture->root = temp_dir_new();
	fixture->registry = fake_registry_new(0);
	mirror = g_strdup_printf(
	    "registry.ollama.ai=http://127.0.0.1:%u", fake_registry_port(fixture->registry));
	fixture->options.mirrors = registry_parse_mirrors(mirror, NULL);
	fixture->options.user_agent = "test/1";
	fixture->content = content_open(fixture->root, NULL);
	start(fixture);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	stop(fixture);
	content_free(fixture->content);
	fake_registry_free(fixture->registry);
	g_hash_table_unref(fixture->options.mirrors);
	temp_dir_free(fixture->root);
	g_free(fixture);
	return 0;
}

/* --- models --------------------------------------------------------------------------------- */

static void put_layer(struct fixture *fixture, GString *layers, const char *kind, GBytes *bytes)
{
	g_autofree char *path = fake_registry_blob_path("phi:1", bytes);
	g_autofree char *digest = fake_digest(bytes);

	fake_registry_put(fixture->registry, path, bytes);
	g_string_append_printf(layers,
	    "%s{\"mediaType\":\"application/vnd.ollama.image.%s\",\"digest\":\"%s\",\"size\":%zu}",
	    layers->len == 0 ? "" : ",", kind, digest, g_bytes_get_size(bytes));
}

/* The manifest of phi:1 with these layers. */
static void put_manifest(struct fixture *fixture, const char *config_text, const GString *layers)
{
	g_autoptr(GBytes) config = g_bytes_new(config_text, strlen(config_text));
	g_autofree char *path = fake_registry_blob_path("phi:1", config);
	g_autofree char *digest = fake_digest(config);
	g_autofree char *text = g_strdup_printf(
	    "{\"schemaVersion\":2,\"config\":{\"digest\":\"%s\",\"size\":%zu},\"layers\":[%s]}",
	    digest, strlen(config_text), layers->str);
	g_autoptr(GBytes) manifest = g_bytes_new(text, strlen(text));

	fake_registry_put(fixture->registry, path, config);
	fake_registry_put(fixture->registry, "/v2/library/phi/manifests/1", manifest);
}

/* A header and then weights, 8 MiB in all. */
static GBytes *weights_of(GBytes *take_header)
{
	gsize len;
	const char *header = g_bytes_get_data(take_header, &len);
	char *bytes = g_malloc0(WEIGHTS_BYTES);

	memcpy(bytes, header, MIN(len, WEIGHTS_BYTES));
	g_bytes_unref(take_header);
	return g_bytes_new_take(bytes, WEIGHTS_BYTES);
}

static const char CONFIG[] =
    "{\"model_format\":\"gguf\",\"model_family\":\"llama\",\"model_type\":\"6.7B\","
    "\"file_type\":\"Q4_0\",\"requires\":\"0.32.12\"}";

/* phi:1 with these weights and a template; their path in the registry, the caller's. */
static char *put_phi(struct fixture *fixture, GBytes *take_weights)
{
	g_autoptr(GString) layers = g_string_new(NULL);
	g_autoptr(GBytes) template = g_bytes_new_static("{{ .Prompt }}", 13);
	char *path = fake_registry_blob_path("phi:1", take_weights);

	put_layer(fixture, layers, "model", take_weights);
	put_layer(fixture, layers, "template", template);
	put_manifest(fixture, CONFIG, layers);
	g_bytes_unref(take_weights);
	return path;
}

/* --- requests ------------------------------------------------------------------------------- */

static struct http_response *ask(struct fixture *fixture, const char *body)
{
	g_autofree char *url = g_strconcat(fixture->base, "/v1/inspect", NULL);
	struct http_request request = {
	    .method = "POST", .url = url, .body = body, .body_len = strlen(body), .proxy = ""};
	struct http_response *response = http_perform_fetch(&request, "t/1", NULL, NULL);

	assert_non_null(response);
	return response;
}

static yyjson_doc *ask_json(struct fixture *fixture, const char *body, int status)
{
	AUTO(http_response) response = ask(fixture, body);
	yyjson_doc *doc = json_parse(response->body, response->body_len, NULL);

	if (response->status != status || doc == NULL)
		fail_msg("%s: %d %s", body, response->status, response->body);
	return doc;
}

static void assert_text(yyjson_doc *doc, const char *key, const char *expected)
{
	const char *got = json_str(yyjson_doc_get_root(doc), key, NULL);

	if (g_strcmp0(got, expected) != 0)
		fail_msg("\"%s\" is %s, not %s", key, got ?: "missing", expected ?: "missing");
}

static void assert_reason(struct fixture *fixture, int status, const char *reason)
{
	g_autoptr(yyjson_doc) doc = ask_json(fixture, "{\"image\":\"phi:1\"}", status);

	assert_text(doc, "reason", reason);
	assert_non_null(json_str(yyjson_doc_get_root(doc), "message", NULL));
}

static gint64 blob_requests(struct fixture *fixture, const char *path)
{
	g_autofree char *line = g_strconcat("GET ", path, NULL);

	return fake_registry_count(fixture->registry, line);
}

/* --- what is told --------------------------------------------------------------------------- */

static void tells_what_is_known_without_a_pull(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *weights = put_phi(fixture, weights_of(gguf_llama2_7b(32000)));
	g_autoptr(yyjson_doc) doc = ask_json(fixture, "{\"image\":\"phi:1\"}", 200);
	yyjson_val *root = yyjson_doc_get_root(doc);
	g_autofree char *ranged = g_strdup_printf("GET %s? Range:bytes=0-262143 ", weights);
	struct memory_estimate estimate;

	assert_text(doc, "image", "registry.ollama.ai/library/phi:1");
	assert_text(doc, "family", "llama");
	assert_text(doc, "parameters", "6.7B");
	assert_text(doc, "quantization", "Q4_0");
	assert_text(doc, "requires", "0.32.12");
	assert_true(digest_is_valid(json_str(root, "digest", NULL)));
	assert_int_equal(
	    json_int(root, -1, "size", NULL), WEIGHTS_BYTES + 13 + (gint64)strlen(CONFIG));
	assert_int_equal(json_int(root, -1, "weights", NULL), WEIGHTS_BYTES);
	assert_int_equal(json_int(root, -1, "projector", NULL), 0);
	assert_int_equal(json_int(root, -1, "gguf", "blockCount", NULL), 32);
	assert_int_equal(json_int(root, -1, "gguf", "vocabulary", NULL), 32000);
	assert_int_equal(fake_registry_count(fixture->registry, ranged), 1);
	assert_int_equal(blob_requests(fixture, weights), 1);
	assert_int_equal(temp_dir_entries(fixture->root, "blobs"), 0);
	assert_int_equal(temp_dir_entries(fixture->root, "partial"), 0);
	/* The manager's half of it. */
	assert_true(memory_estimate_from_inspect(root, 4096, 1, NULL, &estimate, NULL));
	assert_int_equal(estimate.weights_bytes, WEIGHTS_BYTES);
	assert_int_equal(estimate.cache_bytes, 2048LL * 1024 * 1024);
}

static void sums_up_what_is_loaded(void **state)
{
	struct fixture *fixture = *state;
	g_autoptr(GString) layers = g_string_new(NULL);
	g_autoptr(GBytes) model = gguf_llama2_7b(10);
	g_autoptr(GBytes) projector = g_bytes_new_static("PROJECTOR", 9);
	g_autoptr(GBytes) adapter = g_bytes_new_static("ADAPTER", 7);
	g_autoptr(GBytes) draft = g_bytes_new_static("DRAFT", 5);
	g_autoptr(GBytes) license = g_bytes_new_static("LICENSE OF THIS", 15);
	g_autoptr(yyjson_doc) doc = NULL;

	put_layer(fixture, layers, "license", license);
	put_layer(fixture, layers, "projector", projector);
	put_layer(fixture, layers, "model", model);
	put_layer(fixture, layers, "adapter", adapter);
	put_layer(fixture, layers, "draft", draft);
	put_manifest(fixture, "{\"nothing\":\"known\"}", layers);
	doc = ask_json(fixture, "{\"image\":\"phi:1\"}", 200);
	assert_int_equal(json_int(yyjson_doc_get_root(doc), -1, "weights", NULL),
	    (gint64)g_bytes_get_size(model) + 7 + 5);
	assert_int_equal(json_int(yyjson_doc_get_root(doc), -1, "projector", NULL), 9);
	assert_text(doc, "family", NULL);
	assert_text(doc, "requires", NULL);
}

/* The model's keys come behind a tokenizer of more than 256 KiB: the next range is asked for. */
static GBytes *late_header(guint tokens)
{
	struct gguf_writer *writer = gguf_writer_new(3, FALSE);

	gguf_writer_text(writer, "general.architecture", "llama");
	gguf_writer_tokens(writer, "tokenizer.ggml.tokens", tokens);
	gguf_writer_u32(writer, "llama.block_count", 5);
	return gguf_writer_end(writer);
}

static void reads_on_when_the_header_is_longer(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *weights = put_phi(fixture, weights_of(late_header(50 * 1000)));
	g_autoptr(yyjson_doc) doc = ask_json(fixture, "{\"image\":\"phi:1\"}", 200);

	assert_int_equal(json_int(yyjson_doc_get_root(doc), -1, "gguf", "blockCount", NULL), 5);
	assert_int_equal(fake_registry_count(fixture->registry, "Range:bytes=0-262143 "), 1);
	assert_int_equal(fake_registry_count(fixture->registry, "Range:bytes=262144-"), 1);
	assert_true(blob_requests(fixture, weights) <= 4);
}

static void gives_up_after_4_mib(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *weights = put_phi(fixture, weights_of(late_header(300 * 1000)));

	assert_reason(fixture, 422, "InvalidManifest");
	assert_true(blob_requests(fixture, weights) <= 5);
}

/* A registry that ignores ranges sends everything; what is needed is taken, the rest is not. */
static void a_registry_without_ranges(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *weights = put_phi(fixture, weights_of(late_header(50 * 1000)));
	g_autoptr(yyjson_doc) doc = NULL;

	fake_registry_fault(fixture->registry, weights, FAULT_NO_RANGE, -1, 0, NULL);
	doc = ask_json(fixture, "{\"image\":\"phi:1\"}", 200);
	assert_int_equal(json_int(yyjson_doc_get_root(doc), -1, "gguf", "blockCount", NULL), 5);
}

/* Weights smaller than the first range. */
static void small_weights(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *weights = put_phi(fixture, gguf_llama2_7b(10));
	g_autoptr(yyjson_doc) doc = ask_json(fixture, "{\"image\":\"phi:1\"}", 200);

	assert_int_equal(json_int(yyjson_doc_get_root(doc), -1, "gguf", "blockCount", NULL), 32);
	assert_int_equal(blob_requests(fixture, weights), 1);
}

/* --- what is remembered, what is here ------------------------------------------------------- */

static void the_same_digest_is_read_once(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *weights = put_phi(fixture, weights_of(gguf_llama2_7b(100)));
	AUTO(http_response) one = ask(fixture, "{\"image\":\"phi:1\"}");
	AUTO(http_response) two = ask(fixture, "{\"image\":\"phi:1\",\"pullPolicy\":\"Always\"}");
	g_autofree char *other = NULL;
	g_autoptr(yyjson_doc) doc = NULL;

	assert_int_equal(two->status, 200);
	assert_string_equal(one->body, two->body);
	assert_int_equal(blob_requests(fixture, weights), 1);
	assert_int_equal(fake_registry_count(fixture->registry, "/manifests/1"), 2);
	/* The tag moves: the new model is read. */
	other = put_phi(fixture, weights_of(late_header(3)));
	doc = ask_json(fixture, "{\"image\":\"phi:1\"}", 200);
	assert_int_equal(json_int(yyjson_doc_get_root(doc), -1, "gguf", "blockCount", NULL), 5);
	assert_int_equal(blob_requests(fixture, other), 1);
}

static void pull(struct fixture *fixture)
{
	g_autofree char *url = g_strconcat(fixture->base, "/v1/views", NULL);
	AUTO(lines_client)
	client = lines_client_new(url, "{\"image\":\"phi:1\",\"podUID\":\"uid-1\"}");
	g_autofree char *ready = lines_client_wait(client, "\"Ready\"");

	assert_non_null(ready);
}

/* A model that is on the node needs no registry. */
static void what_is_here_is_read_here(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *weights = put_phi(fixture, weights_of(gguf_llama2_7b(100)));
	g_autoptr(yyjson_doc) doc = NULL, never = NULL, always = NULL;

	pull(fixture);
	/* A new store remembers no answers. */
	stop(fixture);
	start(fixture);
	fake_registry_fault(fixture->registry, "/", FAULT_STATUS, -1, 500, NULL);
	doc = ask_json(fixture, "{\"image\":\"phi:1\"}", 200);
	assert_text(doc, "quantization", "Q4_0");
	assert_int_equal(json_int(yyjson_doc_get_root(doc), -1, "gguf", "blockCount", NULL), 32);
	never = ask_json(fixture, "{\"image\":\"phi:1\",\"pullPolicy\":\"Never\"}", 200);
	always = ask_json(fixture, "{\"image\":\"phi:1\",\"pullPolicy\":\"Always\"}", 502);
	assert_text(always, "reason", "RegistryUnavailable");
	assert_int_equal(blob_requests(fixture, weights), 1);
	assert_int_equal(fake_registry_count(fixture->registry, "/manifests/1"), 2);
}

static void never_asks_no_registry(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *weights = put_phi(fixture, gguf_llama2_7b(10));
	g_autoptr(yyjson_doc) doc =
	    ask_json(fixture, "{\"image\":\"phi:1\",\"pullPolicy\":\"Never\"}", 404);

	assert_non_null(weights);
	assert_text(doc, "reason", "NotFound");
	assert_int_equal(fake_registry_count(fixture->registry, "GET"), 0);
}

/* --- failures ------------------------------------------------------------------------------- */

static void a_registry_that_refuses(void **state)
{
	static const struct {
		int status, expected;
		const char *reason;
	} CASES[] = {{401, 403, "Denied"}, {403, 403, "Denied"}, {404, 404, "NotFound"},
	    {412, 422, "RequiresNewerOllama"}, {429, 429, "RateLimited"},
	    {500, 502, "RegistryUnavailable"}};
	static const char *const PARTS[] = {"/manifests/", "/blobs/"};
	struct fixture *fixture = *state;
	g_autofree char *weights = put_phi(fixture, gguf_llama2_7b(10));

	assert_non_null(weights);
	for (guint part = 0; part < G_N_ELEMENTS(PARTS); part++)
		for (guint i = 0; i < G_N_ELEMENTS(CASES); i++) {
			fake_registry_fault(
			    fixture->registry, PARTS[part], FAULT_STATUS, 1, CASES[i].status, NULL);
			assert_reason(fixture, CASES[i].expected, CASES[i].reason);
		}
	/* A failure is not remembered. */
	yyjson_doc_free(ask_json(fixture, "{\"image\":\"phi:1\"}", 200));
}

static void bytes_that_are_wrong(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *weights = put_phi(fixture, weights_of(gguf_llama2_7b(10)));
	g_autoptr(GBytes) config = g_bytes_new_static(CONFIG, strlen(CONFIG));
	g_autofree char *config_path = fake_registry_blob_path("phi:1", config);

	fake_registry_fault(fixture->registry, config_path, FAULT_CORRUPT, 1, 0, NULL);
	assert_reason(fixture, 502, "DigestMismatch");
	fake_registry_fault(fixture->registry, weights, FAULT_TRUNCATE, 1, 0, NULL);
	assert_reason(fixture, 502, "RegistryUnavailable");
	fake_registry_fault(fixture->registry, "/manifests/", FAULT_TRUNCATE, 1, 0, NULL);
	assert_reason(fixture, 502, "RegistryUnavailable");
}

static void weights_that_are_none(void **state)
{
	struct fixture *fixture = *state;
	g_autoptr(GString) layers = g_string_new(NULL);
	g_autoptr(GBytes) tensor = g_bytes_new_static("TENSOR", 6);
	g_autoptr(GBytes) page = g_bytes_new_static("<html>no weights</html>", 23);
	g_autoptr(GBytes) garbage = g_bytes_new_static("no JSON", 7);
	g_autofree char *path = put_phi(fixture, g_steal_pointer(&page));

	assert_non_null(path);
	assert_reason(fixture, 422, "InvalidManifest");
	put_layer(fixture, layers, "tensor", tensor);
	put_manifest(fixture, CONFIG, layers);
	assert_reason(fixture, 422, "InvalidManifest");
	fake_registry_put(fixture->registry, "/v2/library/phi/manifests/1", garbage);
	assert_reason(fixture, 422, "InvalidManifest");
}

static void bad_requests(void **state)
{
	static const char *const CASES[] = {
	    "",
	    "{",
	    "{}",
	    "{\"image\":5}",
	    "{\"image\":\"\"}",
	    "{\"image\":\"a b\"}",
	    "{\"image\":\"phi\",\"pullPolicy\":\"Sometimes\"}",
	};
	struct fixture *fixture = *state;

	for (guint i = 0; i < G_N_ELEMENTS(CASES); i++) {
		g_autoptr(yyjson_doc) doc = ask_json(fixture, CASES[i], 400);

		assert_text(doc, "reason", "InvalidImage");
	}
	assert_int_equal(fake_registry_count(fixture->registry, "GET"), 0);
}

/* --- who goes before the answer ------------------------------------------------------------- */

/* The registry stalls; the loop goes on, and an end of the store breaks the question off. */
static void a_stalled_registry_holds_nobody(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *weights = put_phi(fixture, weights_of(gguf_llama2_7b(10)));
	g_autofree char *url = g_strconcat(fixture->base, "/v1/inspect", NULL);
	g_autofree char *health = g_strconcat(fixture->base, "/healthz", NULL);
	struct http_request request = {.method = "GET", .url = health, .proxy = ""};
	AUTO(lines_client) gone = NULL;
	AUTO(lines_client) left = NULL;

	fake_registry_fault(fixture->registry, weights, FAULT_STALL, -1, 0, NULL);
	gone = lines_client_new(url, "{\"image\":\"phi:1\"}");
	left = lines_client_new(url, "{\"image\":\"phi:1\"}");
	while (blob_requests(fixture, weights) < 2)
		g_thread_yield();
	for (guint i = 0; i < 20; i++) {
		AUTO(http_response) response = http_perform_fetch(&request, "t/1", NULL, NULL);

		assert_int_equal(response->status, 200);
	}
	lines_client_free(g_steal_pointer(&gone));
	/* teardown ends the store while the other one still waits. */
	stop(fixture);
	assert_int_equal(lines_client_join(left), 0);
	start(fixture);
}

struct tally {
	gint done, cancelled;
};

static void count(void *data, const char *text, const GError *error)
{
	struct tally *tally = data;

	g_assert_true((text == NULL) == (error != NULL));
	g_atomic_int_inc(&tally->done);
	if (g_error_matches(error, STORE_ERROR, STORE_ERROR_CANCELLED))
		g_atomic_int_inc(&tally->cancelled);
}

/* Everybody gets an answer, once; who comes when too many wait is told so. */
static void questions_are_bounded(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *weights = put_phi(fixture, weights_of(gguf_llama2_7b(10)));
	struct inspect_pool *pool = inspect_pool_new(fixture->content, &fixture->options);
	AUTO(reference) reference = reference_parse("phi:1", NULL);
	struct tally tally = {0};
	gint asked = 0;

	fake_registry_fault(fixture->registry, weights, FAULT_STALL, -1, 0, NULL);
	while (inspect_pool_ask(pool, reference, PULL_IF_NOT_PRESENT, count, &tally))
		asked++;
	assert_in_range(asked, INSPECT_POOL_MAX_WAITING, INSPECT_POOL_MAX_WAITING + 2);
	inspect_pool_free(pool);
	assert_int_equal(tally.done, asked);
	assert_int_equal(tally.cancelled, asked);
}

/* Only so many answers are kept; the one used longest ago goes first. */
static void answers_are_bounded(void **state)
{
	struct fixture *fixture = *state;
	struct inspect_pool *pool = inspect_pool_new(fixture->content, &fixture->options);
	g_autoptr(GBytes) weights = gguf_llama2_7b(1);
	struct tally tally = {0};
	guint blobs;

	for (guint round = 0; round < 2; round++)
		for (gint i = 0; i <= INSPECT_POOL_REMEMBERED; i++) {
			g_autofree char *name = g_strdup_printf("m%d:1", i);
			g_autofree char *manifest =
			    g_strdup_printf("/v2/library/m%d/manifests/1", i);
			AUTO(reference) reference = reference_parse(name, NULL);
			g_autofree char *path = fake_registry_blob_path(name, weights);
			g_autofree char *digest = fake_digest(weights);
			g_autofree char *text = g_strdup_printf(
			    "{\"config\":{\"digest\":\"%s\",\"size\":0},\"layers\":[{\"mediaType\":"
			    "\"application/vnd.ollama.image.model\",\"digest\":\"%s\","
			    "\"size\":%zu}],\"n\":%d}",
			    "sha256:"
			    "0000000000000000000000000000000000000000000000000000000000000000",
			    digest, g_bytes_get_size(weights), i);
			g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));

			fake_registry_put(fixture->registry, path, weights);
			fake_registry_put(fixture->registry, manifest, bytes);
			assert_true(inspect_pool_ask(pool, reference, PULL_ALWAYS, count, &tally));
			while (g_atomic_int_get(&tally.done) !=
			       (gint)round * (INSPECT_POOL_REMEMBERED + 1) + i + 1)
				g_thread_yield();
			if (round == 1 && i == 0)
				break;
		}
	blobs = fake_registry_count(fixture->registry, "/blobs/");
	assert_int_equal(blobs, INSPECT_POOL_REMEMBERED + 2);
	inspect_pool_free(pool);
	assert_int_equal(tally.cancelled, 0);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_STORE(tells_what_is_known_without_a_pull),
	    WITH_STORE(sums_up_what_is_loaded),
	    WITH_STORE(reads_on_when_the_header_is_longer),
	    WITH_STORE(gives_up_after_4_mib),
	    WITH_STORE(a_registry_without_ranges),
	    WITH_STORE(small_weights),
	    WITH_STORE(the_same_digest_is_read_once),
	    WITH_STORE(what_is_here_is_read_here),
	    WITH_STORE(never_asks_no_registry),
	    WITH_STORE(a_registry_that_refuses),
	    WITH_STORE(bytes_that_are_wrong),
	    WITH_STORE(weights_that_are_none),
	    WITH_STORE(bad_requests),
	    WITH_STORE(a_stalled_registry_holds_nobody),
	    WITH_STORE(questions_are_bounded),
	    WITH_STORE(answers_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
