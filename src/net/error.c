#include "net/error.h"

G_DEFINE_QUARK(net - error - quark, net_error)

gboolean net_error_is_temporary(const GError *error)
{
	return g_error_matches(error, NET_ERROR, NET_ERROR_UNREACHABLE) ||
	       g_error_matches(error, NET_ERROR, NET_ERROR_TIMEOUT) ||
	       g_error_matches(error, NET_ERROR, NET_ERROR_PROTOCOL);
}
