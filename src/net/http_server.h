/*
 * The one HTTP/1.1 server engine: store, health, metrics (and the gateway, later). llhttp parses,
 * libuv moves bytes; a connection never leaves its loop.
 *
 *   accept -> head -> ops->request(exchange) -> [body pieces] -> respond -> next request
 *
 * Ownership: an exchange belongs to the server and lives until its `closed` callback returned.
 * Threads: the loop's thread only; answers made elsewhere come back by loop_post().
 * Back-pressure: http_exchange_write() says FALSE when more than `write_high_bytes` wait; go on
 * when ops->drained is called. Reading of a body stops while http_exchange_pause() holds.
 * Limits: see struct http_server_options; each has a default and is enforced before memory grows.
 * A client that closes its side before its answer is complete counts as gone, as in most servers.
 * A body of which nothing comes for idle_timeout_ms is refused with 408; a handler has no limit.
 * What a client sends ahead waits, read but not parsed, up to 80 KiB.
 * Source: RFC 9110, 9112. Requests that are ambiguous (two lengths, length and chunked, obs-fold,
 * bare CR) are refused with 400 and the connection is closed.
 */
#ifndef NET_HTTP_SERVER_H
#define NET_HTTP_SERVER_H

#include "net/error.h"
#include "net/loop.h"

struct http_server;
struct http_exchange;

struct http_server_options {
	guint max_connections;   /* default 1024; more are accepted and closed at once */
	gsize max_head_bytes;    /* default 32 KiB -> 431 */
	gint64 max_body_bytes;   /* default 1 MiB -> 413; -1: no limit */
	gint64 head_timeout_ms;  /* default 10 s for a whole head -> 408 */
	gint64 idle_timeout_ms;  /* default 75 s between requests */
	gint64 write_timeout_ms; /* default 60 s without progress of a pending write */
	gsize write_high_bytes;  /* default 256 KiB */
};

struct http_server_ops {
	/*
	 * The head is here. Answer now or later. Set exchange data with http_exchange_set_data().
	 */
	void (*request)(void *server_data, struct http_exchange *exchange);
	/* A piece of the request's body; may be NULL (bodies are dropped). */
	void (*body)(
	    void *server_data, struct http_exchange *exchange, const char *bytes, gsize len);
	/* The request is complete; may be NULL. Called also when there is no body. */
	void (*complete)(void *server_data, struct http_exchange *exchange);
	/* What was pending is written below the mark; may be NULL. */
	void (*drained)(void *server_data, struct http_exchange *exchange);
	/*
	 * Last call for this exchange: it was answered to the end, or the client is gone
	 * (`aborted`). Free what set_data() attached. May be NULL.
	 */
	void (*closed)(void *server_data, struct http_exchange *exchange, gboolean aborted);
};

/*
 * Listens on `host` (numeric, "0.0.0.0", "::") and `port` (0: any). Errors: SYSTEM (port taken),
 * INVALID. `options` may be NULL.
 */
struct http_server *http_server_new(struct loop *loop, const char *host, guint16 port,
    const struct http_server_options *options, const struct http_server_ops *ops, void *data,
    GError **error) G_GNUC_WARN_UNUSED_RESULT;
guint16 http_server_port(const struct http_server *server);
/* Stops accepting; connections without a request close at once, others after their answer. */
void http_server_shutdown(struct http_server *server);
/* Closes everything now (closed(aborted) is called for open exchanges). Not from inside the ops. */
void http_server_free(struct http_server *server);
DEFINE_AUTO(http_server, http_server_free)

/* The request; everything borrowed until closed(). */
const char *http_exchange_method(const struct http_exchange *exchange);
const char *http_exchange_path(const struct http_exchange *exchange);  /* as sent, no query */
const char *http_exchange_query(const struct http_exchange *exchange); /* "" when none */
const char *http_exchange_header(const struct http_exchange *exchange, const char *name);
void http_exchange_set_data(struct http_exchange *exchange, void *data);
void *http_exchange_data(const struct http_exchange *exchange);
void http_exchange_pause(struct http_exchange *exchange);
void http_exchange_resume(struct http_exchange *exchange);

/*
 * A whole answer in one call. `content_type` may be NULL when there is no body. `extra_headers`
 * is NULL or a NULL-terminated list of "Name: value". HEAD requests send no body by themselves.
 */
void http_exchange_respond(struct http_exchange *exchange, int status, const char *content_type,
    const char *const *extra_headers, const char *body, gsize body_len);

/*
 * A streamed answer. `content_length` -1: chunked (HTTP/1.0 clients: until close).
 * begin, any number of write (bytes are copied; FALSE: wait for drained), end.
 */
void http_exchange_begin(struct http_exchange *exchange, int status, const char *content_type,
    const char *const *extra_headers, gint64 content_length);
gboolean http_exchange_write(struct http_exchange *exchange, const char *bytes, gsize len);
void http_exchange_end(struct http_exchange *exchange);
/* Gives up in the middle: the connection is closed, so the client sees that it is not whole. */
void http_exchange_abort(struct http_exchange *exchange);

/*
 * A streamed answer from a file: `length` bytes from `offset` of `fd` (consumed: it is closed).
 * Reads on the thread pool, holds at most two pieces of 256 KiB. begin() is done by this call.
 */
void http_exchange_send_file(struct http_exchange *exchange, int status, const char *content_type,
    const char *const *extra_headers, int take_fd, gint64 offset, gint64 length);

#endif
