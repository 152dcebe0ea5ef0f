/*
 * What a Model's pods are doing, summed up for its status. Pure. Only the pods of the template that
 * was rolled out last count: those that an update replaces say nothing of how the update goes.
 */
#ifndef OPERATOR_PODS_H
#define OPERATOR_PODS_H

#include "kube/object.h"

struct pods_summary {
	guint total;    /* without those that are going away */
	guint fetching; /* in their init container: weights on their way */
	guint loading;  /* server started, model not loaded yet */
	guint ready;
	/*
	 * The worst trouble of any pod, NULL when there is none: a CamelCase reason as Kubernetes
	 * names it, and a sentence that says what to do.
	 */
	char *trouble;
	char *trouble_message;
	gboolean unschedulable; /* the trouble is that no node takes the pod */
	GHashTable *nodes;      /* set of node names */
};

/* `pods` are struct kube_object. */
void pods_summarize(GPtrArray *pods, struct pods_summary *ret_summary);
void pods_summary_done(struct pods_summary *summary);

#endif
