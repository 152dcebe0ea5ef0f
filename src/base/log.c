#include "base/log.h"

#include "base/timefmt.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { VALUE_MAX_BYTES = 8192 };

struct log {
	int fd;
	enum log_format format;
	enum log_level level;
};

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *const format_names[] = {"logfmt", "json"};

static gboolean find_name(
    const char *const names[], guint count, const char *text, guint *ret_index)
{
	for (guint i = 0; i < count; i++) {
		if (g_strcmp0(names[i], text) == 0) {
			*ret_index = i;
			return TRUE;
		}
	}
	return FALSE;
}

gboolean log_level_parse(const char *text, enum log_level *ret_level)
{
	guint index;

	if (!find_name(level_names, G_N_ELEMENTS(level_names), text, &index))
		return FALSE;
	*ret_level = (enum log_level)index;
	return TRUE;
}

gboolean log_format_parse(const char *text, enum log_format *ret_format)
{
	guint index;

	if (!find_name(format_names, G_N_ELEMENTS(format_names), text, &index))
		return FALSE;
	*ret_format = (enum log_format)index;
	return TRUE;
}

struct log *log_new(int fd, enum log_format format, enum log_level level)
{
	struct log *log = g_new0(struct log, 1);

	log->fd = fd;
	log->format = format;
	log->level = level;
	return log;
}

void log_free(struct log *log)
{
	g_free(log);
}

/* A JSON string (RFC 8259, section 7); bytes that are no UTF-8 become U+FFFD. */
static void append_quoted(GString *out, const char *value)
{
	g_autofree char *cut = g_strndup(value, VALUE_MAX_BYTES);
	g_autofree char *text = g_utf8_make_valid(cut, -1);

	g_string_append_c(out, '"');
	for (const char *p = text; *p != '\0'; p++) {
		unsigned char c = (unsigned char)*p;

		if (c == '"' || c == '\\')
			g_string_append_printf(out, "\\%c", c);
		else if (c == '\n')
			g_string_append(out, "\\n");
		else if (c == '\t')
			g_string_append(out, "\\t");
		else if (c < 0x20 || c == 0x7f)
			g_string_append_printf(out, "\\u%04x", c);
		else
			g_string_append_c(out, (char)c);
	}
	g_string_append_c(out, '"');
}

/* logfmt leaves plain words bare; whatever could be misread is quoted. */
static gboolean is_plain(const char *value)
{
	if (*value == '\0' || strlen(value) > VALUE_MAX_BYTES)
		return FALSE;
	for (const char *p = value; *p != '\0'; p++) {
		unsigned char c = (unsigned char)*p;

		if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f)
			return FALSE;
	}
	return TRUE;
}

static void append_pair(const struct log *log, GString *line, const char *key, const char *value)
{
	gboolean json = log->format == LOG_FORMAT_JSON;

	if (line->len > (json ? 1u : 0u))
		g_string_append_c(line, json ? ',' : ' ');
	if (json)
		g_string_append_printf(line, "\"%s\":", key);
	else
		g_string_append_printf(line, "%s=", key);
	if (json || !is_plain(value))
		append_quoted(line, value);
	else
		g_string_append(line, value);
}

static void write_all(int fd, const char *data, gsize len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* There is nowhere left to say that the log is gone. */
		data += n;
		len -= (gsize)n;
	}
}

void log_event(struct log *log, enum log_level level, const char *msg, ...)
{
	g_autoptr(GString) line = NULL;
	g_autofree char *now = NULL;
	const char *key;
	va_list pairs;

	if (log == NULL || level < log->level)
		return;
	line = g_string_sized_new(256);
	now = time_rfc3339_us(g_get_real_time());
	if (log->format == LOG_FORMAT_JSON)
		g_string_append_c(line, '{');
	append_pair(log, line, "time", now);
	append_pair(log, line, "level", level_names[level]);
	append_pair(log, line, "msg", msg);
	va_start(pairs, msg);
	while ((key = va_arg(pairs, const char *)) != NULL) {
		const char *value = va_arg(pairs, const char *);

		if (value != NULL)
			append_pair(log, line, key, value);
	}
	va_end(pairs);
	g_string_append(line, log->format == LOG_FORMAT_JSON ? "}\n" : "\n");
	write_all(log->fd, line->str, line->len);
}
