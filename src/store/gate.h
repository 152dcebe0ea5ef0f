/*
 * Lets one thread at a time work on a thing of that name; the others wait until it is done, and
 * then see for themselves what is left to do. This is how one blob that two models share is
 * transferred once.
 *
 * Ownership: gate_new/gate_free, when nobody is inside. Threads: any.
 */
#ifndef STORE_GATE_H
#define STORE_GATE_H

#include "base/auto.h"

struct gate;

struct gate *gate_new(void);
void gate_free(struct gate *gate);
DEFINE_AUTO(gate, gate_free)

/* Waits its turn. FALSE: `cancelled` became non-zero (seen within half a second). */
gboolean gate_enter(
    struct gate *gate, const char *name, const gint *cancelled) G_GNUC_WARN_UNUSED_RESULT;
void gate_leave(struct gate *gate, const char *name);

#endif
