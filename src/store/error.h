/*
 * The error domain of the room `store`. Its codes are the reasons that a Model's status shows:
 * each of them means something different to whoever reads it.
 */
#ifndef STORE_ERROR_H
#define STORE_ERROR_H

#include <glib.h>

enum store_error {
	STORE_ERROR_NOT_FOUND,            /* no such tag or blob in the registry */
	STORE_ERROR_DENIED,               /* 401, 403 */
	STORE_ERROR_REQUIRES_NEWER,       /* 412: the registry wants a newer Ollama */
	STORE_ERROR_REGISTRY_UNAVAILABLE, /* unreachable, 5xx, broke off */
	STORE_ERROR_RATE_LIMITED,         /* 429 */
	STORE_ERROR_TLS_FAILED,           /* its certificate is not trusted */
	STORE_ERROR_DIGEST_MISMATCH,      /* the bytes are not those of the manifest */
	STORE_ERROR_SIZE_MISMATCH,        /* more bytes than the manifest says */
	STORE_ERROR_INVALID_MANIFEST,     /* not an Ollama model */
	STORE_ERROR_DISK_FULL,            /* the node has no room for it */
	STORE_ERROR_STORAGE,              /* the node's disk fails, or is read-only */
	STORE_ERROR_INVALID_IMAGE,        /* no model name */
	STORE_ERROR_CANCELLED,            /* the store is stopping */
	STORE_ERROR_IN_USE,               /* another store has this directory, or this blob */
};
#define STORE_ERROR (store_error_quark())
GQuark store_error_quark(void);

/* The CamelCase reason of an error of this domain ("NotFound"); "StorageError" for all others. */
const char *store_error_reason(const GError *error);

/* Will it probably go away by itself? Then the next try comes soon, else late. */
gboolean store_error_is_temporary(const GError *error);

/*
 * Sets an error for a failed call on the node's disk: DISK_FULL for ENOSPC and EDQUOT, else
 * STORAGE. `doing` goes before the system's words: "writing partial/sha256-...".
 */
void store_error_set_errno(GError **error, int number, const char *doing, ...) G_GNUC_PRINTF(3, 4);

#endif
