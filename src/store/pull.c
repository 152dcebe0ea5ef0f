#include "store/pull.h"

#include <string.h>

enum { CONFIG_MAX_BYTES = 1024 * 1024 };

void pull_result_free(struct pull_result *result)
{
	if (result == NULL)
		return;
	g_free(result->view_key);
	g_free(result->digest);
	model_config_free(result->config);
	g_free(result);
}

/* A manifest as bytes and as what they mean. */
struct resolved {
	GBytes *bytes;
	struct manifest *manifest;
};

static void resolved_done(struct resolved *resolved)
{
	g_clear_pointer(&resolved->bytes, g_bytes_unref);
	g_clear_pointer(&resolved->manifest, manifest_free);
}

static gboolean resolved_parse(struct resolved *resolved, GError **error)
{
	g_autoptr(GError) why = NULL;
	gsize len;
	const char *text = g_bytes_get_data(resolved->bytes, &len);

	/* NULL stands for no bytes at all. */
	resolved->manifest = manifest_parse(text != NULL ? text : "", len, &why);
	if (resolved->manifest == NULL)
		g_set_error(error, STORE_ERROR, STORE_ERROR_INVALID_MANIFEST, "%s", why->message);
	return resolved->manifest != NULL;
}

/* All blobs are here: what the model says of itself. */
static struct pull_result *describe(const struct pull *pull, const struct resolved *resolved)
{
	struct pull_result *result = g_new0(struct pull_result, 1);
	g_autoptr(GBytes) config = NULL;
	const char *text;
	gsize len;

	result->digest = g_strdup(resolved->manifest->digest);
	result->size_bytes = resolved->manifest->size_bytes;
	config =
	    content_read_blob(pull->content, &resolved->manifest->config, CONFIG_MAX_BYTES, NULL);
	text = config == NULL ? NULL : g_bytes_get_data(config, &len);
	if (text != NULL)
		result->config = model_config_parse(text, len, NULL);
	return result;
}

static struct pull_result *finish(
    const struct pull *pull, const struct resolved *resolved, GError **error)
{
	AUTO(pull_result) result = describe(pull, resolved);

	if (pull->without_view)
		return g_steal_pointer(&result);
	result->view_key = content_make_view(
	    pull->content, pull->reference, resolved->manifest, resolved->bytes, error);
	return result->view_key == NULL ? NULL : g_steal_pointer(&result);
}

/* What the tag meant when it was last resolved, if all of it is here; else to be cleared. */
static gboolean resolve_locally(const struct pull *pull, struct resolved *resolved)
{
	resolved->bytes = content_load_manifest(pull->content, pull->reference);
	return resolved->bytes != NULL && resolved_parse(resolved, NULL) &&
	       content_has_model(pull->content, resolved->manifest);
}

struct pull_result *pull_known(const struct pull *pull)
{
	struct resolved resolved = {NULL, NULL};
	struct pull_result *result =
	    resolve_locally(pull, &resolved) ? describe(pull, &resolved) : NULL;

	resolved_done(&resolved);
	return result;
}

struct pull_result *pull_local(const struct pull *pull, GError **error)
{
	g_autofree char *shown = reference_short(pull->reference);
	struct resolved resolved = {NULL, NULL};
	struct pull_result *result = NULL;

	if (resolve_locally(pull, &resolved))
		result = finish(pull, &resolved, error);
	else
		g_set_error(error, STORE_ERROR, STORE_ERROR_NOT_FOUND,
		    "%s is not on this node, and spec.imagePullPolicy is Never", shown);
	resolved_done(&resolved);
	return result;
}

/* --- one blob ------------------------------------------------------------------------------- */

struct transfer {
	const struct pull *pull;
	struct blob_writer *writer;
};

static gboolean on_begin(void *data, gint64 offset, GError **error)
{
	struct transfer *transfer = data;
	gint64 have = blob_writer_offset(transfer->writer);

	if (offset == have)
		return TRUE;
	if (offset != 0) {
		g_set_error(error, STORE_ERROR, STORE_ERROR_REGISTRY_UNAVAILABLE,
		    "the registry sent another part than the one that was asked for");
		return FALSE;
	}
	transfer->pull->ops->progress(transfer->pull->data, -have);
	return blob_writer_restart(transfer->writer, error);
}

static gboolean on_bytes(void *data, const char *bytes, gsize len, GError **error)
{
	struct transfer *transfer = data;

	if (!blob_writer_append(transfer->writer, bytes, len, error))
		return FALSE;
	transfer->pull->ops->progress(transfer->pull->data, (gint64)len);
	return TRUE;
}

/* Nobody else is at this blob. */
static gboolean transfer_blob(const struct pull *pull, struct registry *registry,
    const struct manifest_blob *blob, GError **error)
{
	static const struct registry_blob_ops OPS = {on_begin, on_bytes};
	AUTO(blob_writer) writer = NULL;
	struct transfer transfer = {.pull = pull};
	gint64 counted;

	counted = content_bytes_of_blob(pull->content, blob);
	writer = blob_writer_open(pull->content, blob, pull->cancelled, error);
	if (writer == NULL)
		return FALSE;
	if (blob_writer_offset(writer) != counted)
		pull->ops->progress(pull->data, blob_writer_offset(writer) - counted);
	transfer.writer = writer;
	if (blob_writer_offset(writer) < blob->size_bytes &&
	    !registry_fetch_blob(
		registry, blob->digest, blob_writer_offset(writer), &OPS, &transfer, error))
		return FALSE;
	if (blob_writer_commit(writer, error))
		return TRUE;
	pull->ops->progress(pull->data, -blob_writer_offset(writer));
	return FALSE;
}

/* `counted` is how much of it was here when the pull began. */
static gboolean fetch_blob(const struct pull *pull, struct registry *registry,
    const struct manifest_blob *blob, gint64 counted, GError **error)
{
	gint64 now;
	gboolean ok;

	if (content_has_blob(pull->content, blob) && counted == blob->size_bytes)
		return TRUE;
	if (!gate_enter(pull->gate, blob->digest, pull->cancelled)) {
		g_set_error_literal(
		    error, STORE_ERROR, STORE_ERROR_CANCELLED, "the store is stopping");
		return FALSE;
	}
	/* What another pull has brought meanwhile counts here as well. */
	now = content_bytes_of_blob(pull->content, blob);
	if (now != counted)
		pull->ops->progress(pull->data, now - counted);
	ok = content_has_blob(pull->content, blob) || transfer_blob(pull, registry, blob, error);
	gate_leave(pull->gate, blob->digest);
	return ok;
}

/* --- all of them ---------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
	gint64 left = (*(const struct manifest_blob *const *)a)->size_bytes;
	gint64 right = (*(const struct manifest_blob *const *)b)->size_bytes;

	return (left > right) - (left < right);
}

/* Config and layers, each digest once, small ones first: they say early what is wrong. */
static GPtrArray *blobs_of(const struct manifest *manifest)
{
	GPtrArray *blobs = g_ptr_array_new();

	g_ptr_array_add(blobs, (gpointer)&manifest->config);
	for (guint i = 0; i < manifest->n_layers; i++)
		if (strcmp(manifest->layers[i].digest, manifest->config.digest) != 0)
			g_ptr_array_add(blobs, &manifest->layers[i]);
	g_ptr_array_sort(blobs, by_size);
	return blobs;
}

static gboolean fetch_blobs(const struct pull *pull, struct registry *registry,
    const struct manifest *manifest, GError **error)
{
	g_autoptr(GPtrArray) blobs = blobs_of(manifest);
	g_autofree gint64 *counted = g_new0(gint64, blobs->len);
	gint64 completed = 0;

	for (guint i = 0; i < blobs->len; i++) {
		counted[i] = content_bytes_of_blob(pull->content, blobs->pdata[i]);
		completed += counted[i];
	}
	pull->ops->resolved(pull->data, manifest, completed);
	if (!content_check_space(pull->content, manifest->size_bytes - completed, error))
		return FALSE;
	for (guint i = 0; i < blobs->len; i++)
		if (!fetch_blob(pull, registry, blobs->pdata[i], counted[i], error))
			return FALSE;
	return TRUE;
}

static struct pull_result *pull_from(
    const struct pull *pull, struct registry *registry, struct resolved *resolved, GError **error)
{
	resolved->bytes = registry_fetch_manifest(registry, error);
	if (resolved->bytes == NULL || !resolved_parse(resolved, error) ||
	    !fetch_blobs(pull, registry, resolved->manifest, error) ||
	    !content_save_manifest(pull->content, pull->reference, resolved->bytes, error))
		return NULL;
	return finish(pull, resolved, error);
}

struct pull_result *pull_remote(const struct pull *pull, gint64 *ret_retry_after_ms, GError **error)
{
	AUTO(registry) registry = registry_new(pull->options, pull->reference, pull->cancelled);
	struct resolved resolved = {NULL, NULL};
	struct pull_result *result = pull_from(pull, registry, &resolved, error);

	*ret_retry_after_ms = registry_retry_after_ms(registry);
	resolved_done(&resolved);
	return result;
}
