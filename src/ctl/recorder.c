#include "ctl/recorder.h"

#include "ctl/recorder_priv.h"

enum {
	QUEUE_MAX = 1000,
	/* client-go's: how often and when an Event is tried again while the server can't be had. */
	TRIES = 12,
	RETRY_MS = 10000,
	LAST_WORDS_MS = 2000,
};

struct recorder {
	const struct clock *clock;
	char *component;
	char *instance;
	gint64 retry_ms;
	struct correlator correlator; /* the thread's */
	GThread *thread;
	GMutex lock; /* of what follows */
	GCond wake;
	GQueue queue; /* of struct event_record */
	struct recorder_stats stats;
	gint64 stop_at_us; /* of g_get_monotonic_time(); 0: not stopping */
};

/* ---- The Events of an API server ---- */

static gboolean event_create(
    void *store, const char *namespace, const char *body, gsize len, GError **error)
{
	g_autoptr(yyjson_doc) doc = kube_create(store, &KUBE_EVENTS, namespace, body, len, error);

	return doc != NULL;
}

static gboolean event_patch(void *store, const char *namespace, const char *name, const char *body,
    gsize len, GError **error)
{
	g_autoptr(yyjson_doc) doc =
	    kube_patch_merge(store, &KUBE_EVENTS, namespace, name, NULL, body, len, error);

	return doc != NULL;
}

/* ---- The thread ---- */

/* FALSE: the recorder is stopping, there is no time for another try. */
static gboolean wait_for_retry(struct recorder *recorder)
{
	gint64 until_us = g_get_monotonic_time() + recorder->retry_ms * G_TIME_SPAN_MILLISECOND;
	gboolean stopping;

	g_mutex_lock(&recorder->lock);
	while (recorder->stop_at_us == 0 &&
	       g_cond_wait_until(&recorder->wake, &recorder->lock, until_us))
		;
	stopping = recorder->stop_at_us != 0;
	g_mutex_unlock(&recorder->lock);
	return !stopping;
}

static gboolean deliver(
    struct recorder *recorder, const struct event_record *record, struct known_event *event)
{
	for (int i = 0; i < TRIES; i++) {
		g_autoptr(GError) error = NULL;

		if (correlator_send(&recorder->correlator, record, event, &error))
			return TRUE;
		if (!kube_error_is(error, KUBE_ERROR_RETRY) || !wait_for_retry(recorder))
			return FALSE;
	}
	return FALSE;
}

/* The next record, NULL when the recorder stops and nothing waits or the time is over. */
static struct event_record *next(struct recorder *recorder)
{
	struct event_record *record = NULL;

	g_mutex_lock(&recorder->lock);
	while (recorder->queue.length == 0 && recorder->stop_at_us == 0)
		g_cond_wait(&recorder->wake, &recorder->lock);
	if (recorder->stop_at_us == 0 || g_get_monotonic_time() < recorder->stop_at_us)
		record = g_queue_pop_head(&recorder->queue);
	g_mutex_unlock(&recorder->lock);
	return record;
}

static void count(struct recorder *recorder, guint64 *counter)
{
	g_mutex_lock(&recorder->lock);
	(*counter)++;
	g_mutex_unlock(&recorder->lock);
}

static gpointer run(gpointer data)
{
	struct recorder *recorder = data;
	struct event_record *record;

	while ((record = next(recorder)) != NULL) {
		struct known_event *event = correlator_observe(&recorder->correlator, record);

		if (event == NULL)
			count(recorder, &recorder->stats.limited);
		else if (deliver(recorder, record, event))
			count(recorder, &recorder->stats.written);
		else
			count(recorder, &recorder->stats.failed);
		event_record_free(record);
	}
	return NULL;
}

/* ---- The interface ---- */

struct recorder *recorder_new_on(const struct event_ops *ops, void *store,
    const struct clock *clock, const char *component, const char *instance, gint64 retry_ms)
{
	struct recorder *recorder = g_new0(struct recorder, 1);

	recorder->clock = clock;
	recorder->component = g_strdup(component);
	recorder->instance = g_strdup(instance);
	recorder->retry_ms = retry_ms;
	g_mutex_init(&recorder->lock);
	g_cond_init(&recorder->wake);
	g_queue_init(&recorder->queue);
	correlator_init(&recorder->correlator, ops, store, recorder->component, recorder->instance);
	recorder->thread = g_thread_new("recorder", run, recorder);
	return recorder;
}

struct recorder *recorder_new(struct kube_client *client, const struct clock *clock,
    const char *component, const char *instance)
{
	static const struct event_ops ops = {event_create, event_patch};

	return recorder_new_on(&ops, client, clock, component, instance, RETRY_MS);
}

void recorder_free(struct recorder *recorder)
{
	struct event_record *record;

	if (recorder == NULL)
		return;
	g_mutex_lock(&recorder->lock);
	recorder->stop_at_us = g_get_monotonic_time() + LAST_WORDS_MS * G_TIME_SPAN_MILLISECOND;
	g_cond_signal(&recorder->wake);
	g_mutex_unlock(&recorder->lock);
	g_thread_join(recorder->thread);
	while ((record = g_queue_pop_head(&recorder->queue)) != NULL)
		event_record_free(record);
	correlator_done(&recorder->correlator);
	g_cond_clear(&recorder->wake);
	g_mutex_clear(&recorder->lock);
	g_free(recorder->component);
	g_free(recorder->instance);
	g_free(recorder);
}

void recorder_event(struct recorder *recorder, const struct object_ref *about, const char *type,
    const char *reason, const char *format, ...)
{
	g_autofree char *message = NULL;
	struct event_record *record;
	va_list args;

	va_start(args, format);
	message = g_strdup_vprintf(format, args);
	va_end(args);
	record = event_record_new(recorder->clock, about, type, reason, message);
	g_mutex_lock(&recorder->lock);
	if (recorder->queue.length < QUEUE_MAX) {
		g_queue_push_tail(&recorder->queue, g_steal_pointer(&record));
		g_cond_signal(&recorder->wake);
	} else {
		recorder->stats.dropped++;
	}
	g_mutex_unlock(&recorder->lock);
	event_record_free(record);
}

void recorder_get_stats(struct recorder *recorder, struct recorder_stats *ret_stats)
{
	g_mutex_lock(&recorder->lock);
	*ret_stats = recorder->stats;
	g_mutex_unlock(&recorder->lock);
}
