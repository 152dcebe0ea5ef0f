/*
 * Where a Model's weights are for its pods: which volume, who fills it, on which node. Pure.
 *
 *   the Model names a claim                         that claim, filled by `fetch --into`
 *   it has storageClassName or accessMode           the namespace's claim ollama-models-store-pvc
 *   its namespace enforces baseline or restricted   an emptyDir: host paths are refused there
 *   else                                            the node's store shows its own directory
 *
 * The shared claim is the original's by name and size. It belongs to no Model: it stays when they
 * go, is grown and never shrunk. Class and access mode of a claim cannot change, so a Model that
 * asks for others than the one has that is there gets a claim of its own kind beside it.
 *
 * Ownership: what is said at each function. Threads: any.
 */
#ifndef OPERATOR_VOLUMES_H
#define OPERATOR_VOLUMES_H

#include "model/resource.h"
#include "operator/settings.h"

#define SHARED_CLAIM "ollama-models-store-pvc"
#define DEFAULT_CLAIM_SIZE "100Gi"
/* On the pods of a claim that one node can have: which claim it is. */
#define LABEL_CLAIM "ollama.ayaka.io/claim"
#define LABEL_ENFORCE "pod-security.kubernetes.io/enforce"

enum volume_kind { VOLUME_HOST, VOLUME_CLAIM, VOLUME_POD };

struct volume_choice {
	enum volume_kind kind;
	const char *claim;     /* CLAIM: its name; borrowed */
	gboolean is_shared;    /* CLAIM: made by us */
	gboolean is_read_only; /* CLAIM: `fetch` only looks */
	gboolean one_node;     /* CLAIM: only one node at a time can have it */
	gboolean one_pod;      /* CLAIM: only one pod */
};

/* The claim that the Model asks for, NULL for none; the caller's. */
char *volumes_claim_name(const struct model *model);
/* Is `claim`, an object, of the kind that the Model asks for? A claim that it names always is. */
gboolean volumes_claim_fits(const struct model *model, yyjson_val *claim);
/* The claim for Models that ask for this one's kind, where the usual one is another; the caller's.
 */
char *volumes_other_claim_name(const struct model *model);

/*
 * `claim_name` is one of the above or NULL (borrowed by the result), `claim` that object or NULL,
 * `namespace` the Model's or NULL when it is not known.
 */
struct volume_choice volumes_choose(
    const struct model *model, const char *claim_name, yyjson_val *claim, yyjson_val *namespace);

/* The body for an apply of the shared claim; NULL when there is nothing to say. The caller's. */
yyjson_mut_doc *volumes_shared_claim(const struct model *model,
    const struct operator_settings *settings, const struct volume_choice *choice,
    yyjson_val *claim);

/*
 * Turns a Deployment's spec with the host's directory, as children.c makes it, into one with the
 * chosen volume. It comes after the user's podTemplate: what it needs is there by then.
 */
void volumes_apply(yyjson_mut_doc *doc, yyjson_mut_val *spec,
    const struct operator_settings *settings, const struct volume_choice *choice);

#endif
