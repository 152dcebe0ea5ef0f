#include "store/server_priv.h"

#include "json/json.h"

enum { LINK_AGAIN_MS = 1000 };

struct stream {
	struct store_server *server;
	struct http_exchange *exchange;
	struct wish wish;
	GList link; /* in server->streams */
	struct loop_timer *timer;
	gint64 next_ms;  /* not before then */
	guint64 seen;    /* all changes up to this version are written */
	gboolean synced; /* progress: everything that was there at first is written */
	gboolean blocked;
	gboolean ended;
};

void wish_done(struct wish *wish)
{
	g_clear_pointer(&wish->reference, reference_free);
	g_clear_pointer(&wish->pod_uid, g_free);
}

static gint64 now_ms(void)
{
	return g_get_monotonic_time() / 1000;
}

/* --- lines ---------------------------------------------------------------------------------- */

/* What a line says beyond the state itself. */
struct line {
	enum image_phase phase;
	const char *reason, *message;
	const char *view_key;
};

static char *format_line(const struct store_server *server, const struct image_state *state,
    const struct line *line, gsize *ret_len)
{
	g_autoptr(yyjson_mut_doc) doc = yyjson_mut_doc_new(json_alc());
	yyjson_mut_val *root = yyjson_mut_obj(doc);
	char *text;

	yyjson_mut_doc_set_root(doc, root);
	json_mut_set_str(doc, root, "image", state->image);
	json_mut_set_str(doc, root, "node", server->node);
	json_mut_set_str(doc, root, "phase", image_phase_name(line->phase));
	if (state->digest != NULL) {
		json_mut_set_str(doc, root, "digest", state->digest);
		json_mut_set_int(doc, root, "size", state->size_bytes);
		json_mut_set_int(doc, root, "completed", state->completed_bytes);
		json_mut_set_int(doc, root, "total", state->total_bytes);
	}
	if (line->phase == IMAGE_PULLING)
		json_mut_set_int(doc, root, "bytesPerSecond", state->bytes_per_second);
	json_mut_set_str(doc, root, "family", state->family);
	json_mut_set_str(doc, root, "parameters", state->parameters);
	json_mut_set_str(doc, root, "quantization", state->quantization);
	json_mut_set_str(doc, root, "reason", line->reason);
	json_mut_set_str(doc, root, "message", line->message);
	json_mut_set_str(doc, root, "view", line->view_key);
	text = json_mut_print(root, ret_len);
	text = g_realloc(text, *ret_len + 2);
	text[(*ret_len)++] = '\n';
	text[*ret_len] = '\0';
	return text;
}

/* FALSE: no more until the client has taken it. */
static gboolean write_line(
    struct stream *stream, const struct image_state *state, const struct line *line)
{
	gsize len;
	g_autofree char *text = format_line(stream->server, state, line, &len);

	stream->blocked = !http_exchange_write(stream->exchange, text, len);
	return !stream->blocked;
}

/* --- a pod's stream ------------------------------------------------------------------------- */

/*
 * Its model is here: shows it to the pod, and that was it. Why on the loop: it is two system
 * calls on metadata, and the pod's container starts as soon as the line below is out.
 */
static void serve_wish(struct stream *stream, const struct image_state *state)
{
	struct line line = {.phase = IMAGE_READY};
	g_autoptr(GError) error = NULL;

	if (stream->wish.pod_uid != NULL && !content_link_pod(stream->server->options.content,
						stream->wish.pod_uid, state->view_key, &error)) {
		line = (struct line){IMAGE_FAILED, store_error_reason(error), error->message, NULL};
		write_line(stream, state, &line);
		stream->next_ms = now_ms() + LINK_AGAIN_MS;
		loop_timer_start(stream->timer, LINK_AGAIN_MS);
		return;
	}
	if (stream->wish.pod_uid != NULL)
		line.view_key = state->view_key;
	write_line(stream, state, &line);
	stream->ended = TRUE;
	puller_unwant(stream->server->puller, stream->wish.reference);
	http_exchange_end(stream->exchange);
}

static void flush_view(struct stream *stream, gboolean due)
{
	AUTO(image_state) state = puller_get(stream->server->puller, stream->wish.reference);
	struct line line;

	if (state == NULL)
		return;
	if (image_state_serves(state, stream->wish.policy, stream->wish.ticket)) {
		serve_wish(stream, state);
		return;
	}
	if (!due || state->version <= stream->seen)
		return;
	line = (struct line){state->phase, state->reason, state->message, NULL};
	/* Ready for others; this request still waits for a look at the registry, or at the disk. */
	if (line.phase == IMAGE_READY)
		line.phase = IMAGE_QUEUED;
	write_line(stream, state, &line);
	stream->seen = state->version;
	stream->next_ms = now_ms() + stream->server->options.flush_ms;
}

/* --- a progress stream ---------------------------------------------------------------------- */

static void flush_progress(struct stream *stream)
{
	static const char SYNCED[] = "{\"synced\":true}\n";
	g_autoptr(GPtrArray) states = puller_since(stream->server->puller, stream->seen);

	for (guint i = 0; i < states->len && !stream->blocked; i++) {
		const struct image_state *state = states->pdata[i];
		struct line line = {state->phase, state->reason, state->message, NULL};

		write_line(stream, state, &line);
		stream->seen = state->version;
	}
	if (!stream->synced && !stream->blocked) {
		stream->synced = TRUE;
		stream->blocked =
		    !http_exchange_write(stream->exchange, SYNCED, sizeof(SYNCED) - 1);
	}
	stream->next_ms = now_ms() + stream->server->options.flush_ms;
}

/* --- both ----------------------------------------------------------------------------------- */

void stream_flush(struct stream *stream)
{
	gint64 wait_ms = stream->next_ms - now_ms();

	if (stream->blocked || stream->ended)
		return;
	if (stream->wish.reference != NULL)
		flush_view(stream, wait_ms <= 0);
	else if (wait_ms <= 0)
		flush_progress(stream);
	if (wait_ms > 0 && !stream->ended)
		loop_timer_start(stream->timer, wait_ms);
}

static void on_timer(void *data)
{
	stream_flush(data);
}

struct stream *stream_new(
    struct store_server *server, struct http_exchange *exchange, struct wish *take_wish)
{
	struct stream *stream = g_new0(struct stream, 1);

	stream->server = server;
	stream->exchange = exchange;
	if (take_wish != NULL) {
		stream->wish = *take_wish;
		*take_wish = (struct wish){0};
	}
	stream->timer = loop_timer_new(server->loop, on_timer, stream);
	stream->link.data = stream;
	g_queue_push_tail_link(&server->streams, &stream->link);
	http_exchange_begin(exchange, 200, "application/x-ndjson", NULL, -1);
	stream_flush(stream);
	return stream;
}

void stream_free(struct stream *stream)
{
	if (stream == NULL)
		return;
	if (stream->wish.reference != NULL && !stream->ended)
		puller_unwant(stream->server->puller, stream->wish.reference);
	g_queue_unlink(&stream->server->streams, &stream->link);
	loop_timer_free(stream->timer);
	wish_done(&stream->wish);
	g_free(stream);
}

void stream_drained(struct stream *stream)
{
	stream->blocked = FALSE;
	stream_flush(stream);
}

void stream_heartbeat(struct stream *stream)
{
	if (!stream->blocked && !stream->ended)
		stream->blocked = !http_exchange_write(stream->exchange, "\n", 1);
}
