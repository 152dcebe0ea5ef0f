#include "kube/object.h"

#include <string.h>

#define LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"

static const char *str_or_empty(const char *text)
{
	return text == NULL ? "" : text;
}

/* The uid of the owner reference with controller=true, "" when there is none. */
static const char *controller_uid(yyjson_val *value)
{
	yyjson_val *owners = json_at(value, "metadata", "ownerReferences", NULL);
	yyjson_val *owner;
	size_t i, n;

	if (!yyjson_is_arr(owners))
		return "";
	yyjson_arr_foreach(owners, i, n, owner)
	{
		if (json_bool(owner, FALSE, "controller", NULL))
			return str_or_empty(json_str(owner, "uid", NULL));
	}
	return "";
}

/* Text of the pruned object, the caller's. */
static char *prune_and_print(yyjson_val *value, kube_prune_fn prune, gsize *ret_len)
{
	g_autoptr(yyjson_mut_doc) doc = yyjson_mut_doc_new(json_alc());
	yyjson_mut_val *object = yyjson_val_mut_copy(doc, value);
	yyjson_mut_val *metadata = yyjson_mut_obj_get(object, "metadata");
	yyjson_mut_val *annotations = yyjson_mut_obj_get(metadata, "annotations");

	yyjson_mut_doc_set_root(doc, object);
	yyjson_mut_obj_remove_key(metadata, "managedFields");
	if (yyjson_mut_is_obj(annotations))
		yyjson_mut_obj_remove_key(annotations, LAST_APPLIED);
	if (prune != NULL)
		prune(doc, object);
	return json_mut_print(object, ret_len);
}

/* Copies a string with its NUL to *at and moves *at behind it. */
static const char *place(char **at, const char *text, gsize len)
{
	char *start = *at;

	memcpy(start, text, len);
	start[len] = '\0';
	*at += len + 1;
	return start;
}

struct kube_object *kube_object_new(yyjson_val *value, kube_prune_fn prune)
{
	return kube_object_new_packed(value, prune, NULL);
}

struct kube_object *kube_object_new_packed(
    yyjson_val *value, kube_prune_fn prune, struct kube_codec *codec)
{
	const char *name = json_str(value, "metadata", "name", NULL);
	const char *namespace = str_or_empty(json_str(value, "metadata", "namespace", NULL));
	const char *uid = str_or_empty(json_str(value, "metadata", "uid", NULL));
	const char *version = str_or_empty(json_str(value, "metadata", "resourceVersion", NULL));
	const char *owner = controller_uid(value);
	gsize namespace_len = strlen(namespace);
	gsize strings = namespace_len + strlen(uid) + strlen(version) + strlen(owner) + 5;
	g_autofree char *text = NULL;
	g_autofree char *packed = NULL;
	g_autofree char *key = NULL;
	struct kube_object *object;
	gsize len = 0, packed_len = 0;
	char *at;

	if (name == NULL || *name == '\0')
		return NULL;
	text = prune_and_print(value, prune, &len);
	if (len > KUBE_OBJECT_MAX_BYTES)
		return NULL;
	if (codec != NULL)
		packed = kube_codec_pack(codec, text, len, &packed_len);
	key = *namespace == '\0' ? g_strdup(name) : g_strconcat(namespace, "/", name, NULL);

	object = g_malloc(
	    sizeof(*object) + strings + strlen(key) + 1 + (packed != NULL ? packed_len : len));
	at = (char *)(object + 1);
	object->refs = 1;
	object->key = place(&at, key, strlen(key));
	object->name = *namespace == '\0' ? object->key : object->key + namespace_len + 1;
	object->namespace = place(&at, namespace, namespace_len);
	object->uid = place(&at, uid, strlen(uid));
	object->resource_version = place(&at, version, strlen(version));
	object->owner_uid = place(&at, owner, strlen(owner));
	object->generation = json_int(value, 0, "metadata", "generation", NULL);
	object->json = packed != NULL ? place(&at, packed, packed_len) : place(&at, text, len);
	object->json_len = (guint32)len;
	object->packed_len = (guint32)packed_len;
	object->codec = packed != NULL ? kube_codec_ref(codec) : NULL;
	return object;
}

struct kube_object *kube_object_ref(struct kube_object *object)
{
	g_atomic_int_inc(&object->refs);
	return object;
}

void kube_object_unref(struct kube_object *object)
{
	if (object == NULL || !g_atomic_int_dec_and_test(&object->refs))
		return;
	kube_codec_unref(object->codec);
	g_free(object);
}

yyjson_doc *kube_object_parse(const struct kube_object *object)
{
	g_autofree char *unpacked = object->codec == NULL
					? NULL
					: kube_codec_unpack(object->codec, object->json,
					      object->packed_len, object->json_len);
	/* Not json_parse(): this text is our own, and was bounded before it was written. */
	yyjson_doc *doc =
	    yyjson_read(unpacked != NULL ? unpacked : object->json, object->json_len, 0);

	g_assert(doc != NULL);
	return doc;
}
