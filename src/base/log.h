/*
 * One line per event, as logfmt or as JSON, to a file descriptor.
 *
 *   time=2026-11-23T10:11:12.345Z level=info msg="model ready" model=default/phi took_ms=812
 *
 * Rooms below the mains never log above debug: failures travel up as GError, so that one failure
 * gives one line. A `struct log *` is passed to whoever logs; NULL is allowed and logs nothing.
 *
 * Threads: any; a line is written by one write(2), so lines never mix.
 * Limits: a value is cut at 8 KiB.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/auto.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

struct log;

/* `fd` is borrowed and stays open. */
struct log *log_new(int fd, enum log_format format, enum log_level level);
void log_free(struct log *log);
DEFINE_AUTO(log, log_free)

/* "debug", "info", "warn", "error"; "logfmt", "json". FALSE: no such name, output untouched. */
gboolean log_level_parse(const char *text, enum log_level *ret_level);
gboolean log_format_parse(const char *text, enum log_format *ret_format);

/*
 * Writes an event. After `msg` come pairs of key and value, both `const char *`, then NULL.
 * A NULL value leaves its pair out. Keys are ours: [a-z0-9_].
 */
void log_event(struct log *log, enum log_level level, const char *msg, ...) G_GNUC_NULL_TERMINATED;

#define log_debug(log, ...) log_event(log, LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(log, ...) log_event(log, LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(log, ...) log_event(log, LOG_LEVEL_WARN, __VA_ARGS__)
#define log_error(log, ...) log_event(log, LOG_LEVEL_ERROR, __VA_ARGS__)

#endif
