#include "operator/phases.h"

#include "base/hash.h"

struct phases {
	GMutex lock;
	GHashTable *by_model; /* key -> interned phase */
	struct metric *models;
};

struct phases *phases_new(struct metrics *metrics)
{
	struct phases *phases = g_new0(struct phases, 1);

	g_mutex_init(&phases->lock);
	phases->by_model = g_hash_table_new_full(hash_str, g_str_equal, g_free, NULL);
	if (metrics != NULL)
		phases->models = metrics_gauge(metrics, "ollama_operator_models",
		    "Number of Models in each phase.", "phase", NULL);
	return phases;
}

void phases_free(struct phases *phases)
{
	if (phases == NULL)
		return;
	g_hash_table_unref(phases->by_model);
	g_mutex_clear(&phases->lock);
	g_free(phases);
}

void phases_note(struct phases *phases, const char *key, const char *phase)
{
	const char *now = g_intern_string(phase);
	const char *before;

	if (phases->models == NULL)
		return;
	g_mutex_lock(&phases->lock);
	before = g_hash_table_lookup(phases->by_model, key);
	if (now == NULL)
		g_hash_table_remove(phases->by_model, key);
	else if (now != before)
		g_hash_table_insert(phases->by_model, g_strdup(key), (gpointer)now);
	g_mutex_unlock(&phases->lock);
	if (now == before)
		return;
	if (before != NULL)
		metric_add(phases->models, -1, before);
	if (now != NULL)
		metric_add(phases->models, 1, now);
}
