#include "net/http_collector.h"

#include "net/http_transfer.h"

#include <string.h>

#define DEFAULT_MAX_BYTES (64 * 1024 * 1024)

void http_collector_init(struct http_collector *collector, gsize max_bytes)
{
	*collector = (struct http_collector){
	    .max_bytes = max_bytes > 0 ? max_bytes : DEFAULT_MAX_BYTES,
	    .headers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
	    .body = g_string_new(NULL),
	};
}

void http_collector_done(struct http_collector *collector)
{
	g_clear_pointer(&collector->headers, g_hash_table_unref);
	if (collector->body != NULL)
		g_string_free(collector->body, TRUE);
	collector->body = NULL;
}

gboolean http_collector_head(void *data, const struct http_head *head)
{
	struct http_collector *collector = data;

	collector->status = head->status;
	for (const char *line = head->lines->str; *line != '\0'; line += strlen(line) + 1) {
		const char *colon = strchr(line, ':');
		if (colon == NULL)
			continue;
		g_autofree char *name = g_ascii_strdown(line, colon - line);
		colon++;
		if (!g_hash_table_contains(collector->headers, name))
			g_hash_table_insert(collector->headers, g_steal_pointer(&name),
			    g_strdup(colon + strspn(colon, " \t")));
	}
	/*
	 * A HEAD's or a 304's length speaks of a body that does not come; such a response is only
	 * ever refused for bytes that do.
	 */
	return TRUE;
}

gboolean http_collector_body(void *data, const char *bytes, gsize len)
{
	struct http_collector *collector = data;

	if (len > collector->max_bytes - collector->body->len) {
		collector->too_large = TRUE;
		return FALSE;
	}
	g_string_append_len(collector->body, bytes, (gssize)len);
	return TRUE;
}

struct http_response *http_collector_finish(
    struct http_collector *collector, const char *url, GError *take_error, GError **error)
{
	if (collector->too_large) {
		g_clear_error(&take_error);
		g_set_error(error, NET_ERROR, NET_ERROR_TOO_LARGE,
		    "%s: the response is over %" G_GSIZE_FORMAT " bytes", url,
		    collector->max_bytes);
		return NULL;
	}
	if (take_error != NULL) {
		g_propagate_error(error, take_error);
		return NULL;
	}
	struct http_response *response = g_new0(struct http_response, 1);
	response->status = collector->status;
	response->body_len = collector->body->len;
	response->body = g_string_free(g_steal_pointer(&collector->body), FALSE);
	response->headers = g_steal_pointer(&collector->headers);
	return response;
}

void http_response_free(struct http_response *response)
{
	if (response == NULL)
		return;
	g_free(response->body);
	g_hash_table_unref(response->headers);
	g_free(response);
}

const char *http_response_header(const struct http_response *response, const char *name)
{
	return g_hash_table_lookup(response->headers, name);
}
