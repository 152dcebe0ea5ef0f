#include "kube/config_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define SERVICE_ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"

enum { TOKEN_FRESH_MS = 60 * 1000 };

struct kube_config *kube_config_alloc(void)
{
	struct kube_config *config = g_new0(struct kube_config, 1);

	config->tls = http_tls_new();
	config->clock = clock_system();
	g_mutex_init(&config->mutex);
	return config;
}

static void free_secret(char *secret)
{
	if (secret != NULL)
		explicit_bzero(secret, strlen(secret));
	g_free(secret);
}

void kube_config_free(struct kube_config *config)
{
	if (config == NULL)
		return;
	g_free(config->server);
	g_free(config->namespace);
	g_free(config->proxy);
	http_tls_free(config->tls);
	g_free(config->username);
	free_secret(config->password);
	g_free(config->token_file);
	free_secret(config->token);
	g_mutex_clear(&config->mutex);
	g_free(config);
}

char *kube_config_read_file(const char *path, gsize *ret_len, GError **error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	guint8 piece[8192];
	ssize_t got = 0;
	int failure;

	while (fd >= 0 && bytes->len <= KUBE_CONFIG_FILE_MAX) {
		got = read(fd, piece, sizeof(piece));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		g_byte_array_append(bytes, piece, (guint)got);
	}
	failure = fd < 0 || got < 0 ? errno : 0;
	if (fd >= 0)
		close(fd);
	if (failure != 0) {
		g_set_error(error, KUBE_ERROR, KUBE_ERROR_CONFIG, "cannot read %s: %s", path,
		    g_strerror(failure));
		return NULL;
	}
	if (bytes->len > KUBE_CONFIG_FILE_MAX) {
		g_set_error(error, KUBE_ERROR, KUBE_ERROR_CONFIG,
		    "%s is larger than 1 MiB: no kubeconfig, token or certificate", path);
		return NULL;
	}
	if (ret_len != NULL)
		*ret_len = bytes->len;
	g_byte_array_append(bytes, (const guint8 *)"", 1);
	return (char *)g_byte_array_free(g_steal_pointer(&bytes), FALSE);
}

gboolean kube_config_set_server(struct kube_config *config, const char *url, GError **error)
{
	g_autoptr(GUri) uri = g_uri_parse(url, G_URI_FLAGS_NONE, NULL);
	const char *scheme = uri == NULL ? NULL : g_uri_get_scheme(uri);
	char *server;
	gsize len;

	if (uri == NULL || g_uri_get_host(uri) == NULL || *g_uri_get_host(uri) == '\0' ||
	    g_uri_get_userinfo(uri) != NULL || g_uri_get_query(uri) != NULL ||
	    g_uri_get_fragment(uri) != NULL ||
	    (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0)) {
		g_set_error(error, KUBE_ERROR, KUBE_ERROR_CONFIG,
		    "the server's address is no https://HOST[:PORT][/PREFIX] URL");
		return FALSE;
	}
	server = g_strdup(url);
	for (len = strlen(server); len > 0 && server[len - 1] == '/'; len--)
		server[len - 1] = '\0';
	g_free(config->server);
	config->server = server;
	return TRUE;
}

/* Would it pass as one header field? A line feed in a token would begin another one. */
static gboolean is_header_text(const char *text)
{
	for (; *text != '\0'; text++) {
		if ((guchar)*text < 0x20 || *text == 0x7f)
			return FALSE;
	}
	return TRUE;
}

/* Takes `token` as the one in use; `from` is for the message and may be no secret. */
static gboolean set_token(
    struct kube_config *config, const char *token, const char *from, GError **error)
{
	g_autofree char *clean = g_strstrip(g_strdup(token));

	if (*clean == '\0' || !is_header_text(clean)) {
		g_set_error(error, KUBE_ERROR, KUBE_ERROR_CONFIG, "%s is %s", from,
		    *clean == '\0' ? "empty" : "no token: it contains control characters");
		return FALSE;
	}
	free_secret(config->token);
	config->token = g_steal_pointer(&clean);
	return TRUE;
}

gboolean kube_config_read_token(struct kube_config *config, GError **error)
{
	g_autofree char *token = kube_config_read_file(config->token_file, NULL, error);
	gboolean ok;

	/* An unreadable file is tried again in a minute, not by each request. */
	config->token_read_ms = clock_monotonic_ms(config->clock);
	if (token == NULL)
		return FALSE;
	ok = set_token(config, token, config->token_file, error);
	explicit_bzero(token, strlen(token));
	return ok;
}

void kube_config_forget_token(struct kube_config *config)
{
	g_mutex_lock(&config->mutex);
	config->token_read_ms = G_MININT64;
	g_mutex_unlock(&config->mutex);
}

void kube_config_set_clock(struct kube_config *config, const struct clock *clock)
{
	g_mutex_lock(&config->mutex);
	config->clock = clock;
	config->token_read_ms = clock_monotonic_ms(clock);
	g_mutex_unlock(&config->mutex);
}

static gboolean token_is_stale(const struct kube_config *config)
{
	return config->token_file != NULL &&
	       (config->token_read_ms == G_MININT64 ||
		   clock_monotonic_ms(config->clock) - config->token_read_ms >= TOKEN_FRESH_MS);
}

static char *basic_authorization(const struct kube_config *config)
{
	g_autofree char *pair = g_strconcat(
	    config->username, ":", config->password == NULL ? "" : config->password, NULL);
	g_autofree char *encoded = g_base64_encode((const guchar *)pair, strlen(pair));

	return g_strconcat("Basic ", encoded, NULL);
}

char *kube_config_authorization(struct kube_config *config)
{
	char *value = NULL;

	g_mutex_lock(&config->mutex);
	/* Not readable just now: the last one read may still be good, and the server will tell. */
	if (token_is_stale(config) && !kube_config_read_token(config, NULL))
		g_debug("kube: %s could not be read again", config->token_file);
	if (config->token != NULL)
		value = g_strconcat("Bearer ", config->token, NULL);
	else if (config->username != NULL)
		value = basic_authorization(config);
	g_mutex_unlock(&config->mutex);
	return value;
}

const char *kube_config_server(const struct kube_config *config)
{
	return config->server;
}

const char *kube_config_namespace(const struct kube_config *config)
{
	return config->namespace == NULL ? "default" : config->namespace;
}

const struct http_tls *kube_config_tls(const struct kube_config *config)
{
	return config->tls;
}

const char *kube_config_proxy(const struct kube_config *config)
{
	return config->proxy;
}

static gboolean in_cluster_server(struct kube_config *config, GError **error)
{
	const char *host = g_getenv("KUBERNETES_SERVICE_HOST");
	const char *port = g_getenv("KUBERNETES_SERVICE_PORT");
	g_autofree char *url = NULL;

	if (host == NULL || *host == '\0' || port == NULL || *port == '\0') {
		g_set_error(error, KUBE_ERROR, KUBE_ERROR_CONFIG,
		    "not inside a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not "
		    "set; pass --kubeconfig FILE");
		return FALSE;
	}
	url = g_strdup_printf(
	    strchr(host, ':') != NULL ? "https://[%s]:%s" : "https://%s:%s", host, port);
	return kube_config_set_server(config, url, error);
}

struct kube_config *kube_config_in_cluster(const char *root, GError **error)
{
	const char *directory = root == NULL ? SERVICE_ACCOUNT : root;
	AUTO(kube_config) config = kube_config_alloc();
	g_autofree char *ca_path = g_build_filename(directory, "ca.crt", NULL);
	g_autofree char *namespace_path = g_build_filename(directory, "namespace", NULL);
	char *ca;
	gsize ca_len;

	if (!in_cluster_server(config, error))
		return NULL;
	config->token_file = g_build_filename(directory, "token", NULL);
	if (!kube_config_read_token(config, error)) {
		g_prefix_error(error, "the pod's service account: ");
		return NULL;
	}
	ca = kube_config_read_file(ca_path, &ca_len, error);
	if (ca == NULL) {
		g_prefix_error(error, "the pod's service account: ");
		return NULL;
	}
	config->tls->ca_pem = g_bytes_new_take(ca, ca_len);
	/* The cluster's own network: a proxy of the environment is for the world outside. */
	config->proxy = g_strdup("");
	config->namespace = kube_config_read_file(namespace_path, NULL, NULL);
	if (config->namespace != NULL && *g_strstrip(config->namespace) == '\0')
		g_clear_pointer(&config->namespace, g_free);
	return g_steal_pointer(&config);
}

gboolean kube_config_override(
    struct kube_config *config, const struct kube_config_options *options, GError **error)
{
	if (options->server != NULL && !kube_config_set_server(config, options->server, error)) {
		g_prefix_error(error, "--server: ");
		return FALSE;
	}
	if (options->namespace != NULL) {
		g_free(config->namespace);
		config->namespace = g_strdup(options->namespace);
	}
	if (options->token != NULL) {
		g_clear_pointer(&config->token_file, g_free);
		g_clear_pointer(&config->tls->cert_pem, g_bytes_unref);
		g_clear_pointer(&config->tls->key_pem, g_bytes_unref);
		return set_token(config, options->token, "--token", error);
	}
	return TRUE;
}

/* Reads and parses one file and appends it. */
static gboolean add_file(GPtrArray *files, const char *path, GError **error)
{
	gsize len;
	g_autofree char *text = kube_config_read_file(path, &len, error);
	g_autofree char *directory = g_path_get_dirname(path);
	struct kubeconfig_file *file;

	if (text == NULL)
		return FALSE;
	file = kubeconfig_file_parse(text, len, path, directory, error);
	if (file == NULL)
		return FALSE;
	g_ptr_array_add(files, file);
	return TRUE;
}

/* The files of $KUBECONFIG that exist: those that do not are skipped, as by kubectl. */
static gboolean add_environment(GPtrArray *files, const char *list, GError **error)
{
	g_auto(GStrv) paths = g_strsplit(list, G_SEARCHPATH_SEPARATOR_S, -1);

	for (char **path = paths; *path != NULL; path++) {
		if (**path == '\0' || !g_file_test(*path, G_FILE_TEST_EXISTS))
			continue;
		if (!add_file(files, *path, error))
			return FALSE;
	}
	return TRUE;
}

static gboolean add_files(
    GPtrArray *files, const struct kube_config_options *options, GError **error)
{
	const char *list = g_getenv("KUBECONFIG");
	g_autofree char *home = g_build_filename(g_get_home_dir(), ".kube", "config", NULL);

	if (options->kubeconfig != NULL)
		return add_file(files, options->kubeconfig, error);
	if (list != NULL && *list != '\0') {
		if (!add_environment(files, list, error))
			return FALSE;
		if (files->len > 0 || options->server != NULL)
			return TRUE;
		g_set_error(error, KUBE_ERROR, KUBE_ERROR_CONFIG,
		    "no kubeconfig: $KUBECONFIG names \"%s\", which does not exist; pass "
		    "--kubeconfig FILE",
		    list);
		return FALSE;
	}
	if (g_file_test(home, G_FILE_TEST_EXISTS))
		return add_file(files, home, error);
	if (options->server != NULL)
		return TRUE;
	g_set_error_literal(error, KUBE_ERROR, KUBE_ERROR_CONFIG,
	    "no kubeconfig: neither --kubeconfig, $KUBECONFIG nor ~/.kube/config; pass "
	    "--kubeconfig FILE");
	return FALSE;
}

static gboolean wants_in_cluster(const struct kube_config_options *options)
{
	const char *list = g_getenv("KUBECONFIG");

	return options->in_cluster_first && options->kubeconfig == NULL &&
	       (list == NULL || *list == '\0') && g_getenv("KUBERNETES_SERVICE_HOST") != NULL &&
	       g_file_test(SERVICE_ACCOUNT "/token", G_FILE_TEST_EXISTS);
}

struct kube_config *kube_config_load(const struct kube_config_options *options, GError **error)
{
	g_autoptr(GPtrArray) files =
	    g_ptr_array_new_with_free_func((GDestroyNotify)kubeconfig_file_free);
	AUTO(kube_config) config = NULL;

	if (wants_in_cluster(options)) {
		config = kube_config_in_cluster(NULL, error);
		if (config == NULL || !kube_config_override(config, options, error))
			return NULL;
		return g_steal_pointer(&config);
	}
	if (!add_files(files, options, error))
		return NULL;
	return kubeconfig_build(files, options, error);
}

struct kube_config *kube_config_parse(const char *text, gsize len, const char *directory,
    const struct kube_config_options *options, GError **error)
{
	g_autoptr(GPtrArray) files =
	    g_ptr_array_new_with_free_func((GDestroyNotify)kubeconfig_file_free);
	struct kubeconfig_file *file;

	file = kubeconfig_file_parse(text, len, "the kubeconfig", directory, error);
	if (file == NULL)
		return NULL;
	g_ptr_array_add(files, file);
	return kubeconfig_build(files, options, error);
}
