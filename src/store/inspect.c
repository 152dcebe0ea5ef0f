#include "store/inspect.h"

#include "model/gguf.h"
#include "store/content_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { CONFIG_MAX_BYTES = 1024 * 1024 };

/* One inspection as it goes. */
struct inspection {
	const struct inspect *inspect;
	struct registry *registry;
	struct manifest *manifest;
	const struct manifest_blob *model; /* the layer with the weights */
	gint64 weights_bytes, projector_bytes;
	struct model_config *config;
	struct gguf *gguf;
};

static void inspection_done(struct inspection *inspection)
{
	registry_free(inspection->registry);
	manifest_free(inspection->manifest);
	model_config_free(inspection->config);
	gguf_free(inspection->gguf);
}

/* --- the manifest --------------------------------------------------------------------------- */

static struct manifest *parse_manifest(GBytes *bytes, GError **error)
{
	g_autoptr(GError) why = NULL;
	struct manifest *manifest;
	gsize len;
	const char *text = g_bytes_get_data(bytes, &len);

	manifest = manifest_parse(text != NULL ? text : "", len, &why);
	if (manifest == NULL)
		g_set_error(error, STORE_ERROR, STORE_ERROR_INVALID_MANIFEST, "%s", why->message);
	return manifest;
}

/* What the tag meant when it was last resolved here, if all of it is here. */
static struct manifest *local_manifest(const struct inspect *inspect)
{
	g_autoptr(GBytes) bytes = content_load_manifest(inspect->content, inspect->reference);
	AUTO(manifest) manifest = bytes == NULL ? NULL : parse_manifest(bytes, NULL);

	if (manifest == NULL || !content_has_model(inspect->content, manifest))
		return NULL;
	return g_steal_pointer(&manifest);
}

static gboolean resolve(struct inspection *inspection, GError **error)
{
	const struct inspect *inspect = inspection->inspect;
	g_autofree char *shown = reference_short(inspect->reference);
	g_autoptr(GBytes) bytes = NULL;

	if (inspect->policy != PULL_ALWAYS)
		inspection->manifest = local_manifest(inspect);
	if (inspection->manifest != NULL)
		return TRUE;
	if (inspect->policy == PULL_NEVER) {
		g_set_error(
		    error, STORE_ERROR, STORE_ERROR_NOT_FOUND, "%s is not on this node", shown);
		return FALSE;
	}
	bytes = registry_fetch_manifest(inspection->registry, error);
	if (bytes != NULL)
		inspection->manifest = parse_manifest(bytes, error);
	return inspection->manifest != NULL;
}

static gboolean is_layer(const struct manifest_blob *blob, const char *kind)
{
	static const char PREFIX[] = "application/vnd.ollama.image.";

	return g_str_has_prefix(blob->media_type, PREFIX) &&
	       strcmp(blob->media_type + strlen(PREFIX), kind) == 0;
}

static gboolean find_weights(struct inspection *inspection, GError **error)
{
	const struct manifest *manifest = inspection->manifest;
	g_autofree char *shown = reference_short(inspection->inspect->reference);

	for (guint i = 0; i < manifest->n_layers; i++) {
		const struct manifest_blob *blob = &manifest->layers[i];
		gboolean is_model = is_layer(blob, "model");

		if (is_model && inspection->model == NULL)
			inspection->model = blob;
		if (is_model || is_layer(blob, "adapter") || is_layer(blob, "draft"))
			inspection->weights_bytes += blob->size_bytes;
		else if (is_layer(blob, "projector"))
			inspection->projector_bytes += blob->size_bytes;
	}
	if (inspection->model != NULL && inspection->model->size_bytes > 0)
		return TRUE;
	g_set_error(error, STORE_ERROR, STORE_ERROR_INVALID_MANIFEST,
	    "%s has no weights in the format GGUF, which Ollama needs on Linux", shown);
	return FALSE;
}

/* --- parts of blobs ------------------------------------------------------------------------- */

/* The first `wanted` bytes of a blob, of which some may be there already. */
struct part {
	GByteArray *bytes;
	gsize wanted;
};

static gboolean on_begin(void *data, gint64 offset, GError **error)
{
	struct part *part = data;

	if (offset == 0)
		g_byte_array_set_size(part->bytes, 0);
	if (offset == part->bytes->len)
		return TRUE;
	g_set_error(error, STORE_ERROR, STORE_ERROR_REGISTRY_UNAVAILABLE,
	    "the registry sent another part than the one that was asked for");
	return FALSE;
}

/* A registry that ignores ranges sends all of it: ends the transfer when there is enough. */
static gboolean on_bytes(void *data, const char *bytes, gsize len, GError **error)
{
	struct part *part = data;
	gsize room = part->wanted - part->bytes->len;

	g_byte_array_append(part->bytes, (const guint8 *)bytes, (guint)MIN(len, room));
	if (part->bytes->len < part->wanted)
		return TRUE;
	g_set_error_literal(error, STORE_ERROR, STORE_ERROR_CANCELLED, "enough was received");
	return FALSE;
}

static gboolean fetch_part(const struct inspection *inspection, const struct manifest_blob *blob,
    struct part *part, GError **error)
{
	static const struct registry_blob_ops OPS = {on_begin, on_bytes};
	gint64 have = part->bytes->len;
	g_autoptr(GError) why = NULL;

	if (registry_fetch_part(inspection->registry, blob->digest, have,
		(gint64)part->wanted - have, &OPS, part, &why) ||
	    part->bytes->len == part->wanted) {
		if (part->bytes->len == part->wanted)
			return TRUE;
		g_set_error(error, STORE_ERROR, STORE_ERROR_REGISTRY_UNAVAILABLE,
		    "the registry sent %u bytes of %s, not %zu", part->bytes->len, blob->digest,
		    part->wanted);
		return FALSE;
	}
	g_propagate_error(error, g_steal_pointer(&why));
	return FALSE;
}

/* So that `part` holds the first `wanted` bytes; no more than the blob has. */
static gboolean read_part(const struct inspection *inspection, const struct manifest_blob *blob,
    struct part *part, gsize wanted, GError **error)
{
	const struct content *content = inspection->inspect->content;
	g_autoptr(GBytes) bytes = NULL;
	const guint8 *data;
	gsize len;

	part->wanted = (gsize)MIN((gint64)wanted, blob->size_bytes);
	if (part->bytes->len >= part->wanted)
		return TRUE;
	if (!content_has_blob(content, blob))
		return fetch_part(inspection, blob, part, error);
	bytes = content_read_start(content, blob, part->wanted, error);
	if (bytes == NULL)
		return FALSE;
	data = g_bytes_get_data(bytes, &len);
	g_byte_array_set_size(part->bytes, 0);
	g_byte_array_append(part->bytes, data, (guint)len);
	return TRUE;
}

/* --- what the blobs say --------------------------------------------------------------------- */

/* What the model says of itself is only shown: without a usable config blob it says nothing. */
static gboolean read_config(struct inspection *inspection, GError **error)
{
	const struct manifest_blob *blob = &inspection->manifest->config;
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	struct part part = {.bytes = bytes};
	g_autofree char *sum = NULL;

	if (blob->size_bytes == 0 || blob->size_bytes > CONFIG_MAX_BYTES)
		return TRUE;
	if (!read_part(inspection, blob, &part, CONFIG_MAX_BYTES, error))
		return FALSE;
	sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, bytes->data, bytes->len);
	if (!g_str_has_suffix(blob->digest, sum)) {
		g_set_error(error, STORE_ERROR, STORE_ERROR_DIGEST_MISMATCH,
		    "the bytes of the config %s are not those of its digest", blob->digest);
		return FALSE;
	}
	inspection->config = model_config_parse((const char *)bytes->data, bytes->len, NULL);
	return TRUE;
}

static gboolean read_header(struct inspection *inspection, GError **error)
{
	const struct manifest_blob *blob = inspection->model;
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	struct part part = {.bytes = bytes};
	gsize wanted = INSPECT_FIRST_BYTES;

	while (read_part(inspection, blob, &part, wanted, error)) {
		g_autoptr(GError) why = NULL;
		gsize more = 0;

		inspection->gguf = gguf_parse(bytes->data, bytes->len, &more, &why);
		if (inspection->gguf != NULL)
			return TRUE;
		if (more == 0 || (gint64)bytes->len == blob->size_bytes ||
		    more > INSPECT_MAX_BYTES - bytes->len) {
			g_set_error(error, STORE_ERROR, STORE_ERROR_INVALID_MANIFEST, "%s: %s",
			    blob->digest, why->message);
			return FALSE;
		}
		wanted = MIN(MAX(2 * (gsize)bytes->len, bytes->len + more), INSPECT_MAX_BYTES);
	}
	return FALSE;
}

/* --- the answer ----------------------------------------------------------------------------- */

static char *print(const struct inspection *inspection)
{
	g_autoptr(yyjson_mut_doc) doc = yyjson_mut_doc_new(json_alc());
	yyjson_mut_val *root = yyjson_mut_obj(doc);
	const struct model_config *config = inspection->config;
	g_autofree char *image = reference_full(inspection->inspect->reference);

	yyjson_mut_doc_set_root(doc, root);
	json_mut_set_str(doc, root, "image", image);
	json_mut_set_str(doc, root, "digest", inspection->manifest->digest);
	json_mut_set_int(doc, root, "size", inspection->manifest->size_bytes);
	if (config != NULL) {
		json_mut_set_str(doc, root, "family", config->family);
		json_mut_set_str(doc, root, "parameters", config->parameters);
		json_mut_set_str(doc, root, "quantization", config->quantization);
		json_mut_set_str(doc, root, "requires", config->requires);
	}
	json_mut_set_int(doc, root, "weights", inspection->weights_bytes);
	json_mut_set_int(doc, root, "projector", inspection->projector_bytes);
	json_mut_set(doc, root, "gguf", gguf_to_json(inspection->gguf, doc));
	return json_mut_print(root, NULL);
}

static char *run(struct inspection *inspection, GError **error)
{
	const struct inspect *inspect = inspection->inspect;
	g_autofree char *key = NULL, *image = NULL;
	char *text;

	if (!resolve(inspection, error))
		return NULL;
	image = reference_full(inspect->reference);
	key = g_strconcat(inspection->manifest->digest, " ", image, NULL);
	text = inspect->cache_get == NULL ? NULL : inspect->cache_get(inspect->data, key);
	if (text != NULL)
		return text;
	if (!find_weights(inspection, error) || !read_config(inspection, error) ||
	    !read_header(inspection, error))
		return NULL;
	text = print(inspection);
	if (inspect->cache_put != NULL)
		inspect->cache_put(inspect->data, key, text);
	return text;
}

char *inspect_run(const struct inspect *inspect, GError **error)
{
	struct inspection inspection = {.inspect = inspect};
	char *text;

	inspection.registry =
	    registry_new(inspect->options, inspect->reference, inspect->cancelled);
	text = run(&inspection, error);
	inspection_done(&inspection);
	return text;
}
