/*
 * Strategic merge patch: the way in which Kubernetes amends its own objects. Pure.
 *
 * Objects merge member by member; null removes a member; a list is replaced, unless the schema says
 * by which key its elements are told apart: then they merge one by one. Directives in the patch:
 *
 *	$patch: replace | delete         of an object, or of an element of a keyed list
 *	$retainKeys: [a, b]              members of the object that stay; all others go
 *	$deleteFromPrimitiveList/x: []   values that go from the list x
 *	$setElementOrder/x: []           the order of the list x
 *
 * Elements that a patch adds come before those it does not name, as in Kubernetes.
 *
 * In these things this differs from k8s.io/apimachinery, whose results decide otherwise:
 *   - whatever is taken over from a patch is free of nulls and directives, wherever it lands;
 *     there, they stay in new elements and replaced lists until a typed decoder drops them;
 *   - an object with `$patch: replace` where nothing is to replace is taken, not dropped;
 *   - a member that the schema does not know is merged without keys, not refused;
 *   - $setElementOrder over an empty list, or with `$patch: replace` in that list, is followed, not
 *     refused; with `$patch: delete` in it, where new elements land does not depend, as there, on
 *     which memory the deletion has shifted.
 *
 * Ownership: everything in `original` stays in its document; the patch is only read, and copied
 * from. Threads: those of the documents. Limits: recurses as deep as the patch, which json_parse()
 * bounds; time grows with the sizes, not with their product.
 * Source: "Update API Objects in Place Using kubectl patch" in Kubernetes' documentation;
 * k8s.io/apimachinery v0.35.4, pkg/util/strategicpatch, whose results the tests hold.
 */
#ifndef JSON_STRATEGIC_H
#define JSON_STRATEGIC_H

#include "base/auto.h"
#include "json/json.h"

/* What is special about the members of an object. A list of them ends with a NULL name. */
struct strategic_field {
	const char *name;
	/* A list whose elements are objects that this member tells apart; NULL: none. */
	const char *merge_key;
	/* A list of strings or numbers that is a set: a patch adds to it. */
	gboolean is_set;
	/* Of the object, or of each element of the list; NULL: nothing special below. */
	const struct strategic_field *members;
};

/* Kubernetes' PodTemplateSpec. */
extern const struct strategic_field STRATEGIC_POD_TEMPLATE[];

/*
 * Merges `patch` into `original`, both objects; `fields` may be NULL. FALSE with SYNTAX and the
 * path of the trouble when the patch breaks the rules above; then `original` is half merged.
 */
gboolean strategic_merge(yyjson_mut_doc *doc, yyjson_mut_val *original, yyjson_mut_val *patch,
    const struct strategic_field *fields, GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
