/*
 * Where the API server is and who we are: kubeconfig files or the pod's service account.
 *
 * Ownership: a `struct kube_config *` is the caller's and immutable, except that
 * kube_config_authorization() reads a token file again when it is older than a minute (bound
 * service account tokens rotate).
 * Threads: any.
 * Source: Kubernetes "Organizing Cluster Access Using kubeconfig Files"; client-go clientcmd for
 * the merging of several files (first wins) and relative paths (relative to their file).
 */
#ifndef KUBE_CONFIG_H
#define KUBE_CONFIG_H

#include "base/auto.h"
#include "base/clock.h"
#include "kube/error.h"
#include "net/http_client.h"

struct kube_config;

struct kube_config_options {
	const char *kubeconfig;    /* a file; NULL: $KUBECONFIG (a list), then ~/.kube/config */
	const char *context;       /* NULL: current-context */
	const char *namespace;     /* overrides the context's */
	const char *server;        /* overrides the cluster's */
	const char *token;         /* overrides the user's credentials */
	gboolean in_cluster_first; /* inside a pod, and no kubeconfig named: the service account */
};

/*
 * Errors: CONFIG, each with a sentence that names the file, the context and what to do.
 * Credentials of exec plugins are refused with such a sentence until the CLI brings them.
 */
struct kube_config *kube_config_load(
    const struct kube_config_options *options, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The same from one kubeconfig text, for tests and fuzzers; relative paths against `directory`. */
struct kube_config *kube_config_parse(const char *text, gsize len, const char *directory,
    const struct kube_config_options *options, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/*
 * The pod's service account, without a proxy; `root` replaces
 * "/var/run/secrets/kubernetes.io/serviceaccount".
 */
struct kube_config *kube_config_in_cluster(
    const char *root, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void kube_config_free(struct kube_config *config);
DEFINE_AUTO(kube_config, kube_config_free)

const char *kube_config_server(const struct kube_config *config);    /* "https://10.0.0.1:6443" */
const char *kube_config_namespace(const struct kube_config *config); /* "default" if none */
const struct http_tls *kube_config_tls(const struct kube_config *config);
const char *kube_config_proxy(const struct kube_config *config); /* NULL: environment */

/* "Bearer ..." or "Basic ..." for now, the caller's; NULL: none is needed (client certificate). */
char *kube_config_authorization(struct kube_config *config);

#endif
