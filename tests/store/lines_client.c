#include "lines_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/lines.h"

enum { DEADLINE_S = 30 };

struct lines_client {
	char *url, *body;
	GThread *thread;
	gint cancelled;
	struct lines lines;
	uv_mutex_t mutex; /* all below */
	uv_cond_t cond;
	GQueue received;
	int status;
	gboolean ended;
};

static gboolean on_head(void *data, const struct http_head *head)
{
	struct lines_client *client = data;

	uv_mutex_lock(&client->mutex);
	client->status = http_head_status(head);
	uv_mutex_unlock(&client->mutex);
	return TRUE;
}

static gboolean on_line(void *data, const char *line, gsize len)
{
	struct lines_client *client = data;

	uv_mutex_lock(&client->mutex);
	g_queue_push_tail(&client->received, g_strndup(line, len));
	uv_cond_signal(&client->cond);
	uv_mutex_unlock(&client->mutex);
	return TRUE;
}

static gboolean on_body(void *data, const char *bytes, gsize len)
{
	struct lines_client *client = data;

	return lines_feed(&client->lines, bytes, len, on_line, client) == LINES_OK;
}

static gpointer run(gpointer data)
{
	static const struct http_call_ops OPS = {.head = on_head, .body = on_body};
	struct lines_client *client = data;
	struct http_request request = {.method = client->body == NULL ? "GET" : "POST",
	    .url = client->url,
	    .body = client->body,
	    .body_len = client->body == NULL ? 0 : strlen(client->body),
	    .proxy = ""};

	(void)!http_perform(&request, "test/1", &OPS, client, &client->cancelled, NULL);
	uv_mutex_lock(&client->mutex);
	client->ended = TRUE;
	uv_cond_signal(&client->cond);
	uv_mutex_unlock(&client->mutex);
	return NULL;
}

struct lines_client *lines_client_new(const char *url, const char *body)
{
	struct lines_client *client = g_new0(struct lines_client, 1);

	client->url = g_strdup(url);
	client->body = g_strdup(body);
	lines_init(&client->lines, 64 * 1024);
	uv_mutex_init(&client->mutex);
	uv_cond_init(&client->cond);
	g_queue_init(&client->received);
	client->thread = g_thread_new("client", run, client);
	return client;
}

void lines_client_free(struct lines_client *client)
{
	if (client == NULL)
		return;
	g_atomic_int_set(&client->cancelled, 1);
	if (client->thread != NULL)
		g_thread_join(client->thread);
	g_queue_clear_full(&client->received, g_free);
	lines_done(&client->lines);
	uv_cond_destroy(&client->cond);
	uv_mutex_destroy(&client->mutex);
	g_free(client->url);
	g_free(client->body);
	g_free(client);
}

char *lines_client_wait(struct lines_client *client, const char *part)
{
	gint64 deadline_us = g_get_monotonic_time() + DEADLINE_S * G_TIME_SPAN_SECOND;
	char *found = NULL;

	uv_mutex_lock(&client->mutex);
	while (found == NULL) {
		char *line = g_queue_pop_head(&client->received);

		if (line != NULL && strstr(line, part) != NULL)
			found = line;
		else if (line != NULL)
			g_free(line);
		else if (client->ended)
			break;
		else if (g_get_monotonic_time() > deadline_us) {
			fprintf(stderr, "no line with \"%s\" within %d s\n", part, DEADLINE_S);
			abort();
		} else
			(void)uv_cond_timedwait(&client->cond, &client->mutex, 100 * 1000 * 1000);
	}
	uv_mutex_unlock(&client->mutex);
	return found;
}

int lines_client_join(struct lines_client *client)
{
	g_thread_join(g_steal_pointer(&client->thread));
	return client->status;
}
