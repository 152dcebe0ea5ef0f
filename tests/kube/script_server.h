/*
 * An API server that plays a script, and a client of it, both on one loop in a thread of its own.
 *
 * Each request that arrives takes the next step of the script and is written down for the test:
 * "GET /path?query|Accept: ...|Content-Type: ...|Authorization: ...|body".
 */
#ifndef KUBE_TEST_SCRIPT_SERVER_H
#define KUBE_TEST_SCRIPT_SERVER_H

#include "kube/client.h"
#include "net/http_server.h"

enum step_end {
	STEP_END,   /* the answer is whole */
	STEP_ABORT, /* the connection is closed in the middle of it */
	STEP_HOLD,  /* it stays open until script_release(), or until the client leaves */
	STEP_SILENT /* not even a head, until the client leaves */
};

struct script_step {
	int status;
	const char *header;    /* one extra header, or NULL */
	const char *pieces[8]; /* each becomes one chunk */
	enum step_end end;
	guint repeat_last_piece;    /* how many more times: for bodies that are too large */
	void (*before)(void *data); /* on the loop, before the answer; NULL: nothing */
};

struct script {
	struct loop *loop;
	GThread *thread;
	struct http_server *server;
	struct kube_config *config;
	struct kube_client *client;
	char *token_file;

	const struct script_step *steps;
	guint n_steps;
	guint next;
	GPtrArray *held;     /* exchanges; the loop's thread only */
	GAsyncQueue *seen;   /* char *: requests, in order */
	GAsyncQueue *events; /* char *: what the test's callbacks and `observe` said */
	GAsyncQueue *aborts; /* one entry for each exchange whose client left */
};

/* `options` may be NULL; observe and observe_data are the script's own. */
struct script *script_new(
    const struct script_step *steps, guint n_steps, const struct kube_client_options *options);
void script_free(struct script *script);
DEFINE_AUTO(script, script_free)

/* Runs fn(data) on the loop and waits for it. */
void script_on_loop(struct script *script, void (*fn)(void *data), void *data);

/* Ends the answers that are held. */
void script_release(struct script *script);

/* Writes the client's token file. */
void script_set_token(struct script *script, const char *token);

/* The next request, at most 10 s later; the caller's. Fails the test when there is none. */
char *script_seen(struct script *script);
/* The next event, in the same way. */
char *script_event(struct script *script);
void script_say(struct script *script, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* The next request is `text`; the next event is `text`. */
void script_expect_seen(struct script *script, const char *text);
void script_expect_event(struct script *script, const char *text);
/* That many clients left before their answer was whole. */
void script_wait_for_aborts(struct script *script, guint n);
/* Nothing more was requested or said; first lets the loop finish what it has at hand. */
void script_expect_quiet(struct script *script);

#endif
