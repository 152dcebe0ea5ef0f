/*
 * URLs: percent-encoding of path segments and queries (RFC 3986), and taking them apart.
 * Ownership: returned strings are the caller's. Threads: any.
 */
#ifndef NET_URL_H
#define NET_URL_H

#include <glib.h>

/* One path segment: everything but unreserved characters is encoded, "/" too. */
char *url_encode(const char *segment);

/* Undoes it. NULL: a broken escape, or an encoded NUL. */
char *url_decode(const char *text, gsize len);

/* The value of `key` in a query string ("a=1&b=2"), decoded; NULL when it is not there. */
char *url_query_get(const char *query, const char *key);

#endif
