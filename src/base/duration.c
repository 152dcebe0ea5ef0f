#include "base/duration.h"

#include <math.h>
#include <string.h>

static const struct {
	const char *name;
	double ms;
} units[] = {
    {"ns", 1e-6}, {"us", 1e-3}, {"\302\265s", 1e-3}, {"ms", 1.0}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3},
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
		char *end;
		double value, unit_ms;

		if (!g_ascii_isdigit(*text) && *text != '.')
			return FALSE;
		value = g_ascii_strtod(text, &end);
		if (end == text || memchr(text, 'x', (gsize)(end - text)) != NULL ||
		    memchr(text, 'e', (gsize)(end - text)) != NULL)
			return FALSE;
		text = end;
		if (!take_unit(&text, &unit_ms))
			return FALSE;
		total_ms += value * unit_ms;
	}
	if (!(total_ms < 9e18))
		return FALSE;
	*ret_ms = (gint64)llround(negative ? -total_ms : total_ms);
	return TRUE;
}

char *duration_format_ms(gint64 ms)
{
	if (ms < 1000)
		return g_strdup_printf("%" G_GINT64_FORMAT "ms", ms);
	if (ms < 60000)
		return g_strdup_printf("%.1fs", (double)ms / 1000.0);
	if (ms < 3600000)
		return g_strdup_printf("%" G_GINT64_FORMAT "m%" G_GINT64_FORMAT "s", ms / 60000,
		    ms / 1000 % 60);
	return g_strdup_printf("%" G_GINT64_FORMAT "h%" G_GINT64_FORMAT "m", ms / 3600000,
	    ms / 60000 % 60);
}
