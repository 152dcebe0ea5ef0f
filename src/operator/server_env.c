#include "operator/server_env.h"

/* What is being built; lives for one server_env_set(). */
struct draft {
	yyjson_mut_doc *doc;
	yyjson_mut_val *env;
	const struct model *model;
};

void server_env_add_pod_uid(yyjson_mut_doc *doc, yyjson_mut_val *env)
{
	yyjson_mut_val *entry = json_mut_append_object(doc, env);
	yyjson_mut_val *source = json_mut_object(doc, entry, "valueFrom");
	yyjson_mut_val *field = json_mut_object(doc, source, "fieldRef");

	json_mut_set_str(doc, entry, "name", "POD_UID");
	json_mut_set_str(doc, field, "apiVersion", "v1");
	json_mut_set_str(doc, field, "fieldPath", "metadata.uid");
}

static gboolean user_sets(const struct model *model, const char *name)
{
	yyjson_arr_iter iter;
	yyjson_val *entry;

	yyjson_arr_iter_init(model->extra_env, &iter);
	while ((entry = yyjson_arr_iter_next(&iter)) != NULL) {
		if (g_strcmp0(json_str(entry, "name", NULL), name) == 0)
			return TRUE;
	}
	return FALSE;
}

static void add_default(const struct draft *draft, const char *name, const char *value)
{
	yyjson_mut_val *entry;

	if (user_sets(draft->model, name))
		return;
	entry = json_mut_append_object(draft->doc, draft->env);
	json_mut_set_str(draft->doc, entry, "name", name);
	json_mut_set_str(draft->doc, entry, "value", value);
}

static void add_number(const struct draft *draft, const char *name, gint64 value)
{
	g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, value);

	add_default(draft, name, text);
}

/*
 * On a node with GPUs every container may see them. A Model that asks for none is told not to
 * look, unless its runtime class says that it knows what it does.
 */
static void add_hardware(const struct draft *draft, const struct hardware *hardware)
{
	static const char *const hidden[][2] = {{"NVIDIA_VISIBLE_DEVICES", "void"},
	    {"CUDA_VISIBLE_DEVICES", "-1"}, {"HIP_VISIBLE_DEVICES", "-1"},
	    {"ROCR_VISIBLE_DEVICES", "-1"}, {"GGML_VK_VISIBLE_DEVICES", "-1"}};

	/* The engine counts the node's cores: it does not know the limit. */
	if (hardware->threads > 0)
		add_number(draft, "LLAMA_ARG_THREADS", hardware->threads);
	if (hardware->gpu || draft->model->runtime_class != NULL)
		return;
	for (gsize i = 0; i < G_N_ELEMENTS(hidden); i++)
		add_default(draft, hidden[i][0], hidden[i][1]);
}

void server_env_set(yyjson_mut_doc *doc, yyjson_mut_val *container, const struct model *model,
    const struct hardware *hardware)
{
	const struct draft draft = {doc, json_mut_array(doc, container, "env"), model};
	yyjson_arr_iter iter;
	yyjson_val *entry;

	server_env_add_pod_uid(doc, draft.env);
	add_default(&draft, "HOME", HOME_DIRECTORY);
	add_default(&draft, "OLLAMA_HOST", "0.0.0.0:11434");
	add_default(&draft, "OLLAMA_MODELS", MODELS_DIRECTORY);
	add_default(&draft, "OLLAMA_NOPRUNE", "1");
	add_default(&draft, "OLLAMA_NO_CLOUD", "1");
	add_default(&draft, "OLLAMA_KEEP_ALIVE", model->keep_alive);
	add_number(&draft, "OLLAMA_CONTEXT_LENGTH", model->context_length);
	add_number(&draft, "OLLAMA_NUM_PARALLEL", model->parallel);
	/* What the estimate of memory reckons with. */
	add_number(&draft, "LLAMA_ARG_CACHE_RAM", MEMORY_PROMPT_CACHE_MIB);
	add_hardware(&draft, hardware);
	yyjson_arr_iter_init(model->extra_env, &iter);
	while ((entry = yyjson_arr_iter_next(&iter)) != NULL)
		yyjson_mut_arr_append(draft.env, yyjson_val_mut_copy(doc, entry));
	json_mut_copy(doc, container, "envFrom", model->extra_env_from);
}
