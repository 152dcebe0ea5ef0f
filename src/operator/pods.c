#include "operator/pods.h"

#include <string.h>

static gboolean condition_is(
    yyjson_val *pod, const char *type, const char *status, yyjson_val **ret_condition)
{
	yyjson_arr_iter iter;
	yyjson_val *condition;

	yyjson_arr_iter_init(json_at(pod, "status", "conditions", NULL), &iter);
	while ((condition = yyjson_arr_iter_next(&iter)) != NULL) {
		if (g_strcmp0(json_str(condition, "type", NULL), type) == 0) {
			if (ret_condition != NULL)
				*ret_condition = condition;
			return g_strcmp0(json_str(condition, "status", NULL), status) == 0;
		}
	}
	return FALSE;
}

static void set_trouble(struct pods_summary *summary, const char *reason, char *take_message)
{
	if (summary->trouble != NULL) {
		g_free(take_message);
		return;
	}
	summary->trouble = g_strdup(reason);
	summary->trouble_message = take_message;
}

/* What to do about a reason for which a container waits; NULL: waiting is in order. */
static const char *advice_for_waiting(const char *reason)
{
	static const struct {
		const char *reason;
		const char *advice;
	} table[] = {
	    {"ErrImagePull", "check spec.serverImage and imagePullSecrets"},
	    {"ImagePullBackOff", "check spec.serverImage and imagePullSecrets"},
	    {"InvalidImageName", "check spec.serverImage"},
	    {"ErrImageNeverPull", "the image is not on the node; load it there"},
	    {"CreateContainerConfigError",
		"check that Secrets and ConfigMaps of spec.extraEnv exist"},
	    {"CreateContainerError", "check spec.resources and the node's container runtime"},
	    {"RunContainerError", "check spec.resources and the node's container runtime"},
	    {"CrashLoopBackOff", "see the log of the container"},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
		if (g_strcmp0(table[i].reason, reason) == 0)
			return table[i].advice;
	}
	return NULL;
}

/* The last thing that a container said before it ended, NULL when it said nothing. */
static const char *last_words(yyjson_val *status)
{
	const char *words = json_str(status, "lastState", "terminated", "message", NULL);

	return words != NULL && *words != '\0' ? words : NULL;
}

static void check_container(struct pods_summary *summary, const char *pod, yyjson_val *status)
{
	const char *name = json_str(status, "name", NULL);
	const char *waiting = json_str(status, "state", "waiting", "reason", NULL);
	const char *said = json_str(status, "state", "waiting", "message", NULL);
	const char *advice = advice_for_waiting(waiting);
	const char *ended = json_str(status, "lastState", "terminated", "reason", NULL);

	if (g_strcmp0(ended, "OOMKilled") == 0 && !json_bool(status, FALSE, "ready", NULL)) {
		set_trouble(summary, "OOMKilled",
		    g_strdup_printf("container %s of pod %s was killed for its memory: raise "
				    "spec.resources.limits.memory or take a smaller model",
			name, pod));
	} else if (advice != NULL) {
		if (last_words(status) != NULL)
			said = last_words(status);
		set_trouble(summary, waiting,
		    g_strdup_printf("container %s of pod %s: %s; %s", name, pod,
			said != NULL ? said : waiting, advice));
	} else if (!json_bool(status, FALSE, "ready", NULL) && last_words(status) != NULL) {
		/* Restarted: the server runs again, but what ended it is still the news. */
		set_trouble(summary, ended != NULL ? ended : "Restarted",
		    g_strdup_printf("container %s of pod %s: %s", name, pod, last_words(status)));
	}
}

static void check_containers(struct pods_summary *summary, const char *pod, yyjson_val *list)
{
	yyjson_arr_iter iter;
	yyjson_val *status;

	yyjson_arr_iter_init(list, &iter);
	while ((status = yyjson_arr_iter_next(&iter)) != NULL)
		check_container(summary, pod, status);
}

static gboolean any_running(yyjson_val *list)
{
	yyjson_arr_iter iter;
	yyjson_val *status;

	yyjson_arr_iter_init(list, &iter);
	while ((status = yyjson_arr_iter_next(&iter)) != NULL) {
		if (json_at(status, "state", "running", NULL) != NULL)
			return TRUE;
	}
	return FALSE;
}

static void summarize_pod(struct pods_summary *summary, yyjson_val *pod)
{
	const char *name = json_str(pod, "metadata", "name", NULL);
	const char *node = json_str(pod, "spec", "nodeName", NULL);
	yyjson_val *scheduled = NULL;

	summary->total++;
	if (node != NULL)
		g_hash_table_add(summary->nodes, g_strdup(node));
	if (condition_is(pod, "Ready", "True", NULL)) {
		summary->ready++;
		return;
	}
	if (any_running(json_at(pod, "status", "containerStatuses", NULL)))
		summary->loading++;
	else if (any_running(json_at(pod, "status", "initContainerStatuses", NULL)))
		summary->fetching++;
	if (condition_is(pod, "PodScheduled", "False", &scheduled)) {
		const char *why = json_str(scheduled, "message", NULL);

		summary->unschedulable = TRUE;
		set_trouble(summary, "Unschedulable",
		    g_strdup_printf(
			"pod %s fits no node: %s", name, why != NULL ? why : "no reason given"));
	}
	check_containers(summary, name, json_at(pod, "status", "initContainerStatuses", NULL));
	check_containers(summary, name, json_at(pod, "status", "containerStatuses", NULL));
}

static gboolean is_over(yyjson_val *pod)
{
	const char *phase = json_str(pod, "status", "phase", NULL);

	return json_str(pod, "metadata", "deletionTimestamp", NULL) != NULL ||
	       g_strcmp0(phase, "Succeeded") == 0 || g_strcmp0(phase, "Failed") == 0;
}

static const char *template_of(yyjson_val *pod)
{
	const char *hash = json_str(pod, "metadata", "labels", "pod-template-hash", NULL);

	return hash != NULL ? hash : "";
}

/* The pod template that was rolled out last, by its youngest pod; the caller's. */
static char *newest_template(GPtrArray *pods)
{
	g_autofree char *newest = NULL;
	char *template = g_strdup("");

	for (guint i = 0; i < pods->len; i++) {
		g_autoptr(yyjson_doc) doc = kube_object_parse(pods->pdata[i]);
		yyjson_val *pod = yyjson_doc_get_root(doc);
		const char *created = json_str(pod, "metadata", "creationTimestamp", NULL);

		/* RFC 3339 in UTC sorts as text. */
		if (is_over(pod) || g_strcmp0(created, newest) < 0)
			continue;
		g_free(newest);
		newest = g_strdup(created);
		g_free(template);
		template = g_strdup(template_of(pod));
	}
	return template;
}

void pods_summarize(GPtrArray *pods, struct pods_summary *ret_summary)
{
	g_autofree char *newest = newest_template(pods);

	memset(ret_summary, 0, sizeof(*ret_summary));
	ret_summary->nodes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	for (guint i = 0; i < pods->len; i++) {
		g_autoptr(yyjson_doc) doc = kube_object_parse(pods->pdata[i]);
		yyjson_val *pod = yyjson_doc_get_root(doc);

		/* What an update is about to replace has no say in how the update goes. */
		if (!is_over(pod) && strcmp(template_of(pod), newest) == 0)
			summarize_pod(ret_summary, pod);
	}
}

void pods_summary_done(struct pods_summary *summary)
{
	g_clear_pointer(&summary->trouble, g_free);
	g_clear_pointer(&summary->trouble_message, g_free);
	g_clear_pointer(&summary->nodes, g_hash_table_unref);
}
