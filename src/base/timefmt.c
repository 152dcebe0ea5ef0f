#include "base/timefmt.h"

#include <string.h>

enum { USEC_PER_SEC = 1000000 };

/* RFC 3339 has four digits for the year; a clock outside of them shows the nearest end. */
static const gint64 first_second = -62135596800; /* 0001-01-01T00:00:00Z */
static const gint64 last_second = 253402300799;  /* 9999-12-31T23:59:59Z */

/* Splits so that the microseconds are never negative, also before 1970. */
static gint64 split(gint64 wall_us, int *ret_us)
{
	gint64 seconds = wall_us / USEC_PER_SEC, us = wall_us % USEC_PER_SEC;

	if (us < 0) {
		us += USEC_PER_SEC;
		seconds--;
	}
	*ret_us = (int)us;
	return CLAMP(seconds, first_second, last_second);
}

static char *format_seconds(gint64 seconds, int us, gboolean with_us)
{
	g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(seconds);
	g_autofree char *day = g_strdup_printf("%04d-%02d-%02dT%02d:%02d:%02d",
	    g_date_time_get_year(time), g_date_time_get_month(time),
	    g_date_time_get_day_of_month(time), g_date_time_get_hour(time),
	    g_date_time_get_minute(time), g_date_time_get_second(time));

	return with_us ? g_strdup_printf("%s.%06dZ", day, us) : g_strconcat(day, "Z", NULL);
}

char *time_rfc3339(gint64 wall_us)
{
	int us;
	gint64 seconds = split(wall_us, &us);

	return format_seconds(seconds, us, FALSE);
}

char *time_rfc3339_us(gint64 wall_us)
{
	int us;
	gint64 seconds = split(wall_us, &us);

	return format_seconds(seconds, us, TRUE);
}

/* Exactly `count` digits. */
static gboolean take_digits(const char **text, int count, int *ret_value)
{
	int value = 0;

	for (int i = 0; i < count; i++) {
		if (!g_ascii_isdigit((*text)[i]))
			return FALSE;
		value = value * 10 + ((*text)[i] - '0');
	}
	*text += count;
	*ret_value = value;
	return TRUE;
}

/* ".123456789": digits past microseconds are cut off. */
static gboolean take_fraction(const char **text, int *ret_us)
{
	int us = 0, place = USEC_PER_SEC / 10;

	if (**text != '.') {
		*ret_us = 0;
		return TRUE;
	}
	++*text;
	if (!g_ascii_isdigit(**text))
		return FALSE;
	for (; g_ascii_isdigit(**text); ++*text, place /= 10)
		us += place * (**text - '0');
	*ret_us = us;
	return TRUE;
}

/* "Z" or "+01:30", which must end the text. */
static gboolean take_offset(const char *text, int *ret_seconds)
{
	int hours, minutes, sign = *text == '-' ? -1 : 1;

	if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0) {
		*ret_seconds = 0;
		return TRUE;
	}
	if (*text != '+' && *text != '-')
		return FALSE;
	text++;
	if (!take_digits(&text, 2, &hours) || *text++ != ':' || !take_digits(&text, 2, &minutes) ||
	    *text != '\0' || hours > 23 || minutes > 59)
		return FALSE;
	*ret_seconds = sign * (hours * 3600 + minutes * 60);
	return TRUE;
}

gboolean time_parse(const char *text, gint64 *ret_wall_us)
{
	int year, month, day, hour, minute, second, us, offset;
	g_autoptr(GDateTime) time = NULL;

	if (!take_digits(&text, 4, &year) || *text++ != '-' || !take_digits(&text, 2, &month) ||
	    *text++ != '-' || !take_digits(&text, 2, &day) || (*text != 'T' && *text != 't'))
		return FALSE;
	text++;
	if (!take_digits(&text, 2, &hour) || *text++ != ':' || !take_digits(&text, 2, &minute) ||
	    *text++ != ':' || !take_digits(&text, 2, &second) || !take_fraction(&text, &us) ||
	    !take_offset(text, &offset))
		return FALSE;
	/* A leap second is the last one of its minute; GLib checks the rest. */
	time = g_date_time_new_utc(year, month, day, hour, minute, second == 60 ? 59 : second);
	if (time == NULL)
		return FALSE;
	*ret_wall_us = (g_date_time_to_unix(time) - offset) * USEC_PER_SEC + us;
	return TRUE;
}
