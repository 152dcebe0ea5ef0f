#include "store/puller.h"

#include "base/backoff.h"
#include "base/hash.h"
#include "store/rate.h"

#include <string.h>
#include <uv.h>

enum { THREADS = 2, RETRY_BASE_MS = 1000, RETRY_CAP_MS = 30 * 1000, RETRY_LATE_MS = 60 * 1000 };

struct image {
	struct puller *puller;
	struct reference *reference;
	struct image_state *state; /* `bytes_per_second` is filled in when it is copied */
	struct rate rate;
	guint waiters;
	gboolean running;
	gboolean received; /* bytes, in this run */
	/* What is asked for and not yet tried, by policy. */
	gboolean pending[PULL_ALWAYS + 1];
	gboolean fresh; /* a request came in since the last run began */
	guint64 last_ticket;
	/* After a failure: */
	gboolean failed_temporary;
	gint64 retry_at_ms; /* 0: at once */
	struct backoff backoff;
};

struct puller {
	struct puller_options options;
	gint cancelled;
	struct gate *gate;
	GRand *random;
	/* Why libuv's locks: they are pthread's, which ThreadSanitizer knows; GLib's are not. */
	uv_mutex_t mutex; /* of all below */
	uv_cond_t work;
	GHashTable *images; /* reference_full() -> struct image, owned */
	GQueue order;       /* of struct image, as they were first wanted */
	guint64 version, tickets;
	GThread **threads;
};

static gint64 now_ms(void)
{
	return g_get_monotonic_time() / 1000;
}

/* --- states --------------------------------------------------------------------------------- */

static void replace_text(char **text, const char *value)
{
	g_free(*text);
	*text = g_strdup(value);
}

/* Under the lock: somebody may want to hear of it. */
static void touch(struct image *image)
{
	struct puller *puller = image->puller;

	image->state->version = ++puller->version;
	if (puller->options.changed != NULL)
		puller->options.changed(puller->options.data);
}

static void set_phase(
    struct image *image, enum image_phase phase, const char *reason, const char *message)
{
	image->state->phase = phase;
	replace_text(&image->state->reason, reason);
	replace_text(&image->state->message, message);
	touch(image);
}

static void set_ready(struct image *image, const struct pull_result *result)
{
	struct image_state *state = image->state;
	const struct model_config *config = result->config;

	replace_text(&state->digest, result->digest);
	replace_text(&state->family, config != NULL ? config->family : NULL);
	replace_text(&state->parameters, config != NULL ? config->parameters : NULL);
	replace_text(&state->quantization, config != NULL ? config->quantization : NULL);
	if (result->view_key != NULL)
		replace_text(&state->view_key, result->view_key);
	state->size_bytes = result->size_bytes;
	state->completed_bytes = result->size_bytes;
	state->total_bytes = result->size_bytes;
	set_phase(image, IMAGE_READY, NULL, NULL);
}

/* Outside the lock, after a change. */
static void note(struct image *image)
{
	struct puller *puller = image->puller;
	AUTO(image_state) copy = NULL;

	if (puller->options.note == NULL)
		return;
	uv_mutex_lock(&puller->mutex);
	copy = image_state_copy(image->state);
	uv_mutex_unlock(&puller->mutex);
	puller->options.note(puller->options.data, copy);
}

/* --- the table ------------------------------------------------------------------------------ */

static void image_free(gpointer data)
{
	struct image *image = data;

	image_state_free(image->state);
	reference_free(image->reference);
	g_free(image);
}

static struct image *add_image(struct puller *puller, const struct reference *reference)
{
	struct image *image = g_new0(struct image, 1);
	char *full = reference_full(reference);

	image->puller = puller;
	image->reference = reference_parse(full, NULL);
	image->state = g_new0(struct image_state, 1);
	image->state->image = g_strdup(full);
	image->backoff = (struct backoff){.base_ms = puller->options.retry_base_ms,
	    .cap_ms = puller->options.retry_cap_ms,
	    .factor = 2,
	    .jitter = 0.2};
	g_hash_table_insert(puller->images, full, image);
	g_queue_push_tail(&puller->order, image);
	return image;
}

/* Forgets one image that nobody waits for; what is on disk of it stays. FALSE: there is none. */
static gboolean evict_one(struct puller *puller)
{
	for (GList *at = puller->order.head; at != NULL; at = at->next) {
		struct image *image = at->data;

		if (image->running || image->waiters > 0)
			continue;
		g_queue_delete_link(&puller->order, at);
		g_hash_table_remove(puller->images, image->state->image);
		return TRUE;
	}
	return FALSE;
}

static struct image *find_or_add(struct puller *puller, const struct reference *reference)
{
	g_autofree char *full = reference_full(reference);
	struct image *image = g_hash_table_lookup(puller->images, full);

	if (image != NULL)
		return image;
	if (g_hash_table_size(puller->images) >= PULLER_MAX_IMAGES && !evict_one(puller))
		return NULL;
	image = add_image(puller, reference);
	touch(image);
	return image;
}

guint64 puller_want(
    struct puller *puller, const struct reference *reference, enum pull_policy policy)
{
	struct image *image;
	guint64 ticket = 0;

	uv_mutex_lock(&puller->mutex);
	image = find_or_add(puller, reference);
	if (image != NULL) {
		ticket = ++puller->tickets;
		image->last_ticket = ticket;
		image->waiters++;
		image->pending[policy] = TRUE;
		image->fresh = TRUE;
		uv_cond_signal(&puller->work);
	}
	uv_mutex_unlock(&puller->mutex);
	return ticket;
}

void puller_unwant(struct puller *puller, const struct reference *reference)
{
	g_autofree char *full = reference_full(reference);
	struct image *image;

	uv_mutex_lock(&puller->mutex);
	image = g_hash_table_lookup(puller->images, full);
	if (image != NULL && image->waiters > 0)
		image->waiters--;
	uv_mutex_unlock(&puller->mutex);
}

static int by_version(const void *a, const void *b)
{
	guint64 left = (*(const struct image_state *const *)a)->version;
	guint64 right = (*(const struct image_state *const *)b)->version;

	return (left > right) - (left < right);
}

static void free_state(gpointer state)
{
	image_state_free(state);
}

static struct image_state *image_copy(const struct image *image)
{
	struct image_state *copy = image_state_copy(image->state);

	if (copy->phase == IMAGE_PULLING)
		copy->bytes_per_second =
		    rate_per_second(&image->rate, now_ms(), copy->completed_bytes);
	return copy;
}

struct image_state *puller_get(struct puller *puller, const struct reference *reference)
{
	g_autofree char *full = reference_full(reference);
	struct image_state *copy = NULL;
	struct image *image;

	uv_mutex_lock(&puller->mutex);
	image = g_hash_table_lookup(puller->images, full);
	if (image != NULL)
		copy = image_copy(image);
	uv_mutex_unlock(&puller->mutex);
	return copy;
}

GPtrArray *puller_since(struct puller *puller, guint64 since)
{
	GPtrArray *states = g_ptr_array_new_with_free_func(free_state);

	uv_mutex_lock(&puller->mutex);
	for (GList *at = puller->order.head; at != NULL; at = at->next) {
		struct image *image = at->data;

		if (image->state->version > since)
			g_ptr_array_add(states, image_copy(image));
	}
	uv_mutex_unlock(&puller->mutex);
	g_ptr_array_sort(states, by_version);
	return states;
}

/* --- one run -------------------------------------------------------------------------------- */

static void on_resolved(void *data, const struct manifest *manifest, gint64 completed_bytes)
{
	struct image *image = data;

	uv_mutex_lock(&image->puller->mutex);
	replace_text(&image->state->digest, manifest->digest);
	image->state->size_bytes = manifest->size_bytes;
	image->state->total_bytes = manifest->size_bytes;
	image->state->completed_bytes = completed_bytes;
	memset(&image->rate, 0, sizeof(image->rate));
	rate_note(&image->rate, now_ms(), completed_bytes);
	set_phase(image, IMAGE_PULLING, NULL, NULL);
	uv_mutex_unlock(&image->puller->mutex);
	if (completed_bytes < manifest->size_bytes)
		note(image);
}

static void on_progress(void *data, gint64 more_bytes)
{
	struct image *image = data;

	uv_mutex_lock(&image->puller->mutex);
	image->state->completed_bytes += more_bytes;
	rate_note(&image->rate, now_ms(), image->state->completed_bytes);
	image->received |= more_bytes > 0;
	touch(image);
	uv_mutex_unlock(&image->puller->mutex);
}

/* One run: the requests that it tries to serve, and how it went. */
struct run {
	struct image *image;
	struct pull pull;
	guint64 ticket; /* up to this one */
	gboolean wanted[PULL_ALWAYS + 1];
	gboolean may_ask; /* the registry may be asked now */
	gint64 retry_after_ms;
};

/* Under the lock. */
static void run_begin(struct run *run, struct image *image)
{
	static const struct pull_ops OPS = {on_resolved, on_progress};
	struct puller *puller = image->puller;

	*run = (struct run){.image = image, .ticket = image->last_ticket};
	run->pull = (struct pull){.content = puller->options.content,
	    .options = puller->options.registry,
	    .gate = puller->gate,
	    .reference = image->reference,
	    .cancelled = &puller->cancelled,
	    .ops = &OPS,
	    .data = image};
	memcpy(run->wanted, image->pending, sizeof(run->wanted));
	memset(image->pending, 0, sizeof(image->pending));
	run->may_ask = !image->failed_temporary || now_ms() >= image->retry_at_ms;
	image->fresh = FALSE;
	image->running = TRUE;
	image->received = FALSE;
}

/* Serves Never and IfNotPresent from the disk, if it can. */
static void run_local(struct run *run, GError **error)
{
	struct image *image = run->image;
	AUTO(pull_result) result = pull_local(&run->pull, error);

	if (result == NULL)
		return;
	run->wanted[PULL_NEVER] = FALSE;
	run->wanted[PULL_IF_NOT_PRESENT] = FALSE;
	uv_mutex_lock(&image->puller->mutex);
	image->state->served_local = run->ticket;
	set_ready(image, result);
	uv_mutex_unlock(&image->puller->mutex);
}

static void run_remote(struct run *run, GError **error)
{
	struct image *image = run->image;
	AUTO(pull_result) result = NULL;

	uv_mutex_lock(&image->puller->mutex);
	/* A retry goes on telling why the last try failed, until it has come further than that. */
	if (image->state->phase != IMAGE_FAILED)
		set_phase(image, IMAGE_RESOLVING, NULL, NULL);
	uv_mutex_unlock(&image->puller->mutex);
	result = pull_remote(&run->pull, &run->retry_after_ms, error);
	if (result == NULL)
		return;
	memset(run->wanted, 0, sizeof(run->wanted));
	uv_mutex_lock(&image->puller->mutex);
	image->state->served = run->ticket;
	image->state->served_local = run->ticket;
	image->failed_temporary = FALSE;
	image->retry_at_ms = 0;
	backoff_reset(&image->backoff);
	set_ready(image, result);
	uv_mutex_unlock(&image->puller->mutex);
	note(image);
}

/* Under the lock: when to try again, and what is shown meanwhile. */
static void set_failed(struct run *run, const GError *error)
{
	struct image *image = run->image;
	struct puller *puller = image->puller;
	gint64 delay_ms = puller->options.retry_late_ms;

	/* A transfer that broke off has come further, and will again: no reason to wait longer. */
	if (image->received &&
	    g_error_matches(error, STORE_ERROR, STORE_ERROR_REGISTRY_UNAVAILABLE))
		backoff_reset(&image->backoff);
	image->failed_temporary = store_error_is_temporary(error);
	if (image->failed_temporary)
		delay_ms =
		    MAX(backoff_next_ms(&image->backoff, puller->random), run->retry_after_ms);
	image->retry_at_ms = now_ms() + delay_ms;
	set_phase(image, IMAGE_FAILED, store_error_reason(error), error->message);
}

static void run_image(struct run *run)
{
	struct image *image = run->image;
	struct puller *puller = image->puller;
	g_autoptr(GError) error = NULL;
	gboolean asked = FALSE;

	if (run->wanted[PULL_NEVER] || run->wanted[PULL_IF_NOT_PRESENT])
		run_local(run, &error);
	if (run->may_ask && (run->wanted[PULL_ALWAYS] || run->wanted[PULL_IF_NOT_PRESENT])) {
		g_clear_error(&error);
		run_remote(run, &error);
		asked = TRUE;
	}
	uv_mutex_lock(&puller->mutex);
	for (guint i = 0; i < G_N_ELEMENTS(run->wanted); i++)
		image->pending[i] |= run->wanted[i];
	/* Where the registry may not be asked yet, the failure that is shown stays. */
	if (error != NULL && (asked || run->may_ask) &&
	    !g_error_matches(error, STORE_ERROR, STORE_ERROR_CANCELLED))
		set_failed(run, error);
	else
		g_clear_error(&error);
	image->running = FALSE;
	uv_mutex_unlock(&puller->mutex);
	if (error != NULL)
		note(image);
}

/* --- the threads ---------------------------------------------------------------------------- */

static gboolean is_pending(const struct image *image)
{
	for (guint i = 0; i < G_N_ELEMENTS(image->pending); i++)
		if (image->pending[i])
			return TRUE;
	return FALSE;
}

/* The next one to work on, NULL: none before *ret_until_ms. Under the lock. */
static struct image *next_image(struct puller *puller, gint64 *ret_until_ms)
{
	gint64 now = now_ms();

	*ret_until_ms = G_MAXINT64;
	for (GList *at = puller->order.head; at != NULL; at = at->next) {
		struct image *image = at->data;

		if (image->running || !is_pending(image))
			continue;
		if (image->fresh || (image->waiters > 0 && image->retry_at_ms <= now))
			return image;
		if (image->waiters > 0)
			*ret_until_ms = MIN(*ret_until_ms, image->retry_at_ms);
	}
	return NULL;
}

static gpointer work(gpointer data)
{
	struct puller *puller = data;
	struct run run;

	uv_mutex_lock(&puller->mutex);
	while (!g_atomic_int_get(&puller->cancelled)) {
		gint64 until_ms;
		struct image *image = next_image(puller, &until_ms);

		if (image != NULL) {
			run_begin(&run, image);
			uv_mutex_unlock(&puller->mutex);
			run_image(&run);
			uv_mutex_lock(&puller->mutex);
			/* What came in for it meanwhile may be another thread's now. */
			uv_cond_signal(&puller->work);
		} else if (until_ms == G_MAXINT64) {
			uv_cond_wait(&puller->work, &puller->mutex);
		} else {
			(void)uv_cond_timedwait(&puller->work, &puller->mutex,
			    (guint64)MAX(until_ms - now_ms(), 1) * 1000 * 1000);
		}
	}
	uv_mutex_unlock(&puller->mutex);
	return NULL;
}

static void add_known(void *data, const struct reference *reference)
{
	struct puller *puller = data;
	struct pull pull = {.content = puller->options.content, .reference = reference};
	AUTO(pull_result) result = NULL;

	if (g_hash_table_size(puller->images) >= PULLER_MAX_IMAGES)
		return;
	result = pull_known(&pull);
	if (result != NULL)
		set_ready(add_image(puller, reference), result);
}

struct puller *puller_new(const struct puller_options *options)
{
	struct puller *puller = g_new0(struct puller, 1);

	puller->options = *options;
	puller->options.threads = options->threads ?: THREADS;
	puller->options.retry_base_ms = options->retry_base_ms ?: RETRY_BASE_MS;
	puller->options.retry_cap_ms = options->retry_cap_ms ?: RETRY_CAP_MS;
	puller->options.retry_late_ms = options->retry_late_ms ?: RETRY_LATE_MS;
	puller->gate = gate_new();
	puller->random = g_rand_new();
	puller->images = g_hash_table_new_full(hash_str, g_str_equal, g_free, image_free);
	uv_mutex_init(&puller->mutex);
	uv_cond_init(&puller->work);
	g_queue_init(&puller->order);
	uv_mutex_lock(&puller->mutex);
	content_foreach_manifest(options->content, add_known, puller);
	uv_mutex_unlock(&puller->mutex);
	puller->threads = g_new0(GThread *, puller->options.threads);
	for (guint i = 0; i < puller->options.threads; i++)
		puller->threads[i] = g_thread_new("puller", work, puller);
	return puller;
}

void puller_free(struct puller *puller)
{
	if (puller == NULL)
		return;
	uv_mutex_lock(&puller->mutex);
	g_atomic_int_set(&puller->cancelled, 1);
	uv_cond_broadcast(&puller->work);
	uv_mutex_unlock(&puller->mutex);
	for (guint i = 0; i < puller->options.threads; i++)
		g_thread_join(puller->threads[i]);
	g_free(puller->threads);
	g_queue_clear(&puller->order);
	g_hash_table_unref(puller->images);
	gate_free(puller->gate);
	g_rand_free(puller->random);
	uv_cond_destroy(&puller->work);
	uv_mutex_destroy(&puller->mutex);
	g_free(puller);
}
