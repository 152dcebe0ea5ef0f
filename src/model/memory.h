/*
 * How much memory a model takes while it is served, told before it is downloaded. Pure.
 *
 *   weights   the layers model, adapter and draft, and the projector, as they are on disk
 *   cache     keys and values of all layers, for all tokens of all parallel requests; recurrent
 *             layers have a state of fixed size instead
 *   overhead  Ollama and its engine as processes, the buffers of one batch, the images of a
 *             model that sees
 *
 * It is an estimate from above of what Ollama 0.30 and newer (llama-server) takes on CPUs; on GPUs
 * the same bytes lie mostly in their memory. Small models take up to 0.3 GB less.
 *
 * Threads: any. Limits: no sum overflows; it stops at MEMORY_MAX_BYTES.
 * Source: llama.cpp's caches (unified, sliding window, recurrent); Ollama's scheduler for the size
 * of a batch by context and for the families that it serves one request at a time.
 */
#ifndef MODEL_MEMORY_H
#define MODEL_MEMORY_H

#include "model/gguf.h"

#define MEMORY_MAX_BYTES (G_GINT64_CONSTANT(1) << 62)
enum { MEMORY_DEFAULT_CONTEXT = 4096 };
/*
 * The engine keeps the caches of whole earlier prompts besides, up to 8,192 MiB unless
 * LLAMA_ARG_CACHE_RAM says otherwise. The estimate holds for servers that have this value there.
 */
enum { MEMORY_PROMPT_CACHE_MIB = 128 };

struct memory_input {
	const struct gguf *gguf;
	const char *family;     /* config blob's model_family; NULL: the header's architecture */
	gint64 weights_bytes;   /* model, adapter, draft */
	gint64 projector_bytes; /* 0: none */
	gint64 context;         /* tokens of one request; 0: MEMORY_DEFAULT_CONTEXT */
	gint64 parallel;        /* requests at a time; 0: 1 */
	const char *kv_type;    /* OLLAMA_KV_CACHE_TYPE; NULL or unknown: f16 */
};

struct memory_estimate {
	gint64 weights_bytes; /* with the projector */
	gint64 cache_bytes;
	gint64 overhead_bytes;
	gint64 total_bytes;
	gint64 context, parallel; /* as they will be: capped by the model, forced to 1 */
};

void memory_estimate(const struct memory_input *input, struct memory_estimate *ret);

/*
 * The same from the answer of the store's POST /v1/inspect and from what a Model says (`context`,
 * `parallel` and `kv_type` as above). Errors: GGUF when the answer is none, or has no header of
 * GGUF weights.
 */
gboolean memory_estimate_from_inspect(yyjson_val *inspect, gint64 context, gint64 parallel,
    const char *kv_type, struct memory_estimate *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
