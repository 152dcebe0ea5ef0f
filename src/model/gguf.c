#include "model/gguf_priv.h"

#include <string.h>

enum {
	KEY_MAX_BYTES = 65535,
	STRING_MAX_BYTES = 16 * 1024 * 1024,
	ARRAY_MAX_ITEMS = 64 * 1024 * 1024,
	VERSION_MAX = 3,
};

enum gguf_type { TYPE_BOOL = 7, TYPE_STRING = 8, TYPE_ARRAY = 9, TYPES = 13 };

/* Bytes of a value by its type; 0: it says its length itself. */
static const struct {
	guint8 width;
	gboolean is_integer, is_signed;
} KINDS[TYPES] = {
    {1, TRUE, FALSE}, {1, TRUE, TRUE}, {2, TRUE, FALSE}, {2, TRUE, TRUE}, {4, TRUE, FALSE},
    {4, TRUE, TRUE}, {4, FALSE, FALSE},                   /* float */
    {1, TRUE, FALSE},                                     /* bool */
    {0, FALSE, FALSE},                                    /* string */
    {0, FALSE, FALSE},                                    /* array */
    {8, TRUE, FALSE}, {8, TRUE, TRUE}, {8, FALSE, FALSE}, /* double */
};

#define NUMBER(key, member, name) {key, member, offsetof(struct gguf, name), FALSE, FALSE}
#define LAYERS(key, member, name) {key, member, offsetof(struct gguf, name), TRUE, FALSE}

const struct gguf_field GGUF_FIELDS[GGUF_N_FIELDS] = {
    {"general.file_type", "fileType", offsetof(struct gguf, file_type), FALSE, TRUE},
    NUMBER("block_count", "blockCount", block_count),
    NUMBER("context_length", "contextLength", context_length),
    NUMBER("embedding_length", "embeddingLength", embedding_length),
    LAYERS("feed_forward_length", "feedForwardLength", feed_forward_length),
    LAYERS("attention.head_count", "headCount", head_count),
    LAYERS("attention.head_count_kv", "headCountKV", head_count_kv),
    NUMBER("attention.key_length", "keyLength", key_length),
    NUMBER("attention.value_length", "valueLength", value_length),
    NUMBER("attention.key_length_swa", "keyLengthSWA", key_length_swa),
    NUMBER("attention.value_length_swa", "valueLengthSWA", value_length_swa),
    NUMBER("attention.sliding_window", "slidingWindow", sliding_window),
    LAYERS("attention.sliding_window_pattern", "slidingWindowPattern", sliding_window_pattern),
    NUMBER("attention.shared_kv_layers", "sharedKVLayers", shared_kv_layers),
    NUMBER("expert_count", "expertCount", expert_count),
    NUMBER("ssm.conv_kernel", "convKernel", conv_kernel),
    NUMBER("ssm.state_size", "stateSize", state_size),
    NUMBER("ssm.inner_size", "innerSize", inner_size),
    NUMBER("ssm.group_count", "groupCount", group_count),
    NUMBER("full_attention_interval", "fullAttentionInterval", full_attention_interval),
    NUMBER("shortconv.l_cache", "shortconvLength", shortconv_length),
    NUMBER("wkv.head_size", "wkvHeadSize", wkv_head_size),
    NUMBER("pooling_type", "poolingType", pooling_type),
    NUMBER("attention.causal", "causal", causal),
    NUMBER("vision.block_count", "visionBlockCount", vision_block_count),
};

/* --- the struct ----------------------------------------------------------------------------- */

struct gguf *gguf_new(char *take_architecture)
{
	struct gguf *gguf = g_new0(struct gguf, 1);

	gguf->architecture = take_architecture;
	gguf->vocabulary = -1;
	for (guint i = 0; i < GGUF_N_FIELDS; i++)
		if (!GGUF_FIELDS[i].per_layer)
			*gguf_number(gguf, &GGUF_FIELDS[i]) = -1;
	return gguf;
}

void gguf_free(struct gguf *gguf)
{
	if (gguf == NULL)
		return;
	for (guint i = 0; i < GGUF_N_FIELDS; i++)
		if (GGUF_FIELDS[i].per_layer)
			g_free(gguf_layers(gguf, &GGUF_FIELDS[i])->values);
	g_free(gguf->architecture);
	g_free(gguf);
}

gint64 gguf_layers_at(const struct gguf_layers *layers, guint layer, gint64 fallback)
{
	if (layers->n == 1)
		return layers->values[0];
	return layer < layers->n ? layers->values[layer] : fallback;
}

gboolean gguf_architecture_is_sane(const char *text, gsize len)
{
	if (len == 0 || len > GGUF_MAX_ARCHITECTURE)
		return FALSE;
	for (gsize i = 0; i < len; i++)
		if (!g_ascii_isalnum(text[i]) && strchr("-_.", text[i]) == NULL)
			return FALSE;
	return memchr(text, '\0', len) == NULL;
}

/* --- bytes ---------------------------------------------------------------------------------- */

/* A function that fails has either set `more` (the bytes ended) or the error. */
struct reader {
	const guint8 *bytes;
	gsize len, at;
	gboolean swapped; /* big-endian */
	gboolean narrow;  /* version 1: lengths have 32 bits */
	guint64 more;
};

static gboolean refuse(GError **error, const char *what, guint64 number)
{
	g_set_error(error, MODEL_ERROR, MODEL_ERROR_GGUF,
	    "the weights are no GGUF file that can be read: %s (%" G_GUINT64_FORMAT ")", what,
	    number);
	return FALSE;
}

static gboolean take(struct reader *reader, guint64 n, const guint8 **ret_at)
{
	gsize left = reader->len - reader->at;

	if (n > left) {
		reader->more = n - left;
		return FALSE;
	}
	*ret_at = reader->bytes + reader->at;
	reader->at += (gsize)n;
	return TRUE;
}

static guint64 decode(const guint8 *at, guint width, gboolean swapped)
{
	guint64 number = 0;

	for (guint i = 0; i < width; i++)
		number |= (guint64)at[swapped ? width - 1 - i : i] << (8 * i);
	return number;
}

static gboolean read_uint(struct reader *reader, guint width, guint64 *ret_number)
{
	const guint8 *at;

	if (!take(reader, width, &at))
		return FALSE;
	*ret_number = decode(at, width, reader->swapped);
	return TRUE;
}

static gboolean read_length(
    struct reader *reader, guint64 max, const char *what, guint64 *ret_length, GError **error)
{
	guint64 length;

	if (!read_uint(reader, reader->narrow ? 4 : 8, &length))
		return FALSE;
	if (length > max)
		return refuse(error, what, length);
	*ret_length = length;
	return TRUE;
}

static gboolean read_string(
    struct reader *reader, guint64 max, const char **ret_text, gsize *ret_len, GError **error)
{
	const guint8 *at;
	guint64 len;

	if (!read_length(reader, max, "a string is too long", &len, error) ||
	    !take(reader, len, &at))
		return FALSE;
	*ret_text = (const char *)at;
	*ret_len = (gsize)len;
	return TRUE;
}

/* --- pairs ---------------------------------------------------------------------------------- */

/* Everything points into the bytes. Members that the type does not have are 0. */
struct pair {
	const char *key;
	gsize key_len;
	guint type;
	const char *text; /* of a string */
	gsize text_len;
	const guint8 *number; /* of a number; of an array of numbers: its first */
	guint item_type;
	guint64 n_items; /* known as soon as it was read, even if the items are cut off */
};

static gboolean read_type(struct reader *reader, guint *ret_type, GError **error)
{
	guint64 type;

	if (!read_uint(reader, 4, &type))
		return FALSE;
	if (type >= TYPES)
		return refuse(error, "a value has an unknown type", type);
	*ret_type = (guint)type;
	return TRUE;
}

static gboolean skip_strings(struct reader *reader, guint64 n, GError **error)
{
	const char *text;
	gsize len;

	for (guint64 i = 0; i < n; i++) {
		if (read_string(reader, STRING_MAX_BYTES, &text, &len, error))
			continue;
		/* Each of those that follow has a length, at least. */
		if (reader->more > 0)
			reader->more += (n - 1 - i) * (reader->narrow ? 4 : 8);
		return FALSE;
	}
	return TRUE;
}

static gboolean read_array(struct reader *reader, struct pair *pair, GError **error)
{
	if (!read_type(reader, &pair->item_type, error))
		return FALSE;
	if (pair->item_type == TYPE_ARRAY)
		return refuse(error, "an array holds arrays", pair->item_type);
	if (!read_length(reader, ARRAY_MAX_ITEMS, "an array is too long", &pair->n_items, error))
		return FALSE;
	if (pair->item_type == TYPE_STRING)
		return skip_strings(reader, pair->n_items, error);
	return take(reader, pair->n_items * KINDS[pair->item_type].width, &pair->number);
}

static gboolean read_value(struct reader *reader, struct pair *pair, GError **error)
{
	if (!read_type(reader, &pair->type, error))
		return FALSE;
	if (pair->type == TYPE_STRING)
		return read_string(reader, STRING_MAX_BYTES, &pair->text, &pair->text_len, error);
	if (pair->type == TYPE_ARRAY)
		return read_array(reader, pair, error);
	return take(reader, KINDS[pair->type].width, &pair->number);
}

static gboolean is_of_tokenizer(const struct pair *pair)
{
	static const char PREFIX[] = "tokenizer.";

	return pair->key_len >= strlen(PREFIX) && memcmp(pair->key, PREFIX, strlen(PREFIX)) == 0;
}

/*
 * All pairs, as far as the bytes go; the last one may have lost its value. FALSE as above;
 * `ret_in_tokenizer`: the bytes ended at or after the tokenizer's first key.
 */
static gboolean read_pairs(
    struct reader *reader, guint64 n, GArray *pairs, gboolean *ret_in_tokenizer, GError **error)
{
	for (guint64 i = 0; i < n; i++) {
		struct pair pair = {0};
		gboolean ok;

		if (!read_string(reader, KEY_MAX_BYTES, &pair.key, &pair.key_len, error))
			return FALSE;
		ok = read_value(reader, &pair, error);
		*ret_in_tokenizer |= is_of_tokenizer(&pair);
		g_array_append_val(pairs, pair);
		if (!ok)
			return FALSE;
	}
	return TRUE;
}

/* `prefix` may be NULL. With two of one key the last one holds, as for Ollama. */
static const struct pair *find(const GArray *pairs, const char *prefix, const char *key)
{
	gsize prefix_len = prefix == NULL ? 0 : strlen(prefix) + 1;
	gsize key_len = strlen(key);

	for (guint i = pairs->len; i-- > 0;) {
		const struct pair *pair = &g_array_index(pairs, struct pair, i);

		if (pair->key_len == prefix_len + key_len &&
		    memcmp(pair->key + prefix_len, key, key_len) == 0 &&
		    (prefix == NULL || (memcmp(pair->key, prefix, prefix_len - 1) == 0 &&
					   pair->key[prefix_len - 1] == '.')))
			return pair;
	}
	return NULL;
}

/* The number at `at`, -1 when it is none that a model could have. */
static gint64 number_at(const struct reader *reader, guint type, const guint8 *at)
{
	guint64 number;

	if (at == NULL || !KINDS[type].is_integer)
		return -1;
	number = decode(at, KINDS[type].width, reader->swapped);
	if (KINDS[type].is_signed && (number >> (8 * KINDS[type].width - 1)) != 0)
		return -1;
	return number > G_MAXINT32 ? -1 : (gint64)number;
}

static gboolean set_layers(const struct reader *reader, const struct pair *pair,
    struct gguf_layers *layers, GError **error)
{
	gboolean is_array = pair->type == TYPE_ARRAY;
	guint type = is_array ? pair->item_type : pair->type;
	guint64 n = is_array ? pair->n_items : 1;

	if (pair->number == NULL || !KINDS[type].is_integer || n == 0)
		return TRUE;
	if (n > GGUF_MAX_LAYERS)
		return refuse(error, "there are values for too many layers", n);
	layers->n = (guint)n;
	layers->values = g_new0(guint32, layers->n);
	for (guint i = 0; i < layers->n; i++)
		layers->values[i] = (guint32)MAX(
		    number_at(reader, type, pair->number + (gsize)i * KINDS[type].width), 0);
	return TRUE;
}

static gboolean set_fields(
    const struct reader *reader, const GArray *pairs, struct gguf *gguf, GError **error)
{
	const struct pair *tokens = find(pairs, NULL, "tokenizer.ggml.tokens");

	for (guint i = 0; i < GGUF_N_FIELDS; i++) {
		const struct gguf_field *field = &GGUF_FIELDS[i];
		const struct pair *pair =
		    find(pairs, field->global ? NULL : gguf->architecture, field->key);

		if (pair == NULL)
			continue;
		if (!field->per_layer)
			*gguf_number(gguf, field) =
			    pair->type == TYPE_ARRAY ? -1
						     : number_at(reader, pair->type, pair->number);
		else if (!set_layers(reader, pair, gguf_layers(gguf, field), error))
			return FALSE;
	}
	if (tokens != NULL && tokens->type == TYPE_ARRAY && tokens->n_items > 0)
		gguf->vocabulary = (gint64)tokens->n_items;
	return TRUE;
}

/* --- the header ----------------------------------------------------------------------------- */

static gboolean read_start(struct reader *reader, guint64 *ret_n_pairs, GError **error)
{
	const guint8 *magic;
	guint64 version, n_tensors;

	if (!take(reader, 4, &magic))
		return FALSE;
	reader->swapped = memcmp(magic, "FUGG", 4) == 0;
	if (!reader->swapped && memcmp(magic, "GGUF", 4) != 0)
		return refuse(error, "it does not begin with GGUF", decode(magic, 4, FALSE));
	if (!read_uint(reader, 4, &version))
		return FALSE;
	/* Other writers of big-endian files leave the magic as it is. */
	if (!reader->swapped && version > VERSION_MAX && (version & 0xffff) == 0) {
		reader->swapped = TRUE;
		version = GUINT32_SWAP_LE_BE((guint32)version);
	}
	if (version == 0 || version > VERSION_MAX)
		return refuse(error, "its version is not known here", version);
	reader->narrow = version == 1;
	return read_uint(reader, reader->narrow ? 4 : 8, &n_tensors) &&
	       read_length(reader, GGUF_MAX_PAIRS, "it has too many keys", ret_n_pairs, error);
}

/* NULL without an error: what is needed is not in these pairs. */
static struct gguf *from_pairs(const struct reader *reader, const GArray *pairs, GError **error)
{
	const struct pair *architecture = find(pairs, NULL, "general.architecture");
	AUTO(gguf) gguf = NULL;

	if (architecture == NULL || architecture->text == NULL)
		return NULL;
	if (!gguf_architecture_is_sane(architecture->text, architecture->text_len)) {
		refuse(error, "its architecture is no name", architecture->text_len);
		return NULL;
	}
	gguf = gguf_new(g_strndup(architecture->text, architecture->text_len));
	if (!set_fields(reader, pairs, gguf, error) || gguf->block_count < 0)
		return NULL;
	if (gguf->block_count > GGUF_MAX_LAYERS) {
		refuse(error, "it has too many layers", (guint64)gguf->block_count);
		return NULL;
	}
	return g_steal_pointer(&gguf);
}

struct gguf *gguf_parse(const guint8 *bytes, gsize len, gsize *ret_more, GError **error)
{
	struct reader reader = {.bytes = bytes, .len = len};
	g_autoptr(GArray) pairs = g_array_new(FALSE, FALSE, sizeof(struct pair));
	g_autoptr(GError) why = NULL;
	gboolean in_tokenizer = FALSE;
	struct gguf *gguf = NULL;
	guint64 n_pairs = 0;

	if (!read_start(&reader, &n_pairs, &why) ||
	    !read_pairs(&reader, n_pairs, pairs, &in_tokenizer, &why))
		g_assert(reader.more > 0 || why != NULL);
	if (why == NULL && (reader.more == 0 || in_tokenizer))
		gguf = from_pairs(&reader, pairs, &why);
	if (gguf != NULL) {
		gguf->truncated = reader.more > 0;
		return gguf;
	}
	if (why == NULL && reader.more == 0)
		refuse(&why, "it says no architecture or no number of layers; keys", n_pairs);
	if (why == NULL) {
		g_set_error(&why, MODEL_ERROR, MODEL_ERROR_GGUF_SHORT,
		    "the header of the weights has more than the first %zu bytes", len);
		if (ret_more != NULL)
			*ret_more = (gsize)reader.more;
	}
	g_propagate_error(error, g_steal_pointer(&why));
	return NULL;
}
