#include "cmd/cmd.h"

#include "base/duration.h"
#include "net/http_client.h"
#include "json/json.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define USER_AGENT "ollama-operator/" OPERATOR_VERSION
#define DEFAULT_SERVER "http://127.0.0.1:11434"
/* What stands there when the container ends is its last word in the pod's status. */
#define DEFAULT_TERMINATION_LOG "/dev/termination-log"

enum {
	DEFAULT_TIMEOUT_MS = 60 * 60 * 1000,
	ANSWER_MAX_BYTES = 1024 * 1024,
	/* A server that only just starts, and looks for GPUs first, is waited for. */
	SERVER_START_MS = 120 * 1000,
	SERVER_RETRY_MS = 250,
};

struct flags {
	char *model;
	char *server;
	char *timeout;
	char *keep_alive;
	char *termination_log;
	gint64 timeout_ms;
};

static void flags_done(struct flags *flags)
{
	g_free(flags->model);
	g_free(flags->server);
	g_free(flags->timeout);
	g_free(flags->keep_alive);
	g_free(flags->termination_log);
}

static gboolean parse_flags(int argc, char **argv, struct flags *flags)
{
	const GOptionEntry entries[] = {
	    {"model", 0, 0, G_OPTION_ARG_STRING, &flags->model, "The model to load", "NAME"},
	    {"server", 0, 0, G_OPTION_ARG_STRING, &flags->server,
		"The Ollama server to load it into [" DEFAULT_SERVER "]", "URL"},
	    {"timeout", 0, 0, G_OPTION_ARG_STRING, &flags->timeout, "Give up after this long [1h]",
		"DURATION"},
	    {"keep-alive", 0, 0, G_OPTION_ARG_STRING, &flags->keep_alive,
		"How long it stays loaded, in seconds or as a duration [as the server is set]",
		"TIME"},
	    {"termination-log", 0, 0, G_OPTION_ARG_FILENAME, &flags->termination_log,
		"Leave the reason of a failure there too, if the file exists "
		"[" DEFAULT_TERMINATION_LOG "]",
		"FILE"},
	    G_OPTION_ENTRY_NULL,
	};

	if (!cmd_parse(&argc, &argv, "probe",
		"Startup probe of a model's pod: has the pod's own Ollama server load its model, "
		"and\n"
		"succeeds when it is loaded.",
		"It reads no environment variables. It exits with 0 when the model is loaded, else "
		"with 1\n"
		"and the server's error on stderr.",
		entries))
		return FALSE;
	flags->timeout_ms = DEFAULT_TIMEOUT_MS;
	if (flags->server == NULL)
		flags->server = g_strdup(DEFAULT_SERVER);
	if (flags->termination_log == NULL)
		flags->termination_log = g_strdup(DEFAULT_TERMINATION_LOG);
	if (flags->model == NULL)
		fprintf(stderr,
		    "ollama-operator probe: set --model; see 'ollama-operator probe --help'\n");
	else if (flags->timeout != NULL &&
		 (!duration_parse_ms(flags->timeout, &flags->timeout_ms) || flags->timeout_ms <= 0))
		fprintf(stderr,
		    "ollama-operator probe: --timeout \"%s\": it must be a duration like 90s or "
		    "1h\n",
		    flags->timeout);
	else
		return TRUE;
	return FALSE;
}

/* A bare number is seconds, and must be a number for the server too. */
static void set_keep_alive(yyjson_mut_doc *doc, yyjson_mut_val *root, const char *text)
{
	gint64 seconds;

	if (text == NULL)
		return;
	if (g_ascii_string_to_signed(text, 10, G_MININT32, G_MAXINT32, &seconds, NULL))
		json_mut_set_int(doc, root, "keep_alive", seconds);
	else
		json_mut_set_str(doc, root, "keep_alive", text);
}

/* POSTs {"model", "keep_alive", and input "" for embeddings}; NULL: the server cannot be reached.
 */
static struct http_response *post(
    const struct flags *flags, const char *path, gboolean embed, GError **error)
{
	static const char *const HEADERS[] = {"Content-Type: application/json", NULL};
	g_autoptr(yyjson_mut_doc) doc = yyjson_mut_doc_new(json_alc());
	yyjson_mut_val *root = yyjson_mut_obj(doc);
	g_autofree char *url = g_strconcat(flags->server, path, NULL);
	g_autofree char *body = NULL;
	struct http_request request = {.method = "POST",
	    .url = url,
	    .headers = HEADERS,
	    .proxy = "",
	    .timeout_ms = flags->timeout_ms,
	    .max_response_bytes = ANSWER_MAX_BYTES};

	yyjson_mut_doc_set_root(doc, root);
	json_mut_set_str(doc, root, "model", flags->model);
	if (embed)
		json_mut_set_str(doc, root, "input", "");
	else
		json_mut_set_bool(doc, root, "stream", FALSE);
	set_keep_alive(doc, root, flags->keep_alive);
	body = json_mut_print(root, &request.body_len);
	request.body = body;
	return http_perform_fetch(&request, USER_AGENT, NULL, error);
}

/* NULL: loaded. Else why not, in one line; the caller's. */
static char *explain(const struct http_response *response, gboolean embed)
{
	g_autoptr(yyjson_doc) doc = json_parse(response->body, response->body_len, NULL);
	yyjson_val *root = doc == NULL ? NULL : yyjson_doc_get_root(doc);
	const char *text = json_str(root, "error", NULL);

	if (text != NULL)
		return g_strdelimit(g_strdup(text), "\r\n", ' ');
	if (response->status != 200)
		return g_strdup_printf("the server answered with status %d", response->status);
	if (embed ? yyjson_is_obj(root) : json_bool(root, FALSE, "done", NULL))
		return NULL;
	return g_strdup("the server's answer does not say that the model is loaded");
}

/* The load request, again while nobody listens there yet. */
static struct http_response *post_when_up(const struct flags *flags, GError **error)
{
	gint64 end_us = g_get_monotonic_time() + MIN(SERVER_START_MS, flags->timeout_ms) * 1000;

	for (;;) {
		GError *problem = NULL;
		struct http_response *response = post(flags, "/api/generate", FALSE, &problem);

		if (response != NULL)
			return response;
		if (!g_error_matches(problem, NET_ERROR, NET_ERROR_UNREACHABLE) ||
		    g_get_monotonic_time() >= end_us) {
			g_propagate_error(error, problem);
			return NULL;
		}
		g_clear_error(&problem);
		g_usleep(SERVER_RETRY_MS * 1000);
	}
}

static char *load(const struct flags *flags)
{
	g_autoptr(GError) error = NULL;
	AUTO(http_response) response = post_when_up(flags, &error);
	AUTO(http_response) embedding = NULL;
	g_autofree char *why = NULL;

	if (response == NULL)
		return g_strdup(error->message);
	why = explain(response, FALSE);
	if (why == NULL || strstr(why, "does not support generate") == NULL)
		return g_steal_pointer(&why);
	embedding = post(flags, "/api/embed", TRUE, &error);
	return embedding == NULL ? g_strdup(error->message) : explain(embedding, TRUE);
}

static void leave_last_words(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	if (fd < 0)
		return;
	/* Best effort: the same line stands on stderr. */
	if (write(fd, text, strlen(text)) < 0)
		g_debug("%s: %s", path, g_strerror(errno));
	close(fd);
}

static void on_signal(int number)
{
	_exit(128 + number);
}

int cmd_probe(int argc, char **argv)
{
	struct flags flags = {0};
	g_autofree char *why = NULL;
	int code = 2;

	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	if (parse_flags(argc, argv, &flags)) {
		why = load(&flags);
		code = why == NULL ? 0 : 1;
	}
	if (why != NULL) {
		g_autofree char *line =
		    g_strdup_printf("loading %s failed: %s\n", flags.model, why);

		fputs(line, stderr);
		leave_last_words(flags.termination_log, line);
	}
	flags_done(&flags);
	return code;
}
