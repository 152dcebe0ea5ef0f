/*
 * The memory that a Model's pod needs: remembered in its status, so that it is asked for once.
 * Pure.
 *
 * The estimate is of one image with one context, parallelism and cache type; the status says which,
 * and an estimate of others does not count.
 */
#ifndef OPERATOR_MEMORY_NEED_H
#define OPERATOR_MEMORY_NEED_H

#include "model/memory.h"
#include "model/resource.h"

/* FALSE: the status says nothing, or of something else than the Model wants now. */
gboolean memory_need_read(const struct model *model, struct memory_estimate *ret);

/* status.memory. */
void memory_need_write(yyjson_mut_doc *doc, yyjson_mut_val *status, const struct model *model,
    const struct memory_estimate *estimate);

/* OLLAMA_KV_CACHE_TYPE of spec.extraEnv, borrowed; NULL: the default. */
const char *memory_need_kv_type(const struct model *model);

/*
 * Shall the estimate become the container's request? Not where the user said something of memory,
 * nor for GPUs, in whose memory most of it lies.
 */
gboolean memory_need_is_requested(const struct model *model);

#endif
