/*
 * The store's HTTP API, and with it the whole store: its puller is in here.
 *
 *   POST /v1/views     {"image","podUID","model","pullPolicy"} -> states until that pod's view is
 *                      there (NDJSON; the last line's phase is Ready)
 *   GET  /v1/progress  states of all images, {"synced":true}, then each change, for ever
 *   POST /v1/inspect   {"image","pullPolicy"?} -> 200 and what is known of that model without
 *                      pulling it (store/inspect.h): {"image","digest","size","family",
 *                      "parameters","quantization","requires","weights","projector","gguf":{...}};
 *                      or {"reason","message"} with the reasons of store/error.h and
 *                      400 InvalidImage, 403 Denied, 404 NotFound, 422 InvalidManifest and
 *                      RequiresNewerOllama, 429 RateLimited, 500 StorageError and DiskFull,
 *                      502 RegistryUnavailable, TLSFailed and DigestMismatch,
 *                      503 Busy (1,024 wait) and Cancelled (the store is stopping)
 *   POST /v1/pulls     {"image","pullPolicy"} -> the same until the model is on this node, for who
 *                      then copies it: no view is made for anybody
 *   GET, HEAD /v2/<ns>/<model>/manifests/<tag or digest>, /v2/<ns>/<model>/blobs/<digest>
 *                      what this node has of the default registry's models, in the words of the
 *                      registry protocol, so that stock Ollama can pull from here; with ranges
 *   GET, HEAD /v1/hosts/<host>/v2/...
 *                      the same for models of another registry: this URL up to <host> is what
 *                      struct registry_options calls a mirror of that host
 *   GET  /healthz, /readyz
 *
 * A stream gets at most two flushes of changes a second (Ready of a view at once), and an empty
 * line every 15 s, so that both ends see that the other one lives.
 *
 * Ownership: store_server_new/store_server_free; what the options point to must outlive it.
 * Threads: the loop's. Limits: those of net/http_server.h; a request's body has 64 KiB.
 */
#ifndef STORE_SERVER_H
#define STORE_SERVER_H

#include "net/http_server.h"
#include "store/puller.h"

struct store_server_options {
	const char *host; /* numeric */
	guint16 port;     /* 0: any */
	const char *node; /* what the states say as "node"; NULL: they do not */
	const struct content *content;
	const struct registry_options *registry;
	/* As in struct puller_options; `note` is called from pulling threads. */
	gint64 retry_base_ms, retry_cap_ms, retry_late_ms;
	void (*note)(void *data, const struct image_state *state);
	void *note_data;
	gint64 flush_ms;     /* 0: 500 */
	gint64 heartbeat_ms; /* 0: 15 s */
};

struct store_server;

/* Errors: NET_ERROR_* of http_server_new(). */
struct store_server *store_server_new(struct loop *loop, const struct store_server_options *options,
    GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Ends all streams and breaks off all pulls; the next store resumes them. Takes up to a second. */
void store_server_free(struct store_server *server);
DEFINE_AUTO(store_server, store_server_free)

guint16 store_server_port(const struct store_server *server);

#endif
