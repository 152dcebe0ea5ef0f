/*
 * The containers that the YAML reader has open, and what scalars become in them. For this room.
 *
 * A frame owns its tables, not the yyjson values in them: those are the document's.
 */
#ifndef JSON_YAML_FRAME_PRIV_H
#define JSON_YAML_FRAME_PRIV_H

#include "json/json.h"

/* A node that was given a name. Its value is NULL while it is still open, so a cycle shows. */
struct anchor {
	yyjson_mut_val *value;
	guint nodes;
	guint height;
};

/*
 * A mapping or sequence that is being read. Values are kept aside and become a yyjson container
 * when it ends: yyjson links children into lists, so replacing one there would mean a search.
 */
struct frame {
	gboolean is_map;
	gboolean merging;      /* the key was `<<` */
	yyjson_mut_val *key;   /* of the value that comes next, in a mapping */
	GPtrArray *keys;       /* yyjson_mut_val, NULL in a sequence */
	GPtrArray *values;     /* yyjson_mut_val */
	GHashTable *index;     /* key to its place + 1, NULL while there are few */
	struct anchor *anchor; /* borrowed, NULL without a name */
	guint nodes_before;
	guint height; /* of the highest child + 1 */
};

/* In a zeroed or uninitialised frame. */
void frame_init(struct frame *frame, gboolean is_map);
void frame_clear(struct frame *frame);

/* Of a mapping: frame[key] = value; a key that was there before takes the new value. */
void frame_set(struct frame *frame, yyjson_mut_val *key, yyjson_mut_val *value);

/* The container with all that was set or added. */
yyjson_mut_val *frame_finish(const struct frame *frame, yyjson_mut_doc *doc);

/* JSON has only strings as keys: a resolved scalar becomes its text. NULL: it cannot be a key. */
yyjson_mut_val *key_from_node(yyjson_mut_doc *doc, yyjson_mut_val *node);

/*
 * Whole numbers lose their fraction, as in Kubernetes' reader. NULL: infinity and the like, which
 * can be a key but no value.
 */
yyjson_mut_val *value_from_node(yyjson_mut_doc *doc, yyjson_mut_val *node);

/* Whole, and exact in a double; a negative zero is not, as it would lose its sign. */
gboolean real_is_whole(double real);

#endif
