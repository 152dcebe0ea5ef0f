/*
 * The verbs of `ollama-operator`: one file each, thin over the rooms. Each parses its own flags
 * and returns the exit code: 0 done, 1 failed (one line on stderr says why), 2 wrong usage.
 */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include "base/log.h"

int cmd_drain(int argc, char **argv);
int cmd_fetch(int argc, char **argv);
int cmd_manager(int argc, char **argv);
int cmd_probe(int argc, char **argv);
int cmd_store(int argc, char **argv);
int cmd_version(int argc, char **argv);

/*
 * Parses flags by GOption; `summary` heads --help and `description` ends it. On wrong flags it
 * prints one sentence and the hint to --help to stderr and returns FALSE: exit with 2. Left-over
 * arguments are wrong flags.
 */
gboolean cmd_parse(int *argc, char ***argv, const char *verb, const char *summary,
    const char *description, const GOptionEntry *entries);

/* *ret_value = $name unless a flag has set it already; the caller's string (g_free). */
void cmd_env_default(char **ret_value, const char *name);

/*
 * The log of a process from its flags ($LOG_LEVEL and $LOG_FORMAT where they are NULL). NULL: a
 * bad name, which was said on stderr.
 */
struct log *cmd_open_log(const char *level, const char *format);

#endif
