/*
 * Room-private. Bytes of one connection become requests, one at a time; no I/O. The limits and the
 * refusals of the server live here, so that they can be fuzzed without a socket.
 *
 *	     feed            feed             feed, nothing more is consumed
 *	HEAD ---- head() ---> BODY -- body()* --> COMPLETE -- http_parser_next() --> HEAD
 *	   \________________________\___ FAILED (error_status says what to answer)
 *
 * Refused beyond what llhttp's strict mode refuses: HTTP versions other than 1.x (505), CONNECT
 * (501), transfer codings other than one "chunked" (501), any with HTTP/1.0, a missing or second
 * Host with HTTP/1.1, targets that are neither a path, "*" nor an http URL, expectations other
 * than 100-continue (417).
 * Source: RFC 9112, sections 2.2, 3.2, 6.1, 6.3, 7.1.
 */
#ifndef NET_HTTP_PARSER_H
#define NET_HTTP_PARSER_H

#include <glib.h>
#include <llhttp.h>

struct http_field {
	gsize name, value; /* offsets into `text` */
};

/* One request's head. */
struct http_message {
	const char *method; /* static */
	char *path, *query;
	GString *text; /* names and values, each ended by NUL */
	GArray *fields;
	gint64 content_length; /* -1: chunked */
	gboolean http10;
	gboolean keep_alive;
	gboolean expects_continue;
};

enum http_parser_state {
	HTTP_PARSER_HEAD,
	HTTP_PARSER_BODY,
	HTTP_PARSER_COMPLETE,
	HTTP_PARSER_FAILED,
};

struct http_parser_ops {
	/* The message is in parser->message; it may be stolen. */
	void (*head)(void *data);
	void (*body)(void *data, const char *bytes, gsize len);
	void (*complete)(void *data);
};

struct http_parser {
	llhttp_t llhttp;
	enum http_parser_state state;
	const struct http_parser_ops *ops;
	void *data;
	gsize max_head_bytes;
	gint64 max_body_bytes; /* -1: no limit */

	struct http_message *message; /* while its head is read */
	GString *target;
	gsize head_bytes;  /* of this message, from the end of the one before */
	gsize extra_bytes; /* trailers and chunk extensions */
	gint64 body_bytes;
	gboolean pause;   /* asked for */
	gboolean running; /* inside http_parser_feed() */
	int error_status;
	const char *error_text; /* static */
};

void http_parser_init(struct http_parser *parser, gsize max_head_bytes, gint64 max_body_bytes,
    const struct http_parser_ops *ops, void *data);
void http_parser_done(struct http_parser *parser);

/*
 * Returns how many bytes were consumed: fewer than `len` when the message is complete, when it
 * failed, or when it was paused.
 */
gsize http_parser_feed(struct http_parser *parser, const char *bytes, gsize len);

/* After COMPLETE: the next message begins. */
void http_parser_next(struct http_parser *parser);

/* Also from the callbacks; nothing is consumed in between. */
void http_parser_pause(struct http_parser *parser);
void http_parser_resume(struct http_parser *parser);

void http_message_free(struct http_message *message);
/* First of that name, NULL: absent. */
const char *http_message_header(const struct http_message *message, const char *name);

#endif
