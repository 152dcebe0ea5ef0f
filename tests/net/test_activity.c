/* Whether a connection has a request under way, as the kernel tells it. Real sockets on loopback.
 */
#include "net/activity.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct pair {
	int listener, client, server;
	guint16 port;
};

static int setup(void **state)
{
	struct pair *pair = g_new0(struct pair, 1);
	struct sockaddr_in address = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);

	pair->listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(pair->listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(pair->listener, 8), 0);
	assert_int_equal(getsockname(pair->listener, (struct sockaddr *)&address, &len), 0);
	pair->port = ntohs(address.sin_port);
	pair->client = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(pair->client, (struct sockaddr *)&address, len), 0);
	pair->server = accept(pair->listener, NULL, NULL);
	assert_true(pair->server >= 0);
	*state = pair;
	return 0;
}

static int teardown(void **state)
{
	struct pair *pair = *state;

	close(pair->client);
	close(pair->server);
	close(pair->listener);
	g_free(pair);
	return 0;
}

static void move(int from, int to)
{
	char buffer[16];

	assert_int_equal(write(from, "some bytes", 10), 10);
	assert_int_equal(read(to, buffer, sizeof(buffer)), 10);
}

/* The kernel counts in ticks, and acknowledgements take a moment: so the state is waited for. */
static void assert_becomes(const struct pair *pair, guint quiet_ms, guint connections, guint busy)
{
	gint64 end_us = g_get_monotonic_time() + 5 * G_USEC_PER_SEC;
	g_autoptr(GError) error = NULL;
	struct activity activity;

	do {
		assert_true(activity_of_port(pair->port, quiet_ms, &activity, &error));
		if (activity.connections == connections && activity.busy == busy)
			return;
		g_usleep(5000);
	} while (g_get_monotonic_time() < end_us);
	fail_msg("%u connections, %u busy; wanted %u, %u", activity.connections, activity.busy,
	    connections, busy);
}

static void test_a_life(void **state)
{
	const struct pair *pair = *state;

	/* Connected, nothing asked. */
	assert_becomes(pair, 50, 1, 0);
	/* The first request waits for its answer, however long that takes. */
	move(pair->client, pair->server);
	assert_becomes(pair, 50, 1, 1);
	g_usleep(100000);
	assert_becomes(pair, 50, 1, 1);
	/* The answer streams, ... */
	move(pair->server, pair->client);
	assert_becomes(pair, 1000, 1, 1);
	/* ... and when it has been quiet for a while the connection is only kept alive. */
	assert_becomes(pair, 50, 1, 0);
	/* The next request on it. */
	move(pair->client, pair->server);
	assert_becomes(pair, 50, 1, 1);
}

static void test_other_ports_do_not_count(void **state)
{
	const struct pair *pair = *state;
	struct sockaddr_in address;
	socklen_t len = sizeof(address);
	struct pair other = *pair;

	move(pair->client, pair->server);
	assert_int_equal(getsockname(pair->client, (struct sockaddr *)&address, &len), 0);
	/* The client's own port is a local port too, but nobody asks it for anything. */
	other.port = 1;
	assert_becomes(&other, 50, 0, 0);
}

static void test_closed_connections_are_gone(void **state)
{
	struct pair *pair = *state;

	move(pair->client, pair->server);
	close(pair->client);
	close(pair->server);
	assert_becomes(pair, 50, 0, 0);
	pair->client = pair->server = -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_a_life, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_other_ports_do_not_count, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_closed_connections_are_gone, setup, teardown),
	};

	return cmocka_run_group_tests_name("activity", tests, NULL, NULL);
}
