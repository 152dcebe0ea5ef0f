#include "net/http_parser.h"

#include <string.h>

/* --- messages ----------------------------------------------------------------------------- */

static struct http_message *message_new(void)
{
	struct http_message *message = g_new0(struct http_message, 1);

	message->text = g_string_new(NULL);
	message->fields = g_array_new(FALSE, FALSE, sizeof(struct http_field));
	message->content_length = -1;
	return message;
}

void http_message_free(struct http_message *message)
{
	if (message == NULL)
		return;
	g_free(message->path);
	g_free(message->query);
	g_string_free(message->text, TRUE);
	g_array_free(message->fields, TRUE);
	g_free(message);
}

static const char *find_header(const struct http_message *message, const char *name, guint *count)
{
	const char *found = NULL;

	*count = 0;
	for (guint i = 0; i < message->fields->len; i++) {
		struct http_field *field = &g_array_index(message->fields, struct http_field, i);
		if (g_ascii_strcasecmp(message->text->str + field->name, name) != 0)
			continue;
		*count += 1;
		if (found == NULL)
			found = message->text->str + field->value;
	}
	return found;
}

const char *http_message_header(const struct http_message *message, const char *name)
{
	guint count;

	return find_header(message, name, &count);
}

/* --- checks of a whole head --------------------------------------------------------------- */

static gboolean refuse(struct http_parser *parser, int status, const char *text)
{
	parser->error_status = status;
	parser->error_text = text;
	return FALSE;
}

static gboolean check_version(struct http_parser *parser, struct http_message *message)
{
	if (llhttp_get_http_major(&parser->llhttp) != 1)
		return refuse(parser, 505, "HTTP version not supported");
	message->http10 = llhttp_get_http_minor(&parser->llhttp) == 0;
	if (llhttp_get_method(&parser->llhttp) == HTTP_CONNECT)
		return refuse(parser, 501, "CONNECT is not supported");
	return TRUE;
}

/* "/path?query", "*" for OPTIONS, or "http://authority/path?query". */
static gboolean take_target(struct http_parser *parser, struct http_message *message)
{
	const char *target = parser->target->str;
	const char *path = target;

	if (strlen(target) != parser->target->len || strchr(target, '#') != NULL)
		return refuse(parser, 400, "bad request target");
	if (g_ascii_strncasecmp(target, "http://", 7) == 0)
		path = target + 7 + strcspn(target + 7, "/?");
	else if (g_ascii_strncasecmp(target, "https://", 8) == 0)
		path = target + 8 + strcspn(target + 8, "/?");
	else if (*target != '/' &&
		 (strcmp(target, "*") != 0 || llhttp_get_method(&parser->llhttp) != HTTP_OPTIONS))
		return refuse(parser, 400, "bad request target");
	gsize len = strcspn(path, "?");
	message->path = len > 0 ? g_strndup(path, len) : g_strdup("/");
	message->query = g_strdup(path[len] == '?' ? path + len + 1 : "");
	return TRUE;
}

static gboolean check_fields(struct http_parser *parser, struct http_message *message)
{
	guint count;

	find_header(message, "Host", &count);
	if (count > 1 || (count == 0 && !message->http10))
		return refuse(parser, 400, "one Host field is needed");
	const char *coding = find_header(message, "Transfer-Encoding", &count);
	if (coding != NULL && message->http10)
		return refuse(parser, 400, "Transfer-Encoding in HTTP/1.0");
	if (coding != NULL && (count > 1 || g_ascii_strcasecmp(coding, "chunked") != 0))
		return refuse(parser, 501, "transfer coding not supported");
	const char *expect = find_header(message, "Expect", &count);
	if (expect == NULL || message->http10)
		return TRUE;
	if (count > 1 || g_ascii_strcasecmp(expect, "100-continue") != 0)
		return refuse(parser, 417, "expectation not supported");
	message->expects_continue = TRUE;
	return TRUE;
}

static gboolean check_length(struct http_parser *parser, struct http_message *message)
{
	guint64 length = parser->llhttp.content_length;

	if (http_message_header(message, "Transfer-Encoding") != NULL)
		return TRUE;
	if (length > G_MAXINT64 ||
	    (parser->max_body_bytes >= 0 && length > (guint64)parser->max_body_bytes))
		return refuse(parser, 413, "request body too large");
	message->content_length = (gint64)length;
	if (length == 0)
		message->expects_continue = FALSE;
	return TRUE;
}

/* --- llhttp's callbacks ------------------------------------------------------------------- */

static int pause_or_go(const struct http_parser *parser)
{
	return parser->pause ? HPE_PAUSED : 0;
}

static int on_url(llhttp_t *llhttp, const char *bytes, size_t len)
{
	struct http_parser *parser = llhttp->data;

	g_string_append_len(parser->target, bytes, (gssize)len);
	return 0;
}

/* Trailers and chunk extensions are read past, within the limit of a head. */
static int skip_extra(struct http_parser *parser, size_t len)
{
	parser->extra_bytes += len;
	if (parser->extra_bytes <= parser->max_head_bytes)
		return 0;
	refuse(parser, 431, "trailers or chunk extensions too large");
	return HPE_USER;
}

static int on_extension(llhttp_t *llhttp, const char *bytes, size_t len)
{
	(void)bytes;
	return skip_extra(llhttp->data, len);
}

/* The piece of a name or value goes to the end of the text. */
static int on_field_bytes(llhttp_t *llhttp, const char *bytes, size_t len)
{
	struct http_parser *parser = llhttp->data;

	if (parser->state != HTTP_PARSER_HEAD)
		return skip_extra(parser, len);
	/* Names and values are kept as C strings. llhttp refuses NUL; this does not rely on it. */
	if (memchr(bytes, '\0', len) != NULL)
		return HPE_USER;
	g_string_append_len(parser->message->text, bytes, (gssize)len);
	return 0;
}

static int on_name_complete(llhttp_t *llhttp)
{
	struct http_parser *parser = llhttp->data;

	if (parser->state != HTTP_PARSER_HEAD)
		return skip_extra(parser, 1);
	g_string_append_c(parser->message->text, '\0');
	return 0;
}

static int on_value_complete(llhttp_t *llhttp)
{
	struct http_parser *parser = llhttp->data;
	struct http_field field = {0, 0};

	if (parser->state != HTTP_PARSER_HEAD)
		return skip_extra(parser, 1);
	GString *text = parser->message->text;
	GArray *fields = parser->message->fields;
	if (fields->len > 0) {
		field = g_array_index(fields, struct http_field, fields->len - 1);
		field.name = field.value + strlen(text->str + field.value) + 1;
	}
	field.value = field.name + strlen(text->str + field.name) + 1;
	while (text->len > field.value && strchr(" \t", text->str[text->len - 1]) != NULL)
		g_string_truncate(text, text->len - 1);
	g_string_append_c(text, '\0');
	g_array_append_val(fields, field);
	return 0;
}

static int on_headers_complete(llhttp_t *llhttp)
{
	struct http_parser *parser = llhttp->data;
	struct http_message *message = parser->message;

	if (!check_version(parser, message) || !take_target(parser, message) ||
	    !check_fields(parser, message) || !check_length(parser, message))
		return -1;
	message->method = llhttp_method_name((llhttp_method_t)llhttp_get_method(llhttp));
	message->keep_alive = llhttp_should_keep_alive(llhttp) != 0;
	/* Protocol upgrades are not offered: the request is answered as it stands. */
	llhttp->upgrade = 0;
	parser->state = HTTP_PARSER_BODY;
	gboolean has_body = message->content_length != 0;
	/* The callback may take the message away. */
	parser->ops->head(parser->data);
	return has_body ? pause_or_go(parser) : 0;
}

static int on_body(llhttp_t *llhttp, const char *bytes, size_t len)
{
	struct http_parser *parser = llhttp->data;

	/* llhttp closes each buffer with a piece, even one without bytes. */
	if (len == 0)
		return 0;
	parser->body_bytes += (gint64)len;
	if (parser->max_body_bytes >= 0 && parser->body_bytes > parser->max_body_bytes) {
		refuse(parser, 413, "request body too large");
		return HPE_USER;
	}
	parser->ops->body(parser->data, bytes, len);
	return pause_or_go(parser);
}

static int on_message_complete(llhttp_t *llhttp)
{
	struct http_parser *parser = llhttp->data;

	parser->state = HTTP_PARSER_COMPLETE;
	parser->ops->complete(parser->data);
	/* Always: the next message waits until this one was answered. */
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_field_bytes,
    .on_header_value = on_field_bytes,
    .on_header_field_complete = on_name_complete,
    .on_header_value_complete = on_value_complete,
    .on_chunk_extension_name = on_extension,
    .on_chunk_extension_value = on_extension,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* --- the parser --------------------------------------------------------------------------- */

static void start(struct http_parser *parser)
{
	llhttp_init(&parser->llhttp, HTTP_REQUEST, &settings);
	parser->llhttp.data = parser;
	parser->state = HTTP_PARSER_HEAD;
	http_message_free(parser->message);
	parser->message = message_new();
	g_string_truncate(parser->target, 0);
	parser->head_bytes = 0;
	parser->extra_bytes = 0;
	parser->body_bytes = 0;
	parser->pause = FALSE;
}

void http_parser_init(struct http_parser *parser, gsize max_head_bytes, gint64 max_body_bytes,
    const struct http_parser_ops *ops, void *data)
{
	*parser = (struct http_parser){
	    .ops = ops,
	    .data = data,
	    .max_head_bytes = max_head_bytes,
	    .max_body_bytes = max_body_bytes,
	    .target = g_string_new(NULL),
	};
	start(parser);
}

void http_parser_done(struct http_parser *parser)
{
	http_message_free(parser->message);
	parser->message = NULL;
	if (parser->target != NULL)
		g_string_free(parser->target, TRUE);
	parser->target = NULL;
}

void http_parser_next(struct http_parser *parser)
{
	g_assert(parser->state == HTTP_PARSER_COMPLETE && !parser->running);
	start(parser);
}

void http_parser_pause(struct http_parser *parser)
{
	parser->pause = TRUE;
}

void http_parser_resume(struct http_parser *parser)
{
	parser->pause = FALSE;
}

static void fail(struct http_parser *parser)
{
	parser->state = HTTP_PARSER_FAILED;
	if (parser->error_status == 0)
		refuse(parser, 400, "bad request");
}

/* One call of llhttp; in a head at most as many bytes as it may still have. */
static gsize feed_some(struct http_parser *parser, const char *bytes, gsize len)
{
	gboolean in_head = parser->state == HTTP_PARSER_HEAD;

	if (in_head)
		len = MIN(len, parser->max_head_bytes - parser->head_bytes);
	if (llhttp_get_errno(&parser->llhttp) == HPE_PAUSED)
		llhttp_resume(&parser->llhttp);
	llhttp_errno_t code = llhttp_execute(&parser->llhttp, bytes, len);
	gsize used = len;
	if (code == HPE_PAUSED)
		used = (gsize)(llhttp_get_error_pos(&parser->llhttp) - bytes);
	else if (code != HPE_OK)
		fail(parser);
	if (in_head)
		parser->head_bytes += used;
	if (parser->state == HTTP_PARSER_HEAD && parser->head_bytes >= parser->max_head_bytes) {
		refuse(parser, 431, "request head too large");
		fail(parser);
	}
	return used;
}

gsize http_parser_feed(struct http_parser *parser, const char *bytes, gsize len)
{
	gsize used = 0;

	g_assert(!parser->running);
	parser->running = TRUE;
	/* At least once: after a pause at a body's last byte its end needs no further bytes. */
	do {
		if (parser->pause || parser->state == HTTP_PARSER_COMPLETE ||
		    parser->state == HTTP_PARSER_FAILED)
			break;
		used += feed_some(parser, bytes + used, len - used);
	} while (used < len);
	parser->running = FALSE;
	return used;
}
