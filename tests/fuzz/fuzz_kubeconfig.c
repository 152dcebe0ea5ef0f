/* Whatever is accepted as a kubeconfig leads to one server, by a header that is one line. */
#include "fuzz.h"
#include "kube/config.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* The directory does not exist, so that nothing is read but what has an absolute path. */
	static const struct kube_config_options options;
	g_autoptr(GError) error = NULL;
	AUTO(kube_config)
	config = kube_config_parse((const char *)data, size, "/nonexistent", &options, &error);
	g_autofree char *authorization = NULL;

	if (config == NULL) {
		g_assert_true(g_error_matches(error, KUBE_ERROR, KUBE_ERROR_CONFIG));
		return 0;
	}
	g_assert_no_error(error);
	g_assert_true(g_str_has_prefix(kube_config_server(config), "http"));
	g_assert_false(g_str_has_suffix(kube_config_server(config), "/"));
	g_assert_nonnull(kube_config_namespace(config));
	g_assert_true((kube_config_tls(config)->cert_pem == NULL) ==
		      (kube_config_tls(config)->key_pem == NULL));
	authorization = kube_config_authorization(config);
	g_assert_true(authorization == NULL || strpbrk(authorization, "\r\n") == NULL);
	return 0;
}
