/*
 * How many Models are in which phase, for the metric ollama_operator_models.
 *
 * Ownership: the caller's. Threads: any. Limits: one entry per Model.
 */
#ifndef OPERATOR_PHASES_H
#define OPERATOR_PHASES_H

#include "base/metrics.h"

struct phases;

/* `metrics` may be NULL: then nothing is counted. It must outlive the phases. */
struct phases *phases_new(struct metrics *metrics);
void phases_free(struct phases *phases);
DEFINE_AUTO(phases, phases_free)

/* The Model's phase now; NULL: it is gone. */
void phases_note(struct phases *phases, const char *key, const char *phase);

#endif
