#include "support.h"

#include <string.h>

/* The state letter of /proc/PID/task/TID/stat if the name in front of it is the wanted one. */
static char thread_state(const char *tid, const char *name)
{
	g_autofree char *path = g_strdup_printf("/proc/self/task/%s/stat", tid);
	g_autofree char *wanted = g_strdup_printf("(%s) ", name);
	g_autofree char *text = NULL;
	const char *at;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return 0;
	at = strstr(text, wanted);
	return (char)(at != NULL ? at[strlen(wanted)] : 0);
}

void wait_until_asleep(const char *thread_name)
{
	for (gboolean asleep = FALSE; !asleep; g_thread_yield()) {
		GDir *tasks = g_dir_open("/proc/self/task", 0, NULL);
		const char *tid;

		assert_non_null(tasks);
		while ((tid = g_dir_read_name(tasks)) != NULL)
			asleep |= thread_state(tid, thread_name) == 'S';
		g_dir_close(tasks);
	}
}

char *object_json(const char *namespace, const char *name, const char *version, const char *owner,
    const char *label)
{
	GString *json = g_string_new("{\"metadata\":{");

	if (namespace[0] != '\0')
		g_string_append_printf(json, "\"namespace\":\"%s\",", namespace);
	if (owner != NULL)
		g_string_append_printf(json,
		    "\"ownerReferences\":[{\"kind\":\"Node\",\"name\":\"other\",\"uid\":\"n\"},"
		    "{\"kind\":\"Model\",\"name\":\"owner-%s\",\"uid\":\"%s\","
		    "\"controller\":true}],",
		    owner, owner);
	if (label != NULL)
		g_string_append_printf(json, "\"labels\":{\"label\":\"%s\"},", label);
	g_string_append_printf(json,
	    "\"name\":\"%s\",\"uid\":\"uid-%s\",\"resourceVersion\":\"%s\"}}", name, name, version);
	return g_string_free(json, FALSE);
}

struct kube_object *object_make(const char *namespace, const char *name, const char *version,
    const char *owner, const char *label)
{
	g_autofree char *json = object_json(namespace, name, version, owner, label);
	g_autoptr(yyjson_doc) doc = json_parse(json, strlen(json), NULL);
	struct kube_object *object;

	assert_non_null(doc);
	object = kube_object_new(yyjson_doc_get_root(doc), NULL);
	assert_non_null(object);
	return object;
}

char *index_label(const struct kube_object *object, yyjson_val *body)
{
	(void)object;
	return g_strdup(json_str(body, "metadata", "labels", "label", NULL));
}

/* ---- The lister_watcher ---- */

static void *api_list(
    void *data, const char *version, const struct kube_list_ops *ops, void *ops_data)
{
	struct fake_api *api = data;

	assert_true(api->list == NULL && api->watch == NULL && api->wait == NULL);
	api->lists++;
	g_free(api->list_version);
	api->list_version = g_strdup(version);
	if (api->fail_at_once != NULL) {
		ops->done(ops_data, NULL, api->fail_at_once);
		return (void *)(guintptr)0xdead; /* over: must not be touched */
	}
	api->list = ops;
	api->data = ops_data;
	return &api->list;
}

static void api_cancel_list(void *data, void *call)
{
	struct fake_api *api = data;

	assert_ptr_equal(call, &api->list);
	assert_non_null(api->list);
	api->list = NULL;
}

static void *api_watch(void *data, const char *version, guint timeout_s,
    const struct kube_watch_ops *ops, void *ops_data)
{
	struct fake_api *api = data;

	assert_true(api->list == NULL && api->watch == NULL && api->wait == NULL);
	api->watches++;
	g_free(api->watch_version);
	api->watch_version = g_strdup(version);
	api->timeout_s = timeout_s;
	if (api->fail_at_once != NULL) {
		ops->done(ops_data, api->fail_at_once);
		return (void *)(guintptr)0xdead;
	}
	api->watch = ops;
	api->data = ops_data;
	return &api->watch;
}

static void api_stop_watch(void *data, void *watch)
{
	struct fake_api *api = data;

	assert_ptr_equal(watch, &api->watch);
	assert_non_null(api->watch);
	api->watch = NULL;
}

static void api_wait(void *data, gint64 after_ms, void (*fn)(void *data), void *fn_data)
{
	struct fake_api *api = data;

	assert_true(api->list == NULL && api->watch == NULL && api->wait == NULL);
	api->waits++;
	api->wait = fn;
	api->wait_ms = after_ms;
	api->data = fn_data;
}

static void api_cancel_wait(void *data)
{
	struct fake_api *api = data;

	assert_non_null(api->wait);
	api->wait = NULL;
}

static void api_free(void *data)
{
	struct fake_api *api = data;

	assert_true(api->list == NULL && api->watch == NULL && api->wait == NULL);
	api->freed = TRUE;
}

struct lister_watcher fake_api_lister_watcher(struct fake_api *api)
{
	static const struct lister_watcher_ops ops = {api_list, api_cancel_list, api_watch,
	    api_stop_watch, api_wait, api_cancel_wait, api_free};

	return (struct lister_watcher){&ops, api};
}

void fake_api_done(struct fake_api *api)
{
	assert_true(api->freed);
	g_free(api->list_version);
	g_free(api->watch_version);
}

/* ---- The script ---- */

void fake_list_json(struct fake_api *api, const char *json)
{
	g_autoptr(yyjson_doc) doc = json_parse(json, strlen(json), NULL);

	assert_non_null(api->list);
	api->list->item(api->data, yyjson_doc_get_root(doc));
}

void fake_list_item(struct fake_api *api, const char *name, const char *version)
{
	g_autofree char *json = object_json("ns", name, version, NULL, NULL);

	fake_list_json(api, json);
}

void fake_list_end(struct fake_api *api, const char *version, enum kube_error code)
{
	const struct kube_list_ops *ops = api->list;
	g_autoptr(GError) error =
	    version == NULL ? g_error_new(KUBE_ERROR, (gint)code, "list failed with %d", (int)code)
			    : NULL;

	assert_non_null(ops);
	api->list = NULL;
	ops->done(api->data, version, error);
}

void fake_watch_json(struct fake_api *api, enum kube_event_type type, const char *json)
{
	g_autoptr(yyjson_doc) doc = json_parse(json, strlen(json), NULL);

	assert_non_null(api->watch);
	api->watch->event(api->data, type, yyjson_doc_get_root(doc));
}

void fake_watch_event(
    struct fake_api *api, enum kube_event_type type, const char *name, const char *version)
{
	g_autofree char *json = object_json("ns", name, version, NULL, NULL);

	fake_watch_json(api, type, json);
}

static void watch_done(struct fake_api *api, const GError *error)
{
	const struct kube_watch_ops *ops = api->watch;

	assert_non_null(ops);
	api->watch = NULL;
	ops->done(api->data, error);
}

void fake_watch_end_in_order(struct fake_api *api)
{
	watch_done(api, NULL);
}

void fake_watch_fail(struct fake_api *api, enum kube_error code)
{
	g_autoptr(GError) error =
	    g_error_new(KUBE_ERROR, (gint)code, "watch failed with %d", (int)code);

	watch_done(api, error);
}

void fake_wait_over(struct fake_api *api)
{
	void (*fn)(void *data) = api->wait;

	assert_non_null(fn);
	api->wait = NULL;
	fn(api->data);
}
