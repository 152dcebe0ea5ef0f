#include "cmd/cmd.h"

#include "base/quantity.h"
#include "cmd/registry_flags.h"
#include "store/server.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define DEFAULT_DIRECTORY "/var/lib/ollama-operator"
#define DEFAULT_LISTEN "0.0.0.0:11435"

struct flags {
	char *directory;
	char *listen;
	char *node;
	struct registry_flags registry;
	char *log_level;
	char *log_format;
};

/* One store process. Threads: the loop (main), and the puller's. */
struct store {
	struct flags flags;
	struct log *log;
	struct registry_options registry;
	struct content *content;
	struct loop *loop;
	struct store_server *server;
};

static void flags_done(struct flags *flags)
{
	g_free(flags->directory);
	g_free(flags->listen);
	g_free(flags->node);
	registry_flags_done(&flags->registry);
	g_free(flags->log_level);
	g_free(flags->log_format);
}

static gboolean parse_flags(int argc, char **argv, struct flags *flags)
{
	const GOptionEntry entries[] = {
	    {"directory", 0, 0, G_OPTION_ARG_FILENAME, &flags->directory,
		"Where the weights are kept [" DEFAULT_DIRECTORY "]", "DIR"},
	    {"listen", 0, 0, G_OPTION_ARG_STRING, &flags->listen,
		"Address of the HTTP API [" DEFAULT_LISTEN "]", "HOST:PORT"},
	    {"node", 0, 0, G_OPTION_ARG_STRING, &flags->node,
		"This node's name, for the states that are reported [$NODE_NAME]", "NAME"},
	    {"insecure-registries", 0, 0, G_OPTION_ARG_STRING, &flags->registry.insecure,
		"Registries spoken to over plain http: HOST[:PORT],... "
		"[$OLLAMA_INSECURE_REGISTRIES]",
		"LIST"},
	    {"registry-mirrors", 0, 0, G_OPTION_ARG_STRING, &flags->registry.mirrors,
		"Ask another server in a registry's place: HOST=URL,... "
		"[$OLLAMA_REGISTRY_MIRRORS]",
		"LIST"},
	    {"ca-file", 0, 0, G_OPTION_ARG_FILENAME, &flags->registry.ca_file,
		"Trust these roots too (PEM) [$OLLAMA_CA_FILE]", "FILE"},
	    {"log-level", 0, 0, G_OPTION_ARG_STRING, &flags->log_level,
		"debug, info, warn or error [$LOG_LEVEL, else info]", "LEVEL"},
	    {"log-format", 0, 0, G_OPTION_ARG_STRING, &flags->log_format,
		"logfmt or json [$LOG_FORMAT, else logfmt]", "FORMAT"},
	    G_OPTION_ENTRY_NULL,
	};

	if (!cmd_parse(&argc, &argv, "store",
		"Keeps a node's weights: pulls models from their registries, verifies them, and "
		"shows\n"
		"each pod its own.",
		"A flag wins over its environment variable (in brackets). HTTPS_PROXY, HTTP_PROXY "
		"and\n"
		"NO_PROXY hold for registries. One store per directory. SIGTERM breaks transfers "
		"off;\n"
		"the next start goes on where they were.",
		entries))
		return FALSE;
	cmd_env_default(&flags->node, "NODE_NAME");
	registry_flags_env(&flags->registry);
	if (flags->directory == NULL)
		flags->directory = g_strdup(DEFAULT_DIRECTORY);
	if (flags->listen == NULL)
		flags->listen = g_strdup(DEFAULT_LISTEN);
	return TRUE;
}

/* "0.0.0.0:11435", "[::]:11435". */
static gboolean parse_listen(const char *text, char **ret_host, guint16 *ret_port)
{
	const char *colon = strrchr(text, ':');
	gboolean bracketed = text[0] == '[' && colon != NULL && colon > text && colon[-1] == ']';
	guint64 port;

	if (colon == NULL || colon == text ||
	    !g_ascii_string_to_unsigned(colon + 1, 10, 0, G_MAXUINT16, &port, NULL))
		return FALSE;
	*ret_host = bracketed ? g_strndup(text + 1, (gsize)(colon - text) - 2)
			      : g_strndup(text, (gsize)(colon - text));
	*ret_port = (guint16)port;
	return TRUE;
}

/* One line when a pull begins, is done, has failed. */
static void on_note(void *data, const struct image_state *state)
{
	struct store *store = data;
	g_autofree char *size = quantity_human_bytes(state->size_bytes);
	g_autofree char *missing = NULL;

	switch (state->phase) {
	case IMAGE_PULLING:
		missing = quantity_human_bytes(state->total_bytes - state->completed_bytes);
		log_info(store->log, "pulling model", "image", state->image, "size", size,
		    "missing", missing, NULL);
		break;
	case IMAGE_READY:
		log_info(store->log, "model ready", "image", state->image, "digest", state->digest,
		    "size", size, NULL);
		break;
	case IMAGE_FAILED:
		log_warn(store->log, "pull failed", "image", state->image, "reason", state->reason,
		    "error", state->message, NULL);
		break;
	case IMAGE_QUEUED:
	case IMAGE_RESOLVING:
		break;
	}
}

static void on_terminate(void *data)
{
	struct store *store = data;

	log_info(store->log, "stopping", NULL);
	loop_stop(store->loop);
}

static gboolean start(struct store *store, const char *host, guint16 port, GError **error)
{
	struct store_server_options options = {.host = host,
	    .port = port,
	    .node = store->flags.node,
	    .registry = &store->registry,
	    .note = on_note,
	    .note_data = store};

	store->content = content_open(store->flags.directory, error);
	if (store->content == NULL)
		return FALSE;
	options.content = store->content;
	store->loop = loop_new();
	store->server = store_server_new(store->loop, &options, error);
	return store->server != NULL;
}

static int run(struct store *store, const char *host, guint16 port)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *listening = NULL;

	if (!start(store, host, port, &error)) {
		log_error(store->log, "the store cannot start", "error", error->message, NULL);
		return 1;
	}
	listening = g_strdup_printf("%s:%u", host, store_server_port(store->server));
	log_info(store->log, "store is ready", "listen", listening, "directory",
	    store->flags.directory, "node", store->flags.node, "version", OPERATOR_VERSION, NULL);
	loop_on_terminate(store->loop, on_terminate, store);
	loop_run(store->loop);
	return 0;
}

static void store_done(struct store *store)
{
	store_server_free(store->server);
	loop_free(store->loop);
	content_free(store->content);
	registry_options_clear(&store->registry);
	log_free(store->log);
	flags_done(&store->flags);
}

int cmd_store(int argc, char **argv)
{
	struct store store = {0};
	g_autoptr(GError) error = NULL;
	g_autofree char *host = NULL;
	guint16 port = 0;
	int code = 2;

	/* The files are for pods that run as anybody. */
	umask(022);
	if (!parse_flags(argc, argv, &store.flags))
		;
	else if (!parse_listen(store.flags.listen, &host, &port))
		fprintf(stderr, "ollama-operator store: --listen \"%s\": it must be HOST:PORT\n",
		    store.flags.listen);
	else if (!registry_flags_options(&store.flags.registry, &store.registry, &error))
		fprintf(stderr, "ollama-operator store: %s\n", error->message);
	else if ((store.log = cmd_open_log(store.flags.log_level, store.flags.log_format)) != NULL)
		code = run(&store, host, port);
	store_done(&store);
	return code;
}
