/*
 * What a Model's children should look like: the bodies for server-side apply. Pure.
 *
 * Ownership: documents are the caller's. Threads: any.
 */
#ifndef OPERATOR_CHILDREN_H
#define OPERATOR_CHILDREN_H

#include "model/resource.h"
#include "operator/settings.h"

/* Labels and annotations; those of compat are also what users select by. */
#define LABEL_APP "app"
#define LABEL_TYPE "ollama.ayaka.io/type"
#define LABEL_MODEL "model.ollama.ayaka.io"
#define LABEL_MODEL_NAME "model.ollama.ayaka.io/name"
#define LABEL_MANAGED_BY "app.kubernetes.io/managed-by"
/* The Model's whole name on its pods: a label may be too short for it. */
#define ANNOTATION_MODEL "ollama.ayaka.io/model"
/* On children: a hash of all that the manager says about them. */
#define ANNOTATION_APPLIED_HASH "ollama.ayaka.io/applied-hash"
/* On Deployments: the memory that we asked for, as "estimate=..." or "spec=...". */
#define ANNOTATION_MEMORY "ollama.ayaka.io/memory-request"
#define CHILD_SELECTOR LABEL_TYPE "=model"

#define FIELD_MANAGER "ollama-operator"
#define SERVER_CONTAINER "server"
#define FETCH_CONTAINER "fetch"
/* The pod's volumes that nothing works without: the weights, and our program for the probe. */
#define MODELS_VOLUME "models"
#define TOOLS_VOLUME "tools"

enum { OLLAMA_PORT = 11434 };

/* What is known beside the Model itself; zero-initialised: nothing. */
struct child_facts {
	/* The Deployment as observed: its selector, which is immutable, is kept. */
	yyjson_val *existing;
	/* What the server asks for where nobody has said anything of memory; 0: nothing. */
	gint64 memory_bytes;
	const struct volume_choice *volumes; /* NULL: the node's store */
};

/*
 * The Model's image must be valid. NULL when spec.podTemplate cannot be merged: the error is for
 * people.
 */
yyjson_mut_doc *child_deployment(const struct model *model,
    const struct operator_settings *settings, const struct child_facts *facts,
    GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* An estimate as it is asked for: whole MiB, since a figure to the byte would pretend too much. */
gint64 child_round_memory(gint64 bytes);

/* The server container's own request of memory as it stands in a Deployment, bytes; 0: none. */
gint64 child_memory_request(yyjson_val *deployment);
/* What we asked for when we last applied it, 0: nothing; and was that an estimate? */
void child_memory_asked(yyjson_val *deployment, gint64 *ret_bytes, gboolean *ret_estimated);

yyjson_mut_doc *child_service(const struct model *model);

#endif
