/*
 * A registry for tests: files by path, faults by script, and a log of what it was asked. It runs
 * on a loop of its own in a thread of its own; all functions may be called from the test's thread.
 */
#ifndef TESTS_STORE_FAKE_REGISTRY_H
#define TESTS_STORE_FAKE_REGISTRY_H

#include "model/reference.h"
#include "net/http_server.h"

enum fault {
	FAULT_NONE,
	FAULT_STATUS,    /* answers with `status` */
	FAULT_TRUNCATE,  /* half of the body, then cuts the connection */
	FAULT_CORRUPT,   /* one bit is wrong */
	FAULT_LONGER,    /* more than the manifest says, and never ends */
	FAULT_NO_RANGE,  /* ignores Range: 200 and everything */
	FAULT_STALL,     /* half of the body, then silence */
	FAULT_REDIRECT,  /* 307 to `text` */
	FAULT_CHALLENGE, /* 401 with a Bearer challenge, unless a token is shown */
};

struct fake_registry;

/* `port` 0: any. */
struct fake_registry *fake_registry_new(guint16 port);
void fake_registry_free(struct fake_registry *registry);
DEFINE_AUTO(fake_registry, fake_registry_free)
guint16 fake_registry_port(const struct fake_registry *registry);

/* Serves these bytes at `path`. */
void fake_registry_put(struct fake_registry *registry, const char *path, GBytes *bytes);

/*
 * Puts a model there: config, a small template layer and `weights`. Returns the manifest's bytes.
 * `name` is "smollm2:135m"; models with the same weights share their blob.
 */
GBytes *fake_registry_put_model(struct fake_registry *registry, const char *name, GBytes *weights);

/* "/v2/library/x/blobs/sha256:..." of these bytes, and "sha256:...". The caller's. */
char *fake_registry_blob_path(const char *name, GBytes *bytes);
char *fake_digest(GBytes *bytes);

/*
 * The next `count` requests (-1: all) whose path contains `part` fail in this way. The latest
 * script that fits is taken. `text`: a URL, or header lines of a status.
 */
void fake_registry_fault(struct fake_registry *registry, const char *part, enum fault fault,
    int count, int status, const char *text);

/* How many requests had `part` in "GET /path Range:bytes=5- Auth:... Host:...". */
guint fake_registry_count(struct fake_registry *registry, const char *part);

#endif
