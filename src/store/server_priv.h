/* What server.c (requests) and stream.c (answers that go on) share. Loop's thread throughout. */
#ifndef STORE_SERVER_PRIV_H
#define STORE_SERVER_PRIV_H

#include "store/inspect_pool.h"
#include "store/server.h"

struct store_server {
	struct loop *loop;
	struct store_server_options options;
	char *node;
	struct puller *puller;
	struct inspect_pool *inspect_pool;
	struct http_server *http;
	GQueue streams; /* of struct stream, those that have begun */
	struct loop_timer *heartbeat;
	gint notified; /* on_changed() is posted and has not run: changes are seen by that */
	gboolean dead; /* freed but for that post */
};

/* Is this a path of registry_server.c? It answers those, whatever the method. */
gboolean registry_server_has(const char *path);
void registry_server_answer(const struct store_server *server, struct http_exchange *exchange);

/* What a pod asked for; `reference` NULL: a progress stream. */
struct wish {
	struct reference *reference;
	enum pull_policy policy;
	char *pod_uid; /* NULL: it needs no view, it copies the model */
	guint64 ticket;
};
void wish_done(struct wish *wish);

/*
 * An answer of states. It is attached to its exchange, and freed by stream_free() when that is
 * closed.
 */
struct stream;

/* Begins the answer; `take_wish` is emptied. */
struct stream *stream_new(
    struct store_server *server, struct http_exchange *exchange, struct wish *take_wish);
void stream_free(struct stream *stream);
/* Something changed: writes it now, or when its time has come. */
void stream_flush(struct stream *stream);
/* The client took what was written. */
void stream_drained(struct stream *stream);
void stream_heartbeat(struct stream *stream);

/* An answer to POST /v1/inspect that is on its way; attached to its exchange. */
struct inspection;

/* NULL: it was answered at once. */
struct inspection *inspection_new(
    struct store_server *server, struct http_exchange *exchange, const GByteArray *body);
/* The exchange is closed, answered or not. NULL is allowed. */
void inspection_closed(struct inspection *inspection);

#endif
