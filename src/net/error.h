/* The error domain of the room `net`: few codes, each of which makes callers act differently. */
#ifndef NET_ERROR_H
#define NET_ERROR_H

#include <glib.h>

enum net_error {
	NET_ERROR_UNREACHABLE, /* name, connection refused, reset, closed in the middle: retry */
	NET_ERROR_TIMEOUT,     /* a deadline or the idle limit passed: retry */
	NET_ERROR_TLS,         /* certificate or handshake refused: retrying will not help */
	NET_ERROR_PROTOCOL,    /* the peer does not speak HTTP as it should */
	NET_ERROR_TOO_LARGE,   /* over a limit that the caller set */
	NET_ERROR_CANCELLED,   /* the caller said so */
	NET_ERROR_INVALID,     /* the request itself is wrong: URL, header, file */
	NET_ERROR_SYSTEM,      /* out of descriptors, port taken, and the like */
};
#define NET_ERROR (net_error_quark())
GQuark net_error_quark(void);

/* Would the same request, later, have a chance? */
gboolean net_error_is_temporary(const GError *error);

#endif
