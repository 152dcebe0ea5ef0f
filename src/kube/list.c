#include "kube/client_priv.h"

#include "net/url.h"

#define PAGE_LIMIT "500"

struct kube_list_call {
	struct kube_client *client;
	const struct kube_list_ops *ops;
	void *data;
	char *path;
	char *plural;
	char *what;
	char *selector;         /* encoded; NULL: none */
	char *resource_version; /* as asked, encoded */
	struct kube_call *call; /* NULL while a page is handed out */
	gboolean busy;          /* inside a callback: whoever called it frees */
	gboolean cancelled;
};

static void list_free(struct kube_list_call *list)
{
	g_free(list->path);
	g_free(list->plural);
	g_free(list->what);
	g_free(list->selector);
	g_free(list->resource_version);
	g_free(list);
}

/* Ends the list, which is busy, with done() unless it was cancelled. */
static void list_end(struct kube_list_call *list, const char *resource_version, const GError *error)
{
	if (!list->cancelled)
		list->ops->done(list->data, resource_version, error);
	list_free(list);
}

static void list_fail(struct kube_list_call *list, const char *problem)
{
	g_autoptr(GError) error =
	    g_error_new(KUBE_ERROR, KUBE_ERROR_RETRY, "%s: %s", list->what, problem);

	list_end(list, NULL, error);
}

static void page_done(void *data, GByteArray *body, const GError *error);

/* `next` is the token of the page before, NULL for the first. */
static void request_page(struct kube_list_call *list, const char *next)
{
	GString *target = g_string_new(list->path);
	g_autofree char *token = next == NULL ? NULL : url_encode(next);
	struct kube_request request = {
	    .method = "GET",
	    .verb = "list",
	    .plural = list->plural,
	    .what = list->what,
	};

	g_string_append(target, "?limit=" PAGE_LIMIT);
	if (list->selector != NULL)
		g_string_append_printf(target, "&labelSelector=%s", list->selector);
	/* The token carries the version of the first page: both together are refused. */
	if (token != NULL)
		g_string_append_printf(target, "&continue=%s", token);
	else if (*list->resource_version != '\0')
		g_string_append_printf(target, "&resourceVersion=%s", list->resource_version);
	request.target = target->str;
	list->call = kube_call_new(list->client, &request, page_done, list);
	kube_call_begin(list->call);
	g_string_free(target, TRUE);
}

static void hand_out(struct kube_list_call *list, yyjson_val *items)
{
	yyjson_val *item;
	size_t i, n;

	yyjson_arr_foreach(items, i, n, item)
	{
		list->ops->item(list->data, item);
		if (list->cancelled)
			return;
	}
}

static void page_done(void *data, GByteArray *body, const GError *error)
{
	struct kube_list_call *list = data;
	g_autoptr(yyjson_doc) doc = NULL;
	yyjson_val *root, *items;
	const char *next;

	list->call = NULL;
	list->busy = TRUE;
	if (error != NULL) {
		list_end(list, NULL, error);
		return;
	}
	doc = json_parse((const char *)body->data, body->len, NULL);
	root = doc == NULL ? NULL : yyjson_doc_get_root(doc);
	items = json_at(root, "items", NULL);
	/* `null` is how Go writes an empty list. */
	if (root == NULL || (items != NULL && !yyjson_is_arr(items) && !yyjson_is_null(items)) ||
	    json_at(root, "metadata", NULL) == NULL) {
		list_fail(list, "the answer is no list");
		return;
	}
	if (yyjson_is_arr(items))
		hand_out(list, items);
	next = json_str(root, "metadata", "continue", NULL);
	if (list->cancelled || next == NULL || *next == '\0') {
		const char *version = json_str(root, "metadata", "resourceVersion", NULL);

		list_end(list, version == NULL ? "" : version, NULL);
		return;
	}
	list->busy = FALSE;
	request_page(list, next);
}

struct kube_list_call *kube_list_start(struct kube_client *client,
    const struct kube_resource *resource, const char *namespace, const char *label_selector,
    const char *resource_version, const struct kube_list_ops *ops, void *data)
{
	struct kube_list_call *list = g_new0(struct kube_list_call, 1);

	list->client = client;
	list->ops = ops;
	list->data = data;
	list->path = kube_resource_path(resource, namespace, NULL, NULL);
	list->plural = g_strdup(resource->plural);
	list->what = kube_describe("list", resource, namespace, NULL, NULL);
	list->selector =
	    label_selector == NULL || *label_selector == '\0' ? NULL : url_encode(label_selector);
	list->resource_version = url_encode(resource_version == NULL ? "" : resource_version);
	request_page(list, NULL);
	return list;
}

void kube_list_cancel(struct kube_list_call *list)
{
	if (list == NULL)
		return;
	list->cancelled = TRUE;
	if (list->busy)
		return;
	kube_call_cancel(list->call);
	list_free(list);
}
