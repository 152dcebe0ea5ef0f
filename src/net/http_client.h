/*
 * The HTTP client for everything that is not the gateway's relay (libcurl; HTTP/2 by ALPN, else
 * HTTP/1.1). Two ways to use it, with one request type:
 *
 *  - on a loop: http_client_start() returns at once, callbacks run on the loop's thread; all calls
 *    of one client share their connections (one HTTP/2 connection carries all watches);
 *    http_client_fetch() is the same for straight-line code on any *other* thread.
 *  - without a loop: http_perform() does one request in the calling thread (downloads, CLI).
 *
 * Ownership: requests are borrowed during the call that takes them; everything is copied.
 * Limits: `max_response_bytes` for collected bodies, head 64 KiB, redirects as set.
 * Set idle_timeout_ms (or timeout_ms) for whatever must not wait for ever.
 * Source: RFC 9110, 9112, 9113.
 */
#ifndef NET_HTTP_CLIENT_H
#define NET_HTTP_CLIENT_H

#include "net/error.h"
#include "net/loop.h"

/* What a TLS connection trusts and shows. All members may be NULL. PEM. Immutable, shared. */
struct http_tls {
	GBytes *ca_pem;    /* instead of the system's roots */
	GBytes *cert_pem;  /* client certificate (chain) */
	GBytes *key_pem;   /* its key */
	char *server_name; /* verify this name instead of the URL's host */
	gboolean insecure; /* verify nothing */
};
struct http_tls *http_tls_new(void);
void http_tls_free(struct http_tls *tls);
DEFINE_AUTO(http_tls, http_tls_free)

struct http_request {
	const char *method; /* "GET" */
	const char *url;
	const char *const *headers; /* NULL-terminated "Name: value", may be NULL */
	const char *body;           /* NULL: none */
	gsize body_len;
	const struct http_tls *tls; /* NULL: system's roots. Must outlive the call */
	const char *proxy;          /* NULL: from the environment; "": none */
	gint64 connect_timeout_ms;  /* 0: 10 s */
	gint64 timeout_ms;          /* whole request; 0: none */
	gint64 idle_timeout_ms;     /* no byte for so long: NET_ERROR_TIMEOUT; 0: none */
	guint max_redirects;        /* 0: redirects are handed out as they are. Credentials never
				       go to another host */
	gsize max_response_bytes;   /* for collected bodies; 0: 64 MiB */
};

/* A response's head; borrowed, lives until the callback returns. */
struct http_head;
int http_head_status(const struct http_head *head);
/* First field of that name (case-insensitive), borrowed; NULL: absent. */
const char *http_head_get(const struct http_head *head, const char *name);
/* Content-Length, -1 when it is not said. */
gint64 http_head_content_length(const struct http_head *head);
/* The URL that answered in the end, after redirects. */
const char *http_head_url(const struct http_head *head);

struct http_call_ops {
	/* The final head (not 1xx, not a followed redirect). FALSE ends the call (CANCELLED). */
	gboolean (*head)(void *data, const struct http_head *head);
	/* A piece of the body as it came. FALSE ends the call (CANCELLED). */
	gboolean (*body)(void *data, const char *bytes, gsize len);
	/*
	 * Exactly once, last; error NULL: the whole response was received (whatever its status).
	 * Not called after http_call_cancel().
	 */
	void (*done)(void *data, const GError *error);
};

struct http_client;
struct http_call;

/* `loop` must outlive the client. `user_agent` is sent with each request. */
struct http_client *http_client_new(struct loop *loop, const char *user_agent);
/* Loop's thread, or after the loop ended. Open calls end without callbacks. */
void http_client_free(struct http_client *client);
DEFINE_AUTO(http_client, http_client_free)

/*
 * Starts a call; loop's thread. Never NULL: what is wrong with the request comes by done(). The
 * handle is valid until done() returns or until it is cancelled. Callbacks never run inside this
 * function.
 */
struct http_call *http_client_start(struct http_client *client, const struct http_request *request,
    const struct http_call_ops *ops, void *data);
/* Ends it, no more callbacks. Loop's thread; also from the call's own head() and body(). */
void http_call_cancel(struct http_call *call);

struct http_response {
	int status;
	char *body; /* NUL-terminated */
	gsize body_len;
	GHashTable *headers; /* lower-case name -> first value */
};
void http_response_free(struct http_response *response);
DEFINE_AUTO(http_response, http_response_free)
/* First value of a header (name in lower case), NULL: absent. */
const char *http_response_header(const struct http_response *response, const char *name);

/*
 * The whole response, any status; blocks the calling thread, which must not be the loop's.
 * Errors: NET_ERROR_*. While the loop does not run it waits for the deadline.
 */
struct http_response *http_client_fetch(struct http_client *client,
    const struct http_request *request, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * One request in the calling thread, without any loop: ops->head and ops->body run in this thread
 * (`done` is not used). `cancelled` may be NULL; set non-zero from another thread it ends the call
 * within a second. Keeps no connection. FALSE with NET_ERROR_*.
 */
gboolean http_perform(const struct http_request *request, const char *user_agent,
    const struct http_call_ops *ops, void *data, const gint *cancelled,
    GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* http_perform() with the body collected. */
struct http_response *http_perform_fetch(const struct http_request *request, const char *user_agent,
    const gint *cancelled, GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
