/*
 * What the stores say of the images they hold or fetch: one state per image and node.
 *
 * Ownership: the table owns its states; pulls_for_image() gives copies of references (states are
 * immutable and reference-counted). Threads: any; one short lock.
 * Limits: 100,000 states; beyond, new ones are dropped.
 */
#ifndef OPERATOR_PULLS_H
#define OPERATOR_PULLS_H

#include "base/auto.h"

enum pull_phase { PULL_QUEUED, PULL_RESOLVING, PULL_PULLING, PULL_READY, PULL_FAILED };

struct pull_state {
	gint refs;
	enum pull_phase phase;
	char *image; /* reference_full() */
	char *node;
	char *digest; /* these and the following may be NULL */
	char *family;
	char *parameters;
	char *quantization;
	char *reason;
	char *message;
	gint64 size_bytes;
	gint64 completed_bytes;
	gint64 total_bytes;
	gint64 bytes_per_second;
};

/* One line of a store's progress stream. NULL: it is no state (a heartbeat, {"synced":true}). */
struct pull_state *pull_state_parse(const char *line, gsize len);
struct pull_state *pull_state_ref(struct pull_state *state);
void pull_state_unref(struct pull_state *state);
DEFINE_AUTO(pull_state, pull_state_unref)

struct pulls;
struct pulls *pulls_new(void);
void pulls_free(struct pulls *pulls);
DEFINE_AUTO(pulls, pulls_free)

/*
 * Takes the state in. TRUE when it says something else than before than mere progress in bytes:
 * whoever waits should hear at once.
 */
gboolean pulls_put(struct pulls *pulls, struct pull_state *take_state);
/* A node's store is gone: nothing is known of it. The images it had, for who must look again. */
GPtrArray *pulls_drop_node(struct pulls *pulls, const char *node);
/* A store can be asked at this base URL ("http://10.0.0.7:11435"); NULL: not any more. */
void pulls_set_store(struct pulls *pulls, const char *node, const char *url);
/* The base URL of some store, the caller's; NULL: none is known. */
char *pulls_any_store(struct pulls *pulls);

/* All states of an image; the array frees its references. */
GPtrArray *pulls_for_image(struct pulls *pulls, const char *image);

#endif
