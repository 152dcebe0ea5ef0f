/*
 * `fetch --into`: a volume of the pod, or one that pods share, gets this one model.
 *
 *   there already? ── yes ──► done
 *        │ no
 *   one writer at a time (store/volume_lock.h); whoever waits looks now and then
 *        │
 *   the node's store pulls it ──► its blobs are copied from there, verified as they arrive
 *        │ no store for 30 s
 *   pulled from the registry itself
 *
 * What will not go away by itself (a full or unwritable volume, no such model) ends the container:
 * its last words are then in the pod's status, and kubelet tries again.
 */
#include "cmd/fetch_priv.h"

#include "base/backoff.h"
#include "base/duration.h"
#include "base/quantity.h"
#include "store/image_state.h"
#include "store/pull.h"
#include "store/volume_lock.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
	LOCK_EVERY_MS = 2000,
	PRINT_EVERY_MS = 2000,
	RETRY_BASE_MS = 1000,
	RETRY_CAP_MS = 15 * 1000,
	NAP_MS = 100,
};

/* Why global: signal handlers take no argument. Set by one, nothing waits any more. */
static gint signalled;

struct job {
	struct fetch *fetch;
	const char *image;
	struct content *content;
	struct reference *reference;
	enum pull_policy policy;
	struct registry_options from_store, upstream;
	struct gate *gate;
	gint cancelled; /* by a signal, or because the lock was lost */
	gint ended;
	gint64 completed, total;
	gint64 printed_at_ms, store_good_at_ms;
};

static gint64 now_ms(void)
{
	return g_get_monotonic_time() / 1000;
}

static void on_signal(int number)
{
	g_atomic_int_set(&signalled, number);
}

/* FALSE: there is no point in waiting any longer. */
static gboolean nap(struct job *job, gint64 ms)
{
	for (gint64 until = now_ms() + ms; now_ms() < until;) {
		if (g_atomic_int_get(&signalled) != 0 || g_atomic_int_get(&job->cancelled))
			return FALSE;
		g_usleep(NAP_MS * 1000);
	}
	return TRUE;
}

/* Hands a signal on to whatever watches job->cancelled. */
static void *watch_signal(void *data)
{
	struct job *job = data;

	while (!g_atomic_int_get(&job->ended)) {
		if (g_atomic_int_get(&signalled) != 0)
			g_atomic_int_set(&job->cancelled, 1);
		g_usleep(NAP_MS * 1000);
	}
	return NULL;
}

/* --- one copy or pull ----------------------------------------------------------------------- */

static void print_progress(struct job *job)
{
	g_autofree char *have = quantity_human_bytes(job->completed);
	g_autofree char *all = quantity_human_bytes(job->total);

	if (job->total <= 0 || now_ms() - job->printed_at_ms < PRINT_EVERY_MS)
		return;
	job->printed_at_ms = now_ms();
	printf("copying %s into the volume: %d%% (%s of %s)\n", job->image,
	    (int)((double)job->completed * 100 / (double)job->total), have, all);
}

static void on_resolved(void *data, const struct manifest *manifest, gint64 completed_bytes)
{
	struct job *job = data;

	job->total = manifest->size_bytes;
	job->completed = completed_bytes;
	print_progress(job);
}

static void on_progress(void *data, gint64 more_bytes)
{
	struct job *job = data;

	job->completed += more_bytes;
	print_progress(job);
}

static gboolean transfer(struct job *job, const struct registry_options *options, GError **error)
{
	static const struct pull_ops OPS = {on_resolved, on_progress};
	const struct pull pull = {.content = job->content,
	    .options = options,
	    .gate = job->gate,
	    .reference = job->reference,
	    .cancelled = &job->cancelled,
	    .ops = &OPS,
	    .data = job,
	    .without_view = TRUE};
	AUTO(pull_result) result = NULL;
	gint64 retry_after_ms;

	result = pull_remote(&pull, &retry_after_ms, error);
	return result != NULL;
}

static gboolean is_there(const struct job *job)
{
	const struct pull pull = {.content = job->content, .reference = job->reference};
	AUTO(pull_result) result = pull_known(&pull);

	return result != NULL;
}

/* Is it there, and is that enough? */
static gboolean is_done(const struct job *job)
{
	return job->policy != PULL_ALWAYS && is_there(job);
}

static gboolean from_store(struct job *job, GError **error)
{
	g_autofree char *problem = NULL;
	g_autoptr(GError) why = NULL;
	enum fetch_answer answer = fetch_ask(job->fetch, &problem);

	if (job->fetch->heard)
		job->store_good_at_ms = now_ms();
	if (answer != FETCH_READY) {
		g_set_error(error, STORE_ERROR,
		    answer == FETCH_REFUSED ? STORE_ERROR_INVALID_IMAGE
					    : STORE_ERROR_REGISTRY_UNAVAILABLE,
		    "the store at %s does not serve us: %s", job->fetch->flags->store, problem);
		return FALSE;
	}
	if (transfer(job, &job->from_store, &why))
		return TRUE;
	/* It had the model a moment ago: what it lacks now it will have again. */
	if (why->code == STORE_ERROR_NOT_FOUND)
		why->code = STORE_ERROR_REGISTRY_UNAVAILABLE;
	g_propagate_error(error, g_steal_pointer(&why));
	return FALSE;
}

/* --- the volume ----------------------------------------------------------------------------- */

/* The volume's own faults are for somebody to see to, however long they last. */
static gboolean is_final(const GError *error)
{
	return !store_error_is_temporary(error) ||
	       g_error_matches(error, STORE_ERROR, STORE_ERROR_STORAGE);
}

static gboolean try_all(struct job *job, GError **error)
{
	g_autoptr(GError) problem = NULL;

	if (from_store(job, &problem))
		return TRUE;
	if (is_final(problem) || g_atomic_int_get(&job->cancelled) || job->policy == PULL_NEVER ||
	    now_ms() - job->store_good_at_ms < job->fetch->flags->patience_s * 1000) {
		g_propagate_error(error, g_steal_pointer(&problem));
		return FALSE;
	}
	printf("%s; pulling from %s instead\n", problem->message, job->reference->host);
	return transfer(job, &job->upstream, error);
}

/* The volume is ours. The exit code; of no meaning when job->cancelled is set. */
static int fill(struct job *job)
{
	g_autoptr(GRand) random = g_rand_new();
	struct backoff backoff = {RETRY_BASE_MS, RETRY_CAP_MS, 2, 0.2, 0};
	g_autoptr(GError) error = NULL;

	job->store_good_at_ms = now_ms();
	if (!content_prepare_volume(job->content, &error)) {
		fprintf(stderr, "%s\n", error->message);
		return 1;
	}
	while (!is_done(job)) {
		g_autofree char *wait = NULL;
		gint64 wait_ms;

		g_clear_error(&error);
		if (try_all(job, &error))
			break;
		if (is_final(error)) {
			fprintf(stderr, "%s: %s\n", store_error_reason(error), error->message);
			return 1;
		}
		wait_ms = backoff_next_ms(&backoff, random);
		wait = duration_format_ms(wait_ms);
		printf("%s; trying again in %s\n", error->message, wait);
		if (!nap(job, wait_ms))
			return 1;
	}
	content_tidy_volume(job->content);
	printf("%s is in the volume\n", job->image);
	return 0;
}

/* Waits for its turn. 0: there is nothing left to do; 1: an error was said; -1: it is our turn. */
static int wait_for_turn(struct job *job, struct volume_lock *lock)
{
	g_autofree char *told = NULL;

	for (;;) {
		g_autofree char *holder = NULL;
		g_autoptr(GError) error = NULL;

		if (is_done(job)) {
			printf("%s is in the volume\n", job->image);
			return 0;
		}
		if (volume_lock_try(lock, &holder, &error))
			return -1;
		if (error != NULL) {
			fprintf(stderr, "%s: %s\n", store_error_reason(error), error->message);
			return 1;
		}
		if (g_strcmp0(holder, told) != 0) {
			printf("waiting for the pod %s, which writes to the volume\n", holder);
			g_free(told);
			told = g_steal_pointer(&holder);
		}
		if (!nap(job, LOCK_EVERY_MS))
			return 1;
	}
}

static int fill_in_turn(struct job *job)
{
	int code;

	do {
		const struct volume_lock_options options = {.directory = job->fetch->flags->into,
		    .holder = job->fetch->flags->pod_uid,
		    .lost = &job->cancelled};
		AUTO(volume_lock) lock = volume_lock_new(&options);

		g_atomic_int_set(&job->cancelled, 0);
		code = wait_for_turn(job, lock);
		if (code < 0)
			code = fill(job);
		/* Lost, not signalled: somebody took us for dead, and goes on where we were. */
	} while (g_atomic_int_get(&job->cancelled) && g_atomic_int_get(&signalled) == 0);
	return code;
}

static int check_only(struct job *job)
{
	if (is_there(job)) {
		printf("%s is in the volume\n", job->image);
		return 0;
	}
	fprintf(stderr,
	    "NotFound: the read-only volume does not hold %s: fill it first with "
	    "spec.persistentVolumeClaim.readOnly: false\n",
	    job->image);
	return 1;
}

/* --- setting up ----------------------------------------------------------------------------- */

/* The store is its models' mirror, whatever their registry is; and it is never behind a proxy. */
static void set_store_options(struct job *job)
{
	g_autofree char *host = g_ascii_strdown(job->reference->host, -1);

	job->from_store.user_agent = job->upstream.user_agent;
	job->from_store.proxy = "";
	job->from_store.mirrors = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	g_hash_table_insert(job->from_store.mirrors, g_strdup(host),
	    g_strdup_printf("%s/v1/hosts/%s", job->fetch->flags->store, job->reference->host));
}

static gboolean set_up(struct job *job, GError **error)
{
	const struct fetch_flags *flags = job->fetch->flags;

	job->policy = PULL_IF_NOT_PRESENT;
	if (flags->pull_policy != NULL && !pull_policy_parse(flags->pull_policy, &job->policy)) {
		g_set_error(error, STORE_ERROR, STORE_ERROR_INVALID_IMAGE,
		    "--pull-policy \"%s\": it must be Always, IfNotPresent or Never",
		    flags->pull_policy);
		return FALSE;
	}
	job->reference = reference_parse(flags->image, error);
	if (job->reference == NULL ||
	    !registry_flags_options(&flags->registry, &job->upstream, error))
		return FALSE;
	set_store_options(job);
	job->content = content_open_volume(flags->into, error);
	return job->content != NULL;
}

static int run(struct job *job)
{
	GThread *watcher;
	int code, number;

	if (job->fetch->flags->read_only)
		return check_only(job);
	job->fetch->cancelled = &job->cancelled;
	job->gate = gate_new();
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	/* Pods of one group share the volume. */
	umask(002);
	watcher = g_thread_new("signals", watch_signal, job);
	code = fill_in_turn(job);
	number = g_atomic_int_get(&signalled);
	g_atomic_int_set(&job->ended, 1);
	g_thread_join(watcher);
	gate_free(job->gate);
	return number != 0 ? 128 + number : code;
}

int fetch_volume(struct fetch *fetch)
{
	struct job job = {.fetch = fetch, .image = fetch->flags->image};
	g_autoptr(GError) error = NULL;
	int code = 1;

	if (set_up(&job, &error))
		code = run(&job);
	else
		fprintf(stderr, "%s\n", error->message);
	content_free(job.content);
	reference_free(job.reference);
	registry_options_clear(&job.from_store);
	registry_options_clear(&job.upstream);
	return code;
}
