#include "operator/memory_need.h"

#include "operator/hardware.h"

const char *memory_need_kv_type(const struct model *model)
{
	yyjson_arr_iter iter;
	yyjson_val *entry;

	yyjson_arr_iter_init(model->extra_env, &iter);
	while ((entry = yyjson_arr_iter_next(&iter)) != NULL) {
		if (g_strcmp0(json_str(entry, "name", NULL), "OLLAMA_KV_CACHE_TYPE") == 0)
			return json_str(entry, "value", NULL);
	}
	return NULL;
}

/* What the estimate depends on, as text: "ctx=4096 parallel=1 kv=f16". */
static char *basis_of(const struct model *model)
{
	const char *kv_type = memory_need_kv_type(model);

	return g_strdup_printf("context %" G_GINT64_FORMAT ", parallel %" G_GINT64_FORMAT
			       ", cache %s",
	    model->context_length, model->parallel, kv_type != NULL ? kv_type : "f16");
}

gboolean memory_need_read(const struct model *model, struct memory_estimate *ret)
{
	yyjson_val *memory = json_at(model->status, "memory", NULL);
	g_autofree char *basis = basis_of(model);
	g_autofree char *image = NULL;

	if (memory == NULL || model->image == NULL)
		return FALSE;
	image = reference_full(model->image);
	if (g_strcmp0(json_str(model->status, "image", NULL), image) != 0 ||
	    g_strcmp0(json_str(memory, "for", NULL), basis) != 0)
		return FALSE;
	*ret = (struct memory_estimate){
	    .weights_bytes = json_int(memory, 0, "weights", NULL),
	    .cache_bytes = json_int(memory, 0, "cache", NULL),
	    .overhead_bytes = json_int(memory, 0, "overhead", NULL),
	    .total_bytes = json_int(memory, 0, "total", NULL),
	};
	return ret->total_bytes > 0;
}

void memory_need_write(yyjson_mut_doc *doc, yyjson_mut_val *status, const struct model *model,
    const struct memory_estimate *estimate)
{
	yyjson_mut_val *memory = json_mut_object(doc, status, "memory");
	g_autofree char *basis = basis_of(model);

	json_mut_set_int(doc, memory, "weights", estimate->weights_bytes);
	json_mut_set_int(doc, memory, "cache", estimate->cache_bytes);
	json_mut_set_int(doc, memory, "overhead", estimate->overhead_bytes);
	json_mut_set_int(doc, memory, "total", estimate->total_bytes);
	json_mut_set_str(doc, memory, "for", basis);
}

gboolean memory_need_is_requested(const struct model *model)
{
	struct hardware hardware;

	hardware_read(model->resources, &hardware);
	return !hardware.gpu && json_at(model->resources, "requests", "memory", NULL) == NULL &&
	       json_at(model->resources, "limits", "memory", NULL) == NULL;
}
