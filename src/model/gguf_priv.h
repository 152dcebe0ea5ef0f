/* What gguf.c (from bytes) and gguf_json.c (to and from JSON) share: the members and their names.
 */
#ifndef MODEL_GGUF_PRIV_H
#define MODEL_GGUF_PRIV_H

#include "model/gguf.h"

struct gguf_field {
	const char *key;    /* in the file, after "<architecture>." unless it is `global` */
	const char *member; /* in JSON */
	gsize offset; /* in struct gguf: of a gint64, or `per_layer` of a struct gguf_layers */
	gboolean per_layer;
	gboolean global;
};

enum { GGUF_N_FIELDS = 25 };
extern const struct gguf_field GGUF_FIELDS[GGUF_N_FIELDS];

static inline gint64 *gguf_number(struct gguf *gguf, const struct gguf_field *field)
{
	return (gint64 *)(void *)((char *)gguf + field->offset);
}

static inline struct gguf_layers *gguf_layers(struct gguf *gguf, const struct gguf_field *field)
{
	return (struct gguf_layers *)(void *)((char *)gguf + field->offset);
}

/* All members say nothing; takes the name. */
struct gguf *gguf_new(char *take_architecture);

/* May it be part of JSON and of sentences? */
gboolean gguf_architecture_is_sane(const char *text, gsize len);

#endif
