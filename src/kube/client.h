/*
 * Requests to a Kubernetes API server.
 *
 * Straight-line code (reconcilers, CLI) calls the blocking functions from any thread but the
 * loop's; they share the loop's connections. Reflectors use the asynchronous list and watch on
 * the loop's thread.
 *
 * Ownership: documents returned are the caller's. Bodies are JSON text, borrowed.
 * Errors: KUBE_ERROR; the message is the server's own, with the request in front
 * ("apply deployments apps/v1 default/phi: ...").
 * Retries: 429 and 503 with Retry-After are waited for and repeated here, up to `deadline_ms`;
 * everything else is for the caller.
 * Limits: responses 64 MiB, one watch event 4 MiB; at most `max_in_flight` requests on the wire
 * (beside watches), others queue: an API server allows 100 streams per HTTP/2 connection.
 * Source: Kubernetes API Concepts; Server-Side Apply.
 */
#ifndef KUBE_CLIENT_H
#define KUBE_CLIENT_H

#include "kube/config.h"
#include "kube/object.h"
#include "kube/resource.h"

struct kube_client;

struct kube_client_options {
	const char *user_agent;    /* "ollama-operator/0.1.0" */
	const char *field_manager; /* for creates, applies and patches: "ollama-operator" */
	guint max_in_flight;       /* default 64 */
	gint64 request_timeout_ms; /* of one attempt, default 30 s */
	gint64 deadline_ms;        /* of a call with its retries, default 60 s */
	gint64 watch_idle_ms;      /* a watch so long without a byte is dead, default 150 s */
	/*
	 * Called after each request (not watches), any thread: for metrics and tests. `code` 0 when
	 * there was no answer. May be NULL.
	 */
	void (*observe)(void *data, const char *verb, const char *plural, int code, gint64 took_us);
	void *observe_data;
};

/* `loop` and `config` must outlive the client. */
struct kube_client *kube_client_new(
    struct loop *loop, struct kube_config *config, const struct kube_client_options *options);
/*
 * After all callers returned; loop's thread or a stopped loop. Open lists and watches get
 * done(CANCELLED), and must not begin anew from there.
 */
void kube_client_free(struct kube_client *client);
DEFINE_AUTO(kube_client, kube_client_free)

struct kube_config *kube_client_config(struct kube_client *client);

/* ---- Blocking; any thread but the loop's ---- */

yyjson_doc *kube_get(struct kube_client *client, const struct kube_resource *resource,
    const char *namespace, const char *name, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* One page; `query` is NULL or an encoded query string ("labelSelector=app%3Dphi&limit=500"). */
yyjson_doc *kube_list(struct kube_client *client, const struct kube_resource *resource,
    const char *namespace, const char *query, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* `name` and `subresource` NULL: POST to the collection. Returns the object as stored. */
yyjson_doc *kube_create(struct kube_client *client, const struct kube_resource *resource,
    const char *namespace, const char *body, gsize body_len,
    GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* PUT; the body carries the resourceVersion it was read at, else CONFLICT cannot be seen. */
yyjson_doc *kube_update(struct kube_client *client, const struct kube_resource *resource,
    const char *namespace, const char *name, const char *subresource, const char *body,
    gsize body_len, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * Server-side apply under the client's field manager. `force` takes over fields that others own.
 * `subresource` is NULL or "status".
 */
yyjson_doc *kube_apply(struct kube_client *client, const struct kube_resource *resource,
    const char *namespace, const char *name, const char *subresource, const char *body,
    gsize body_len, gboolean force, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* JSON merge patch (RFC 7386). */
yyjson_doc *kube_patch_merge(struct kube_client *client, const struct kube_resource *resource,
    const char *namespace, const char *name, const char *subresource, const char *body,
    gsize body_len, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * Background deletion; `uid` NULL or a precondition. TRUE also when it was already gone.
 */
gboolean kube_delete(struct kube_client *client, const struct kube_resource *resource,
    const char *namespace, const char *name, const char *uid,
    GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* GET of any path, the text as it is ("/version", "/readyz"). */
char *kube_get_raw(
    struct kube_client *client, const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* ---- Asynchronous; the loop's thread ---- */

struct kube_list_call;
struct kube_list_ops {
	/* One object of the list, in order; borrowed. Its kind and apiVersion may be missing. */
	void (*item)(void *data, yyjson_val *object);
	/* Last: the collection's resourceVersion and error NULL, or the error. */
	void (*done)(void *data, const char *resource_version, const GError *error);
};

/*
 * Lists everything in pages of 500. `resource_version` "" asks the store of record, "0" any cache.
 * A 410 in the middle of the pages ends with GONE: start again.
 */
struct kube_list_call *kube_list_start(struct kube_client *client,
    const struct kube_resource *resource, const char *namespace, const char *label_selector,
    const char *resource_version, const struct kube_list_ops *ops, void *data);
void kube_list_cancel(struct kube_list_call *call);

struct kube_watch;
enum kube_event_type {
	KUBE_EVENT_ADDED,
	KUBE_EVENT_MODIFIED,
	KUBE_EVENT_DELETED,
	KUBE_EVENT_BOOKMARK,
};
struct kube_watch_ops {
	/* The response's head came: the watch is established. May be NULL. */
	void (*established)(void *data);
	/* `object` is borrowed. A bookmark carries only metadata.resourceVersion. */
	void (*event)(void *data, enum kube_event_type type, yyjson_val *object);
	/*
	 * Last. error NULL: the server ended it in order (its time was over): watch again from the
	 * last resourceVersion. GONE: list again. Not called after kube_watch_stop().
	 */
	void (*done)(void *data, const GError *error);
};

/*
 * Watches from `resource_version` with bookmarks; `timeout_s` is asked of the server; a
 * connection without a byte for `watch_idle_ms` is taken for dead (RETRY).
 */
struct kube_watch *kube_watch_start(struct kube_client *client,
    const struct kube_resource *resource, const char *namespace, const char *label_selector,
    const char *resource_version, guint timeout_s, const struct kube_watch_ops *ops, void *data);
void kube_watch_stop(struct kube_watch *watch);

/*
 * The pure half of a watch: one line of the stream into type and object, for units and fuzzers.
 * An ERROR event becomes its KUBE_ERROR. The document owns `ret_object`.
 */
yyjson_doc *kube_watch_parse(const char *line, gsize len, enum kube_event_type *ret_type,
    yyjson_val **ret_object, GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
