#include "support.h"

#include "base/timefmt.h"
#include "ctl/leader_priv.h"

#include <string.h>

/* One Lease, with resourceVersions as an API server checks them. */
struct lease_server {
	GMutex lock;
	GCond changed;
	yyjson_doc *lease; /* NULL: not there */
	int version;
	gboolean down;
	gboolean lose_answers;   /* writes happen, but say that they failed */
	struct fake_clock *slow; /* writes take 3 s of this clock; NULL: none */
	guint reads, writes;
};

static gboolean refuse(GError **error, enum kube_error code)
{
	g_set_error(error, KUBE_ERROR, (gint)code, "no lease for you: %d", (int)code);
	return FALSE;
}

static yyjson_doc *copy_doc(yyjson_doc *doc)
{
	g_autofree char *text = json_print(yyjson_doc_get_root(doc), NULL);

	return json_parse(text, strlen(text), NULL);
}

/* Stores the body with the next resourceVersion. */
static yyjson_doc *store(struct lease_server *server, const char *body, gsize len, GError **error)
{
	g_autoptr(yyjson_doc) doc = json_parse(body, len, NULL);
	g_autoptr(yyjson_mut_doc) mutable = yyjson_doc_mut_copy(doc, NULL);
	g_autofree char *version = g_strdup_printf("%d", ++server->version);
	g_autofree char *text = NULL;

	json_mut_set_str(mutable,
	    json_mut_object(mutable, yyjson_mut_doc_get_root(mutable), "metadata"),
	    "resourceVersion", version);
	text = json_mut_print(yyjson_mut_doc_get_root(mutable), NULL);
	yyjson_doc_free(server->lease);
	server->lease = json_parse(text, strlen(text), NULL);
	server->writes++;
	g_cond_broadcast(&server->changed);
	if (server->slow != NULL)
		fake_clock_advance(server->slow, 3000);
	if (server->lose_answers) {
		refuse(error, KUBE_ERROR_RETRY);
		return NULL;
	}
	return copy_doc(server->lease);
}

static yyjson_doc *server_get(void *data, GError **error)
{
	struct lease_server *server = data;
	yyjson_doc *doc = NULL;

	g_mutex_lock(&server->lock);
	server->reads++;
	if (server->down)
		refuse(error, KUBE_ERROR_RETRY);
	else if (server->lease == NULL)
		refuse(error, KUBE_ERROR_NOT_FOUND);
	else
		doc = copy_doc(server->lease);
	g_mutex_unlock(&server->lock);
	return doc;
}

static yyjson_doc *server_create(void *data, const char *body, gsize len, GError **error)
{
	struct lease_server *server = data;
	yyjson_doc *doc = NULL;

	g_mutex_lock(&server->lock);
	if (server->down)
		refuse(error, KUBE_ERROR_RETRY);
	else if (server->lease != NULL)
		refuse(error, KUBE_ERROR_EXISTS);
	else
		doc = store(server, body, len, error);
	g_mutex_unlock(&server->lock);
	return doc;
}

static yyjson_doc *server_update(void *data, const char *body, gsize len, GError **error)
{
	struct lease_server *server = data;
	g_autoptr(yyjson_doc) sent = json_parse(body, len, NULL);
	yyjson_doc *doc = NULL;

	assert_non_null(sent);
	g_mutex_lock(&server->lock);
	if (server->down)
		refuse(error, KUBE_ERROR_RETRY);
	else if (server->lease == NULL)
		refuse(error, KUBE_ERROR_NOT_FOUND);
	else if (g_strcmp0(json_str(yyjson_doc_get_root(sent), "metadata", "resourceVersion", NULL),
		     json_str(yyjson_doc_get_root(server->lease), "metadata", "resourceVersion",
			 NULL)) != 0)
		refuse(error, KUBE_ERROR_CONFLICT);
	else
		doc = store(server, body, len, error);
	g_mutex_unlock(&server->lock);
	return doc;
}

static const struct lease_ops OPS = {server_get, server_create, server_update};

static const char *spec_str(struct lease_server *server, const char *field)
{
	return json_str(yyjson_doc_get_root(server->lease), "spec", field, NULL);
}

static gint64 spec_int(struct lease_server *server, const char *field)
{
	return json_int(yyjson_doc_get_root(server->lease), -1, "spec", field, NULL);
}

/* ---- Two electors, one Lease, one clock ---- */

struct fixture {
	struct fake_clock fake;
	struct lease_server server;
	struct elector a, b;
};

static void elector_make(struct fixture *fixture, struct elector *elector, const char *identity)
{
	struct leader_options options = {
	    .namespace = "system", .name = "manager", .identity = identity};

	elector_init(elector, &OPS, &fixture->server, &fixture->fake.clock, &options);
}

static int setup(void **state)
{
	struct fixture *fixture = g_new0(struct fixture, 1);

	fake_clock_init(&fixture->fake, 1700000000000000);
	fake_clock_advance(&fixture->fake, 1000000);
	g_mutex_init(&fixture->server.lock);
	g_cond_init(&fixture->server.changed);
	elector_make(fixture, &fixture->a, "a");
	elector_make(fixture, &fixture->b, "b");
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	elector_done(&fixture->a);
	elector_done(&fixture->b);
	yyjson_doc_free(fixture->server.lease);
	g_cond_clear(&fixture->server.changed);
	g_mutex_clear(&fixture->server.lock);
	g_free(fixture);
	return 0;
}

static gboolean may_write(struct fixture *fixture, const struct elector *elector)
{
	return elector->leading &&
	       clock_monotonic_ms(&fixture->fake.clock) < elector_may_write_until_ms(elector);
}

static void assert_step(struct elector *elector, enum elector_event want)
{
	g_autoptr(GError) error = NULL;
	gint64 wait_ms = 0;

	assert_int_equal(elector_step(elector, &wait_ms, &error), want);
	assert_in_range(wait_ms, 1, 4400);
}

static void test_first_makes_the_lease(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *now = time_rfc3339_us(clock_wall_us(&fixture->fake.clock));
	yyjson_val *root;

	assert_step(&fixture->a, ELECTOR_STARTED);
	assert_true(may_write(fixture, &fixture->a));
	root = yyjson_doc_get_root(fixture->server.lease);
	assert_string_equal(json_str(root, "kind", NULL), "Lease");
	assert_string_equal(json_str(root, "apiVersion", NULL), "coordination.k8s.io/v1");
	assert_string_equal(json_str(root, "metadata", "name", NULL), "manager");
	assert_string_equal(json_str(root, "metadata", "namespace", NULL), "system");
	assert_string_equal(spec_str(&fixture->server, "holderIdentity"), "a");
	assert_string_equal(spec_str(&fixture->server, "acquireTime"), now);
	assert_string_equal(spec_str(&fixture->server, "renewTime"), now);
	assert_int_equal(spec_int(&fixture->server, "leaseDurationSeconds"), 15);
	assert_int_equal(spec_int(&fixture->server, "leaseTransitions"), 0);
}

static void test_renews_with_one_request(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *acquired = NULL;
	guint reads;

	assert_step(&fixture->a, ELECTOR_STARTED);
	acquired = g_strdup(spec_str(&fixture->server, "acquireTime"));
	reads = fixture->server.reads;
	for (int i = 0; i < 20; i++) {
		g_autofree char *now = NULL;

		fake_clock_advance(&fixture->fake, 2000);
		now = time_rfc3339_us(clock_wall_us(&fixture->fake.clock));
		assert_step(&fixture->a, ELECTOR_NOTHING);
		assert_string_equal(spec_str(&fixture->server, "renewTime"), now);
		assert_true(may_write(fixture, &fixture->a));
	}
	assert_int_equal(fixture->server.reads, reads);
	assert_string_equal(spec_str(&fixture->server, "acquireTime"), acquired);
	assert_int_equal(spec_int(&fixture->server, "leaseTransitions"), 0);
}

static void test_one_leads(void **state)
{
	struct fixture *fixture = *state;

	assert_step(&fixture->a, ELECTOR_STARTED);
	for (int i = 0; i < 60; i++) {
		assert_step(&fixture->b, ELECTOR_NOTHING);
		assert_step(&fixture->a, ELECTOR_NOTHING);
		assert_false(fixture->b.leading);
		fake_clock_advance(&fixture->fake, 2000);
	}
}

/*
 * The leader is paused. The other takes over when the Lease has looked the same for 15 s, and at no
 * time may both write.
 */
static void test_paused_leader(void **state)
{
	struct fixture *fixture = *state;
	gint64 paused_ms = 0;
	gint64 stopped_ms = 0;

	assert_step(&fixture->a, ELECTOR_STARTED);
	assert_step(&fixture->b, ELECTOR_NOTHING);
	while (!fixture->b.leading) {
		gint64 wait_ms;

		assert_true(paused_ms < 60000);
		fake_clock_advance(&fixture->fake, 100);
		paused_ms += 100;
		if (stopped_ms == 0 && !may_write(fixture, &fixture->a))
			stopped_ms = paused_ms;
		elector_step(&fixture->b, &wait_ms, NULL);
		assert_false(may_write(fixture, &fixture->a) && may_write(fixture, &fixture->b));
	}
	assert_int_equal(stopped_ms, 10000);
	assert_int_equal(paused_ms, 15000);
	assert_string_equal(spec_str(&fixture->server, "holderIdentity"), "b");
	assert_int_equal(spec_int(&fixture->server, "leaseTransitions"), 1);
	assert_step(&fixture->a, ELECTOR_LOST); /* it wakes up */
	assert_false(fixture->a.leading);
	assert_string_equal(spec_str(&fixture->server, "holderIdentity"), "b");
}

/* A clock of another that is years off changes nothing. */
static void test_other_clocks_do_not_matter(void **state)
{
	struct fixture *fixture = *state;

	fixture->fake.wall_value_us -= (gint64)10 * 365 * 86400 * 1000000;
	assert_step(&fixture->a, ELECTOR_STARTED);
	fixture->fake.wall_value_us += (gint64)20 * 365 * 86400 * 1000000;
	assert_step(&fixture->b, ELECTOR_NOTHING);
	fake_clock_advance(&fixture->fake, 14999);
	assert_step(&fixture->b, ELECTOR_NOTHING);
	fake_clock_advance(&fixture->fake, 1);
	assert_step(&fixture->b, ELECTOR_STARTED);
}

/* What was renewed in the last moment isn't taken. */
static void test_late_renewal_counts(void **state)
{
	struct fixture *fixture = *state;

	assert_step(&fixture->a, ELECTOR_STARTED);
	assert_step(&fixture->b, ELECTOR_NOTHING);
	fake_clock_advance(&fixture->fake, 14999);
	assert_step(&fixture->a, ELECTOR_NOTHING);
	fake_clock_advance(&fixture->fake, 1);
	assert_step(&fixture->b, ELECTOR_NOTHING);
	fake_clock_advance(&fixture->fake, 14999);
	assert_step(&fixture->b, ELECTOR_NOTHING);
	fake_clock_advance(&fixture->fake, 1);
	assert_step(&fixture->b, ELECTOR_STARTED);
}

/* A container that starts anew in its pod need not wait for the one before it, which is dead. */
static void test_predecessor_is_not_waited_for(void **state)
{
	struct fixture *fixture = *state;
	struct leader_options options = {.namespace = "system",
	    .name = "manager",
	    .identity = "pod-1_new",
	    .own_prefix = "pod-1_"};
	struct elector old, again;

	elector_make(fixture, &old, "pod-1_old");
	elector_init(&again, &OPS, &fixture->server, &fixture->fake.clock, &options);
	assert_step(&old, ELECTOR_STARTED);
	/* For everybody else the Lease holds. */
	assert_step(&fixture->b, ELECTOR_NOTHING);
	assert_step(&again, ELECTOR_STARTED);
	assert_string_equal(spec_str(&fixture->server, "holderIdentity"), "pod-1_new");
	assert_int_equal(spec_int(&fixture->server, "leaseTransitions"), 1);
	elector_done(&again);
	elector_done(&old);
}

static void test_release_hands_over_at_once(void **state)
{
	struct fixture *fixture = *state;

	assert_step(&fixture->a, ELECTOR_STARTED);
	assert_step(&fixture->b, ELECTOR_NOTHING);
	fake_clock_advance(&fixture->fake, 2000);
	assert_true(elector_release(&fixture->a, NULL));
	assert_false(fixture->a.leading);
	assert_string_equal(spec_str(&fixture->server, "holderIdentity"), "");
	assert_int_equal(spec_int(&fixture->server, "leaseDurationSeconds"), 1);
	assert_int_equal(spec_int(&fixture->server, "leaseTransitions"), 0);
	assert_step(&fixture->b, ELECTOR_STARTED);
	assert_int_equal(spec_int(&fixture->server, "leaseTransitions"), 1);
	assert_int_equal(spec_int(&fixture->server, "leaseDurationSeconds"), 15);
	/* A second release of the one who has lost it takes nothing away. */
	assert_true(elector_release(&fixture->a, NULL));
	assert_string_equal(spec_str(&fixture->server, "holderIdentity"), "b");
}

static void test_release_after_a_change(void **state)
{
	struct fixture *fixture = *state;
	g_autoptr(yyjson_doc) touched = NULL;
	g_autofree char *body = NULL;

	assert_step(&fixture->a, ELECTOR_STARTED);
	body = json_print(yyjson_doc_get_root(fixture->server.lease), NULL);
	touched = server_update(&fixture->server, body, strlen(body), NULL);
	assert_non_null(touched);
	assert_true(elector_release(&fixture->a, NULL));
	assert_string_equal(spec_str(&fixture->server, "holderIdentity"), "");
}

static void test_deadline(void **state)
{
	struct fixture *fixture = *state;

	assert_step(&fixture->a, ELECTOR_STARTED);
	fixture->server.down = TRUE;
	for (int i = 0; i < 4; i++) {
		fake_clock_advance(&fixture->fake, 2000);
		assert_step(&fixture->a, ELECTOR_NOTHING);
		assert_true(may_write(fixture, &fixture->a));
	}
	fake_clock_advance(&fixture->fake, 2000);
	assert_false(may_write(fixture, &fixture->a));
	assert_step(&fixture->a, ELECTOR_LOST);
}

static void test_short_trouble_is_survived(void **state)
{
	struct fixture *fixture = *state;

	assert_step(&fixture->a, ELECTOR_STARTED);
	fixture->server.down = TRUE;
	fake_clock_advance(&fixture->fake, 8000);
	assert_step(&fixture->a, ELECTOR_NOTHING);
	fixture->server.down = FALSE;
	fake_clock_advance(&fixture->fake, 1999);
	assert_step(&fixture->a, ELECTOR_NOTHING);
	fake_clock_advance(&fixture->fake, 9999);
	assert_true(may_write(fixture, &fixture->a));
}

/* The time to write runs from the start of the renewal, not from its answer. */
static void test_slow_renewal(void **state)
{
	struct fixture *fixture = *state;

	fixture->server.slow = &fixture->fake;
	assert_step(&fixture->a, ELECTOR_STARTED);
	fake_clock_advance(&fixture->fake, 6999);
	assert_true(may_write(fixture, &fixture->a));
	fake_clock_advance(&fixture->fake, 1);
	assert_false(may_write(fixture, &fixture->a));
	assert_step(&fixture->a, ELECTOR_NOTHING);
	fake_clock_advance(&fixture->fake, 7000);
	assert_false(may_write(fixture, &fixture->a));
}

/* The renewal was stored, the answer lost: the next step finds that the Lease is still its own. */
static void test_lost_answers(void **state)
{
	struct fixture *fixture = *state;

	assert_step(&fixture->a, ELECTOR_STARTED);
	fixture->server.lose_answers = TRUE;
	fake_clock_advance(&fixture->fake, 2000);
	assert_step(&fixture->a, ELECTOR_NOTHING);
	fixture->server.lose_answers = FALSE;
	fake_clock_advance(&fixture->fake, 2000);
	assert_step(&fixture->a, ELECTOR_NOTHING);
	fake_clock_advance(&fixture->fake, 9999);
	assert_true(may_write(fixture, &fixture->a));
}

static void test_deleted_lease(void **state)
{
	struct fixture *fixture = *state;

	assert_step(&fixture->a, ELECTOR_STARTED);
	g_clear_pointer(&fixture->server.lease, yyjson_doc_free);
	fake_clock_advance(&fixture->fake, 2000);
	assert_step(&fixture->a, ELECTOR_NOTHING); /* makes it again */
	assert_string_equal(spec_str(&fixture->server, "holderIdentity"), "a");
	g_clear_pointer(&fixture->server.lease, yyjson_doc_free);
	assert_step(&fixture->b, ELECTOR_STARTED); /* the other was faster */
	assert_step(&fixture->a, ELECTOR_LOST);
}

static void test_unknown_fields_stay(void **state)
{
	static const char body[] = "{\"metadata\":{\"name\":\"manager\",\"labels\":{\"x\":\"y\"}},"
				   "\"spec\":{\"strategy\":\"OldestEmulationVersion\"}}";
	struct fixture *fixture = *state;
	g_autoptr(yyjson_doc) made = server_create(&fixture->server, body, strlen(body), NULL);

	assert_non_null(made);
	assert_step(&fixture->a, ELECTOR_STARTED);
	assert_string_equal(spec_str(&fixture->server, "holderIdentity"), "a");
	assert_string_equal(spec_str(&fixture->server, "strategy"), "OldestEmulationVersion");
	assert_string_equal(
	    json_str(yyjson_doc_get_root(fixture->server.lease), "metadata", "labels", "x", NULL),
	    "y");
}

/* Both see it free; who writes second sees the conflict and stays behind. */
static void test_race(void **state)
{
	struct fixture *fixture = *state;

	for (int i = 0; i < 50; i++) {
		struct elector *first = i % 2 == 0 ? &fixture->a : &fixture->b;
		struct elector *second = i % 2 == 0 ? &fixture->b : &fixture->a;

		assert_step(first, ELECTOR_STARTED);
		assert_step(second, ELECTOR_NOTHING);
		assert_true(elector_release(first, NULL));
		fake_clock_advance(&fixture->fake, 500);
	}
	assert_int_equal(spec_int(&fixture->server, "leaseTransitions"), 49);
}

static void test_server_down_at_start(void **state)
{
	struct fixture *fixture = *state;
	g_autoptr(GError) error = NULL;
	gint64 wait_ms;

	fixture->server.down = TRUE;
	assert_int_equal(elector_step(&fixture->a, &wait_ms, &error), ELECTOR_NOTHING);
	assert_non_null(error);
	assert_in_range(wait_ms, 2000, 4400);
	fixture->server.down = FALSE;
	assert_step(&fixture->a, ELECTOR_STARTED);
}

/* ---- The thread ---- */

struct listener {
	GMutex lock;
	GCond changed;
	guint started, stopped;
};

static void on_started(void *data)
{
	struct listener *listener = data;

	g_mutex_lock(&listener->lock);
	listener->started++;
	g_cond_broadcast(&listener->changed);
	g_mutex_unlock(&listener->lock);
}

static void on_stopped(void *data)
{
	struct listener *listener = data;

	g_mutex_lock(&listener->lock);
	listener->stopped++;
	g_cond_broadcast(&listener->changed);
	g_mutex_unlock(&listener->lock);
}

static void wait_for(struct listener *listener, const guint *counter)
{
	g_mutex_lock(&listener->lock);
	while (*counter == 0)
		g_cond_wait(&listener->changed, &listener->lock);
	g_mutex_unlock(&listener->lock);
}

static struct leader *start(
    struct lease_server *server, struct listener *listener, const char *identity, gint64 retry_ms)
{
	struct leader_options options = {.namespace = "system",
	    .name = "manager",
	    .identity = identity,
	    .lease_duration_ms = 3000,
	    .renew_deadline_ms = 100,
	    .retry_period_ms = retry_ms,
	    .started_leading = on_started,
	    .stopped_leading = on_stopped,
	    .data = listener};

	return leader_start_on(&OPS, server, clock_system(), NULL, &options);
}

/* The first stops, which is immediate whatever the retry period; then the second leads. */
static void test_threads(void **state)
{
	struct fixture *fixture = *state;
	struct listener one = {0}, two = {0};
	struct leader *first = start(&fixture->server, &one, "one", 20);
	struct leader *second;

	wait_for(&one, &one.started);
	assert_true(leader_is_leading(first));
	second = start(&fixture->server, &two, "two", 20);
	assert_false(leader_is_leading(second));
	assert_false(leader_may_write(second));
	leader_stop(first);
	wait_for(&two, &two.started);
	assert_true(leader_is_leading(second));
	leader_stop(second);
	assert_string_equal(spec_str(&fixture->server, "holderIdentity"), "");
	assert_int_equal(one.stopped + two.stopped, 0); /* they were asked to */
}

static void test_stop_is_immediate(void **state)
{
	struct fixture *fixture = *state;
	struct listener listener = {0};
	struct leader *leader = start(&fixture->server, &listener, "one", 3600000);

	wait_for(&listener, &listener.started);
	wait_until_asleep("leader");
	leader_stop(leader); /* the test's time-out is shorter than an hour */
}

static void test_thread_loses(void **state)
{
	struct fixture *fixture = *state;
	struct listener listener = {0};
	struct leader *leader = start(&fixture->server, &listener, "one", 10);

	wait_for(&listener, &listener.started);
	g_mutex_lock(&fixture->server.lock);
	fixture->server.down = TRUE;
	g_mutex_unlock(&fixture->server.lock);
	wait_for(&listener, &listener.stopped);
	assert_false(leader_is_leading(leader));
	assert_false(leader_may_write(leader));
	leader_stop(leader);
	assert_int_equal(listener.started, 1);
	assert_int_equal(listener.stopped, 1);
	/* It isn't its own to give up any more. */
	assert_string_equal(spec_str(&fixture->server, "holderIdentity"), "one");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_first_makes_the_lease),
	    TEST(test_renews_with_one_request),
	    TEST(test_one_leads),
	    TEST(test_paused_leader),
	    TEST(test_other_clocks_do_not_matter),
	    TEST(test_late_renewal_counts),
	    TEST(test_predecessor_is_not_waited_for),
	    TEST(test_release_hands_over_at_once),
	    TEST(test_release_after_a_change),
	    TEST(test_deadline),
	    TEST(test_short_trouble_is_survived),
	    TEST(test_slow_renewal),
	    TEST(test_lost_answers),
	    TEST(test_deleted_lease),
	    TEST(test_unknown_fields_stay),
	    TEST(test_race),
	    TEST(test_server_down_at_start),
	    TEST(test_threads),
	    TEST(test_stop_is_immediate),
	    TEST(test_thread_loses),
	};

	return cmocka_run_group_tests_name("leader", tests, NULL, NULL);
}
