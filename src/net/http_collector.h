/* Room-private. Gathers a response into a struct http_response, up to a limit. */
#ifndef NET_HTTP_COLLECTOR_H
#define NET_HTTP_COLLECTOR_H

#include "net/http_client.h"

struct http_collector {
	gsize max_bytes;
	int status;
	GHashTable *headers;
	GString *body;
	gboolean too_large;
};

/* `max_bytes` 0: 64 MiB. */
void http_collector_init(struct http_collector *collector, gsize max_bytes);
void http_collector_done(struct http_collector *collector);

/* The data of these is the collector. */
gboolean http_collector_head(void *data, const struct http_head *head);
gboolean http_collector_body(void *data, const char *bytes, gsize len);

/*
 * Ends it: consumes `take_error` (NULL: the response is whole). What is gathered becomes the
 * response, or *error says why there is none; `url` is for its text.
 */
struct http_response *http_collector_finish(
    struct http_collector *collector, const char *url, GError *take_error, GError **error);

#endif
