#include "base/lru.h"

#include "base/hash.h"

struct entry {
	GList link; /* link.data is the entry */
	char *key;
	gpointer value;
};

struct lru {
	guint capacity;
	GDestroyNotify value_free;
	GHashTable *entries; /* by the entries' own keys */
	GQueue uses;         /* the latest at the head */
};

struct lru *lru_new(guint capacity, GDestroyNotify value_free)
{
	struct lru *lru = g_new0(struct lru, 1);

	lru->capacity = capacity;
	lru->value_free = value_free;
	lru->entries = g_hash_table_new(hash_str, g_str_equal);
	g_queue_init(&lru->uses);
	return lru;
}

static void drop_oldest(struct lru *lru)
{
	struct entry *entry = g_queue_pop_tail_link(&lru->uses)->data;

	g_hash_table_remove(lru->entries, entry->key);
	lru->value_free(entry->value);
	g_free(entry->key);
	g_free(entry);
}

void lru_free(struct lru *lru)
{
	if (lru == NULL)
		return;
	while (lru->uses.length > 0)
		drop_oldest(lru);
	g_hash_table_unref(lru->entries);
	g_free(lru);
}

gpointer lru_get(struct lru *lru, const char *key)
{
	struct entry *entry = g_hash_table_lookup(lru->entries, key);

	if (entry == NULL)
		return NULL;
	g_queue_unlink(&lru->uses, &entry->link);
	g_queue_push_head_link(&lru->uses, &entry->link);
	return entry->value;
}

void lru_put(struct lru *lru, const char *key, gpointer value)
{
	struct entry *entry = g_new0(struct entry, 1);

	if (lru->uses.length >= lru->capacity)
		drop_oldest(lru);
	entry->link.data = entry;
	entry->key = g_strdup(key);
	entry->value = value;
	g_hash_table_insert(lru->entries, entry->key, entry);
	g_queue_push_head_link(&lru->uses, &entry->link);
}

guint lru_size(const struct lru *lru)
{
	return lru->uses.length;
}
