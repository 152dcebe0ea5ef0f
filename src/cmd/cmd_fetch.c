#include "cmd/cmd.h"

#include "base/backoff.h"
#include "base/duration.h"
#include "base/quantity.h"
#include "cmd/fetch_priv.h"
#include "net/http_client.h"
#include "json/json.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define USER_AGENT "ollama-operator/" OPERATOR_VERSION
#define BINARY_NAME "ollama-operator"

enum {
	LINE_MAX_BYTES = 64 * 1024,
	SILENCE_MAX_MS = 45 * 1000, /* the store sends something every 15 s */
	PRINT_EVERY_MS = 2000,
	RETRY_BASE_MS = 1000,
	RETRY_CAP_MS = 15 * 1000,
	ERROR_BODY_MAX_BYTES = 4096,
	COPY_BUFFER_BYTES = 64 * 1024,
	STORE_PATIENCE_S = 30,
};

static void flags_done(struct fetch_flags *flags)
{
	g_free(flags->store);
	g_free(flags->image);
	g_free(flags->pod_uid);
	g_free(flags->model);
	g_free(flags->pull_policy);
	g_free(flags->install_to);
	g_free(flags->into);
	registry_flags_done(&flags->registry);
}

static gboolean parse_flags(int argc, char **argv, struct fetch_flags *flags)
{
	const GOptionEntry entries[] = {
	    {"store", 0, 0, G_OPTION_ARG_STRING, &flags->store,
		"The store of this node [$OLLAMA_STORE_URL]", "URL"},
	    {"image", 0, 0, G_OPTION_ARG_STRING, &flags->image,
		"The model to have: phi, hf.co/a/b:Q4", "NAME"},
	    {"pod-uid", 0, 0, G_OPTION_ARG_STRING, &flags->pod_uid,
		"This pod's UID: its view gets that name [$POD_UID]", "UID"},
	    {"model", 0, 0, G_OPTION_ARG_STRING, &flags->model,
		"The Model it is for, as namespace/name [$MODEL]", "KEY"},
	    {"pull-policy", 0, 0, G_OPTION_ARG_STRING, &flags->pull_policy,
		"Always, IfNotPresent or Never [IfNotPresent]", "POLICY"},
	    {"install-to", 0, 0, G_OPTION_ARG_FILENAME, &flags->install_to,
		"Copy this program to DIR/" BINARY_NAME " first, for the pod's probes", "DIR"},
	    {"into", 0, 0, G_OPTION_ARG_FILENAME, &flags->into,
		"Copy the model into DIR, an Ollama models directory of the pod's own", "DIR"},
	    {"read-only", 0, 0, G_OPTION_ARG_NONE, &flags->read_only,
		"With --into: only see that the model is there", NULL},
	    {"store-patience", 0, 0, G_OPTION_ARG_INT, &flags->patience_s,
		"With --into: pull from the registry after so long without the store [30]",
		"SECONDS"},
	    {"insecure-registries", 0, 0, G_OPTION_ARG_STRING, &flags->registry.insecure,
		"With --into, for a node without a store: as for the verb store "
		"[$OLLAMA_INSECURE_REGISTRIES]",
		"LIST"},
	    {"registry-mirrors", 0, 0, G_OPTION_ARG_STRING, &flags->registry.mirrors,
		"The same [$OLLAMA_REGISTRY_MIRRORS]", "LIST"},
	    {"ca-file", 0, 0, G_OPTION_ARG_FILENAME, &flags->registry.ca_file,
		"The same [$OLLAMA_CA_FILE]", "FILE"},
	    G_OPTION_ENTRY_NULL,
	};
	const char *missing = NULL;

	if (!cmd_parse(&argc, &argv, "fetch",
		"Init container of a model's pod: waits until the node's store has the model and "
		"shows\n"
		"it to this pod, or copies it into the pod's own volume.",
		"A flag wins over its environment variable (in brackets). A store that does not "
		"answer\n"
		"is asked again, for ever; a request that it refuses ends this with 1. With "
		"--into, after\n"
		"30 s without the store the model is pulled from its registry; one pod writes at a "
		"time,\n"
		"the others wait for it.",
		entries))
		return FALSE;
	cmd_env_default(&flags->store, "OLLAMA_STORE_URL");
	cmd_env_default(&flags->pod_uid, "POD_UID");
	cmd_env_default(&flags->model, "MODEL");
	registry_flags_env(&flags->registry);
	if (flags->store == NULL)
		missing = "--store or $OLLAMA_STORE_URL";
	else if (flags->image == NULL)
		missing = "--image";
	else if (flags->pod_uid == NULL)
		missing = "--pod-uid or $POD_UID";
	if (missing != NULL)
		fprintf(stderr,
		    "ollama-operator fetch: set %s; see 'ollama-operator fetch --help'\n", missing);
	return missing == NULL;
}

/* --- the program for the probes ------------------------------------------------------------- */

static gboolean copy_all(int from, int to)
{
	g_autofree char *buffer = g_malloc(COPY_BUFFER_BYTES);
	ssize_t n;

	while ((n = read(from, buffer, COPY_BUFFER_BYTES)) > 0) {
		for (ssize_t at = 0; at < n;) {
			ssize_t written = write(to, buffer + at, (size_t)(n - at));

			if (written < 0)
				return FALSE;
			at += written;
		}
	}
	return n == 0 && fchmod(to, 0755) == 0;
}

/* Under another name first: whoever runs it never sees half of it. */
static gboolean install(const char *directory)
{
	g_autofree char *path = g_build_filename(directory, BINARY_NAME, NULL);
	g_autofree char *temp = g_strdup_printf("%s.%d", path, (int)getpid());
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int to = from < 0 ? -1 : open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	gboolean ok = to >= 0 && copy_all(from, to);
	int number = errno;

	if (from >= 0)
		close(from);
	if (to >= 0 && close(to) != 0 && ok) {
		ok = FALSE;
		number = errno;
	}
	if (ok && rename(temp, path) != 0) {
		ok = FALSE;
		number = errno;
	}
	if (!ok) {
		(void)unlink(temp);
		fprintf(stderr, "installing %s: %s\n", path, g_strerror(number));
	}
	return ok;
}

/* --- what is printed ------------------------------------------------------------------------ */

/* "pulling phi:latest 43% (42 MB of 98 MB, 12 MB/s)". */
static char *describe_pulling(yyjson_val *state, const char *image)
{
	gint64 completed = json_int(state, 0, "completed", NULL);
	gint64 total = json_int(state, 0, "total", NULL);
	gint64 rate = json_int(state, 0, "bytesPerSecond", NULL);
	g_autofree char *have = quantity_human_bytes(MAX(completed, 0));
	g_autofree char *all = quantity_human_bytes(MAX(total, 0));
	g_autofree char *speed = quantity_human_bytes(MAX(rate, 0));
	int percent = total <= 0 ? 0 : (int)((double)completed * 100 / (double)total);

	if (rate <= 0)
		return g_strdup_printf("pulling %s %d%% (%s of %s)", image, percent, have, all);
	return g_strdup_printf(
	    "pulling %s %d%% (%s of %s, %s/s)", image, percent, have, all, speed);
}

static char *describe(yyjson_val *state, const char *phase, const char *image)
{
	const char *message = json_str(state, "message", NULL);
	const char *reason = json_str(state, "reason", NULL);

	if (strcmp(phase, "Pulling") == 0)
		return describe_pulling(state, image);
	if (strcmp(phase, "Queued") == 0)
		return g_strdup_printf("waiting for the store to look after %s", image);
	if (strcmp(phase, "Resolving") == 0)
		return g_strdup_printf("asking the registry for %s", image);
	if (strcmp(phase, "Ready") == 0)
		return g_strdup_printf("%s is ready", image);
	return g_strdup_printf("%s: %s; the store goes on trying", reason != NULL ? reason : phase,
	    message != NULL ? message : "no reason given");
}

/* New things at once, mere progress every two seconds. */
static void print_state(struct fetch *fetch, yyjson_val *state, const char *phase)
{
	const char *message = json_str(state, "message", NULL);
	g_autofree char *about = g_strconcat(phase, "\n", message, NULL);
	g_autofree char *text = describe(state, phase, fetch->flags->image);
	gint64 now_ms = g_get_monotonic_time() / 1000;

	if (g_strcmp0(text, fetch->printed) == 0 ||
	    (g_strcmp0(about, fetch->printed_phase) == 0 &&
		now_ms - fetch->printed_at_ms < PRINT_EVERY_MS))
		return;
	printf("%s\n", text);
	g_free(fetch->printed);
	g_free(fetch->printed_phase);
	fetch->printed = g_steal_pointer(&text);
	fetch->printed_phase = g_steal_pointer(&about);
	fetch->printed_at_ms = now_ms;
}

/* --- the conversation ----------------------------------------------------------------------- */

static gboolean take_line(void *data, const char *line, gsize len)
{
	struct fetch *fetch = data;
	g_autoptr(yyjson_doc) doc = json_parse(line, len, NULL);
	yyjson_val *state = doc == NULL ? NULL : yyjson_doc_get_root(doc);
	const char *phase = json_str(state, "phase", NULL);

	if (phase == NULL)
		return TRUE;
	fetch->heard = TRUE;
	print_state(fetch, state, phase);
	fetch->ready = strcmp(phase, "Ready") == 0;
	return !fetch->ready;
}

static gboolean on_head(void *data, const struct http_head *head)
{
	struct fetch *fetch = data;

	fetch->status = http_head_status(head);
	return TRUE;
}

static gboolean on_body(void *data, const char *bytes, gsize len)
{
	struct fetch *fetch = data;

	if (fetch->status == 200)
		return lines_feed(&fetch->lines, bytes, len, take_line, fetch) == LINES_OK;
	if (fetch->refusal->len + len > ERROR_BODY_MAX_BYTES)
		return FALSE;
	g_string_append_len(fetch->refusal, bytes, (gssize)len);
	return TRUE;
}

static char *make_body(const struct fetch_flags *flags)
{
	g_autoptr(yyjson_mut_doc) doc = yyjson_mut_doc_new(json_alc());
	yyjson_mut_val *root = yyjson_mut_obj(doc);

	yyjson_mut_doc_set_root(doc, root);
	json_mut_set_str(doc, root, "image", flags->image);
	if (flags->into == NULL)
		json_mut_set_str(doc, root, "podUID", flags->pod_uid);
	json_mut_set_str(doc, root, "model", flags->model);
	json_mut_set_str(doc, root, "pullPolicy", flags->pull_policy);
	return json_mut_print(root, NULL);
}

/* One request, until its stream ends. NULL: it is for the caller to look at `ready` and `status`.
 */
static char *converse(struct fetch *fetch)
{
	static const struct http_call_ops OPS = {.head = on_head, .body = on_body};
	static const char *const HEADERS[] = {"Content-Type: application/json", NULL};
	g_autofree char *url = g_strconcat(
	    fetch->flags->store, fetch->flags->into == NULL ? "/v1/views" : "/v1/pulls", NULL);
	g_autofree char *body = make_body(fetch->flags);
	g_autoptr(GError) error = NULL;
	struct http_request request = {.method = "POST",
	    .url = url,
	    .headers = HEADERS,
	    .body = body,
	    .body_len = strlen(body),
	    .proxy = "",
	    .idle_timeout_ms = SILENCE_MAX_MS};
	gboolean ok;

	fetch->status = 0;
	fetch->heard = FALSE;
	fetch->ready = FALSE;
	g_string_truncate(fetch->refusal, 0);
	lines_init(&fetch->lines, LINE_MAX_BYTES);
	ok = http_perform(&request, USER_AGENT, &OPS, fetch, fetch->cancelled, &error);
	lines_done(&fetch->lines);
	if (fetch->ready || (fetch->status != 0 && fetch->status != 200))
		return NULL;
	return g_strdup(ok ? "it ended its answer too early" : error->message);
}

/* The store's own sentence, or its body as it is. */
static char *refusal_text(const struct fetch *fetch)
{
	g_autoptr(yyjson_doc) doc = json_parse(fetch->refusal->str, fetch->refusal->len, NULL);
	const char *text = doc == NULL ? NULL : json_str(yyjson_doc_get_root(doc), "error", NULL);

	return g_strdup(text != NULL ? text : fetch->refusal->str);
}

enum fetch_answer fetch_ask(struct fetch *fetch, char **ret_problem)
{
	g_autofree char *problem = converse(fetch);
	g_autofree char *refusal = NULL;

	if (fetch->ready)
		return FETCH_READY;
	if (problem != NULL) {
		*ret_problem = g_steal_pointer(&problem);
		return FETCH_TROUBLE;
	}
	refusal = refusal_text(fetch);
	if (fetch->status == 400) {
		*ret_problem = g_steal_pointer(&refusal);
		return FETCH_REFUSED;
	}
	*ret_problem = g_strdup_printf("status %d, %s", fetch->status, refusal);
	return FETCH_TROUBLE;
}

static int fetch_until_ready(struct fetch *fetch)
{
	g_autoptr(GRand) random = g_rand_new();
	struct backoff backoff = {RETRY_BASE_MS, RETRY_CAP_MS, 2, 0.2, 0};

	for (;;) {
		g_autofree char *problem = NULL, *wait = NULL;
		gint64 wait_ms;

		switch (fetch_ask(fetch, &problem)) {
		case FETCH_READY:
			return 0;
		case FETCH_REFUSED:
			fprintf(stderr, "%s\n", problem);
			return 1;
		case FETCH_TROUBLE:
			break;
		}
		if (fetch->heard)
			backoff_reset(&backoff);
		wait_ms = backoff_next_ms(&backoff, random);
		wait = duration_format_ms(wait_ms);
		printf("the store at %s does not serve us: %s; trying again in %s\n",
		    fetch->flags->store, problem, wait);
		g_usleep((gulong)wait_ms * 1000);
	}
}

/* As process 1 of its container it would ignore the signal otherwise. */
static void on_signal(int number)
{
	_exit(128 + number);
}

int cmd_fetch(int argc, char **argv)
{
	struct fetch_flags flags = {.patience_s = STORE_PATIENCE_S};
	struct fetch fetch = {.flags = &flags};
	int code = 2;

	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	if (parse_flags(argc, argv, &flags)) {
		code = 1;
		fetch.refusal = g_string_new(NULL);
		if (flags.install_to == NULL || install(flags.install_to))
			code =
			    flags.into != NULL ? fetch_volume(&fetch) : fetch_until_ready(&fetch);
		g_string_free(fetch.refusal, TRUE);
	}
	g_free(fetch.printed);
	g_free(fetch.printed_phase);
	flags_done(&flags);
	return code;
}
