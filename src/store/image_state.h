/*
 * What is known of one model on this node, as it is told to others; and the words for it.
 *
 * Ownership: a state owns its strings and is its holder's. Threads: one at a time.
 */
#ifndef STORE_IMAGE_STATE_H
#define STORE_IMAGE_STATE_H

#include "base/auto.h"

enum pull_policy { PULL_NEVER, PULL_IF_NOT_PRESENT, PULL_ALWAYS };
/* Kubernetes' words. FALSE: none of them, output untouched. */
gboolean pull_policy_parse(const char *text, enum pull_policy *ret_policy);

enum image_phase {
	IMAGE_QUEUED,
	IMAGE_RESOLVING,
	IMAGE_PULLING,
	IMAGE_READY,
	IMAGE_FAILED,
};
/* "Queued", ... */
const char *image_phase_name(enum image_phase phase);

struct image_state {
	char *image; /* reference_full() */
	enum image_phase phase;
	char *digest; /* of the manifest; NULL: not resolved yet. So with all that follows */
	gint64 size_bytes;
	gint64 completed_bytes, total_bytes;
	gint64 bytes_per_second;
	char *family, *parameters, *quantization;
	char *reason, *message; /* while Failed */
	char *view_key;
	guint64 version;              /* grows with each change of any image */
	guint64 served, served_local; /* tickets up to these are served: see image_state_serves() */
};
struct image_state *image_state_copy(const struct image_state *state);
void image_state_free(struct image_state *state);
DEFINE_AUTO(image_state, image_state_free)
/* Is the request with this ticket served? */
gboolean image_state_serves(
    const struct image_state *state, enum pull_policy policy, guint64 ticket);

#endif
