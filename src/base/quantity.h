/*
 * Kubernetes' resource quantities ("500m", "1.5Gi", "2e3") as integers.
 * Source: k8s.io/apimachinery/pkg/api/resource, Quantity; the API reference's "Quantity".
 */
#ifndef BASE_QUANTITY_H
#define BASE_QUANTITY_H

#include <glib.h>

/*
 * The value in thousandths, rounded away from zero as Kubernetes does; "500m" is 500, "1Ki" is
 * 1024000. Exact: no floating point is involved.
 * FALSE: not a quantity, or beyond 64 bits; the output is untouched.
 */
gboolean quantity_parse_milli(const char *text, gint64 *ret_milli);

/* The value in whole units (bytes, CPUs), rounded away from zero; fails as above. */
gboolean quantity_parse(const char *text, gint64 *ret_value);

/* Bytes as a Kubernetes quantity: the largest binary suffix that divides it ("2Gi"), else bare. */
char *quantity_format_bytes(gint64 bytes);

/*
 * Bytes for people as `ollama list` prints them: decimal units up to TB, cut to whole ones from
 * ten on, with one decimal below: "98 MB", "4.7 GB", "2 GB". The caller's.
 */
char *quantity_human_bytes(gint64 bytes);

#endif
