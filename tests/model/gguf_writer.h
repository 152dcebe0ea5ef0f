/*
 * Writes GGUF headers for tests: versions 1 to 3, both byte orders.
 *
 *	struct gguf_writer *writer = gguf_writer_new(3, FALSE);
 *	gguf_writer_text(writer, "general.architecture", "llama");
 *	gguf_writer_u32(writer, "llama.block_count", 32);
 *	GBytes *header = gguf_writer_end(writer);
 */
#ifndef TESTS_MODEL_GGUF_WRITER_H
#define TESTS_MODEL_GGUF_WRITER_H

#include <glib.h>

struct gguf_writer;

struct gguf_writer *gguf_writer_new(guint version, gboolean big_endian);
void gguf_writer_text(struct gguf_writer *writer, const char *key, const char *text);
void gguf_writer_u32(struct gguf_writer *writer, const char *key, guint32 number);
/* Any type of a fixed width (0 to 7, 10 to 12) from the lower bits of `bits`. */
void gguf_writer_number(struct gguf_writer *writer, const char *key, guint type, guint64 bits);
void gguf_writer_array(
    struct gguf_writer *writer, const char *key, guint type, guint n, const guint32 *numbers);
/* An array of `n` strings "token <i>". */
void gguf_writer_tokens(struct gguf_writer *writer, const char *key, guint n);
/* The head of an array of which nothing follows. */
void gguf_writer_claim(struct gguf_writer *writer, const char *key, guint type, guint64 n);
/* How many bytes are written so far. */
gsize gguf_writer_size(const struct gguf_writer *writer);
/* The header; frees the writer. */
GBytes *gguf_writer_end(struct gguf_writer *take_writer);

/* Llama 2 7B as it is published, with a tokenizer of `tokens` tokens behind. */
GBytes *gguf_llama2_7b(guint tokens);

#endif
