/*
 * One registry as a client sees it: a tag's manifest, a blob's bytes from an offset on. Nothing is
 * written to disk here, nothing is retried; one failure is one error with its reason.
 *
 * Ownership: options are shared, immutable and outlive the registries that are made of them.
 * Threads: a `struct registry` belongs to one thread; its calls block. No connection is kept.
 * Limits: a manifest has MANIFEST_MAX_BYTES; at most 5 redirects; 60 s without a byte end a call.
 * Source: Docker Registry HTTP API V2 (the part that registry.ollama.ai has); its token scheme.
 */
#ifndef STORE_REGISTRY_CLIENT_H
#define STORE_REGISTRY_CLIENT_H

#include "model/reference.h"
#include "net/http_client.h"
#include "store/error.h"

struct registry_options {
	GHashTable *mirrors;  /* host -> URL that is asked in its place; may be NULL */
	GHashTable *insecure; /* set of hosts spoken to over plain http; may be NULL */
	struct http_tls *tls; /* NULL: system's roots */
	const char *user_agent;
	const char *proxy;      /* NULL: from the environment; "": none */
	gint64 idle_timeout_ms; /* 0: 60 s */
};

/* "a.example:5000, b.example" and "host=URL, host=URL". Errors: INVALID_IMAGE, a sentence. */
GHashTable *registry_parse_hosts(const char *text, GError **error) G_GNUC_WARN_UNUSED_RESULT;
GHashTable *registry_parse_mirrors(const char *text, GError **error) G_GNUC_WARN_UNUSED_RESULT;

struct registry;

/* `cancelled` as for http_perform(), may be NULL. All are borrowed. */
struct registry *registry_new(const struct registry_options *options,
    const struct reference *reference, const gint *cancelled);
void registry_free(struct registry *registry);
DEFINE_AUTO(registry, registry_free)

/* How long a 429 or 503 asked us to wait; 0: it did not say. At most 10 minutes. */
gint64 registry_retry_after_ms(const struct registry *registry);

/* The manifest of the tag, verbatim. */
GBytes *registry_fetch_manifest(
    struct registry *registry, GError **error) G_GNUC_WARN_UNUSED_RESULT;

struct registry_blob_ops {
	/*
	 * The bytes begin at `offset`: where it was asked for, or 0 when the registry cannot do
	 * that. FALSE with an error ends the transfer.
	 */
	gboolean (*begin)(void *data, gint64 offset, GError **error);
	gboolean (*bytes)(void *data, const char *bytes, gsize len, GError **error);
};

/*
 * Streams a blob from `offset` on. TRUE: the registry says that this was all; whether it was is
 * for the caller to see.
 */
gboolean registry_fetch_blob(struct registry *registry, const char *digest, gint64 offset,
    const struct registry_blob_ops *ops, void *data, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * The same for `length` bytes from `offset` on. A registry that cannot do that sends all of it:
 * begin() is told 0, and it is for bytes() to end the transfer when there are enough.
 */
gboolean registry_fetch_part(struct registry *registry, const char *digest, gint64 offset,
    gint64 length, const struct registry_blob_ops *ops, void *data,
    GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
