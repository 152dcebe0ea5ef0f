/* Whatever is accepted as a watch event becomes an object that reads back as it was kept. */
#include "fuzz.h"
#include "kube/client.h"

#include <string.h>

static void drop_spec(yyjson_mut_doc *doc, yyjson_mut_val *object)
{
	(void)doc;
	yyjson_mut_obj_remove_key(object, "spec");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum kube_event_type type = KUBE_EVENT_ADDED;
	yyjson_val *value = NULL;
	g_autoptr(GError) error = NULL;
	g_autoptr(yyjson_doc) doc =
	    kube_watch_parse((const char *)data, size, &type, &value, &error);
	g_autoptr(yyjson_doc) kept = NULL;
	AUTO(kube_object) object = NULL;

	if (doc == NULL) {
		g_assert_true(error != NULL && error->domain == KUBE_ERROR);
		g_assert_true(g_utf8_validate(error->message, -1, NULL));
		return 0;
	}
	g_assert_no_error(error);
	object = kube_object_new(value, drop_spec);
	if (object == NULL)
		return 0;
	g_assert_cmpuint(object->json_len, ==, strlen(object->json));
	g_assert_true(g_str_has_suffix(object->key, object->name));
	kept = kube_object_parse(object);
	g_assert_cmpstr(
	    json_str(yyjson_doc_get_root(kept), "metadata", "name", NULL), ==, object->name);
	g_assert_null(json_at(yyjson_doc_get_root(kept), "spec", NULL));
	return 0;
}
