#include "gguf_writer.h"

#include <string.h>

enum { MAGIC_BYTES = 4, VERSION_BYTES = 4 };

struct gguf_writer {
	GByteArray *bytes;
	guint version;
	gboolean big_endian;
	guint64 n_pairs;
};

static const guint WIDTHS[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

static void encode(guint8 *at, guint width, gboolean big_endian, guint64 number)
{
	for (guint i = 0; i < width; i++)
		at[big_endian ? width - 1 - i : i] = (guint8)(number >> (8 * i));
}

static void put(struct gguf_writer *writer, guint width, guint64 number)
{
	guint8 raw[8];

	encode(raw, width, writer->big_endian, number);
	g_byte_array_append(writer->bytes, raw, width);
}

static guint length_width(const struct gguf_writer *writer)
{
	return writer->version == 1 ? 4 : 8;
}

static void put_text(struct gguf_writer *writer, const char *text)
{
	put(writer, length_width(writer), strlen(text));
	g_byte_array_append(writer->bytes, (const guint8 *)text, (guint)strlen(text));
}

static void put_key(struct gguf_writer *writer, const char *key, guint type)
{
	put_text(writer, key);
	put(writer, 4, type);
	writer->n_pairs++;
}

struct gguf_writer *gguf_writer_new(guint version, gboolean big_endian)
{
	struct gguf_writer *writer = g_new0(struct gguf_writer, 1);

	writer->bytes = g_byte_array_new();
	writer->version = version;
	writer->big_endian = big_endian;
	g_byte_array_append(writer->bytes, (const guint8 *)(big_endian ? "FUGG" : "GGUF"), 4);
	put(writer, 4, version);
	put(writer, length_width(writer), 291); /* tensors */
	put(writer, length_width(writer), 0);   /* pairs: set at the end */
	return writer;
}

void gguf_writer_text(struct gguf_writer *writer, const char *key, const char *text)
{
	put_key(writer, key, 8);
	put_text(writer, text);
}

void gguf_writer_number(struct gguf_writer *writer, const char *key, guint type, guint64 bits)
{
	put_key(writer, key, type);
	put(writer, WIDTHS[type], bits);
}

void gguf_writer_u32(struct gguf_writer *writer, const char *key, guint32 number)
{
	gguf_writer_number(writer, key, 4, number);
}

void gguf_writer_claim(struct gguf_writer *writer, const char *key, guint type, guint64 n)
{
	put_key(writer, key, 9);
	put(writer, 4, type);
	put(writer, length_width(writer), n);
}

void gguf_writer_array(
    struct gguf_writer *writer, const char *key, guint type, guint n, const guint32 *numbers)
{
	gguf_writer_claim(writer, key, type, n);
	for (guint i = 0; i < n; i++)
		put(writer, WIDTHS[type], numbers[i]);
}

void gguf_writer_tokens(struct gguf_writer *writer, const char *key, guint n)
{
	gguf_writer_claim(writer, key, 8, n);
	for (guint i = 0; i < n; i++) {
		g_autofree char *token = g_strdup_printf("token %u", i);

		put_text(writer, token);
	}
}

gsize gguf_writer_size(const struct gguf_writer *writer)
{
	return writer->bytes->len;
}

GBytes *gguf_writer_end(struct gguf_writer *take_writer)
{
	guint width = length_width(take_writer);
	GByteArray *bytes = take_writer->bytes;

	encode(bytes->data + MAGIC_BYTES + VERSION_BYTES + width, width, take_writer->big_endian,
	    take_writer->n_pairs);
	g_free(take_writer);
	return g_byte_array_free_to_bytes(bytes);
}

GBytes *gguf_llama2_7b(guint tokens)
{
	struct gguf_writer *writer = gguf_writer_new(3, FALSE);

	gguf_writer_text(writer, "general.architecture", "llama");
	gguf_writer_text(writer, "general.name", "LLaMA v2");
	gguf_writer_u32(writer, "llama.context_length", 4096);
	gguf_writer_u32(writer, "llama.embedding_length", 4096);
	gguf_writer_u32(writer, "llama.block_count", 32);
	gguf_writer_u32(writer, "llama.feed_forward_length", 11008);
	gguf_writer_u32(writer, "llama.attention.head_count", 32);
	gguf_writer_u32(writer, "llama.attention.head_count_kv", 32);
	gguf_writer_number(writer, "llama.rope.freq_base", 6, 0x461c4000);
	gguf_writer_u32(writer, "general.file_type", 2);
	gguf_writer_text(writer, "tokenizer.ggml.model", "llama");
	gguf_writer_tokens(writer, "tokenizer.ggml.tokens", tokens);
	gguf_writer_text(writer, "tokenizer.chat_template", "{{ bos_token }}");
	return gguf_writer_end(writer);
}
