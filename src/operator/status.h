/*
 * The Model's status, computed from what is observed. Pure.
 *
 * Nothing in it is remembered but three facts that the cluster may no longer tell: since when a
 * condition holds, and the digest and size of what was pulled. These are taken from the status
 * before, as long as it spoke of the same image.
 */
#ifndef OPERATOR_STATUS_H
#define OPERATOR_STATUS_H

#include "model/memory.h"
#include "model/resource.h"
#include "operator/pods.h"

struct status_input {
	const struct model *model;
	yyjson_val *deployment; /* as observed; NULL: none */
	GPtrArray *pods;        /* struct kube_object */
	GPtrArray *pulls;       /* struct pull_state of the Model's image, all nodes */
	const struct memory_estimate *memory; /* NULL: not known */
	gint64 largest_node_bytes;            /* 0: not known */
	const char *refused; /* why children could not be made, a sentence; NULL: they were */
	const char *refused_reason;
	gint64 now_us; /* wall clock */
};

/* The value of `status` as the root of a document, the caller's. */
yyjson_mut_doc *status_compute(const struct status_input *input);

/*
 * Does `before` (may be NULL) say what `after` says? Members of other managers (demand) are left
 * out of account.
 */
gboolean status_same(yyjson_val *before, yyjson_val *after);

/* Finds a condition by type in a status; NULL: not there. */
yyjson_val *status_condition(yyjson_val *status, const char *type);

#endif
