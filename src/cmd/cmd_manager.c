#include "cmd/cmd.h"

#include "base/quantity.h"
#include "ctl/leader.h"
#include "model/resource.h"
#include "net/http_server.h"
#include "operator/children.h"
#include "operator/operator.h"
#include "operator/volumes.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_SERVER_IMAGE "docker.io/ollama/ollama:0.33.0"
#define DEFAULT_NAMESPACE "ollama-operator-system"
#define LEASE_NAME "ollama-operator-manager"

enum {
	PROBLEM_EVERY_MS = 2000,
	DEFAULT_WORKERS = 8,
	DEFAULT_WATCH_IDLE_S = 150,
	WATCH_IDLE_MIN_S = 6, /* below 5 s an informer spares the server for longer each time */
	DEFAULT_STORE_PORT = 11435,
	/*
	 * A leader stops believing in itself 10 s after its last renewal and another leads after 15
	 * s: what it writes must have ended, retries included, in the 5 s between.
	 */
	WRITE_DEADLINE_MS = 5000,
};

struct flags {
	char *kubeconfig;
	char *context;
	char *namespace;
	char *watch_namespace;
	char *image;
	char *server_image;
	char *store_url;
	char *store_directory;
	char *claim_size;
	/* Of the environment only: what pods are told that cannot reach their node's store. */
	char *insecure_registries;
	char *registry_mirrors;
	char *health_address;
	char *metrics_address;
	char *log_level;
	char *log_format;
	gboolean no_leader_election;
	int workers;
	int watch_idle;
};

/* One manager process. Threads: the loop (main), the elector, the workers, and two short helpers.
 */
struct manager {
	struct flags flags;
	struct operator_settings settings;
	struct log *log;
	struct loop *loop;
	struct kube_config *config;
	struct kube_client *client; /* lists, watches, Events */
	struct kube_client *writer; /* the Lease, and what the leader writes */
	struct recorder *recorder;
	struct operator* operator;
	struct metrics *metrics;
	struct ctl_metrics *ctl_metrics;
	struct http_server *health;
	struct http_server *metrics_server;
	struct leader *leader;
	struct loop_timer *problem_timer;
	char *last_problem;
	GThread *starter, *stopper;
};

static void flags_done(struct flags *flags)
{
	g_free(flags->kubeconfig);
	g_free(flags->context);
	g_free(flags->namespace);
	g_free(flags->watch_namespace);
	g_free(flags->image);
	g_free(flags->server_image);
	g_free(flags->store_url);
	g_free(flags->store_directory);
	g_free(flags->claim_size);
	g_free(flags->insecure_registries);
	g_free(flags->registry_mirrors);
	g_free(flags->health_address);
	g_free(flags->metrics_address);
	g_free(flags->log_level);
	g_free(flags->log_format);
}

static gboolean parse_flags(int argc, char **argv, struct flags *flags)
{
	const GOptionEntry entries[] = {
	    {"kubeconfig", 0, 0, G_OPTION_ARG_FILENAME, &flags->kubeconfig,
		"Kubeconfig file; inside a pod its service account is used without it", "FILE"},
	    {"context", 0, 0, G_OPTION_ARG_STRING, &flags->context, "Context of the kubeconfig",
		"NAME"},
	    {"namespace", 0, 0, G_OPTION_ARG_STRING, &flags->namespace,
		"Where operator and stores run [$POD_NAMESPACE, else " DEFAULT_NAMESPACE "]", "NS"},
	    {"watch-namespace", 0, 0, G_OPTION_ARG_STRING, &flags->watch_namespace,
		"Only Models of this namespace [$WATCH_NAMESPACE, else all]", "NS"},
	    {"image", 0, 0, G_OPTION_ARG_STRING, &flags->image,
		"The operator's own image, for the init container [$OPERATOR_IMAGE]", "IMAGE"},
	    {"server-image", 0, 0, G_OPTION_ARG_STRING, &flags->server_image,
		"Ollama's image where a Model names none [$OLLAMA_IMAGE, else " DEFAULT_SERVER_IMAGE
		"]",
		"IMAGE"},
	    {"store-url", 0, 0, G_OPTION_ARG_STRING, &flags->store_url,
		"How a pod reaches its node's store [$OLLAMA_STORE_URL, else the Service "
		"ollama-model-store of the operator's namespace]",
		"URL"},
	    {"store-directory", 0, 0, G_OPTION_ARG_STRING, &flags->store_directory,
		"The store's directory on each node [$STORE_DIRECTORY, else "
		"/var/lib/ollama-operator]",
		"DIR"},
	    {"claim-size", 0, 0, G_OPTION_ARG_STRING, &flags->claim_size,
		"Size of the claims that namespaces' Models share; they grow, and never shrink "
		"[$CLAIM_SIZE, else " DEFAULT_CLAIM_SIZE "]",
		"QUANTITY"},
	    {"workers", 0, 0, G_OPTION_ARG_INT, &flags->workers, "Models worked on at once [8]",
		"N"},
	    {"watch-idle", 0, 0, G_OPTION_ARG_INT, &flags->watch_idle,
		"Seconds without a byte after which a watch is taken for dead; API servers send "
		"one a "
		"minute [150]",
		"S"},
	    {"no-leader-election", 0, 0, G_OPTION_ARG_NONE, &flags->no_leader_election,
		"Work without a Lease: only when no other manager can run", NULL},
	    {"health-address", 0, 0, G_OPTION_ARG_STRING, &flags->health_address,
		"/healthz and /readyz [$HEALTH_ADDRESS, else 0.0.0.0:8081; \"0\": none]",
		"HOST:PORT"},
	    {"metrics-address", 0, 0, G_OPTION_ARG_STRING, &flags->metrics_address,
		"/metrics for Prometheus [$METRICS_ADDRESS, else 0.0.0.0:8080; \"0\": none]",
		"HOST:PORT"},
	    {"log-level", 0, 0, G_OPTION_ARG_STRING, &flags->log_level,
		"debug, info, warn or error [$LOG_LEVEL, else info]", "LEVEL"},
	    {"log-format", 0, 0, G_OPTION_ARG_STRING, &flags->log_format,
		"logfmt or json [$LOG_FORMAT, else logfmt]", "FORMAT"},
	    G_OPTION_ENTRY_NULL,
	};

	return cmd_parse(&argc, &argv, "manager",
	    "Watches Models and makes what they need: Deployments, Services, status, Events.",
	    "A flag wins over its environment variable (in brackets). SIGTERM ends it in order: "
	    "the\n"
	    "Lease is given up, running reconciles are finished.",
	    entries);
}

static void set_default(char **value, const char *fallback)
{
	if (*value == NULL)
		*value = g_strdup(fallback);
}

static gboolean complete_flags(struct flags *flags)
{
	g_autofree char *store_url = NULL;
	gint64 claim_bytes;

	cmd_env_default(&flags->namespace, "POD_NAMESPACE");
	set_default(&flags->namespace, DEFAULT_NAMESPACE);
	cmd_env_default(&flags->watch_namespace, "WATCH_NAMESPACE");
	cmd_env_default(&flags->image, "OPERATOR_IMAGE");
	cmd_env_default(&flags->server_image, "OLLAMA_IMAGE");
	set_default(&flags->server_image, DEFAULT_SERVER_IMAGE);
	cmd_env_default(&flags->store_url, "OLLAMA_STORE_URL");
	store_url = g_strdup_printf(
	    "http://ollama-model-store.%s.svc:%d", flags->namespace, DEFAULT_STORE_PORT);
	set_default(&flags->store_url, store_url);
	cmd_env_default(&flags->store_directory, "STORE_DIRECTORY");
	set_default(&flags->store_directory, "/var/lib/ollama-operator");
	cmd_env_default(&flags->health_address, "HEALTH_ADDRESS");
	set_default(&flags->health_address, "0.0.0.0:8081");
	cmd_env_default(&flags->metrics_address, "METRICS_ADDRESS");
	set_default(&flags->metrics_address, "0.0.0.0:8080");
	if (flags->watch_idle == 0)
		flags->watch_idle = DEFAULT_WATCH_IDLE_S;
	cmd_env_default(&flags->claim_size, "CLAIM_SIZE");
	set_default(&flags->claim_size, DEFAULT_CLAIM_SIZE);
	cmd_env_default(&flags->insecure_registries, "OLLAMA_INSECURE_REGISTRIES");
	cmd_env_default(&flags->registry_mirrors, "OLLAMA_REGISTRY_MIRRORS");
	if (flags->workers == 0)
		flags->workers = DEFAULT_WORKERS;
	if (flags->image == NULL) {
		fprintf(stderr,
		    "ollama-operator manager: set --image or $OPERATOR_IMAGE to the operator's "
		    "own image: model pods run it as their init container\n");
		return FALSE;
	}
	if (flags->workers < 1 || flags->workers > 64) {
		fprintf(stderr, "ollama-operator manager: --workers %d: it must be 1 to 64\n",
		    flags->workers);
		return FALSE;
	}
	if (flags->watch_idle < WATCH_IDLE_MIN_S || flags->watch_idle > 3600) {
		fprintf(stderr, "ollama-operator manager: --watch-idle %d: it must be 6 to 3600\n",
		    flags->watch_idle);
		return FALSE;
	}
	if (!quantity_parse(flags->claim_size, &claim_bytes) || claim_bytes < 1) {
		fprintf(stderr,
		    "ollama-operator manager: --claim-size \"%s\": it must be a quantity, as "
		    "100Gi\n",
		    flags->claim_size);
		return FALSE;
	}
	if (flags->store_directory[0] != '/') {
		fprintf(stderr,
		    "ollama-operator manager: --store-directory \"%s\": it must be an absolute "
		    "path\n",
		    flags->store_directory);
		return FALSE;
	}
	return TRUE;
}

static void fill_settings(struct manager *manager)
{
	const struct flags *flags = &manager->flags;

	manager->settings = (struct operator_settings){
	    .namespace = flags->namespace,
	    .watch_namespace = flags->watch_namespace,
	    .image = flags->image,
	    .server_image = flags->server_image,
	    .store_url = flags->store_url,
	    .store_directory = flags->store_directory,
	    .claim_size = flags->claim_size,
	    .insecure_registries = flags->insecure_registries,
	    .registry_mirrors = flags->registry_mirrors,
	    .store_selector =
		"app.kubernetes.io/name=ollama-operator,app.kubernetes.io/component=store",
	    .store_port = DEFAULT_STORE_PORT,
	    .workers = (guint)flags->workers,
	};
}

/* ---- health ---- */

static void answer_health(void *data, struct http_exchange *exchange)
{
	struct manager *manager = data;
	const char *path = http_exchange_path(exchange);
	g_autofree char *problem = NULL;

	if (strcmp(path, "/healthz") == 0) {
		http_exchange_respond(exchange, 200, "text/plain", NULL, "ok\n", 3);
	} else if (strcmp(path, "/readyz") != 0) {
		http_exchange_respond(exchange, 404, "text/plain", NULL, "not found\n", 10);
	} else if (operator_has_synced(manager->operator)) {
		http_exchange_respond(exchange, 200, "text/plain", NULL, "ok\n", 3);
	} else {
		problem = operator_problem(manager->operator);
		if (problem == NULL)
			problem = g_strdup("caches are being filled\n");
		http_exchange_respond(exchange, 503, "text/plain", NULL, problem, strlen(problem));
	}
}

static void answer_metrics(void *data, struct http_exchange *exchange)
{
	struct manager *manager = data;
	g_autofree char *text = NULL;

	if (strcmp(http_exchange_path(exchange), "/metrics") != 0) {
		http_exchange_respond(exchange, 404, "text/plain", NULL, "not found\n", 10);
		return;
	}
	text = metrics_text(manager->metrics);
	http_exchange_respond(
	    exchange, 200, "text/plain; version=0.0.4; charset=utf-8", NULL, text, strlen(text));
}

/* Serves `ops` at an address from the flag of that name; "0" is no server and no error. */
static gboolean serve(struct manager *manager, const char *flag, const char *address,
    const struct http_server_ops *ops, struct http_server **ret_server, GError **error)
{
	static const struct http_server_options options = {.max_connections = 64};
	const char *colon = strrchr(address, ':');
	g_autofree char *host = NULL;
	guint64 port;

	if (strcmp(address, "0") == 0)
		return TRUE;
	if (colon == NULL || !g_ascii_string_to_unsigned(colon + 1, 10, 0, 65535, &port, NULL)) {
		g_set_error(error, NET_ERROR, NET_ERROR_INVALID,
		    "--%s \"%s\": it must be HOST:PORT, or 0 for none", flag, address);
		return FALSE;
	}
	host = g_strndup(address, (gsize)(colon - address));
	*ret_server = http_server_new(manager->loop, *host == '\0' ? "0.0.0.0" : host,
	    (guint16)port, &options, ops, manager, error);
	return *ret_server != NULL;
}

static gboolean start_servers(struct manager *manager, GError **error)
{
	static const struct http_server_ops health = {.request = answer_health};
	static const struct http_server_ops metrics = {.request = answer_metrics};

	return serve(manager, "health-address", manager->flags.health_address, &health,
		   &manager->health, error) &&
	       serve(manager, "metrics-address", manager->flags.metrics_address, &metrics,
		   &manager->metrics_server, error);
}

/* ---- what is wrong is said once, and again when it changes or is over ---- */

static void tell_problem(void *data)
{
	struct manager *manager = data;
	g_autofree char *problem = operator_problem(manager->operator);
	g_autofree char *oddities = operator_take_oddities(manager->operator);

	if (oddities != NULL)
		log_warn(manager->log, "left out objects without a name, or too large", "objects",
		    oddities, NULL);
	if (g_strcmp0(problem, manager->last_problem) != 0) {
		if (problem != NULL)
			log_warn(manager->log, "API server trouble, trying again", "error", problem,
			    NULL);
		else
			log_info(manager->log, "API server answers again", NULL);
		g_free(manager->last_problem);
		manager->last_problem = g_steal_pointer(&problem);
	}
	loop_timer_start(manager->problem_timer, PROBLEM_EVERY_MS);
}

/* ---- leading, and the end ---- */

static void *start_working(void *data)
{
	struct manager *manager = data;

	if (operator_start_working(manager->operator))
		log_info(manager->log, "working", NULL);
	return NULL;
}

static void started_leading(void *data)
{
	struct manager *manager = data;

	ctl_metrics_set_leading(manager->ctl_metrics, LEASE_NAME, TRUE);
	manager->starter = g_thread_new("starter", start_working, manager);
}

static void stopped_leading(void *data)
{
	struct manager *manager = data;

	log_error(
	    manager->log, "the lease was lost: ending, so that only one manager writes", NULL);
	/* Why: no orderly end. Whatever a worker still wants to write is not ours to write. */
	_exit(1);
}

static gboolean may_write(void *data)
{
	struct manager *manager = data;
	/* The elector may call started_leading() before leader_start() has returned its handle. */
	struct leader *leader = g_atomic_pointer_get(&manager->leader);

	if (manager->flags.no_leader_election)
		return TRUE;
	return leader != NULL && leader_may_write(leader);
}

/* Off the loop: workers and elector need the loop to finish what they are at. */
static void *stop_all(void *data)
{
	struct manager *manager = data;

	operator_stop_working(manager->operator);
	if (manager->leader != NULL)
		leader_stop(manager->leader);
	manager->leader = NULL;
	recorder_free(manager->recorder);
	manager->recorder = NULL;
	loop_stop(manager->loop);
	return NULL;
}

static void terminate(void *data)
{
	struct manager *manager = data;

	if (manager->stopper != NULL)
		return;
	log_info(manager->log, "ending", NULL);
	manager->stopper = g_thread_new("stopper", stop_all, manager);
}

/* ---- life ---- */

/*
 * The pod's name is unique in its namespace while it lives, and a container of it that starts anew
 * has no living predecessor; a machine may run several managers.
 */
static char *identity_prefix(void)
{
	const char *pod = g_getenv("POD_NAME");

	return pod == NULL ? NULL : g_strdup_printf("%s_", pod);
}

static char *identity(void)
{
	g_autofree char *prefix = identity_prefix();

	if (prefix != NULL)
		return g_strdup_printf("%s%08x", prefix, g_random_int());
	return g_strdup_printf("%s_%08x", g_get_host_name(), g_random_int());
}

static void start_election(struct manager *manager, const char *id)
{
	g_autofree char *own_prefix = identity_prefix();
	const struct leader_options options = {
	    .namespace = manager->flags.namespace,
	    .name = LEASE_NAME,
	    .identity = id,
	    .own_prefix = own_prefix,
	    .started_leading = started_leading,
	    .stopped_leading = stopped_leading,
	    .data = manager,
	};

	if (manager->flags.no_leader_election)
		started_leading(manager);
	else
		g_atomic_pointer_set(&manager->leader,
		    leader_start(manager->writer, clock_system(), manager->log, &options));
}

static gboolean open_cluster(struct manager *manager, GError **error)
{
	const struct kube_config_options where = {
	    .kubeconfig = manager->flags.kubeconfig,
	    .context = manager->flags.context,
	    .in_cluster_first = TRUE,
	};
	struct kube_client_options how = {
	    .user_agent = "ollama-operator/" OPERATOR_VERSION,
	    .field_manager = FIELD_MANAGER,
	    .watch_idle_ms = (gint64)manager->flags.watch_idle * 1000,
	    .observe = ctl_metrics_requested,
	    .observe_data = manager->ctl_metrics,
	};

	manager->config = kube_config_load(&where, error);
	if (manager->config == NULL)
		return FALSE;
	manager->client = kube_client_new(manager->loop, manager->config, &how);
	how.request_timeout_ms = WRITE_DEADLINE_MS;
	how.deadline_ms = WRITE_DEADLINE_MS;
	manager->writer = kube_client_new(manager->loop, manager->config, &how);
	return TRUE;
}

static gboolean manager_run(struct manager *manager, GError **error)
{
	g_autofree char *id = identity();
	struct operator_deps deps;

	manager->loop = loop_new();
	manager->metrics = metrics_new();
	metrics_add_process(manager->metrics);
	manager->ctl_metrics = ctl_metrics_new(manager->metrics);
	ctl_metrics_set_leading(
	    manager->ctl_metrics, LEASE_NAME, manager->flags.no_leader_election);
	if (!open_cluster(manager, error))
		return FALSE;
	manager->recorder = recorder_new(manager->client, clock_system(), FIELD_MANAGER, id);
	deps = (struct operator_deps){
	    .loop = manager->loop,
	    .client = manager->client,
	    .writer = manager->writer,
	    .recorder = manager->recorder,
	    .clock = clock_system(),
	    .log = manager->log,
	    .metrics = manager->metrics,
	    .ctl_metrics = manager->ctl_metrics,
	    .may_write = may_write,
	    .may_write_data = manager,
	};
	manager->operator= operator_new(&deps, &manager->settings);
	if (!start_servers(manager, error))
		return FALSE;
	log_info(manager->log, "manager starts", "version", OPERATOR_VERSION, "server",
	    kube_config_server(manager->config), "namespace", manager->flags.namespace, "identity",
	    id, NULL);
	loop_on_terminate(manager->loop, terminate, manager);
	manager->problem_timer = loop_timer_new(manager->loop, tell_problem, manager);
	loop_timer_start(manager->problem_timer, PROBLEM_EVERY_MS);
	start_election(manager, id);
	loop_run(manager->loop);
	return TRUE;
}

static void manager_done(struct manager *manager)
{
	if (manager->stopper != NULL)
		g_thread_join(manager->stopper);
	if (manager->starter != NULL)
		g_thread_join(manager->starter);
	loop_timer_free(manager->problem_timer);
	http_server_free(manager->metrics_server);
	http_server_free(manager->health);
	operator_free(manager->operator);
	recorder_free(manager->recorder);
	kube_client_free(manager->writer);
	kube_client_free(manager->client);
	kube_config_free(manager->config);
	ctl_metrics_free(manager->ctl_metrics);
	metrics_free(manager->metrics);
	loop_free(manager->loop);
	g_free(manager->last_problem);
	log_free(manager->log);
	flags_done(&manager->flags);
}

int cmd_manager(int argc, char **argv)
{
	struct manager manager = {0};
	g_autoptr(GError) error = NULL;
	int code = 0;

	if (!parse_flags(argc, argv, &manager.flags) || !complete_flags(&manager.flags))
		code = 2;
	if (code == 0)
		manager.log = cmd_open_log(manager.flags.log_level, manager.flags.log_format);
	if (code == 0 && manager.log == NULL)
		code = 2;
	fill_settings(&manager);
	if (code == 0 && !manager_run(&manager, &error)) {
		log_error(manager.log, error->message, NULL);
		code = 1;
	}
	manager_done(&manager);
	return code;
}
