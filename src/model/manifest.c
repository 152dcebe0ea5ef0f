#include "model/manifest.h"

#include "json/json.h"

#include <openssl/evp.h>
#include <string.h>

enum {
	HEX_DIGITS = 64,
	MEDIA_TYPE_MAX_BYTES = 256,
	CONFIG_TEXT_MAX_BYTES = 256, /* longer self-descriptions are left out */
};
static const char DIGEST_PREFIX[] = "sha256:";
static const gint64 SIZE_MAX_BYTES = G_GINT64_CONSTANT(1) << 62;

gboolean digest_is_valid(const char *digest)
{
	const char *hex;

	if (digest == NULL || !g_str_has_prefix(digest, DIGEST_PREFIX))
		return FALSE;
	hex = digest + strlen(DIGEST_PREFIX);
	return strlen(hex) == HEX_DIGITS && strspn(hex, "0123456789abcdef") == HEX_DIGITS;
}

char *digest_file_name(const char *digest)
{
	g_assert(digest_is_valid(digest));
	return g_strconcat("sha256-", digest + strlen(DIGEST_PREFIX), NULL);
}

static char *digest_of(const char *text, gsize len)
{
	unsigned char raw[EVP_MAX_MD_SIZE];
	unsigned int n = 0;
	GString *out = g_string_new(DIGEST_PREFIX);

	if (EVP_Digest(text, len, raw, &n, EVP_sha256(), NULL) != 1)
		g_error("SHA-256: no memory, or not in this OpenSSL");
	for (unsigned int i = 0; i < n; i++)
		g_string_append_printf(out, "%02x", raw[i]);
	return g_string_free(out, FALSE);
}

/*
 * Reads one descriptor {mediaType, digest, size}. `what` names it in the sentence. The output is
 * written only on success; its strings are new.
 */
static gboolean parse_blob(
    yyjson_val *value, const char *what, struct manifest_blob *ret_blob, GError **error)
{
	const char *digest = json_str(value, "digest", NULL);
	const char *media_type = json_str(value, "mediaType", NULL);
	gint64 size_bytes = json_int(value, -1, "size", NULL);

	if (!digest_is_valid(digest)) {
		g_set_error(error, MODEL_ERROR, MODEL_ERROR_MANIFEST,
		    "the manifest's %s has no digest of the form sha256:<64 hex digits>", what);
		return FALSE;
	}
	if (size_bytes < 0 || size_bytes > SIZE_MAX_BYTES) {
		g_set_error(error, MODEL_ERROR, MODEL_ERROR_MANIFEST,
		    "the manifest's %s %s has no usable size", what, digest);
		return FALSE;
	}
	if (media_type != NULL && strlen(media_type) > MEDIA_TYPE_MAX_BYTES) {
		g_set_error(error, MODEL_ERROR, MODEL_ERROR_MANIFEST,
		    "the manifest's %s %s has a media type longer than %d bytes", what, digest,
		    MEDIA_TYPE_MAX_BYTES);
		return FALSE;
	}
	ret_blob->digest = g_strdup(digest);
	ret_blob->media_type = g_strdup(media_type != NULL ? media_type : "");
	ret_blob->size_bytes = size_bytes;
	return TRUE;
}

static void blob_clear(struct manifest_blob *blob)
{
	g_clear_pointer(&blob->digest, g_free);
	g_clear_pointer(&blob->media_type, g_free);
}

/*
 * Counts a blob into the total, once per digest. `ret_is_new` says whether it is to be kept: a
 * layer that repeats another one is not, one that repeats the config is a layer all the same.
 * One digest with two sizes is refused: at least one of them is a lie.
 */
static gboolean account(struct manifest *manifest, struct manifest_blob *blob, GHashTable *seen,
    gboolean *ret_is_new, GError **error)
{
	const struct manifest_blob *first = g_hash_table_lookup(seen, blob->digest);

	if (first != NULL && first->size_bytes != blob->size_bytes) {
		g_set_error(error, MODEL_ERROR, MODEL_ERROR_MANIFEST,
		    "the manifest gives two sizes for %s", blob->digest);
		return FALSE;
	}
	*ret_is_new = first == NULL || first == &manifest->config;
	if (first == NULL) {
		if (blob->size_bytes > SIZE_MAX_BYTES - manifest->size_bytes) {
			g_set_error_literal(error, MODEL_ERROR, MODEL_ERROR_MANIFEST,
			    "the sizes in the manifest add up to more than any disk holds");
			return FALSE;
		}
		manifest->size_bytes += blob->size_bytes;
	}
	if (*ret_is_new)
		g_hash_table_replace(seen, blob->digest, blob);
	return TRUE;
}

static gboolean parse_layers(struct manifest *manifest, yyjson_val *list, GError **error)
{
	/* Keys are digests that were checked: 256 bits of hex, so an unseeded hash will do. */
	g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
	gboolean is_new;
	yyjson_val *layer;
	size_t i, n;

	if (!account(manifest, &manifest->config, seen, &is_new, error))
		return FALSE;
	manifest->layers = g_new0(struct manifest_blob, yyjson_arr_size(list));
	yyjson_arr_foreach(list, i, n, layer)
	{
		struct manifest_blob *blob = &manifest->layers[manifest->n_layers];

		if (!parse_blob(layer, "layer", blob, error))
			return FALSE;
		manifest->n_layers++;
		if (!account(manifest, blob, seen, &is_new, error))
			return FALSE;
		if (!is_new) {
			blob_clear(blob);
			manifest->n_layers--;
		}
	}
	return TRUE;
}

static struct manifest *parse_root(yyjson_val *root, GError **error)
{
	AUTO(manifest) manifest = g_new0(struct manifest, 1);
	yyjson_val *list = json_at(root, "layers", NULL);

	if (!yyjson_is_arr(list) || !yyjson_is_obj(json_at(root, "config", NULL))) {
		g_set_error_literal(error, MODEL_ERROR, MODEL_ERROR_MANIFEST,
		    "this is no manifest of an Ollama model: it has no config or no layers");
		return NULL;
	}
	if (yyjson_arr_size(list) == 0 || yyjson_arr_size(list) > MANIFEST_MAX_LAYERS) {
		g_set_error(error, MODEL_ERROR, MODEL_ERROR_MANIFEST,
		    "the manifest has %zu layers, 1 to %d are allowed", yyjson_arr_size(list),
		    MANIFEST_MAX_LAYERS);
		return NULL;
	}
	if (!parse_blob(json_at(root, "config", NULL), "config", &manifest->config, error) ||
	    !parse_layers(manifest, list, error))
		return NULL;
	return g_steal_pointer(&manifest);
}

struct manifest *manifest_parse(const char *text, gsize len, GError **error)
{
	g_autoptr(yyjson_doc) doc = NULL;
	g_autoptr(GError) why = NULL;
	struct manifest *manifest;

	if (len > MANIFEST_MAX_BYTES) {
		g_set_error(error, MODEL_ERROR, MODEL_ERROR_MANIFEST,
		    "the manifest has more than %d bytes", MANIFEST_MAX_BYTES);
		return NULL;
	}
	doc = json_parse(text, len, &why);
	if (doc == NULL) {
		g_set_error(error, MODEL_ERROR, MODEL_ERROR_MANIFEST, "the manifest is no JSON: %s",
		    why->message);
		return NULL;
	}
	manifest = parse_root(yyjson_doc_get_root(doc), error);
	if (manifest != NULL)
		manifest->digest = digest_of(text, len);
	return manifest;
}

void manifest_free(struct manifest *manifest)
{
	if (manifest == NULL)
		return;
	blob_clear(&manifest->config);
	for (guint i = 0; i < manifest->n_layers; i++)
		blob_clear(&manifest->layers[i]);
	g_free(manifest->layers);
	g_free(manifest->digest);
	g_free(manifest);
}

static char *config_text(yyjson_val *root, const char *key)
{
	const char *text = json_str(root, key, NULL);

	if (text == NULL || text[0] == '\0' || strlen(text) > CONFIG_TEXT_MAX_BYTES)
		return NULL;
	return g_strdup(text);
}

struct model_config *model_config_parse(const char *text, gsize len, GError **error)
{
	g_autoptr(yyjson_doc) doc = NULL;
	g_autoptr(GError) why = NULL;
	struct model_config *config;
	yyjson_val *root;

	doc = json_parse(text, len, &why);
	root = doc == NULL ? NULL : yyjson_doc_get_root(doc);
	if (!yyjson_is_obj(root)) {
		g_set_error(error, MODEL_ERROR, MODEL_ERROR_MANIFEST,
		    "the model's config is no JSON object%s%s", why != NULL ? ": " : "",
		    why != NULL ? why->message : "");
		return NULL;
	}
	config = g_new0(struct model_config, 1);
	config->family = config_text(root, "model_family");
	config->parameters = config_text(root, "model_type");
	config->quantization = config_text(root, "file_type");
	config->format = config_text(root, "model_format");
	config->
		requires
	= config_text(root, "requires");
	return config;
}

void model_config_free(struct model_config *config)
{
	if (config == NULL)
		return;
	g_free(config->family);
	g_free(config->parameters);
	g_free(config->quantization);
	g_free(config->format);
	g_free(config->requires);
	g_free(config);
}
