#include "ctl/controller.h"

/* What a handler is given: for whom, and what to add for an object. */
struct watch {
	struct controller *controller;
	char *owner_kind;      /* of controller_watch_owned(), else NULL */
	controller_map_fn map; /* of controller_watch_mapped(), else NULL */
	void *map_data;
};

struct controller {
	const struct clock *clock;
	struct log *log;
	char *name;
	struct controller_options options;
	struct workqueue *queue;
	GPtrArray *watches;
	GPtrArray *threads; /* empty while stopped */
};

static void watch_free(gpointer data)
{
	struct watch *watch = data;

	g_free(watch->owner_kind);
	g_free(watch);
}

struct controller *controller_new(
    const struct clock *clock, struct log *log, const struct controller_options *options)
{
	struct controller *controller = g_new0(struct controller, 1);

	controller->clock = clock;
	controller->log = log;
	controller->options = *options;
	controller->name = g_strdup(options->name);
	controller->options.name = controller->name;
	if (options->workers == 0)
		controller->options.workers = 4;
	controller->queue =
	    workqueue_new(clock, &(struct workqueue_options){.waited = options->waited,
				     .waited_data = options->observe_data});
	controller->watches = g_ptr_array_new_with_free_func(watch_free);
	controller->threads = g_ptr_array_new();
	return controller;
}

void controller_free(struct controller *controller)
{
	if (controller == NULL)
		return;
	controller_stop(controller);
	g_ptr_array_unref(controller->threads);
	g_ptr_array_unref(controller->watches);
	workqueue_free(controller->queue);
	g_free(controller->name);
	g_free(controller);
}

struct workqueue *controller_queue(struct controller *controller)
{
	return controller->queue;
}

/* ---- Watches ---- */

static void add_self(struct watch *watch, const struct kube_object *object)
{
	workqueue_add(watch->controller->queue, object->key);
}

/* The name of the controller owner if it is of this kind, borrowed. */
static const char *owner_name(yyjson_val *body, const char *kind)
{
	yyjson_val *owners = json_at(body, "metadata", "ownerReferences", NULL);
	yyjson_val *owner;
	size_t index, max;

	yyjson_arr_foreach(owners, index, max, owner)
	{
		if (json_bool(owner, FALSE, "controller", NULL) &&
		    g_strcmp0(json_str(owner, "kind", NULL), kind) == 0)
			return json_str(owner, "name", NULL);
	}
	return NULL;
}

static void add_owner(struct watch *watch, const struct kube_object *object)
{
	g_autoptr(yyjson_doc) body = NULL;
	g_autofree char *key = NULL;
	const char *name;

	if (object->owner_uid[0] == '\0')
		return;
	body = kube_object_parse(object);
	name = owner_name(yyjson_doc_get_root(body), watch->owner_kind);
	if (name == NULL)
		return;
	if (object->namespace[0] != '\0')
		key = g_strconcat(object->namespace, "/", name, NULL);
	workqueue_add(watch->controller->queue, key != NULL ? key : name);
}

static void add_for(struct watch *watch, struct kube_object *object)
{
	if (watch->map != NULL)
		watch->map(watch->map_data, object, watch->controller->queue);
	else if (watch->owner_kind != NULL)
		add_owner(watch, object);
	else
		add_self(watch, object);
}

static void on_upserted(void *data, struct kube_object *old_object, struct kube_object *new_object)
{
	struct watch *watch = data;

	/*
	 * An object that changed hands concerns both owners, and a map may have had another answer
	 * for what it was before.
	 */
	if (old_object != NULL &&
	    (watch->map != NULL || !g_str_equal(old_object->owner_uid, new_object->owner_uid)))
		add_for(watch, old_object);
	add_for(watch, new_object);
}

static void on_deleted(void *data, struct kube_object *object)
{
	add_for(data, object);
}

/* Consumes `owner_kind`. All is set before the handler is added, which may call it at once. */
static void watch_add(struct controller *controller, struct informer *informer, char *owner_kind,
    controller_map_fn map, void *map_data)
{
	static const struct informer_handler handler = {on_upserted, on_deleted};
	struct watch *watch = g_new0(struct watch, 1);

	*watch = (struct watch){controller, owner_kind, map, map_data};
	g_ptr_array_add(controller->watches, watch);
	informer_add_handler(informer, &handler, watch);
}

void controller_watch(struct controller *controller, struct informer *informer)
{
	watch_add(controller, informer, NULL, NULL, NULL);
}

void controller_watch_owned(
    struct controller *controller, struct informer *informer, const char *owner_kind)
{
	watch_add(controller, informer, g_strdup(owner_kind), NULL, NULL);
}

void controller_watch_mapped(
    struct controller *controller, struct informer *informer, controller_map_fn map, void *data)
{
	watch_add(controller, informer, NULL, map, data);
}

/* ---- Workers ---- */

static void log_result(
    struct controller *controller, const char *key, const GError *error, gint64 took_us)
{
	g_autofree char *took_ms = g_strdup_printf("%.1f", (double)took_us / 1000);

	if (error != NULL)
		log_warn(controller->log, "reconcile failed", "controller", controller->name,
		    "object", key, "error", error->message, "took_ms", took_ms, NULL);
	else
		log_debug(controller->log, "reconciled", "controller", controller->name, "object",
		    key, "took_ms", took_ms, NULL);
}

static void process(struct controller *controller, const char *key)
{
	const struct controller_options *options = &controller->options;
	struct reconcile_result result = {0};
	g_autoptr(GError) error = NULL;
	gint64 start_us = g_get_monotonic_time(); /* Why: struct clock counts milliseconds */
	gboolean ok = options->reconcile(options->data, key, &result, &error);
	gint64 took_us = g_get_monotonic_time() - start_us;
	enum reconcile_outcome outcome = !ok                           ? RECONCILE_ERROR
					 : result.requeue_after_ms > 0 ? RECONCILE_REQUEUE_AFTER
								       : RECONCILE_SUCCESS;

	if (!ok && error == NULL)
		error = g_error_new_literal(KUBE_ERROR, KUBE_ERROR_RETRY, "failed without a word");
	log_result(controller, key, ok ? NULL : error, took_us);
	if (!ok) {
		workqueue_add_rate_limited(controller->queue, key);
	} else {
		workqueue_forget(controller->queue, key);
		if (result.requeue_after_ms > 0)
			workqueue_add_after(controller->queue, key, result.requeue_after_ms);
	}
	workqueue_done(controller->queue, key);
	if (options->observe != NULL)
		options->observe(options->observe_data, outcome, took_us);
}

static gpointer work(gpointer data)
{
	struct controller *controller = data;
	char *key;

	while ((key = workqueue_get(controller->queue)) != NULL) {
		process(controller, key);
		g_free(key);
	}
	return NULL;
}

void controller_start(struct controller *controller)
{
	if (controller->threads->len > 0)
		return;
	for (guint i = 0; i < controller->options.workers; i++) {
		/* The kernel keeps 15 bytes of a thread's name. */
		g_autofree char *name = g_strdup_printf("%.11s-%u", controller->name, i);

		g_ptr_array_add(controller->threads, g_thread_new(name, work, controller));
	}
}

void controller_stop(struct controller *controller)
{
	workqueue_shutdown(controller->queue);
	for (guint i = 0; i < controller->threads->len; i++)
		g_thread_join(g_ptr_array_index(controller->threads, i));
	g_ptr_array_set_size(controller->threads, 0);
}
