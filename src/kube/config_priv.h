/* What the two halves of `kube/config.h` share: config.c (the object) and kubeconfig.c (files). */
#ifndef KUBE_CONFIG_PRIV_H
#define KUBE_CONFIG_PRIV_H

#include "kube/config.h"
#include "json/json.h"

enum { KUBE_CONFIG_FILE_MAX = 1024 * 1024 }; /* of a kubeconfig and of each file it names */

/* Immutable but for what `mutex` guards. */
struct kube_config {
	char *server;
	char *namespace;
	char *proxy;
	struct http_tls *tls;
	char *username; /* basic authentication, when there is no token */
	char *password;
	char *token_file; /* read again when older than a minute; goes before `token` */
	const struct clock *clock;
	GMutex mutex;
	char *token;
	gint64 token_read_ms;
};

struct kube_config *kube_config_alloc(void);

/* "https://host:port/prefix" without a slash at its end. CONFIG: no such URL. */
gboolean kube_config_set_server(
    struct kube_config *config, const char *url, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Reads `token_file`; an unreadable or empty file is an error and leaves the token as it was. */
gboolean kube_config_read_token(
    struct kube_config *config, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Server, namespace and token of the options over what was found. */
gboolean kube_config_override(struct kube_config *config, const struct kube_config_options *options,
    GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The file's text, NUL-terminated, at most KUBE_CONFIG_FILE_MAX; CONFIG names the path. */
char *kube_config_read_file(
    const char *path, gsize *ret_len, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The server refused the token: kube_config_authorization() reads the file again at once. */
void kube_config_forget_token(struct kube_config *config);

/* For tests. */
void kube_config_set_clock(struct kube_config *config, const struct clock *clock);

/* kubeconfig.c: one file's text with its name for messages and the directory of its paths. */
struct kubeconfig_file {
	yyjson_doc *doc;
	char *name;
	char *directory;
};
void kubeconfig_file_free(struct kubeconfig_file *file);
DEFINE_AUTO(kubeconfig_file, kubeconfig_file_free)

struct kubeconfig_file *kubeconfig_file_parse(const char *text, gsize len, const char *name,
    const char *directory, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Merges `files` (of struct kubeconfig_file *, first wins) and takes the context of `options`. */
struct kube_config *kubeconfig_build(GPtrArray *files, const struct kube_config_options *options,
    GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
