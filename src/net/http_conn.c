#include "net/http_server_priv.h"

#include <string.h>

/* --- writing ------------------------------------------------------------------------------ */

struct piece {
	uv_write_t write;
	struct http_conn *conn;
	char *bytes;
};

gsize conn_pending_bytes(const struct http_conn *conn)
{
	return conn->closed ? 0 : uv_stream_get_write_queue_size((uv_stream_t *)&conn->tcp);
}

static void on_written(uv_write_t *write, int status)
{
	struct piece *piece = write->data;
	struct http_conn *conn = piece->conn;

	g_free(piece->bytes);
	g_free(piece);
	conn->pieces--;
	if (conn->closed)
		return;
	if (status != 0)
		conn->broken = TRUE;
	conn_advance(conn);
}

/* Is it stuck? A write of megabytes is one write, so progress is counted in bytes. */
static void on_write_timer(void *data)
{
	struct http_conn *conn = data;
	gint64 now_ms = server_now_ms(conn->server);
	guint64 written = conn->queued_bytes - conn_pending_bytes(conn);

	if (conn->pieces == 0)
		return;
	if (written != conn->progress_bytes) {
		conn->progress_bytes = written;
		conn->progress_ms = now_ms;
	} else if (now_ms - conn->progress_ms >= conn->server->options.write_timeout_ms) {
		conn->broken = TRUE;
		conn_advance(conn);
		return;
	}
	loop_timer_start(conn->write_timer, MAX(conn->server->options.write_timeout_ms / 8, 1));
}

/* Takes `bytes` (of which `from` are written) into libuv's queue. */
static void queue_rest(struct http_conn *conn, char *bytes, gsize from, gsize len)
{
	struct piece *piece = g_new0(struct piece, 1);
	uv_buf_t rest = uv_buf_init(bytes + from, (unsigned)(len - from));

	piece->write.data = piece;
	piece->conn = conn;
	piece->bytes = bytes;
	if (conn->pieces++ == 0) {
		conn->progress_ms = server_now_ms(conn->server);
		conn->progress_bytes = conn->queued_bytes;
		loop_timer_start(
		    conn->write_timer, MAX(conn->server->options.write_timeout_ms / 8, 1));
	}
	conn->queued_bytes += len - from;
	if (uv_write(&piece->write, (uv_stream_t *)&conn->tcp, &rest, 1, on_written) != 0) {
		conn->pieces--;
		conn->broken = TRUE;
		g_free(piece->bytes);
		g_free(piece);
		conn_wake(conn);
	}
}

/* How many bytes went out at once; the caller queues the rest. FALSE: the client is gone. */
static gboolean write_now(
    struct http_conn *conn, const uv_buf_t *buffers, guint count, gsize *written)
{
	int code = UV_EAGAIN;

	*written = 0;
	if (conn->closed || conn->broken || conn->lingering)
		return FALSE;
	if (conn->pieces == 0)
		code = uv_try_write((uv_stream_t *)&conn->tcp, buffers, count);
	if (code >= 0) {
		*written = (gsize)code;
		return TRUE;
	}
	if (code == UV_EAGAIN || code == UV_ENOSYS)
		return TRUE;
	conn->broken = TRUE;
	conn_wake(conn);
	return FALSE;
}

void conn_write(struct http_conn *conn, const uv_buf_t *buffers, guint count)
{
	gsize written, total = 0, at = 0;

	if (!write_now(conn, buffers, count, &written))
		return;
	for (guint i = 0; i < count; i++)
		total += buffers[i].len;
	if (written >= total)
		return;
	g_assert(total - written <= G_MAXSSIZE);
	char *rest = g_malloc(total - written);
	for (guint i = 0; i < count; i++) {
		gsize skip = MIN(written, buffers[i].len);

		written -= skip;
		if (buffers[i].len > skip)
			memcpy(rest + at, buffers[i].base + skip, buffers[i].len - skip);
		at += buffers[i].len - skip;
	}
	queue_rest(conn, rest, 0, at);
}

void conn_write_take(struct http_conn *conn, char *take_bytes, gsize len)
{
	uv_buf_t buffer = uv_buf_init(take_bytes, (unsigned)len);
	gsize written;

	if (!write_now(conn, &buffer, 1, &written) || written == len)
		g_free(take_bytes);
	else
		queue_rest(conn, take_bytes, written, len);
}

/* --- closing ------------------------------------------------------------------------------ */

static void on_closed(uv_handle_t *handle)
{
	struct http_conn *conn = handle->data;

	http_parser_done(&conn->parser);
	g_byte_array_unref(conn->input);
	g_free(conn);
}

void conn_close(struct http_conn *conn)
{
	if (conn->closed)
		return;
	conn->closed = TRUE;
	if (conn->exchange != NULL)
		exchange_finish(g_steal_pointer(&conn->exchange), TRUE);
	g_queue_unlink(&conn->server->conns, &conn->link);
	if (conn->waking)
		g_queue_unlink(&conn->server->waking, &conn->wake_link);
	loop_timer_free(g_steal_pointer(&conn->read_timer));
	loop_timer_free(g_steal_pointer(&conn->write_timer));
	/*
	 * A reset, where something is cut off: an answer that runs until close would look whole
	 * otherwise. libuv refuses it after a shutdown.
	 */
	if (!conn->broken || conn->lingering || uv_tcp_close_reset(&conn->tcp, on_closed) != 0)
		uv_close((uv_handle_t *)&conn->tcp, on_closed);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
	(void)status;
	g_free(request);
}

/*
 * Closes our side when all is written and reads on for a while: closing with unread bytes would
 * reset the connection and could take the answer away from the client.
 */
static void conn_linger(struct http_conn *conn)
{
	uv_shutdown_t *request = g_new0(uv_shutdown_t, 1);

	if (uv_shutdown(request, (uv_stream_t *)&conn->tcp, on_shutdown) != 0) {
		g_free(request);
		conn->broken = TRUE;
		return;
	}
	conn->lingering = TRUE;
	conn->mark_ms = server_now_ms(conn->server);
	g_byte_array_set_size(conn->input, 0);
}

/* --- reading ------------------------------------------------------------------------------ */

static void on_head(void *data)
{
	struct http_conn *conn = data;
	struct http_server *server = conn->server;

	conn->mark_ms = server_now_ms(server);
	conn->exchange = exchange_new(conn, g_steal_pointer(&conn->parser.message));
	server->ops->request(server->data, conn->exchange);
}

static void on_body(void *data, const char *bytes, gsize len)
{
	struct http_conn *conn = data;
	struct http_exchange *exchange = conn->exchange;

	conn->mark_ms = server_now_ms(conn->server);
	exchange->owes_continue = FALSE;
	if (exchange->answer == HTTP_ANSWER_ENDED)
		exchange->read_past += len;
	else if (conn->server->ops->body != NULL && !conn->broken)
		conn->server->ops->body(conn->server->data, exchange, bytes, len);
}

static void on_complete(void *data)
{
	struct http_conn *conn = data;
	struct http_exchange *exchange = conn->exchange;

	exchange->complete = TRUE;
	exchange->owes_continue = FALSE;
	if (conn->server->ops->complete != NULL && !conn->broken)
		conn->server->ops->complete(conn->server->data, exchange);
}

static gboolean can_parse(const struct http_conn *conn)
{
	return !conn->closed && !conn->broken && !conn->lingering &&
	       conn->parser.state <= HTTP_PARSER_BODY &&
	       (conn->exchange == NULL || !conn->exchange->paused);
}

static gsize parse(struct http_conn *conn, const char *bytes, gsize len)
{
	if (!can_parse(conn))
		return 0;
	if (conn->head_ms < 0 && len > 0)
		conn->head_ms = server_now_ms(conn->server);
	return http_parser_feed(&conn->parser, bytes, len);
}

/* FALSE: nothing moved. */
static gboolean parse_input(struct http_conn *conn)
{
	gboolean resumed = llhttp_get_errno(&conn->parser.llhttp) == HPE_PAUSED;

	if (!can_parse(conn) || (conn->input->len == 0 && !resumed))
		return FALSE;
	/* The array must not move under the parser: nothing else appends while it runs. */
	gsize used = parse(conn, (const char *)conn->input->data, conn->input->len);
	g_byte_array_remove_range(conn->input, 0, (guint)used);
	return TRUE;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	struct http_conn *conn = handle->data;

	(void)suggested;
	/* Shared by all connections: what is not parsed inside on_read() is copied there. */
	*buffer = uv_buf_init(conn->server->read_buffer, HTTP_READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
	struct http_conn *conn = stream->data;

	if (count == UV_EOF)
		conn->eof = TRUE;
	else if (count < 0)
		conn->broken = TRUE;
	if (count > 0 && !conn->lingering) {
		gsize len = (gsize)count, used = 0;

		conn->busy = TRUE;
		if (conn->input->len == 0)
			used = parse(conn, buffer->base, len);
		conn->busy = FALSE;
		if (used < len)
			g_byte_array_append(
			    conn->input, (const guint8 *)buffer->base + used, (guint)(len - used));
	}
	if (count != 0)
		conn_advance(conn);
}

/* --- progress ----------------------------------------------------------------------------- */

static void next_request(struct http_conn *conn)
{
	conn->served = TRUE;
	conn->head_ms = -1;
	conn->mark_ms = server_now_ms(conn->server);
	http_parser_next(&conn->parser);
}

/* The answer is out. TRUE: the exchange is over and something may follow. */
static gboolean end_exchange(struct http_conn *conn)
{
	struct http_exchange *exchange = conn->exchange;
	gboolean complete = exchange->complete;
	gboolean hopeless = exchange->owes_continue || exchange->read_past > HTTP_DRAIN_MAX_BYTES ||
			    conn->parser.state == HTTP_PARSER_FAILED || conn->eof;

	if (!complete && exchange->keep_alive && !hopeless) {
		/* Whoever paused the body's reading has no interest in it now. */
		if (exchange->paused)
			http_exchange_resume(exchange);
		return FALSE;
	}
	gboolean go_on = complete && exchange->keep_alive && !conn->server->stopping;
	exchange_finish(g_steal_pointer(&conn->exchange), FALSE);
	if (go_on)
		next_request(conn);
	else if (!conn->broken)
		conn_linger(conn);
	return TRUE;
}

/* The parser refused: an answer that says so, where none has begun. */
static void end_failed(struct http_conn *conn)
{
	if (conn->exchange != NULL && conn->exchange->answer != HTTP_ANSWER_NONE) {
		conn->broken = TRUE;
		return;
	}
	if (conn->exchange != NULL)
		exchange_finish(g_steal_pointer(&conn->exchange), TRUE);
	conn_refuse(conn, conn->parser.error_status, conn->parser.error_text);
	if (!conn->broken)
		conn_linger(conn);
}

static gboolean is_over(const struct http_conn *conn)
{
	if (conn->broken || (conn->lingering && conn->eof && conn->pieces == 0))
		return TRUE;
	if (conn->lingering)
		return FALSE;
	if (conn->exchange != NULL)
		return conn->eof && conn->exchange->answer != HTTP_ANSWER_ENDED;
	return conn->eof || conn->server->stopping;
}

/* One step; FALSE: nothing to do now. */
static gboolean step(struct http_conn *conn)
{
	struct http_exchange *exchange = conn->exchange;

	if (conn->broken)
		return FALSE;
	if (exchange != NULL) {
		if (exchange->file != NULL)
			file_advance(exchange->file);
		if (exchange->owes_continue && !exchange->paused)
			exchange_send_continue(exchange);
		exchange_maybe_drained(exchange);
		if (exchange->answer == HTTP_ANSWER_ENDED && conn->pieces == 0 &&
		    end_exchange(conn))
			return TRUE;
	}
	if (conn->parser.state == HTTP_PARSER_FAILED && !conn->lingering && !conn->broken &&
	    (conn->exchange == NULL || conn->exchange->answer != HTTP_ANSWER_ENDED)) {
		end_failed(conn);
		return TRUE;
	}
	return parse_input(conn);
}

static gint64 read_deadline_ms(const struct http_conn *conn)
{
	const struct http_server_options *options = &conn->server->options;
	const struct http_exchange *exchange = conn->exchange;

	if (conn->lingering)
		return conn->mark_ms + HTTP_LINGER_MS;
	if (exchange != NULL)
		return exchange->complete || exchange->paused
			   ? -1
			   : conn->mark_ms + options->idle_timeout_ms;
	if (conn->head_ms >= 0)
		return conn->head_ms + options->head_timeout_ms;
	return conn->mark_ms + (conn->served ? options->idle_timeout_ms : options->head_timeout_ms);
}

static void update_reading(struct http_conn *conn)
{
	const struct http_exchange *exchange = conn->exchange;
	gboolean want = !conn->eof && conn->input->len < HTTP_INPUT_MAX_BYTES &&
			!(exchange != NULL && exchange->paused && !exchange->complete);

	if (want && !conn->reading)
		uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read);
	else if (!want && conn->reading)
		uv_read_stop((uv_stream_t *)&conn->tcp);
	conn->reading = want;
	gint64 deadline_ms = read_deadline_ms(conn);
	if (deadline_ms < 0)
		loop_timer_stop(conn->read_timer);
	else
		loop_timer_start(
		    conn->read_timer, MAX(deadline_ms - server_now_ms(conn->server), 0));
}

void conn_advance(struct http_conn *conn)
{
	if (conn->busy || conn->closed)
		return;
	conn->busy = TRUE;
	while (step(conn))
		;
	if (is_over(conn))
		conn_close(conn);
	else
		update_reading(conn);
	conn->busy = FALSE;
}

void conn_wake(struct http_conn *conn)
{
	/* Inside conn_advance() and on_read() it is looked at anyway. */
	if (conn->busy || conn->closed || conn->waking)
		return;
	conn->waking = TRUE;
	g_queue_push_tail_link(&conn->server->waking, &conn->wake_link);
	loop_timer_start(conn->server->wake, 0);
}

static void on_read_timer(void *data)
{
	struct http_conn *conn = data;
	gboolean mid_request = conn->exchange != NULL || conn->head_ms >= 0;

	if (!conn->lingering && mid_request && !conn->broken &&
	    (conn->exchange == NULL || conn->exchange->answer == HTTP_ANSWER_NONE)) {
		conn->busy = TRUE;
		if (conn->exchange != NULL)
			exchange_finish(g_steal_pointer(&conn->exchange), TRUE);
		conn_refuse(conn, 408, "the request did not come in time");
		if (!conn->broken)
			conn_linger(conn);
		conn->busy = FALSE;
		conn_advance(conn);
		return;
	}
	conn->broken = TRUE;
	conn_advance(conn);
}

void conn_accept(struct http_server *server, uv_stream_t *listener)
{
	static const struct http_parser_ops parser_ops = {on_head, on_body, on_complete};
	struct http_conn *conn = g_new0(struct http_conn, 1);
	const struct http_server_options *options = &server->options;

	conn->server = server;
	conn->link.data = conn->wake_link.data = conn;
	conn->head_ms = -1;
	conn->mark_ms = server_now_ms(server);
	conn->input = g_byte_array_new();
	http_parser_init(
	    &conn->parser, options->max_head_bytes, options->max_body_bytes, &parser_ops, conn);
	uv_tcp_init(loop_uv(server->loop), &conn->tcp);
	conn->tcp.data = conn;
	conn->read_timer = loop_timer_new(server->loop, on_read_timer, conn);
	conn->write_timer = loop_timer_new(server->loop, on_write_timer, conn);
	gboolean full = server->conns.length >= options->max_connections;
	g_queue_push_tail_link(&server->conns, &conn->link);
	if (uv_accept(listener, (uv_stream_t *)&conn->tcp) != 0 || full) {
		conn_close(conn);
		return;
	}
	uv_tcp_nodelay(&conn->tcp, 1);
	conn_advance(conn);
}
