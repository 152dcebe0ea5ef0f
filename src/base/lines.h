/*
 * Cuts a byte stream into lines (NDJSON frames, watch events), however the bytes were chunked.
 *
 *   chunk "…}\n{"a":1"  then  "}\n"   ->   "…}"   and   "{"a":1}"
 *
 * Ownership: embed it; lines_done() frees the buffer. Threads: one at a time.
 * Limits: a line longer than `max_bytes` (its "\r" counts) makes lines_feed() fail; nothing larger
 * is ever held.
 */
#ifndef BASE_LINES_H
#define BASE_LINES_H

#include <glib.h>

struct lines {
	GByteArray *rest; /* the begun line, NULL while there is none */
	gsize max_bytes;
};

/*
 * Called for each whole line that is not empty, without its "\n" or "\r\n". The bytes live until
 * the callback returns. FALSE stops the feeding; what was left of the chunk is dropped.
 */
typedef gboolean (*lines_fn)(void *data, const char *line, gsize len);

void lines_init(struct lines *lines, gsize max_bytes);
void lines_done(struct lines *lines);

enum lines_result {
	LINES_OK,
	LINES_STOPPED,  /* the callback said so */
	LINES_TOO_LONG, /* a line passed max_bytes */
};

enum lines_result lines_feed(
    struct lines *lines, const char *chunk, gsize len, lines_fn fn, void *data);

/* Bytes of a last line that never ended; 0 when the stream ended on a line's end. */
gsize lines_pending(const struct lines *lines);

#endif
