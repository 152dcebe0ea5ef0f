#include "base/timefmt.h"

static char *format(gint64 wall_us, const char *pattern)
{
	g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(wall_us / G_USEC_PER_SEC);

	return g_date_time_format(time, pattern);
}

char *time_rfc3339(gint64 wall_us)
{
	return format(wall_us, "%Y-%m-%dT%H:%M:%SZ");
}

char *time_rfc3339_us(gint64 wall_us)
{
	g_autofree char *seconds = format(wall_us, "%Y-%m-%dT%H:%M:%S");

	return g_strdup_printf("%s.%06dZ", seconds, (int)(wall_us % G_USEC_PER_SEC));
}

gboolean time_parse(const char *text, gint64 *ret_wall_us)
{
	g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
	g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(text, utc);

	if (time == NULL)
		return FALSE;
	*ret_wall_us = g_date_time_to_unix(time) * G_USEC_PER_SEC + g_date_time_get_microsecond(time);
	return TRUE;
}
