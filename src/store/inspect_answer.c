/* POST /v1/inspect: from the loop to a thread of the pool, and back. */
#include "store/server_priv.h"

#include "json/json.h"

#include <string.h>

/*
 * One question on its way. It belongs to the exchange until that is closed, and to the pool
 * until its answer was posted; the later of the two frees it. Loop's thread, except answered().
 */
struct inspection {
	struct loop *loop;
	struct http_exchange *exchange; /* NULL: closed */
	gboolean waiting;               /* for the pool */
	int status;
	char *text;
};

static char *failure_text(const char *reason, const char *message)
{
	g_autoptr(yyjson_mut_doc) doc = yyjson_mut_doc_new(json_alc());
	yyjson_mut_val *root = yyjson_mut_obj(doc);

	yyjson_mut_doc_set_root(doc, root);
	json_mut_set_str(doc, root, "reason", reason);
	json_mut_set_str(doc, root, "message", message);
	return json_mut_print(root, NULL);
}

static void respond_failure(
    struct http_exchange *exchange, int status, const char *reason, const char *message)
{
	g_autofree char *text = failure_text(reason, message);

	http_exchange_respond(exchange, status, "application/json", NULL, text, strlen(text));
}

static int status_of(const GError *error)
{
	switch (error->domain == STORE_ERROR ? error->code : STORE_ERROR_STORAGE) {
	case STORE_ERROR_NOT_FOUND:
		return 404;
	case STORE_ERROR_DENIED:
		return 403;
	case STORE_ERROR_REQUIRES_NEWER:
	case STORE_ERROR_INVALID_MANIFEST:
		return 422;
	case STORE_ERROR_RATE_LIMITED:
		return 429;
	case STORE_ERROR_REGISTRY_UNAVAILABLE:
	case STORE_ERROR_TLS_FAILED:
	case STORE_ERROR_DIGEST_MISMATCH:
	case STORE_ERROR_SIZE_MISMATCH:
		return 502;
	case STORE_ERROR_INVALID_IMAGE:
		return 400;
	case STORE_ERROR_CANCELLED:
		return 503;
	default:
		return 500;
	}
}

static void inspection_release(struct inspection *inspection)
{
	if (inspection->exchange != NULL || inspection->waiting)
		return;
	g_free(inspection->text);
	g_free(inspection);
}

static void deliver(void *data)
{
	struct inspection *inspection = data;

	inspection->waiting = FALSE;
	if (inspection->exchange != NULL)
		http_exchange_respond(inspection->exchange, inspection->status, "application/json",
		    NULL, inspection->text, strlen(inspection->text));
	else
		inspection_release(inspection);
}

/* On a thread of the pool; the loop does not look at the answer before the post. */
static void answered(void *data, const char *text, const GError *error)
{
	struct inspection *inspection = data;

	inspection->status = error == NULL ? 200 : status_of(error);
	inspection->text = error == NULL ? g_strdup(text)
					 : failure_text(store_error_reason(error), error->message);
	loop_post(inspection->loop, deliver, inspection);
}

/* NULL: the error says what is wrong with the request. */
static struct reference *parse_question(
    const GByteArray *body, enum pull_policy *ret_policy, GError **error)
{
	g_autoptr(yyjson_doc) doc = json_parse((const char *)body->data, body->len, error);
	yyjson_val *root = doc == NULL ? NULL : yyjson_doc_get_root(doc);
	const char *image = json_str(root, "image", NULL);
	const char *policy = json_str(root, "pullPolicy", NULL);

	if (doc == NULL)
		return NULL;
	*ret_policy = PULL_IF_NOT_PRESENT;
	if (image != NULL && (policy == NULL || pull_policy_parse(policy, ret_policy)))
		return reference_parse(image, error);
	g_set_error_literal(error, STORE_ERROR, STORE_ERROR_INVALID_IMAGE,
	    image == NULL ? "the request names no image"
			  : "pullPolicy must be Always, IfNotPresent or Never");
	return NULL;
}

struct inspection *inspection_new(
    struct store_server *server, struct http_exchange *exchange, const GByteArray *body)
{
	g_autoptr(GError) error = NULL;
	enum pull_policy policy = PULL_IF_NOT_PRESENT;
	AUTO(reference) reference = parse_question(body, &policy, &error);
	struct inspection *inspection;

	if (reference == NULL) {
		respond_failure(exchange, 400, "InvalidImage", error->message);
		return NULL;
	}
	inspection = g_new0(struct inspection, 1);
	*inspection =
	    (struct inspection){.loop = server->loop, .exchange = exchange, .waiting = TRUE};
	if (inspect_pool_ask(server->inspect_pool, reference, policy, answered, inspection))
		return inspection;
	g_free(inspection);
	respond_failure(exchange, 503, "Busy", "this store already inspects too many models");
	return NULL;
}

void inspection_closed(struct inspection *inspection)
{
	if (inspection == NULL)
		return;
	inspection->exchange = NULL;
	inspection_release(inspection);
}
