#include "ctl/informer.h"

#include "base/hash.h"
#include "ctl/informer_priv.h"

struct handler {
	struct informer_handler ops;
	void *data;
};

struct informer {
	const struct kube_resource *resource;
	kube_prune_fn prune;
	struct kube_codec *codec;
	struct cache *cache;
	struct reflector reflector;
	GArray *handlers;  /* of struct handler */
	GPtrArray *listed; /* the objects of the list under way */
	gint synced;
	gint left_out; /* objects, since the last informer_take_left_out() */
	GMutex lock;   /* of last_error */
	char *last_error;
};

/* What a list found: the pairs are added or changed objects, old NULL for added. */
struct changes {
	GPtrArray *old_objects;
	GPtrArray *new_objects;
	GPtrArray *deleted;
};

static GPtrArray *object_array(void)
{
	return g_ptr_array_new_with_free_func((GDestroyNotify)kube_object_unref);
}

static void notify_upserted(
    struct informer *informer, struct kube_object *old_object, struct kube_object *new_object)
{
	for (guint i = 0; i < informer->handlers->len; i++) {
		const struct handler *handler =
		    &g_array_index(informer->handlers, struct handler, i);

		if (handler->ops.upserted != NULL)
			handler->ops.upserted(handler->data, old_object, new_object);
	}
}

static void notify_deleted(struct informer *informer, struct kube_object *object)
{
	for (guint i = 0; i < informer->handlers->len; i++) {
		const struct handler *handler =
		    &g_array_index(informer->handlers, struct handler, i);

		if (handler->ops.deleted != NULL)
			handler->ops.deleted(handler->data, object);
	}
}

/* ---- Lists ---- */

static void on_list_begin(void *data)
{
	struct informer *informer = data;

	g_ptr_array_set_size(informer->listed, 0);
}

/*
 * The cached object if the listed one is the same version of it: a list after a broken watch then
 * costs no memory and no printing for all that did not change.
 */
static struct kube_object *find_unchanged(struct informer *informer, yyjson_val *value)
{
	const char *namespace = json_str(value, "metadata", "namespace", NULL);
	const char *name = json_str(value, "metadata", "name", NULL);
	const char *version = json_str(value, "metadata", "resourceVersion", NULL);
	g_autofree char *key = NULL;
	AUTO(kube_object) object = NULL;

	if (name == NULL || version == NULL)
		return NULL;
	if (namespace != NULL && namespace[0] != '\0')
		key = g_strconcat(namespace, "/", name, NULL);
	object = cache_get(informer->cache, key != NULL ? key : name);
	if (object == NULL || !g_str_equal(object->resource_version, version))
		return NULL;
	return g_steal_pointer(&object);
}

static void on_list_item(void *data, yyjson_val *value)
{
	struct informer *informer = data;
	struct kube_object *object = find_unchanged(informer, value);

	if (object == NULL)
		object = kube_object_new_packed(value, informer->prune, informer->codec);
	if (object != NULL)
		g_ptr_array_add(informer->listed, object);
	else
		g_atomic_int_inc(&informer->left_out);
}

/* Makes the cache equal to the list. */
static void replace(struct informer *informer, struct changes *changes)
{
	g_autoptr(GHashTable) keys = g_hash_table_new(hash_str, g_str_equal);
	g_autoptr(GPtrArray) before = cache_list(informer->cache);

	for (guint i = 0; i < informer->listed->len; i++) {
		struct kube_object *object = g_ptr_array_index(informer->listed, i);
		AUTO(kube_object) old = cache_put(informer->cache, object);

		g_hash_table_add(keys, (gpointer)object->key);
		if (old != NULL && g_str_equal(old->resource_version, object->resource_version))
			continue;
		g_ptr_array_add(changes->old_objects, g_steal_pointer(&old));
		g_ptr_array_add(changes->new_objects, kube_object_ref(object));
	}
	for (guint i = 0; i < before->len; i++) {
		struct kube_object *object = g_ptr_array_index(before, i);

		if (!g_hash_table_contains(keys, object->key))
			g_ptr_array_add(
			    changes->deleted, cache_remove(informer->cache, object->key));
	}
}

/* Handlers hear of it when the cache holds all of it. */
static void on_list_end(void *data)
{
	struct informer *informer = data;
	g_autoptr(GPtrArray) old_objects = object_array();
	g_autoptr(GPtrArray) new_objects = object_array();
	g_autoptr(GPtrArray) deleted = object_array();
	struct changes changes = {old_objects, new_objects, deleted};

	replace(informer, &changes);
	g_ptr_array_set_size(informer->listed, 0);
	for (guint i = 0; i < new_objects->len; i++)
		notify_upserted(
		    informer, g_ptr_array_index(old_objects, i), g_ptr_array_index(new_objects, i));
	for (guint i = 0; i < deleted->len; i++)
		notify_deleted(informer, g_ptr_array_index(deleted, i));
	g_atomic_int_set(&informer->synced, TRUE);
}

/* ---- Events ---- */

static void on_event(void *data, enum kube_event_type type, yyjson_val *value)
{
	struct informer *informer = data;
	AUTO(kube_object) object = kube_object_new_packed(value, informer->prune, informer->codec);
	AUTO(kube_object) old = NULL;

	if (object == NULL) {
		g_atomic_int_inc(&informer->left_out);
		return;
	}
	if (type == KUBE_EVENT_DELETED) {
		old = cache_remove(informer->cache, object->key);
		if (old != NULL)
			notify_deleted(informer, object);
		return;
	}
	old = cache_put(informer->cache, object);
	if (old == NULL || !g_str_equal(old->resource_version, object->resource_version))
		notify_upserted(informer, old, object);
}

static void on_health(void *data, const GError *error)
{
	struct informer *informer = data;

	g_mutex_lock(&informer->lock);
	if (error != NULL || informer->last_error != NULL) {
		g_free(informer->last_error);
		informer->last_error = error != NULL ? g_strdup(error->message) : NULL;
	}
	g_mutex_unlock(&informer->lock);
}

/* ---- The interface ---- */

struct informer *informer_new_on(struct lister_watcher lister_watcher, const struct clock *clock,
    const struct informer_options *options)
{
	static const struct reflector_sink sink = {
	    .list_begin = on_list_begin,
	    .list_item = on_list_item,
	    .list_end = on_list_end,
	    .event = on_event,
	    .health = on_health,
	};
	struct informer *informer = g_new0(struct informer, 1);

	informer->resource = options->resource;
	informer->prune = options->prune;
	informer->codec = kube_codec_new();
	informer->cache = cache_new(options->index);
	informer->handlers = g_array_new(FALSE, FALSE, sizeof(struct handler));
	informer->listed = object_array();
	g_mutex_init(&informer->lock);
	reflector_init(&informer->reflector, lister_watcher, clock, &sink, informer);
	return informer;
}

void informer_free(struct informer *informer)
{
	if (informer == NULL)
		return;
	reflector_done(&informer->reflector);
	cache_free(informer->cache);
	kube_codec_unref(informer->codec);
	g_array_unref(informer->handlers);
	g_ptr_array_unref(informer->listed);
	g_mutex_clear(&informer->lock);
	g_free(informer->last_error);
	g_free(informer);
}

void informer_add_handler(
    struct informer *informer, const struct informer_handler *handler, void *data)
{
	struct handler added = {*handler, data};
	g_autoptr(GPtrArray) known = NULL;

	g_array_append_val(informer->handlers, added);
	if (!informer_has_synced(informer) || handler->upserted == NULL)
		return;
	known = cache_list(informer->cache);
	for (guint i = 0; i < known->len; i++)
		handler->upserted(data, NULL, g_ptr_array_index(known, i));
}

void informer_start(struct informer *informer)
{
	reflector_start(&informer->reflector);
}

void informer_stop(struct informer *informer)
{
	reflector_stop(&informer->reflector);
	g_ptr_array_set_size(informer->listed, 0);
}

gboolean informer_has_synced(struct informer *informer)
{
	return g_atomic_int_get(&informer->synced);
}

struct cache *informer_cache(struct informer *informer)
{
	return informer->cache;
}

const struct kube_resource *informer_resource(const struct informer *informer)
{
	return informer->resource;
}

char *informer_last_error(struct informer *informer)
{
	char *error;

	g_mutex_lock(&informer->lock);
	error = g_strdup(informer->last_error);
	g_mutex_unlock(&informer->lock);
	return error;
}

guint informer_take_left_out(struct informer *informer)
{
	gint count = g_atomic_int_get(&informer->left_out);

	g_atomic_int_add(&informer->left_out, -count);
	return (guint)count;
}
