#include "net/url.h"

#include <string.h>

char *url_encode(const char *segment)
{
	static const char hex[] = "0123456789ABCDEF";
	GString *out = g_string_sized_new(strlen(segment) + 16);

	for (const unsigned char *at = (const unsigned char *)segment; *at != '\0'; at++) {
		if (g_ascii_isalnum(*at) || strchr("-._~", *at) != NULL) {
			g_string_append_c(out, (char)*at);
			continue;
		}
		g_string_append_c(out, '%');
		g_string_append_c(out, hex[*at >> 4]);
		g_string_append_c(out, hex[*at & 15]);
	}
	return g_string_free(out, FALSE);
}

/* One byte of `text` at *at, unescaped; -1: a broken escape or NUL. Moves *at behind it. */
static int take_byte(const char *text, gsize len, gsize *at, gboolean plus_is_space)
{
	char c = text[*at];

	*at += 1;
	if (c == '+' && plus_is_space)
		return ' ';
	if (c != '%')
		return c == '\0' ? -1 : (unsigned char)c;
	if (len - *at < 2)
		return -1;
	int high = g_ascii_xdigit_value(text[*at]);
	int low = g_ascii_xdigit_value(text[*at + 1]);
	*at += 2;
	if (high < 0 || low < 0 || (high == 0 && low == 0))
		return -1;
	return high * 16 + low;
}

static char *decode(const char *text, gsize len, gboolean plus_is_space)
{
	GString *out = g_string_sized_new(MIN(len, 256));

	for (gsize at = 0; at < len;) {
		int byte = take_byte(text, len, &at, plus_is_space);
		if (byte < 0) {
			g_string_free(out, TRUE);
			return NULL;
		}
		g_string_append_c(out, (char)byte);
	}
	return g_string_free(out, FALSE);
}

char *url_decode(const char *text, gsize len)
{
	return decode(text, len, FALSE);
}

char *url_query_get(const char *query, const char *key)
{
	for (const char *at = query; at != NULL && *at != '\0';) {
		gsize len = strcspn(at, "&");
		const char *equals = memchr(at, '=', len);
		gsize name_len = equals != NULL ? (gsize)(equals - at) : len;
		g_autofree char *name = decode(at, name_len, TRUE);

		if (name != NULL && strcmp(name, key) == 0)
			return equals != NULL ? decode(equals + 1, len - name_len - 1, TRUE)
					      : g_strdup("");
		at += len;
		at += *at == '&';
	}
	return NULL;
}
