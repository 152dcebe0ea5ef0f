#include "kube/client_priv.h"

#include "kube/config_priv.h"

#include <string.h>

enum {
	RETRY_FLOOR_MS = 100,             /* Retry-After: 0 must not become a busy loop */
	RESPONSE_MAX = JSON_MAX_BYTES,    /* 64 MiB */
	RETRY_AFTER_MAX_S = 24 * 60 * 60, /* beyond: as if it were not said */
};

enum call_state { CALL_NEW, CALL_QUEUED, CALL_ON_WIRE, CALL_PAUSED };

struct kube_call {
	struct kube_client *client;
	char *method, *verb, *plural, *url, *accept, *content_type, *what;
	char *body;
	gsize body_len;
	kube_call_fn done;
	void *data;

	enum call_state state;
	GList all_link;
	GList waiting_link;
	struct loop_timer *timer; /* QUEUED: the deadline; PAUSED: the next attempt */
	gint64 deadline_ms;       /* monotonic */
	gboolean renewed;         /* a 401 was answered with a new token once */

	/* Of the attempt on the wire. */
	struct http_call *http;
	char *authorization;
	gint64 began_us;
	int status;
	gint64 retry_after_ms; /* -1: not said */
	GByteArray *answer;
	gboolean too_large;
};

static gint64 now_ms(void)
{
	return g_get_monotonic_time() / 1000;
}

struct kube_call *kube_call_new(
    struct kube_client *client, const struct kube_request *request, kube_call_fn done, void *data)
{
	struct kube_call *call = g_new0(struct kube_call, 1);

	call->client = client;
	call->method = g_strdup(request->method);
	call->verb = g_strdup(request->verb);
	call->plural = g_strdup(request->plural);
	call->url = g_strconcat(kube_config_server(client->config), request->target, NULL);
	call->accept = g_strdup(request->accept);
	call->content_type = g_strdup(request->content_type);
	call->what = g_strdup(request->what);
	call->body = g_memdup2(request->body, request->body_len);
	call->body_len = request->body_len;
	call->done = done;
	call->data = data;
	call->deadline_ms = now_ms() + client->deadline_ms;
	call->all_link.data = call;
	call->waiting_link.data = call;
	return call;
}

void kube_call_drop(struct kube_call *call)
{
	g_free(call->method);
	g_free(call->verb);
	g_free(call->plural);
	g_free(call->url);
	g_free(call->accept);
	g_free(call->content_type);
	g_free(call->what);
	g_free(call->body);
	g_free(call->authorization);
	if (call->answer != NULL)
		g_byte_array_unref(call->answer);
	loop_timer_free(call->timer);
	g_free(call);
}

static void dispatch(struct kube_client *client);

/* Takes the call off the wire or out of the queue; somebody else may go on the wire then. */
static void leave_state(struct kube_call *call)
{
	struct kube_client *client = call->client;
	enum call_state left = call->state;

	call->state = CALL_NEW;
	call->http = NULL;
	if (call->timer != NULL)
		loop_timer_stop(call->timer);
	if (left == CALL_QUEUED)
		g_queue_unlink(&client->waiting, &call->waiting_link);
	if (left != CALL_ON_WIRE)
		return;
	client->on_wire--;
	dispatch(client);
}

/* Consumes the call and `take_error`. */
static void finish(struct kube_call *call, GError *take_error)
{
	leave_state(call);
	g_queue_unlink(&call->client->calls, &call->all_link);
	if (take_error != NULL)
		g_prefix_error(&take_error, "%s: ", call->what);
	call->done(call->data, take_error == NULL ? call->answer : NULL, take_error);
	g_clear_error(&take_error);
	kube_call_drop(call);
}

void kube_call_cancel(struct kube_call *call)
{
	if (call->http != NULL)
		http_call_cancel(call->http);
	leave_state(call);
	g_queue_unlink(&call->client->calls, &call->all_link);
	kube_call_drop(call);
}

void kube_calls_end(struct kube_client *client)
{
	/* None of the waiting ones may be sent while the others end. */
	client->max_in_flight = 0;
	while (client->calls.head != NULL) {
		struct kube_call *call = client->calls.head->data;

		if (call->http != NULL)
			http_call_cancel(call->http);
		finish(call,
		    g_error_new_literal(KUBE_ERROR, KUBE_ERROR_CANCELLED, "the client was closed"));
	}
}

/* Retry-After in seconds; -1 for none. Its other form, a date, is not used by API servers. */
static gint64 parse_retry_after_ms(const struct http_head *head)
{
	const char *text = http_head_get(head, "Retry-After");
	guint64 seconds;

	if (text == NULL ||
	    !g_ascii_string_to_unsigned(text, 10, 0, RETRY_AFTER_MAX_S, &seconds, NULL))
		return -1;
	return (gint64)seconds * 1000;
}

static gboolean on_head(void *data, const struct http_head *head)
{
	struct kube_call *call = data;

	call->status = http_head_status(head);
	call->retry_after_ms = parse_retry_after_ms(head);
	return TRUE;
}

static gboolean on_body(void *data, const char *bytes, gsize len)
{
	struct kube_call *call = data;

	if (len > RESPONSE_MAX - call->answer->len) {
		call->too_large = TRUE;
		return FALSE;
	}
	g_byte_array_append(call->answer, (const guint8 *)bytes, (guint)len);
	return TRUE;
}

static void enqueue(struct kube_call *call);

static void on_timer(void *data)
{
	struct kube_call *call = data;

	if (call->state == CALL_PAUSED) {
		enqueue(call);
		return;
	}
	finish(call, g_error_new_literal(KUBE_ERROR, KUBE_ERROR_RETRY,
			 "too many requests in flight: none ended before the deadline"));
}

static void start_timer(struct kube_call *call, gint64 after_ms)
{
	if (call->timer == NULL)
		call->timer = loop_timer_new(call->client->loop, on_timer, call);
	loop_timer_start(call->timer, MAX(after_ms, 0));
}

/* TRUE: the call goes on after an answer that says "later". */
static gboolean pause_and_repeat(struct kube_call *call)
{
	gint64 wait_ms = MAX(call->retry_after_ms, RETRY_FLOOR_MS);

	if ((call->status != 429 && call->status != 503) || call->retry_after_ms < 0 ||
	    now_ms() + wait_ms >= call->deadline_ms)
		return FALSE;
	leave_state(call);
	call->state = CALL_PAUSED;
	start_timer(call, wait_ms);
	return TRUE;
}

/* TRUE: the call goes on after a 401, with a token that had been rotated meanwhile. */
static gboolean renew_and_repeat(struct kube_call *call)
{
	g_autofree char *renewed = NULL;

	if (call->status != 401 || call->renewed)
		return FALSE;
	call->renewed = TRUE;
	kube_config_forget_token(call->client->config);
	renewed = kube_config_authorization(call->client->config);
	if (g_strcmp0(renewed, call->authorization) == 0)
		return FALSE;
	leave_state(call);
	enqueue(call);
	return TRUE;
}

static void on_done(void *data, const GError *error)
{
	struct kube_call *call = data;
	struct kube_client *client = call->client;

	call->http = NULL;
	if (client->observe != NULL)
		client->observe(client->observe_data, call->verb, call->plural,
		    error == NULL ? call->status : 0, g_get_monotonic_time() - call->began_us);
	if (call->too_large) {
		finish(call, g_error_new_literal(KUBE_ERROR, KUBE_ERROR_INVALID,
				 "the answer is larger than 64 MiB"));
		return;
	}
	if (error != NULL) {
		finish(call, kube_error_from_net(error));
		return;
	}
	if (call->status >= 200 && call->status < 300) {
		finish(call, NULL);
		return;
	}
	if (pause_and_repeat(call) || renew_and_repeat(call))
		return;
	finish(call, kube_error_from_answer(
			 call->status, (const char *)call->answer->data, call->answer->len));
}

char **kube_headers(const char *accept, const char *content_type, const char *authorization)
{
	GPtrArray *headers = g_ptr_array_new();

	g_ptr_array_add(headers, g_strconcat("Accept: ", accept, NULL));
	if (content_type != NULL)
		g_ptr_array_add(headers, g_strconcat("Content-Type: ", content_type, NULL));
	if (authorization != NULL)
		g_ptr_array_add(headers, g_strconcat("Authorization: ", authorization, NULL));
	g_ptr_array_add(headers, NULL);
	return (char **)g_ptr_array_free(headers, FALSE);
}

static void send_call(struct kube_call *call)
{
	static const struct http_call_ops ops = {on_head, on_body, on_done};
	struct kube_client *client = call->client;
	gint64 left_ms = MAX(call->deadline_ms - now_ms(), 1);
	g_auto(GStrv) headers = NULL;
	struct http_request request = {
	    .method = call->method,
	    .url = call->url,
	    .body = call->body,
	    .body_len = call->body_len,
	    .tls = kube_config_tls(client->config),
	    .proxy = kube_config_proxy(client->config),
	    .timeout_ms = MIN(client->request_timeout_ms, left_ms),
	};

	g_free(call->authorization);
	call->authorization = kube_config_authorization(client->config);
	headers = kube_headers(call->accept == NULL ? "application/json" : call->accept,
	    call->content_type, call->authorization);
	request.headers = (const char *const *)headers;
	if (call->answer != NULL)
		g_byte_array_unref(call->answer);
	call->answer = g_byte_array_new();
	call->status = 0;
	call->retry_after_ms = -1;
	call->state = CALL_ON_WIRE;
	call->began_us = g_get_monotonic_time();
	client->on_wire++;
	call->http = http_client_start(client->http, &request, &ops, call);
}

static void dispatch(struct kube_client *client)
{
	while (client->on_wire < client->max_in_flight && client->waiting.head != NULL) {
		struct kube_call *call = client->waiting.head->data;

		g_queue_unlink(&client->waiting, &call->waiting_link);
		if (call->timer != NULL)
			loop_timer_stop(call->timer);
		send_call(call);
	}
}

static void enqueue(struct kube_call *call)
{
	call->state = CALL_QUEUED;
	g_queue_push_tail_link(&call->client->waiting, &call->waiting_link);
	dispatch(call->client);
	if (call->state == CALL_QUEUED)
		start_timer(call, call->deadline_ms - now_ms());
}

void kube_call_begin(struct kube_call *call)
{
	g_queue_push_tail_link(&call->client->calls, &call->all_link);
	enqueue(call);
}
