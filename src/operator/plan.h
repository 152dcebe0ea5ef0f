/*
 * What has to be done for one Model: given what is observed, a list of actions. Pure: no clock, no
 * network, no memory of its own; so every behaviour of the operator is testable without a cluster.
 *
 * Ownership: lists and actions are the caller's. Threads: any.
 */
#ifndef OPERATOR_PLAN_H
#define OPERATOR_PLAN_H

#include "model/memory.h"
#include "model/resource.h"
#include "operator/settings.h"

/* Everything that is known of a Model at one moment; all borrowed. */
struct observed {
	const struct model *model;
	yyjson_val *deployment; /* NULL: there is none */
	yyjson_val *service;
	yyjson_val
	    *claim; /* the object of `claim_name`; NULL: there is none, or none is asked for */
	const char *claim_name;               /* what the Model's weights are in; NULL: no claim */
	yyjson_val *namespace;                /* NULL: not known */
	GPtrArray *pods;                      /* struct kube_object */
	GPtrArray *pulls;                     /* struct pull_state of the Model's image */
	const struct memory_estimate *memory; /* NULL: not known */
	gint64 largest_node_bytes;            /* 0: not known */
	gint64 now_us;
};

enum action_kind {
	ACTION_APPLY,  /* server-side apply of a child */
	ACTION_STATUS, /* server-side apply of the Model's status */
	ACTION_EVENT,
};

struct action {
	enum action_kind kind;
	/* APPLY */
	const struct kube_resource *resource;
	char *name;
	gboolean creates; /* it was not there: make sure that nobody else's is */
	/* APPLY, STATUS */
	char *body;
	gsize body_len;
	char *phase;          /* STATUS: the first word of the phase that it says */
	gboolean is_progress; /* STATUS: it tells nothing new but how far a pull is */
	/* EVENT */
	const char *event_type; /* "Normal", "Warning" */
	char *reason;
	char *message;
};

void action_free(struct action *action);

/*
 * The children that differ from what they should be. An object under a child's name that belongs
 * to somebody else is never touched, and a pod template that cannot be merged leaves all as it is:
 * then *ret_refused is a sentence (the caller's) and
 * *ret_refused_reason its CamelCase reason; else both are NULL.
 */
GPtrArray *plan_children(const struct observed *observed, const struct operator_settings *settings,
    char **ret_refused, const char **ret_refused_reason);

/*
 * The status if it changed, and the Events that tell of the change. `refused` (a sentence) and
 * its reason are NULL when the children are as they should be.
 */
GPtrArray *plan_status(
    const struct observed *observed, const char *refused, const char *refused_reason);

/* The sentence for NameTaken, the caller's: somebody else's object has a child's name. */
char *plan_name_taken(
    const struct kube_resource *resource, const struct model *model, const char *name);

#endif
