/* What the tests of the room ctl share: objects, and an API server that does as it is told. */
#ifndef TESTS_CTL_SUPPORT_H
#define TESTS_CTL_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ctl/informer_priv.h"

/* The JSON of an object; `owner` NULL or the uid of a Model named "owner-<uid>". */
char *object_json(const char *namespace, const char *name, const char *version, const char *owner,
    const char *label);
struct kube_object *object_make(const char *namespace, const char *name, const char *version,
    const char *owner, const char *label);
/* For cache_new(): metadata.labels.label. */
char *index_label(const struct kube_object *object, yyjson_val *body);

/*
 * A lister_watcher whose list, watch and wait are ended by the test. What is under way is not
 * NULL; starting what is under way already, or ending what is not, fails the test.
 */
struct fake_api {
	const struct kube_list_ops *list;
	const struct kube_watch_ops *watch;
	void (*wait)(void *data);
	void *data;         /* of whatever is under way: all is the reflector's */
	char *list_version; /* that the last list asked for */
	char *watch_version;
	guint timeout_s;
	gint64 wait_ms;
	guint lists, watches, waits; /* how many were started */
	/* When set, the next list or watch fails before its start returns. */
	const GError *fail_at_once;
	gboolean freed;
};
struct lister_watcher fake_api_lister_watcher(struct fake_api *api);
void fake_api_done(struct fake_api *api);

void fake_list_item(struct fake_api *api, const char *name, const char *version);
void fake_list_json(struct fake_api *api, const char *json);
/* `version` NULL: fails with `code`. */
void fake_list_end(struct fake_api *api, const char *version, enum kube_error code);
void fake_watch_event(
    struct fake_api *api, enum kube_event_type type, const char *name, const char *version);
void fake_watch_json(struct fake_api *api, enum kube_event_type type, const char *json);
void fake_watch_end_in_order(struct fake_api *api);
void fake_watch_fail(struct fake_api *api, enum kube_error code);
void fake_wait_over(struct fake_api *api);

/* Waits until the thread of this name, at most 15 bytes, sleeps in the kernel: on a lock, say. */
void wait_until_asleep(const char *thread_name);

#endif
