#include "ctl/workqueue.h"

#include "base/backoff.h"
#include "base/hash.h"

#include <string.h>

/*
 * All that is known of one key, in one allocation. It exists while anything is: waiting, delayed,
 * in work, or failures to remember.
 *
 * dirty: it wants a reconcile. processing: a worker has it. Dirty and not processing is exactly
 * "in the FIFO"; dirty and processing enters the FIFO when the worker is done.
 */
struct item {
	GList link; /* in the FIFO; link.data is the item */
	gint64 due_ms;
	gint64 since_ms;  /* in the FIFO since */
	guint64 sequence; /* of delayed items, so that equal times keep their order */
	guint heap_index; /* NOT_DELAYED when it isn't delayed */
	guint failures;
	gboolean dirty;
	gboolean processing;
	char key[];
};

enum { NOT_DELAYED = G_MAXINT };

struct workqueue {
	const struct clock *clock;
	gint64 base_delay_ms;
	gint64 max_delay_ms;
	void (*waited)(void *data, gint64 waited_ms);
	void *waited_data;
	GMutex lock;
	GCond
	    wake; /* the FIFO has more, or the earliest delayed item is another one, or shutdown */
	GRand *random;
	GHashTable *items; /* a set of items, by their key */
	GQueue fifo;
	GPtrArray *heap; /* of delayed items, the earliest first */
	guint64 sequence;
	guint processing;
	guint64 adds;
	guint64 retries;
	gboolean shut_down;
};

/*
 * The set holds pointers to the keys inside the items, so that a search needs no probe item.
 */
static struct item *item_of_key(gpointer key)
{
	return (struct item *)(void *)((char *)key - G_STRUCT_OFFSET(struct item, key));
}

/* ---- The heap ---- */

static struct item *heap_at(struct workqueue *queue, guint index)
{
	return g_ptr_array_index(queue->heap, index);
}

static gboolean earlier(const struct item *a, const struct item *b)
{
	return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->sequence < b->sequence;
}

static void heap_place(struct workqueue *queue, struct item *item, guint index)
{
	g_ptr_array_index(queue->heap, index) = item;
	item->heap_index = index;
}

/* Moves the item up or down from where it is until the heap is in order. */
static void heap_fix(struct workqueue *queue, struct item *item)
{
	guint index = item->heap_index;

	while (index > 0 && earlier(item, heap_at(queue, (index - 1) / 2))) {
		heap_place(queue, heap_at(queue, (index - 1) / 2), index);
		index = (index - 1) / 2;
	}
	for (;;) {
		guint child = 2 * index + 1;

		if (child + 1 < queue->heap->len &&
		    earlier(heap_at(queue, child + 1), heap_at(queue, child)))
			child++;
		if (child >= queue->heap->len || !earlier(heap_at(queue, child), item))
			break;
		heap_place(queue, heap_at(queue, child), index);
		index = child;
	}
	heap_place(queue, item, index);
}

static void heap_remove(struct workqueue *queue, struct item *item)
{
	guint index = item->heap_index;
	struct item *last = heap_at(queue, queue->heap->len - 1);

	item->heap_index = NOT_DELAYED;
	g_ptr_array_set_size(queue->heap, (gint)queue->heap->len - 1);
	if (last == item)
		return;
	heap_place(queue, last, index);
	heap_fix(queue, last);
}

/* ---- Items ---- */

static struct item *item_find(struct workqueue *queue, const char *key)
{
	gpointer found = g_hash_table_lookup(queue->items, key);

	return found != NULL ? item_of_key(found) : NULL;
}

static struct item *item_ensure(struct workqueue *queue, const char *key)
{
	struct item *item = item_find(queue, key);
	gsize size = strlen(key) + 1;

	if (item != NULL)
		return item;
	item = g_malloc0(sizeof(*item) + size);
	memcpy(item->key, key, size);
	item->link.data = item;
	item->heap_index = NOT_DELAYED;
	g_hash_table_add(queue->items, item->key);
	return item;
}

static void item_drop_if_idle(struct workqueue *queue, struct item *item)
{
	if (item->dirty || item->processing || item->failures > 0 ||
	    item->heap_index != NOT_DELAYED)
		return;
	g_hash_table_remove(queue->items, item->key);
	g_free(item);
}

static void enter_fifo(struct workqueue *queue, struct item *item)
{
	item->since_ms = clock_monotonic_ms(queue->clock);
	g_queue_push_tail_link(&queue->fifo, &item->link);
	g_cond_signal(&queue->wake);
}

/* Now: what was delayed is superseded. */
static void item_add(struct workqueue *queue, struct item *item)
{
	if (item->heap_index != NOT_DELAYED)
		heap_remove(queue, item);
	if (item->dirty)
		return;
	item->dirty = TRUE;
	queue->adds++;
	if (!item->processing)
		enter_fifo(queue, item);
}

static void item_add_after(struct workqueue *queue, struct item *item, gint64 after_ms)
{
	gint64 due_ms = clock_monotonic_ms(queue->clock) + after_ms;

	if (after_ms <= 0) {
		item_add(queue, item);
		return;
	}
	if (item->dirty) /* it comes at once anyway */
		return;
	if (item->heap_index == NOT_DELAYED) {
		item->heap_index = queue->heap->len;
		g_ptr_array_add(queue->heap, item);
	} else if (item->due_ms <= due_ms) {
		return;
	}
	item->due_ms = due_ms;
	item->sequence = ++queue->sequence;
	heap_fix(queue, item);
	/* All who wait, wait for the earliest time: any one of them may be the one left to see it.
	 */
	if (item->heap_index == 0)
		g_cond_broadcast(&queue->wake);
}

static void promote_due(struct workqueue *queue)
{
	gint64 now_ms = clock_monotonic_ms(queue->clock);

	while (queue->heap->len > 0 && heap_at(queue, 0)->due_ms <= now_ms)
		item_add(queue, heap_at(queue, 0));
}

/* ---- The interface ---- */

struct workqueue *workqueue_new(const struct clock *clock, const struct workqueue_options *options)
{
	struct workqueue *queue = g_new0(struct workqueue, 1);

	queue->clock = clock;
	queue->base_delay_ms = 5;
	queue->max_delay_ms = 300000;
	if (options != NULL && options->base_delay_ms > 0)
		queue->base_delay_ms = options->base_delay_ms;
	if (options != NULL && options->max_delay_ms > 0)
		queue->max_delay_ms = options->max_delay_ms;
	if (options != NULL) {
		queue->waited = options->waited;
		queue->waited_data = options->waited_data;
	}
	queue->random = options != NULL && options->seed != 0 ? g_rand_new_with_seed(options->seed)
							      : g_rand_new();
	g_mutex_init(&queue->lock);
	g_cond_init(&queue->wake);
	queue->items = g_hash_table_new(hash_str, g_str_equal);
	g_queue_init(&queue->fifo);
	queue->heap = g_ptr_array_new();
	return queue;
}

void workqueue_free(struct workqueue *queue)
{
	GHashTableIter iter;
	gpointer key;

	if (queue == NULL)
		return;
	g_hash_table_iter_init(&iter, queue->items);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		g_hash_table_iter_steal(&iter);
		g_free(item_of_key(key));
	}
	g_hash_table_unref(queue->items);
	g_ptr_array_unref(queue->heap);
	g_rand_free(queue->random);
	g_cond_clear(&queue->wake);
	g_mutex_clear(&queue->lock);
	g_free(queue);
}

void workqueue_add(struct workqueue *queue, const char *key)
{
	g_mutex_lock(&queue->lock);
	if (!queue->shut_down)
		item_add(queue, item_ensure(queue, key));
	g_mutex_unlock(&queue->lock);
}

void workqueue_add_after(struct workqueue *queue, const char *key, gint64 after_ms)
{
	g_mutex_lock(&queue->lock);
	if (!queue->shut_down)
		item_add_after(queue, item_ensure(queue, key), after_ms);
	g_mutex_unlock(&queue->lock);
}

void workqueue_add_rate_limited(struct workqueue *queue, const char *key)
{
	g_mutex_lock(&queue->lock);
	if (!queue->shut_down) {
		struct item *item = item_ensure(queue, key);
		struct backoff backoff = {.base_ms = queue->base_delay_ms,
		    .cap_ms = queue->max_delay_ms,
		    .factor = 2,
		    .jitter = 0.2,
		    .failures = item->failures};
		gint64 after_ms = backoff_next_ms(&backoff, queue->random);

		item->failures = backoff.failures;
		queue->retries++;
		item_add_after(queue, item, after_ms);
	}
	g_mutex_unlock(&queue->lock);
}

void workqueue_forget(struct workqueue *queue, const char *key)
{
	struct item *item;

	g_mutex_lock(&queue->lock);
	item = item_find(queue, key);
	if (item != NULL) {
		item->failures = 0;
		item_drop_if_idle(queue, item);
	}
	g_mutex_unlock(&queue->lock);
}

/* The next key's copy, NULL when there is none or the queue is shut down. */
static char *take(struct workqueue *queue, gint64 *ret_waited_ms)
{
	struct item *item;

	if (queue->shut_down)
		return NULL;
	promote_due(queue);
	if (queue->fifo.head == NULL)
		return NULL;
	item = g_queue_pop_head_link(&queue->fifo)->data;
	item->dirty = FALSE;
	item->processing = TRUE;
	queue->processing++;
	*ret_waited_ms = clock_monotonic_ms(queue->clock) - item->since_ms;
	return g_strdup(item->key);
}

/* Hands a key out, without the lock. */
static char *told(struct workqueue *queue, char *key, gint64 waited_ms)
{
	if (key != NULL && queue->waited != NULL)
		queue->waited(queue->waited_data, waited_ms);
	return key;
}

char *workqueue_try_get(struct workqueue *queue)
{
	gint64 waited_ms = 0;
	char *key;

	g_mutex_lock(&queue->lock);
	key = take(queue, &waited_ms);
	g_mutex_unlock(&queue->lock);
	return told(queue, key, waited_ms);
}

/*
 * Waits until something may have come, or the earliest delayed item is due. The queue's clock says
 * how long that is, the system's when it is over: with a fake clock, use workqueue_try_get().
 */
static void wait_for_more(struct workqueue *queue)
{
	gint64 wait_ms;

	if (queue->heap->len == 0) {
		g_cond_wait(&queue->wake, &queue->lock);
		return;
	}
	wait_ms = heap_at(queue, 0)->due_ms - clock_monotonic_ms(queue->clock);
	g_cond_wait_until(&queue->wake, &queue->lock,
	    g_get_monotonic_time() + MAX(wait_ms, 1) * G_TIME_SPAN_MILLISECOND);
}

char *workqueue_get(struct workqueue *queue)
{
	gint64 waited_ms = 0;
	char *key;

	g_mutex_lock(&queue->lock);
	while ((key = take(queue, &waited_ms)) == NULL && !queue->shut_down)
		wait_for_more(queue);
	g_mutex_unlock(&queue->lock);
	return told(queue, key, waited_ms);
}

void workqueue_done(struct workqueue *queue, const char *key)
{
	struct item *item;

	g_mutex_lock(&queue->lock);
	item = item_find(queue, key);
	if (item != NULL && item->processing) {
		item->processing = FALSE;
		queue->processing--;
		if (item->dirty)
			enter_fifo(queue, item);
		item_drop_if_idle(queue, item);
	}
	g_mutex_unlock(&queue->lock);
}

void workqueue_shutdown(struct workqueue *queue)
{
	g_mutex_lock(&queue->lock);
	queue->shut_down = TRUE;
	g_cond_broadcast(&queue->wake);
	g_mutex_unlock(&queue->lock);
}

void workqueue_stats(struct workqueue *queue, struct workqueue_stats *ret_stats)
{
	g_mutex_lock(&queue->lock);
	if (!queue->shut_down)
		promote_due(queue);
	*ret_stats = (struct workqueue_stats){
	    .depth = queue->fifo.length,
	    .delayed = queue->heap->len,
	    .processing = queue->processing,
	    .adds = queue->adds,
	    .retries = queue->retries,
	};
	if (queue->fifo.head != NULL) {
		const struct item *oldest = queue->fifo.head->data;

		ret_stats->oldest_ms = clock_monotonic_ms(queue->clock) - oldest->since_ms;
	}
	g_mutex_unlock(&queue->lock);
}
