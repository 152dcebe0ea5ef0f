#include "base/duration.h"

#include <math.h>
#include <string.h>

static const struct {
	const char *name;
	double ms;
} units[] = {
    {"ns", 1e-6},
    {"us", 1e-3},
    {"\302\265s", 1e-3},
    {"\316\274s", 1e-3},
    {"ms", 1.0},
    {"s", 1e3},
    {"m", 60e3},
    {"h", 3600e3},
};

/* Takes the unit that `text` begins with; "m" loses to "ms" because it comes later. */
static gboolean take_unit(const char **text, double *ret_ms)
{
	for (gsize i = 0; i < G_N_ELEMENTS(units); i++) {
		if (g_str_has_prefix(*text, units[i].name)) {
			*text += strlen(units[i].name);
			*ret_ms = units[i].ms;
			return TRUE;
		}
	}
	return FALSE;
}

/* Digits with a point among, before or after them; no sign, no exponent. */
static gboolean take_number(const char **text, double *ret_value)
{
	const char *p = *text;
	double value = 0, scale = 1;
	gboolean any = FALSE;

	for (; g_ascii_isdigit(*p); p++, any = TRUE)
		value = value * 10 + (*p - '0');
	if (*p == '.') {
		for (p++; g_ascii_isdigit(*p); p++, any = TRUE) {
			/* Digits past a double's precision would only make `scale` overflow. */
			if (scale < 1e18) {
				value = value * 10 + (*p - '0');
				scale *= 10;
			}
		}
	}
	*text = p;
	*ret_value = value / scale;
	return any;
}

gboolean duration_parse_ms(const char *text, gint64 *ret_ms)
{
	gboolean negative = *text == '-';
	double total_ms = 0;

	if (*text == '-' || *text == '+')
		text++;
	if (strcmp(text, "0") == 0) {
		*ret_ms = 0;
		return TRUE;
	}
	if (*text == '\0')
		return FALSE;
	while (*text != '\0') {
		double value, unit_ms;

		if (!take_number(&text, &value) || !take_unit(&text, &unit_ms))
			return FALSE;
		total_ms += value * unit_ms;
	}
	if (!(total_ms < 9.2e18))
		return FALSE;
	*ret_ms = (gint64)llround(negative ? -total_ms : total_ms);
	return TRUE;
}

/* The size of a negative value, also of the smallest one. */
static guint64 magnitude(gint64 ms)
{
	return ms < 0 ? 0 - (guint64)ms : (guint64)ms;
}

char *duration_format_ms(gint64 ms)
{
	const char *sign = ms < 0 ? "-" : "";
	guint64 whole = magnitude(ms), tenths = whole / 100 % 10;

	if (whole < 1000)
		return g_strdup_printf("%s%" G_GUINT64_FORMAT "ms", sign, whole);
	if (whole < 60000 && tenths != 0)
		return g_strdup_printf(
		    "%s%" G_GUINT64_FORMAT ".%us", sign, whole / 1000, (guint)tenths);
	if (whole < 60000)
		return g_strdup_printf("%s%" G_GUINT64_FORMAT "s", sign, whole / 1000);
	if (whole < 3600000)
		return g_strdup_printf(
		    "%s%" G_GUINT64_FORMAT "m%us", sign, whole / 60000, (guint)(whole / 1000 % 60));
	return g_strdup_printf(
	    "%s%" G_GUINT64_FORMAT "h%um", sign, whole / 3600000, (guint)(whole / 60000 % 60));
}
