/*
 * Room-private. One request as libcurl sees it: the easy handle with everything set, the head that
 * is being collected, and how libcurl's results become NET_ERROR_*. Shared by the client on a loop
 * and by http_perform().
 *
 * Ownership: a transfer copies what it needs of the request; only the callbacks' data stays the
 * caller's. Threads: one at a time; it may be made in one thread and run in another.
 */
#ifndef NET_HTTP_TRANSFER_H
#define NET_HTTP_TRANSFER_H

#include "net/http_client.h"

#include <curl/curl.h>

#define HTTP_HEAD_MAX_BYTES (64 * 1024)

struct http_head {
	int status;
	gint64 content_length;
	char *url;
	GString *lines; /* "Name: value\0" one after another, ended by an empty one */
	/* The last status line's promise: more is to come before the final head. */
	gboolean complete;
};

struct http_transfer {
	CURL *easy;
	const struct http_call_ops *ops;
	void *data;

	struct http_head head;
	gsize head_bytes;    /* of all heads of this request, redirects included */
	gboolean head_given; /* ops->head was called */
	gboolean refused;    /* a callback returned FALSE */
	gboolean head_too_large;
	gboolean idle_expired;
	gint64 idle_timeout_ms, timeout_ms;
	gint64 progress_us; /* g_get_monotonic_time() of the last byte seen */
	curl_off_t seen_bytes;
	guint max_redirects;

	char *url;   /* as the caller wrote it */
	char *where; /* "host:port" for messages */
	struct curl_slist *headers, *connect_to;
	char message[CURL_ERROR_SIZE];
};

/*
 * Never NULL. On a bad request *error is set (NET_ERROR_INVALID) and the transfer must not be run,
 * only freed. `ops` and `data` are borrowed for the transfer's life.
 */
struct http_transfer *http_transfer_new(const struct http_request *request, const char *user_agent,
    const struct http_call_ops *ops, void *data, GError **error);
/* Not while a multi handle holds it. */
void http_transfer_free(struct http_transfer *transfer);
G_STATIC_ASSERT(sizeof(curl_off_t) == sizeof(gint64));
DEFINE_AUTO(http_transfer, http_transfer_free)

/* Milliseconds until the idle limit, 0: passed, -1: no limit. */
gint64 http_transfer_idle_left_ms(const struct http_transfer *transfer);

/* Notes progress (bytes moved since the last call). For CURLOPT_XFERINFOFUNCTION. */
void http_transfer_note_bytes(struct http_transfer *transfer, curl_off_t moved);

/* NULL when `code` means that the whole response was received. */
GError *http_transfer_error(struct http_transfer *transfer, CURLcode code);

/* Once per process; any thread. */
void http_curl_init(void);

#endif
