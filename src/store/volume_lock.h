/*
 * One writer at a time in a volume that pods share, on whatever file system it is.
 *
 * flock() says at once when the holder is alive, or has died, wherever the kernel or the file
 * server shares it. Where it does not (some network file systems), the file's text does: its
 * holder writes a beat into it every few seconds. Who finds a text that has not changed for
 * `stale_ms` takes over; after writing its own name it waits a moment and looks whether it is
 * still there, for two who do so at once. Clocks of nodes are never compared.
 *
 * Two writers all the same would both write the same verified bytes: the lock saves transfers,
 * and is not what keeps blobs right.
 *
 * Ownership: volume_lock_new/volume_lock_free. Threads: one for the calls; the beat has its own.
 */
#ifndef STORE_VOLUME_LOCK_H
#define STORE_VOLUME_LOCK_H

#include "base/auto.h"
#include "store/error.h"

#define VOLUME_LOCK_FILE ".ollama-operator.lock"

struct volume_lock_options {
	const char *directory; /* of the volume */
	const char *holder;    /* who we are, unlike all others: a pod's UID. No white space */
	gint64 beat_ms;        /* 0: 5 s */
	gint64 stale_ms;       /* 0: 30 s */
	gint64 settle_ms;      /* 0: 500 ms */
	gint *lost;            /* set to 1 when somebody else took over; may be NULL */
};

struct volume_lock;

/* Strings are copied; nothing is done yet. */
struct volume_lock *volume_lock_new(const struct volume_lock_options *options);
/* Gives up what is held, so that the next one has it at once. */
void volume_lock_free(struct volume_lock *lock);
DEFINE_AUTO(volume_lock, volume_lock_free)

/*
 * TRUE: it is ours until volume_lock_free(). FALSE without an error: *ret_holder (the caller's)
 * has it, try again in a while. FALSE with STORAGE or DISK_FULL: the volume cannot be written.
 */
gboolean volume_lock_try(
    struct volume_lock *lock, char **ret_holder, GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
