#include "cmd/cmd.h"

#include "base/duration.h"
#include "net/activity.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum {
	DEFAULT_PORT = 11434,
	DEFAULT_TIMEOUT_MS = 300 * 1000,
	/* For load balancers to hear that the pod is going, before its last requests are counted.
	 */
	DEFAULT_DELAY_MS = 2000,
	/* A stream whose next token takes longer than that is owed by no one: see net/activity.h.
	 */
	QUIET_MS = 3000,
	LOOK_EVERY_MS = 250,
};

struct flags {
	int port;
	char *timeout;
	char *delay;
	gint64 timeout_ms;
	gint64 delay_ms;
};

static gboolean take_duration(const char *flag, const char *text, gint64 *ret_ms)
{
	if (text == NULL || (duration_parse_ms(text, ret_ms) && *ret_ms >= 0))
		return TRUE;
	fprintf(stderr,
	    "ollama-operator drain: --%s \"%s\": it must be a duration like 90s or 5m\n", flag,
	    text);
	return FALSE;
}

static gboolean parse_flags(int argc, char **argv, struct flags *flags)
{
	const GOptionEntry entries[] = {
	    {"port", 0, 0, G_OPTION_ARG_INT, &flags->port, "The server's port [11434]", "PORT"},
	    {"timeout", 0, 0, G_OPTION_ARG_STRING, &flags->timeout,
		"Give up after this long; then what still runs is cut [5m]", "DURATION"},
	    {"delay", 0, 0, G_OPTION_ARG_STRING, &flags->delay,
		"First wait for those who send requests to hear that this pod goes [2s]",
		"DURATION"},
	    G_OPTION_ENTRY_NULL,
	};

	flags->port = DEFAULT_PORT;
	flags->timeout_ms = DEFAULT_TIMEOUT_MS;
	flags->delay_ms = DEFAULT_DELAY_MS;
	if (!cmd_parse(&argc, &argv, "drain",
		"Pre-stop hook of a model's pod: returns when no request is under way any more, so "
		"that\n"
		"the server is ended between requests and no stream is cut.",
		"It looks at the connections of its own network namespace, and talks to nobody. It "
		"exits\n"
		"with 0 when nothing is under way, with 1 when it gave up.",
		entries))
		return FALSE;
	if (flags->port < 1 || flags->port > 65535) {
		fprintf(stderr, "ollama-operator drain: --port %d: it must be 1 to 65535\n",
		    flags->port);
		return FALSE;
	}
	return take_duration("timeout", flags->timeout, &flags->timeout_ms) &&
	       take_duration("delay", flags->delay, &flags->delay_ms);
}

static int drain(const struct flags *flags)
{
	gint64 end_us = g_get_monotonic_time() + flags->timeout_ms * 1000;
	g_autoptr(GError) error = NULL;
	struct activity activity = {0};

	g_usleep((gulong)flags->delay_ms * 1000);
	for (;;) {
		if (!activity_of_port((guint16)flags->port, QUIET_MS, &activity, &error)) {
			fprintf(stderr, "drain: %s\n", error->message);
			return 1;
		}
		if (activity.busy == 0)
			return 0;
		if (g_get_monotonic_time() >= end_us) {
			fprintf(stderr, "drain: %u requests are still under way: giving up\n",
			    activity.busy);
			return 1;
		}
		g_usleep(LOOK_EVERY_MS * 1000);
	}
}

static void on_signal(int number)
{
	_exit(128 + number);
}

int cmd_drain(int argc, char **argv)
{
	struct flags flags = {0};
	int code = 2;

	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	if (parse_flags(argc, argv, &flags))
		code = drain(&flags);
	g_free(flags.timeout);
	g_free(flags.delay);
	return code;
}
