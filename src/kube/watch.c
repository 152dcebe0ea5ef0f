#include "kube/client_priv.h"

#include "base/lines.h"
#include "kube/config_priv.h"
#include "net/url.h"

enum {
	EVENT_MAX = 4 * 1024 * 1024,
	REFUSAL_MAX = 64 * 1024, /* of a body that explains why there is no watch */
};

struct kube_watch {
	struct kube_client *client;
	const struct kube_watch_ops *ops;
	void *data;
	char *url;
	char *what;
	GList link;

	struct http_call *http;
	char *authorization;
	int status;
	GByteArray *refusal;
	struct lines lines;
	GError *error;    /* of the stream itself, found in body() */
	gboolean renewed; /* a 401 was answered with a new token once */
	guint busy;       /* inside callbacks: the outermost one frees a stopped watch */
	gboolean stopped;
};

static void watch_free(struct kube_watch *watch)
{
	g_queue_unlink(&watch->client->watches, &watch->link);
	g_free(watch->url);
	g_free(watch->what);
	g_free(watch->authorization);
	g_byte_array_unref(watch->refusal);
	lines_done(&watch->lines);
	g_clear_error(&watch->error);
	g_free(watch);
}

static gboolean type_of(const char *text, enum kube_event_type *ret_type)
{
	static const char *const names[] = {
	    [KUBE_EVENT_ADDED] = "ADDED",
	    [KUBE_EVENT_MODIFIED] = "MODIFIED",
	    [KUBE_EVENT_DELETED] = "DELETED",
	    [KUBE_EVENT_BOOKMARK] = "BOOKMARK",
	};

	for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
		if (g_strcmp0(text, names[i]) == 0) {
			*ret_type = (enum kube_event_type)i;
			return TRUE;
		}
	}
	return FALSE;
}

yyjson_doc *kube_watch_parse(const char *line, gsize len, enum kube_event_type *ret_type,
    yyjson_val **ret_object, GError **error)
{
	g_autoptr(GError) cause = NULL;
	g_autoptr(yyjson_doc) doc = NULL;
	yyjson_val *object;
	const char *type;

	if (len > EVENT_MAX) {
		g_set_error_literal(
		    error, KUBE_ERROR, KUBE_ERROR_RETRY, "a watch event is larger than 4 MiB");
		return NULL;
	}
	doc = json_parse(line, len, &cause);
	if (doc == NULL) {
		g_set_error(error, KUBE_ERROR, KUBE_ERROR_RETRY, "a watch event is no JSON: %s",
		    cause->message);
		return NULL;
	}
	type = json_str(yyjson_doc_get_root(doc), "type", NULL);
	object = json_at(yyjson_doc_get_root(doc), "object", NULL);
	if (g_strcmp0(type, "ERROR") == 0) {
		g_propagate_error(error, kube_error_from_status(object, 500));
		return NULL;
	}
	if (!yyjson_is_obj(object) || !type_of(type, ret_type)) {
		g_set_error_literal(error, KUBE_ERROR, KUBE_ERROR_RETRY,
		    "a watch event has no known type or no object");
		return NULL;
	}
	*ret_object = object;
	return g_steal_pointer(&doc);
}

static gboolean on_line(void *data, const char *line, gsize len)
{
	struct kube_watch *watch = data;
	enum kube_event_type type;
	yyjson_val *object;
	g_autoptr(yyjson_doc) doc = kube_watch_parse(line, len, &type, &object, &watch->error);

	if (doc == NULL)
		return FALSE;
	watch->ops->event(watch->data, type, object);
	return !watch->stopped;
}

static gboolean on_head(void *data, const struct http_head *head)
{
	struct kube_watch *watch = data;

	watch->status = http_head_status(head);
	if (watch->status != 200 || watch->ops->established == NULL)
		return TRUE;
	watch->busy++;
	watch->ops->established(watch->data);
	watch->busy--;
	if (!watch->stopped)
		return TRUE;
	/* From inside its own callback a call is cancelled, then left alone. */
	http_call_cancel(watch->http);
	watch_free(watch);
	return FALSE;
}

static gboolean on_body(void *data, const char *bytes, gsize len)
{
	struct kube_watch *watch = data;
	enum lines_result result;

	if (watch->status != 200) {
		guint room = REFUSAL_MAX - watch->refusal->len;

		g_byte_array_append(watch->refusal, (const guint8 *)bytes, (guint)MIN(len, room));
		return TRUE;
	}
	watch->busy++;
	result = lines_feed(&watch->lines, bytes, len, on_line, watch);
	watch->busy--;
	if (watch->stopped) {
		http_call_cancel(watch->http);
		watch_free(watch);
		return FALSE;
	}
	if (result == LINES_TOO_LONG)
		watch->error = g_error_new_literal(
		    KUBE_ERROR, KUBE_ERROR_RETRY, "a watch event is larger than 4 MiB");
	return result == LINES_OK;
}

/* Why it ended; NULL: in order. The caller's. */
static GError *reason_of(struct kube_watch *watch, const GError *error)
{
	if (watch->error != NULL)
		return g_steal_pointer(&watch->error);
	if (error != NULL)
		return kube_error_from_net(error);
	if (watch->status != 200)
		return kube_error_from_answer(
		    watch->status, (const char *)watch->refusal->data, watch->refusal->len);
	if (lines_pending(&watch->lines) > 0)
		return g_error_new_literal(
		    KUBE_ERROR, KUBE_ERROR_RETRY, "the stream ended in the middle of an event");
	return NULL;
}

static void watch_finish(struct kube_watch *watch, GError *take_error)
{
	if (take_error != NULL)
		g_prefix_error(&take_error, "%s: ", watch->what);
	watch->busy++;
	watch->ops->done(watch->data, take_error);
	g_clear_error(&take_error);
	watch_free(watch);
}

static void watch_send(struct kube_watch *watch);

/* TRUE: begun again after a 401, with a token that had been rotated meanwhile. */
static gboolean renew_and_repeat(struct kube_watch *watch)
{
	g_autofree char *renewed = NULL;

	if (watch->status != 401 || watch->renewed)
		return FALSE;
	watch->renewed = TRUE;
	kube_config_forget_token(watch->client->config);
	renewed = kube_config_authorization(watch->client->config);
	if (g_strcmp0(renewed, watch->authorization) == 0)
		return FALSE;
	g_byte_array_set_size(watch->refusal, 0);
	watch_send(watch);
	return TRUE;
}

static void on_done(void *data, const GError *error)
{
	struct kube_watch *watch = data;

	watch->http = NULL;
	if (error == NULL && renew_and_repeat(watch))
		return;
	watch_finish(watch, reason_of(watch, error));
}

static void watch_send(struct kube_watch *watch)
{
	static const struct http_call_ops ops = {on_head, on_body, on_done};
	struct kube_config *config = watch->client->config;
	g_auto(GStrv) headers = NULL;
	struct http_request request = {
	    .method = "GET",
	    .url = watch->url,
	    .tls = kube_config_tls(config),
	    .proxy = kube_config_proxy(config),
	    .idle_timeout_ms = watch->client->watch_idle_ms,
	};

	g_free(watch->authorization);
	watch->authorization = kube_config_authorization(config);
	headers = kube_headers("application/json", NULL, watch->authorization);
	request.headers = (const char *const *)headers;
	watch->status = 0;
	watch->http = http_client_start(watch->client->http, &request, &ops, watch);
}

struct kube_watch *kube_watch_start(struct kube_client *client,
    const struct kube_resource *resource, const char *namespace, const char *label_selector,
    const char *resource_version, guint timeout_s, const struct kube_watch_ops *ops, void *data)
{
	struct kube_watch *watch = g_new0(struct kube_watch, 1);
	g_autofree char *path = kube_resource_path(resource, namespace, NULL, NULL);
	g_autofree char *version = url_encode(resource_version == NULL ? "" : resource_version);
	GString *url = g_string_new(kube_config_server(client->config));

	g_string_append_printf(
	    url, "%s?watch=true&allowWatchBookmarks=true&timeoutSeconds=%u", path, timeout_s);
	if (*version != '\0')
		g_string_append_printf(url, "&resourceVersion=%s", version);
	if (label_selector != NULL && *label_selector != '\0') {
		g_autofree char *selector = url_encode(label_selector);

		g_string_append_printf(url, "&labelSelector=%s", selector);
	}
	watch->client = client;
	watch->ops = ops;
	watch->data = data;
	watch->url = g_string_free(url, FALSE);
	watch->what = kube_describe("watch", resource, namespace, NULL, NULL);
	watch->refusal = g_byte_array_new();
	watch->link.data = watch;
	lines_init(&watch->lines, EVENT_MAX);
	g_queue_push_tail_link(&client->watches, &watch->link);
	watch_send(watch);
	return watch;
}

void kube_watch_stop(struct kube_watch *watch)
{
	if (watch == NULL)
		return;
	watch->stopped = TRUE;
	if (watch->busy > 0)
		return;
	http_call_cancel(watch->http);
	watch_free(watch);
}

void kube_watches_end(struct kube_client *client)
{
	while (client->watches.head != NULL) {
		struct kube_watch *watch = client->watches.head->data;

		http_call_cancel(watch->http);
		watch_finish(watch,
		    g_error_new_literal(KUBE_ERROR, KUBE_ERROR_CANCELLED, "the client was closed"));
	}
}
