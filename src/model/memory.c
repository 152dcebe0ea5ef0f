#include "model/memory.h"

#include <string.h>

enum {
	CELLS_PAD = 256,          /* caches have a multiple of so many tokens */
	KV_BLOCK = 32,            /* elements of a quantization block */
	STATE_ELEMENT_BYTES = 4,  /* recurrent states are always f32 */
	BUFFER_ELEMENT_BYTES = 4, /* so are the buffers of a batch */
	PARALLEL_MAX = 1024,
};
#define MIB (G_GINT64_CONSTANT(1) << 20)
/*
 * `ollama serve` (30 to 60 MB), the engine's code and heap (40 to 60 MB), and the caches of
 * earlier prompts.
 */
#define PROCESSES_BYTES ((122 + MEMORY_PROMPT_CACHE_MIB) * MIB)
/* What Ollama keeps free for the buffers of a projector beyond its weights. */
#define VISION_BYTES (1024 * MIB)

/* --- arithmetic that stops at MEMORY_MAX_BYTES; nothing here is negative -------------------- */

static gint64 add(gint64 a, gint64 b)
{
	return a > MEMORY_MAX_BYTES - b ? MEMORY_MAX_BYTES : a + b;
}

static gint64 mul(gint64 a, gint64 b)
{
	gint64 product;

	return __builtin_mul_overflow(a, b, &product) ? MEMORY_MAX_BYTES
						      : MIN(product, MEMORY_MAX_BYTES);
}

static gint64 pad(gint64 cells)
{
	return (cells + CELLS_PAD - 1) / CELLS_PAD * CELLS_PAD;
}

/* --- what architectures do without saying it in their headers ------------------------------- */

static gboolean is_one_of(const char *name, const char *const *list)
{
	return name != NULL && g_strv_contains(list, name);
}

/* Encoders: each request is one batch, nothing is kept of it. */
static gboolean is_encoder(const struct gguf *gguf)
{
	static const char *const NAMES[] = {"bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2",
	    "jina-bert-v3", "neo-bert", "modern-bert", "eurobert", "gemma-embedding", "t5encoder",
	    NULL};

	return gguf->causal == 0 || is_one_of(gguf->architecture, NAMES);
}

static gboolean is_embedding(const struct gguf *gguf)
{
	return gguf->pooling_type >= 0 || is_encoder(gguf);
}

/* Ollama serves these one request at a time, whatever OLLAMA_NUM_PARALLEL says. */
static gboolean is_forced_to_one(const struct gguf *gguf, const char *family)
{
	static const char *const NAMES[] = {"mllama", "qwen3vl", "qwen3vlmoe", "qwen35",
	    "qwen35moe", "qwen3next", "lfm2", "lfm2moe", "nemotron_h", "nemotron_h_moe",
	    "nemotron_h_omni", NULL};

	return is_embedding(gguf) || is_one_of(family, NAMES) ||
	       is_one_of(gguf->architecture, NAMES);
}

/* Every so many-th layer sees all tokens, the others a window; 0: all of them do. */
static gint64 window_period(const struct gguf *gguf)
{
	static const struct {
		const char *architecture;
		gint64 period;
	} KNOWN[] = {{"gemma2", 2}, {"gemma3", 6}, {"gemma3n", 5}, {"gpt-oss", 2}, {"gptoss", 2},
	    {"cohere2", 4}, {"olmo2", 4}, {"exaone4", 4}, {"smallthinker", 4}};

	if (gguf->sliding_window_pattern.n == 1)
		return gguf->sliding_window_pattern.values[0];
	for (guint i = 0; i < G_N_ELEMENTS(KNOWN); i++)
		if (strcmp(gguf->architecture, KNOWN[i].architecture) == 0)
			return KNOWN[i].period;
	return 0;
}

static gboolean has_window(const struct gguf *gguf, guint layer)
{
	gint64 period;

	if (gguf->sliding_window <= 0)
		return FALSE;
	if (gguf->sliding_window_pattern.n > 1)
		return gguf_layers_at(&gguf->sliding_window_pattern, layer, 0) != 0;
	period = window_period(gguf);
	return period > 0 && layer % period < period - 1;
}

/* --- the cache ------------------------------------------------------------------------------ */

/* What all layers have in common. */
struct serving {
	const struct gguf *gguf;
	gint64 context, parallel;
	gint64 batch;
	gint64 kv_block_bytes; /* of KV_BLOCK elements */
};

static gint64 kv_block_bytes(const char *type)
{
	static const struct {
		const char *name;
		gint64 bytes;
	} TYPES[] = {{"f32", 128}, {"f16", 64}, {"bf16", 64}, {"q8_0", 34}, {"q5_1", 24},
	    {"q5_0", 22}, {"q4_1", 20}, {"q4_0", 18}, {"iq4_nl", 18}};

	for (guint i = 0; type != NULL && i < G_N_ELEMENTS(TYPES); i++)
		if (g_ascii_strcasecmp(type, TYPES[i].name) == 0)
			return TYPES[i].bytes;
	return 64;
}

static gint64 heads_of(const struct gguf *gguf, guint layer)
{
	return gguf_layers_at(&gguf->head_count, layer, 0);
}

static gint64 kv_heads_of(const struct gguf *gguf, guint layer)
{
	return gguf_layers_at(&gguf->head_count_kv, layer, heads_of(gguf, layer));
}

static gboolean has_states(const struct gguf *gguf)
{
	return gguf->inner_size > 0 || gguf->shortconv_length > 0 || gguf->wkv_head_size > 0;
}

/* Has this layer a state of fixed size? Only those of Falcon H1 have a cache beside it. */
static gboolean is_recurrent(const struct gguf *gguf, guint layer)
{
	static const char *const EVERY_FOURTH[] = {"qwen3next", "qwen35", "qwen35moe", NULL};
	gint64 interval = gguf->full_attention_interval;

	if (!has_states(gguf))
		return FALSE;
	if (strcmp(gguf->architecture, "falcon-h1") == 0)
		return TRUE;
	if (gguf->head_count_kv.n <= 1) {
		if (interval <= 0 && is_one_of(gguf->architecture, EVERY_FOURTH))
			interval = 4;
		if (interval > 0)
			return (layer + 1) % interval != 0;
	}
	/* Layers that have neither cache nor state are feed-forward alone (Nemotron H). */
	return kv_heads_of(gguf, layer) == 0 &&
	       !(gguf->feed_forward_length.n > 1 &&
		   gguf_layers_at(&gguf->feed_forward_length, layer, 0) > 0 &&
		   g_str_has_prefix(gguf->architecture, "nemotron_h"));
}

static gint64 state_bytes(const struct serving *serving)
{
	const struct gguf *gguf = serving->gguf;
	gint64 embedding = MAX(gguf->embedding_length, 0);
	gint64 elements = 0;

	if (gguf->inner_size > 0) {
		gint64 inner = gguf->inner_size, state = MAX(gguf->state_size, 0);
		gint64 groups = MAX(gguf->group_count, 0);

		elements =
		    add(mul(MAX(gguf->conv_kernel, 1) - 1, add(inner, mul(2 * groups, state))),
			mul(state, inner));
	} else if (gguf->shortconv_length > 0) {
		elements = mul(gguf->shortconv_length - 1, embedding);
	} else {
		elements = add(mul(embedding, gguf->wkv_head_size), 2 * embedding);
	}
	return mul(mul(elements, STATE_ELEMENT_BYTES), serving->parallel);
}

static gint64 attention_bytes(const struct serving *serving, guint layer)
{
	const struct gguf *gguf = serving->gguf;
	gint64 heads = heads_of(gguf, layer), kv_heads = kv_heads_of(gguf, layer);
	gint64 by_default = heads > 0 ? MAX(gguf->embedding_length, 0) / heads : 0;
	gint64 key = gguf->key_length >= 0 ? gguf->key_length : by_default;
	gint64 value = gguf->value_length >= 0 ? gguf->value_length : by_default;
	gint64 cells = pad(serving->context);

	if (has_window(gguf, layer)) {
		/* The batch that comes in is there beside the window. */
		cells = MIN(cells, pad(gguf->sliding_window + serving->batch));
		key = gguf->key_length_swa >= 0 ? gguf->key_length_swa : key;
		value = gguf->value_length_swa >= 0 ? gguf->value_length_swa : value;
	}
	return mul(mul(mul(cells, serving->parallel), mul(kv_heads, key + value)),
		   serving->kv_block_bytes) /
	       KV_BLOCK;
}

static gint64 cache_bytes(const struct serving *serving)
{
	const struct gguf *gguf = serving->gguf;
	gint64 with_cache = gguf->block_count - MAX(gguf->shared_kv_layers, 0);
	gint64 sum = 0;

	if (is_encoder(gguf))
		return 0;
	for (guint layer = 0; layer < gguf->block_count; layer++) {
		gboolean recurrent = is_recurrent(gguf, layer);

		if (recurrent)
			sum = add(sum, state_bytes(serving));
		if (layer < with_cache &&
		    (!recurrent || strcmp(gguf->architecture, "falcon-h1") == 0))
			sum = add(sum, attention_bytes(serving, layer));
	}
	return sum;
}

/* --- what is taken beside weights and cache ------------------------------------------------- */

static gint64 batch_of(const struct gguf *gguf, gint64 context, gint64 parallel)
{
	gint64 tokens = mul(context, parallel);

	/* An embedding is made of all its tokens at once. */
	if (is_embedding(gguf))
		return MIN(context, 2048);
	return tokens > 32768 ? 2048 : tokens > 4096 ? 1024 : 512;
}

static gint64 widest_feed_forward(const struct gguf *gguf)
{
	gint64 widest = 0;

	for (guint i = 0; i < gguf->feed_forward_length.n; i++)
		widest = MAX(widest, gguf->feed_forward_length.values[i]);
	return widest;
}

/*
 * For each token of a batch: some states of a layer, both halves of its feed-forward part, and
 * the probabilities of all tokens, which are the larger part of it.
 */
static gint64 batch_bytes(const struct serving *serving)
{
	const struct gguf *gguf = serving->gguf;
	gint64 elements = add(4 * MAX(gguf->embedding_length, 0), 2 * widest_feed_forward(gguf));

	if (!is_embedding(gguf)) {
		/* Not seen in the prefix: as many tokens as a large vocabulary has. */
		gint64 vocabulary = gguf->vocabulary >= 0 ? gguf->vocabulary : 128 * 1024;

		elements = add(elements, vocabulary);
	}
	return mul(mul(elements, BUFFER_ELEMENT_BYTES), serving->batch);
}

void memory_estimate(const struct memory_input *input, struct memory_estimate *ret)
{
	const struct gguf *gguf = input->gguf;
	struct memory_estimate estimate = {0};
	struct serving serving = {.gguf = gguf};
	gboolean sees = input->projector_bytes > 0 || gguf->vision_block_count > 0;

	serving.context =
	    input->context > 0 ? MIN(input->context, G_MAXINT32) : MEMORY_DEFAULT_CONTEXT;
	if (gguf->context_length > 0)
		serving.context = MIN(serving.context, gguf->context_length);
	serving.parallel = CLAMP(input->parallel, 1, PARALLEL_MAX);
	if (is_forced_to_one(gguf, input->family))
		serving.parallel = 1;
	serving.batch = batch_of(gguf, serving.context, serving.parallel);
	serving.kv_block_bytes = kv_block_bytes(input->kv_type);

	estimate.context = serving.context;
	estimate.parallel = serving.parallel;
	estimate.weights_bytes = add(MAX(input->weights_bytes, 0), MAX(input->projector_bytes, 0));
	estimate.cache_bytes = cache_bytes(&serving);
	estimate.overhead_bytes =
	    add(PROCESSES_BYTES + (sees ? VISION_BYTES : 0), batch_bytes(&serving));
	estimate.total_bytes =
	    add(add(estimate.weights_bytes, estimate.cache_bytes), estimate.overhead_bytes);
	*ret = estimate;
}

gboolean memory_estimate_from_inspect(yyjson_val *inspect, gint64 context, gint64 parallel,
    const char *kv_type, struct memory_estimate *ret, GError **error)
{
	struct memory_input input = {.context = context, .parallel = parallel, .kv_type = kv_type};
	AUTO(gguf) gguf = gguf_from_json(json_at(inspect, "gguf", NULL), error);

	if (gguf == NULL)
		return FALSE;
	input.gguf = gguf;
	input.family = json_str(inspect, "family", NULL);
	input.weights_bytes = json_int(inspect, -1, "weights", NULL);
	input.projector_bytes = json_int(inspect, 0, "projector", NULL);
	if (input.weights_bytes <= 0 || input.weights_bytes > MEMORY_MAX_BYTES ||
	    input.projector_bytes < 0 || input.projector_bytes > MEMORY_MAX_BYTES) {
		g_set_error_literal(error, MODEL_ERROR, MODEL_ERROR_GGUF,
		    "the sizes of a model's weights cannot be used");
		return FALSE;
	}
	memory_estimate(&input, ret);
	return TRUE;
}
