#include "operator/pull_watcher.h"

#include "base/backoff.h"
#include "base/hash.h"
#include "base/lines.h"

#include <string.h>

enum {
	LINE_MAX_BYTES = 64 * 1024,
	/* The store sends a heartbeat each 15 s. */
	SILENCE_MAX_MS = 45 * 1000,
};

struct pull_watcher {
	struct loop *loop;
	struct pull_watcher_options options;
	GHashTable *streams; /* pod key -> struct stream */
	GRand *random;
};

/* One store's stream: open (`call`), or waiting to be opened again (`timer`). */
struct stream {
	struct pull_watcher *watcher;
	char *node;
	char *ip;
	char *base; /* "http://10.0.0.7:11435" */
	char *url;
	struct http_call *call;
	struct loop_timer *timer;
	struct backoff backoff;
	struct lines lines;
};

static void stream_open(void *data);

static void announce(struct pull_watcher *watcher, GPtrArray *images)
{
	for (guint i = 0; i < images->len; i++)
		watcher->options.changed(watcher->options.data, images->pdata[i], TRUE);
}

static gboolean take_line(void *data, const char *line, gsize len)
{
	struct stream *stream = data;
	struct pull_watcher *watcher = stream->watcher;
	struct pull_state *state = pull_state_parse(line, len);
	g_autofree char *image = NULL;
	gboolean at_once;

	if (state == NULL)
		return TRUE;
	image = g_strdup(state->image);
	/* A stream speaks of its own node, whatever it says: states of a node die with its stream.
	 */
	g_free(state->node);
	state->node = g_strdup(stream->node);
	at_once = pulls_put(watcher->options.pulls, state);
	watcher->options.changed(watcher->options.data, image, at_once);
	return TRUE;
}

static gboolean on_head(void *data, const struct http_head *head)
{
	struct stream *stream = data;
	gboolean ok = http_head_status(head) == 200;

	if (ok)
		pulls_set_store(stream->watcher->options.pulls, stream->node, stream->base);
	return ok;
}

static gboolean on_body(void *data, const char *bytes, gsize len)
{
	struct stream *stream = data;

	backoff_reset(&stream->backoff);
	return lines_feed(&stream->lines, bytes, len, take_line, stream) == LINES_OK;
}

static void on_done(void *data, const GError *error)
{
	struct stream *stream = data;
	gint64 after_ms = backoff_next_ms(&stream->backoff, stream->watcher->random);

	stream->call = NULL;
	pulls_set_store(stream->watcher->options.pulls, stream->node, NULL);
	log_debug(stream->watcher->options.log, "a store's progress stream ended", "node",
	    stream->node, "error", error == NULL ? NULL : error->message, NULL);
	loop_timer_start(stream->timer, after_ms);
}

static void stream_open(void *data)
{
	static const struct http_call_ops ops = {on_head, on_body, on_done};
	struct stream *stream = data;
	const struct http_request request = {
	    .method = "GET",
	    .url = stream->url,
	    .proxy = "",
	    .connect_timeout_ms = 5000,
	    .idle_timeout_ms = SILENCE_MAX_MS,
	};

	lines_done(&stream->lines);
	lines_init(&stream->lines, LINE_MAX_BYTES);
	stream->call = http_client_start(stream->watcher->options.client, &request, &ops, stream);
}

static void stream_free(gpointer data)
{
	struct stream *stream = data;

	if (stream->call != NULL)
		http_call_cancel(stream->call);
	loop_timer_free(stream->timer);
	lines_done(&stream->lines);
	g_free(stream->node);
	g_free(stream->ip);
	g_free(stream->base);
	g_free(stream->url);
	g_free(stream);
}

static struct stream *stream_new(struct pull_watcher *watcher, const char *node, const char *ip)
{
	struct stream *stream = g_new0(struct stream, 1);
	gboolean ipv6 = strchr(ip, ':') != NULL;

	stream->watcher = watcher;
	stream->node = g_strdup(node);
	stream->ip = g_strdup(ip);
	stream->base = g_strdup_printf(
	    "http://%s%s%s:%u", ipv6 ? "[" : "", ip, ipv6 ? "]" : "", watcher->options.port);
	stream->url = g_strconcat(stream->base, "/v1/progress", NULL);
	stream->backoff =
	    (struct backoff){.base_ms = 1000, .cap_ms = 15000, .factor = 2, .jitter = 0.2};
	stream->timer = loop_timer_new(watcher->loop, stream_open, stream);
	lines_init(&stream->lines, LINE_MAX_BYTES);
	stream_open(stream);
	return stream;
}

static void drop_stream(struct pull_watcher *watcher, const char *key)
{
	struct stream *stream = g_hash_table_lookup(watcher->streams, key);
	g_autoptr(GPtrArray) images = NULL;

	if (stream == NULL)
		return;
	pulls_set_store(watcher->options.pulls, stream->node, NULL);
	images = pulls_drop_node(watcher->options.pulls, stream->node);
	g_hash_table_remove(watcher->streams, key);
	announce(watcher, images);
}

/* A new address is another process: what the old one said is forgotten. */
static void pod_upserted(void *data, struct kube_object *old_object, struct kube_object *new_object)
{
	struct pull_watcher *watcher = data;
	g_autoptr(yyjson_doc) doc = kube_object_parse(new_object);
	yyjson_val *pod = yyjson_doc_get_root(doc);
	const char *node = json_str(pod, "spec", "nodeName", NULL);
	const char *ip = json_str(pod, "status", "podIP", NULL);
	struct stream *stream = g_hash_table_lookup(watcher->streams, new_object->key);

	(void)old_object;
	if (stream != NULL && g_strcmp0(stream->ip, ip) == 0)
		return;
	drop_stream(watcher, new_object->key);
	if (node != NULL && ip != NULL)
		g_hash_table_insert(
		    watcher->streams, g_strdup(new_object->key), stream_new(watcher, node, ip));
}

static void pod_deleted(void *data, struct kube_object *object)
{
	drop_stream(data, object->key);
}

const struct informer_handler PULL_WATCHER_HANDLER = {pod_upserted, pod_deleted};

struct pull_watcher *pull_watcher_new(struct loop *loop, const struct pull_watcher_options *options)
{
	struct pull_watcher *watcher = g_new0(struct pull_watcher, 1);

	watcher->loop = loop;
	watcher->options = *options;
	watcher->random = g_rand_new();
	watcher->streams = g_hash_table_new_full(hash_str, g_str_equal, g_free, stream_free);
	return watcher;
}

void pull_watcher_free(struct pull_watcher *watcher)
{
	if (watcher == NULL)
		return;
	g_hash_table_unref(watcher->streams);
	g_rand_free(watcher->random);
	g_free(watcher);
}
