/* Room-private: what http_client_fetch() needs of the client on a loop. */
#ifndef NET_HTTP_CLIENT_PRIV_H
#define NET_HTTP_CLIENT_PRIV_H

#include "net/http_client.h"

struct loop *http_client_loop(const struct http_client *client);

/* Keeps the memory (not the service) of a client alive. Any thread. */
struct http_client *http_client_ref(struct http_client *client);
void http_client_unref(struct http_client *client);

/*
 * http_client_start() in two steps: prepared in any thread, then either submitted on the loop's
 * thread or freed. `dropped` is called instead of done() when the client ends before the call.
 */
struct http_call *http_call_prepare(struct http_client *client, const struct http_request *request,
    const struct http_call_ops *ops, void (*dropped)(void *data), void *data);
void http_call_submit(struct http_call *call);
/* Frees what was prepared and not submitted. */
void http_call_discard(struct http_call *call);

/* Was http_client_free() called? Loop's thread. */
gboolean http_client_is_dead(const struct http_client *client);

#endif
