/* Objects as informers keep them: pruned, in one piece, reference-counted. */
#include "kube/object.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define POD                                                                                     \
	"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"phi-0\","             \
	"\"namespace\":\"default\",\"uid\":\"u1\",\"resourceVersion\":\"42\",\"generation\":7," \
	"\"managedFields\":[{\"manager\":\"x\"}],\"annotations\":{\"keep\":\"1\","              \
	"\"kubectl.kubernetes.io/last-applied-configuration\":\"{}\"},"                         \
	"\"ownerReferences\":[{\"uid\":\"o0\",\"controller\":false},"                           \
	"{\"uid\":\"o1\",\"controller\":true}]},\"spec\":{\"x\":1.50},\"status\":{\"y\":2}}"

static struct kube_object *object_of(const char *text, kube_prune_fn prune)
{
	g_autoptr(yyjson_doc) doc = json_parse(text, strlen(text), NULL);

	assert_non_null(doc);
	return kube_object_new(yyjson_doc_get_root(doc), prune);
}

static void takes_identity(void **state)
{
	AUTO(kube_object) object = object_of(POD, NULL);

	(void)state;
	assert_string_equal(object->key, "default/phi-0");
	assert_string_equal(object->namespace, "default");
	assert_string_equal(object->name, "phi-0");
	assert_string_equal(object->uid, "u1");
	assert_string_equal(object->resource_version, "42");
	assert_string_equal(object->owner_uid, "o1");
	assert_int_equal(object->generation, 7);
	assert_int_equal(object->json_len, strlen(object->json));
}

static void prunes_always(void **state)
{
	AUTO(kube_object) object = object_of(POD, NULL);
	g_autoptr(yyjson_doc) doc = kube_object_parse(object);
	yyjson_val *metadata = json_at(yyjson_doc_get_root(doc), "metadata", NULL);

	(void)state;
	assert_null(json_at(metadata, "managedFields", NULL));
	assert_int_equal(yyjson_obj_size(json_at(metadata, "annotations", NULL)), 1);
	assert_string_equal(json_str(metadata, "annotations", "keep", NULL), "1");
	assert_non_null(json_at(yyjson_doc_get_root(doc), "status", "y", NULL));
}

static void drop_status(yyjson_mut_doc *doc, yyjson_mut_val *object)
{
	(void)doc;
	yyjson_mut_obj_remove_key(object, "status");
}

static void prunes_as_asked(void **state)
{
	AUTO(kube_object) object = object_of(POD, drop_status);
	g_autoptr(yyjson_doc) doc = kube_object_parse(object);

	(void)state;
	assert_null(json_at(yyjson_doc_get_root(doc), "status", NULL));
	assert_non_null(json_at(yyjson_doc_get_root(doc), "spec", NULL));
}

static void takes_cluster_scoped(void **state)
{
	AUTO(kube_object) object = object_of("{\"metadata\":{\"name\":\"n1\"}}", NULL);

	(void)state;
	assert_string_equal(object->key, "n1");
	assert_string_equal(object->name, "n1");
	assert_string_equal(object->namespace, "");
	assert_string_equal(object->uid, "");
	assert_string_equal(object->resource_version, "");
	assert_string_equal(object->owner_uid, "");
	assert_int_equal(object->generation, 0);
}

static void refuses_nameless(void **state)
{
	static const char *const texts[] = {"{}", "[]", "\"x\"", "{\"metadata\":{}}",
	    "{\"metadata\":{\"name\":\"\"}}", "{\"metadata\":{\"name\":5}}", "{\"metadata\":null}"};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
		assert_null(object_of(texts[i], NULL));
}

static void survives_odd_metadata(void **state)
{
	AUTO(kube_object)
	object = object_of("{\"metadata\":{\"name\":\"a\",\"annotations\":null,"
			   "\"ownerReferences\":{\"uid\":1},\"uid\":9,\"generation\":\"x\"}}",
	    NULL);
	AUTO(kube_object)
	owned = object_of("{\"metadata\":{\"name\":\"a\",\"annotations\":[],"
			  "\"ownerReferences\":[1,{\"controller\":true}]}}",
	    NULL);

	(void)state;
	assert_string_equal(object->uid, "");
	assert_string_equal(object->owner_uid, "");
	assert_int_equal(object->generation, 0);
	assert_string_equal(owned->owner_uid, "");
}

static struct kube_object *object_with_text_of(gsize len)
{
	static const char head[] = "{\"metadata\":{\"name\":\"a\"},\"x\":\"", tail[] = "\"}";
	g_autofree char *filler = g_strnfill(len - strlen(head) - strlen(tail), 'x');
	g_autofree char *text = g_strconcat(head, filler, tail, NULL);

	return object_of(text, NULL);
}

static void has_a_limit(void **state)
{
	AUTO(kube_object) largest = object_with_text_of(KUBE_OBJECT_MAX_BYTES);

	(void)state;
	assert_non_null(largest);
	assert_int_equal(largest->json_len, KUBE_OBJECT_MAX_BYTES);
	assert_null(object_with_text_of(KUBE_OBJECT_MAX_BYTES + 1));
}

static gpointer ref_and_unref(gpointer data)
{
	for (int i = 0; i < 10000; i++)
		kube_object_unref(kube_object_ref(data));
	return NULL;
}

static void is_shared_between_threads(void **state)
{
	AUTO(kube_object) object = object_of(POD, NULL);
	GThread *threads[4];

	(void)state;
	for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
		threads[i] = g_thread_new("refs", ref_and_unref, object);
	for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
		g_thread_join(threads[i]);
	assert_int_equal(object->refs, 1);
	kube_object_unref(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(takes_identity),
	    cmocka_unit_test(prunes_always),
	    cmocka_unit_test(prunes_as_asked),
	    cmocka_unit_test(takes_cluster_scoped),
	    cmocka_unit_test(refuses_nameless),
	    cmocka_unit_test(survives_odd_metadata),
	    cmocka_unit_test(has_a_limit),
	    cmocka_unit_test(is_shared_between_threads),
	};

	return cmocka_run_group_tests_name("kube/object", tests, NULL, NULL);
}
