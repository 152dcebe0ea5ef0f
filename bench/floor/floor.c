/*
 * The floor under the manager's figures: a client that creates the same objects and does nothing
 * else. It watches nothing, reads nothing back, writes no status and repeats nothing.
 *
 *   Models        --models N of them, by --in-flight threads
 *   --children    for each Model, as soon as it exists, the very Deployment and Service that the
 *                 manager would make (the same code says what they are), by --in-flight threads
 * more
 *
 * Without --children it is the writer of Models that all contenders of bench/manager share.
 * Prints one line of JSON: how long each took, in seconds from the first request.
 */
#include "model/resource.h"
#include "operator/plan.h"

#include "kube/client.h"

#include <signal.h>
#include <stdio.h>

struct floor_flags {
	char *kubeconfig;
	char *namespace;
	int first;
	int models;
	int in_flight;
	gboolean children;
};

struct floor {
	struct floor_flags flags;
	struct kube_client *client;
	struct operator_settings settings;
	GAsyncQueue
	    *made; /* struct kube_object *: Models that exist, for the second row of threads */
	gint next_model; /* atomic */
	gint next_child; /* atomic */
	gint failures;   /* atomic */
};

static gboolean parse_flags(int argc, char **argv, struct floor_flags *flags)
{
	const GOptionEntry entries[] = {
	    {"kubeconfig", 0, 0, G_OPTION_ARG_FILENAME, &flags->kubeconfig, "Kubeconfig file",
		"FILE"},
	    {"namespace", 0, 0, G_OPTION_ARG_STRING, &flags->namespace, "Where [default]", "NS"},
	    {"first", 0, 0, G_OPTION_ARG_INT, &flags->first, "Number of the first Model [0]", "N"},
	    {"models", 0, 0, G_OPTION_ARG_INT, &flags->models, "How many Models", "N"},
	    {"in-flight", 0, 0, G_OPTION_ARG_INT, &flags->in_flight,
		"Requests at once, of each kind [8]", "N"},
	    {"children", 0, 0, G_OPTION_ARG_NONE, &flags->children,
		"Make a Deployment and a Service for each", NULL},
	    G_OPTION_ENTRY_NULL,
	};
	g_autoptr(GOptionContext) context = g_option_context_new(NULL);
	g_autoptr(GError) error = NULL;

	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error)) {
		fprintf(stderr, "floor: %s\n", error->message);
		return FALSE;
	}
	if (flags->namespace == NULL)
		flags->namespace = g_strdup("default");
	if (flags->in_flight == 0)
		flags->in_flight = 8;
	if (flags->models < 1 || flags->in_flight < 1 || flags->in_flight > 64 || argc > 1) {
		fprintf(stderr, "floor: --models must be at least 1, --in-flight 1 to 64\n");
		return FALSE;
	}
	return TRUE;
}

/* A failure is said, and the whole run counts for nothing. */
static yyjson_doc *create(
    struct floor *run, const struct kube_resource *resource, const char *text, gsize len)
{
	g_autoptr(GError) error = NULL;
	yyjson_doc *stored =
	    kube_create(run->client, resource, run->flags.namespace, text, len, &error);

	if (stored == NULL) {
		g_atomic_int_inc(&run->failures);
		fprintf(stderr, "floor: %s\n", error->message);
	}
	return stored;
}

/* What a user writes: an image of its own, and little room. */
static yyjson_mut_doc *model_body(const struct floor *run, int number)
{
	g_autofree char *name = g_strdup_printf("bench-%05d", number);
	g_autofree char *image = g_strdup_printf("bench/model-%05d:q4", number);
	yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = yyjson_mut_obj(doc);
	yyjson_mut_val *metadata, *spec, *requests;

	yyjson_mut_doc_set_root(doc, root);
	json_mut_set_str(doc, root, "apiVersion", "ollama.ayaka.io/v1");
	json_mut_set_str(doc, root, "kind", "Model");
	metadata = json_mut_object(doc, root, "metadata");
	json_mut_set_str(doc, metadata, "name", name);
	json_mut_set_str(doc, metadata, "namespace", run->flags.namespace);
	spec = json_mut_object(doc, root, "spec");
	json_mut_set_str(doc, spec, "image", image);
	requests = json_mut_object(doc, json_mut_object(doc, spec, "resources"), "requests");
	json_mut_set_str(doc, requests, "cpu", "1m");
	json_mut_set_str(doc, requests, "memory", "16Mi");
	return doc;
}

static void *write_models(void *data)
{
	struct floor *run = data;
	int number;

	while ((number = g_atomic_int_add(&run->next_model, 1)) < run->flags.models) {
		g_autoptr(yyjson_mut_doc) body = model_body(run, run->flags.first + number);
		gsize len;
		g_autofree char *text = json_mut_print(yyjson_mut_doc_get_root(body), &len);
		g_autoptr(yyjson_doc) stored = create(run, &MODEL_RESOURCE, text, len);

		if (run->flags.children && stored != NULL)
			g_async_queue_push(
			    run->made, kube_object_new(yyjson_doc_get_root(stored), NULL));
	}
	return NULL;
}

/* What the manager would do first for a Model that has no children yet. */
static GPtrArray *plan(struct floor *run, const struct model *model)
{
	g_autoptr(GPtrArray) nothing = g_ptr_array_new();
	const struct observed observed = {
	    .model = model, .pods = nothing, .pulls = nothing, .now_us = g_get_real_time()};
	g_autofree char *refused = NULL;
	const char *reason = NULL;
	GPtrArray *actions = plan_children(&observed, &run->settings, &refused, &reason);

	if (refused != NULL || actions->len != 2) {
		g_atomic_int_inc(&run->failures);
		fprintf(stderr, "floor: %u actions; %s\n", actions->len, refused);
	}
	return actions;
}

static void make_children(struct floor *run, const struct kube_object *object)
{
	g_autoptr(GError) error = NULL;
	AUTO(model) model = model_from_object(object, &error);
	g_autoptr(GPtrArray) actions = NULL;

	if (model == NULL) {
		g_atomic_int_inc(&run->failures);
		fprintf(stderr, "floor: %s\n", error->message);
		return;
	}
	actions = plan(run, model);
	for (guint i = 0; i < actions->len; i++) {
		const struct action *action = actions->pdata[i];
		g_autoptr(yyjson_doc) stored =
		    create(run, action->resource, action->body, action->body_len);
	}
}

static void *write_children(void *data)
{
	struct floor *run = data;

	while (g_atomic_int_add(&run->next_child, 1) < run->flags.models &&
	       g_atomic_int_get(&run->failures) == 0) {
		/* A Model that fails never comes: then the run is void, and this ends in time. */
		AUTO(kube_object)
		model = g_async_queue_timeout_pop(run->made, 120 * G_USEC_PER_SEC);

		if (model == NULL)
			break;
		make_children(run, model);
	}
	return NULL;
}

static void start_threads(GThread **threads, const struct floor *run, GThreadFunc function)
{
	for (int i = 0; i < run->flags.in_flight; i++)
		threads[i] = g_thread_new("writer", function, (void *)run);
}

static void join_threads(GThread **threads, const struct floor *run)
{
	for (int i = 0; i < run->flags.in_flight; i++)
		g_thread_join(threads[i]);
}

static void measure(struct floor *run)
{
	GThread *models[64], *children[64];
	gint64 start_wall_us = g_get_real_time(), start_us = g_get_monotonic_time();
	gint64 models_us, children_us;

	start_threads(models, run, write_models);
	if (run->flags.children)
		start_threads(children, run, write_children);
	join_threads(models, run);
	models_us = g_get_monotonic_time() - start_us;
	if (run->flags.children)
		join_threads(children, run);
	children_us = g_get_monotonic_time() - start_us;
	printf("{\"started\": %.6f, \"models_s\": %.3f, \"children_s\": %.3f}\n",
	    (double)start_wall_us / 1e6, (double)models_us / 1e6,
	    run->flags.children ? (double)children_us / 1e6 : 0.0);
}

static gboolean run_all(struct floor *run, GError **error)
{
	const struct kube_config_options where = {.kubeconfig = run->flags.kubeconfig};
	const struct kube_client_options how = {
	    .user_agent = run->flags.children ? "bench-floor" : "bench-writer",
	    .field_manager = "bench",
	};
	AUTO(kube_config) config = kube_config_load(&where, error);
	AUTO(loop) loop = NULL;
	GThread *looper;

	if (config == NULL)
		return FALSE;
	loop = loop_new();
	run->client = kube_client_new(loop, config, &how);
	looper = loop_run_in_thread(loop, "loop");
	measure(run);
	loop_stop(loop);
	g_thread_join(looper);
	kube_client_free(run->client);
	return TRUE;
}

int main(int argc, char **argv)
{
	struct floor run = {
	    .settings =
		{
		    .namespace = "ollama-operator-system",
		    .image = "ollama-operator:bench",
		    .server_image = "docker.io/ollama/ollama:0.33.0",
		    .store_url = "http://ollama-model-store.ollama-operator-system.svc:11435",
		    .store_directory = "/var/lib/ollama-operator",
		},
	};
	g_autoptr(GError) error = NULL;
	int code = 0;

	signal(SIGPIPE, SIG_IGN);
	if (!parse_flags(argc, argv, &run.flags)) {
		code = 2;
	} else {
		run.made = g_async_queue_new_full((GDestroyNotify)kube_object_unref);
		if (!run_all(&run, &error)) {
			fprintf(stderr, "floor: %s\n", error->message);
			code = 1;
		}
		g_async_queue_unref(run.made);
	}
	g_free(run.flags.kubeconfig);
	g_free(run.flags.namespace);
	return code != 0 ? code : run.failures > 0;
}
