/*
 * What the reader and the writer of YAML must agree on: which unquoted text is a string and which
 * is something else. For this room only.
 */
#ifndef JSON_YAML_PRIV_H
#define JSON_YAML_PRIV_H

#include <glib.h>

enum plain_kind { PLAIN_STRING, PLAIN_NULL, PLAIN_BOOL, PLAIN_SINT, PLAIN_UINT, PLAIN_REAL };

struct plain {
	enum plain_kind kind;
	gboolean truth; /* PLAIN_BOOL */
	gint64 sint;    /* PLAIN_SINT */
	guint64 uint;   /* PLAIN_UINT */
	double real;    /* PLAIN_REAL; may be infinite or no number, which JSON cannot say */
};

/*
 * What an unquoted scalar means: YAML 1.1 words, integers in base 2, 8, 10 and 16 with `_` between
 * digits, decimal fractions; base 60 and dates stay strings, as kubectl has it. A string when
 * nothing else fits. `text` ends with a NUL and has no other.
 */
void plain_resolve(const char *text, gsize len, struct plain *ret_plain);

/* TRUE when unquoted text is read as the same string, by kubectl and by other YAML readers. */
gboolean plain_is_safe(const char *text, gsize len);

#endif
