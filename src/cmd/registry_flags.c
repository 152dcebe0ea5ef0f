#include "cmd/registry_flags.h"

#include "cmd/cmd.h"

#include <string.h>

void registry_flags_env(struct registry_flags *flags)
{
	cmd_env_default(&flags->insecure, "OLLAMA_INSECURE_REGISTRIES");
	cmd_env_default(&flags->mirrors, "OLLAMA_REGISTRY_MIRRORS");
	cmd_env_default(&flags->ca_file, "OLLAMA_CA_FILE");
}

void registry_flags_done(struct registry_flags *flags)
{
	g_free(flags->insecure);
	g_free(flags->mirrors);
	g_free(flags->ca_file);
}

/* The system's roots and those of `path`, since a CA list is used in the system's place. */
static GBytes *load_roots(const char *path, GError **error)
{
	static const char *const SYSTEM[] = {"/etc/ssl/certs/ca-certificates.crt",
	    "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"};
	const char *given = g_getenv("SSL_CERT_FILE");
	g_autofree char *ours = NULL, *systems = NULL;
	gsize len;

	if (!g_file_get_contents(path, &ours, &len, error))
		return NULL;
	if (given != NULL)
		(void)g_file_get_contents(given, &systems, NULL, NULL);
	for (guint i = 0; i < G_N_ELEMENTS(SYSTEM) && given == NULL && systems == NULL; i++)
		(void)g_file_get_contents(SYSTEM[i], &systems, NULL, NULL);
	char *all = g_strconcat(ours, "\n", systems != NULL ? systems : "", NULL);
	return g_bytes_new_take(all, strlen(all));
}

gboolean registry_flags_options(
    const struct registry_flags *flags, struct registry_options *options, GError **error)
{
	*options = (struct registry_options){0};
	options->user_agent = "ollama-operator/" OPERATOR_VERSION;
	options->insecure = registry_parse_hosts(flags->insecure, error);
	if (options->insecure == NULL) {
		g_prefix_error(error, "--insecure-registries: ");
		return FALSE;
	}
	options->mirrors = registry_parse_mirrors(flags->mirrors, error);
	if (options->mirrors == NULL) {
		g_prefix_error(error, "--registry-mirrors: ");
		return FALSE;
	}
	if (flags->ca_file == NULL)
		return TRUE;
	options->tls = http_tls_new();
	options->tls->ca_pem = load_roots(flags->ca_file, error);
	if (options->tls->ca_pem == NULL)
		g_prefix_error(error, "--ca-file: ");
	return options->tls->ca_pem != NULL;
}

void registry_options_clear(struct registry_options *options)
{
	g_clear_pointer(&options->mirrors, g_hash_table_unref);
	g_clear_pointer(&options->insecure, g_hash_table_unref);
	g_clear_pointer(&options->tls, http_tls_free);
}
