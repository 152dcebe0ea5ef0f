#include "operator/pulls.h"

#include "base/hash.h"
#include "json/json.h"

#include <string.h>

enum { STATES_MAX = 100000 };

struct pulls {
	GMutex lock;
	GHashTable *by_image; /* image -> GHashTable of node -> struct pull_state */
	guint count;
	GHashTable *stores; /* node -> base URL */
};

static const char *const phase_names[] = {"Queued", "Resolving", "Pulling", "Ready", "Failed"};

static gboolean parse_phase(const char *name, enum pull_phase *ret_phase)
{
	for (guint i = 0; i < G_N_ELEMENTS(phase_names); i++) {
		if (g_strcmp0(phase_names[i], name) == 0) {
			*ret_phase = (enum pull_phase)i;
			return TRUE;
		}
	}
	return FALSE;
}

struct pull_state *pull_state_parse(const char *line, gsize len)
{
	g_autoptr(yyjson_doc) doc = json_parse(line, len, NULL);
	yyjson_val *root = yyjson_doc_get_root(doc);
	const char *image = json_str(root, "image", NULL);
	const char *node = json_str(root, "node", NULL);
	struct pull_state *state;
	enum pull_phase phase;

	if (image == NULL || node == NULL || !parse_phase(json_str(root, "phase", NULL), &phase))
		return NULL;
	state = g_new0(struct pull_state, 1);
	state->refs = 1;
	state->phase = phase;
	state->image = g_strdup(image);
	state->node = g_strdup(node);
	state->digest = g_strdup(json_str(root, "digest", NULL));
	state->family = g_strdup(json_str(root, "family", NULL));
	state->parameters = g_strdup(json_str(root, "parameters", NULL));
	state->quantization = g_strdup(json_str(root, "quantization", NULL));
	state->reason = g_strdup(json_str(root, "reason", NULL));
	state->message = g_strdup(json_str(root, "message", NULL));
	state->size_bytes = json_int(root, 0, "size", NULL);
	state->completed_bytes = json_int(root, 0, "completed", NULL);
	state->total_bytes = json_int(root, 0, "total", NULL);
	state->bytes_per_second = json_int(root, 0, "bytesPerSecond", NULL);
	return state;
}

struct pull_state *pull_state_ref(struct pull_state *state)
{
	g_atomic_int_inc(&state->refs);
	return state;
}

void pull_state_unref(struct pull_state *state)
{
	if (state == NULL || !g_atomic_int_dec_and_test(&state->refs))
		return;
	g_free(state->image);
	g_free(state->node);
	g_free(state->digest);
	g_free(state->family);
	g_free(state->parameters);
	g_free(state->quantization);
	g_free(state->reason);
	g_free(state->message);
	g_free(state);
}

static void unref_state(gpointer state)
{
	pull_state_unref(state);
}

struct pulls *pulls_new(void)
{
	struct pulls *pulls = g_new0(struct pulls, 1);

	g_mutex_init(&pulls->lock);
	pulls->by_image = g_hash_table_new_full(
	    hash_str, g_str_equal, g_free, (GDestroyNotify)g_hash_table_unref);
	pulls->stores = g_hash_table_new_full(hash_str, g_str_equal, g_free, g_free);
	return pulls;
}

void pulls_free(struct pulls *pulls)
{
	if (pulls == NULL)
		return;
	g_hash_table_unref(pulls->by_image);
	g_hash_table_unref(pulls->stores);
	g_mutex_clear(&pulls->lock);
	g_free(pulls);
}

static gboolean says_the_same(const struct pull_state *a, const struct pull_state *b)
{
	return a != NULL && a->phase == b->phase && g_strcmp0(a->digest, b->digest) == 0 &&
	       g_strcmp0(a->reason, b->reason) == 0 && g_strcmp0(a->message, b->message) == 0;
}

gboolean pulls_put(struct pulls *pulls, struct pull_state *take_state)
{
	GHashTable *nodes;
	struct pull_state *before;
	gboolean changed;

	g_mutex_lock(&pulls->lock);
	nodes = g_hash_table_lookup(pulls->by_image, take_state->image);
	before = nodes == NULL ? NULL : g_hash_table_lookup(nodes, take_state->node);
	if (before == NULL && pulls->count >= STATES_MAX) {
		g_mutex_unlock(&pulls->lock);
		pull_state_unref(take_state);
		return FALSE;
	}
	if (nodes == NULL) {
		nodes = g_hash_table_new_full(hash_str, g_str_equal, NULL, unref_state);
		g_hash_table_insert(pulls->by_image, g_strdup(take_state->image), nodes);
	}
	if (before == NULL)
		pulls->count++;
	changed = !says_the_same(before, take_state);
	/* The key is the state's own string: it must go in with its state. */
	g_hash_table_replace(nodes, take_state->node, take_state);
	g_mutex_unlock(&pulls->lock);
	return changed;
}

GPtrArray *pulls_drop_node(struct pulls *pulls, const char *node)
{
	GPtrArray *images = g_ptr_array_new_with_free_func(g_free);
	GHashTableIter iter;
	gpointer image, nodes;

	g_mutex_lock(&pulls->lock);
	g_hash_table_iter_init(&iter, pulls->by_image);
	while (g_hash_table_iter_next(&iter, &image, &nodes)) {
		if (!g_hash_table_contains(nodes, node))
			continue;
		g_ptr_array_add(images, g_strdup(image));
		g_hash_table_remove(nodes, node);
		pulls->count--;
		if (g_hash_table_size(nodes) == 0)
			g_hash_table_iter_remove(&iter);
	}
	g_mutex_unlock(&pulls->lock);
	return images;
}

GPtrArray *pulls_for_image(struct pulls *pulls, const char *image)
{
	GPtrArray *states = g_ptr_array_new_with_free_func(unref_state);
	GHashTableIter iter;
	GHashTable *nodes;
	gpointer state;

	g_mutex_lock(&pulls->lock);
	nodes = g_hash_table_lookup(pulls->by_image, image);
	if (nodes != NULL) {
		g_hash_table_iter_init(&iter, nodes);
		while (g_hash_table_iter_next(&iter, NULL, &state))
			g_ptr_array_add(states, pull_state_ref(state));
	}
	g_mutex_unlock(&pulls->lock);
	return states;
}

void pulls_set_store(struct pulls *pulls, const char *node, const char *url)
{
	g_mutex_lock(&pulls->lock);
	if (url == NULL)
		g_hash_table_remove(pulls->stores, node);
	else
		g_hash_table_replace(pulls->stores, g_strdup(node), g_strdup(url));
	g_mutex_unlock(&pulls->lock);
}

char *pulls_any_store(struct pulls *pulls)
{
	GHashTableIter iter;
	gpointer url = NULL;
	char *found;

	g_mutex_lock(&pulls->lock);
	g_hash_table_iter_init(&iter, pulls->stores);
	g_hash_table_iter_next(&iter, NULL, &url);
	found = g_strdup(url);
	g_mutex_unlock(&pulls->lock);
	return found;
}
