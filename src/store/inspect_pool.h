/*
 * The threads that inspect models for others (store/inspect.h), and what they remember.
 *
 * Ownership: inspect_pool_new/inspect_pool_free; what is given must outlive it. Threads: any for
 * inspect_pool_ask(); `done` is called on one of the pool's own, and must only post.
 * Limits: INSPECT_POOL_MAX_WAITING questions, INSPECT_POOL_REMEMBERED answers, the latest used.
 */
#ifndef STORE_INSPECT_POOL_H
#define STORE_INSPECT_POOL_H

#include "store/inspect.h"

enum { INSPECT_POOL_MAX_WAITING = 1024, INSPECT_POOL_REMEMBERED = 512 };

struct inspect_pool;

struct inspect_pool *inspect_pool_new(
    const struct content *content, const struct registry_options *registry);
/* Breaks off what is under way; whoever waits hears CANCELLED. Joins the threads. */
void inspect_pool_free(struct inspect_pool *pool);
DEFINE_AUTO(inspect_pool, inspect_pool_free)

/*
 * Exactly once for each question: the text and no error, or an error and no text; both borrowed.
 */
typedef void (*inspect_done_fn)(void *data, const char *text, const GError *error);

/* FALSE: too many wait, and `done` will not be called. */
gboolean inspect_pool_ask(struct inspect_pool *pool, const struct reference *reference,
    enum pull_policy policy, inspect_done_fn done, void *data) G_GNUC_WARN_UNUSED_RESULT;

#endif
