#include "kube/client_priv.h"

#include "net/url.h"

#include <string.h>

enum {
	DEFAULT_IN_FLIGHT = 64,
	DEFAULT_REQUEST_TIMEOUT_MS = 30 * 1000,
	DEFAULT_DEADLINE_MS = 60 * 1000,
	DEFAULT_WATCH_IDLE_MS = 150 * 1000, /* bookmarks come about once a minute */
	GRACE_MS = 500, /* after the deadline a blocking caller leaves a loop that stands still */
};

struct kube_client *kube_client_new(
    struct loop *loop, struct kube_config *config, const struct kube_client_options *options)
{
	struct kube_client *client = g_new0(struct kube_client, 1);
	const char *manager = options->field_manager;

	client->loop = loop;
	client->config = config;
	client->http = http_client_new(loop, options->user_agent);
	client->field_manager = url_encode(manager == NULL ? "ollama-operator" : manager);
	client->max_in_flight =
	    options->max_in_flight == 0 ? DEFAULT_IN_FLIGHT : options->max_in_flight;
	client->request_timeout_ms = options->request_timeout_ms == 0 ? DEFAULT_REQUEST_TIMEOUT_MS
								      : options->request_timeout_ms;
	client->deadline_ms =
	    options->deadline_ms == 0 ? DEFAULT_DEADLINE_MS : options->deadline_ms;
	client->watch_idle_ms =
	    options->watch_idle_ms == 0 ? DEFAULT_WATCH_IDLE_MS : options->watch_idle_ms;
	client->observe = options->observe;
	client->observe_data = options->observe_data;
	return client;
}

void kube_client_free(struct kube_client *client)
{
	if (client == NULL)
		return;
	kube_calls_end(client);
	kube_watches_end(client);
	http_client_free(client->http);
	g_free(client->field_manager);
	g_free(client);
}

struct kube_config *kube_client_config(struct kube_client *client)
{
	return client->config;
}

char *kube_describe(const char *verb, const struct kube_resource *resource, const char *namespace,
    const char *name, const char *subresource)
{
	g_autofree char *version = kube_resource_api_version(resource);
	GString *text = g_string_new(verb);
	const char *scope = resource->namespaced ? namespace : NULL;

	g_string_append_printf(text, " %s %s", resource->plural, version);
	if (scope != NULL || name != NULL)
		g_string_append_printf(text, " %s%s%s", scope == NULL ? "" : scope,
		    scope == NULL || name == NULL ? "" : "/", name == NULL ? "" : name);
	if (name != NULL && subresource != NULL)
		g_string_append_printf(text, "/%s", subresource);
	return g_string_free(text, FALSE);
}

/*
 * A blocking caller and its call on the loop. Both sides hold a reference: the caller may leave
 * when its time is over although the loop still has the call.
 */
struct waiter {
	gint refs;
	struct kube_call *call; /* until it is begun */
	GMutex mutex;
	GCond cond;
	gboolean left;
	gboolean done;
	GByteArray *body;
	GError *error;
};

static void waiter_unref(struct waiter *waiter)
{
	if (!g_atomic_int_dec_and_test(&waiter->refs))
		return;
	g_mutex_clear(&waiter->mutex);
	g_cond_clear(&waiter->cond);
	if (waiter->body != NULL)
		g_byte_array_unref(waiter->body);
	g_clear_error(&waiter->error);
	g_free(waiter);
}

static void waiter_done(void *data, GByteArray *body, const GError *error)
{
	struct waiter *waiter = data;

	g_mutex_lock(&waiter->mutex);
	waiter->done = TRUE;
	waiter->body = body == NULL ? NULL : g_byte_array_ref(body);
	waiter->error = error == NULL ? NULL : g_error_copy(error);
	g_cond_signal(&waiter->cond);
	g_mutex_unlock(&waiter->mutex);
	waiter_unref(waiter);
}

static void waiter_begin(void *data)
{
	struct waiter *waiter = data;
	gboolean left;

	g_mutex_lock(&waiter->mutex);
	left = waiter->left;
	g_mutex_unlock(&waiter->mutex);
	if (left) {
		/* The client may be gone by now: touch the call only. */
		kube_call_drop(waiter->call);
		waiter_unref(waiter);
		return;
	}
	kube_call_begin(waiter->call);
}

/* The 2xx body of one request; NULL with the error. Not on the loop's thread: it would wait
 * for itself. */
static GByteArray *perform(
    struct kube_client *client, const struct kube_request *request, GError **error)
{
	struct waiter *waiter = g_new0(struct waiter, 1);
	gint64 until_us = g_get_monotonic_time() + (client->deadline_ms + GRACE_MS) * 1000;
	GByteArray *body;

	g_assert(!loop_is_current(client->loop));
	waiter->refs = 2;
	g_mutex_init(&waiter->mutex);
	g_cond_init(&waiter->cond);
	waiter->call = kube_call_new(client, request, waiter_done, waiter);
	loop_post(client->loop, waiter_begin, waiter);

	g_mutex_lock(&waiter->mutex);
	while (!waiter->done && !waiter->left)
		waiter->left = !g_cond_wait_until(&waiter->cond, &waiter->mutex, until_us);
	if (waiter->error != NULL)
		g_propagate_error(error, g_steal_pointer(&waiter->error));
	else if (!waiter->done)
		g_set_error(error, KUBE_ERROR, KUBE_ERROR_RETRY,
		    "%s: the loop did not answer in time", request->what);
	body = g_steal_pointer(&waiter->body);
	g_mutex_unlock(&waiter->mutex);
	waiter_unref(waiter);
	return body;
}

/* perform() for answers that are one JSON text. */
static yyjson_doc *perform_json(
    struct kube_client *client, const struct kube_request *request, GError **error)
{
	g_autoptr(GByteArray) body = perform(client, request, error);
	g_autoptr(GError) cause = NULL;
	yyjson_doc *doc;

	if (body == NULL)
		return NULL;
	doc = json_parse((const char *)body->data, body->len, &cause);
	if (doc == NULL)
		g_set_error(error, KUBE_ERROR, KUBE_ERROR_RETRY, "%s: the answer is no JSON: %s",
		    request->what, cause->message);
	return doc;
}

/* Where a request goes; the members of kube_resource_path(). */
struct address {
	const struct kube_resource *resource;
	const char *namespace, *name, *subresource;
};

/* Completes `request` with path and description, and performs it. `query` is NULL or encoded. */
static yyjson_doc *perform_at(struct kube_client *client, const struct address *address,
    const char *query, struct kube_request *request, GError **error)
{
	g_autofree char *path = kube_resource_path(
	    address->resource, address->namespace, address->name, address->subresource);
	g_autofree char *target = g_strconcat(path, query == NULL ? "" : "?", query, NULL);
	g_autofree char *what = kube_describe(request->verb, address->resource, address->namespace,
	    address->name, address->subresource);

	request->target = target;
	request->what = what;
	request->plural = address->resource->plural;
	return perform_json(client, request, error);
}

/*
 * perform_at() for requests that are answered with the object. An answer that is none, as of a
 * proxy in between, must not pass for a success: the request may not have been carried out.
 */
static yyjson_doc *perform_object(struct kube_client *client, const struct address *address,
    const char *query, struct kube_request *request, GError **error)
{
	g_autofree char *what = NULL;
	yyjson_doc *doc = perform_at(client, address, query, request, error);

	if (doc == NULL || json_str(yyjson_doc_get_root(doc), "metadata", "name", NULL) != NULL)
		return doc;
	yyjson_doc_free(doc);
	what = kube_describe(request->verb, address->resource, address->namespace, address->name,
	    address->subresource);
	g_set_error(error, KUBE_ERROR, KUBE_ERROR_RETRY, "%s: the answer is not the object", what);
	return NULL;
}

yyjson_doc *kube_get(struct kube_client *client, const struct kube_resource *resource,
    const char *namespace, const char *name, GError **error)
{
	struct kube_request request = {.method = "GET", .verb = "get"};
	struct address address = {resource, namespace, name, NULL};

	return perform_object(client, &address, NULL, &request, error);
}

yyjson_doc *kube_list(struct kube_client *client, const struct kube_resource *resource,
    const char *namespace, const char *query, GError **error)
{
	struct kube_request request = {.method = "GET", .verb = "list"};
	struct address address = {resource, namespace, NULL, NULL};

	return perform_at(client, &address, query, &request, error);
}

yyjson_doc *kube_create(struct kube_client *client, const struct kube_resource *resource,
    const char *namespace, const char *body, gsize body_len, GError **error)
{
	struct kube_request request = {
	    .method = "POST",
	    .verb = "create",
	    .content_type = "application/json",
	    .body = body,
	    .body_len = body_len,
	};
	struct address address = {resource, namespace, NULL, NULL};
	g_autofree char *query = g_strconcat("fieldManager=", client->field_manager, NULL);

	return perform_object(client, &address, query, &request, error);
}

yyjson_doc *kube_update(struct kube_client *client, const struct kube_resource *resource,
    const char *namespace, const char *name, const char *subresource, const char *body,
    gsize body_len, GError **error)
{
	struct kube_request request = {
	    .method = "PUT",
	    .verb = "update",
	    .content_type = "application/json",
	    .body = body,
	    .body_len = body_len,
	};
	struct address address = {resource, namespace, name, subresource};
	g_autofree char *query = g_strconcat("fieldManager=", client->field_manager, NULL);

	return perform_object(client, &address, query, &request, error);
}

yyjson_doc *kube_apply(struct kube_client *client, const struct kube_resource *resource,
    const char *namespace, const char *name, const char *subresource, const char *body,
    gsize body_len, gboolean force, GError **error)
{
	struct kube_request request = {
	    .method = "PATCH",
	    .verb = "apply",
	    .content_type = "application/apply-patch+yaml", /* every JSON text is YAML */
	    .body = body,
	    .body_len = body_len,
	};
	struct address address = {resource, namespace, name, subresource};
	g_autofree char *query = g_strconcat(
	    "fieldManager=", client->field_manager, "&force=", force ? "true" : "false", NULL);

	return perform_object(client, &address, query, &request, error);
}

yyjson_doc *kube_patch_merge(struct kube_client *client, const struct kube_resource *resource,
    const char *namespace, const char *name, const char *subresource, const char *body,
    gsize body_len, GError **error)
{
	struct kube_request request = {
	    .method = "PATCH",
	    .verb = "patch",
	    .content_type = "application/merge-patch+json",
	    .body = body,
	    .body_len = body_len,
	};
	struct address address = {resource, namespace, name, subresource};
	g_autofree char *query = g_strconcat("fieldManager=", client->field_manager, NULL);

	return perform_object(client, &address, query, &request, error);
}

/* DeleteOptions as JSON text, the caller's. */
static char *delete_options(const char *uid, gsize *ret_len)
{
	g_autoptr(yyjson_mut_doc) doc = yyjson_mut_doc_new(json_alc());
	yyjson_mut_val *root = yyjson_mut_obj(doc);

	yyjson_mut_doc_set_root(doc, root);
	json_mut_set_str(doc, root, "apiVersion", "v1");
	json_mut_set_str(doc, root, "kind", "DeleteOptions");
	json_mut_set_str(doc, root, "propagationPolicy", "Background");
	if (uid != NULL)
		json_mut_set_str(doc, json_mut_object(doc, root, "preconditions"), "uid", uid);
	return json_mut_print(root, ret_len);
}

gboolean kube_delete(struct kube_client *client, const struct kube_resource *resource,
    const char *namespace, const char *name, const char *uid, GError **error)
{
	struct kube_request request = {
	    .method = "DELETE",
	    .verb = "delete",
	    .content_type = "application/json",
	};
	struct address address = {resource, namespace, name, NULL};
	g_autofree char *body = delete_options(uid, &request.body_len);
	g_autoptr(yyjson_doc) doc = NULL;
	g_autoptr(GError) failure = NULL;

	request.body = body;
	doc = perform_at(client, &address, NULL, &request, &failure);
	if (doc != NULL || kube_error_is(failure, KUBE_ERROR_NOT_FOUND))
		return TRUE;
	g_propagate_error(error, g_steal_pointer(&failure));
	return FALSE;
}

char *kube_get_raw(struct kube_client *client, const char *path, GError **error)
{
	g_autofree char *what = g_strconcat("get ", path, NULL);
	struct kube_request request = {
	    .method = "GET",
	    .verb = "get",
	    .plural = "",
	    .target = path,
	    .accept = "application/json, */*",
	    .what = what,
	};
	g_autoptr(GByteArray) body = perform(client, &request, error);

	return body == NULL ? NULL : g_strndup((const char *)body->data, body->len);
}
