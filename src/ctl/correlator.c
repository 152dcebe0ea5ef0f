#include "ctl/recorder_priv.h"

#include "base/hash.h"
#include "base/timefmt.h"

#include <string.h>

enum {
	/* client-go's EventCorrelator: how many Events and objects it remembers. */
	REMEMBERED = 4096,
	/* Its spam filter: a burst of 25 Events of one object, then one in five minutes. */
	BURST = 25,
	REFILL_MS = 300000,
	MESSAGE_MAX_BYTES = 1024,
	NAME_MAX_BYTES = 253,
	NAME_SUFFIX_BYTES = 17, /* "." and 16 digits */
};

struct bucket {
	double tokens;
	gint64 filled_ms;
};

/* ---- Records ---- */

/* Valid UTF-8, and not longer than an Event's message may be. */
static char *clean_message(const char *message)
{
	g_autofree char *valid = g_utf8_make_valid(message, -1);
	gsize len = strlen(valid);

	if (len > MESSAGE_MAX_BYTES) {
		len = MESSAGE_MAX_BYTES;
		while (len > 0 && ((guchar)valid[len] & 0xc0) == 0x80)
			len--;
	}
	return g_strndup(valid, len);
}

static char *dup_or_empty(const char *text)
{
	return g_strdup(text != NULL ? text : "");
}

struct event_record *event_record_new(const struct clock *clock, const struct object_ref *about,
    const char *type, const char *reason, const char *message)
{
	struct event_record *record = g_new0(struct event_record, 1);

	record->api_version = dup_or_empty(about->api_version);
	record->kind = dup_or_empty(about->kind);
	record->namespace = dup_or_empty(about->namespace);
	record->name = dup_or_empty(about->name);
	record->uid = dup_or_empty(about->uid);
	record->type = g_strdup(type);
	record->reason = g_strdup(reason);
	record->message = clean_message(message);
	record->wall_us = clock_wall_us(clock);
	record->monotonic_ms = clock_monotonic_ms(clock);
	return record;
}

void event_record_free(struct event_record *record)
{
	if (record == NULL)
		return;
	g_free(record->api_version);
	g_free(record->kind);
	g_free(record->namespace);
	g_free(record->name);
	g_free(record->uid);
	g_free(record->type);
	g_free(record->reason);
	g_free(record->message);
	g_free(record);
}

/* ---- Correlation ---- */

static void known_event_free(gpointer data)
{
	struct known_event *event = data;

	g_free(event->name);
	g_free(event);
}

void correlator_init(struct correlator *correlator, const struct event_ops *ops, void *store,
    const char *component, const char *instance)
{
	*correlator = (struct correlator){
	    .ops = ops,
	    .store = store,
	    .component = component,
	    .instance = instance,
	    .events = lru_new(REMEMBERED, known_event_free),
	    .buckets = lru_new(REMEMBERED, g_free),
	};
}

void correlator_done(struct correlator *correlator)
{
	lru_free(correlator->events);
	lru_free(correlator->buckets);
}

/* "<object>.<hex>", as client-go names them; a DNS subdomain also when the object's name is long.
 */
static char *event_name(struct correlator *correlator, const struct event_record *record)
{
	guint64 unique = (guint64)record->wall_us * 1000 + correlator->sequence++ % 1000;
	gsize len = MIN(strlen(record->name), NAME_MAX_BYTES - NAME_SUFFIX_BYTES);

	while (len > 0 && !g_ascii_isalnum(record->name[len - 1]))
		len--;
	return g_strdup_printf("%.*s.%016" G_GINT64_MODIFIER "x", (int)len, record->name, unique);
}

static char *object_key(const struct event_record *record)
{
	return g_strjoin("/", record->kind, record->namespace, record->name, record->uid, NULL);
}

/* Takes a token of the object's bucket; FALSE: it is empty. */
static gboolean take_token(struct correlator *correlator, const struct event_record *record)
{
	g_autofree char *key = object_key(record);
	struct bucket *bucket = lru_get(correlator->buckets, key);

	if (bucket == NULL) {
		bucket = g_new0(struct bucket, 1);
		*bucket = (struct bucket){BURST, record->monotonic_ms};
		lru_put(correlator->buckets, key, bucket);
	}
	if (record->monotonic_ms > bucket->filled_ms) {
		bucket->tokens += (double)(record->monotonic_ms - bucket->filled_ms) / REFILL_MS;
		bucket->tokens = MIN(bucket->tokens, BURST);
		bucket->filled_ms = record->monotonic_ms;
	}
	if (bucket->tokens < 1)
		return FALSE;
	bucket->tokens -= 1;
	return TRUE;
}

struct known_event *correlator_observe(
    struct correlator *correlator, const struct event_record *record)
{
	g_autofree char *object = object_key(record);
	/* The message's hash stands for it: four thousand messages would take megabytes. */
	g_autofree char *key = g_strdup_printf("%s/%s/%s/%016" G_GINT64_MODIFIER "x", object,
	    record->type, record->reason, hash_bytes(record->message, strlen(record->message)));
	struct known_event *event = lru_get(correlator->events, key);

	if (event == NULL) {
		event = g_new0(struct known_event, 1);
		event->name = event_name(correlator, record);
		event->first_us = record->wall_us;
		lru_put(correlator->events, key, event);
	}
	event->count++;
	return take_token(correlator, record) ? event : NULL;
}

/* ---- Writing ---- */

/* Events about cluster-scoped objects live in "default". */
static const char *event_namespace(const struct event_record *record)
{
	return record->namespace[0] != '\0' ? record->namespace : "default";
}

static void set_involved_object(
    yyjson_mut_doc *doc, yyjson_mut_val *root, const struct event_record *record)
{
	yyjson_mut_val *about = json_mut_object(doc, root, "involvedObject");

	json_mut_set_str(doc, about, "apiVersion", record->api_version);
	json_mut_set_str(doc, about, "kind", record->kind);
	json_mut_set_str(doc, about, "name", record->name);
	if (record->namespace[0] != '\0')
		json_mut_set_str(doc, about, "namespace", record->namespace);
	if (record->uid[0] != '\0')
		json_mut_set_str(doc, about, "uid", record->uid);
}

static char *create_body(const struct correlator *correlator, const struct event_record *record,
    const struct known_event *event, gsize *ret_len)
{
	g_autoptr(yyjson_mut_doc) doc = yyjson_mut_doc_new(json_alc());
	yyjson_mut_val *root = yyjson_mut_obj(doc);
	yyjson_mut_val *metadata, *source;
	g_autofree char *first = time_rfc3339(event->first_us);
	g_autofree char *last = time_rfc3339(record->wall_us);

	yyjson_mut_doc_set_root(doc, root);
	json_mut_set_str(doc, root, "apiVersion", "v1");
	json_mut_set_str(doc, root, "kind", "Event");
	metadata = json_mut_object(doc, root, "metadata");
	json_mut_set_str(doc, metadata, "name", event->name);
	json_mut_set_str(doc, metadata, "namespace", event_namespace(record));
	set_involved_object(doc, root, record);
	json_mut_set_str(doc, root, "type", record->type);
	json_mut_set_str(doc, root, "reason", record->reason);
	json_mut_set_str(doc, root, "message", record->message);
	source = json_mut_object(doc, root, "source");
	json_mut_set_str(doc, source, "component", correlator->component);
	json_mut_set_str(doc, root, "reportingComponent", correlator->component);
	json_mut_set_str(doc, root, "reportingInstance", correlator->instance);
	json_mut_set_str(doc, root, "firstTimestamp", first);
	json_mut_set_str(doc, root, "lastTimestamp", last);
	json_mut_set_int(doc, root, "count", event->count);
	return json_mut_print(root, ret_len);
}

static gboolean patch(struct correlator *correlator, const struct event_record *record,
    const struct known_event *event, GError **error)
{
	g_autofree char *last = time_rfc3339(record->wall_us);
	g_autofree char *body =
	    g_strdup_printf("{\"count\":%u,\"lastTimestamp\":\"%s\"}", event->count, last);

	return correlator->ops->patch(
	    correlator->store, event_namespace(record), event->name, body, strlen(body), error);
}

static gboolean create(struct correlator *correlator, const struct event_record *record,
    struct known_event *event, GError **error)
{
	gsize len;
	g_autofree char *body = create_body(correlator, record, event, &len);

	event->stored =
	    correlator->ops->create(correlator->store, event_namespace(record), body, len, error);
	return event->stored;
}

gboolean correlator_send(struct correlator *correlator, const struct event_record *record,
    struct known_event *event, GError **error)
{
	g_autoptr(GError) problem = NULL;

	if (event->stored) {
		if (patch(correlator, record, event, &problem))
			return TRUE;
		/* The API server forgets Events after an hour. */
		if (!kube_error_is(problem, KUBE_ERROR_NOT_FOUND)) {
			g_propagate_error(error, g_steal_pointer(&problem));
			return FALSE;
		}
		g_clear_error(&problem);
	}
	if (create(correlator, record, event, &problem))
		return TRUE;
	if (!kube_error_is(problem, KUBE_ERROR_EXISTS)) {
		g_propagate_error(error, g_steal_pointer(&problem));
		return FALSE;
	}
	g_free(event->name);
	event->name = event_name(correlator, record);
	return create(correlator, record, event, error);
}
