#include "fixtures.h"

#include "json/yaml.h"

yyjson_doc *doc_from_yaml(const char *yaml)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) docs = yaml_read(yaml, strlen(yaml), &error);

	if (docs == NULL || docs->len != 1)
		g_error("fixture: %s in\n%s", error != NULL ? error->message : "no document", yaml);
	return g_ptr_array_steal_index(docs, 0);
}

struct kube_object *object_from_yaml(const char *yaml)
{
	g_autoptr(yyjson_doc) doc = doc_from_yaml(yaml);
	struct kube_object *object = kube_object_new(yyjson_doc_get_root(doc), NULL);

	if (object == NULL)
		g_error("fixture has no name:\n%s", yaml);
	return object;
}

struct model *model_with(const char *spec, const char *status)
{
	g_autofree char *yaml =
	    g_strdup_printf("metadata: {name: phi, namespace: default, uid: uid-1, "
			    "generation: 3}\nspec: %s\nstatus: %s\n",
		spec, status != NULL ? status : "{}");
	AUTO(kube_object) object = object_from_yaml(yaml);
	g_autoptr(GError) error = NULL;
	struct model *model = model_from_object(object, &error);

	if (model == NULL)
		g_error("fixture: %s", error->message);
	return model;
}

const struct operator_settings *test_settings(void)
{
	static const struct operator_settings settings = {
	    .namespace = "ollama-operator-system",
	    .image = "operator:1",
	    .server_image = "ollama:1",
	    .store_url = "http://store:11435",
	    .store_directory = "/var/lib/ollama-operator",
	    .store_selector = "component=store",
	    .store_port = 11435,
	    .workers = 2,
	};

	return &settings;
}
