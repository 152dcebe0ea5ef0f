#include "operator/nodes.h"

#include "base/hash.h"
#include "base/quantity.h"

struct nodes {
	GMutex lock;
	GHashTable *memory; /* name -> gint64 *, bytes */
	gint64 largest_bytes;
	void (*changed)(void *data);
	void *data;
};

struct nodes *nodes_new(void (*changed)(void *data), void *data)
{
	struct nodes *nodes = g_new0(struct nodes, 1);

	g_mutex_init(&nodes->lock);
	nodes->memory = g_hash_table_new_full(hash_str, g_str_equal, g_free, g_free);
	nodes->changed = changed;
	nodes->data = data;
	return nodes;
}

void nodes_free(struct nodes *nodes)
{
	if (nodes == NULL)
		return;
	g_hash_table_unref(nodes->memory);
	g_mutex_clear(&nodes->lock);
	g_free(nodes);
}

/* A cordoned node takes no pods now, but may again soon: its size still counts. */
static gint64 allocatable_bytes(const struct kube_object *node)
{
	g_autoptr(yyjson_doc) doc = kube_object_parse(node);
	const char *text =
	    json_str(yyjson_doc_get_root(doc), "status", "allocatable", "memory", NULL);
	gint64 bytes;

	return text != NULL && quantity_parse(text, &bytes) && bytes > 0 ? bytes : 0;
}

/* With the lock held. */
static gint64 find_largest(struct nodes *nodes)
{
	GHashTableIter iter;
	gpointer value;
	gint64 largest = 0;

	g_hash_table_iter_init(&iter, nodes->memory);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		largest = MAX(largest, *(const gint64 *)value);
	return largest;
}

/* `bytes` 0: the node is gone, or says nothing of its memory. */
static void set_node(struct nodes *nodes, const char *name, gint64 bytes)
{
	gint64 before, after;

	g_mutex_lock(&nodes->lock);
	before = nodes->largest_bytes;
	if (bytes == 0)
		g_hash_table_remove(nodes->memory, name);
	else
		g_hash_table_replace(
		    nodes->memory, g_strdup(name), g_memdup2(&bytes, sizeof(bytes)));
	after = nodes->largest_bytes = find_largest(nodes);
	g_mutex_unlock(&nodes->lock);
	if (after != before)
		nodes->changed(nodes->data);
}

static void node_upserted(
    void *data, struct kube_object *old_object, struct kube_object *new_object)
{
	(void)old_object;
	set_node(data, new_object->name, allocatable_bytes(new_object));
}

static void node_deleted(void *data, struct kube_object *object)
{
	set_node(data, object->name, 0);
}

const struct informer_handler NODES_HANDLER = {node_upserted, node_deleted};

gint64 nodes_largest_bytes(struct nodes *nodes)
{
	gint64 bytes;

	g_mutex_lock(&nodes->lock);
	bytes = nodes->largest_bytes;
	g_mutex_unlock(&nodes->lock);
	return bytes;
}
