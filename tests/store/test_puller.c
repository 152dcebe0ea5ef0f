/*
 * The puller against a registry that does everything wrong which a registry can do wrong. Waits
 * are for events, under a deadline that only a broken program meets.
 */
#include "store/puller.h"

#include "fake_registry.h"
#include "temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { WEIGHTS_BYTES = 3 * 1024 * 1024, DEADLINE_S = 30, LATE_MS = 3600 * 1000 };
#define MODEL "smollm2:135m"
#define MANIFEST_PATH "/v2/library/smollm2/manifests/135m"

struct fixture {
	char *root;
	struct fake_registry *registry;
	struct content *content;
	struct registry_options options;
	struct puller *puller;
	struct reference *reference;
	GBytes *weights;
	GBytes *manifest;
	char *weights_path;
	uv_mutex_t mutex;
	uv_cond_t cond;
	guint64 changes;  /* under the mutex */
	GString *history; /* of notes: "Pulling Failed:NotFound Ready " */
};

static void on_changed(void *data)
{
	struct fixture *fixture = data;

	uv_mutex_lock(&fixture->mutex);
	fixture->changes++;
	uv_cond_broadcast(&fixture->cond);
	uv_mutex_unlock(&fixture->mutex);
}

static void on_note(void *data, const struct image_state *state)
{
	struct fixture *fixture = data;

	uv_mutex_lock(&fixture->mutex);
	g_string_append_printf(fixture->history, "%s%s%s ", image_phase_name(state->phase),
	    state->reason != NULL ? ":" : "", state->reason ?: "");
	fixture->changes++;
	uv_cond_broadcast(&fixture->cond);
	uv_mutex_unlock(&fixture->mutex);
}

static char *history(struct fixture *fixture)
{
	char *text;

	uv_mutex_lock(&fixture->mutex);
	text = g_strdup(fixture->history->str);
	uv_mutex_unlock(&fixture->mutex);
	return text;
}

/* `retry_ms`: after temporary failures; permanent ones are not tried again in a test's life. */
static void start_puller(struct fixture *fixture, gint64 retry_ms)
{
	struct puller_options options = {.content = fixture->content,
	    .registry = &fixture->options,
	    .retry_base_ms = retry_ms,
	    .retry_cap_ms = retry_ms,
	    .retry_late_ms = LATE_MS,
	    .changed = on_changed,
	    .note = on_note,
	    .data = fixture};

	fixture->puller = puller_new(&options);
}

static void point_to(struct fixture *fixture, guint16 port)
{
	g_autofree char *mirror = g_strdup_printf("registry.ollama.ai=http://127.0.0.1:%u", port);

	if (fixture->options.mirrors != NULL)
		g_hash_table_unref(fixture->options.mirrors);
	fixture->options.mirrors = registry_parse_mirrors(mirror, NULL);
}

static GBytes *random_bytes(gsize len, guint32 seed)
{
	g_autoptr(GRand) random = g_rand_new_with_seed(seed);
	guint32 *words = g_malloc(len);

	for (gsize i = 0; i < len / sizeof(*words); i++)
		words[i] = g_rand_int(random);
	return g_bytes_new_take(words, len);
}

static int setup(void **state)
{
	struct fixture *fixture = g_new0(struct fixture, 1);

	fixture->root = temp_dir_new();
	fixture->registry = fake_registry_new(0);
	fixture->content = content_open(fixture->root, NULL);
	fixture->options.user_agent = "store-test/1";
	point_to(fixture, fake_registry_port(fixture->registry));
	fixture->reference = reference_parse(MODEL, NULL);
	fixture->weights = random_bytes(WEIGHTS_BYTES, 1);
	fixture->manifest = fake_registry_put_model(fixture->registry, MODEL, fixture->weights);
	fixture->weights_path = fake_registry_blob_path(MODEL, fixture->weights);
	uv_mutex_init(&fixture->mutex);
	uv_cond_init(&fixture->cond);
	fixture->history = g_string_new(NULL);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	puller_free(fixture->puller);
	content_free(fixture->content);
	fake_registry_free(fixture->registry);
	g_hash_table_unref(fixture->options.mirrors);
	reference_free(fixture->reference);
	g_bytes_unref(fixture->weights);
	g_bytes_unref(fixture->manifest);
	g_free(fixture->weights_path);
	g_string_free(fixture->history, TRUE);
	uv_cond_destroy(&fixture->cond);
	uv_mutex_destroy(&fixture->mutex);
	temp_dir_free(fixture->root);
	g_free(fixture);
	return 0;
}

/* --- waiting -------------------------------------------------------------------------------- */

typedef gboolean (*condition)(const struct image_state *state, guint64 argument);

static struct image_state *wait_until(
    struct fixture *fixture, const struct reference *reference, condition holds, guint64 argument)
{
	gint64 deadline_us = g_get_monotonic_time() + DEADLINE_S * G_TIME_SPAN_SECOND;

	for (;;) {
		guint64 changes;
		struct image_state *state;

		uv_mutex_lock(&fixture->mutex);
		changes = fixture->changes;
		uv_mutex_unlock(&fixture->mutex);
		state = puller_get(fixture->puller, reference);
		if (state != NULL && holds(state, argument))
			return state;
		image_state_free(state);
		uv_mutex_lock(&fixture->mutex);
		while (fixture->changes == changes && g_get_monotonic_time() < deadline_us)
			(void)uv_cond_timedwait(&fixture->cond, &fixture->mutex, 100 * 1000 * 1000);
		uv_mutex_unlock(&fixture->mutex);
		if (g_get_monotonic_time() >= deadline_us) {
			g_autofree char *so_far = history(fixture);

			fail_msg("nothing happened for %d s; so far: %s", DEADLINE_S, so_far);
		}
	}
}

static gboolean is_phase(const struct image_state *state, guint64 phase)
{
	return state->phase == (enum image_phase)phase;
}

static gboolean serves_always(const struct image_state *state, guint64 ticket)
{
	return image_state_serves(state, PULL_ALWAYS, ticket);
}

static gboolean serves_present(const struct image_state *state, guint64 ticket)
{
	return image_state_serves(state, PULL_IF_NOT_PRESENT, ticket);
}

static gboolean has_more_than(const struct image_state *state, guint64 bytes)
{
	return state->completed_bytes > (gint64)bytes;
}

/* The history has this in it; its note comes after the state's change. */
static void wait_history(struct fixture *fixture, const char *text)
{
	gint64 deadline_us = g_get_monotonic_time() + DEADLINE_S * G_TIME_SPAN_SECOND;
	gboolean found = FALSE;

	uv_mutex_lock(&fixture->mutex);
	while (!(found = strstr(fixture->history->str, text) != NULL) &&
	       g_get_monotonic_time() < deadline_us)
		(void)uv_cond_timedwait(&fixture->cond, &fixture->mutex, 100 * 1000 * 1000);
	uv_mutex_unlock(&fixture->mutex);
	if (!found) {
		g_autofree char *so_far = history(fixture);

		fail_msg("no \"%s\" in %s", text, so_far);
	}
}

static struct image_state *pull(struct fixture *fixture, enum image_phase phase)
{
	assert_true(puller_want(fixture->puller, fixture->reference, PULL_IF_NOT_PRESENT) > 0);
	return wait_until(fixture, fixture->reference, is_phase, phase);
}

static void assert_weights_are_here(struct fixture *fixture)
{
	g_autofree char *digest = fake_digest(fixture->weights);
	g_autofree char *name = digest_file_name(digest);
	g_autofree char *path = g_strconcat("blobs/", name, NULL);
	g_autoptr(GBytes) bytes = temp_dir_read(fixture->root, path);

	assert_non_null(bytes);
	assert_true(g_bytes_equal(bytes, fixture->weights));
	assert_int_equal(temp_dir_entries(fixture->root, "partial"), 0);
}

/* Runs into that reason, and leaves nothing where pods would find it. */
static void assert_fails(struct fixture *fixture, const char *reason, const char *words)
{
	AUTO(image_state) state = NULL;

	start_puller(fixture, LATE_MS);
	state = pull(fixture, IMAGE_FAILED);
	assert_string_equal(state->reason, reason);
	if (strstr(state->message, words) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", words, state->message);
	assert_null(state->view_key);
	assert_int_equal(temp_dir_entries(fixture->root, "views"), 0);
	assert_int_equal(temp_dir_entries(fixture->root, "manifests"), 0);
}

/* --- what goes well ------------------------------------------------------------------------- */

static void pulls_a_model(void **state)
{
	struct fixture *fixture = *state;
	AUTO(image_state) image = NULL;
	g_autofree char *digest = fake_digest(fixture->manifest);
	g_autofree char *path = NULL, *once = NULL;
	g_autoptr(GBytes) manifest = NULL;

	start_puller(fixture, LATE_MS);
	image = pull(fixture, IMAGE_READY);
	assert_string_equal(image->image, "registry.ollama.ai/library/smollm2:135m");
	assert_string_equal(image->digest, digest);
	assert_string_equal(image->family, "llama");
	assert_string_equal(image->parameters, "134.52M");
	assert_string_equal(image->quantization, "Q4_1");
	assert_int_equal(image->completed_bytes, image->total_bytes);
	assert_true(image->size_bytes > WEIGHTS_BYTES);
	assert_weights_are_here(fixture);
	path = g_strdup_printf(
	    "views/%s/manifests/registry.ollama.ai/library/smollm2/135m", image->view_key);
	manifest = temp_dir_read(fixture->root, path);
	assert_true(g_bytes_equal(manifest, fixture->manifest));
	once = g_strconcat("GET ", fixture->weights_path, NULL);
	assert_int_equal(fake_registry_count(fixture->registry, once), 1);
	assert_int_equal(fake_registry_count(fixture->registry,
			     "Accept:application/vnd.docker.distribution.manifest.v2+json"),
	    1);
	assert_int_equal(fake_registry_count(fixture->registry, "Agent:store-test/1"), 4);
	assert_int_equal(fake_registry_count(fixture->registry, "Range:bytes"), 0);
}

static void two_requests_are_one_transfer(void **state)
{
	struct fixture *fixture = *state;
	AUTO(image_state) pulling = NULL;
	AUTO(image_state) first = NULL;
	AUTO(image_state) second = NULL;
	guint64 ticket;

	start_puller(fixture, LATE_MS);
	assert_true(puller_want(fixture->puller, fixture->reference, PULL_IF_NOT_PRESENT) > 0);
	pulling = wait_until(fixture, fixture->reference, has_more_than, 0);
	ticket = puller_want(fixture->puller, fixture->reference, PULL_IF_NOT_PRESENT);
	second = wait_until(fixture, fixture->reference, serves_present, ticket);
	assert_weights_are_here(fixture);
	assert_int_equal(fake_registry_count(fixture->registry, fixture->weights_path), 1);
	assert_int_equal(fake_registry_count(fixture->registry, MANIFEST_PATH), 1);
}

/* Two models with the same weights, wanted at once: while one transfers, the other waits for it. */
static void a_shared_blob_is_one_transfer(void **state)
{
	struct fixture *fixture = *state;
	g_autoptr(GBytes) manifest =
	    fake_registry_put_model(fixture->registry, "other:1", fixture->weights);
	g_autofree char *digest = fake_digest(fixture->weights);
	AUTO(reference) other = reference_parse("other:1", NULL);
	AUTO(image_state) one = NULL;
	AUTO(image_state) two = NULL;

	assert_non_null(manifest);
	start_puller(fixture, LATE_MS);
	assert_true(puller_want(fixture->puller, fixture->reference, PULL_IF_NOT_PRESENT) > 0);
	assert_true(puller_want(fixture->puller, other, PULL_IF_NOT_PRESENT) > 0);
	one = wait_until(fixture, fixture->reference, is_phase, IMAGE_READY);
	two = wait_until(fixture, other, is_phase, IMAGE_READY);
	assert_weights_are_here(fixture);
	assert_int_equal(fake_registry_count(fixture->registry, digest), 1);
	assert_string_not_equal(one->view_key, two->view_key);
	assert_int_equal(two->completed_bytes, two->total_bytes);
}

/* --- policies ------------------------------------------------------------------------------- */

static void present_needs_no_registry(void **state)
{
	struct fixture *fixture = *state;
	AUTO(image_state) first = NULL;
	AUTO(image_state) again = NULL;
	AUTO(image_state) failed = NULL;
	AUTO(image_state) present = NULL;
	guint64 always, ticket;

	start_puller(fixture, LATE_MS);
	first = pull(fixture, IMAGE_READY);
	/* A new process, and the registry is gone. */
	puller_free(fixture->puller);
	g_clear_pointer(&fixture->registry, fake_registry_free);
	start_puller(fixture, LATE_MS);
	again = puller_get(fixture->puller, fixture->reference);
	assert_int_equal(again->phase, IMAGE_READY);
	assert_string_equal(again->digest, first->digest);
	always = puller_want(fixture->puller, fixture->reference, PULL_ALWAYS);
	failed = wait_until(fixture, fixture->reference, is_phase, IMAGE_FAILED);
	assert_string_equal(failed->reason, "RegistryUnavailable");
	assert_false(image_state_serves(failed, PULL_ALWAYS, always));
	/* Who is content with what is here does not wait for the one who is not. */
	ticket = puller_want(fixture->puller, fixture->reference, PULL_IF_NOT_PRESENT);
	present = wait_until(fixture, fixture->reference, serves_present, ticket);
	assert_string_equal(present->view_key, first->view_key);
	assert_false(image_state_serves(present, PULL_ALWAYS, always));
}

static void never_asks_nobody(void **state)
{
	struct fixture *fixture = *state;
	AUTO(image_state) failed = NULL;
	AUTO(image_state) ready = NULL;
	guint64 ticket;

	start_puller(fixture, LATE_MS);
	assert_true(puller_want(fixture->puller, fixture->reference, PULL_NEVER) > 0);
	failed = wait_until(fixture, fixture->reference, is_phase, IMAGE_FAILED);
	assert_string_equal(failed->reason, "NotFound");
	assert_non_null(strstr(failed->message, "Never"));
	assert_int_equal(fake_registry_count(fixture->registry, "GET"), 0);
	ticket = puller_want(fixture->puller, fixture->reference, PULL_IF_NOT_PRESENT);
	ready = wait_until(fixture, fixture->reference, serves_present, ticket);
	assert_int_equal(fake_registry_count(fixture->registry, MANIFEST_PATH), 1);
}

static void always_sees_that_a_tag_moved(void **state)
{
	struct fixture *fixture = *state;
	AUTO(image_state) first = NULL;
	AUTO(image_state) same = NULL;
	AUTO(image_state) moved = NULL;
	g_autoptr(GBytes) weights = random_bytes(1024, 2);
	g_autoptr(GBytes) manifest = NULL;
	guint64 ticket;

	start_puller(fixture, LATE_MS);
	first = pull(fixture, IMAGE_READY);
	manifest = fake_registry_put_model(fixture->registry, MODEL, weights);
	ticket = puller_want(fixture->puller, fixture->reference, PULL_IF_NOT_PRESENT);
	same = wait_until(fixture, fixture->reference, serves_present, ticket);
	assert_string_equal(same->view_key, first->view_key);
	ticket = puller_want(fixture->puller, fixture->reference, PULL_ALWAYS);
	moved = wait_until(fixture, fixture->reference, serves_always, ticket);
	assert_string_not_equal(moved->view_key, first->view_key);
	assert_string_not_equal(moved->digest, first->digest);
	assert_int_equal(temp_dir_entries(fixture->root, "views"), 2);
}

/* A blob that somebody deleted is fetched again. */
static void a_lost_blob_comes_back(void **state)
{
	struct fixture *fixture = *state;
	AUTO(image_state) first = NULL;
	AUTO(image_state) again = NULL;
	g_autofree char *digest = fake_digest(fixture->weights);
	g_autofree char *name = digest_file_name(digest);
	g_autofree char *path = g_build_filename(fixture->root, "blobs", name, NULL);
	guint64 ticket;

	start_puller(fixture, LATE_MS);
	first = pull(fixture, IMAGE_READY);
	assert_int_equal(remove(path), 0);
	ticket = puller_want(fixture->puller, fixture->reference, PULL_IF_NOT_PRESENT);
	again = wait_until(fixture, fixture->reference, serves_present, ticket);
	assert_weights_are_here(fixture);
	assert_int_equal(fake_registry_count(fixture->registry, fixture->weights_path), 2);
}

/* --- transfers that break ------------------------------------------------------------------- */

static void resumes_after_the_process_was_stopped(void **state)
{
	struct fixture *fixture = *state;
	AUTO(image_state) half = NULL;
	AUTO(image_state) ready = NULL;
	g_autofree char *range =
	    g_strdup_printf("%s? Range:bytes=%d-", fixture->weights_path, WEIGHTS_BYTES / 2);

	fake_registry_fault(fixture->registry, fixture->weights_path, FAULT_STALL, 1, 0, NULL);
	start_puller(fixture, LATE_MS);
	assert_true(puller_want(fixture->puller, fixture->reference, PULL_IF_NOT_PRESENT) > 0);
	half = wait_until(fixture, fixture->reference, has_more_than, WEIGHTS_BYTES / 2);
	puller_free(fixture->puller);
	fixture->puller = NULL;
	assert_int_equal(temp_dir_entries(fixture->root, "partial"), 1);
	/* The lock goes and comes back, as with a new process. */
	content_free(fixture->content);
	fixture->content = content_open(fixture->root, NULL);
	start_puller(fixture, LATE_MS);
	ready = pull(fixture, IMAGE_READY);
	assert_weights_are_here(fixture);
	assert_int_equal(fake_registry_count(fixture->registry, range), 1);
	assert_int_equal(ready->completed_bytes, ready->total_bytes);
}

static void resumes_after_a_truncated_answer(void **state)
{
	struct fixture *fixture = *state;
	AUTO(image_state) ready = NULL;
	g_autofree char *so_far = NULL;

	fake_registry_fault(fixture->registry, fixture->weights_path, FAULT_TRUNCATE, 2, 0, NULL);
	start_puller(fixture, 1);
	ready = pull(fixture, IMAGE_READY);
	wait_history(fixture, "Ready");
	so_far = history(fixture);
	assert_string_equal(so_far, "Pulling Failed:RegistryUnavailable Pulling "
				    "Failed:RegistryUnavailable Pulling Ready ");
	assert_weights_are_here(fixture);
	assert_int_equal(fake_registry_count(fixture->registry, "Range:bytes="), 2);
	assert_int_equal(ready->completed_bytes, ready->total_bytes);
}

static void throws_corrupted_bytes_away(void **state)
{
	struct fixture *fixture = *state;
	AUTO(image_state) ready = NULL;
	g_autofree char *so_far = NULL;

	fake_registry_fault(fixture->registry, fixture->weights_path, FAULT_CORRUPT, 1, 0, NULL);
	start_puller(fixture, 1);
	ready = pull(fixture, IMAGE_READY);
	wait_history(fixture, "Ready");
	so_far = history(fixture);
	assert_string_equal(so_far, "Pulling Failed:DigestMismatch Pulling Ready ");
	assert_weights_are_here(fixture);
	/* Nothing of it was kept: the second transfer was a whole one. */
	assert_int_equal(fake_registry_count(fixture->registry, "Range:bytes="), 0);
	assert_int_equal(fake_registry_count(fixture->registry, fixture->weights_path), 2);
	assert_int_equal(ready->completed_bytes, ready->total_bytes);
}

/* The registry never ends that answer: only whoever stops reading at once gets here. */
static void stops_at_the_size_that_was_promised(void **state)
{
	struct fixture *fixture = *state;

	fake_registry_fault(fixture->registry, fixture->weights_path, FAULT_LONGER, -1, 0, NULL);
	assert_fails(fixture, "SizeMismatch", "longer than the 3145728 bytes");
}

static void starts_over_where_ranges_are_unknown(void **state)
{
	struct fixture *fixture = *state;
	AUTO(image_state) ready = NULL;

	fake_registry_fault(fixture->registry, fixture->weights_path, FAULT_NO_RANGE, -1, 0, NULL);
	fake_registry_fault(fixture->registry, fixture->weights_path, FAULT_TRUNCATE, 1, 0, NULL);
	start_puller(fixture, 1);
	ready = pull(fixture, IMAGE_READY);
	assert_weights_are_here(fixture);
	assert_int_equal(fake_registry_count(fixture->registry, "Range:bytes="), 1);
	assert_int_equal(ready->completed_bytes, ready->total_bytes);
}

static void starts_over_after_416(void **state)
{
	struct fixture *fixture = *state;
	AUTO(image_state) ready = NULL;

	fake_registry_fault(fixture->registry, fixture->weights_path, FAULT_STATUS, 1, 416, NULL);
	fake_registry_fault(fixture->registry, fixture->weights_path, FAULT_TRUNCATE, 1, 0, NULL);
	start_puller(fixture, 1);
	ready = pull(fixture, IMAGE_READY);
	assert_weights_are_here(fixture);
	assert_int_equal(fake_registry_count(fixture->registry, fixture->weights_path), 3);
	assert_int_equal(fake_registry_count(fixture->registry, "Range:bytes="), 1);
	assert_int_equal(ready->completed_bytes, ready->total_bytes);
}

static void a_silent_registry_is_given_up(void **state)
{
	struct fixture *fixture = *state;

	fixture->options.idle_timeout_ms = 300;
	fake_registry_fault(fixture->registry, fixture->weights_path, FAULT_STALL, -1, 0, NULL);
	assert_fails(fixture, "RegistryUnavailable", "smollm2:135m");
}

/* --- answers that are refusals -------------------------------------------------------------- */

static void refusals(void **state)
{
	static const struct {
		int status;
		const char *reason, *words;
	} CASES[] = {
	    {404, "NotFound",
		"manifest for smollm2:135m not found in registry.ollama.ai: "
		"check spec.image"},
	    {401, "Denied", "registry.ollama.ai refuses manifest of smollm2:135m"},
	    {403, "Denied", "status 403"},
	    {412, "RequiresNewerOllama", "newer version of Ollama"},
	    {429, "RateLimited", "slow down"},
	    {500, "RegistryUnavailable", "status 500"},
	    {503, "RegistryUnavailable", "status 503"},
	    {418, "RegistryUnavailable", "status 418"},
	};

	for (guint i = 0; i < G_N_ELEMENTS(CASES); i++) {
		struct fixture *fixture = *state;

		fake_registry_fault(
		    fixture->registry, MANIFEST_PATH, FAULT_STATUS, 1, CASES[i].status, NULL);
		assert_fails(fixture, CASES[i].reason, CASES[i].words);
		g_clear_pointer(&fixture->puller, puller_free);
	}
}

static void a_blob_that_is_not_there(void **state)
{
	struct fixture *fixture = *state;

	fake_registry_fault(fixture->registry, fixture->weights_path, FAULT_STATUS, 1, 404, NULL);
	assert_fails(fixture, "NotFound", "for smollm2:135m not found in registry.ollama.ai");
}

static void goes_on_after_500(void **state)
{
	struct fixture *fixture = *state;
	AUTO(image_state) ready = NULL;
	g_autofree char *so_far = NULL;

	fake_registry_fault(fixture->registry, MANIFEST_PATH, FAULT_STATUS, 3, 500, NULL);
	start_puller(fixture, 1);
	ready = pull(fixture, IMAGE_READY);
	wait_history(fixture, "Ready");
	so_far = history(fixture);
	assert_string_equal(so_far, "Failed:RegistryUnavailable Failed:RegistryUnavailable "
				    "Failed:RegistryUnavailable Pulling Ready ");
}

static void retry_after_is_kept(void **state)
{
	struct fixture *fixture = *state;
	AUTO(image_state) failed = NULL;
	AUTO(image_state) ready = NULL;
	gint64 before_us;

	fake_registry_fault(
	    fixture->registry, MANIFEST_PATH, FAULT_STATUS, 1, 429, "Retry-After: 1");
	start_puller(fixture, 1);
	before_us = g_get_monotonic_time();
	failed = pull(fixture, IMAGE_FAILED);
	assert_string_equal(failed->reason, "RateLimited");
	ready = wait_until(fixture, fixture->reference, is_phase, IMAGE_READY);
	assert_true(g_get_monotonic_time() - before_us >= 990 * 1000);
}

/* Nobody listens at first; then the registry is there. */
static void goes_on_when_the_registry_comes(void **state)
{
	struct fixture *fixture = *state;
	guint16 port = fake_registry_port(fixture->registry);
	AUTO(image_state) failed = NULL;
	AUTO(image_state) ready = NULL;

	g_clear_pointer(&fixture->registry, fake_registry_free);
	start_puller(fixture, 20);
	failed = pull(fixture, IMAGE_FAILED);
	assert_string_equal(failed->reason, "RegistryUnavailable");
	fixture->registry = fake_registry_new(port);
	g_bytes_unref(fixture->manifest);
	fixture->manifest = fake_registry_put_model(fixture->registry, MODEL, fixture->weights);
	/* A 404 in between, before the model was there, waits long: a new request ends that. */
	assert_true(puller_want(fixture->puller, fixture->reference, PULL_ALWAYS) > 0);
	ready = wait_until(fixture, fixture->reference, is_phase, IMAGE_READY);
	assert_weights_are_here(fixture);
}

/* What will not go away by itself is tried again at once when somebody asks anew. */
static void a_new_request_tries_again_at_once(void **state)
{
	struct fixture *fixture = *state;
	AUTO(image_state) ready = NULL;

	fake_registry_fault(fixture->registry, MANIFEST_PATH, FAULT_STATUS, 1, 404, NULL);
	assert_fails(fixture, "NotFound", "check spec.image");
	ready = pull(fixture, IMAGE_READY);
	assert_int_equal(fake_registry_count(fixture->registry, MANIFEST_PATH), 2);
}

static void nobody_waits_nothing_is_tried(void **state)
{
	struct fixture *fixture = *state;
	AUTO(reference) other = reference_parse("other:1", NULL);
	g_autoptr(GBytes) manifest =
	    fake_registry_put_model(fixture->registry, "other:1", fixture->weights);
	AUTO(image_state) failed = NULL;
	AUTO(image_state) ready = NULL;

	assert_non_null(manifest);
	fake_registry_fault(fixture->registry, MANIFEST_PATH, FAULT_STATUS, -1, 500, NULL);
	start_puller(fixture, 200);
	failed = pull(fixture, IMAGE_FAILED);
	puller_unwant(fixture->puller, fixture->reference);
	assert_true(puller_want(fixture->puller, other, PULL_IF_NOT_PRESENT) > 0);
	ready = wait_until(fixture, other, is_phase, IMAGE_READY);
	/* Why a pause: that something does not happen can only be seen by waiting for it. */
	g_usleep(500 * 1000);
	assert_int_equal(fake_registry_count(fixture->registry, MANIFEST_PATH), 1);
}

/* --- redirects and tokens ------------------------------------------------------------------- */

static void follows_to_another_host(void **state)
{
	struct fixture *fixture = *state;
	AUTO(fake_registry) storage = fake_registry_new(0);
	AUTO(image_state) ready = NULL;
	g_autoptr(GBytes) token = g_bytes_new_static("{\"token\":\"open-sesame\"}", 23);
	g_autofree char *url = g_strdup_printf(
	    "http://localhost:%u/bucket/weights?sig=1", fake_registry_port(storage));

	fake_registry_put(storage, "/bucket/weights", fixture->weights);
	fake_registry_fault(fixture->registry, "/v2/", FAULT_CHALLENGE, -1, 0, NULL);
	fake_registry_fault(fixture->registry, fixture->weights_path, FAULT_REDIRECT, -1, 0, url);
	fake_registry_put(fixture->registry, "/token", token);
	start_puller(fixture, LATE_MS);
	ready = pull(fixture, IMAGE_READY);
	assert_weights_are_here(fixture);
	/* The registry was shown a token, the other host was not. */
	assert_int_equal(fake_registry_count(fixture->registry,
			     "/token?service=it%27s%20me&scope=repository%3Ax%3Apull"),
	    1);
	assert_true(fake_registry_count(fixture->registry, "Auth:Bearer open-sesame") >= 3);
	assert_int_equal(fake_registry_count(storage, "GET /bucket/weights?sig=1"), 1);
	assert_int_equal(fake_registry_count(storage, "open-sesame"), 0);
}

static void resumes_through_a_redirect(void **state)
{
	struct fixture *fixture = *state;
	AUTO(fake_registry) storage = fake_registry_new(0);
	AUTO(image_state) ready = NULL;
	g_autofree char *url =
	    g_strdup_printf("http://localhost:%u/weights", fake_registry_port(storage));

	fake_registry_put(storage, "/weights", fixture->weights);
	fake_registry_fault(storage, "/weights", FAULT_TRUNCATE, 1, 0, NULL);
	fake_registry_fault(fixture->registry, fixture->weights_path, FAULT_REDIRECT, -1, 0, url);
	start_puller(fixture, 1);
	ready = pull(fixture, IMAGE_READY);
	assert_weights_are_here(fixture);
	assert_int_equal(fake_registry_count(storage, "Range:bytes="), 1);
}

static void does_not_follow_out_of_http(void **state)
{
	struct fixture *fixture = *state;

	fake_registry_fault(
	    fixture->registry, fixture->weights_path, FAULT_REDIRECT, -1, 0, "file:///etc/passwd");
	assert_fails(fixture, "RegistryUnavailable", "smollm2:135m");
}

static void does_not_run_in_circles(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *url = g_strdup_printf(
	    "http://127.0.0.1:%u%s", fake_registry_port(fixture->registry), fixture->weights_path);

	fake_registry_fault(fixture->registry, fixture->weights_path, FAULT_REDIRECT, -1, 0, url);
	assert_fails(fixture, "RegistryUnavailable", "smollm2:135m");
	assert_int_equal(fake_registry_count(fixture->registry, fixture->weights_path), 6);
}

/* --- manifests that are none ---------------------------------------------------------------- */

static void put_manifest(struct fixture *fixture, char *take_text)
{
	g_autoptr(GBytes) bytes = g_bytes_new_take(take_text, strlen(take_text));

	fake_registry_put(fixture->registry, MANIFEST_PATH, bytes);
}

static void a_huge_manifest(void **state)
{
	struct fixture *fixture = *state;

	put_manifest(fixture, g_strnfill(5 * 1024 * 1024, ' '));
	assert_fails(fixture, "InvalidManifest", "more than 4194304 bytes");
}

static void a_manifest_that_is_no_json(void **state)
{
	struct fixture *fixture = *state;

	put_manifest(fixture, g_strdup("<html>Log in to the hotel's network</html>"));
	assert_fails(fixture, "InvalidManifest", "no JSON");
}

static void an_empty_manifest(void **state)
{
	struct fixture *fixture = *state;

	put_manifest(fixture, g_strdup(""));
	assert_fails(fixture, "InvalidManifest", "no JSON");
}

static void digests_that_are_paths(void **state)
{
	static const char *const DIGESTS[] = {"../..", "sha256:../../../../tmp/x",
	    "sha256-0000000000000000000000000000000000000000000000000000000000000000", "",
	    "/etc/passwd"};
	struct fixture *fixture = *state;

	for (guint i = 0; i < G_N_ELEMENTS(DIGESTS); i++) {
		put_manifest(fixture,
		    g_strdup_printf(
			"{\"config\":{\"digest\":\"%s\",\"size\":1},\"layers\":[{\"digest\":\"%s\","
			"\"size\":1}]}",
			DIGESTS[i], DIGESTS[i]));
		assert_fails(fixture, "InvalidManifest", "no digest of the form");
		g_clear_pointer(&fixture->puller, puller_free);
	}
	assert_int_equal(fake_registry_count(fixture->registry, "/blobs/"), 0);
}

static void a_model_larger_than_the_disk(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *digest = fake_digest(fixture->weights);

	put_manifest(
	    fixture, g_strdup_printf("{\"config\":{\"digest\":\"sha256:%064d\",\"size\":1},"
				     "\"layers\":[{\"digest\":\"%s\","
				     "\"size\":2305843009213693952}]}",
			 0, digest));
	assert_fails(fixture, "DiskFull", "2305843 TB more are needed");
	assert_int_equal(fake_registry_count(fixture->registry, "/blobs/"), 0);
}

#define WITH_REGISTRY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_REGISTRY(pulls_a_model),
	    WITH_REGISTRY(two_requests_are_one_transfer),
	    WITH_REGISTRY(a_shared_blob_is_one_transfer),
	    WITH_REGISTRY(present_needs_no_registry),
	    WITH_REGISTRY(never_asks_nobody),
	    WITH_REGISTRY(always_sees_that_a_tag_moved),
	    WITH_REGISTRY(a_lost_blob_comes_back),
	    WITH_REGISTRY(resumes_after_the_process_was_stopped),
	    WITH_REGISTRY(resumes_after_a_truncated_answer),
	    WITH_REGISTRY(throws_corrupted_bytes_away),
	    WITH_REGISTRY(stops_at_the_size_that_was_promised),
	    WITH_REGISTRY(starts_over_where_ranges_are_unknown),
	    WITH_REGISTRY(starts_over_after_416),
	    WITH_REGISTRY(a_silent_registry_is_given_up),
	    WITH_REGISTRY(refusals),
	    WITH_REGISTRY(a_blob_that_is_not_there),
	    WITH_REGISTRY(goes_on_after_500),
	    WITH_REGISTRY(retry_after_is_kept),
	    WITH_REGISTRY(goes_on_when_the_registry_comes),
	    WITH_REGISTRY(a_new_request_tries_again_at_once),
	    WITH_REGISTRY(nobody_waits_nothing_is_tried),
	    WITH_REGISTRY(follows_to_another_host),
	    WITH_REGISTRY(resumes_through_a_redirect),
	    WITH_REGISTRY(does_not_follow_out_of_http),
	    WITH_REGISTRY(does_not_run_in_circles),
	    WITH_REGISTRY(a_huge_manifest),
	    WITH_REGISTRY(a_manifest_that_is_no_json),
	    WITH_REGISTRY(an_empty_manifest),
	    WITH_REGISTRY(digests_that_are_paths),
	    WITH_REGISTRY(a_model_larger_than_the_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
