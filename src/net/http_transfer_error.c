/* How libcurl's results become NET_ERROR_*, with a text that names the peer and what failed. */
#include "net/http_transfer.h"

#include <string.h>

static enum net_error tls_connect_code(const struct http_transfer *transfer)
{
	/* A peer that goes away in the handshake is not a refusal; OpenSSL tells only by text. */
	return strstr(transfer->message, "SSL_ERROR_SYSCALL") != NULL ||
		       strstr(transfer->message, "Connection reset") != NULL ||
		       strstr(transfer->message, "unexpected eof") != NULL
		   ? NET_ERROR_UNREACHABLE
		   : NET_ERROR_TLS;
}

static enum net_error error_code(const struct http_transfer *transfer, CURLcode code)
{
	switch (code) {
	case CURLE_SSL_CONNECT_ERROR:
		return tls_connect_code(transfer);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CRL_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
	case CURLE_SSL_CLIENTCERT:
	case CURLE_USE_SSL_FAILED:
		return NET_ERROR_TLS;
	case CURLE_OPERATION_TIMEDOUT:
		return NET_ERROR_TIMEOUT;
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL: /* Only by a redirect: the first URL was checked. */
	case CURLE_TOO_MANY_REDIRECTS:
	case CURLE_BAD_CONTENT_ENCODING:
	case CURLE_HTTP2:
	case CURLE_HTTP3:
		return NET_ERROR_PROTOCOL;
	case CURLE_URL_MALFORMAT:
		return transfer->head.status != 0 ? NET_ERROR_PROTOCOL : NET_ERROR_INVALID;
	case CURLE_OUT_OF_MEMORY:
	case CURLE_FAILED_INIT:
	case CURLE_INTERFACE_FAILED:
		return NET_ERROR_SYSTEM;
	case CURLE_ABORTED_BY_CALLBACK:
		return NET_ERROR_CANCELLED;
	default:
		return NET_ERROR_UNREACHABLE;
	}
}

static const char *detail(const struct http_transfer *transfer, CURLcode code)
{
	long number = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &number);
	if (code == CURLE_COULDNT_CONNECT && number != 0)
		return g_strerror((int)number);
	return transfer->message[0] != '\0' ? transfer->message : curl_easy_strerror(code);
}

/* Did it end before the connection (with TLS) stood? */
static gboolean while_connecting(const struct http_transfer *transfer, CURLcode code)
{
	curl_off_t connected_us = 0;

	if (code == CURLE_COULDNT_CONNECT)
		return TRUE;
	curl_easy_getinfo(transfer->easy, CURLINFO_PRETRANSFER_TIME_T, &connected_us);
	return connected_us == 0 && transfer->head.status == 0;
}

static GError *timeout_error(const struct http_transfer *transfer, CURLcode code)
{
	if (transfer->idle_expired)
		return g_error_new(NET_ERROR, NET_ERROR_TIMEOUT,
		    "%s%s: no byte for %" G_GINT64_FORMAT " ms",
		    while_connecting(transfer, code) ? "connect to " : "", transfer->where,
		    transfer->idle_timeout_ms);
	if (while_connecting(transfer, code))
		return g_error_new(
		    NET_ERROR, NET_ERROR_TIMEOUT, "connect to %s: timed out", transfer->where);
	return g_error_new(NET_ERROR, NET_ERROR_TIMEOUT,
	    "%s: not finished within %" G_GINT64_FORMAT " ms", transfer->where,
	    transfer->timeout_ms);
}

GError *http_transfer_error(struct http_transfer *transfer, CURLcode code)
{
	if (transfer->idle_expired || code == CURLE_OPERATION_TIMEDOUT)
		return timeout_error(transfer, code);
	if (transfer->head_too_large)
		return g_error_new(NET_ERROR, NET_ERROR_TOO_LARGE,
		    "%s: the response's head is over %d bytes", transfer->where,
		    HTTP_HEAD_MAX_BYTES);
	if (transfer->refused || code == CURLE_ABORTED_BY_CALLBACK)
		return g_error_new(
		    NET_ERROR, NET_ERROR_CANCELLED, "%s: cancelled", transfer->where);
	if (code == CURLE_OK && transfer->head_given)
		return NULL;
	if (code == CURLE_OK)
		return g_error_new(NET_ERROR, NET_ERROR_PROTOCOL, "%s: a response without a head",
		    transfer->where);
	return g_error_new(NET_ERROR, error_code(transfer, code), "%s%s: %s",
	    while_connecting(transfer, code) ? "connect to " : "", transfer->where,
	    detail(transfer, code));
}
