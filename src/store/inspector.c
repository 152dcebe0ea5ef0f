#include "store/inspector.h"

#include "base/lru.h"

#include <uv.h>

enum { THREADS = 2 };

struct question {
	struct reference *reference;
	enum pull_policy policy;
	inspector_done_fn done;
	void *data;
};

struct inspector {
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
	struct inspector *inspector = data;
	char *copy;

	uv_mutex_lock(&inspector->mutex);
	copy = g_strdup(lru_get(inspector->answers, key));
	uv_mutex_unlock(&inspector->mutex);
	return copy;
}

static void cache_put(void *data, const char *key, const char *text)
{
	struct inspector *inspector = data;

	uv_mutex_lock(&inspector->mutex);
	/* Two threads may have asked the same. */
	if (lru_get(inspector->answers, key) == NULL)
		lru_put(inspector->answers, key, g_strdup(text));
	uv_mutex_unlock(&inspector->mutex);
}

static void answer(struct inspector *inspector, struct question *question)
{
	struct inspect inspect = {.content = inspector->content,
	    .options = inspector->registry,
	    .reference = question->reference,
	    .policy = question->policy,
	    .cancelled = &inspector->cancelled,
	    .cache_get = cache_get,
	    .cache_put = cache_put,
	    .data = inspector};
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;

	if (g_atomic_int_get(&inspector->cancelled))
		g_set_error_literal(
		    &error, STORE_ERROR, STORE_ERROR_CANCELLED, "the store is stopping");
	else
		text = inspect_run(&inspect, &error);
	question->done(question->data, text, error);
	question_free(question);
}

static gpointer work(gpointer data)
{
	struct inspector *inspector = data;

	uv_mutex_lock(&inspector->mutex);
	for (;;) {
		struct question *question = g_queue_pop_head(&inspector->waiting);

		if (question != NULL) {
			uv_mutex_unlock(&inspector->mutex);
			answer(inspector, question);
			uv_mutex_lock(&inspector->mutex);
		} else if (g_atomic_int_get(&inspector->cancelled)) {
			break;
		} else {
			uv_cond_wait(&inspector->work, &inspector->mutex);
		}
	}
	uv_mutex_unlock(&inspector->mutex);
	return NULL;
}

struct inspector *inspector_new(
    const struct content *content, const struct registry_options *registry)
{
	struct inspector *inspector = g_new0(struct inspector, 1);

	inspector->content = content;
	inspector->registry = registry;
	uv_mutex_init(&inspector->mutex);
	uv_cond_init(&inspector->work);
	g_queue_init(&inspector->waiting);
	inspector->answers = lru_new(INSPECTOR_REMEMBERED, g_free);
	for (guint i = 0; i < THREADS; i++)
		inspector->threads[i] = g_thread_new("inspector", work, inspector);
	return inspector;
}

void inspector_free(struct inspector *inspector)
{
	if (inspector == NULL)
		return;
	uv_mutex_lock(&inspector->mutex);
	g_atomic_int_set(&inspector->cancelled, 1);
	uv_cond_broadcast(&inspector->work);
	uv_mutex_unlock(&inspector->mutex);
	for (guint i = 0; i < THREADS; i++)
		g_thread_join(inspector->threads[i]);
	lru_free(inspector->answers);
	uv_cond_destroy(&inspector->work);
	uv_mutex_destroy(&inspector->mutex);
	g_free(inspector);
}

gboolean inspector_ask(struct inspector *inspector, const struct reference *reference,
    enum pull_policy policy, inspector_done_fn done, void *data)
{
	g_autofree char *full = reference_full(reference);
	struct question *question = g_new0(struct question, 1);
	gboolean has_room;

	*question = (struct question){reference_parse(full, NULL), policy, done, data};
	uv_mutex_lock(&inspector->mutex);
	has_room = inspector->waiting.length < INSPECTOR_MAX_WAITING;
	if (has_room) {
		g_queue_push_tail(&inspector->waiting, question);
		uv_cond_signal(&inspector->work);
	}
	uv_mutex_unlock(&inspector->mutex);
	if (!has_room)
		question_free(question);
	return has_room;
}
