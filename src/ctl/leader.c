#include "ctl/leader.h"

#include "ctl/leader_priv.h"

struct lease_store {
	struct kube_client *client;
	char *namespace;
	char *name;
};

struct leader {
	struct elector elector; /* the thread's */
	const struct clock *clock;
	struct log *log;
	void (*started_leading)(void *data);
	void (*stopped_leading)(void *data);
	void *data;
	struct lease_store *store; /* NULL when the store is another's */
	GThread *thread;
	GMutex lock; /* of what follows */
	GCond wake;
	gboolean stopping;
	gboolean leading;
	gint64 may_write_until_ms;
};

/* ---- The Lease of an API server ---- */

static yyjson_doc *lease_get(void *data, GError **error)
{
	struct lease_store *store = data;

	return kube_get(store->client, &KUBE_LEASES, store->namespace, store->name, error);
}

static yyjson_doc *lease_create(void *data, const char *body, gsize len, GError **error)
{
	struct lease_store *store = data;

	return kube_create(store->client, &KUBE_LEASES, store->namespace, body, len, error);
}

static yyjson_doc *lease_update(void *data, const char *body, gsize len, GError **error)
{
	struct lease_store *store = data;

	return kube_update(
	    store->client, &KUBE_LEASES, store->namespace, store->name, NULL, body, len, error);
}

/* ---- The thread ---- */

/* One line per problem, not per attempt. That another was faster is none. */
static void log_problem(struct leader *leader, char **last, const GError *error)
{
	gboolean raced =
	    kube_error_is(error, KUBE_ERROR_CONFLICT) || kube_error_is(error, KUBE_ERROR_EXISTS);
	const char *message = error != NULL && !raced ? error->message : NULL;

	if (g_strcmp0(message, *last) == 0)
		return;
	if (message != NULL)
		log_warn(leader->log, "leader election failed, trying again", "lease",
		    leader->elector.name, "error", message, NULL);
	g_free(*last);
	*last = g_strdup(message);
}

static void publish(struct leader *leader)
{
	g_mutex_lock(&leader->lock);
	leader->leading = leader->elector.leading;
	leader->may_write_until_ms = elector_may_write_until_ms(&leader->elector);
	g_mutex_unlock(&leader->lock);
}

static void tell(struct leader *leader, enum elector_event event)
{
	if (event == ELECTOR_STARTED) {
		log_info(leader->log, "leading", "lease", leader->elector.name, "identity",
		    leader->elector.identity, NULL);
		if (leader->started_leading != NULL)
			leader->started_leading(leader->data);
	} else if (event == ELECTOR_LOST) {
		log_error(leader->log, "leadership lost", "lease", leader->elector.name, "identity",
		    leader->elector.identity, NULL);
		if (leader->stopped_leading != NULL)
			leader->stopped_leading(leader->data);
	}
}

/* FALSE: it is time to stop. */
static gboolean wait_for(struct leader *leader, gint64 wait_ms)
{
	gint64 until_us = g_get_monotonic_time() + wait_ms * G_TIME_SPAN_MILLISECOND;
	gboolean stopping;

	g_mutex_lock(&leader->lock);
	while (!leader->stopping && g_cond_wait_until(&leader->wake, &leader->lock, until_us))
		;
	stopping = leader->stopping;
	g_mutex_unlock(&leader->lock);
	return !stopping;
}

static void release(struct leader *leader)
{
	g_autoptr(GError) error = NULL;

	/* First we stop being the leader, then others hear of it. */
	g_mutex_lock(&leader->lock);
	leader->leading = FALSE;
	g_mutex_unlock(&leader->lock);
	if (!elector_release(&leader->elector, &error))
		log_warn(leader->log, "could not give up the Lease", "lease", leader->elector.name,
		    "error", error->message, NULL);
}

static gpointer run(gpointer data)
{
	struct leader *leader = data;
	g_autofree char *last_problem = NULL;
	enum elector_event event;
	gint64 wait_ms = 0;

	do {
		g_autoptr(GError) error = NULL;

		event = elector_step(&leader->elector, &wait_ms, &error);
		publish(leader);
		log_problem(leader, &last_problem, error);
		tell(leader, event);
	} while (event != ELECTOR_LOST && wait_for(leader, wait_ms));
	release(leader);
	return NULL;
}

/* ---- The interface ---- */

struct leader *leader_start_on(const struct lease_ops *ops, void *store, const struct clock *clock,
    struct log *log, const struct leader_options *options)
{
	struct leader *leader = g_new0(struct leader, 1);

	elector_init(&leader->elector, ops, store, clock, options);
	leader->clock = clock;
	leader->log = log;
	leader->started_leading = options->started_leading;
	leader->stopped_leading = options->stopped_leading;
	leader->data = options->data;
	g_mutex_init(&leader->lock);
	g_cond_init(&leader->wake);
	leader->thread = g_thread_new("leader", run, leader);
	return leader;
}

struct leader *leader_start(struct kube_client *client, const struct clock *clock, struct log *log,
    const struct leader_options *options)
{
	static const struct lease_ops ops = {lease_get, lease_create, lease_update};
	struct lease_store *store = g_new0(struct lease_store, 1);
	struct leader *leader;

	store->client = client;
	store->namespace = g_strdup(options->namespace);
	store->name = g_strdup(options->name);
	leader = leader_start_on(&ops, store, clock, log, options);
	leader->store = store; /* only leader_stop() looks at it */
	return leader;
}

gboolean leader_is_leading(struct leader *leader)
{
	gboolean leading;

	g_mutex_lock(&leader->lock);
	leading = leader->leading;
	g_mutex_unlock(&leader->lock);
	return leading;
}

gboolean leader_may_write(struct leader *leader)
{
	gboolean may;

	g_mutex_lock(&leader->lock);
	may = leader->leading && clock_monotonic_ms(leader->clock) < leader->may_write_until_ms;
	g_mutex_unlock(&leader->lock);
	return may;
}

void leader_stop(struct leader *leader)
{
	if (leader == NULL)
		return;
	g_mutex_lock(&leader->lock);
	leader->stopping = TRUE;
	g_cond_signal(&leader->wake);
	g_mutex_unlock(&leader->lock);
	g_thread_join(leader->thread);
	elector_done(&leader->elector);
	if (leader->store != NULL) {
		g_free(leader->store->namespace);
		g_free(leader->store->name);
		g_free(leader->store);
	}
	g_cond_clear(&leader->wake);
	g_mutex_clear(&leader->lock);
	g_free(leader);
}
