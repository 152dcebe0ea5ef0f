/*
 * An Ollama model's manifest: which blobs it is made of. A parser: bytes in, no I/O.
 *
 * Ownership: the caller's; immutable. Threads: any.
 * Limits: 4 MiB of text, 1,024 layers, sizes 0..2^62, sha256 digests only.
 * Source: Docker Image Manifest V2, Schema 2; Ollama's media types application/vnd.ollama.image.*.
 */
#ifndef MODEL_MANIFEST_H
#define MODEL_MANIFEST_H

#include "model/reference.h"

enum { MANIFEST_MAX_BYTES = 4 * 1024 * 1024, MANIFEST_MAX_LAYERS = 1024 };

struct manifest_blob {
	char *media_type;
	char *digest; /* "sha256:" and 64 lower-case hex digits, always */
	gint64 size_bytes;
};

struct manifest {
	char *digest; /* of the manifest's own bytes, "sha256:..." */
	struct manifest_blob config;
	struct manifest_blob *layers;
	guint n_layers;
	gint64 size_bytes; /* layers and config, each digest once */
};

/* Errors: MANIFEST, with what is wrong. Duplicate layers are kept once. */
struct manifest *manifest_parse(
    const char *text, gsize len, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void manifest_free(struct manifest *manifest);
DEFINE_AUTO(manifest, manifest_free)

/* Is this "sha256:" and 64 lower-case hex digits? Whatever becomes part of a path passes here. */
gboolean digest_is_valid(const char *digest);
/* "sha256-<hex>", a blob's file name; the digest must be valid. The caller's. */
char *digest_file_name(const char *digest);

/* What a model says of itself: config blob (JSON). Missing members are NULL. */
struct model_config {
	char *family;       /* "llama" */
	char *parameters;   /* "134.52M" */
	char *quantization; /* "Q4_1" */
	char *format;       /* "gguf" */
	char *
		requires; /* least Ollama version, or NULL */
};
struct model_config *model_config_parse(
    const char *text, gsize len, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void model_config_free(struct model_config *config);
DEFINE_AUTO(model_config, model_config_free)

#endif
