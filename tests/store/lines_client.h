/*
 * Reads an NDJSON stream in a thread of its own, so that a test can wait for lines. All functions
 * are for the test's thread.
 */
#ifndef TESTS_STORE_LINES_CLIENT_H
#define TESTS_STORE_LINES_CLIENT_H

#include "net/http_client.h"
#include "json/json.h"

struct lines_client;

/* `body` NULL: GET. */
struct lines_client *lines_client_new(const char *url, const char *body);
/* Hangs up, if the answer has not ended. */
void lines_client_free(struct lines_client *client);
DEFINE_AUTO(lines_client, lines_client_free)

/* The next line with `part` in it (lines before it are dropped), the caller's. NULL: it ended. */
char *lines_client_wait(struct lines_client *client, const char *part);
/* Waits for the end; the answer's status, 0: no answer. */
int lines_client_join(struct lines_client *client);

#endif
