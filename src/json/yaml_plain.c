#include "json/yaml_priv.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_MAX_BYTES = 5 };

enum word { WORD_NULL, WORD_TRUE, WORD_FALSE, WORD_INF, WORD_MINUS_INF, WORD_NAN };

static const struct {
	const char *text;
	enum word word;
} words[] = {
    {"", WORD_NULL},
    {"~", WORD_NULL},
    {"null", WORD_NULL},
    {"Null", WORD_NULL},
    {"NULL", WORD_NULL},
    {"y", WORD_TRUE},
    {"Y", WORD_TRUE},
    {"yes", WORD_TRUE},
    {"Yes", WORD_TRUE},
    {"YES", WORD_TRUE},
    {"true", WORD_TRUE},
    {"True", WORD_TRUE},
    {"TRUE", WORD_TRUE},
    {"on", WORD_TRUE},
    {"On", WORD_TRUE},
    {"ON", WORD_TRUE},
    {"n", WORD_FALSE},
    {"N", WORD_FALSE},
    {"no", WORD_FALSE},
    {"No", WORD_FALSE},
    {"NO", WORD_FALSE},
    {"false", WORD_FALSE},
    {"False", WORD_FALSE},
    {"FALSE", WORD_FALSE},
    {"off", WORD_FALSE},
    {"Off", WORD_FALSE},
    {"OFF", WORD_FALSE},
    {".inf", WORD_INF},
    {".Inf", WORD_INF},
    {".INF", WORD_INF},
    {"+.inf", WORD_INF},
    {"+.Inf", WORD_INF},
    {"+.INF", WORD_INF},
    {"-.inf", WORD_MINUS_INF},
    {"-.Inf", WORD_MINUS_INF},
    {"-.INF", WORD_MINUS_INF},
    {".nan", WORD_NAN},
    {".NaN", WORD_NAN},
    {".NAN", WORD_NAN},
};

static void set_word(enum word word, struct plain *ret_plain)
{
	switch (word) {
	case WORD_NULL:
		ret_plain->kind = PLAIN_NULL;
		break;
	case WORD_TRUE:
	case WORD_FALSE:
		ret_plain->kind = PLAIN_BOOL;
		ret_plain->truth = word == WORD_TRUE;
		break;
	case WORD_INF:
	case WORD_MINUS_INF:
	case WORD_NAN:
		ret_plain->kind = PLAIN_REAL;
		ret_plain->real = word == WORD_NAN ? NAN : word == WORD_INF ? INFINITY : -INFINITY;
		break;
	}
}

static gboolean resolve_word(const char *text, gsize len, struct plain *ret_plain)
{
	if (len > WORD_MAX_BYTES)
		return FALSE;
	for (gsize i = 0; i < G_N_ELEMENTS(words); i++) {
		if (strcmp(words[i].text, text) == 0) {
			set_word(words[i].word, ret_plain);
			return TRUE;
		}
	}
	return FALSE;
}

/* Steps over "0x", "0b", "0o" or the bare "0" of an octal number. */
static int take_base(const char **digits)
{
	if ((*digits)[0] != '0' || (*digits)[1] == '\0')
		return 10;
	*digits += 2;
	switch (g_ascii_tolower((*digits)[-1])) {
	case 'x':
		return 16;
	case 'b':
		return 2;
	case 'o':
		return 8;
	default:
		*digits -= 1;
		return 8;
	}
}

/* Up to 2^63 with a minus, up to 2^64 without a sign: what fits neither is tried as a fraction. */
static gboolean resolve_integer(const char *text, struct plain *ret_plain)
{
	gboolean negative = *text == '-', positive = *text == '+';
	const char *digits = text + (negative || positive ? 1 : 0);
	int base = take_base(&digits);
	guint64 value;
	char *end;

	if (!g_ascii_isxdigit(*digits))
		return FALSE;
	errno = 0;
	value = g_ascii_strtoull(digits, &end, (guint)base);
	/* strtoull takes one more "0x" itself after ours. */
	if (*end != '\0' || errno != 0 || (base == 16 && g_ascii_tolower(digits[1]) == 'x'))
		return FALSE;
	if (value > (guint64)G_MAXINT64 + (negative ? 1 : 0)) {
		if (negative || positive)
			return FALSE;
		ret_plain->kind = PLAIN_UINT;
		ret_plain->uint = value;
		return TRUE;
	}
	ret_plain->kind = PLAIN_SINT;
	ret_plain->sint = (gint64)(negative ? 0 - value : value);
	return TRUE;
}

static gsize skip_digits(const char **text)
{
	gsize count = strspn(*text, "0123456789");

	*text += count;
	return count;
}

/* [-+]? (digits . digits? | . digits | digits) ([eE] [-+]? digits)? */
static gboolean looks_real(const char *text)
{
	gsize digits;

	if (*text == '-' || *text == '+')
		text++;
	digits = skip_digits(&text);
	if (*text == '.') {
		text++;
		digits += skip_digits(&text);
	}
	if (digits == 0)
		return FALSE;
	if (*text == 'e' || *text == 'E') {
		text++;
		if (*text == '-' || *text == '+')
			text++;
		if (skip_digits(&text) == 0)
			return FALSE;
	}
	return *text == '\0';
}

/* Too large for a double means: not a number. Too small becomes 0. */
static gboolean resolve_real(const char *text, struct plain *ret_plain)
{
	double value;

	if (!looks_real(text))
		return FALSE;
	value = g_ascii_strtod(text, NULL);
	if (!isfinite(value))
		return FALSE;
	ret_plain->kind = PLAIN_REAL;
	ret_plain->real = value;
	return TRUE;
}

static void remove_underscores(char *text)
{
	char *to = text;

	for (const char *from = text; *from != '\0'; from++) {
		if (*from != '_')
			*to++ = *from;
	}
	*to = '\0';
}

void plain_resolve(const char *text, gsize len, struct plain *ret_plain)
{
	g_autofree char *bare = NULL;

	memset(ret_plain, 0, sizeof(*ret_plain));
	ret_plain->kind = PLAIN_STRING;
	if (resolve_word(text, len, ret_plain))
		return;
	if (*text == '.') {
		resolve_real(text, ret_plain);
		return;
	}
	if (!g_ascii_isdigit(*text) && *text != '-' && *text != '+')
		return;
	bare = g_strndup(text, len);
	remove_underscores(bare);
	if (!resolve_integer(bare, ret_plain))
		resolve_real(bare, ret_plain);
}

/* 1:30 and 190:20:30.5, which YAML 1.1 counts in base 60; 80:80 it does not. */
static gboolean looks_base60(const char *text)
{
	gsize parts = 0;

	if (*text == '-' || *text == '+')
		text++;
	if (!g_ascii_isdigit(*text))
		return FALSE;
	for (text += strspn(text, "0123456789_"); *text == ':'; parts++) {
		const char *part = ++text;
		gsize digits = skip_digits(&text);

		if (digits == 0 || digits > 2 || (digits == 2 && *part > '5'))
			return FALSE;
	}
	if (parts > 0 && *text == '.')
		text += 1 + strspn(text + 1, "0123456789_");
	return parts > 0 && *text == '\0';
}

/* 2026-11-23, alone or with a time after it. */
static gboolean looks_date(const char *text)
{
	gsize month, day;

	if (skip_digits(&text) != 4 || *text++ != '-')
		return FALSE;
	month = skip_digits(&text);
	if (month < 1 || month > 2 || *text++ != '-')
		return FALSE;
	day = skip_digits(&text);
	return day >= 1 && day <= 2 && (*text == '\0' || strchr("Tt \t", *text) != NULL);
}

gboolean plain_is_safe(const char *text, gsize len)
{
	struct plain plain;

	/* A NUL inside is no plain text in any case; the emitter escapes it. */
	if (memchr(text, '\0', len) != NULL)
		return FALSE;
	plain_resolve(text, len, &plain);
	if (plain.kind != PLAIN_STRING || strcmp(text, "<<") == 0 || strcmp(text, "=") == 0)
		return FALSE;
	return !looks_base60(text) && !looks_date(text);
}
