/*
 * Follows the progress streams of all stores (GET /v1/progress, NDJSON) into a `struct pulls`.
 * Stores are found by their pods; one stream per ready store pod; a broken one is opened again
 * after a backoff of 1 s to 15 s.
 *
 * Threads: the loop's thread. Ownership: the caller's; borrows everything it is given.
 */
#ifndef OPERATOR_PULL_WATCHER_H
#define OPERATOR_PULL_WATCHER_H

#include "base/log.h"
#include "ctl/informer.h"
#include "operator/pulls.h"

struct pull_watcher;

struct pull_watcher_options {
	struct http_client *client;
	struct pulls *pulls;
	struct log *log;
	guint16 port;
	/* The states of this image changed; `at_once` when it is more than progress in bytes. */
	void (*changed)(void *data, const char *image, gboolean at_once);
	void *data;
};

struct pull_watcher *pull_watcher_new(
    struct loop *loop, const struct pull_watcher_options *options);
void pull_watcher_free(struct pull_watcher *watcher);
DEFINE_AUTO(pull_watcher, pull_watcher_free)

/* An informer_handler over the store's pods; data is the watcher. */
extern const struct informer_handler PULL_WATCHER_HANDLER;

#endif
