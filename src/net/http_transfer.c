#include "net/http_transfer.h"

#include <netinet/tcp.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

/* Unacknowledged bytes mean a dead peer after this long (keepalive sees only silent ones). */
#define TCP_USER_TIMEOUT_MS 30000

/* Why a global: libcurl's own initialisation is one per process. */
static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void init_curl(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

void http_curl_init(void)
{
	pthread_once(&curl_once, init_curl);
}

struct http_tls *http_tls_new(void)
{
	return g_new0(struct http_tls, 1);
}

void http_tls_free(struct http_tls *tls)
{
	if (tls == NULL)
		return;
	g_clear_pointer(&tls->ca_pem, g_bytes_unref);
	g_clear_pointer(&tls->cert_pem, g_bytes_unref);
	g_clear_pointer(&tls->key_pem, g_bytes_unref);
	g_free(tls->server_name);
	g_free(tls);
}

/* --- the response's head ------------------------------------------------------------------ */

int http_head_status(const struct http_head *head)
{
	return head->status;
}

const char *http_head_get(const struct http_head *head, const char *name)
{
	gsize len = strlen(name);

	for (const char *line = head->lines->str; *line != '\0'; line += strlen(line) + 1) {
		if (g_ascii_strncasecmp(line, name, len) == 0 && line[len] == ':') {
			line += len + 1;
			return line + strspn(line, " \t");
		}
	}
	return NULL;
}

gint64 http_head_content_length(const struct http_head *head)
{
	return head->content_length;
}

const char *http_head_url(const struct http_head *head)
{
	return head->url;
}

static gboolean is_followed(const struct http_transfer *transfer)
{
	const char *location = http_head_get(&transfer->head, "Location");

	return transfer->max_redirects > 0 && transfer->head.status >= 300 &&
	       transfer->head.status < 400 && location != NULL && *location != '\0';
}

static void finish_head(struct http_transfer *transfer)
{
	struct http_head *head = &transfer->head;
	const char *length = http_head_get(head, "Content-Length");
	long redirects = 0;
	char *url = NULL;
	guint64 bytes = 0;

	head->content_length = -1;
	if (length != NULL && http_head_get(head, "Transfer-Encoding") == NULL &&
	    g_ascii_string_to_unsigned(length, 10, 0, G_MAXINT64, &bytes, NULL))
		head->content_length = (gint64)bytes;
	curl_easy_getinfo(transfer->easy, CURLINFO_REDIRECT_COUNT, &redirects);
	curl_easy_getinfo(transfer->easy, CURLINFO_EFFECTIVE_URL, &url);
	g_free(head->url);
	/* Without redirects libcurl's URL may be the one that server_name made of the caller's. */
	head->url = g_strdup(redirects > 0 && url != NULL ? url : transfer->url);
}

static void start_head(struct http_transfer *transfer, const char *line, gsize len)
{
	g_autofree char *text = g_strndup(line, len);
	const char *space = strchr(text, ' ');
	guint64 status = 0;

	if (space != NULL) {
		char digits[4] = {0};
		memcpy(digits, space + 1, MIN(strlen(space + 1), sizeof(digits) - 1));
		g_ascii_string_to_unsigned(digits, 10, 0, 999, &status, NULL);
	}
	transfer->head.status = (int)status;
	transfer->head.complete = FALSE;
	g_string_truncate(transfer->head.lines, 0);
}

static gboolean give_head(struct http_transfer *transfer)
{
	transfer->head.complete = TRUE;
	if (transfer->head.status < 200)
		return TRUE;
	finish_head(transfer);
	if (is_followed(transfer))
		return TRUE;
	transfer->head_given = TRUE;
	if (transfer->ops->head != NULL && !transfer->ops->head(transfer->data, &transfer->head)) {
		transfer->refused = TRUE;
		return FALSE;
	}
	return TRUE;
}

/* One line of a head per call, whatever the protocol version; after the body: trailers. */
static size_t on_header(char *line, size_t size, size_t count, void *data)
{
	struct http_transfer *transfer = data;
	gsize len = size * count, bare = len;

	if (transfer->refused || transfer->head_too_large)
		return 0;
	transfer->progress_us = g_get_monotonic_time();
	transfer->head_bytes += len;
	if (transfer->head_bytes > HTTP_HEAD_MAX_BYTES) {
		transfer->head_too_large = TRUE;
		return 0;
	}
	while (bare > 0 && (line[bare - 1] == '\r' || line[bare - 1] == '\n'))
		bare--;
	if (transfer->head_given)
		return len;
	if (bare >= 5 && memcmp(line, "HTTP/", 5) == 0)
		start_head(transfer, line, bare);
	else if (bare == 0)
		return transfer->head.complete || give_head(transfer) ? len : 0;
	else if (!transfer->head.complete && memchr(line, '\0', bare) == NULL) {
		while (bare > 0 && (line[bare - 1] == ' ' || line[bare - 1] == '\t'))
			bare--;
		g_string_append_len(transfer->head.lines, line, (gssize)bare);
		g_string_append_c(transfer->head.lines, '\0');
	}
	return len;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *data)
{
	struct http_transfer *transfer = data;
	gsize len = size * count;

	/* A cancelled call stays silent even when libcurl has more at hand. */
	if (transfer->refused)
		return CURL_WRITEFUNC_ERROR;
	transfer->progress_us = g_get_monotonic_time();
	if (transfer->ops->body != NULL && len > 0 &&
	    !transfer->ops->body(transfer->data, bytes, len)) {
		transfer->refused = TRUE;
		return CURL_WRITEFUNC_ERROR;
	}
	return transfer->refused ? CURL_WRITEFUNC_ERROR : len;
}

/* --- the request -------------------------------------------------------------------------- */

static gboolean invalid(GError **error, const char *what, const char *text)
{
	g_autofree char *shown = g_strescape(text != NULL ? text : "(none)", NULL);

	g_set_error(error, NET_ERROR, NET_ERROR_INVALID, "%s: %.200s", what, shown);
	return FALSE;
}

static gboolean is_token(const char *text, gsize len)
{
	for (gsize i = 0; i < len; i++) {
		if (!g_ascii_isalnum(text[i]) && strchr("!#$%&'*+-.^_`|~", text[i]) == NULL)
			return FALSE;
	}
	return len > 0;
}

static gboolean has_header(const char *const *headers, const char *name)
{
	gsize len = strlen(name);

	for (; headers != NULL && *headers != NULL; headers++) {
		if (g_ascii_strncasecmp(*headers, name, len) == 0 && (*headers)[len] == ':')
			return TRUE;
	}
	return FALSE;
}

static void add_header(struct http_transfer *transfer, const char *line)
{
	transfer->headers = curl_slist_append(transfer->headers, line);
}

static gboolean add_headers(
    struct http_transfer *transfer, const struct http_request *request, GError **error)
{
	for (const char *const *at = request->headers; at != NULL && *at != NULL; at++) {
		const char *colon = strchr(*at, ':');

		if (colon == NULL || !is_token(*at, (gsize)(colon - *at)) ||
		    strpbrk(colon, "\r\n") != NULL)
			return invalid(error, "not a header field", *at);
		if (colon[1 + strspn(colon + 1, " \t")] == '\0') {
			/* libcurl's way to send an empty value; "Name:" would remove it. */
			g_autofree char *line = g_strdup_printf("%.*s;", (int)(colon - *at), *at);
			add_header(transfer, line);
		} else {
			add_header(transfer, *at);
		}
	}
	/* libcurl's own ideas about bodies: a form's type, and a second of waiting for 100. */
	if (!has_header(request->headers, "Content-Type"))
		add_header(transfer, "Content-Type:");
	if (!has_header(request->headers, "Expect"))
		add_header(transfer, "Expect:");
	curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
	return TRUE;
}

static void set_body(CURL *easy, const char *body, gsize len)
{
	curl_easy_setopt(easy, CURLOPT_POST, 1L);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
	curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, body);
}

static gboolean set_method(CURL *easy, const struct http_request *request, GError **error)
{
	const char *method = request->method != NULL ? request->method : "GET";

	if (!is_token(method, strlen(method)))
		return invalid(error, "not a method", method);
	if (request->body != NULL)
		set_body(easy, request->body, request->body_len);
	else if (strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
		 strcmp(method, "PATCH") == 0)
		set_body(easy, "", 0); /* So that Content-Length: 0 is said. */
	else if (strcmp(method, "HEAD") == 0)
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	else if (strcmp(method, "GET") == 0)
		curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	/* Where libcurl has a method of its own it changes it on redirects as it should. */
	if (strcmp(method, "HEAD") == 0 || (strcmp(method, "GET") == 0 && request->body == NULL) ||
	    strcmp(method, "POST") == 0)
		return TRUE;
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
	return TRUE;
}

static char *url_part(CURLU *url, CURLUPart part, unsigned flags)
{
	char *text = NULL, *copy;

	if (curl_url_get(url, part, &text, flags) != CURLUE_OK)
		return NULL;
	copy = g_strdup(text);
	curl_free(text);
	return copy;
}

/*
 * To verify another name than the URL's: the URL gets that name, the connection still goes to the
 * real host, and the Host field still says the real one.
 */
static gboolean use_server_name(struct http_transfer *transfer, CURLU *url, const char *host,
    const char *port, const struct http_request *request, GError **error)
{
	const char *name = request->tls->server_name;
	g_autofree char *connect_to = g_strdup_printf("::%s:%s", host, port);
	g_autofree char *host_line = g_strdup_printf("Host: %s", transfer->where);

	if (curl_url_set(url, CURLUPART_HOST, name, 0) != CURLUE_OK)
		return invalid(error, "not a server name", name);
	if (!has_header(request->headers, "Host"))
		add_header(transfer, host_line);
	transfer->connect_to = curl_slist_append(NULL, connect_to);
	curl_easy_setopt(transfer->easy, CURLOPT_CONNECT_TO, transfer->connect_to);
	return TRUE;
}

static gboolean set_url(
    struct http_transfer *transfer, const struct http_request *request, GError **error)
{
	/*
	 * The path goes out as it was written: "/a/../b" is not ours to tidy up. With redirects
	 * libcurl has to resolve relative ones and needs the tidying.
	 */
	unsigned flags = request->max_redirects == 0 ? CURLU_PATH_AS_IS : 0;
	CURLU *url = curl_url();
	gboolean ok = FALSE;

	curl_easy_setopt(transfer->easy, CURLOPT_PATH_AS_IS, (long)(flags != 0));
	if (request->url == NULL ||
	    curl_url_set(url, CURLUPART_URL, request->url, flags) != CURLUE_OK) {
		invalid(error, "not a URL", request->url);
		curl_url_cleanup(url);
		return FALSE;
	}
	g_autofree char *scheme = url_part(url, CURLUPART_SCHEME, 0);
	g_autofree char *host = url_part(url, CURLUPART_HOST, 0);
	g_autofree char *port = url_part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	gboolean https = g_strcmp0(scheme, "https") == 0;
	if (host == NULL || port == NULL || (!https && g_strcmp0(scheme, "http") != 0)) {
		ok = invalid(error, "not an http or https URL", request->url);
	} else {
		transfer->where = g_strdup_printf("%s:%s", host, port);
		/*
		 * Wait for the first connection's ALPN rather than open a second one. Without TLS
		 * that would be a wait for the first call's response head.
		 */
		curl_easy_setopt(transfer->easy, CURLOPT_PIPEWAIT, https ? 1L : 0L);
		ok = !https || request->tls == NULL || request->tls->server_name == NULL ||
		     use_server_name(transfer, url, host, port, request, error);
	}
	if (ok) {
		g_autofree char *text = url_part(url, CURLUPART_URL, 0);
		curl_easy_setopt(transfer->easy, CURLOPT_URL, text);
	}
	curl_url_cleanup(url);
	return ok;
}

static void set_blob(CURL *easy, CURLoption option, GBytes *pem)
{
	gsize len;
	const void *bytes = g_bytes_get_data(pem, &len);
	/* Copied: an abandoned fetch may outlive the caller's `tls`. */
	struct curl_blob blob = {.data = (void *)bytes, .len = len, .flags = CURL_BLOB_COPY};

	curl_easy_setopt(easy, option, &blob);
}

/* NULL: whatever libcurl was built with. */
static const char *system_roots(void)
{
	static const char *const places[] = {
	    "/etc/ssl/certs/ca-certificates.crt", /* Debian, Alpine, distroless */
	    "/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora */
	    "/etc/ssl/ca-bundle.pem",             /* SUSE */
	    "/etc/ssl/cert.pem",
	};
	const char *chosen = g_getenv("SSL_CERT_FILE");

	if (chosen != NULL && *chosen != '\0')
		return chosen;
	for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
		if (g_file_test(places[i], G_FILE_TEST_EXISTS))
			return places[i];
	}
	return NULL;
}

static void set_tls(CURL *easy, const struct http_tls *tls)
{
	const char *roots = system_roots();

	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	/*
	 * A directory that libcurl was built with would be trusted besides `ca_pem`; and with the
	 * file alone, newer versions parse the system's roots once, not for each connection.
	 */
	curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	if (tls != NULL && tls->ca_pem != NULL)
		set_blob(easy, CURLOPT_CAINFO_BLOB, tls->ca_pem);
	else if (roots != NULL)
		curl_easy_setopt(easy, CURLOPT_CAINFO, roots);
	if (tls == NULL)
		return;
	if (tls->cert_pem != NULL)
		set_blob(easy, CURLOPT_SSLCERT_BLOB, tls->cert_pem);
	if (tls->key_pem != NULL)
		set_blob(easy, CURLOPT_SSLKEY_BLOB, tls->key_pem);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, tls->insecure ? 0L : 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, tls->insecure ? 0L : 2L);
}

static int on_socket(void *data, curl_socket_t fd, curlsocktype purpose)
{
	const int ms = TCP_USER_TIMEOUT_MS;

	(void)data;
	(void)purpose;
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
	return CURL_SOCKOPT_OK;
}

static void set_network(CURL *easy, const struct http_request *request)
{
	gint64 connect_ms = request->connect_timeout_ms > 0 ? request->connect_timeout_ms : 10000;

	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 30L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 10L);
	curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)MAX(request->timeout_ms, 0));
	curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	if (request->proxy != NULL)
		curl_easy_setopt(easy, CURLOPT_PROXY, request->proxy);
	/* Never to another host: neither ours by UNRESTRICTED_AUTH nor a field "Authorization". */
	curl_easy_setopt(easy, CURLOPT_UNRESTRICTED_AUTH, 0L);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, request->max_redirects > 0 ? 1L : 0L);
	curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)request->max_redirects);
}

struct http_transfer *http_transfer_new(const struct http_request *request, const char *user_agent,
    const struct http_call_ops *ops, void *data, GError **error)
{
	struct http_transfer *transfer = g_new0(struct http_transfer, 1);

	http_curl_init();
	transfer->ops = ops;
	transfer->data = data;
	transfer->head.lines = g_string_new(NULL);
	transfer->url = g_strdup(request->url);
	transfer->max_redirects = request->max_redirects;
	transfer->idle_timeout_ms = request->idle_timeout_ms;
	transfer->timeout_ms = request->timeout_ms;
	transfer->progress_us = g_get_monotonic_time();
	transfer->easy = curl_easy_init();
	if (transfer->easy == NULL) {
		g_set_error_literal(error, NET_ERROR, NET_ERROR_SYSTEM, "libcurl: out of memory");
		return transfer;
	}
	curl_easy_setopt(transfer->easy, CURLOPT_ERRORBUFFER, transfer->message);
	curl_easy_setopt(transfer->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(transfer->easy, CURLOPT_HEADERDATA, transfer);
	curl_easy_setopt(transfer->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(transfer->easy, CURLOPT_WRITEDATA, transfer);
	if (user_agent != NULL)
		curl_easy_setopt(transfer->easy, CURLOPT_USERAGENT, user_agent);
	set_network(transfer->easy, request);
	set_tls(transfer->easy, request->tls);
	if (set_method(transfer->easy, request, error) && set_url(transfer, request, error))
		add_headers(transfer, request, error);
	return transfer;
}

void http_transfer_free(struct http_transfer *transfer)
{
	if (transfer == NULL)
		return;
	if (transfer->easy != NULL)
		curl_easy_cleanup(transfer->easy);
	curl_slist_free_all(transfer->headers);
	curl_slist_free_all(transfer->connect_to);
	g_string_free(transfer->head.lines, TRUE);
	g_free(transfer->head.url);
	g_free(transfer->url);
	g_free(transfer->where);
	g_free(transfer);
}

gint64 http_transfer_idle_left_ms(const struct http_transfer *transfer)
{
	gint64 quiet_ms = (g_get_monotonic_time() - transfer->progress_us) / 1000;

	if (transfer->idle_timeout_ms <= 0)
		return -1;
	return MAX(transfer->idle_timeout_ms - quiet_ms, 0);
}

void http_transfer_note_bytes(struct http_transfer *transfer, curl_off_t moved)
{
	if (moved == transfer->seen_bytes)
		return;
	transfer->seen_bytes = moved;
	transfer->progress_us = g_get_monotonic_time();
}
