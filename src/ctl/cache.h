/*
 * What an informer knows: objects by key, and by the indexes it was made with (client-go's
 * Indexer). Readers get references to immutable snapshots, so nothing is copied or locked while
 * they work.
 *
 * Ownership: references handed out are the caller's. Threads: any; one short lock.
 */
#ifndef CTL_CACHE_H
#define CTL_CACHE_H

#include "kube/object.h"

struct cache;

/*
 * The value under which an object is found besides its key and its owner, NULL for none; the
 * caller's string. Called once per stored version, with the parsed body.
 */
typedef char *(*cache_index_fn)(const struct kube_object *object, yyjson_val *body);

struct cache *cache_new(cache_index_fn index);
void cache_free(struct cache *cache);
DEFINE_AUTO(cache, cache_free)

/* NULL: not there. */
struct kube_object *cache_get(struct cache *cache, const char *key);
/* Arrays free their references. In no particular order. */
GPtrArray *cache_list(struct cache *cache);
GPtrArray *cache_by_owner(struct cache *cache, const char *owner_uid);
GPtrArray *cache_by_index(struct cache *cache, const char *value);
guint cache_size(struct cache *cache);

/* For reflectors and tests. Returns what was there before, the caller's, or NULL. */
struct kube_object *cache_put(struct cache *cache, struct kube_object *object);
struct kube_object *cache_remove(struct cache *cache, const char *key);

#endif
