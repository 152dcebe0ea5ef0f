#include "cmd/cmd.h"

#include <stdio.h>
#include <unistd.h>

gboolean cmd_parse(int *argc, char ***argv, const char *verb, const char *summary,
    const char *description, const GOptionEntry *entries)
{
	g_autoptr(GOptionContext) context = g_option_context_new(NULL);
	g_autoptr(GError) error = NULL;
	g_autofree char *prgname = g_strconcat("ollama-operator ", verb, NULL);

	g_set_prgname(prgname);
	g_option_context_set_summary(context, summary);
	g_option_context_set_description(context, description);
	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, argc, argv, &error)) {
		fprintf(stderr, "%s: %s; see '%s --help'\n", prgname, error->message, prgname);
		return FALSE;
	}
	if (*argc > 1) {
		fprintf(stderr, "%s: unexpected argument \"%s\"; see '%s --help'\n", prgname,
		    (*argv)[1], prgname);
		return FALSE;
	}
	return TRUE;
}

void cmd_env_default(char **ret_value, const char *name)
{
	const char *value = g_getenv(name);

	if (*ret_value == NULL && value != NULL && *value != '\0')
		*ret_value = g_strdup(value);
}

struct log *cmd_open_log(const char *level, const char *format)
{
	enum log_level log_level = LOG_LEVEL_INFO;
	enum log_format log_format = LOG_FORMAT_LOGFMT;

	if (level == NULL)
		level = g_getenv("LOG_LEVEL");
	if (format == NULL)
		format = g_getenv("LOG_FORMAT");
	if (level != NULL && !log_level_parse(level, &log_level)) {
		fprintf(stderr, "log level \"%s\": it must be debug, info, warn or error\n", level);
		return NULL;
	}
	if (format != NULL && !log_format_parse(format, &log_format)) {
		fprintf(stderr, "log format \"%s\": it must be logfmt or json\n", format);
		return NULL;
	}
	return log_new(STDERR_FILENO, log_format, log_level);
}
