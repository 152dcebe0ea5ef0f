#include "net/activity.h"

#include <errno.h>
#include <linux/in.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Kernel's names of TCP's states; linux/tcp.h leaves them to netinet/tcp.h, which it clashes with.
 */
enum { STATE_ESTABLISHED = 1, STATE_CLOSE_WAIT = 8 };

enum { ANSWER_BYTES = 32 * 1024 };

struct question {
	struct nlmsghdr head;
	struct inet_diag_req_v2 body;
};

static gboolean ask(int fd, unsigned char family, guint16 port)
{
	struct question question = {
	    .head = {.nlmsg_len = sizeof(question),
		.nlmsg_type = SOCK_DIAG_BY_FAMILY,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
	    .body = {.sdiag_family = family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_ext = 1 << (INET_DIAG_INFO - 1),
		.idiag_states = 1u << STATE_ESTABLISHED | 1u << STATE_CLOSE_WAIT,
		.id = {.idiag_sport = g_htons(port)}},
	};

	return send(fd, &question, sizeof(question), 0) == (ssize_t)sizeof(question);
}

/* An ACK of the handshake may count as one byte. */
static gboolean is_busy(const struct tcp_info *info, guint quiet_ms)
{
	if (info->tcpi_bytes_received == 0)
		return FALSE;
	if (info->tcpi_bytes_acked <= 1)
		return TRUE;
	return info->tcpi_last_data_recv < info->tcpi_last_data_sent ||
	       info->tcpi_last_data_sent < quiet_ms;
}

static void take_socket(
    const struct nlmsghdr *message, guint16 port, guint quiet_ms, struct activity *activity)
{
	const struct inet_diag_msg *socket = NLMSG_DATA(message);
	const struct rtattr *attribute = (const struct rtattr *)(socket + 1);
	int left = (int)(message->nlmsg_len - NLMSG_LENGTH(sizeof(*socket)));
	struct tcp_info info = {0};

	if (g_ntohs(socket->id.idiag_sport) != port)
		return;
	for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
		if (attribute->rta_type == INET_DIAG_INFO)
			memcpy(
			    &info, RTA_DATA(attribute), MIN(sizeof(info), RTA_PAYLOAD(attribute)));
	}
	activity->connections++;
	activity->busy += is_busy(&info, quiet_ms);
}

/* Reads until the kernel says that it was all. FALSE with errno. */
static gboolean read_answers(int fd, guint16 port, guint quiet_ms, struct activity *activity)
{
	/* Aligned for the messages that lie in it. */
	guint32 buffer[ANSWER_BYTES / sizeof(guint32)];

	for (;;) {
		ssize_t got = recv(fd, buffer, sizeof(buffer), 0);
		const struct nlmsghdr *message = (const struct nlmsghdr *)buffer;
		unsigned int left = (unsigned int)got;

		if (got <= 0)
			return FALSE;
		for (; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
			if (message->nlmsg_type == NLMSG_DONE)
				return TRUE;
			if (message->nlmsg_type == NLMSG_ERROR) {
				errno = EIO;
				return FALSE;
			}
			take_socket(message, port, quiet_ms, activity);
		}
	}
}

gboolean activity_of_port(
    guint16 port, guint quiet_ms, struct activity *ret_activity, GError **error)
{
	static const unsigned char families[] = {AF_INET, AF_INET6};
	struct activity activity = {0};
	gboolean ok = TRUE;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	for (gsize i = 0; i < G_N_ELEMENTS(families) && fd >= 0 && ok; i++)
		ok = ask(fd, families[i], port) && read_answers(fd, port, quiet_ms, &activity);
	if (fd < 0 || !ok) {
		g_set_error(error, NET_ERROR, NET_ERROR_SYSTEM,
		    "asking the kernel for connections: %s", g_strerror(errno));
		if (fd >= 0)
			close(fd);
		return FALSE;
	}
	close(fd);
	*ret_activity = activity;
	return TRUE;
}
