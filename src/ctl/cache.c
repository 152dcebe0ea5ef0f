#include "ctl/cache.h"

#include "base/hash.h"

struct entry;

/* A place in a chain of entries that share a string. */
struct link {
	struct entry *next;
	struct entry *prev;
};

/* What an entry has in addition when the cache has an index. */
struct indexed {
	struct link link;
	char *value; /* owned; NULL: not in the index */
};

/*
 * One object and its places among the objects with the same owner and the same index value. The
 * tables are sets of entries that hash by strings of the entry's current object, so that no key
 * is stored twice: an entry has 24 bytes, 48 in a cache with an index.
 *
 *   by_key    {"ns/name"} : entry
 *   by_owner  {owner_uid} : head entry <-> entry <-> entry
 *   by_value  {value}     : head entry <-> entry
 *
 * GHashTable hands the same functions what is stored and what is looked for; a search therefore
 * goes by a probe, an entry on the stack whose string is the wanted one.
 */
struct entry {
	struct kube_object *object;
	struct link owner;
};

struct indexed_entry {
	struct entry entry; /* first: an entry of a cache with an index is cast to this */
	struct indexed indexed;
};

struct cache {
	GMutex lock;
	cache_index_fn index;
	GHashTable *by_key;
	GHashTable *by_owner; /* objects without an owner are not in it */
	GHashTable *by_value; /* NULL without an index */
};

/* Where an entry keeps its place in one of the two kinds of chains. */
typedef struct link *(*link_fn)(struct entry *entry);

static struct indexed *entry_indexed(const struct entry *entry)
{
	return &((struct indexed_entry *)(void *)entry)->indexed;
}

static guint key_hash(gconstpointer entry)
{
	return hash_str(((const struct entry *)entry)->object->key);
}

static gboolean key_equal(gconstpointer a, gconstpointer b)
{
	return g_str_equal(
	    ((const struct entry *)a)->object->key, ((const struct entry *)b)->object->key);
}

static guint owner_hash(gconstpointer entry)
{
	return hash_str(((const struct entry *)entry)->object->owner_uid);
}

static gboolean owner_equal(gconstpointer a, gconstpointer b)
{
	return g_str_equal(((const struct entry *)a)->object->owner_uid,
	    ((const struct entry *)b)->object->owner_uid);
}

static guint value_hash(gconstpointer entry)
{
	return hash_str(entry_indexed(entry)->value);
}

static gboolean value_equal(gconstpointer a, gconstpointer b)
{
	return g_str_equal(entry_indexed(a)->value, entry_indexed(b)->value);
}

static struct link *owner_link(struct entry *entry)
{
	return &entry->owner;
}

static struct link *value_link(struct entry *entry)
{
	return &entry_indexed(entry)->link;
}

/* Puts the entry second in its chain, or makes it the head of a new one: the table is left be. */
static void chain_insert(GHashTable *table, link_fn link_of, struct entry *entry)
{
	struct entry *head = g_hash_table_lookup(table, entry);
	struct link *link = link_of(entry);

	link->prev = head;
	link->next = NULL;
	if (head == NULL) {
		g_hash_table_add(table, entry);
		return;
	}
	link->next = link_of(head)->next;
	link_of(head)->next = entry;
	if (link->next != NULL)
		link_of(link->next)->prev = entry;
}

/* The entry's string must still be the one it was inserted under. */
static void chain_remove(GHashTable *table, link_fn link_of, struct entry *entry)
{
	struct link *link = link_of(entry);

	if (link->next != NULL)
		link_of(link->next)->prev = link->prev;
	if (link->prev != NULL)
		link_of(link->prev)->next = link->next;
	else if (link->next != NULL)
		g_hash_table_add(table, link->next); /* replaces its equal, the entry */
	else
		g_hash_table_remove(table, entry);
	*link = (struct link){NULL, NULL};
}

static void entry_free(struct cache *cache, struct entry *entry)
{
	kube_object_unref(entry->object);
	if (cache->index != NULL)
		g_free(entry_indexed(entry)->value);
	g_free(entry);
}

struct cache *cache_new(cache_index_fn index)
{
	struct cache *cache = g_new0(struct cache, 1);

	g_mutex_init(&cache->lock);
	cache->index = index;
	cache->by_key = g_hash_table_new(key_hash, key_equal);
	cache->by_owner = g_hash_table_new(owner_hash, owner_equal);
	if (index != NULL)
		cache->by_value = g_hash_table_new(value_hash, value_equal);
	return cache;
}

void cache_free(struct cache *cache)
{
	GHashTableIter iter;
	gpointer entry;

	if (cache == NULL)
		return;
	/* The other tables only borrow the entries and must not look at them any more. */
	g_hash_table_unref(cache->by_owner);
	if (cache->by_value != NULL)
		g_hash_table_unref(cache->by_value);
	g_hash_table_iter_init(&iter, cache->by_key);
	while (g_hash_table_iter_next(&iter, &entry, NULL)) {
		g_hash_table_iter_steal(&iter);
		entry_free(cache, entry);
	}
	g_hash_table_unref(cache->by_key);
	g_mutex_clear(&cache->lock);
	g_free(cache);
}

static struct entry *find(struct cache *cache, const char *key)
{
	struct kube_object object = {.key = key};
	struct entry probe = {.object = &object};

	return g_hash_table_lookup(cache->by_key, &probe);
}

struct kube_object *cache_get(struct cache *cache, const char *key)
{
	struct entry *entry;
	struct kube_object *object = NULL;

	g_mutex_lock(&cache->lock);
	entry = find(cache, key);
	if (entry != NULL)
		object = kube_object_ref(entry->object);
	g_mutex_unlock(&cache->lock);
	return object;
}

static GPtrArray *object_array(guint reserved)
{
	return g_ptr_array_new_full(reserved, (GDestroyNotify)kube_object_unref);
}

GPtrArray *cache_list(struct cache *cache)
{
	GHashTableIter iter;
	gpointer entry;
	GPtrArray *objects;

	g_mutex_lock(&cache->lock);
	objects = object_array(g_hash_table_size(cache->by_key));
	g_hash_table_iter_init(&iter, cache->by_key);
	while (g_hash_table_iter_next(&iter, &entry, NULL))
		g_ptr_array_add(objects, kube_object_ref(((struct entry *)entry)->object));
	g_mutex_unlock(&cache->lock);
	return objects;
}

static GPtrArray *chain_list(struct entry *head, link_fn link_of)
{
	GPtrArray *objects = object_array(0);

	for (struct entry *entry = head; entry != NULL; entry = link_of(entry)->next)
		g_ptr_array_add(objects, kube_object_ref(entry->object));
	return objects;
}

GPtrArray *cache_by_owner(struct cache *cache, const char *owner_uid)
{
	struct kube_object object = {.owner_uid = owner_uid};
	struct entry probe = {.object = &object};
	GPtrArray *objects;

	g_mutex_lock(&cache->lock);
	objects = chain_list(g_hash_table_lookup(cache->by_owner, &probe), owner_link);
	g_mutex_unlock(&cache->lock);
	return objects;
}

GPtrArray *cache_by_index(struct cache *cache, const char *value)
{
	struct indexed_entry probe = {.indexed = {.value = (char *)value}};
	GPtrArray *objects;

	if (cache->by_value == NULL)
		return object_array(0);
	g_mutex_lock(&cache->lock);
	objects = chain_list(g_hash_table_lookup(cache->by_value, &probe.entry), value_link);
	g_mutex_unlock(&cache->lock);
	return objects;
}

guint cache_size(struct cache *cache)
{
	guint size;

	g_mutex_lock(&cache->lock);
	size = g_hash_table_size(cache->by_key);
	g_mutex_unlock(&cache->lock);
	return size;
}

/* Parses, so outside the lock. */
static char *index_value(struct cache *cache, const struct kube_object *object)
{
	g_autoptr(yyjson_doc) body = NULL;

	if (cache->index == NULL)
		return NULL;
	body = kube_object_parse(object);
	return cache->index(object, yyjson_doc_get_root(body));
}

/* Consumes `value`. Only for a cache with an index. */
static void set_value(struct cache *cache, struct entry *entry, char *value)
{
	struct indexed *indexed = entry_indexed(entry);

	if (g_strcmp0(indexed->value, value) == 0) {
		g_free(value);
		return;
	}
	if (indexed->value != NULL)
		chain_remove(cache->by_value, value_link, entry);
	g_free(indexed->value);
	indexed->value = value;
	if (value != NULL)
		chain_insert(cache->by_value, value_link, entry);
}

/* Takes over the caller's reference to `object`; gives back that to the object before. */
static struct kube_object *replace(
    struct cache *cache, struct entry *entry, struct kube_object *object)
{
	struct kube_object *old = entry->object;
	gboolean moves = !g_str_equal(old->owner_uid, object->owner_uid);

	if (moves && old->owner_uid[0] != '\0')
		chain_remove(cache->by_owner, owner_link, entry);
	entry->object = object;
	if (moves && object->owner_uid[0] != '\0')
		chain_insert(cache->by_owner, owner_link, entry);
	return old;
}

static struct entry *insert(struct cache *cache, struct kube_object *object)
{
	struct entry *entry =
	    g_malloc0(cache->index != NULL ? sizeof(struct indexed_entry) : sizeof(struct entry));

	entry->object = object;
	g_hash_table_add(cache->by_key, entry);
	if (object->owner_uid[0] != '\0')
		chain_insert(cache->by_owner, owner_link, entry);
	return entry;
}

struct kube_object *cache_put(struct cache *cache, struct kube_object *object)
{
	char *value = index_value(cache, object);
	struct kube_object *old = NULL;
	struct entry *entry;

	kube_object_ref(object);
	g_mutex_lock(&cache->lock);
	entry = find(cache, object->key);
	if (entry != NULL)
		old = replace(cache, entry, object);
	else
		entry = insert(cache, object);
	if (cache->index != NULL)
		set_value(cache, entry, value);
	g_mutex_unlock(&cache->lock);
	return old;
}

struct kube_object *cache_remove(struct cache *cache, const char *key)
{
	struct kube_object *old = NULL;
	struct entry *entry;

	g_mutex_lock(&cache->lock);
	entry = find(cache, key);
	if (entry != NULL) {
		if (cache->index != NULL)
			set_value(cache, entry, NULL);
		if (entry->object->owner_uid[0] != '\0')
			chain_remove(cache->by_owner, owner_link, entry);
		g_hash_table_remove(cache->by_key, entry);
		old = kube_object_ref(entry->object);
		entry_free(cache, entry);
	}
	g_mutex_unlock(&cache->lock);
	return old;
}
