/* kubeconfig files: choosing, merging, credentials, and a clear sentence for what is wrong. */
#include "kube/config_priv.h"

#include <glib/gstdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define TWO_CONTEXTS                                                                   \
	"apiVersion: v1\nkind: Config\ncurrent-context: one\n"                         \
	"contexts:\n"                                                                  \
	"- {name: one, context: {cluster: c1, user: u1, namespace: ns1}}\n"            \
	"- {name: two, context: {cluster: c2, user: u2}}\n"                            \
	"clusters:\n"                                                                  \
	"- {name: c1, cluster: {server: 'https://one:6443/'}}\n"                       \
	"- name: c2\n"                                                                 \
	"  cluster: {server: 'https://two/k8s/c-1', insecure-skip-tls-verify: true,\n" \
	"    tls-server-name: inner, proxy-url: 'http://proxy:3128'}\n"                \
	"users:\n"                                                                     \
	"- {name: u1, user: {token: secret1}}\n"                                       \
	"- {name: u2, user: {username: admin, password: 'pass:word'}}\n"

/* One cluster and one user, which a test fills in. */
#define ONE(cluster, user)                                        \
	"current-context: x\n"                                    \
	"contexts: [{name: x, context: {cluster: c, user: u}}]\n" \
	"clusters: [{name: c, cluster: {" cluster "}}]\n"         \
	"users: [{name: u, user: {" user "}}]\n"
#define SERVER "server: 'https://s'"

static struct kube_config *parse(
    const char *text, const struct kube_config_options *options, GError **error)
{
	static const struct kube_config_options none;

	return kube_config_parse(
	    text, strlen(text), "/nonexistent", options == NULL ? &none : options, error);
}

static void takes_the_current_context(void **state)
{
	g_autoptr(GError) error = NULL;
	AUTO(kube_config) config = parse(TWO_CONTEXTS, NULL, &error);
	g_autofree char *authorization = NULL;

	(void)state;
	assert_null(error);
	assert_string_equal(kube_config_server(config), "https://one:6443");
	assert_string_equal(kube_config_namespace(config), "ns1");
	assert_null(kube_config_proxy(config));
	assert_false(kube_config_tls(config)->insecure);
	authorization = kube_config_authorization(config);
	assert_string_equal(authorization, "Bearer secret1");
}

static void takes_another_context(void **state)
{
	struct kube_config_options options = {.context = "two"};
	AUTO(kube_config) config = parse(TWO_CONTEXTS, &options, NULL);
	g_autofree char *authorization = kube_config_authorization(config);

	(void)state;
	assert_string_equal(kube_config_server(config), "https://two/k8s/c-1");
	assert_string_equal(kube_config_namespace(config), "default");
	assert_string_equal(kube_config_proxy(config), "http://proxy:3128");
	assert_true(kube_config_tls(config)->insecure);
	assert_string_equal(kube_config_tls(config)->server_name, "inner");
	/* base64 of "admin:pass:word" */
	assert_string_equal(authorization, "Basic YWRtaW46cGFzczp3b3Jk");
}

static void options_override(void **state)
{
	struct kube_config_options options = {
	    .namespace = "mine", .server = "http://localhost:8001/", .token = "other"};
	AUTO(kube_config) config = parse(TWO_CONTEXTS, &options, NULL);
	AUTO(kube_config) bare = parse("", &options, NULL);
	g_autofree char *authorization = kube_config_authorization(config);

	(void)state;
	assert_string_equal(kube_config_server(config), "http://localhost:8001");
	assert_string_equal(kube_config_namespace(config), "mine");
	assert_string_equal(authorization, "Bearer other");
	/* With a server no kubeconfig is needed. */
	assert_non_null(bare);
	assert_string_equal(kube_config_server(bare), "http://localhost:8001");
}

static void decodes_data(void **state)
{
	/* "CA", "CERT" (folded over two lines), "KEY" */
	AUTO(kube_config)
	config = parse(ONE(SERVER ", certificate-authority-data: Q0E=",
			   "client-certificate-data: \"Q0V\n  SVA==\", client-key-data: S0VZ"),
	    NULL, NULL);
	const struct http_tls *tls = kube_config_tls(config);
	g_autofree char *authorization = kube_config_authorization(config);

	(void)state;
	assert_memory_equal(g_bytes_get_data(tls->ca_pem, NULL), "CA", 2);
	assert_int_equal(g_bytes_get_size(tls->cert_pem), 4);
	assert_memory_equal(g_bytes_get_data(tls->cert_pem, NULL), "CERT", 4);
	assert_memory_equal(g_bytes_get_data(tls->key_pem, NULL), "KEY", 3);
	assert_null(authorization);
}

static void says_what_is_wrong(void **state)
{
	static const struct {
		const char *text, *context, *part;
	} cases[] = {
	    {"{", NULL, "the kubeconfig is no kubeconfig: "},
	    {"- a\n- b\n", NULL, "is no kubeconfig: its top is no map"},
	    {"", NULL, "no current-context in the kubeconfig; pass --context; there are: none"},
	    {TWO_CONTEXTS, "x", "context \"x\" not in the kubeconfig; there are: one, two"},
	    {"contexts: 5", "x", "there are: none"},
	    {ONE("", ""), NULL, "server of cluster \"c\" in the kubeconfig is missing"},
	    {ONE("server: 'ftp://x'", ""), NULL,
		"server of cluster \"c\" in the kubeconfig: the "
		"server's address is no https://"},
	    {ONE("server: 'no url'", ""), NULL, "is no https://"},
	    {ONE("server: 'https://user:pass@x'", ""), NULL, "is no https://"},
	    {ONE("server: 'https://x?a=b'", ""), NULL, "is no https://"},
	    {ONE(SERVER ", certificate-authority-data: 'Q0E'", ""), NULL,
		"certificate-authority-data of cluster \"c\" in the kubeconfig is no base64"},
	    {ONE(SERVER ", certificate-authority-data: 'Q0E*'", ""), NULL, "is no base64"},
	    {ONE(SERVER ", certificate-authority-data: 'Q==A'", ""), NULL, "is no base64"},
	    {ONE(SERVER ", certificate-authority-data: '===='", ""), NULL, "is no base64"},
	    {ONE(SERVER ", certificate-authority: ca.pem", ""), NULL,
		"certificate-authority of cluster \"c\" in the kubeconfig: cannot read "
		"/nonexistent/ca.pem: "},
	    {ONE(SERVER ", certificate-authority: /dev/zero", ""), NULL,
		"names something that is no file"},
	    {ONE(SERVER, "tokenFile: /dev/zero"), NULL, "names something that is no file"},
	    {ONE(SERVER, "tokenFile: t"), NULL,
		"tokenFile of user \"u\" in the kubeconfig: cannot read /nonexistent/t: "},
	    {ONE(SERVER ", insecure-skip-tls-verify: true, certificate-authority-data: Q0E=", ""),
		NULL, "contradicts its certificate-authority"},
	    {ONE(SERVER, "client-certificate-data: Q0E="), NULL,
		"client-key of user \"u\" in the kubeconfig is missing"},
	    {ONE(SERVER, "client-key-data: Q0E="), NULL, "client-certificate of user \"u\""},
	    {ONE(SERVER, "exec: {command: aws}"), NULL,
		"exec of user \"u\" in the kubeconfig is a credential plugin"},
	    {ONE(SERVER, "auth-provider: {name: gcp}"), NULL, "auth-provider of user \"u\""},
	    {ONE(SERVER, "token: t, as: root"), NULL, "(impersonation) is not supported"},
	    {ONE(SERVER, "token: \"a\\nb: c\""), NULL,
		"token of user \"u\" in the kubeconfig "
		"contains control characters"},
	    {"current-context: x\ncontexts: [{name: x, context: {cluster: c}}]", NULL,
		"context \"x\" in the kubeconfig names cluster \"c\", which is not there"},
	    {"current-context: x\ncontexts: [{name: x, context: {}}]", NULL,
		"context \"x\" in the kubeconfig names no cluster"},
	    {"current-context: x\ncontexts: [{name: x}]", NULL, "names no cluster"},
	};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct kube_config_options options = {.context = cases[i].context};
		g_autoptr(GError) error = NULL;
		struct kube_config *config = parse(cases[i].text, &options, &error);

		assert_null(config);
		assert_true(kube_error_is(error, KUBE_ERROR_CONFIG));
		if (strstr(error->message, cases[i].part) == NULL)
			fail_msg("\"%s\" lacks \"%s\"", error->message, cases[i].part);
		assert_null(strchr(error->message, '\n'));
	}
}

static void keeps_secrets_out_of_errors(void **state)
{
	static const char *const texts[] = {
	    ONE(SERVER, "token: \"SECRET\\nx\""),
	    ONE(SERVER, "client-key-data: 'SECRET*'"),
	    ONE("server: 'https://a:SECRET@x'", ""),
	    ONE(SERVER, "token: SECRET, client-key-data: U0VDUkVU"),
	    ONE(SERVER, "token: SECRET, exec: {command: SECRET}"),
	    "users:\n- {name: u, user: {token: SECRET}\n  - SECRET: }",
	};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autoptr(GError) error = NULL;

		assert_null(parse(texts[i], NULL, &error));
		assert_null(strstr(error->message, "SECRET"));
	}
}

/* ---- Files ---- */

struct files {
	char *dir;
	GPtrArray *made;
};

static char *put(struct files *files, const char *name, const char *text)
{
	char *path = g_build_filename(files->dir, name, NULL);
	g_autofree char *parent = g_path_get_dirname(path);

	assert_int_equal(g_mkdir_with_parents(parent, 0700), 0);
	assert_true(g_file_set_contents(path, text, -1, NULL));
	g_ptr_array_add(files->made, path);
	return path;
}

static int set_up(void **state)
{
	struct files *files = g_new0(struct files, 1);

	files->dir = g_dir_make_tmp("kube-config-XXXXXX", NULL);
	files->made = g_ptr_array_new_with_free_func(g_free);
	g_unsetenv("KUBECONFIG");
	g_unsetenv("KUBERNETES_SERVICE_HOST");
	g_unsetenv("KUBERNETES_SERVICE_PORT");
	*state = files;
	return files->dir == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
	struct files *files = *state;

	for (guint i = 0; i < files->made->len; i++) {
		g_autofree char *parent = g_path_get_dirname(g_ptr_array_index(files->made, i));

		g_unlink(g_ptr_array_index(files->made, i));
		g_rmdir(parent);
	}
	g_rmdir(files->dir);
	g_ptr_array_unref(files->made);
	g_free(files->dir);
	g_free(files);
	return 0;
}

static void merges_files(void **state)
{
	struct files *files = *state;
	struct kube_config_options options = {NULL};
	const char *first = put(files, "a/config",
	    "contexts: [{name: x, context: {cluster: c, user: u}}]\n"
	    "clusters: [{name: c, cluster: {server: 'https://first', "
	    "certificate-authority: ca.pem}}]\n");
	const char *second = put(files, "b/config",
	    "current-context: x\n"
	    "contexts: [{name: x, context: {cluster: other}}, {name: z, context: {cluster: d}}]\n"
	    "clusters: [{name: c, cluster: {server: 'https://second'}},\n"
	    "  {name: d, cluster: {server: 'https://d'}}]\n"
	    "users: [{name: u, user: {tokenFile: sub.token}}]\n");
	const char *third = put(files, "empty", "");
	g_autofree char *list =
	    g_strjoin(":", first, "/nonexistent/config", "", second, third, NULL);
	g_autoptr(GError) error = NULL;
	g_autofree char *authorization = NULL;
	AUTO(kube_config) config = NULL;
	AUTO(kube_config) other = NULL;

	/* Paths are relative to the file that names them, not to the other one. */
	put(files, "a/ca.pem", "FIRST CA");
	put(files, "b/sub.token", "from-file\n");
	g_setenv("KUBECONFIG", list, TRUE);
	config = kube_config_load(&options, &error);
	assert_null(error);
	assert_string_equal(kube_config_server(config), "https://first");
	assert_memory_equal(g_bytes_get_data(kube_config_tls(config)->ca_pem, NULL), "FIRST CA", 8);
	authorization = kube_config_authorization(config);
	assert_string_equal(authorization, "Bearer from-file");

	options.context = "z";
	other = kube_config_load(&options, NULL);
	assert_string_equal(kube_config_server(other), "https://d");
}

static void the_option_goes_before_the_environment(void **state)
{
	struct files *files = *state;
	struct kube_config_options options = {.kubeconfig = put(files, "one", TWO_CONTEXTS)};
	AUTO(kube_config) config = NULL;

	g_setenv("KUBECONFIG", put(files, "two", ONE("server: 'https://wrong'", "")), TRUE);
	config = kube_config_load(&options, NULL);
	assert_string_equal(kube_config_server(config), "https://one:6443");
}

static void names_missing_files(void **state)
{
	struct files *files = *state;
	struct kube_config_options options = {NULL};
	g_autoptr(GError) none = NULL;
	g_autoptr(GError) environment = NULL;
	g_autoptr(GError) named = NULL;
	g_autoptr(GError) huge = NULL;
	g_autofree char *large = g_strnfill(KUBE_CONFIG_FILE_MAX + 1, '#');

	/* GLib reads $HOME once per process, so main() has set it to a directory without .kube. */
	assert_null(kube_config_load(&options, &none));
	assert_true(kube_error_is(none, KUBE_ERROR_CONFIG));
	assert_string_equal(none->message, "no kubeconfig: neither --kubeconfig, $KUBECONFIG nor "
					   "~/.kube/config; pass --kubeconfig FILE");
	g_setenv("KUBECONFIG", "/nonexistent/a:/nonexistent/b", TRUE);
	assert_null(kube_config_load(&options, &environment));
	assert_non_null(strstr(environment->message, "names \"/nonexistent/a:/nonexistent/b\""));
	options.kubeconfig = "/nonexistent/c";
	assert_null(kube_config_load(&options, &named));
	assert_non_null(strstr(named->message, "cannot read /nonexistent/c: "));
	options.kubeconfig = put(files, "huge", large);
	assert_null(kube_config_load(&options, &huge));
	assert_non_null(strstr(huge->message, "is larger than 1 MiB"));
}

static void expect_authorization(struct kube_config *config, const char *expected)
{
	g_autofree char *authorization = kube_config_authorization(config);

	assert_string_equal(authorization, expected);
}

static void reads_tokens_again(void **state)
{
	struct files *files = *state;
	struct fake_clock fake;
	const char *path = put(files, "token", "t1\n");
	g_autofree char *text =
	    g_strdup_printf(ONE(SERVER, "token: static, tokenFile: '%s'"), path);
	AUTO(kube_config) config = parse(text, NULL, NULL);

	fake_clock_init(&fake, 0);
	kube_config_set_clock(config, &fake.clock);
	expect_authorization(config, "Bearer t1");
	assert_true(g_file_set_contents(path, "t2", -1, NULL));
	fake_clock_advance(&fake, 59999);
	expect_authorization(config, "Bearer t1");
	fake_clock_advance(&fake, 1);
	expect_authorization(config, "Bearer t2");
	/* Unreadable: the last one stays. */
	assert_true(g_file_set_contents(path, "\n", -1, NULL));
	fake_clock_advance(&fake, 60000);
	expect_authorization(config, "Bearer t2");
	/* After a refusal at once. */
	assert_true(g_file_set_contents(path, "t3", -1, NULL));
	expect_authorization(config, "Bearer t2");
	kube_config_forget_token(config);
	expect_authorization(config, "Bearer t3");
}

static void a_token_stands_in_for_its_file(void **state)
{
	AUTO(kube_config) config = parse(ONE(SERVER, "token: static, tokenFile: gone"), NULL, NULL);

	(void)state;
	expect_authorization(config, "Bearer static");
}

static void reads_the_service_account(void **state)
{
	struct files *files = *state;
	g_autoptr(GError) outside = NULL;
	g_autoptr(GError) no_token = NULL;
	g_autoptr(GError) error = NULL;
	AUTO(kube_config) config = NULL;
	AUTO(kube_config) six = NULL;

	assert_null(kube_config_in_cluster(files->dir, &outside));
	assert_non_null(strstr(outside->message, "not inside a pod"));
	g_setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1", TRUE);
	g_setenv("KUBERNETES_SERVICE_PORT", "443", TRUE);
	assert_null(kube_config_in_cluster(files->dir, &no_token));
	assert_non_null(strstr(no_token->message, "the pod's service account: cannot read"));

	put(files, "token", "sa-token");
	put(files, "ca.crt", "CA");
	config = kube_config_in_cluster(files->dir, &error);
	assert_null(error);
	assert_string_equal(kube_config_server(config), "https://10.96.0.1:443");
	assert_string_equal(kube_config_namespace(config), "default");
	expect_authorization(config, "Bearer sa-token");

	put(files, "namespace", "ollama-system\n");
	g_setenv("KUBERNETES_SERVICE_HOST", "fd00::1", TRUE);
	six = kube_config_in_cluster(files->dir, NULL);
	assert_string_equal(kube_config_server(six), "https://[fd00::1]:443");
	assert_string_equal(kube_config_namespace(six), "ollama-system");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(takes_the_current_context),
	    cmocka_unit_test(takes_another_context),
	    cmocka_unit_test(options_override),
	    cmocka_unit_test(decodes_data),
	    cmocka_unit_test(says_what_is_wrong),
	    cmocka_unit_test(keeps_secrets_out_of_errors),
	    cmocka_unit_test_setup_teardown(merges_files, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		the_option_goes_before_the_environment, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(names_missing_files, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(reads_tokens_again, set_up, tear_down),
	    cmocka_unit_test(a_token_stands_in_for_its_file),
	    cmocka_unit_test_setup_teardown(reads_the_service_account, set_up, tear_down),
	};

	g_setenv("HOME", "/nonexistent", TRUE);
	return cmocka_run_group_tests_name("kube/config", tests, NULL, NULL);
}
