/*
 * The error domain of the room `kube`: what an API server's answer means for the caller.
 * Source: Kubernetes API Conventions, "HTTP Status codes" and "Response Status Kind".
 */
#ifndef KUBE_ERROR_H
#define KUBE_ERROR_H

#include <glib.h>

enum kube_error {
	KUBE_ERROR_NOT_FOUND, /* 404 */
	KUBE_ERROR_EXISTS,    /* 409, reason AlreadyExists */
	KUBE_ERROR_CONFLICT,  /* 409: read again, then try again */
	KUBE_ERROR_GONE,      /* 410, or an ERROR event with code 410: list again */
	KUBE_ERROR_INVALID, /* 400, 413, 415, 422, and 500 for an ill-typed apply: the same request
			       will never work */
	KUBE_ERROR_DENIED,  /* 403 */
	KUBE_ERROR_UNAUTHORIZED, /* 401: credentials are wrong or have expired */
	KUBE_ERROR_RETRY,        /* 429, 5xx, no connection, time-out: later */
	KUBE_ERROR_CANCELLED,
	KUBE_ERROR_CONFIG, /* kubeconfig: missing, unreadable, no such context; or the server's
			      certificate does not fit to it */
};
#define KUBE_ERROR (kube_error_quark())
GQuark kube_error_quark(void);

/* Short for g_error_matches(error, KUBE_ERROR, code). */
gboolean kube_error_is(const GError *error, enum kube_error code);

#endif
