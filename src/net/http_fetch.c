/*
 * The blocking facade. The waiting thread and the loop share a struct fetch by reference count:
 * whoever is last frees it, so a waiter whose deadline passed may go while the loop is stuck.
 */
#include "net/http_client_priv.h"
#include "net/http_collector.h"

/* What the loop may be late before the waiter stops to believe in it. */
#define GRACE_MS 1000

struct fetch {
	gint refs; /* atomic */
	struct http_client *client;
	char *url;

	/* The loop's thread only. */
	struct http_call *call;
	struct http_collector collector;

	/* Why not GMutex and GCond: see loop.c. */
	uv_mutex_t lock;
	uv_cond_t changed;
	gboolean finished, abandoned;
	struct http_response *response;
	GError *error;
};

static struct fetch *fetch_new(struct http_client *client, const struct http_request *request)
{
	struct fetch *fetch = g_new0(struct fetch, 1);

	fetch->refs = 1;
	fetch->client = http_client_ref(client);
	fetch->url = g_strdup(request->url);
	http_collector_init(&fetch->collector, request->max_response_bytes);
	uv_mutex_init(&fetch->lock);
	uv_cond_init(&fetch->changed);
	return fetch;
}

static struct fetch *fetch_ref(struct fetch *fetch)
{
	g_atomic_int_inc(&fetch->refs);
	return fetch;
}

static void fetch_unref(struct fetch *fetch)
{
	if (!g_atomic_int_dec_and_test(&fetch->refs))
		return;
	http_collector_done(&fetch->collector);
	http_response_free(fetch->response);
	g_clear_error(&fetch->error);
	uv_cond_destroy(&fetch->changed);
	uv_mutex_destroy(&fetch->lock);
	http_client_unref(fetch->client);
	g_free(fetch->url);
	g_free(fetch);
}

/* Loop's thread. Consumes `take_error` and the loop's reference. */
static void finish(struct fetch *fetch, GError *take_error)
{
	GError *error = NULL;
	struct http_response *response =
	    http_collector_finish(&fetch->collector, fetch->url, take_error, &error);

	fetch->call = NULL;
	uv_mutex_lock(&fetch->lock);
	fetch->response = response;
	fetch->error = error;
	fetch->finished = TRUE;
	uv_cond_signal(&fetch->changed);
	uv_mutex_unlock(&fetch->lock);
	fetch_unref(fetch);
}

static GError *client_gone(void)
{
	return g_error_new_literal(
	    NET_ERROR, NET_ERROR_CANCELLED, "the HTTP client was closed meanwhile");
}

static gboolean on_head(void *data, const struct http_head *head)
{
	struct fetch *fetch = data;

	return http_collector_head(&fetch->collector, head);
}

static gboolean on_body(void *data, const char *bytes, gsize len)
{
	struct fetch *fetch = data;

	return http_collector_body(&fetch->collector, bytes, len);
}

static void on_done(void *data, const GError *error)
{
	finish(data, error != NULL ? g_error_copy(error) : NULL);
}

static void on_dropped(void *data)
{
	finish(data, client_gone());
}

static void start(void *data)
{
	struct fetch *fetch = data;

	uv_mutex_lock(&fetch->lock);
	gboolean abandoned = fetch->abandoned;
	uv_mutex_unlock(&fetch->lock);
	if (abandoned || http_client_is_dead(fetch->client)) {
		http_call_discard(g_steal_pointer(&fetch->call));
		finish(fetch, client_gone());
		return;
	}
	http_call_submit(fetch->call);
}

/* The waiter is gone: nobody needs the call any more. Owns a reference. */
static void stop(void *data)
{
	struct fetch *fetch = data;

	if (fetch->call != NULL) {
		http_call_cancel(g_steal_pointer(&fetch->call));
		finish(fetch, client_gone());
	}
	fetch_unref(fetch);
}

/* With the lock held. FALSE: the deadline passed. */
static gboolean wait_finished(struct fetch *fetch, gint64 timeout_ms)
{
	gint64 end_us = g_get_monotonic_time() + (timeout_ms + GRACE_MS) * 1000;

	while (!fetch->finished) {
		gint64 left_us = end_us - g_get_monotonic_time();

		if (timeout_ms <= 0)
			uv_cond_wait(&fetch->changed, &fetch->lock);
		else if (left_us <= 0)
			return FALSE;
		else
			uv_cond_timedwait(&fetch->changed, &fetch->lock, (uint64_t)left_us * 1000);
	}
	return TRUE;
}

struct http_response *http_client_fetch(
    struct http_client *client, const struct http_request *request, GError **error)
{
	static const struct http_call_ops ops = {on_head, on_body, on_done};
	struct loop *loop = http_client_loop(client);
	struct fetch *fetch = fetch_new(client, request);
	struct http_response *response = NULL;

	/* On the loop's own thread it would wait for itself. */
	g_assert(!loop_is_current(loop));
	fetch->call = http_call_prepare(client, request, &ops, on_dropped, fetch);
	loop_post(loop, start, fetch_ref(fetch));

	uv_mutex_lock(&fetch->lock);
	gboolean finished = wait_finished(fetch, request->timeout_ms);
	if (finished) {
		response = g_steal_pointer(&fetch->response);
		if (fetch->error != NULL)
			g_propagate_error(error, g_steal_pointer(&fetch->error));
	}
	fetch->abandoned = !finished;
	uv_mutex_unlock(&fetch->lock);

	if (!finished) {
		g_set_error(error, NET_ERROR, NET_ERROR_TIMEOUT,
		    "%s: the loop did not answer within %" G_GINT64_FORMAT " ms", request->url,
		    request->timeout_ms + GRACE_MS);
		loop_post(loop, stop, fetch_ref(fetch));
	}
	fetch_unref(fetch);
	return response;
}
