#include "script_server.h"

#include <glib/gstdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define WAIT_US (10 * G_USEC_PER_SEC)
#define QUIET_TURNS 20

static const char *header_or_dash(const struct http_exchange *exchange, const char *name)
{
	const char *value = http_exchange_header(exchange, name);

	return value == NULL ? "-" : value;
}

static void on_request(void *data, struct http_exchange *exchange)
{
	(void)data;
	http_exchange_set_data(exchange, g_string_new(NULL));
}

static void on_body(void *data, struct http_exchange *exchange, const char *bytes, gsize len)
{
	(void)data;
	g_string_append_len(http_exchange_data(exchange), bytes, (gssize)len);
}

static void write_pieces(struct http_exchange *exchange, const struct script_step *step)
{
	guint i;

	for (i = 0; i < G_N_ELEMENTS(step->pieces) && step->pieces[i] != NULL; i++)
		http_exchange_write(exchange, step->pieces[i], strlen(step->pieces[i]));
	for (guint n = 0; n < step->repeat_last_piece && i > 0; n++)
		http_exchange_write(exchange, step->pieces[i - 1], strlen(step->pieces[i - 1]));
}

static void play(
    struct script *script, struct http_exchange *exchange, const struct script_step *step)
{
	const char *headers[] = {step->header, NULL};

	if (step->before != NULL)
		step->before(script);
	if (step->end == STEP_SILENT)
		return;
	http_exchange_begin(exchange, step->status, "application/json", headers, -1);
	write_pieces(exchange, step);
	if (step->end == STEP_END)
		http_exchange_end(exchange);
	else if (step->end == STEP_ABORT)
		http_exchange_abort(exchange);
	else
		g_ptr_array_add(script->held, exchange);
}

static void on_complete(void *data, struct http_exchange *exchange)
{
	struct script *script = data;
	GString *body = http_exchange_data(exchange);
	const char *query = http_exchange_query(exchange);

	g_async_queue_push(script->seen,
	    g_strdup_printf("%s %s%s%s|%s|%s|%s|%s", http_exchange_method(exchange),
		http_exchange_path(exchange), *query == '\0' ? "" : "?", query,
		header_or_dash(exchange, "Accept"), header_or_dash(exchange, "Content-Type"),
		header_or_dash(exchange, "Authorization"), body->str));
	if (script->next < script->n_steps)
		play(script, exchange, &script->steps[script->next++]);
	else
		http_exchange_respond(exchange, 500, "text/plain", NULL, "end of script", 13);
}

static void on_closed(void *data, struct http_exchange *exchange, gboolean aborted)
{
	struct script *script = data;
	GString *body = http_exchange_data(exchange);

	g_ptr_array_remove(script->held, exchange);
	if (body != NULL)
		g_string_free(body, TRUE);
	if (aborted)
		g_async_queue_push(script->aborts, g_strdup("abort"));
}

static void observe(void *data, const char *verb, const char *plural, int code, gint64 took_us)
{
	struct script *script = data;

	g_assert(took_us >= 0);
	script_say(script, "%s %s %d", verb, plural, code);
}

void script_set_token(struct script *script, const char *token)
{
	assert_true(g_file_set_contents(script->token_file, token, -1, NULL));
}

static struct kube_config *config_of(struct script *script)
{
	g_autofree char *text = g_strdup_printf(
	    "{\"current-context\":\"x\",\"contexts\":[{"
	    "\"name\":\"x\",\"context\":{\"cluster\":\"c\",\"user\":\"u\"}}],\"clusters\":[{"
	    "\"name\":\"c\",\"cluster\":{\"server\":\"http://127.0.0.1:%u/prefix\"}}],\"users\":[{"
	    "\"name\":\"u\",\"user\":{\"tokenFile\":\"%s\"}}]}",
	    http_server_port(script->server), script->token_file);
	struct kube_config_options options = {NULL};

	return kube_config_parse(text, strlen(text), "/", &options, NULL);
}

struct script *script_new(
    const struct script_step *steps, guint n_steps, const struct kube_client_options *options)
{
	static const struct http_server_ops ops = {
	    .request = on_request, .body = on_body, .complete = on_complete, .closed = on_closed};
	struct kube_client_options own = {.field_manager = "a test"};
	struct script *script = g_new0(struct script, 1);
	int fd;

	if (options != NULL)
		own = *options;
	own.user_agent = "test/1";
	own.observe = observe;
	own.observe_data = script;
	script->steps = steps;
	script->n_steps = n_steps;
	script->held = g_ptr_array_new();
	script->seen = g_async_queue_new_full(g_free);
	script->events = g_async_queue_new_full(g_free);
	script->aborts = g_async_queue_new_full(g_free);
	fd = g_file_open_tmp("kube-token-XXXXXX", &script->token_file, NULL);
	assert_true(fd >= 0);
	g_close(fd, NULL);
	script_set_token(script, "t1");
	script->loop = loop_new();
	script->server = http_server_new(script->loop, "127.0.0.1", 0, NULL, &ops, script, NULL);
	assert_non_null(script->server);
	script->config = config_of(script);
	assert_non_null(script->config);
	script->client = kube_client_new(script->loop, script->config, &own);
	script->thread = loop_run_in_thread(script->loop, "script");
	return script;
}

void script_free(struct script *script)
{
	loop_stop(script->loop);
	g_thread_join(script->thread);
	kube_client_free(script->client);
	http_server_free(script->server);
	loop_free(script->loop);
	kube_config_free(script->config);
	g_unlink(script->token_file);
	g_free(script->token_file);
	g_ptr_array_unref(script->held);
	g_async_queue_unref(script->seen);
	g_async_queue_unref(script->events);
	g_async_queue_unref(script->aborts);
	g_free(script);
}

struct errand {
	void (*fn)(void *data);
	void *data;
	GAsyncQueue *done;
};

static void run_errand(void *data)
{
	struct errand *errand = data;

	errand->fn(errand->data);
	g_async_queue_push(errand->done, errand);
}

void script_on_loop(struct script *script, void (*fn)(void *data), void *data)
{
	struct errand errand = {fn, data, g_async_queue_new()};

	loop_post(script->loop, run_errand, &errand);
	g_async_queue_pop(errand.done);
	g_async_queue_unref(errand.done);
}

static void release(void *data)
{
	struct script *script = data;
	g_autoptr(GPtrArray) held = g_steal_pointer(&script->held);

	script->held = g_ptr_array_new();
	for (guint i = 0; i < held->len; i++)
		http_exchange_end(g_ptr_array_index(held, i));
}

void script_release(struct script *script)
{
	script_on_loop(script, release, script);
}

void script_say(struct script *script, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_async_queue_push(script->events, g_strdup_vprintf(format, args));
	va_end(args);
}

static char *pop(GAsyncQueue *queue, const char *what)
{
	char *text = g_async_queue_timeout_pop(queue, WAIT_US);

	if (text == NULL)
		fail_msg("no %s within 10 s", what);
	return text;
}

char *script_seen(struct script *script)
{
	return pop(script->seen, "request");
}

char *script_event(struct script *script)
{
	return pop(script->events, "event");
}

void script_expect_seen(struct script *script, const char *text)
{
	g_autofree char *seen = script_seen(script);

	assert_string_equal(seen, text);
}

void script_expect_event(struct script *script, const char *text)
{
	g_autofree char *event = script_event(script);

	assert_string_equal(event, text);
}

void script_wait_for_aborts(struct script *script, guint n)
{
	for (guint i = 0; i < n; i++)
		g_free(pop(script->aborts, "client that left"));
}

static void nothing(void *data)
{
	(void)data;
}

void script_expect_quiet(struct script *script)
{
	g_autofree char *seen = NULL;
	g_autofree char *event = NULL;

	/* Turns enough for a request to be queued, sent, read and answered on this same loop. */
	for (guint i = 0; i < QUIET_TURNS; i++)
		script_on_loop(script, nothing, NULL);
	seen = g_async_queue_try_pop(script->seen);
	event = g_async_queue_try_pop(script->events);
	if (seen != NULL || event != NULL)
		fail_msg("unexpected: %s %s", seen == NULL ? "" : seen, event == NULL ? "" : event);
}
