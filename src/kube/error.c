#include "kube/error.h"

#include "kube/client_priv.h"

#include <string.h>

enum {
	MESSAGE_MAX = 4096, /* of a Status; a list of field errors can be long */
	EXCERPT_MAX = 200,  /* of an answer that is no Status: a proxy's error page */
};

G_DEFINE_QUARK(kube - error - quark, kube_error)

gboolean kube_error_is(const GError *error, enum kube_error code)
{
	return g_error_matches(error, KUBE_ERROR, (gint)code);
}

/*
 * A body of a server-side apply that breaks the types of its kind: an unknown field, a number for a
 * text, two elements of one key. The API server answers 500 for it, without a reason, as it does
 * when etcd is away; but this one never works when tried again. So its words decide.
 * Source: k8s.io/apimachinery, pkg/util/managedfields/internal/structuredmerge.go of v0.35.4
 * and v0.36.1.
 */
static gboolean is_untyped_apply(int status, const char *message)
{
	return status == 500 && message != NULL &&
	       g_str_has_prefix(message, "failed to create typed patch object (");
}

static enum kube_error code_of(int status, const char *reason)
{
	switch (status) {
	case 401:
		return KUBE_ERROR_UNAUTHORIZED;
	case 403:
		return KUBE_ERROR_DENIED;
	case 404:
		return KUBE_ERROR_NOT_FOUND;
	case 408:
	case 429:
		return KUBE_ERROR_RETRY;
	case 409:
		return g_strcmp0(reason, "AlreadyExists") == 0 ? KUBE_ERROR_EXISTS
							       : KUBE_ERROR_CONFLICT;
	case 410:
		return KUBE_ERROR_GONE;
	default:
		return status >= 500 ? KUBE_ERROR_RETRY : KUBE_ERROR_INVALID;
	}
}

/* The first `max` bytes as valid UTF-8, cut between characters. */
static char *shorten(const char *text, gsize len, gsize max)
{
	g_autofree char *cut = g_strndup(text, MIN(len, max));
	g_autofree char *valid = g_utf8_make_valid(cut, -1);

	return g_strdup(g_strstrip(valid));
}

GError *kube_error_from_status(yyjson_val *object, int http_status)
{
	int status = (int)CLAMP(json_int(object, http_status, "code", NULL), 0, 999);
	const char *reason = json_str(object, "reason", NULL);
	const char *message = json_str(object, "message", NULL);
	g_autofree char *text = NULL;

	if (message == NULL || *message == '\0')
		message = reason;
	if (message == NULL || *message == '\0')
		return g_error_new(KUBE_ERROR, (gint)code_of(status, reason), "HTTP %d", status);
	text = shorten(message, strlen(message), MESSAGE_MAX);
	if (is_untyped_apply(status, text))
		return g_error_new_literal(KUBE_ERROR, KUBE_ERROR_INVALID, text);
	return g_error_new_literal(KUBE_ERROR, (gint)code_of(status, reason), text);
}

GError *kube_error_from_answer(int status, const char *body, gsize len)
{
	g_autoptr(yyjson_doc) doc = len > 0 ? json_parse(body, len, NULL) : NULL;
	yyjson_val *root = doc == NULL ? NULL : yyjson_doc_get_root(doc);
	g_autofree char *excerpt = NULL;

	if (g_strcmp0(json_str(root, "kind", NULL), "Status") == 0)
		return kube_error_from_status(root, status);
	excerpt = shorten(len > 0 ? body : "", len, EXCERPT_MAX);
	g_strdelimit(excerpt, "\r\n\t", ' ');
	return g_error_new(KUBE_ERROR, (gint)code_of(status, NULL), "HTTP %d%s%s", status,
	    *excerpt == '\0' ? "" : ": ", excerpt);
}

GError *kube_error_from_net(const GError *error)
{
	enum kube_error code = KUBE_ERROR_RETRY;

	if (g_error_matches(error, NET_ERROR, NET_ERROR_CANCELLED))
		code = KUBE_ERROR_CANCELLED;
	else if (g_error_matches(error, NET_ERROR, NET_ERROR_TOO_LARGE))
		code = KUBE_ERROR_INVALID;
	else if (g_error_matches(error, NET_ERROR, NET_ERROR_TLS) ||
		 g_error_matches(error, NET_ERROR, NET_ERROR_INVALID))
		code = KUBE_ERROR_CONFIG;
	return g_error_new_literal(KUBE_ERROR, (gint)code, error->message);
}
