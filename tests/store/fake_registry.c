#include "fake_registry.h"

#include <stdlib.h>
#include <string.h>

struct script {
	char *part;
	enum fault fault;
	int count, status;
	char *text;
};

struct fake_registry {
	struct loop *loop;
	struct http_server *server;
	GThread *thread;
	uv_mutex_t mutex;  /* all below */
	GHashTable *files; /* path -> GBytes */
	GPtrArray *scripts;
	GPtrArray *log;
};

static void script_free(gpointer data)
{
	struct script *script = data;

	g_free(script->part);
	g_free(script->text);
	g_free(script);
}

/* Takes one use of the script that fits. */
static struct script take_script(struct fake_registry *registry, const char *path)
{
	for (guint i = registry->scripts->len; i-- > 0;) {
		struct script *script = registry->scripts->pdata[i];

		if (script->count == 0 || strstr(path, script->part) == NULL)
			continue;
		if (script->count > 0)
			script->count--;
		return *script;
	}
	return (struct script){.fault = FAULT_NONE};
}

static void log_request(struct fake_registry *registry, struct http_exchange *exchange)
{
	const char *range = http_exchange_header(exchange, "Range");
	const char *auth = http_exchange_header(exchange, "Authorization");

	g_ptr_array_add(
	    registry->log, g_strdup_printf("%s %s?%s Range:%s Auth:%s Host:%s Accept:%s Agent:%s",
			       http_exchange_method(exchange), http_exchange_path(exchange),
			       http_exchange_query(exchange), range ?: "", auth ?: "",
			       http_exchange_header(exchange, "Host"),
			       http_exchange_header(exchange, "Accept") ?: "",
			       http_exchange_header(exchange, "User-Agent") ?: ""));
}

static void send_status(struct http_exchange *exchange, int status, const char *header)
{
	const char *const headers[] = {header, NULL};

	http_exchange_respond(exchange, status, "text/plain", headers, "no", 2);
}

/* One past the last byte of "bytes=5-9"; without one it is as far as can be. */
static gsize range_end(const char *range)
{
	const char *dash = strchr(range, '-');

	return dash == NULL || dash[1] == '\0' ? G_MAXSIZE
					       : (gsize)g_ascii_strtoull(dash + 1, NULL, 10) + 1;
}

static void send_bytes(struct http_exchange *exchange, GBytes *bytes, enum fault fault)
{
	gsize len, from = 0;
	const char *data = g_bytes_get_data(bytes, &len);
	const char *range = http_exchange_header(exchange, "Range");
	g_autofree char *content_range = NULL;
	g_autofree char *copy = NULL;
	gsize whole;

	whole = len;
	if (range != NULL && fault != FAULT_NO_RANGE) {
		from = (gsize)g_ascii_strtoull(range + strlen("bytes="), NULL, 10);
		if (from >= len) {
			send_status(exchange, 416, NULL);
			return;
		}
		len = MIN(len, range_end(range));
		content_range =
		    g_strdup_printf("Content-Range: bytes %zu-%zu/%zu", from, len - 1, whole);
	}
	const char *const headers[] = {content_range, NULL};

	copy = g_memdup2(data + from, len - from);
	len -= from;
	if (fault == FAULT_CORRUPT)
		copy[len / 2] ^= 1;
	http_exchange_begin(exchange, content_range != NULL ? 206 : 200, "application/octet-stream",
	    headers, fault == FAULT_LONGER ? -1 : (gint64)len);
	if (fault == FAULT_TRUNCATE || fault == FAULT_STALL) {
		http_exchange_write(exchange, copy, len / 2);
		if (fault == FAULT_TRUNCATE)
			http_exchange_abort(exchange);
		return;
	}
	http_exchange_write(exchange, copy, len);
	if (fault == FAULT_LONGER)
		http_exchange_write(exchange, "more", 4);
	else
		http_exchange_end(exchange);
}

static void answer(struct fake_registry *registry, struct http_exchange *exchange,
    const struct script *script, GBytes *bytes)
{
	const char *auth = http_exchange_header(exchange, "Authorization");
	g_autofree char *header = NULL;

	if (script->fault == FAULT_STATUS) {
		send_status(exchange, script->status, script->text);
	} else if (script->fault == FAULT_REDIRECT) {
		header = g_strconcat("Location: ", script->text, NULL);
		send_status(exchange, 307, header);
	} else if (script->fault == FAULT_CHALLENGE && auth == NULL) {
		header =
		    g_strdup_printf("WWW-Authenticate: Bearer realm=\"http://127.0.0.1:%u/token\","
				    "service=\"it's me\",scope=\"repository:x:pull\"",
			fake_registry_port(registry));
		send_status(exchange, 401, header);
	} else if (bytes == NULL) {
		send_status(exchange, 404, NULL);
	} else {
		send_bytes(exchange, bytes, script->fault);
	}
}

static void on_complete(void *data, struct http_exchange *exchange)
{
	struct fake_registry *registry = data;
	const char *path = http_exchange_path(exchange);
	struct script script;
	GBytes *bytes;

	uv_mutex_lock(&registry->mutex);
	log_request(registry, exchange);
	script = take_script(registry, path);
	bytes = g_hash_table_lookup(registry->files, path);
	answer(registry, exchange, &script, bytes);
	uv_mutex_unlock(&registry->mutex);
}

static void ignore_request(void *data, struct http_exchange *exchange)
{
	(void)data;
	(void)exchange;
}

struct fake_registry *fake_registry_new(guint16 port)
{
	static const struct http_server_ops OPS = {
	    .request = ignore_request, .complete = on_complete};
	struct fake_registry *registry = g_new0(struct fake_registry, 1);

	uv_mutex_init(&registry->mutex);
	registry->files =
	    g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
	registry->scripts = g_ptr_array_new_with_free_func(script_free);
	registry->log = g_ptr_array_new_with_free_func(g_free);
	registry->loop = loop_new();
	registry->server =
	    http_server_new(registry->loop, "127.0.0.1", port, NULL, &OPS, registry, NULL);
	if (registry->server == NULL)
		abort();
	registry->thread = loop_run_in_thread(registry->loop, "registry");
	return registry;
}

void fake_registry_free(struct fake_registry *registry)
{
	if (registry == NULL)
		return;
	loop_stop(registry->loop);
	g_thread_join(registry->thread);
	http_server_free(registry->server);
	loop_free(registry->loop);
	g_ptr_array_unref(registry->log);
	g_ptr_array_unref(registry->scripts);
	g_hash_table_unref(registry->files);
	uv_mutex_destroy(&registry->mutex);
	g_free(registry);
}

guint16 fake_registry_port(const struct fake_registry *registry)
{
	return http_server_port(registry->server);
}

void fake_registry_put(struct fake_registry *registry, const char *path, GBytes *bytes)
{
	uv_mutex_lock(&registry->mutex);
	g_hash_table_replace(registry->files, g_strdup(path), g_bytes_ref(bytes));
	uv_mutex_unlock(&registry->mutex);
}

char *fake_digest(GBytes *bytes)
{
	g_autofree char *sum = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, bytes);

	return g_strconcat("sha256:", sum, NULL);
}

char *fake_registry_blob_path(const char *name, GBytes *bytes)
{
	g_auto(GStrv) parts = g_strsplit(name, ":", 2);
	g_autofree char *digest = fake_digest(bytes);

	return g_strdup_printf("/v2/library/%s/blobs/%s", parts[0], digest);
}

static char *put_blob(struct fake_registry *registry, const char *name, GBytes *bytes)
{
	g_autofree char *path = fake_registry_blob_path(name, bytes);
	g_autofree char *digest = fake_digest(bytes);

	fake_registry_put(registry, path, bytes);
	return g_strdup_printf("{\"mediaType\":\"application/x\",\"digest\":\"%s\",\"size\":%zu}",
	    digest, g_bytes_get_size(bytes));
}

GBytes *fake_registry_put_model(struct fake_registry *registry, const char *name, GBytes *weights)
{
	g_auto(GStrv) parts = g_strsplit(name, ":", 2);
	g_autofree char *config_text = g_strdup_printf(
	    "{\"model_format\":\"gguf\","
	    "\"model_family\":\"llama\",\"model_type\":\"134.52M\",\"file_type\":\"Q4_1\","
	    "\"name\":\"%s\"}",
	    name);
	g_autoptr(GBytes) config = g_bytes_new(config_text, strlen(config_text));
	g_autoptr(GBytes) template = g_bytes_new_static("{{ .Prompt }}", 13);
	g_autofree char *config_entry = put_blob(registry, name, config);
	g_autofree char *weights_entry = put_blob(registry, name, weights);
	g_autofree char *template_entry = put_blob(registry, name, template);
	g_autofree char *path = g_strdup_printf("/v2/library/%s/manifests/%s", parts[0], parts[1]);
	char *manifest = g_strdup_printf("{\"schemaVersion\":2,\"config\":%s,\"layers\":[%s,%s]}",
	    config_entry, weights_entry, template_entry);
	GBytes *bytes = g_bytes_new_take(manifest, strlen(manifest));

	fake_registry_put(registry, path, bytes);
	return bytes;
}

void fake_registry_fault(struct fake_registry *registry, const char *part, enum fault fault,
    int count, int status, const char *text)
{
	struct script *script = g_new0(struct script, 1);

	*script = (struct script){g_strdup(part), fault, count, status, g_strdup(text)};
	uv_mutex_lock(&registry->mutex);
	g_ptr_array_add(registry->scripts, script);
	uv_mutex_unlock(&registry->mutex);
}

guint fake_registry_count(struct fake_registry *registry, const char *part)
{
	guint n = 0;

	uv_mutex_lock(&registry->mutex);
	for (guint i = 0; i < registry->log->len; i++)
		n += strstr(registry->log->pdata[i], part) != NULL;
	uv_mutex_unlock(&registry->mutex);
	return n;
}
