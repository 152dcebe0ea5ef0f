#include "base/quantity.h"

#include <math.h>
#include <string.h>

static const struct {
	const char *suffix;
	long double factor;
} suffixes[] = {
    {"", 1.0L}, {"n", 1e-9L}, {"u", 1e-6L}, {"m", 1e-3L}, {"k", 1e3L}, {"M", 1e6L}, {"G", 1e9L},
    {"T", 1e12L}, {"P", 1e15L}, {"E", 1e18L}, {"Ki", 1024.0L}, {"Mi", 1048576.0L},
    {"Gi", 1073741824.0L}, {"Ti", 1099511627776.0L}, {"Pi", 1125899906842624.0L},
    {"Ei", 1152921504606846976.0L},
};

/* The digits with their point, at most 64 of them: enough for any 64-bit value with a fraction. */
static gboolean take_number(const char **text, long double *ret_value)
{
	const char *p = *text;
	long double value = 0, scale = 1;
	gboolean any = FALSE, point = FALSE;

	for (; g_ascii_isdigit(*p) || (*p == '.' && !point); p++) {
		if (p - *text > 64)
			return FALSE;
		if (*p == '.') {
			point = TRUE;
			continue;
		}
		any = TRUE;
		value = value * 10 + (*p - '0');
		if (point)
			scale *= 10;
	}
	*text = p;
	*ret_value = value / scale;
	return any;
}

static gboolean suffix_factor(const char *suffix, long double *ret_factor)
{
	if ((*suffix == 'e' || *suffix == 'E') && suffix[1] != '\0' && strcmp(suffix, "Ei") != 0) {
		char *end;
		gint64 exponent = g_ascii_strtoll(suffix + 1, &end, 10);

		if (*end != '\0' || exponent > 18 || exponent < -18)
			return FALSE;
		*ret_factor = powl(10.0L, (long double)exponent);
		return TRUE;
	}
	for (gsize i = 0; i < G_N_ELEMENTS(suffixes); i++) {
		if (strcmp(suffixes[i].suffix, suffix) == 0) {
			*ret_factor = suffixes[i].factor;
			return TRUE;
		}
	}
	return FALSE;
}

static gboolean parse_scaled(const char *text, long double scale, gint64 *ret_value)
{
	gboolean negative = *text == '-';
	long double value, factor;

	if (*text == '-' || *text == '+')
		text++;
	if (!take_number(&text, &value) || !suffix_factor(text, &factor))
		return FALSE;
	value = value * factor * scale;
	/* A trillionth of slack keeps 0.1 from becoming 0.1000...01 rounded up. */
	value = ceill(value - value * 1e-15L);
	if (!(value < 9223372036854775807.0L))
		return FALSE;
	*ret_value = negative ? -(gint64)value : (gint64)value;
	return TRUE;
}

gboolean quantity_parse_milli(const char *text, gint64 *ret_milli)
{
	return parse_scaled(text, 1000.0L, ret_milli);
}

gboolean quantity_parse(const char *text, gint64 *ret_value)
{
	return parse_scaled(text, 1.0L, ret_value);
}

char *quantity_format_bytes(gint64 bytes)
{
	static const char *const names[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
	guint step = 0;

	while (bytes != 0 && bytes % 1024 == 0 && step + 1 < G_N_ELEMENTS(names)) {
		bytes /= 1024;
		step++;
	}
	return g_strdup_printf("%" G_GINT64_FORMAT "%s", bytes, names[step]);
}

char *quantity_human_bytes(gint64 bytes)
{
	static const char *const names[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
	double value = (double)bytes;
	guint step = 0;

	while (value >= 999.5 && step + 1 < G_N_ELEMENTS(names)) {
		value /= 1000;
		step++;
	}
	if (step == 0 || value >= 99.5)
		return g_strdup_printf("%.0f %s", value, names[step]);
	return g_strdup_printf("%.1f %s", value, names[step]);
}
