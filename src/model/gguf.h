/*
 * The header of a GGUF file: what kind of model it is, and how large its attention cache becomes.
 * A parser: bytes in, no I/O.
 *
 *   "GGUF" version n_tensors n_pairs  general.* <arch>.*  tokenizer.* (large)  tensors  weights
 *   |<------------- the first 64 to 256 KiB ----------->|
 *
 * It takes a prefix of the file. What is cut off at or after the first key of the tokenizer is not
 * missed, as writers put it last; a prefix that ends before is SHORT, and says how many more bytes
 * the element needs at which it ends.
 *
 * Ownership: the caller's; immutable. Threads: any.
 * Limits: GGUF_MAX_PAIRS pairs, GGUF_MAX_LAYERS values per layer, strings of 16 MiB, arrays of
 * 64 Mi items (these two as Ollama has them); nothing is allocated by a length from the file.
 * Source: GGUF specification (ggml/docs/gguf.md), versions 1 to 3, both byte orders.
 */
#ifndef MODEL_GGUF_H
#define MODEL_GGUF_H

#include "model/reference.h"
#include "json/json.h"

enum { GGUF_MAX_PAIRS = 65536, GGUF_MAX_LAYERS = 1024, GGUF_MAX_ARCHITECTURE = 64 };

/* A value that may differ by layer. n 0: not said; 1: one for all layers; else one per layer. */
struct gguf_layers {
	guint n;
	guint32 *values;
};

/*
 * Numbers are 0 to 2^31-1; -1: the header does not say. What is larger or of another type counts
 * as not said. Keys are those of the specification, with the architecture in front.
 */
struct gguf {
	char *architecture; /* "llama": letters, digits, "-", "_", "." */
	gboolean truncated; /* the prefix ended in the tokenizer */
	gint64 file_type;   /* of quantization: general.file_type */
	gint64 block_count, context_length, embedding_length;
	struct gguf_layers feed_forward_length, head_count, head_count_kv;
	gint64 key_length, value_length;         /* per head; -1: embedding / heads */
	gint64 key_length_swa, value_length_swa; /* of layers with a sliding window */
	gint64 sliding_window;
	/* n 1: every so many-th layer sees everything; else 1 for layers with the window */
	struct gguf_layers sliding_window_pattern;
	gint64 shared_kv_layers; /* so many last layers use the cache of others */
	gint64 expert_count;
	gint64 conv_kernel, state_size, inner_size, group_count; /* recurrent layers: ssm.* */
	gint64 full_attention_interval; /* all but every so many-th layer are recurrent */
	gint64 shortconv_length;        /* shortconv.l_cache */
	gint64 wkv_head_size;           /* of RWKV */
	gint64 pooling_type;            /* said: an embedding model */
	gint64 causal;                  /* 0: an encoder, without cache */
	gint64 vision_block_count;      /* said: the vision part is in the same file */
	gint64 vocabulary;              /* tokens, when the prefix reaches to the tokenizer */
};

/*
 * Errors: GGUF, with what is wrong; GGUF_SHORT, then `ret_more` is how many bytes are missing at
 * least (1 or more; untouched otherwise; may be NULL). A header without block_count is none of a
 * model.
 */
struct gguf *gguf_parse(
    const guint8 *bytes, gsize len, gsize *ret_more, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void gguf_free(struct gguf *gguf);
DEFINE_AUTO(gguf, gguf_free)

/* The value of a layer; `fallback` when it is not said. */
gint64 gguf_layers_at(const struct gguf_layers *layers, guint layer, gint64 fallback);

/*
 * As a JSON object of `doc`, and back: {"architecture":"llama","blockCount":32,"headCount":32,...};
 * what is not said is left out, values per layer are a number or an array. Errors: GGUF.
 */
yyjson_mut_val *gguf_to_json(const struct gguf *gguf, yyjson_mut_doc *doc);
struct gguf *gguf_from_json(yyjson_val *value, GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
