/*
 * What this node has, for others: the part of the registry protocol by which models are pulled.
 *
 *   /v2/<ns>/<model>/...                   of the default host, as stock `ollama pull` asks
 *   /v1/hosts/<host>/v2/<ns>/<model>/...   of any host: the store as that registry's mirror
 *        .../manifests/<tag or digest>
 *        .../blobs/<digest>
 *
 * Ollama's downloader wants a Location in the answer that has the bytes, so a 200 carries its own
 * path there. Blobs are answered under any model's name: who knows a digest knows the content.
 */
#include "store/server_priv.h"

#include <string.h>
#include <unistd.h>

#define MANIFEST_TYPE "application/vnd.docker.distribution.manifest.v2+json"
#define HOSTS_PREFIX "/v1/hosts/"
#define DEFAULT_HOST "registry.ollama.ai"

/* What a path asks for; all owned. */
struct asked {
	struct reference *reference; /* its tag is any when `digest` is set */
	char *digest;                /* of a manifest or a blob, or NULL */
	gboolean is_blob;
};

static void asked_done(struct asked *asked)
{
	g_clear_pointer(&asked->reference, reference_free);
	g_clear_pointer(&asked->digest, g_free);
}

/* The errors of the registry protocol have codes in capitals. */
static void refuse(
    struct http_exchange *exchange, int status, const char *code, const char *message)
{
	g_autofree char *text =
	    g_strdup_printf("{\"errors\":[{\"code\":\"%s\",\"message\":\"%s\"}]}", code, message);

	http_exchange_respond(exchange, status, "application/json", NULL, text, strlen(text));
}

/* `rest` is "<ns>/<model>/manifests/<what>" or the same with "blobs". */
static gboolean parse_rest(const char *host, const char *rest, struct asked *ret_asked)
{
	g_auto(GStrv) parts = g_strsplit(rest, "/", 5);
	g_autofree char *text = NULL;
	const char *what;
	struct asked asked = {0};

	if (g_strv_length(parts) != 4)
		return FALSE;
	what = parts[3];
	asked.is_blob = strcmp(parts[2], "blobs") == 0;
	if (!asked.is_blob && strcmp(parts[2], "manifests") != 0)
		return FALSE;
	if (digest_is_valid(what))
		asked.digest = g_strdup(what);
	else if (asked.is_blob)
		return FALSE;
	text = g_strdup_printf(
	    "%s/%s/%s:%s", host, parts[0], parts[1], asked.digest != NULL ? "latest" : what);
	asked.reference = reference_parse(text, NULL);
	if (asked.reference == NULL) {
		asked_done(&asked);
		return FALSE;
	}
	*ret_asked = asked;
	return TRUE;
}

static gboolean parse_path(const char *path, struct asked *ret_asked)
{
	g_autofree char *host = NULL;
	const char *end;

	if (g_str_has_prefix(path, "/v2/"))
		return parse_rest(DEFAULT_HOST, path + strlen("/v2/"), ret_asked);
	path += strlen(HOSTS_PREFIX);
	end = strchr(path, '/');
	if (end == NULL || !g_str_has_prefix(end, "/v2/"))
		return FALSE;
	host = g_strndup(path, (gsize)(end - path));
	return parse_rest(host, end + strlen("/v2/"), ret_asked);
}

/* --- manifests ------------------------------------------------------------------------------ */

static void answer_manifest(
    const struct content *content, struct http_exchange *exchange, const struct asked *asked)
{
	g_autoptr(GBytes) bytes = content_find_manifest(content, asked->reference, asked->digest);
	g_autofree char *hex = NULL, *digest = NULL;
	const char *headers[] = {NULL, NULL};
	const char *text;
	gsize len;

	if (bytes == NULL) {
		refuse(exchange, 404, "MANIFEST_UNKNOWN", "this node does not have that model");
		return;
	}
	hex = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, bytes);
	digest = g_strconcat("Docker-Content-Digest: sha256:", hex, NULL);
	headers[0] = digest;
	text = g_bytes_get_data(bytes, &len);
	http_exchange_respond(exchange, 200, MANIFEST_TYPE, headers, text, len);
}

/* --- blobs ---------------------------------------------------------------------------------- */

enum range { RANGE_ALL, RANGE_PART, RANGE_OUTSIDE };

/*
 * One range of bytes of something that has `size`. What is no such range, or more than one, is as
 * if nothing had been said (RFC 9110, 14.2), and so are the outputs.
 */
static enum range parse_range(const char *text, gint64 size, gint64 *ret_offset, gint64 *ret_length)
{
	g_auto(GStrv) ends = NULL;
	guint64 first = 0, last = 0;
	gboolean has_first, has_last;

	if (text == NULL || !g_str_has_prefix(text, "bytes="))
		return RANGE_ALL;
	ends = g_strsplit(text + strlen("bytes="), "-", 3);
	if (g_strv_length(ends) != 2)
		return RANGE_ALL;
	has_first = g_ascii_string_to_unsigned(ends[0], 10, 0, G_MAXINT64, &first, NULL);
	has_last = g_ascii_string_to_unsigned(ends[1], 10, 0, G_MAXINT64, &last, NULL);
	if ((!has_first && *ends[0] != '\0') || (!has_last && *ends[1] != '\0') ||
	    (!has_first && !has_last) || (has_first && has_last && last < first))
		return RANGE_ALL;
	if (!has_first) {
		/* The last so many bytes; of none of them nothing can be sent. */
		if (last == 0)
			return RANGE_OUTSIDE;
		first = last >= (guint64)size ? 0 : (guint64)size - last;
		has_last = FALSE;
	}
	if (first >= (guint64)size)
		return RANGE_OUTSIDE;
	*ret_offset = (gint64)first;
	*ret_length = has_last ? (gint64)MIN(last, (guint64)size - 1) - (gint64)first + 1
			       : size - (gint64)first;
	return RANGE_PART;
}

static void refuse_range(struct http_exchange *exchange, gint64 size)
{
	g_autofree char *range = g_strdup_printf("Content-Range: bytes */%" G_GINT64_FORMAT, size);
	const char *const headers[] = {range, NULL};

	http_exchange_respond(exchange, 416, NULL, headers, NULL, 0);
}

static void answer_blob(
    const struct content *content, struct http_exchange *exchange, const struct asked *asked)
{
	gint64 size = 0, offset = 0, length;
	int fd = content_open_blob(content, asked->digest, &size);
	g_autofree char *location = NULL, *digest = NULL, *range = NULL;
	const char *headers[5] = {"Accept-Ranges: bytes"};
	enum range part;

	if (fd < 0) {
		refuse(exchange, 404, "BLOB_UNKNOWN", "this node does not have that blob");
		return;
	}
	length = size;
	part = parse_range(http_exchange_header(exchange, "Range"), size, &offset, &length);
	if (part == RANGE_OUTSIDE) {
		close(fd);
		refuse_range(exchange, size);
		return;
	}
	location = g_strconcat("Location: ", http_exchange_path(exchange), NULL);
	digest = g_strconcat("Docker-Content-Digest: ", asked->digest, NULL);
	headers[1] = location;
	headers[2] = digest;
	if (part == RANGE_PART)
		range = g_strdup_printf("Content-Range: bytes %" G_GINT64_FORMAT
					"-%" G_GINT64_FORMAT "/%" G_GINT64_FORMAT,
		    offset, offset + length - 1, size);
	headers[3] = range;
	http_exchange_send_file(exchange, part == RANGE_PART ? 206 : 200,
	    "application/octet-stream", headers, fd, offset, length);
}

/* --- both ----------------------------------------------------------------------------------- */

gboolean registry_server_has(const char *path)
{
	return g_str_has_prefix(path, "/v2/") || strcmp(path, "/v2") == 0 ||
	       g_str_has_prefix(path, HOSTS_PREFIX);
}

void registry_server_answer(const struct store_server *server, struct http_exchange *exchange)
{
	const char *path = http_exchange_path(exchange);
	const char *method = http_exchange_method(exchange);
	struct asked asked;

	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
		static const char *const HEADERS[] = {"Allow: GET, HEAD", NULL};

		http_exchange_respond(exchange, 405, NULL, HEADERS, NULL, 0);
	} else if (strcmp(path, "/v2") == 0 || strcmp(path, "/v2/") == 0) {
		/* By this a client sees that it speaks to a registry. */
		http_exchange_respond(exchange, 200, "application/json", NULL, "{}", 2);
	} else if (!parse_path(path, &asked)) {
		refuse(exchange, 404, "NAME_UNKNOWN", "this path names no manifest and no blob");
	} else {
		if (asked.is_blob)
			answer_blob(server->options.content, exchange, &asked);
		else
			answer_manifest(server->options.content, exchange, &asked);
		asked_done(&asked);
	}
}
