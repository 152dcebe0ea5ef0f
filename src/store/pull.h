/*
 * One attempt to have one model on this node, as straight-line code for a thread of its own:
 * resolve the tag, fetch the blobs that are missing, save what the tag means, make the view. No
 * retries here; what a broken attempt has received stays on disk, and the next one goes on there.
 *
 * Ownership: everything in struct pull is borrowed for the call. Threads: any number at once with
 * one content store and one gate.
 */
#ifndef STORE_PULL_H
#define STORE_PULL_H

#include "store/content.h"
#include "store/gate.h"
#include "store/registry_client.h"

/* Told from the pulling thread. */
struct pull_ops {
	/* The manifest is here; so much of its blobs was on the node already. */
	void (*resolved)(void *data, const struct manifest *manifest, gint64 completed_bytes);
	/* Bytes that arrived; negative when some had to be thrown away. */
	void (*progress)(void *data, gint64 more_bytes);
};

struct pull {
	const struct content *content;
	const struct registry_options *options;
	struct gate *gate;
	const struct reference *reference;
	const gint *cancelled;
	const struct pull_ops *ops;
	void *data;
	/* The directory itself is what is served, as a volume is: `view_key` of results stays NULL.
	 */
	gboolean without_view;
};

/* What is known of a model that is whole and visible. */
struct pull_result {
	char *view_key;
	char *digest;
	gint64 size_bytes;
	struct model_config *config; /* NULL: its config blob is no config */
};
void pull_result_free(struct pull_result *result);
DEFINE_AUTO(pull_result, pull_result_free)

/*
 * From what is on the node alone: what the tag meant when it was last resolved here, if all its
 * blobs are here. NOT_FOUND otherwise.
 */
struct pull_result *pull_local(const struct pull *pull, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The same as a mere look: nothing is made, `view_key` stays NULL. NULL: not here. */
struct pull_result *pull_known(const struct pull *pull);

/* From the registry. `ret_retry_after_ms`: what the registry asked for on failure, 0: nothing. */
struct pull_result *pull_remote(
    const struct pull *pull, gint64 *ret_retry_after_ms, GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
