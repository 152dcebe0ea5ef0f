/*
 * A hash for GHashTable whose keys came from outside: SipHash-1-3 with a seed that is drawn once
 * per process, so that nobody can choose keys that collide. g_str_hash (djb2, no seed) stays for
 * keys that we choose ourselves.
 *
 * Source: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF".
 * Threads: any.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <glib.h>

/* GHashFunc over a NUL-terminated string. */
guint hash_str(gconstpointer key);

/* 64 bits over bytes, seeded per process: for tables, never for anything stored or sent. */
guint64 hash_bytes(const void *data, gsize len);

/*
 * 64 bits over bytes with a fixed key: the same in every process and version. For names that must
 * be stable (shortened child names), not against attackers.
 */
guint64 hash_stable(const void *data, gsize len);

#endif
