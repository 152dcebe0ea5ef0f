#include "net/http_server_priv.h"

#include <string.h>

struct http_exchange *exchange_new(struct http_conn *conn, struct http_message *take_message)
{
	struct http_exchange *exchange = g_new0(struct http_exchange, 1);

	exchange->conn = conn;
	exchange->message = take_message;
	exchange->owes_continue = take_message->expects_continue;
	exchange->keep_alive = take_message->keep_alive;
	exchange->no_body = strcmp(take_message->method, "HEAD") == 0;
	return exchange;
}

void exchange_finish(struct http_exchange *exchange, gboolean aborted)
{
	struct http_server *server = exchange->conn->server;

	if (exchange->file != NULL)
		file_detach(g_steal_pointer(&exchange->file));
	if (server->ops->closed != NULL)
		server->ops->closed(server->data, exchange, aborted);
	http_message_free(exchange->message);
	g_free(exchange);
}

const char *http_exchange_method(const struct http_exchange *exchange)
{
	return exchange->message->method;
}

const char *http_exchange_path(const struct http_exchange *exchange)
{
	return exchange->message->path;
}

const char *http_exchange_query(const struct http_exchange *exchange)
{
	return exchange->message->query;
}

const char *http_exchange_header(const struct http_exchange *exchange, const char *name)
{
	return http_message_header(exchange->message, name);
}

void http_exchange_set_data(struct http_exchange *exchange, void *data)
{
	exchange->data = data;
}

void *http_exchange_data(const struct http_exchange *exchange)
{
	return exchange->data;
}

void http_exchange_pause(struct http_exchange *exchange)
{
	exchange->paused = TRUE;
	if (!exchange->complete)
		http_parser_pause(&exchange->conn->parser);
}

void http_exchange_resume(struct http_exchange *exchange)
{
	exchange->paused = FALSE;
	exchange->conn->mark_ms = server_now_ms(exchange->conn->server);
	http_parser_resume(&exchange->conn->parser);
	conn_wake(exchange->conn);
}

void exchange_send_continue(struct http_exchange *exchange)
{
	static char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
	uv_buf_t buffer = uv_buf_init(text, sizeof(text) - 1);

	if (exchange->answer != HTTP_ANSWER_NONE)
		return;
	exchange->owes_continue = FALSE;
	conn_write(exchange->conn, &buffer, 1);
}

void exchange_maybe_drained(struct http_exchange *exchange)
{
	struct http_server *server = exchange->conn->server;

	if (!exchange->blocked || exchange->answer != HTTP_ANSWER_BEGUN ||
	    conn_pending_bytes(exchange->conn) >= server->options.write_high_bytes)
		return;
	exchange->blocked = FALSE;
	if (server->ops->drained != NULL)
		server->ops->drained(server->data, exchange);
}

/* --- the answer's head -------------------------------------------------------------------- */

static const char *reason(int status)
{
	static const struct {
		int status;
		const char *text;
	} reasons[] = {
	    {200, "OK"},
	    {201, "Created"},
	    {202, "Accepted"},
	    {204, "No Content"},
	    {206, "Partial Content"},
	    {301, "Moved Permanently"},
	    {302, "Found"},
	    {303, "See Other"},
	    {304, "Not Modified"},
	    {307, "Temporary Redirect"},
	    {308, "Permanent Redirect"},
	    {400, "Bad Request"},
	    {401, "Unauthorized"},
	    {403, "Forbidden"},
	    {404, "Not Found"},
	    {405, "Method Not Allowed"},
	    {408, "Request Timeout"},
	    {409, "Conflict"},
	    {411, "Length Required"},
	    {412, "Precondition Failed"},
	    {413, "Content Too Large"},
	    {415, "Unsupported Media Type"},
	    {416, "Range Not Satisfiable"},
	    {417, "Expectation Failed"},
	    {422, "Unprocessable Content"},
	    {429, "Too Many Requests"},
	    {431, "Request Header Fields Too Large"},
	    {500, "Internal Server Error"},
	    {501, "Not Implemented"},
	    {502, "Bad Gateway"},
	    {503, "Service Unavailable"},
	    {504, "Gateway Timeout"},
	    {505, "HTTP Version Not Supported"},
	    {507, "Insufficient Storage"},
	};

	for (guint i = 0; i < G_N_ELEMENTS(reasons); i++) {
		if (reasons[i].status == status)
			return reasons[i].text;
	}
	return "Status";
}

/* A line break in a value would let whoever made it write fields, or a second answer. */
static void add_line(GString *head, const char *name, const char *value)
{
	if (strpbrk(value, "\r\n") != NULL)
		return;
	g_string_append_printf(head, "%s%s\r\n", name, value);
}

static GString *start_answer(struct http_server *server, int status, const char *content_type)
{
	GString *head = g_string_sized_new(256);

	g_string_append_printf(head, "HTTP/1.1 %d %s\r\n", status, reason(status));
	add_line(head, "Date: ", server_date(server));
	if (content_type != NULL)
		add_line(head, "Content-Type: ", content_type);
	return head;
}

/* How the end of the body is told, and whether the connection lives on. */
static void choose_framing(struct http_exchange *exchange, int status, gint64 content_length)
{
	struct http_conn *conn = exchange->conn;

	g_assert(exchange->answer == HTTP_ANSWER_NONE && status >= 200 && status <= 999);
	exchange->answer = HTTP_ANSWER_BEGUN;
	exchange->left = content_length;
	exchange->no_body |= status == 204 || status == 304;
	exchange->chunked = content_length < 0 && !exchange->no_body && !exchange->message->http10;
	if (content_length < 0 && !exchange->chunked && !exchange->no_body)
		exchange->keep_alive = FALSE;
	/* Without 100 nobody knows whether the client will send its body. */
	if (exchange->owes_continue || conn->server->stopping || conn->eof)
		exchange->keep_alive = FALSE;
}

static GString *make_head(struct http_exchange *exchange, int status, const char *content_type,
    const char *const *extra_headers, gint64 content_length)
{
	choose_framing(exchange, status, content_length);
	GString *head = start_answer(exchange->conn->server, status, content_type);
	if (content_length >= 0 && status != 204 && status != 304)
		g_string_append_printf(
		    head, "Content-Length: %" G_GINT64_FORMAT "\r\n", content_length);
	else if (exchange->chunked)
		g_string_append(head, "Transfer-Encoding: chunked\r\n");
	if (!exchange->keep_alive)
		g_string_append(head, "Connection: close\r\n");
	else if (exchange->message->http10)
		g_string_append(head, "Connection: keep-alive\r\n");
	for (; extra_headers != NULL && *extra_headers != NULL; extra_headers++)
		add_line(head, "", *extra_headers);
	g_string_append(head, "\r\n");
	return head;
}

static void write_string(struct http_conn *conn, GString *take_text)
{
	uv_buf_t buffer = uv_buf_init(take_text->str, (unsigned)take_text->len);

	conn_write(conn, &buffer, 1);
	g_string_free(take_text, TRUE);
}

void conn_refuse(struct http_conn *conn, int status, const char *text)
{
	GString *answer = start_answer(conn->server, status, "text/plain; charset=utf-8");

	g_string_append_printf(answer,
	    "Content-Length: %" G_GSIZE_FORMAT "\r\nConnection: close\r\n\r\n%s\n",
	    strlen(text) + 1, text);
	write_string(conn, answer);
}

/* --- the answer --------------------------------------------------------------------------- */

void http_exchange_respond(struct http_exchange *exchange, int status, const char *content_type,
    const char *const *extra_headers, const char *body, gsize body_len)
{
	GString *head = make_head(exchange, status, content_type, extra_headers, (gint64)body_len);
	uv_buf_t buffers[] = {
	    uv_buf_init(head->str, (unsigned)head->len),
	    uv_buf_init((char *)body, (unsigned)body_len),
	};

	g_assert(body_len <= G_MAXUINT32);
	conn_write(exchange->conn, buffers, exchange->no_body || body_len == 0 ? 1 : 2);
	g_string_free(head, TRUE);
	exchange->answer = HTTP_ANSWER_ENDED;
	conn_wake(exchange->conn);
}

void http_exchange_begin(struct http_exchange *exchange, int status, const char *content_type,
    const char *const *extra_headers, gint64 content_length)
{
	write_string(exchange->conn,
	    make_head(exchange, status, content_type, extra_headers, content_length));
}

gboolean http_exchange_write(struct http_exchange *exchange, const char *bytes, gsize len)
{
	struct http_conn *conn = exchange->conn;
	char size[24];

	g_assert(exchange->answer == HTTP_ANSWER_BEGUN && len <= G_MAXUINT32);
	g_assert(exchange->left < 0 || (gint64)len <= exchange->left);
	if (exchange->left >= 0)
		exchange->left -= (gint64)len;
	if (len > 0 && !exchange->no_body && exchange->chunked) {
		int size_len = g_snprintf(size, sizeof(size), "%" G_GSIZE_MODIFIER "x\r\n", len);
		uv_buf_t buffers[] = {
		    uv_buf_init(size, (unsigned)size_len),
		    uv_buf_init((char *)bytes, (unsigned)len),
		    uv_buf_init((char *)"\r\n", 2),
		};
		conn_write(conn, buffers, G_N_ELEMENTS(buffers));
	} else if (len > 0 && !exchange->no_body) {
		uv_buf_t buffer = uv_buf_init((char *)bytes, (unsigned)len);
		conn_write(conn, &buffer, 1);
	}
	if (!conn->broken && conn_pending_bytes(conn) < conn->server->options.write_high_bytes)
		return TRUE;
	exchange->blocked = TRUE;
	return FALSE;
}

void http_exchange_end(struct http_exchange *exchange)
{
	uv_buf_t last = uv_buf_init((char *)"0\r\n\r\n", 5);

	g_assert(exchange->answer == HTTP_ANSWER_BEGUN);
	if (exchange->left > 0 && !exchange->no_body) {
		/* Less than was promised: the client must not take it for whole. */
		http_exchange_abort(exchange);
		return;
	}
	if (exchange->chunked)
		conn_write(exchange->conn, &last, 1);
	exchange->answer = HTTP_ANSWER_ENDED;
	conn_wake(exchange->conn);
}

void http_exchange_abort(struct http_exchange *exchange)
{
	exchange->conn->broken = TRUE;
	conn_wake(exchange->conn);
}

void http_exchange_send_file(struct http_exchange *exchange, int status, const char *content_type,
    const char *const *extra_headers, int take_fd, gint64 offset, gint64 length)
{
	http_exchange_begin(exchange, status, content_type, extra_headers, length);
	exchange->file = file_new(exchange, take_fd, offset, exchange->no_body ? 0 : length);
	conn_wake(exchange->conn);
}
