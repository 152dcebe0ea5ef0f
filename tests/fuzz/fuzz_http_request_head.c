/*
 * The server's parser: what comes out must not depend on how the bytes arrive or on pauses, must
 * keep its limits, and must never have two lengths. The first byte chooses the size of the pieces.
 */
#include "fuzz.h"
#include "net/http_parser.h"

#include <string.h>

#define MAX_HEAD 600
#define MAX_BODY 200

struct record {
	struct http_parser parser;
	GString *text;
	gint64 body_bytes;
	gboolean pausing;
};

static guint count_fields(const struct http_message *message, const char *name)
{
	guint count = 0;

	for (guint i = 0; i < message->fields->len; i++) {
		struct http_field *field = &g_array_index(message->fields, struct http_field, i);
		const char *value = message->text->str + field->value;

		g_assert(field->name < message->text->len && field->value < message->text->len);
		g_assert(strpbrk(value, "\r\n") == NULL);
		count += g_ascii_strcasecmp(message->text->str + field->name, name) == 0;
	}
	return count;
}

static void on_head(void *data)
{
	struct record *record = data;
	const struct http_message *message = record->parser.message;
	guint lengths = count_fields(message, "Content-Length");
	guint codings = count_fields(message, "Transfer-Encoding");

	g_assert(lengths + codings <= 1);
	g_assert((codings == 1) == (message->content_length < 0));
	g_assert(message->content_length <= MAX_BODY);
	g_assert(message->http10 || count_fields(message, "Host") == 1);
	g_assert(*message->path == '/' || strcmp(message->path, "*") == 0);
	g_assert(record->parser.head_bytes <= MAX_HEAD);
	record->body_bytes = 0;
	g_string_append_printf(record->text, "<%s %s?%s %d %d %d>", message->method, message->path,
	    message->query, (int)message->content_length, message->keep_alive,
	    message->expects_continue);
	for (gsize i = 0; i < message->text->len; i++)
		g_string_append_printf(record->text, "%02x", (guint8)message->text->str[i]);
	if (record->pausing)
		http_parser_pause(&record->parser);
}

static void on_body(void *data, const char *bytes, gsize len)
{
	struct record *record = data;

	record->body_bytes += (gint64)len;
	g_assert(record->body_bytes <= MAX_BODY);
	g_string_append_len(record->text, bytes, (gssize)len);
	if (record->pausing)
		http_parser_pause(&record->parser);
}

static void on_complete(void *data)
{
	struct record *record = data;

	g_string_append(record->text, "</>");
}

static const struct http_parser_ops ops = {on_head, on_body, on_complete};

static char *run(const char *bytes, size_t len, size_t piece, gboolean pausing, int *status)
{
	struct record record = {.text = g_string_new(NULL), .pausing = pausing};
	struct http_parser *parser = &record.parser;

	http_parser_init(parser, MAX_HEAD, MAX_BODY, &ops, &record);
	for (size_t at = 0; at < len && parser->state != HTTP_PARSER_FAILED;) {
		size_t some = MIN(piece, len - at);
		size_t used = http_parser_feed(parser, bytes + at, some);

		g_assert(used <= some);
		g_assert(used == some || parser->pause || parser->state >= HTTP_PARSER_COMPLETE);
		at += used;
		/* Also where no byte is left: the end of a body may be all that is missing. */
		while (parser->pause && parser->state == HTTP_PARSER_BODY) {
			http_parser_resume(parser);
			at += http_parser_feed(parser, bytes + at, MIN(piece, len - at));
		}
		if (parser->state == HTTP_PARSER_COMPLETE)
			http_parser_next(parser);
	}
	if (parser->state == HTTP_PARSER_FAILED) {
		g_assert(parser->error_status >= 400 && parser->error_text != NULL);
		g_string_append_printf(record.text, "!%d", parser->error_status);
	}
	*status = parser->error_status;
	http_parser_done(parser);
	return g_string_free(record.text, FALSE);
}

static gboolean is_limit(int status)
{
	return status == 413 || status == 431;
}

static void check(const char *bytes, size_t len, size_t piece, gboolean pausing)
{
	int whole_status, status;
	g_autofree char *whole = run(bytes, len, len, FALSE, &whole_status);
	g_autofree char *pieces = run(bytes, len, piece, pausing, &status);

	/* Where bytes are both too many and wrong, the pieces decide which is seen first. */
	if (is_limit(whole_status) || is_limit(status))
		g_assert(whole_status != 0 && status != 0);
	else
		g_assert_cmpstr(whole, ==, pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	const char *bytes = (const char *)data + 1;
	size_t len = size - 1, piece = 1 + data[0] % 16;

	check(bytes, len, piece, FALSE);
	check(bytes, len, piece, TRUE);
	check(bytes, len, len, TRUE);
	return 0;
}
