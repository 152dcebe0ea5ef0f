/*
 * libcurl's multi interface on a libuv loop.
 *
 *	start -> queued --kick--> in the multi --reap--> done()
 *	                \________________\____cancel--> (silence)
 *
 * libcurl refuses calls into itself from its own callbacks. So new calls are queued and put into
 * the multi by a timer of 0 ms (`kick`), and whatever is cancelled while libcurl is on the stack
 * is only marked and swept up when it has returned (`enter`/`leave`).
 */
#include "net/http_client_priv.h"
#include "net/http_transfer.h"

/* libcurl's own cap is 100; above it each further call would open a connection of its own. */
#define MAX_STREAMS 1000L
/* Idle connections that are kept. */
#define MAX_IDLE_CONNECTIONS 32L
/* Calls above it wait in libcurl for a connection to become free. */
#define MAX_CONNECTIONS 1024L
/* The largest that libcurl takes. */
#define OLD_BUFFER_BYTES (512 * 1024L)

struct http_client {
	gint refs; /* atomic */
	struct loop *loop;
	char *user_agent;
	CURLM *multi;
	struct loop_timer *timer; /* libcurl's */
	struct loop_timer *kick;  /* ours, for `queued` */
	GQueue calls;             /* all; struct http_call.all */
	GQueue queued;            /* not yet in the multi; struct http_call.waiting */
	guint depth;              /* how many of our frames that call out are on the stack */
	gboolean in_curl;
	gboolean sweep; /* some call is marked as cancelled */
	gboolean dead;
};

struct http_call {
	struct http_client *client;
	struct http_transfer *transfer;
	struct http_call_ops ops;
	void (*dropped)(void *data);
	void *data;
	GError *invalid; /* the request was wrong: done() says so */
	struct loop_timer *idle;
	GList all, waiting;
	gboolean is_waiting, in_multi;
	gboolean cancelled, ended;
};

struct watch {
	uv_poll_t poll;
	struct http_client *client;
	curl_socket_t fd;
};

static void client_destroy(struct http_client *client);

/* --- calls -------------------------------------------------------------------------------- */

/* Takes it out of everything that could still call it. Not while libcurl is on the stack. */
static void call_detach(struct http_call *call)
{
	struct http_client *client = call->client;

	if (call->is_waiting)
		g_queue_unlink(&client->queued, &call->waiting);
	if (call->in_multi)
		curl_multi_remove_handle(client->multi, call->transfer->easy);
	call->is_waiting = call->in_multi = FALSE;
	if (call->idle != NULL)
		loop_timer_free(g_steal_pointer(&call->idle));
}

static void call_free(struct http_call *call)
{
	call_detach(call);
	g_queue_unlink(&call->client->calls, &call->all);
	http_transfer_free(call->transfer);
	g_clear_error(&call->invalid);
	g_free(call);
}

static void enter(struct http_client *client)
{
	client->depth++;
}

static void leave(struct http_client *client)
{
	client->depth--;
	if (client->depth > 0)
		return;
	if (client->dead) {
		client_destroy(client);
		return;
	}
	if (!client->sweep)
		return;
	client->sweep = FALSE;
	for (GList *at = client->calls.head; at != NULL;) {
		struct http_call *call = at->data;
		at = at->next;
		if (call->cancelled)
			call_free(call);
	}
}

/* Consumes `take_error`. */
static void call_finish(struct http_call *call, GError *take_error)
{
	g_autoptr(GError) error = take_error;
	struct http_client *client = call->client;

	call_detach(call);
	call->ended = TRUE;
	enter(client);
	if (!call->cancelled && !client->dead && call->ops.done != NULL)
		call->ops.done(call->data, error);
	else if (!call->cancelled && client->dead && call->dropped != NULL)
		call->dropped(call->data);
	call_free(call);
	leave(client);
}

static gboolean on_head(void *data, const struct http_head *head)
{
	struct http_call *call = data;

	if (call->cancelled || call->client->dead)
		return FALSE;
	return (call->ops.head == NULL || call->ops.head(call->data, head)) && !call->cancelled;
}

static gboolean on_body(void *data, const char *bytes, gsize len)
{
	struct http_call *call = data;

	if (call->cancelled || call->client->dead)
		return FALSE;
	return (call->ops.body == NULL || call->ops.body(call->data, bytes, len)) &&
	       !call->cancelled;
}

static int on_progress(
    void *data, curl_off_t down_all, curl_off_t down, curl_off_t up_all, curl_off_t up)
{
	struct http_call *call = data;

	(void)down_all;
	(void)up_all;
	http_transfer_note_bytes(call->transfer, down + up);
	return 0;
}

static void on_idle(void *data)
{
	struct http_call *call = data;
	gint64 left_ms = http_transfer_idle_left_ms(call->transfer);

	if (left_ms > 0) {
		loop_timer_start(call->idle, left_ms);
		return;
	}
	call->transfer->idle_expired = TRUE;
	call_finish(call, http_transfer_error(call->transfer, CURLE_OPERATION_TIMEDOUT));
}

struct http_call *http_call_prepare(struct http_client *client, const struct http_request *request,
    const struct http_call_ops *ops, void (*dropped)(void *data), void *data)
{
	static const struct http_call_ops transfer_ops = {.head = on_head, .body = on_body};
	struct http_call *call = g_new0(struct http_call, 1);

	call->client = client;
	call->ops = *ops;
	call->dropped = dropped;
	call->data = data;
	call->all.data = call->waiting.data = call;
	call->transfer =
	    http_transfer_new(request, client->user_agent, &transfer_ops, call, &call->invalid);
	if (call->invalid != NULL)
		return call;
	/*
	 * libcurl before 8.0 (Debian 12's) may stall for good when parallel HTTP/2 responses
	 * outgrow their buffers; in larger ones that takes larger responses. Untouched pages cost
	 * nothing.
	 */
	if (curl_version_info(CURLVERSION_NOW)->version_num < 0x080000)
		curl_easy_setopt(call->transfer->easy, CURLOPT_BUFFERSIZE, OLD_BUFFER_BYTES);
	curl_easy_setopt(call->transfer->easy, CURLOPT_PRIVATE, call);
	curl_easy_setopt(call->transfer->easy, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(call->transfer->easy, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(call->transfer->easy, CURLOPT_XFERINFODATA, call);
	return call;
}

void http_call_submit(struct http_call *call)
{
	struct http_client *client = call->client;

	call->transfer->progress_us = g_get_monotonic_time();
	if (call->transfer->idle_timeout_ms > 0 && call->invalid == NULL) {
		call->idle = loop_timer_new(client->loop, on_idle, call);
		loop_timer_start(call->idle, call->transfer->idle_timeout_ms);
	}
	g_queue_push_tail_link(&client->calls, &call->all);
	g_queue_push_tail_link(&client->queued, &call->waiting);
	call->is_waiting = TRUE;
	loop_timer_start(client->kick, 0);
}

struct http_call *http_client_start(struct http_client *client, const struct http_request *request,
    const struct http_call_ops *ops, void *data)
{
	struct http_call *call = http_call_prepare(client, request, ops, NULL, data);

	http_call_submit(call);
	return call;
}

void http_call_cancel(struct http_call *call)
{
	if (call == NULL || call->cancelled || call->ended)
		return;
	call->cancelled = TRUE;
	if (call->client->in_curl)
		call->client->sweep = TRUE;
	else
		call_free(call);
}

/* --- libcurl and libuv -------------------------------------------------------------------- */

static void reap(struct http_client *client)
{
	CURLMsg *message;
	int left;

	while (!client->dead && (message = curl_multi_info_read(client->multi, &left)) != NULL) {
		struct http_call *call = NULL;
		CURLcode code;

		if (message->msg != CURLMSG_DONE)
			continue;
		/* The message is gone once its handle leaves the multi. */
		code = message->data.result;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
		call_finish(call, http_transfer_error(call->transfer, code));
	}
}

static void act(struct http_client *client, curl_socket_t fd, int events)
{
	int running;

	enter(client);
	client->in_curl = TRUE;
	curl_multi_socket_action(client->multi, fd, events, &running);
	client->in_curl = FALSE;
	reap(client);
	leave(client);
}

static void on_timer(void *data)
{
	act(data, CURL_SOCKET_TIMEOUT, 0);
}

static void on_kick(void *data)
{
	struct http_client *client = data;

	enter(client);
	while (!client->dead && client->queued.head != NULL) {
		struct http_call *call = client->queued.head->data;
		CURLMcode code = CURLM_OK;

		g_queue_unlink(&client->queued, &call->waiting);
		call->is_waiting = FALSE;
		if (call->invalid == NULL)
			code = curl_multi_add_handle(client->multi, call->transfer->easy);
		call->in_multi = call->invalid == NULL && code == CURLM_OK;
		if (call->invalid != NULL)
			call_finish(call, g_steal_pointer(&call->invalid));
		else if (code != CURLM_OK)
			call_finish(call, g_error_new(NET_ERROR, NET_ERROR_SYSTEM, "%s: %s",
					      call->transfer->where, curl_multi_strerror(code)));
	}
	leave(client);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct watch *watch = poll->data;
	int flags = status < 0 ? CURL_CSELECT_ERR : 0;

	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	/* The watch may be closed, and freed in a later turn, inside this call. */
	act(watch->client, watch->fd, flags);
}

static void on_watch_closed(uv_handle_t *handle)
{
	g_free(handle->data);
}

static struct watch *watch_new(struct http_client *client, curl_socket_t fd)
{
	struct watch *watch = g_new0(struct watch, 1);

	if (uv_poll_init_socket(loop_uv(client->loop), &watch->poll, fd) != 0) {
		g_free(watch);
		return NULL;
	}
	watch->poll.data = watch;
	watch->client = client;
	watch->fd = fd;
	curl_multi_assign(client->multi, fd, watch);
	return watch;
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *data, void *socket_data)
{
	struct http_client *client = data;
	struct watch *watch = socket_data;
	int events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (watch != NULL) {
			curl_multi_assign(client->multi, fd, NULL);
			uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
		}
		return 0;
	}
	if (watch == NULL && (watch = watch_new(client, fd)) == NULL)
		return -1;
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		events |= UV_READABLE;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		events |= UV_WRITABLE;
	return uv_poll_start(&watch->poll, events, on_poll) == 0 ? 0 : -1;
}

/* 0 ms means the next turn: curl_multi_socket_action() must not be called from in here. */
static int want_timer(CURLM *multi, long after_ms, void *data)
{
	struct http_client *client = data;

	(void)multi;
	if (after_ms < 0)
		loop_timer_stop(client->timer);
	else
		loop_timer_start(client->timer, after_ms);
	return 0;
}

/* --- the client --------------------------------------------------------------------------- */

struct http_client *http_client_new(struct loop *loop, const char *user_agent)
{
	struct http_client *client = g_new0(struct http_client, 1);

	http_curl_init();
	client->refs = 1;
	client->loop = loop;
	client->user_agent = g_strdup(user_agent);
	client->timer = loop_timer_new(loop, on_timer, client);
	client->kick = loop_timer_new(loop, on_kick, client);
	client->multi = curl_multi_init();
	if (client->multi == NULL)
		g_error("libcurl: out of memory");
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, want_timer);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
	curl_multi_setopt(client->multi, CURLMOPT_MAX_CONCURRENT_STREAMS, MAX_STREAMS);
	curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, MAX_IDLE_CONNECTIONS);
	curl_multi_setopt(client->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, MAX_CONNECTIONS);
	return client;
}

static void client_destroy(struct http_client *client)
{
	/* A dropped() callback may drop further calls, so always the first that is left. */
	while (client->calls.head != NULL) {
		struct http_call *call = client->calls.head->data;
		void (*dropped)(void *data) = call->cancelled ? NULL : call->dropped;
		void *data = call->data;

		call_free(call);
		if (dropped != NULL)
			dropped(data);
	}
	/* First the multi: closing its connections still uses the watches and the timer. */
	curl_multi_cleanup(client->multi);
	client->multi = NULL;
	loop_timer_free(g_steal_pointer(&client->timer));
	loop_timer_free(g_steal_pointer(&client->kick));
	http_client_unref(client);
}

void http_client_free(struct http_client *client)
{
	if (client == NULL || client->dead)
		return;
	client->dead = TRUE;
	if (client->depth == 0)
		client_destroy(client);
}

struct http_client *http_client_ref(struct http_client *client)
{
	g_atomic_int_inc(&client->refs);
	return client;
}

void http_client_unref(struct http_client *client)
{
	if (!g_atomic_int_dec_and_test(&client->refs))
		return;
	g_free(client->user_agent);
	g_free(client);
}

struct loop *http_client_loop(const struct http_client *client)
{
	return client->loop;
}

gboolean http_client_is_dead(const struct http_client *client)
{
	return client->dead;
}

void http_call_discard(struct http_call *call)
{
	http_transfer_free(call->transfer);
	g_clear_error(&call->invalid);
	g_free(call);
}
