/* What cmd_fetch.c (flags, talking with the store) and fetch_volume.c (a volume) share. */
#ifndef CMD_FETCH_PRIV_H
#define CMD_FETCH_PRIV_H

#include "base/lines.h"
#include "cmd/registry_flags.h"

struct fetch_flags {
	char *store;
	char *image;
	char *pod_uid;
	char *model;
	char *pull_policy;
	char *install_to;
	char *into; /* NULL: the node's store shows the model to the pod */
	gboolean read_only;
	int patience_s; /* so long without the store, then the registry itself */
	struct registry_flags registry;
};

/* One conversation with the store, and what has been printed. */
struct fetch {
	const struct fetch_flags *flags;
	const gint *cancelled; /* ends what waits; may be NULL */
	struct lines lines;
	int status;
	GString *refusal; /* the body of an answer other than 200 */
	gboolean ready, heard;
	char *printed;       /* the last line */
	char *printed_phase; /* and what it was about: phase and message */
	gint64 printed_at_ms;
};

enum fetch_answer {
	FETCH_READY,   /* the store has the model (and has shown it, if that was asked for) */
	FETCH_REFUSED, /* it never will: the sentence says why */
	FETCH_TROUBLE, /* the sentence says what; try again */
};

/* Asks the store and follows what it says. `heard` is TRUE when it said anything. */
enum fetch_answer fetch_ask(struct fetch *fetch, char **ret_problem);

/* Fills the volume `into`. The exit code. */
int fetch_volume(struct fetch *fetch);

#endif
