#include "store/error.h"

#include <errno.h>

static const struct {
	const char *reason;
	gboolean temporary;
} CODES[] = {
    [STORE_ERROR_NOT_FOUND] = {"NotFound", FALSE},
    [STORE_ERROR_DENIED] = {"Denied", FALSE},
    [STORE_ERROR_REQUIRES_NEWER] = {"RequiresNewerOllama", FALSE},
    [STORE_ERROR_REGISTRY_UNAVAILABLE] = {"RegistryUnavailable", TRUE},
    [STORE_ERROR_RATE_LIMITED] = {"RateLimited", TRUE},
    [STORE_ERROR_TLS_FAILED] = {"TLSFailed", FALSE},
    [STORE_ERROR_DIGEST_MISMATCH] = {"DigestMismatch", TRUE},
    [STORE_ERROR_SIZE_MISMATCH] = {"SizeMismatch", FALSE},
    [STORE_ERROR_INVALID_MANIFEST] = {"InvalidManifest", FALSE},
    [STORE_ERROR_DISK_FULL] = {"DiskFull", FALSE},
    [STORE_ERROR_STORAGE] = {"StorageError", TRUE},
    [STORE_ERROR_INVALID_IMAGE] = {"InvalidImage", FALSE},
    [STORE_ERROR_CANCELLED] = {"Cancelled", TRUE},
    [STORE_ERROR_IN_USE] = {"StorageError", TRUE},
};

G_DEFINE_QUARK(store - error - quark, store_error)

static gboolean is_known(const GError *error)
{
	return error->domain == STORE_ERROR && (gsize)error->code < G_N_ELEMENTS(CODES);
}

const char *store_error_reason(const GError *error)
{
	return CODES[is_known(error) ? error->code : STORE_ERROR_STORAGE].reason;
}

gboolean store_error_is_temporary(const GError *error)
{
	return CODES[is_known(error) ? error->code : STORE_ERROR_STORAGE].temporary;
}

void store_error_set_errno(GError **error, int number, const char *doing, ...)
{
	gboolean full = number == ENOSPC || number == EDQUOT;
	g_autofree char *what = NULL;
	va_list args;

	va_start(args, doing);
	what = g_strdup_vprintf(doing, args);
	va_end(args);
	g_set_error(error, STORE_ERROR, full ? STORE_ERROR_DISK_FULL : STORE_ERROR_STORAGE,
	    "%s: %s", what, full ? "the node's disk is full" : g_strerror(number));
}
