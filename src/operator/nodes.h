/*
 * How much memory the largest node has for pods: what no node can hold need not be downloaded.
 *
 * Ownership: the caller's. Threads: the handler on the loop's; nodes_largest_bytes() on any.
 */
#ifndef OPERATOR_NODES_H
#define OPERATOR_NODES_H

#include "ctl/informer.h"

struct nodes;

/* `changed` is called on the loop's thread when the largest node became another size. */
struct nodes *nodes_new(void (*changed)(void *data), void *data);
void nodes_free(struct nodes *nodes);
DEFINE_AUTO(nodes, nodes_free)

/* An informer_handler over nodes; data is the nodes. */
extern const struct informer_handler NODES_HANDLER;

/* Allocatable memory of the largest node that takes pods; 0: no node is known. */
gint64 nodes_largest_bytes(struct nodes *nodes);

#endif
