#include "store/gate.h"

#include <uv.h>

static const guint64 LOOK_AGAIN_NS = 500 * 1000 * 1000;

/* Why libuv's locks: they are pthread's, which ThreadSanitizer knows; GLib's own are not. */
struct gate {
	uv_mutex_t mutex;
	uv_cond_t left;
	GHashTable *inside; /* set of names */
};

struct gate *gate_new(void)
{
	struct gate *gate = g_new0(struct gate, 1);

	uv_mutex_init(&gate->mutex);
	uv_cond_init(&gate->left);
	gate->inside = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	return gate;
}

void gate_free(struct gate *gate)
{
	if (gate == NULL)
		return;
	g_assert(g_hash_table_size(gate->inside) == 0);
	g_hash_table_unref(gate->inside);
	uv_cond_destroy(&gate->left);
	uv_mutex_destroy(&gate->mutex);
	g_free(gate);
}

gboolean gate_enter(struct gate *gate, const char *name, const gint *cancelled)
{
	gboolean entered = FALSE;

	uv_mutex_lock(&gate->mutex);
	while (cancelled == NULL || !g_atomic_int_get(cancelled)) {
		if (!g_hash_table_contains(gate->inside, name)) {
			g_hash_table_add(gate->inside, g_strdup(name));
			entered = TRUE;
			break;
		}
		(void)uv_cond_timedwait(&gate->left, &gate->mutex, LOOK_AGAIN_NS);
	}
	uv_mutex_unlock(&gate->mutex);
	return entered;
}

void gate_leave(struct gate *gate, const char *name)
{
	uv_mutex_lock(&gate->mutex);
	g_hash_table_remove(gate->inside, name);
	uv_cond_broadcast(&gate->left);
	uv_mutex_unlock(&gate->mutex);
}
