/*
 * Kubernetes' two time formats (both RFC 3339, always UTC) to and from microseconds since 1970.
 * Ownership: returned strings are the caller's. Threads: any.
 */
#ifndef BASE_TIMEFMT_H
#define BASE_TIMEFMT_H

#include <glib.h>

/* metav1.Time: "2026-11-23T10:11:12Z". */
char *time_rfc3339(gint64 wall_us);

/* metav1.MicroTime: "2026-11-23T10:11:12.345678Z". */
char *time_rfc3339_us(gint64 wall_us);

/*
 * Any RFC 3339 time: with or without a fraction (cut to microseconds), "Z" or an offset. FALSE: not
 * a time; the output is untouched.
 */
gboolean time_parse(const char *text, gint64 *ret_wall_us);

#endif
