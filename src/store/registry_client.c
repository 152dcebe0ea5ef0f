#include "store/registry_client.h"

#include "model/manifest.h"
#include "net/url.h"
#include "json/json.h"

#include <string.h>

enum {
	MAX_REDIRECTS = 5,
	IDLE_TIMEOUT_MS = 60 * 1000,
	MANIFEST_TIMEOUT_MS = 60 * 1000,
	RETRY_AFTER_MAX_MS = 10 * 60 * 1000,
	TOKEN_MAX_BYTES = 64 * 1024,
};

struct registry {
	const struct registry_options *options;
	const struct reference *reference;
	const gint *cancelled;
	char *base;          /* "https://host/v2/library/phi" */
	char *authorization; /* "Authorization: Bearer ...", NULL: anonymous */
	char *shown;         /* the model, for sentences */
	gint64 retry_after_ms;
};

/* What we say in a request besides its URL. */
struct extra {
	const char *accept;
	gint64 range_from; /* -1: none */
	gint64 range_to;   /* the last byte; -1: to the end */
};

struct registry *registry_new(const struct registry_options *options,
    const struct reference *reference, const gint *cancelled)
{
	struct registry *registry = g_new0(struct registry, 1);
	g_autofree char *host = g_ascii_strdown(reference->host, -1);
	const char *mirror =
	    options->mirrors == NULL ? NULL : g_hash_table_lookup(options->mirrors, host);
	gboolean insecure =
	    options->insecure != NULL && g_hash_table_contains(options->insecure, host);
	g_autofree char *direct =
	    g_strconcat(insecure ? "http://" : "https://", reference->host, NULL);

	registry->options = options;
	registry->reference = reference;
	registry->cancelled = cancelled;
	/* The parts of a reference need no escaping: see reference_parse(). */
	registry->base = g_strdup_printf("%s/v2/%s/%s", mirror != NULL ? mirror : direct,
	    reference->namespace, reference->model);
	registry->shown = reference_short(reference);
	return registry;
}

void registry_free(struct registry *registry)
{
	if (registry == NULL)
		return;
	g_free(registry->base);
	g_free(registry->authorization);
	g_free(registry->shown);
	g_free(registry);
}

gint64 registry_retry_after_ms(const struct registry *registry)
{
	return registry->retry_after_ms;
}

/* "the manifest of phi:latest" could not be had: why, as an error of ours. */
static void set_net_error(
    const struct registry *registry, const char *what, const GError *why, GError **error)
{
	enum store_error code = STORE_ERROR_REGISTRY_UNAVAILABLE;

	if (g_error_matches(why, NET_ERROR, NET_ERROR_TLS))
		code = STORE_ERROR_TLS_FAILED;
	else if (g_error_matches(why, NET_ERROR, NET_ERROR_CANCELLED))
		code = STORE_ERROR_CANCELLED;
	else if (g_error_matches(why, NET_ERROR, NET_ERROR_TOO_LARGE))
		code = STORE_ERROR_INVALID_MANIFEST;
	g_set_error(error, STORE_ERROR, (int)code, "fetching %s of %s from %s: %s", what,
	    registry->shown, registry->reference->host, why->message);
}

/* Seconds only: the form with a date needs a clock that agrees with the registry's. */
static void note_retry_after(struct registry *registry, const char *value)
{
	guint64 seconds;

	if (value != NULL && g_ascii_string_to_unsigned(value, 10, 0, G_MAXINT, &seconds, NULL))
		registry->retry_after_ms = MIN((gint64)seconds * 1000, RETRY_AFTER_MAX_MS);
}

static void set_status_error(
    const struct registry *registry, const char *what, int status, GError **error)
{
	const char *host = registry->reference->host;

	switch (status) {
	case 404:
	case 410:
		g_set_error(error, STORE_ERROR, STORE_ERROR_NOT_FOUND,
		    "%s for %s not found in %s: check spec.image", what, registry->shown, host);
		return;
	case 401:
	case 403:
		g_set_error(error, STORE_ERROR, STORE_ERROR_DENIED,
		    "%s refuses %s of %s (status %d): check spec.image, and whether the model is "
		    "public",
		    host, what, registry->shown, status);
		return;
	case 412:
		g_set_error(error, STORE_ERROR, STORE_ERROR_REQUIRES_NEWER,
		    "%s says that %s requires a newer version of Ollama", host, registry->shown);
		return;
	case 429:
		g_set_error(error, STORE_ERROR, STORE_ERROR_RATE_LIMITED,
		    "%s asks us to slow down (status 429 for %s of %s)", host, what,
		    registry->shown);
		return;
	default:
		g_set_error(error, STORE_ERROR, STORE_ERROR_REGISTRY_UNAVAILABLE,
		    "%s answered with status %d for %s of %s", host, status, what, registry->shown);
	}
}

/* --- tokens: 401 with a Bearer challenge, answered anonymously ----------------------------- */

/* The value of `key="..."` in a challenge; the caller's, NULL: not there. */
static char *challenge_get(const char *challenge, const char *key)
{
	g_autofree char *wanted = g_strconcat(key, "=\"", NULL);
	const char *at = challenge;

	while ((at = strstr(at, wanted)) != NULL) {
		const char *value = at + strlen(wanted);
		const char *end = strchr(value, '"');

		if (end != NULL && (at == challenge || at[-1] == ' ' || at[-1] == ','))
			return g_strndup(value, (gsize)(end - value));
		at = value;
	}
	return NULL;
}

static void append_query(GString *url, const char *challenge, const char *key)
{
	g_autofree char *value = challenge_get(challenge, key);
	g_autofree char *encoded = value == NULL ? NULL : url_encode(value);

	if (encoded != NULL)
		g_string_append_printf(
		    url, "%c%s=%s", strchr(url->str, '?') != NULL ? '&' : '?', key, encoded);
}

/* A token may become a header line: printable, without spaces. */
static gboolean token_is_sane(const char *token)
{
	if (token == NULL || token[0] == '\0' || strlen(token) > TOKEN_MAX_BYTES / 2)
		return FALSE;
	for (const char *p = token; *p != '\0'; p++)
		if (!g_ascii_isgraph(*p))
			return FALSE;
	return TRUE;
}

/* TRUE: there is a token now, the request is worth repeating. */
static gboolean get_token(struct registry *registry, const char *challenge)
{
	g_autofree char *realm = NULL;
	g_autoptr(GString) url = NULL;
	g_autoptr(yyjson_doc) doc = NULL;
	AUTO(http_response) response = NULL;
	struct http_request request = {.method = "GET",
	    .tls = registry->options->tls,
	    .proxy = registry->options->proxy,
	    .timeout_ms = MANIFEST_TIMEOUT_MS,
	    .max_response_bytes = TOKEN_MAX_BYTES};
	const char *token;

	if (challenge == NULL || registry->authorization != NULL ||
	    g_ascii_strncasecmp(challenge, "Bearer ", strlen("Bearer ")) != 0)
		return FALSE;
	realm = challenge_get(challenge, "realm");
	/* A token over plain http is for registries that are spoken to in plain http anyway. */
	if (realm == NULL || !(g_str_has_prefix(realm, "https://") ||
				 (g_str_has_prefix(realm, "http://") &&
				     g_str_has_prefix(registry->base, "http://"))))
		return FALSE;
	url = g_string_new(realm);
	append_query(url, challenge, "service");
	append_query(url, challenge, "scope");
	request.url = url->str;
	response =
	    http_perform_fetch(&request, registry->options->user_agent, registry->cancelled, NULL);
	if (response == NULL || response->status != 200)
		return FALSE;
	doc = json_parse(response->body, response->body_len, NULL);
	token = doc == NULL ? NULL : json_str(yyjson_doc_get_root(doc), "token", NULL);
	if (token == NULL && doc != NULL)
		token = json_str(yyjson_doc_get_root(doc), "access_token", NULL);
	if (!token_is_sane(token))
		return FALSE;
	registry->authorization = g_strconcat("Authorization: Bearer ", token, NULL);
	return TRUE;
}

/* --- one GET, streamed ---------------------------------------------------------------------- */

struct get {
	struct registry *registry;
	int status;
	char *challenge;
	gint64 from; /* of a 206, else 0 */
	const struct registry_blob_ops *ops;
	void *data;
	GError *error; /* of ops; ended the call */
};

/* "bytes 100-199/200": the first number; -1: unreadable. */
static gint64 range_start(const char *value)
{
	gint64 start;
	char *end = NULL;

	if (value == NULL || !g_str_has_prefix(value, "bytes ") || !g_ascii_isdigit(value[6]))
		return -1;
	start = g_ascii_strtoll(value + 6, &end, 10);
	return *end == '-' ? start : -1;
}

static gboolean on_head(void *data, const struct http_head *head)
{
	struct get *get = data;

	get->status = http_head_status(head);
	g_free(get->challenge);
	get->challenge = g_strdup(http_head_get(head, "WWW-Authenticate"));
	if (get->status == 429 || get->status == 503)
		note_retry_after(get->registry, http_head_get(head, "Retry-After"));
	if (get->status != 200 && get->status != 206)
		return FALSE; /* its body is of no use: what we say is our own sentence */
	if (get->status == 206)
		get->from = range_start(http_head_get(head, "Content-Range"));
	return get->ops->begin(get->data, get->from, &get->error);
}

static gboolean on_body(void *data, const char *bytes, gsize len)
{
	struct get *get = data;

	return get->ops->bytes(get->data, bytes, len, &get->error);
}

/* The header line; the caller's, NULL: no range. */
static char *range_line(const struct extra *extra)
{
	if (extra->range_from < 0)
		return NULL;
	if (extra->range_to < 0)
		return g_strdup_printf("Range: bytes=%" G_GINT64_FORMAT "-", extra->range_from);
	return g_strdup_printf("Range: bytes=%" G_GINT64_FORMAT "-%" G_GINT64_FORMAT,
	    extra->range_from, extra->range_to);
}

/* FALSE with an error: not the whole answer, or not a good one. `get->status` says which. */
static gboolean perform(struct get *get, const char *url, const char *what,
    const struct extra *extra, gint64 timeout_ms, GError **error)
{
	static const struct http_call_ops OPS = {.head = on_head, .body = on_body};
	struct registry *registry = get->registry;
	g_autofree char *range = range_line(extra);
	const char *headers[4] = {NULL};
	g_autoptr(GError) why = NULL;
	guint n = 0;
	struct http_request request = {.method = "GET",
	    .url = url,
	    .headers = headers,
	    .tls = registry->options->tls,
	    .proxy = registry->options->proxy,
	    .timeout_ms = timeout_ms,
	    .idle_timeout_ms = registry->options->idle_timeout_ms ?: IDLE_TIMEOUT_MS,
	    .max_redirects = MAX_REDIRECTS};

	if (extra->accept != NULL)
		headers[n++] = extra->accept;
	if (range != NULL)
		headers[n++] = range;
	if (registry->authorization != NULL)
		headers[n++] = registry->authorization;
	get->status = 0;
	get->from = 0;
	if (http_perform(
		&request, registry->options->user_agent, &OPS, get, registry->cancelled, &why) &&
	    (get->status == 200 || get->status == 206))
		return TRUE;
	if (get->error != NULL)
		g_propagate_error(error, g_steal_pointer(&get->error));
	else if (get->status != 0 && get->status != 200 && get->status != 206)
		set_status_error(registry, what, get->status, error);
	else
		set_net_error(registry, what, why, error);
	return FALSE;
}

/* perform(), and once more with a token when the registry hands them out to everybody. */
static gboolean get(struct registry *registry, const char *path, const char *what,
    const struct extra *extra, gint64 timeout_ms, const struct registry_blob_ops *ops, void *data,
    int *ret_status, GError **error)
{
	struct get get = {.registry = registry, .ops = ops, .data = data};
	g_autofree char *url = g_strconcat(registry->base, path, NULL);
	g_autoptr(GError) first = NULL;
	gboolean ok = perform(&get, url, what, extra, timeout_ms, &first);

	if (!ok && get.status == 401 && get_token(registry, get.challenge)) {
		g_clear_error(&first);
		ok = perform(&get, url, what, extra, timeout_ms, &first);
	}
	g_free(get.challenge);
	*ret_status = get.status;
	if (!ok)
		g_propagate_error(error, g_steal_pointer(&first));
	return ok;
}

/* --- manifests and blobs -------------------------------------------------------------------- */

static gboolean manifest_begin(void *data, gint64 offset, GError **error)
{
	(void)data;
	if (offset == 0)
		return TRUE;
	g_set_error_literal(error, STORE_ERROR, STORE_ERROR_INVALID_MANIFEST,
	    "the registry sent a part of the manifest");
	return FALSE;
}

static gboolean manifest_bytes(void *data, const char *bytes, gsize len, GError **error)
{
	GByteArray *body = data;

	if (len > MANIFEST_MAX_BYTES - body->len) {
		g_set_error(error, STORE_ERROR, STORE_ERROR_INVALID_MANIFEST,
		    "the manifest has more than %d bytes: this is no Ollama model",
		    MANIFEST_MAX_BYTES);
		return FALSE;
	}
	g_byte_array_append(body, (const guint8 *)bytes, (guint)len);
	return TRUE;
}

GBytes *registry_fetch_manifest(struct registry *registry, GError **error)
{
	static const struct registry_blob_ops OPS = {manifest_begin, manifest_bytes};
	static const struct extra EXTRA = {
	    "Accept: application/vnd.docker.distribution.manifest.v2+json", -1, -1};
	g_autofree char *path = g_strconcat("/manifests/", registry->reference->tag, NULL);
	g_autoptr(GByteArray) body = g_byte_array_new();
	int status;

	registry->retry_after_ms = 0;
	if (!get(registry, path, "manifest", &EXTRA, MANIFEST_TIMEOUT_MS, &OPS, body, &status,
		error))
		return NULL;
	return g_byte_array_free_to_bytes(g_steal_pointer(&body));
}

gboolean registry_fetch_blob(struct registry *registry, const char *digest, gint64 offset,
    const struct registry_blob_ops *ops, void *data, GError **error)
{
	struct extra extra = {NULL, offset > 0 ? offset : -1, -1};
	g_autofree char *path = g_strconcat("/blobs/", digest, NULL);
	g_autofree char *what = g_strndup(digest, strlen("sha256:") + 12);
	g_autoptr(GError) first = NULL;
	int status;

	g_assert(digest_is_valid(digest));
	registry->retry_after_ms = 0;
	if (get(registry, path, what, &extra, 0, ops, data, &status, &first))
		return TRUE;
	/* 416: what we have is not what the registry has; begin anew, without a range. */
	if (status == 416 && offset > 0) {
		extra.range_from = -1;
		return get(registry, path, what, &extra, 0, ops, data, &status, error);
	}
	g_propagate_error(error, g_steal_pointer(&first));
	return FALSE;
}

gboolean registry_fetch_part(struct registry *registry, const char *digest, gint64 offset,
    gint64 length, const struct registry_blob_ops *ops, void *data, GError **error)
{
	const struct extra extra = {NULL, offset, offset + length - 1};
	g_autofree char *path = g_strconcat("/blobs/", digest, NULL);
	g_autofree char *what = g_strndup(digest, strlen("sha256:") + 12);
	int status;

	g_assert(digest_is_valid(digest) && offset >= 0 && length > 0);
	registry->retry_after_ms = 0;
	return get(registry, path, what, &extra, MANIFEST_TIMEOUT_MS, ops, data, &status, error);
}
