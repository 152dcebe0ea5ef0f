#include "ctl/informer_priv.h"

/* The lister_watcher of informers outside tests: a kube client and a timer of its loop. */
struct kube_api {
	struct kube_client *client;
	const struct kube_resource *resource;
	char *namespace;
	char *label_selector;
	struct loop_timer *timer;
	void (*waited)(void *data);
	void *waited_data;
};

static void *api_list(
    void *data, const char *resource_version, const struct kube_list_ops *ops, void *ops_data)
{
	struct kube_api *api = data;

	return kube_list_start(api->client, api->resource, api->namespace, api->label_selector,
	    resource_version, ops, ops_data);
}

static void api_cancel_list(void *data, void *call)
{
	(void)data;
	kube_list_cancel(call);
}

static void *api_watch(void *data, const char *resource_version, guint timeout_s,
    const struct kube_watch_ops *ops, void *ops_data)
{
	struct kube_api *api = data;

	return kube_watch_start(api->client, api->resource, api->namespace, api->label_selector,
	    resource_version, timeout_s, ops, ops_data);
}

static void api_stop_watch(void *data, void *watch)
{
	(void)data;
	kube_watch_stop(watch);
}

static void on_timer(void *data)
{
	struct kube_api *api = data;

	api->waited(api->waited_data);
}

static void api_wait(void *data, gint64 after_ms, void (*fn)(void *data), void *fn_data)
{
	struct kube_api *api = data;

	api->waited = fn;
	api->waited_data = fn_data;
	loop_timer_start(api->timer, after_ms);
}

static void api_cancel_wait(void *data)
{
	struct kube_api *api = data;

	loop_timer_stop(api->timer);
}

static void api_free(void *data)
{
	struct kube_api *api = data;

	loop_timer_free(api->timer);
	g_free(api->namespace);
	g_free(api->label_selector);
	g_free(api);
}

struct lister_watcher lister_watcher_kube(struct loop *loop, struct kube_client *client,
    const struct kube_resource *resource, const char *namespace, const char *label_selector)
{
	static const struct lister_watcher_ops ops = {
	    .list = api_list,
	    .cancel_list = api_cancel_list,
	    .watch = api_watch,
	    .stop_watch = api_stop_watch,
	    .wait = api_wait,
	    .cancel_wait = api_cancel_wait,
	    .free = api_free,
	};
	struct kube_api *api = g_new0(struct kube_api, 1);

	api->client = client;
	api->resource = resource;
	api->namespace = g_strdup(namespace);
	api->label_selector = g_strdup(label_selector);
	api->timer = loop_timer_new(loop, on_timer, api);
	return (struct lister_watcher){&ops, api};
}

struct informer *informer_new(struct loop *loop, struct kube_client *client,
    const struct clock *clock, const struct informer_options *options)
{
	return informer_new_on(lister_watcher_kube(loop, client, options->resource,
				   options->namespace, options->label_selector),
	    clock, options);
}
