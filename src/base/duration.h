/*
 * Durations as Go writes them ("1h30m", "250ms", "-1s"), which is how Kubernetes' and Ollama's
 * users write them. Source: Go's time.ParseDuration.
 */
#ifndef BASE_DURATION_H
#define BASE_DURATION_H

#include <glib.h>

/* FALSE: not a duration, or beyond 2^63 ms; the output is untouched. Rounds to milliseconds. */
gboolean duration_parse_ms(const char *text, gint64 *ret_ms);

/*
 * "850ms", "1.5s", "2m3s", "1h5m": short, for people and logs; what is smaller than the last
 * place is cut off. The caller's.
 */
char *duration_format_ms(gint64 ms);

#endif
