#include "ctl/leader_priv.h"

#include "base/timefmt.h"

static gint64 positive_or(gint64 value, gint64 fallback)
{
	return value > 0 ? value : fallback;
}

void elector_init(struct elector *elector, const struct lease_ops *ops, void *store,
    const struct clock *clock, const struct leader_options *options)
{
	*elector = (struct elector){
	    .ops = ops,
	    .store = store,
	    .clock = clock,
	    .namespace = g_strdup(options->namespace),
	    .name = g_strdup(options->name),
	    .identity = g_strdup(options->identity),
	    .own_prefix = g_strdup(options->own_prefix),
	    .lease_duration_ms = positive_or(options->lease_duration_ms, 15000),
	    .renew_deadline_ms = positive_or(options->renew_deadline_ms, 10000),
	    .retry_period_ms = positive_or(options->retry_period_ms, 2000),
	    .random = g_rand_new(),
	};
	/* Otherwise another could lead before this one stops. */
	g_assert(elector->renew_deadline_ms < elector->lease_duration_ms);
}

void elector_done(struct elector *elector)
{
	yyjson_doc_free(elector->lease);
	g_free(elector->spec);
	g_free(elector->namespace);
	g_free(elector->name);
	g_free(elector->identity);
	g_free(elector->own_prefix);
	g_rand_free(elector->random);
}

static yyjson_val *lease_spec(const struct elector *elector)
{
	return json_at(yyjson_doc_get_root(elector->lease), "spec", NULL);
}

/* "" when nobody holds it. */
static const char *lease_holder(const struct elector *elector)
{
	const char *holder = json_str(lease_spec(elector), "holderIdentity", NULL);

	return holder != NULL ? holder : "";
}

static gboolean lease_is_ours(const struct elector *elector)
{
	return g_str_equal(lease_holder(elector), elector->identity);
}

/* Takes the Lease's new state; the clock of its age starts anew only when it looks different. */
static void observe(struct elector *elector, yyjson_doc *take_lease)
{
	g_autofree char *spec = NULL;

	yyjson_doc_free(elector->lease);
	elector->lease = take_lease;
	if (lease_spec(elector) != NULL)
		spec = json_print(lease_spec(elector), NULL);
	if (elector->spec == NULL || g_strcmp0(spec, elector->spec) != 0)
		elector->observed_ms = clock_monotonic_ms(elector->clock);
	g_free(elector->spec);
	elector->spec = g_steal_pointer(&spec);
}

/* An earlier process of ours held it: it is dead, or we would not be. */
static gboolean lease_is_our_predecessors(const struct elector *elector)
{
	return elector->own_prefix != NULL &&
	       g_str_has_prefix(lease_holder(elector), elector->own_prefix);
}

/* Another's, and seen to change within the time that it claims. */
static gboolean held_by_another(const struct elector *elector)
{
	gint64 seconds = json_int(
	    lease_spec(elector), elector->lease_duration_ms / 1000, "leaseDurationSeconds", NULL);

	if (lease_holder(elector)[0] == '\0' || lease_is_ours(elector) ||
	    lease_is_our_predecessors(elector))
		return FALSE;
	seconds = CLAMP(seconds, 0, 24 * 60 * 60);
	return clock_monotonic_ms(elector->clock) < elector->observed_ms + seconds * 1000;
}

/* ---- What is written ---- */

/* The Lease as last seen, so that fields which we don't know stay, or a new one. */
static yyjson_mut_doc *lease_copy(const struct elector *elector)
{
	yyjson_mut_doc *doc;
	yyjson_mut_val *root, *metadata;

	if (elector->lease != NULL)
		return yyjson_doc_mut_copy(elector->lease, json_alc());
	doc = yyjson_mut_doc_new(json_alc());
	root = yyjson_mut_obj(doc);
	yyjson_mut_doc_set_root(doc, root);
	json_mut_set_str(doc, root, "apiVersion", "coordination.k8s.io/v1");
	json_mut_set_str(doc, root, "kind", "Lease");
	metadata = json_mut_object(doc, root, "metadata");
	json_mut_set_str(doc, metadata, "name", elector->name);
	json_mut_set_str(doc, metadata, "namespace", elector->namespace);
	return doc;
}

/* The body that makes `holder` the holder for so many seconds from now. */
static char *lease_body(
    const struct elector *elector, const char *holder, gint64 seconds, gsize *ret_len)
{
	g_autoptr(yyjson_mut_doc) doc = lease_copy(elector);
	yyjson_mut_val *root = yyjson_mut_doc_get_root(doc);
	yyjson_mut_val *spec = json_mut_object(doc, root, "spec");
	g_autofree char *now = time_rfc3339_us(clock_wall_us(elector->clock));
	gint64 transitions = json_int(lease_spec(elector), 0, "leaseTransitions", NULL);

	if (elector->lease != NULL && holder[0] != '\0' && !lease_is_ours(elector))
		transitions++;
	if (!g_str_equal(lease_holder(elector), holder))
		json_mut_set_str(doc, spec, "acquireTime", now);
	json_mut_set_str(doc, spec, "renewTime", now);
	json_mut_set_str(doc, spec, "holderIdentity", holder);
	json_mut_set_int(doc, spec, "leaseDurationSeconds", seconds);
	json_mut_set_int(doc, spec, "leaseTransitions", transitions);
	return json_mut_print(root, ret_len);
}

/* Makes or updates the Lease, provided that it still is as we saw it last. */
static gboolean write_lease(
    struct elector *elector, const char *holder, gint64 seconds, GError **error)
{
	gsize len;
	g_autofree char *body = lease_body(elector, holder, seconds, &len);
	yyjson_doc *lease = elector->lease != NULL
				? elector->ops->update(elector->store, body, len, error)
				: elector->ops->create(elector->store, body, len, error);

	if (lease == NULL)
		return FALSE;
	observe(elector, lease);
	return TRUE;
}

static gboolean write_ours(struct elector *elector, GError **error)
{
	gint64 start_ms = clock_monotonic_ms(elector->clock);
	gint64 seconds = MAX(elector->lease_duration_ms / 1000, 1);

	if (!write_lease(elector, elector->identity, seconds, error))
		return FALSE;
	elector->renewed_ms = start_ms;
	return TRUE;
}

/* ---- Steps ---- */

static gboolean read_lease(struct elector *elector, GError **error)
{
	GError *problem = NULL;
	yyjson_doc *lease = elector->ops->get(elector->store, &problem);

	if (lease == NULL && !kube_error_is(problem, KUBE_ERROR_NOT_FOUND)) {
		g_propagate_error(error, problem);
		return FALSE;
	}
	g_clear_error(&problem);
	observe(elector, lease);
	return TRUE;
}

static gboolean acquire_or_renew(struct elector *elector, GError **error)
{
	/* The leader knows the Lease: one request is enough while nobody else touches it. */
	if (elector->leading && elector->lease != NULL && write_ours(elector, NULL))
		return TRUE;
	if (!read_lease(elector, error) || held_by_another(elector))
		return FALSE;
	return write_ours(elector, error);
}

static enum elector_event step_standby(struct elector *elector, gint64 *ret_wait_ms, GError **error)
{
	/*
	 * Why less than client-go's 1.2: a Lease that was given up is to be taken within 3 s, and
	 * there are two or three candidates, not hundreds.
	 */
	double jitter = 1 + 0.2 * g_rand_double(elector->random);

	if (acquire_or_renew(elector, error)) {
		elector->leading = TRUE;
		*ret_wait_ms = elector->retry_period_ms;
		return ELECTOR_STARTED;
	}
	*ret_wait_ms = (gint64)((double)elector->retry_period_ms * jitter);
	return ELECTOR_NOTHING;
}

static enum elector_event step_leading(struct elector *elector, gint64 *ret_wait_ms, GError **error)
{
	gint64 left_ms;

	*ret_wait_ms = elector->retry_period_ms;
	if (acquire_or_renew(elector, error))
		return ELECTOR_NOTHING;
	left_ms = elector_may_write_until_ms(elector) - clock_monotonic_ms(elector->clock);
	/* Another's name in it needs no waiting for the deadline. */
	if (left_ms <= 0 || held_by_another(elector)) {
		elector->leading = FALSE;
		return ELECTOR_LOST;
	}
	*ret_wait_ms = MIN(elector->retry_period_ms, left_ms);
	return ELECTOR_NOTHING;
}

enum elector_event elector_step(struct elector *elector, gint64 *ret_wait_ms, GError **error)
{
	return elector->leading ? step_leading(elector, ret_wait_ms, error)
				: step_standby(elector, ret_wait_ms, error);
}

gint64 elector_may_write_until_ms(const struct elector *elector)
{
	return elector->renewed_ms + elector->renew_deadline_ms;
}

gboolean elector_release(struct elector *elector, GError **error)
{
	if (!elector->leading)
		return TRUE;
	elector->leading = FALSE;
	if (elector->lease != NULL && write_lease(elector, "", 1, NULL))
		return TRUE;
	/* Someone changed it meanwhile, a label perhaps. */
	if (!read_lease(elector, error))
		return FALSE;
	return elector->lease == NULL || !lease_is_ours(elector) ||
	       write_lease(elector, "", 1, error);
}
