/*
 * An API object as informers keep it: immutable, shared, small.
 *
 * The body is pruned JSON text, packed where that pays, and parsed on demand (4 to 9 us for a pod):
 * ten thousand parsed trees would take several times the memory. The fields that every controller
 * needs are beside it.
 *
 * Ownership: reference-counted, atomic. Threads: any. Limits: 2 MiB of text per object.
 */
#ifndef KUBE_OBJECT_H
#define KUBE_OBJECT_H

#include "base/auto.h"
#include "kube/codec.h"
#include "json/json.h"

enum {
	KUBE_OBJECT_MAX_BYTES = 2 * 1024 * 1024, /* of pruned text; etcd's own limit is 1.5 MiB */
};

struct kube_object {
	gint refs;
	const char *key;       /* "namespace/name", or "name" for cluster-scoped */
	const char *namespace; /* "" for cluster-scoped */
	const char *name;
	const char *uid;
	const char *resource_version; /* opaque: compare for equality only */
	gint64 generation;
	const char *owner_uid; /* of the owner with controller=true, "" when there is none */
	const char *json;      /* NUL-terminated text; packed while `codec` is not NULL */
	guint32 json_len;      /* of the text */
	guint32 packed_len;    /* of what is packed */
	struct kube_codec *codec;
};

/*
 * Cuts away what nobody reads before an object is kept; a transform of client-go. It may change
 * `object` (a mutable copy) freely but for metadata's identity. NULL keeps all. Always removed:
 * metadata.managedFields and the annotation kubectl.kubernetes.io/last-applied-configuration.
 */
typedef void (*kube_prune_fn)(yyjson_mut_doc *doc, yyjson_mut_val *object);

/*
 * NULL: it has no metadata.name, or its pruned text is over the limit. One allocation holds
 * everything.
 */
struct kube_object *kube_object_new(yyjson_val *value, kube_prune_fn prune);
/* The same, packed by `codec` where that pays; one thread at a time per codec. */
struct kube_object *kube_object_new_packed(
    yyjson_val *value, kube_prune_fn prune, struct kube_codec *codec);
struct kube_object *kube_object_ref(struct kube_object *object);
void kube_object_unref(struct kube_object *object);
DEFINE_AUTO(kube_object, kube_object_unref)

/* Its body, parsed; the caller's. Never NULL: the text was written by kube_object_new(). */
yyjson_doc *kube_object_parse(const struct kube_object *object);

#endif
