#include "store/inspect_pool.h"

#include "base/lru.h"

#include <uv.h>

enum { THREADS = 2 };

struct question {
	struct reference *reference;
	enum pull_policy policy;
	inspect_done_fn done;
	void *data;
};

struct inspect_pool {
	const struct content *content;
	const struct registry_options *registry;
	gint cancelled;
	/* Why libuv's locks: they are pthread's, which ThreadSanitizer knows; GLib's are not. */
	uv_mutex_t mutex; /* of all below */
	uv_cond_t work;
	GQueue waiting;      /* of struct question, owned */
	struct lru *answers; /* text by "digest image" */
	GThread *threads[THREADS];
};

static void question_free(struct question *question)
{
	reference_free(question->reference);
	g_free(question);
}

static char *cache_get(void *data, const char *key)
{
	struct inspect_pool *pool = data;
	char *copy;

	uv_mutex_lock(&pool->mutex);
	copy = g_strdup(lru_get(pool->answers, key));
	uv_mutex_unlock(&pool->mutex);
	return copy;
}

static void cache_put(void *data, const char *key, const char *text)
{
	struct inspect_pool *pool = data;

	uv_mutex_lock(&pool->mutex);
	/* Two threads may have asked the same. */
	if (lru_get(pool->answers, key) == NULL)
		lru_put(pool->answers, key, g_strdup(text));
	uv_mutex_unlock(&pool->mutex);
}

static void answer(struct inspect_pool *pool, struct question *question)
{
	struct inspect inspect = {.content = pool->content,
	    .options = pool->registry,
	    .reference = question->reference,
	    .policy = question->policy,
	    .cancelled = &pool->cancelled,
	    .cache_get = cache_get,
	    .cache_put = cache_put,
	    .data = pool};
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;

	if (g_atomic_int_get(&pool->cancelled))
		g_set_error_literal(
		    &error, STORE_ERROR, STORE_ERROR_CANCELLED, "the store is stopping");
	else
		text = inspect_run(&inspect, &error);
	question->done(question->data, text, error);
	question_free(question);
}

static gpointer work(gpointer data)
{
	struct inspect_pool *pool = data;

	uv_mutex_lock(&pool->mutex);
	for (;;) {
		struct question *question = g_queue_pop_head(&pool->waiting);

		if (question != NULL) {
			uv_mutex_unlock(&pool->mutex);
			answer(pool, question);
			uv_mutex_lock(&pool->mutex);
		} else if (g_atomic_int_get(&pool->cancelled)) {
			break;
		} else {
			uv_cond_wait(&pool->work, &pool->mutex);
		}
	}
	uv_mutex_unlock(&pool->mutex);
	return NULL;
}

struct inspect_pool *inspect_pool_new(
    const struct content *content, const struct registry_options *registry)
{
	struct inspect_pool *pool = g_new0(struct inspect_pool, 1);

	pool->content = content;
	pool->registry = registry;
	uv_mutex_init(&pool->mutex);
	uv_cond_init(&pool->work);
	g_queue_init(&pool->waiting);
	pool->answers = lru_new(INSPECT_POOL_REMEMBERED, g_free);
	for (guint i = 0; i < THREADS; i++)
		pool->threads[i] = g_thread_new("inspector", work, pool);
	return pool;
}

void inspect_pool_free(struct inspect_pool *pool)
{
	if (pool == NULL)
		return;
	uv_mutex_lock(&pool->mutex);
	g_atomic_int_set(&pool->cancelled, 1);
	uv_cond_broadcast(&pool->work);
	uv_mutex_unlock(&pool->mutex);
	for (guint i = 0; i < THREADS; i++)
		g_thread_join(pool->threads[i]);
	lru_free(pool->answers);
	uv_cond_destroy(&pool->work);
	uv_mutex_destroy(&pool->mutex);
	g_free(pool);
}

gboolean inspect_pool_ask(struct inspect_pool *pool, const struct reference *reference,
    enum pull_policy policy, inspect_done_fn done, void *data)
{
	g_autofree char *full = reference_full(reference);
	struct question *question = g_new0(struct question, 1);
	gboolean has_room;

	*question = (struct question){reference_parse(full, NULL), policy, done, data};
	uv_mutex_lock(&pool->mutex);
	has_room = pool->waiting.length < INSPECT_POOL_MAX_WAITING;
	if (has_room) {
		g_queue_push_tail(&pool->waiting, question);
		uv_cond_signal(&pool->work);
	}
	uv_mutex_unlock(&pool->mutex);
	if (!has_room)
		question_free(question);
	return has_room;
}
