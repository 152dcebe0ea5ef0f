#include "net/http_server_priv.h"

#include <netinet/in.h>
#include <time.h>

#define BACKLOG 511

gint64 server_now_ms(const struct http_server *server)
{
	return (gint64)uv_now(loop_uv(server->loop));
}

/* RFC 9110, 5.6.7; made once a second. */
const char *server_date(struct http_server *server)
{
	gint64 now_s = g_get_real_time() / G_USEC_PER_SEC;

	if (now_s != server->date_s) {
		static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
		static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
		    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
		time_t seconds = (time_t)now_s;
		struct tm tm;

		gmtime_r(&seconds, &tm);
		g_snprintf(server->date, sizeof(server->date),
		    "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday,
		    months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
		server->date_s = now_s;
	}
	return server->date;
}

static struct http_server_options with_defaults(const struct http_server_options *given)
{
	struct http_server_options options = {0};

	if (given != NULL)
		options = *given;
	if (options.max_connections == 0)
		options.max_connections = 1024;
	if (options.max_head_bytes == 0)
		options.max_head_bytes = 32 * 1024;
	if (options.max_body_bytes == 0)
		options.max_body_bytes = 1024 * 1024;
	if (options.head_timeout_ms <= 0)
		options.head_timeout_ms = 10 * 1000;
	if (options.idle_timeout_ms <= 0)
		options.idle_timeout_ms = 75 * 1000;
	if (options.write_timeout_ms <= 0)
		options.write_timeout_ms = 60 * 1000;
	if (options.write_high_bytes == 0)
		options.write_high_bytes = 256 * 1024;
	return options;
}

static void on_connection(uv_stream_t *listener, int status)
{
	/* Out of descriptors: libuv frees one for a moment and drops the client. */
	if (status == 0)
		conn_accept(listener->data, listener);
}

static void on_wake(void *data)
{
	struct http_server *server = data;
	/* Only those that wait now: what they wake has its turn after the loop looked at I/O. */
	guint count = server->waking.length;

	while (count-- > 0 && server->waking.head != NULL) {
		struct http_conn *conn = server->waking.head->data;

		g_queue_unlink(&server->waking, &conn->wake_link);
		conn->waking = FALSE;
		conn_advance(conn);
	}
	if (server->waking.head != NULL)
		loop_timer_start(server->wake, 0);
}

static void on_listener_closed(uv_handle_t *handle)
{
	g_free(handle);
}

static void close_listener(struct http_server *server)
{
	uv_tcp_t *listener = g_steal_pointer(&server->listener);

	if (listener != NULL)
		uv_close((uv_handle_t *)listener, on_listener_closed);
}

static gboolean parse_address(
    const char *host, guint16 port, struct sockaddr_storage *address, GError **error)
{
	if (uv_ip4_addr(host, port, (struct sockaddr_in *)address) == 0 ||
	    uv_ip6_addr(host, port, (struct sockaddr_in6 *)address) == 0)
		return TRUE;
	g_set_error(error, NET_ERROR, NET_ERROR_INVALID, "not a numeric address: %s", host);
	return FALSE;
}

static gboolean listen_on(
    struct http_server *server, const char *host, guint16 port, GError **error)
{
	struct sockaddr_storage address;
	int code;

	if (!parse_address(host, port, &address, error))
		return FALSE;
	server->listener = g_new0(uv_tcp_t, 1);
	uv_tcp_init(loop_uv(server->loop), server->listener);
	server->listener->data = server;
	code = uv_tcp_bind(server->listener, (const struct sockaddr *)&address, 0);
	if (code == 0)
		code = uv_listen((uv_stream_t *)server->listener, BACKLOG, on_connection);
	if (code == 0)
		return TRUE;
	g_set_error(error, NET_ERROR, NET_ERROR_SYSTEM, "listen on %s, port %u: %s", host, port,
	    uv_strerror(code));
	return FALSE;
}

struct http_server *http_server_new(struct loop *loop, const char *host, guint16 port,
    const struct http_server_options *options, const struct http_server_ops *ops, void *data,
    GError **error)
{
	struct http_server *server = g_new0(struct http_server, 1);

	server->loop = loop;
	server->options = with_defaults(options);
	server->ops = ops;
	server->data = data;
	server->wake = loop_timer_new(loop, on_wake, server);
	server->read_buffer = g_malloc(HTTP_READ_BYTES);
	if (!listen_on(server, host, port, error)) {
		http_server_free(server);
		return NULL;
	}
	return server;
}

guint16 http_server_port(const struct http_server *server)
{
	struct sockaddr_storage address = {0};
	int len = sizeof(address);

	if (server->listener == NULL ||
	    uv_tcp_getsockname(server->listener, (struct sockaddr *)&address, &len) != 0)
		return 0;
	return address.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&address)->sin6_port)
					     : ntohs(((struct sockaddr_in *)&address)->sin_port);
}

void http_server_shutdown(struct http_server *server)
{
	server->stopping = TRUE;
	close_listener(server);
	for (GList *at = server->conns.head; at != NULL; at = at->next)
		conn_wake(at->data);
}

void http_server_free(struct http_server *server)
{
	if (server == NULL)
		return;
	close_listener(server);
	while (server->conns.head != NULL)
		conn_close(server->conns.head->data);
	loop_timer_free(server->wake);
	g_free(server->read_buffer);
	g_free(server);
}
