/*
 * The values used last, by key: what isn't asked for longest goes first.
 *
 * Ownership: keys are copied, values are freed by the lru. Threads: one at a time.
 */
#ifndef BASE_LRU_H
#define BASE_LRU_H

#include "base/auto.h"

struct lru;

struct lru *lru_new(guint capacity, GDestroyNotify value_free);
void lru_free(struct lru *lru);
DEFINE_AUTO(lru, lru_free)

/* Borrowed until the next lru_put(); NULL: not there. Counts as a use. */
gpointer lru_get(struct lru *lru, const char *key);
/* Consumes `value`; the key must not be there. */
void lru_put(struct lru *lru, const char *key, gpointer value);
guint lru_size(const struct lru *lru);

#endif
