/* The client without a loop: one request in the calling thread. */
#include "net/http_collector.h"
#include "net/http_transfer.h"
#include "net/sigpipe.h"

/* Fewer, larger pieces: downloads hash and write each of them. */
#define PERFORM_BUFFER_BYTES (128 * 1024)

struct perform {
	struct http_transfer *transfer;
	const gint *cancelled;
};

/* libcurl calls it with each piece and at least once a second. */
static int on_progress(
    void *data, curl_off_t down_all, curl_off_t down, curl_off_t up_all, curl_off_t up)
{
	struct perform *perform = data;

	(void)down_all;
	(void)up_all;
	http_transfer_note_bytes(perform->transfer, down + up);
	if (perform->cancelled != NULL && g_atomic_int_get(perform->cancelled) != 0)
		return 1;
	if (http_transfer_idle_left_ms(perform->transfer) == 0) {
		perform->transfer->idle_expired = TRUE;
		return 1;
	}
	return 0;
}

gboolean http_perform(const struct http_request *request, const char *user_agent,
    const struct http_call_ops *ops, void *data, const gint *cancelled, GError **error)
{
	GError *failure = NULL;
	AUTO(http_transfer)
	transfer = http_transfer_new(request, user_agent, ops, data, &failure);
	struct perform perform = {transfer, cancelled};
	struct sigpipe_guard guard;

	if (failure != NULL) {
		g_propagate_error(error, failure);
		return FALSE;
	}
	curl_easy_setopt(transfer->easy, CURLOPT_BUFFERSIZE, (long)PERFORM_BUFFER_BYTES);
	curl_easy_setopt(transfer->easy, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(transfer->easy, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(transfer->easy, CURLOPT_XFERINFODATA, &perform);
	sigpipe_block(&guard);
	CURLcode code = curl_easy_perform(transfer->easy);
	sigpipe_restore(&guard);
	failure = http_transfer_error(transfer, code);
	if (failure != NULL)
		g_propagate_error(error, failure);
	return failure == NULL;
}

struct http_response *http_perform_fetch(const struct http_request *request, const char *user_agent,
    const gint *cancelled, GError **error)
{
	static const struct http_call_ops collect = {
	    .head = http_collector_head,
	    .body = http_collector_body,
	};
	struct http_collector collector;
	g_autoptr(GError) failure = NULL;

	http_collector_init(&collector, request->max_response_bytes);
	if (!http_perform(request, user_agent, &collect, &collector, cancelled, &failure))
		g_assert(failure != NULL);
	struct http_response *response =
	    http_collector_finish(&collector, request->url, g_steal_pointer(&failure), error);
	http_collector_done(&collector);
	return response;
}
