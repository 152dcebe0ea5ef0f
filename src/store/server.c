#include "store/server_priv.h"

#include "json/json.h"

#include <string.h>

enum { BODY_MAX_BYTES = 64 * 1024, FLUSH_MS = 500, HEARTBEAT_MS = 15 * 1000 };

/* What is attached to an exchange: a request's body that comes in, then the stream. */
struct request {
	GByteArray *body;
	struct stream *stream;
	struct inspection *inspection;
};

static void respond_json_error(
    struct http_exchange *exchange, int status, const char *const *headers, const char *message)
{
	g_autoptr(yyjson_mut_doc) doc = yyjson_mut_doc_new(json_alc());
	yyjson_mut_val *root = yyjson_mut_obj(doc);
	g_autofree char *text = NULL;
	gsize len;

	yyjson_mut_doc_set_root(doc, root);
	json_mut_set_str(doc, root, "error", message);
	text = json_mut_print(root, &len);
	http_exchange_respond(exchange, status, "application/json", headers, text, len);
}

/* --- POST /v1/views, /v1/pulls --------------------------------------------------------------- */

/* FALSE: the sentence says what is wrong with the request. */
static gboolean parse_wish(
    const GByteArray *body, gboolean with_view, struct wish *wish, GError **error)
{
	g_autoptr(yyjson_doc) doc = json_parse((const char *)body->data, body->len, error);
	yyjson_val *root = doc == NULL ? NULL : yyjson_doc_get_root(doc);
	const char *image = json_str(root, "image", NULL);
	const char *pod_uid = with_view ? json_str(root, "podUID", NULL) : NULL;
	const char *policy = json_str(root, "pullPolicy", NULL);

	if (doc == NULL)
		return FALSE;
	wish->policy = PULL_IF_NOT_PRESENT;
	if (image == NULL)
		g_set_error_literal(
		    error, STORE_ERROR, STORE_ERROR_INVALID_IMAGE, "the request names no image");
	else if (with_view && (pod_uid == NULL || !pod_uid_is_valid(pod_uid)))
		g_set_error_literal(error, STORE_ERROR, STORE_ERROR_INVALID_IMAGE,
		    "podUID must be 1 to 64 letters, digits and \"-\"");
	else if (policy != NULL && !pull_policy_parse(policy, &wish->policy))
		g_set_error_literal(error, STORE_ERROR, STORE_ERROR_INVALID_IMAGE,
		    "pullPolicy must be Always, IfNotPresent or Never");
	else
		wish->reference = reference_parse(image, error);
	if (wish->reference == NULL)
		return FALSE;
	wish->pod_uid = g_strdup(pod_uid);
	return TRUE;
}

static void answer_wish(struct store_server *server, struct http_exchange *exchange,
    struct request *request, gboolean with_view)
{
	g_autoptr(GError) error = NULL;
	struct wish wish = {0};

	if (!parse_wish(request->body, with_view, &wish, &error)) {
		respond_json_error(exchange, 400, NULL, error->message);
		return;
	}
	wish.ticket = puller_want(server->puller, wish.reference, wish.policy);
	if (wish.ticket != 0)
		request->stream = stream_new(server, exchange, &wish);
	else
		respond_json_error(
		    exchange, 503, NULL, "this store already waits for too many models");
	wish_done(&wish);
}

static void answer_inspect(
    struct store_server *server, struct http_exchange *exchange, struct request *request)
{
	request->inspection = inspection_new(server, exchange, request->body);
}

static void answer_view(
    struct store_server *server, struct http_exchange *exchange, struct request *request)
{
	answer_wish(server, exchange, request, TRUE);
}

static void answer_pull(
    struct store_server *server, struct http_exchange *exchange, struct request *request)
{
	answer_wish(server, exchange, request, FALSE);
}

/* --- routes --------------------------------------------------------------------------------- */

static void answer_health(
    struct store_server *server, struct http_exchange *exchange, struct request *request)
{
	(void)server;
	(void)request;
	http_exchange_respond(exchange, 200, "text/plain", NULL, "ok", 2);
}

static void answer_progress(
    struct store_server *server, struct http_exchange *exchange, struct request *request)
{
	request->stream = stream_new(server, exchange, NULL);
}

static const struct route {
	const char *path, *method;
	const char *allow;
	void (*answer)(
	    struct store_server *server, struct http_exchange *exchange, struct request *request);
} ROUTES[] = {
    {"/v1/views", "POST", "Allow: POST", answer_view},
    {"/v1/inspect", "POST", "Allow: POST", answer_inspect},
    {"/v1/pulls", "POST", "Allow: POST", answer_pull},
    {"/v1/progress", "GET", "Allow: GET", answer_progress},
    {"/healthz", "GET", "Allow: GET, HEAD", answer_health},
    {"/readyz", "GET", "Allow: GET, HEAD", answer_health},
};

static const struct route *find_route(const struct http_exchange *exchange)
{
	for (guint i = 0; i < G_N_ELEMENTS(ROUTES); i++)
		if (strcmp(http_exchange_path(exchange), ROUTES[i].path) == 0)
			return &ROUTES[i];
	return NULL;
}

static gboolean method_fits(const struct route *route, const char *method)
{
	return strcmp(method, route->method) == 0 ||
	       (route->answer == answer_health && strcmp(method, "HEAD") == 0);
}

static void on_request(void *data, struct http_exchange *exchange)
{
	struct request *request = g_new0(struct request, 1);

	(void)data;
	request->body = g_byte_array_new();
	http_exchange_set_data(exchange, request);
}

/* The server's own limit for bodies bounds this. */
static void on_body(void *data, struct http_exchange *exchange, const char *bytes, gsize len)
{
	struct request *request = http_exchange_data(exchange);

	(void)data;
	g_byte_array_append(request->body, (const guint8 *)bytes, (guint)len);
}

static void on_complete(void *data, struct http_exchange *exchange)
{
	const struct route *route = find_route(exchange);

	if (registry_server_has(http_exchange_path(exchange))) {
		registry_server_answer(data, exchange);
	} else if (route == NULL) {
		respond_json_error(exchange, 404, NULL, "there is nothing at this path");
	} else if (!method_fits(route, http_exchange_method(exchange))) {
		const char *const headers[] = {route->allow, NULL};

		respond_json_error(exchange, 405, headers, "this path has another method");
	} else {
		route->answer(data, exchange, http_exchange_data(exchange));
	}
}

static void on_drained(void *data, struct http_exchange *exchange)
{
	struct request *request = http_exchange_data(exchange);

	(void)data;
	if (request != NULL && request->stream != NULL)
		stream_drained(request->stream);
}

static void on_closed(void *data, struct http_exchange *exchange, gboolean aborted)
{
	struct request *request = http_exchange_data(exchange);

	(void)data;
	(void)aborted;
	if (request == NULL)
		return;
	stream_free(request->stream);
	inspection_closed(request->inspection);
	g_byte_array_unref(request->body);
	g_free(request);
}

/* --- the server ----------------------------------------------------------------------------- */

static void foreach_stream(struct store_server *server, void (*fn)(struct stream *stream))
{
	GList *next;

	/* A stream may end in here, but it is freed only when its exchange is closed. */
	for (GList *at = server->streams.head; at != NULL; at = next) {
		next = at->next;
		fn(at->data);
	}
}

static void on_changed(void *data)
{
	struct store_server *server = data;

	if (server->dead) {
		g_free(server);
		return;
	}
	g_atomic_int_set(&server->notified, 0);
	foreach_stream(server, stream_flush);
}

/* Any thread, under the puller's lock. Many changes are one post. */
static void changed(void *data)
{
	struct store_server *server = data;

	if (g_atomic_int_compare_and_exchange(&server->notified, 0, 1))
		loop_post(server->loop, on_changed, server);
}

static void note(void *data, const struct image_state *state)
{
	struct store_server *server = data;

	if (server->options.note != NULL)
		server->options.note(server->options.note_data, state);
}

static void on_heartbeat(void *data)
{
	struct store_server *server = data;

	foreach_stream(server, stream_heartbeat);
	loop_timer_start(server->heartbeat, server->options.heartbeat_ms);
}

static struct puller *make_puller(struct store_server *server)
{
	const struct store_server_options *options = &server->options;
	struct puller_options puller = {.content = options->content,
	    .registry = options->registry,
	    .retry_base_ms = options->retry_base_ms,
	    .retry_cap_ms = options->retry_cap_ms,
	    .retry_late_ms = options->retry_late_ms,
	    .changed = changed,
	    .note = note,
	    .data = server};

	return puller_new(&puller);
}

struct store_server *store_server_new(
    struct loop *loop, const struct store_server_options *options, GError **error)
{
	static const struct http_server_options HTTP = {.max_body_bytes = BODY_MAX_BYTES};
	static const struct http_server_ops OPS = {
	    on_request, on_body, on_complete, on_drained, on_closed};
	struct store_server *server = g_new0(struct store_server, 1);

	server->loop = loop;
	server->options = *options;
	server->options.flush_ms = options->flush_ms ?: FLUSH_MS;
	server->options.heartbeat_ms = options->heartbeat_ms ?: HEARTBEAT_MS;
	g_queue_init(&server->streams);
	server->http =
	    http_server_new(loop, options->host, options->port, &HTTP, &OPS, server, error);
	if (server->http == NULL) {
		g_free(server);
		return NULL;
	}
	server->node = g_strdup(options->node);
	server->puller = make_puller(server);
	server->inspect_pool = inspect_pool_new(options->content, options->registry);
	server->heartbeat = loop_timer_new(loop, on_heartbeat, server);
	loop_timer_start(server->heartbeat, server->options.heartbeat_ms);
	return server;
}

void store_server_free(struct store_server *server)
{
	if (server == NULL)
		return;
	http_server_free(server->http);
	inspect_pool_free(server->inspect_pool);
	puller_free(server->puller);
	loop_timer_free(server->heartbeat);
	g_free(server->node);
	/* A post that is still on its way frees what is left. */
	if (g_atomic_int_get(&server->notified))
		server->dead = TRUE;
	else
		g_free(server);
}

guint16 store_server_port(const struct store_server *server)
{
	return http_server_port(server->http);
}
