#include "operator/inspector.h"

#include "base/hash.h"
#include "operator/memory_need.h"

enum {
	/* A registry that does not answer must not hold up the Model's other children. */
	ASK_TIMEOUT_MS = 5000,
	ASK_AGAIN_MS = 60 * 1000,
	ANSWER_MAX_BYTES = 1024 * 1024,
};

struct inspector {
	struct http_client *client;
	struct pulls *pulls;
	const struct clock *clock;
	GMutex lock;
	GHashTable *asked; /* full name -> gint64 *: when it may be asked for again, monotonic ms */
};

struct inspector *inspector_new(
    struct http_client *client, struct pulls *pulls, const struct clock *clock)
{
	struct inspector *inspector = g_new0(struct inspector, 1);

	inspector->client = client;
	inspector->pulls = pulls;
	inspector->clock = clock;
	g_mutex_init(&inspector->lock);
	inspector->asked = g_hash_table_new_full(hash_str, g_str_equal, g_free, g_free);
	return inspector;
}

void inspector_free(struct inspector *inspector)
{
	if (inspector == NULL)
		return;
	g_hash_table_unref(inspector->asked);
	g_mutex_clear(&inspector->lock);
	g_free(inspector);
}

/* How long until this image may be asked for again; 0: now. */
static gint64 wait_ms(struct inspector *inspector, const char *image)
{
	const gint64 *again_ms;
	gint64 wait = 0;

	g_mutex_lock(&inspector->lock);
	again_ms = g_hash_table_lookup(inspector->asked, image);
	if (again_ms != NULL)
		wait = *again_ms - clock_monotonic_ms(inspector->clock);
	g_mutex_unlock(&inspector->lock);
	return MAX(wait, 0);
}

static void note_asked(struct inspector *inspector, const char *image, gboolean ok)
{
	g_mutex_lock(&inspector->lock);
	if (ok) {
		g_hash_table_remove(inspector->asked, image);
	} else {
		gint64 *again_ms = g_new(gint64, 1);

		*again_ms = clock_monotonic_ms(inspector->clock) + ASK_AGAIN_MS;
		g_hash_table_replace(inspector->asked, g_strdup(image), again_ms);
	}
	g_mutex_unlock(&inspector->lock);
}

/* The store's answer, NULL: none, or not what was asked for. */
static yyjson_doc *ask(struct inspector *inspector, const char *store, const char *image)
{
	static const char *const headers[] = {"Content-Type: application/json", NULL};
	g_autoptr(yyjson_mut_doc) body = yyjson_mut_doc_new(json_alc());
	g_autofree char *url = g_strconcat(store, "/v1/inspect", NULL);
	g_autofree char *text = NULL;
	AUTO(http_response) response = NULL;
	struct http_request request = {
	    .method = "POST",
	    .url = url,
	    .headers = headers,
	    .proxy = "",
	    .timeout_ms = ASK_TIMEOUT_MS,
	    .max_response_bytes = ANSWER_MAX_BYTES,
	};

	yyjson_mut_doc_set_root(body, yyjson_mut_obj(body));
	json_mut_set_str(body, yyjson_mut_doc_get_root(body), "image", image);
	text = json_mut_print(yyjson_mut_doc_get_root(body), &request.body_len);
	request.body = text;
	response = http_client_fetch(inspector->client, &request, NULL);
	if (response == NULL || response->status != 200)
		return NULL;
	return json_parse(response->body, response->body_len, NULL);
}

gboolean inspector_estimate(struct inspector *inspector, const struct model *model,
    struct memory_estimate *ret, gint64 *ret_retry_ms)
{
	g_autofree char *image = reference_full(model->image);
	g_autofree char *store = pulls_any_store(inspector->pulls);
	g_autoptr(yyjson_doc) answer = NULL;
	gboolean ok;

	*ret_retry_ms = store == NULL ? 0 : wait_ms(inspector, image);
	if (store == NULL || *ret_retry_ms > 0)
		return FALSE;
	answer = ask(inspector, store, image);
	ok = answer != NULL &&
	     memory_estimate_from_inspect(yyjson_doc_get_root(answer), model->context_length,
		 model->parallel, memory_need_kv_type(model), ret, NULL);
	note_asked(inspector, image, ok);
	*ret_retry_ms = ok ? 0 : ASK_AGAIN_MS;
	return ok;
}
