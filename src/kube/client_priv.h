/*
 * What client.c, request.c, list.c, watch.c and error.c of this room share.
 *
 * One machine carries every request but watches: a `struct kube_call` on the loop's thread.
 *
 *	          slot free                 answer                2xx, error, deadline
 *	QUEUED ------------> ON_WIRE -----------------> decide ---------------------> done()
 *	   ^                                              |
 *	   |   401 and the token file has a new token     |  429 or 503 with Retry-After
 *	   +------------------------- PAUSED <------------+
 *
 * The blocking functions post a call to the loop and wait for its done() on a condition.
 */
#ifndef KUBE_CLIENT_PRIV_H
#define KUBE_CLIENT_PRIV_H

#include "kube/client.h"

struct kube_client {
	struct loop *loop;
	struct kube_config *config;
	struct http_client *http;
	char *field_manager; /* percent-encoded */
	guint max_in_flight;
	gint64 request_timeout_ms;
	gint64 deadline_ms;
	gint64 watch_idle_ms;
	void (*observe)(void *data, const char *verb, const char *plural, int code, gint64 took_us);
	void *observe_data;

	/* The loop's thread only. */
	guint on_wire;
	GQueue calls;   /* all open calls */
	GQueue waiting; /* those of them that are QUEUED */
	GQueue watches;
};

/* A request as its maker describes it; everything is borrowed and copied. */
struct kube_request {
	const char *method;       /* "PATCH" */
	const char *verb;         /* Kubernetes' word: "apply" */
	const char *plural;       /* for `observe` */
	const char *target;       /* path and query */
	const char *accept;       /* NULL: application/json */
	const char *content_type; /* NULL: no body */
	const char *body;
	gsize body_len;
	const char *what; /* goes before each error: "apply deployments apps/v1 default/phi" */
};

/*
 * Exactly once. `body` (which may be kept by a reference) of a 2xx answer and error NULL, or the
 * error, which is borrowed.
 */
typedef void (*kube_call_fn)(void *data, GByteArray *body, const GError *error);

struct kube_call;

/* Any thread. The deadline runs from here. */
struct kube_call *kube_call_new(
    struct kube_client *client, const struct kube_request *request, kube_call_fn done, void *data);
/* Frees a call that was never begun; any thread, needs no client. */
void kube_call_drop(struct kube_call *call);
/* The loop's thread. done() is never called inside; after it the handle is gone. */
void kube_call_begin(struct kube_call *call);
/* No done() any more. */
void kube_call_cancel(struct kube_call *call);
/* Ends all calls with CANCELLED. */
void kube_calls_end(struct kube_client *client);

/* Ends all watches with CANCELLED. */
void kube_watches_end(struct kube_client *client);

/* "list pods v1 default/phi/status": verb, resource, and what is not NULL of the rest. */
char *kube_describe(const char *verb, const struct kube_resource *resource, const char *namespace,
    const char *name, const char *subresource);

/* NULL-terminated headers for an HTTP request; NULL members are left out. */
char **kube_headers(const char *accept, const char *content_type, const char *authorization);

/* error.c */

/* The caller's. From a Status object; `http_status` where it has no code. */
GError *kube_error_from_status(yyjson_val *object, int http_status);
/* From an answer that is not 2xx. */
GError *kube_error_from_answer(int status, const char *body, gsize len);
/* From NET_ERROR_*. */
GError *kube_error_from_net(const GError *error);

#endif
