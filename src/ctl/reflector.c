#include "ctl/informer_priv.h"

enum {
	/* client-go's exponential backoff of reflectors; it starts anew after two calm minutes. */
	BACKOFF_BASE_MS = 800,
	BACKOFF_CAP_MS = 30000,
	BACKOFF_RESET_MS = 120000,
	/* A watch that ends in order sooner than this is taken for a server that refuses it. */
	SHORT_WATCH_MS = 1000,
	/* After a watch that lasted so long, waits start from the shortest again. */
	HEALTHY_WATCH_MS = 5000,
	/* A list older than this is repeated at once when the server has forgotten the past. */
	FRESH_LIST_MS = 10000,
	/* The server is asked to end watches after 5 to 10 minutes, so that they spread. */
	WATCH_TIMEOUT_MIN_S = 300,
	WATCH_TIMEOUT_MAX_S = 600,
	/*
	 * After so many failed watches in a row comes a list: an API server that was restored from
	 * a backup never reaches the resourceVersion that we ask for, and says so as a time-out.
	 */
	WATCH_FAILURES_MAX = 8,
};

static void list(struct reflector *reflector);
static void watch(struct reflector *reflector);

static guint enter(struct reflector *reflector, enum reflector_state state)
{
	reflector->state = state;
	reflector->call = NULL;
	return ++reflector->turn;
}

static void on_waited(void *data)
{
	struct reflector *reflector = data;

	g_assert(reflector->state == REFLECTOR_WAITING);
	if (reflector->after_wait == REFLECTOR_LISTING)
		list(reflector);
	else
		watch(reflector);
}

static void back_off(struct reflector *reflector, enum reflector_state next)
{
	gint64 now_ms = clock_monotonic_ms(reflector->clock);

	if (now_ms - reflector->last_wait_ms > BACKOFF_RESET_MS)
		backoff_reset(&reflector->backoff);
	reflector->last_wait_ms = now_ms;
	enter(reflector, REFLECTOR_WAITING);
	reflector->after_wait = next;
	reflector->lister_watcher.ops->wait(reflector->lister_watcher.api,
	    backoff_next_ms(&reflector->backoff, reflector->random), on_waited, reflector);
}

/* ---- List ---- */

static void on_item(void *data, yyjson_val *object)
{
	struct reflector *reflector = data;

	reflector->sink->list_item(reflector->sink_data, object);
}

static void on_listed(void *data, const char *resource_version, const GError *error)
{
	struct reflector *reflector = data;
	guint turn = reflector->turn;

	reflector->call = NULL;
	if (error != NULL) {
		reflector->sink->health(reflector->sink_data, error);
		if (turn == reflector->turn)
			back_off(reflector, REFLECTOR_LISTING);
		return;
	}
	g_string_assign(reflector->resource_version, resource_version);
	reflector->watch_failures = 0;
	reflector->listed_ms = clock_monotonic_ms(reflector->clock);
	reflector->sink->list_end(reflector->sink_data);
	if (turn == reflector->turn)
		watch(reflector);
}

/*
 * Why "" always, where client-go's first list asks for "0": a list from an API server's cache may
 * be older than what this manager itself wrote before it restarted, and older servers answer it in
 * one piece whatever the page size.
 */
static void list(struct reflector *reflector)
{
	static const struct kube_list_ops ops = {on_item, on_listed};
	guint turn = enter(reflector, REFLECTOR_LISTING);
	void *call;

	reflector->sink->list_begin(reflector->sink_data);
	call =
	    reflector->lister_watcher.ops->list(reflector->lister_watcher.api, "", &ops, reflector);
	if (turn == reflector->turn)
		reflector->call = call;
}

/* ---- Watch ---- */

static void on_established(void *data)
{
	struct reflector *reflector = data;

	reflector->watch_failures = 0;
	reflector->sink->health(reflector->sink_data, NULL);
}

/* resourceVersions are texts to clients, but those of Kubernetes' own API server are numbers. */
static gboolean is_older(const char *version, const char *than)
{
	guint64 a, b;

	return g_ascii_string_to_unsigned(version, 10, 0, G_MAXUINT64, &a, NULL) &&
	       g_ascii_string_to_unsigned(than, 10, 0, G_MAXUINT64, &b, NULL) && a < b;
}

static void on_event(void *data, enum kube_event_type type, yyjson_val *object)
{
	struct reflector *reflector = data;
	const char *version = json_str(object, "metadata", "resourceVersion", NULL);

	reflector->watch_failures = 0;
	/*
	 * The events of a watch are in order: what is older than the one before it is told a second
	 * time, and is no news. To believe it would be to bring the past back.
	 */
	if (version != NULL && is_older(version, reflector->resource_version->str))
		return;
	if (version != NULL)
		g_string_assign(reflector->resource_version, version);
	if (type != KUBE_EVENT_BOOKMARK)
		reflector->sink->event(reflector->sink_data, type, object);
}

/* What comes after a watch that failed. Errors that a retry cannot cure may be cured by a list. */
static enum reflector_state after_failure(struct reflector *reflector, const GError *error)
{
	reflector->watch_failures++;
	if (kube_error_is(error, KUBE_ERROR_GONE) || kube_error_is(error, KUBE_ERROR_INVALID) ||
	    reflector->watch_failures >= WATCH_FAILURES_MAX)
		return REFLECTOR_LISTING;
	return REFLECTOR_WATCHING;
}

static void on_watch_done(void *data, const GError *error)
{
	struct reflector *reflector = data;
	gint64 lasted_ms = clock_monotonic_ms(reflector->clock) - reflector->watch_since_ms;
	guint turn = reflector->turn;

	reflector->call = NULL;
	/* A server that served us for a while and then went is not yet a server to be spared. */
	if (lasted_ms >= HEALTHY_WATCH_MS)
		backoff_reset(&reflector->backoff);
	if (error != NULL) {
		enum reflector_state next = after_failure(reflector, error);

		/* That a resourceVersion has expired is the order of things. */
		if (!kube_error_is(error, KUBE_ERROR_GONE))
			reflector->sink->health(reflector->sink_data, error);
		if (turn != reflector->turn)
			return;
		if (kube_error_is(error, KUBE_ERROR_GONE) &&
		    clock_monotonic_ms(reflector->clock) - reflector->listed_ms >= FRESH_LIST_MS)
			list(reflector);
		else
			back_off(reflector, next);
	} else if (lasted_ms < SHORT_WATCH_MS) {
		back_off(reflector, REFLECTOR_WATCHING);
	} else {
		watch(reflector);
	}
}

static void watch(struct reflector *reflector)
{
	static const struct kube_watch_ops ops = {on_established, on_event, on_watch_done};
	guint timeout_s = (guint)g_rand_int_range(
	    reflector->random, WATCH_TIMEOUT_MIN_S, WATCH_TIMEOUT_MAX_S + 1);
	guint turn = enter(reflector, REFLECTOR_WATCHING);
	/* A copy: an event that comes before the start returns changes the original. */
	g_autofree char *version = g_strdup(reflector->resource_version->str);
	void *call;

	reflector->watch_since_ms = clock_monotonic_ms(reflector->clock);
	call = reflector->lister_watcher.ops->watch(
	    reflector->lister_watcher.api, version, timeout_s, &ops, reflector);
	if (turn == reflector->turn)
		reflector->call = call;
}

/* ---- Life ---- */

void reflector_init(struct reflector *reflector, struct lister_watcher lister_watcher,
    const struct clock *clock, const struct reflector_sink *sink, void *sink_data)
{
	*reflector = (struct reflector){
	    .lister_watcher = lister_watcher,
	    .clock = clock,
	    .sink = sink,
	    .sink_data = sink_data,
	    .random = g_rand_new(),
	    .state = REFLECTOR_STOPPED,
	    .resource_version = g_string_new(NULL),
	    .backoff = {.base_ms = BACKOFF_BASE_MS,
		.cap_ms = BACKOFF_CAP_MS,
		.factor = 2,
		.jitter = 1},
	};
}

void reflector_done(struct reflector *reflector)
{
	reflector_stop(reflector);
	reflector->lister_watcher.ops->free(reflector->lister_watcher.api);
	g_string_free(reflector->resource_version, TRUE);
	g_rand_free(reflector->random);
}

void reflector_start(struct reflector *reflector)
{
	if (reflector->state == REFLECTOR_STOPPED)
		list(reflector);
}

void reflector_stop(struct reflector *reflector)
{
	const struct lister_watcher_ops *ops = reflector->lister_watcher.ops;
	enum reflector_state was = reflector->state;
	void *call = reflector->call;

	enter(reflector, REFLECTOR_STOPPED);
	if (was == REFLECTOR_WAITING)
		ops->cancel_wait(reflector->lister_watcher.api);
	else if (was == REFLECTOR_LISTING && call != NULL)
		ops->cancel_list(reflector->lister_watcher.api, call);
	else if (was == REFLECTOR_WATCHING && call != NULL)
		ops->stop_watch(reflector->lister_watcher.api, call);
}
