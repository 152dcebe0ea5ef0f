/*
 * Room-private: the server's parts.
 *
 *	http_server.c    listens, knows all connections, wakes those that have something to do
 *	http_conn.c      one connection: its socket, its deadlines, which request is next
 *	http_exchange.c  one request and its answer: what the header offers
 *	http_file.c      an answer's bytes from a file
 *	http_parser.c    bytes to requests
 *
 * One connection answers one request at a time; what a client sends ahead waits in `input`.
 * All progress is made in conn_advance(), which is never entered twice: the functions of the
 * public header only note what is wanted and wake the connection. So a user's callback may call
 * any of them, and `closed` never runs inside one of them.
 */
#ifndef NET_HTTP_SERVER_PRIV_H
#define NET_HTTP_SERVER_PRIV_H

#include "net/http_parser.h"
#include "net/http_server.h"

/* Bytes sent ahead of their turn; above it nothing is read. One more read may come on top. */
#define HTTP_INPUT_MAX_BYTES (16 * 1024)
#define HTTP_READ_BYTES (64 * 1024)
/* How much of an unwanted body is read past after the answer, to keep the connection. */
#define HTTP_DRAIN_MAX_BYTES (256 * 1024)
/* How long a client may take to notice that we closed our side. */
#define HTTP_LINGER_MS 2000
#define HTTP_FILE_PIECE_BYTES (256 * 1024)

struct http_server {
	struct loop *loop;
	struct http_server_options options;
	const struct http_server_ops *ops;
	void *data;
	uv_tcp_t *listener; /* NULL after shutdown; frees itself when closed */
	GQueue conns;
	GQueue waking; /* connections that want conn_advance() in the next turn */
	struct loop_timer *wake;
	gboolean stopping;
	char *read_buffer;
	gint64 date_s; /* what `date` shows */
	char date[32];
};

struct http_conn {
	struct http_server *server;
	uv_tcp_t tcp;
	GList link, wake_link;
	struct http_parser parser;
	struct http_exchange *exchange; /* the one being answered */
	GByteArray *input;
	struct loop_timer *read_timer, *write_timer;

	gint64 mark_ms;         /* accepted, last exchange over, or last bytes of a body */
	gint64 head_ms;         /* the first byte of the head that is being read; -1: none yet */
	gboolean served;        /* at least one exchange is over */
	guint pieces;           /* writes that libuv has queued */
	guint64 queued_bytes;   /* ever */
	guint64 progress_bytes; /* of them written when it was last looked */
	gint64 progress_ms;

	gboolean busy;   /* conn_advance() is on the stack */
	gboolean waking; /* in server->waking */
	gboolean reading;
	gboolean eof;       /* the client closed its side */
	gboolean broken;    /* close at once */
	gboolean lingering; /* our side is closed, waiting for the client's */
	gboolean closed;
};

enum http_answer { HTTP_ANSWER_NONE, HTTP_ANSWER_BEGUN, HTTP_ANSWER_ENDED };

struct http_file;

struct http_exchange {
	struct http_conn *conn;
	struct http_message *message;
	void *data;
	enum http_answer answer;
	struct http_file *file;
	gint64 left;       /* of the promised length; -1: chunked or until close */
	gsize read_past;   /* bytes of the body after the answer's end */
	gboolean complete; /* the whole request is here */
	gboolean paused;
	gboolean owes_continue; /* the client waits for "100 Continue" */
	gboolean keep_alive;
	gboolean chunked;
	gboolean no_body; /* HEAD, 204, 304 */
	gboolean blocked; /* a write said FALSE */
};

/* http_server.c */
gint64 server_now_ms(const struct http_server *server);
const char *server_date(struct http_server *server);

/* http_conn.c */
void conn_accept(struct http_server *server, uv_stream_t *listener);
/* Something changed: conn_advance() soon, not now. */
void conn_wake(struct http_conn *conn);
void conn_advance(struct http_conn *conn);
/* Closes at once; an open exchange is told. */
void conn_close(struct http_conn *conn);
/* Writes or queues copies of all buffers. */
void conn_write(struct http_conn *conn, const uv_buf_t *buffers, guint count);
/* The same for one buffer that is the connection's from now on (g_free). */
void conn_write_take(struct http_conn *conn, char *take_bytes, gsize len);
/* Bytes that wait in libuv. */
gsize conn_pending_bytes(const struct http_conn *conn);

/* http_exchange.c */
struct http_exchange *exchange_new(struct http_conn *conn, struct http_message *take_message);
/* Calls closed() and frees. */
void exchange_finish(struct http_exchange *exchange, gboolean aborted);
void exchange_send_continue(struct http_exchange *exchange);
void exchange_maybe_drained(struct http_exchange *exchange);
/* Answers without an exchange: what was refused before there was a request. */
void conn_refuse(struct http_conn *conn, int status, const char *text);

/* http_file.c */
struct http_file *file_new(
    struct http_exchange *exchange, int take_fd, gint64 offset, gint64 length);
/* Reads the next piece if there is room. */
void file_advance(struct http_file *file);
/* The exchange is over; the file goes away by itself. */
void file_detach(struct http_file *file);

#endif
