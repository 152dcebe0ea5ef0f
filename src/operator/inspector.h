/*
 * Asks a node's store what a model is, before anybody downloads it (POST /v1/inspect).
 *
 * Ownership: the caller's; borrows client, pulls, clock. Threads: inspector_estimate() blocks, on
 * any thread but the loop's. Limits: an image that cannot be looked at is asked for again after a
 * minute; what is remembered of that is bounded by the number of Models' images.
 */
#ifndef OPERATOR_INSPECTOR_H
#define OPERATOR_INSPECTOR_H

#include "base/clock.h"
#include "model/memory.h"
#include "model/resource.h"
#include "net/http_client.h"
#include "operator/pulls.h"

struct inspector;

struct inspector *inspector_new(
    struct http_client *client, struct pulls *pulls, const struct clock *clock);
void inspector_free(struct inspector *inspector);
DEFINE_AUTO(inspector, inspector_free)

/*
 * FALSE: not now; *ret_retry_ms says when again, 0: nobody can be asked until something changes.
 */
gboolean inspector_estimate(struct inspector *inspector, const struct model *model,
    struct memory_estimate *ret, gint64 *ret_retry_ms);

#endif
