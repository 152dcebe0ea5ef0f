/*
 * What is known of a model before it is pulled: its manifest, what it says of itself, and the
 * header of its weights, as one JSON text. Straight-line code for a thread of its own; nothing is
 * written to disk.
 *
 *   {"image","digest","size","family","parameters","quantization","requires","weights",
 *    "projector","gguf":{...}}
 *
 * `image` is reference_full(); `size` is all of it; `weights` are the layers model, adapter and
 * draft, `projector` those of that name; `gguf` is gguf_to_json(). What a model does not say of
 * itself is left out. memory_estimate_from_inspect() reads it.
 *
 * What is on the node is read from there. From the registry come the manifest, the config blob,
 * and the first 256 KiB of the weights, more only when their header goes on, 4 MiB at most.
 *
 * Threads: any number at once. Errors: STORE_ERROR_*, as those of a pull; INVALID_MANIFEST also
 * when there are no GGUF weights.
 */
#ifndef STORE_INSPECT_H
#define STORE_INSPECT_H

#include "store/content.h"
#include "store/image_state.h"
#include "store/registry_client.h"

enum { INSPECT_FIRST_BYTES = 256 * 1024, INSPECT_MAX_BYTES = 4 * 1024 * 1024 };

/* Everything is borrowed for the call. */
struct inspect {
	const struct content *content;
	const struct registry_options *options;
	const struct reference *reference;
	enum pull_policy policy; /* of the manifest: Always asks the registry */
	const gint *cancelled;
	/*
	 * Answers by manifest digest and image, the caller's to keep; both may be NULL. get()
	 * returns a copy.
	 */
	char *(*cache_get)(void *data, const char *key);
	void (*cache_put)(void *data, const char *key, const char *text);
	void *data;
};

/* The caller's; NULL on failure. */
char *inspect_run(const struct inspect *inspect, GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
