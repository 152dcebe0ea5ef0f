#include "kube/config_priv.h"
#include "json/yaml.h"

#include <string.h>

/* A named entry (a cluster, user or context) and the file that defines it. */
struct entry {
	yyjson_val *value;
	const struct kubeconfig_file *file;
	const char *what; /* "cluster" */
	const char *name;
};

void kubeconfig_file_free(struct kubeconfig_file *file)
{
	if (file == NULL)
		return;
	yyjson_doc_free(file->doc);
	g_free(file->name);
	g_free(file->directory);
	g_free(file);
}

struct kubeconfig_file *kubeconfig_file_parse(
    const char *text, gsize len, const char *name, const char *directory, GError **error)
{
	g_autoptr(GError) cause = NULL;
	g_autoptr(GPtrArray) docs = NULL;
	struct kubeconfig_file *file;

	if (len > KUBE_CONFIG_FILE_MAX) {
		g_set_error(error, KUBE_ERROR, KUBE_ERROR_CONFIG, "%s is larger than 1 MiB", name);
		return NULL;
	}
	docs = yaml_read(text, len, &cause);
	if (docs == NULL) {
		g_set_error(error, KUBE_ERROR, KUBE_ERROR_CONFIG, "%s is no kubeconfig: %s", name,
		    cause->message);
		return NULL;
	}
	if (docs->len > 0 && !yyjson_is_obj(yyjson_doc_get_root(g_ptr_array_index(docs, 0)))) {
		g_set_error(error, KUBE_ERROR, KUBE_ERROR_CONFIG,
		    "%s is no kubeconfig: its top is no map", name);
		return NULL;
	}
	file = g_new0(struct kubeconfig_file, 1);
	if (docs->len > 0)
		file->doc = g_ptr_array_steal_index(docs, 0);
	file->name = g_strdup(name);
	file->directory = g_strdup(directory);
	return file;
}

static yyjson_val *root_of(const struct kubeconfig_file *file)
{
	return file->doc == NULL ? NULL : yyjson_doc_get_root(file->doc);
}

/* The first definition of list[name].key in the order of the files; ret_* may be half set. */
static gboolean find(
    GPtrArray *files, const char *list, const char *what, const char *name, struct entry *ret_entry)
{
	for (guint i = 0; i < files->len; i++) {
		const struct kubeconfig_file *file = g_ptr_array_index(files, i);
		yyjson_val *entries = json_at(root_of(file), list, NULL);
		yyjson_val *entry;
		size_t index, n;

		if (!yyjson_is_arr(entries))
			continue;
		yyjson_arr_foreach(entries, index, n, entry)
		{
			if (g_strcmp0(json_str(entry, "name", NULL), name) != 0)
				continue;
			*ret_entry = (struct entry){json_at(entry, what, NULL), file, what, name};
			return TRUE;
		}
	}
	return FALSE;
}

/* "a.yaml, b.yaml", or what stands for no file at all. */
static char *names_of_files(GPtrArray *files)
{
	GString *names = g_string_new(NULL);

	for (guint i = 0; i < files->len; i++) {
		const struct kubeconfig_file *file = g_ptr_array_index(files, i);

		g_string_append_printf(names, "%s%s", i > 0 ? ", " : "", file->name);
	}
	return g_string_free(names, FALSE);
}

/* "a, b" of the contexts there are, at most ten; "none". */
static char *names_of_contexts(GPtrArray *files)
{
	GString *names = g_string_new(NULL);
	guint count = 0;

	for (guint i = 0; i < files->len; i++) {
		const struct kubeconfig_file *file = g_ptr_array_index(files, i);
		yyjson_val *contexts = json_at(root_of(file), "contexts", NULL);
		yyjson_val *context;
		size_t index, n;

		if (!yyjson_is_arr(contexts))
			continue;
		yyjson_arr_foreach(contexts, index, n, context)
		{
			const char *name = json_str(context, "name", NULL);

			if (name == NULL || ++count > 10)
				continue;
			g_string_append_printf(names, "%s%s", count > 1 ? ", " : "", name);
		}
	}
	if (count > 10)
		g_string_append_printf(names, " and %u more", count - 10);
	return g_string_free(count == 0 ? g_string_assign(names, "none") : names, FALSE);
}

static const char *current_context(GPtrArray *files)
{
	for (guint i = 0; i < files->len; i++) {
		const char *name =
		    json_str(root_of(g_ptr_array_index(files, i)), "current-context", NULL);

		if (name != NULL && *name != '\0')
			return name;
	}
	return NULL;
}

/* The non-empty string under `key`, NULL otherwise. */
static const char *text_of(const struct entry *entry, const char *key)
{
	const char *text = json_str(entry->value, key, NULL);

	return text == NULL || *text == '\0' ? NULL : text;
}

static void set_entry_error(
    GError **error, const struct entry *entry, const char *key, const char *problem)
{
	g_set_error(error, KUBE_ERROR, KUBE_ERROR_CONFIG, "%s of %s \"%s\" in %s %s", key,
	    entry->what, entry->name, entry->file->name, problem);
}

/* Decodes strictly (g_base64_decode drops what it does not know). NULL: no base64. */
static GBytes *decode_base64(const char *text)
{
	g_autofree char *clean = g_malloc(strlen(text) + 1);
	gsize len = 0, padding = 0, out_len;
	guchar *out;

	for (; *text != '\0'; text++) {
		if (g_ascii_isspace(*text))
			continue;
		if (*text == '=')
			padding++;
		else if (padding > 0 || !(g_ascii_isalnum(*text) || *text == '+' || *text == '/'))
			return NULL;
		clean[len++] = *text;
	}
	clean[len] = '\0';
	if (len == 0 || len % 4 != 0 || padding > 2)
		return NULL;
	out = g_base64_decode(clean, &out_len);
	return g_bytes_new_take(out, out_len);
}

static char *resolve_path(const struct entry *entry, const char *path)
{
	return g_path_is_absolute(path) ? g_strdup(path)
					: g_build_filename(entry->file->directory, path, NULL);
}

/* The bytes of `key`-data or of the file that `key` names. *ret_pem stays NULL for neither. */
static gboolean read_pem(
    const struct entry *entry, const char *key, GBytes **ret_pem, GError **error)
{
	g_autofree char *data_key = g_strconcat(key, "-data", NULL);
	const char *data = text_of(entry, data_key);
	const char *relative = text_of(entry, key);
	g_autofree char *path = NULL;
	char *text;
	gsize len;

	if (data != NULL) {
		*ret_pem = decode_base64(data);
		if (*ret_pem == NULL)
			set_entry_error(error, entry, data_key, "is no base64");
		return *ret_pem != NULL;
	}
	if (relative == NULL)
		return TRUE;
	path = resolve_path(entry, relative);
	/* A device or a pipe would never end; whoever writes such a path did not mean it. */
	if (g_file_test(path, G_FILE_TEST_EXISTS) && !g_file_test(path, G_FILE_TEST_IS_REGULAR)) {
		set_entry_error(error, entry, key, "names something that is no file");
		return FALSE;
	}
	text = kube_config_read_file(path, &len, error);
	if (text == NULL) {
		g_prefix_error(error, "%s of %s \"%s\" in %s: ", key, entry->what, entry->name,
		    entry->file->name);
		return FALSE;
	}
	*ret_pem = g_bytes_new_take(text, len);
	return TRUE;
}

static gboolean take_cluster(
    struct kube_config *config, const struct entry *cluster, GError **error)
{
	const char *server = text_of(cluster, "server");

	if (server == NULL) {
		set_entry_error(error, cluster, "server", "is missing");
		return FALSE;
	}
	if (!kube_config_set_server(config, server, error)) {
		g_prefix_error(
		    error, "server of cluster \"%s\" in %s: ", cluster->name, cluster->file->name);
		return FALSE;
	}
	if (!read_pem(cluster, "certificate-authority", &config->tls->ca_pem, error))
		return FALSE;
	config->tls->insecure = json_bool(cluster->value, FALSE, "insecure-skip-tls-verify", NULL);
	if (config->tls->insecure && config->tls->ca_pem != NULL) {
		set_entry_error(error, cluster, "insecure-skip-tls-verify",
		    "contradicts its certificate-authority: remove one of them");
		return FALSE;
	}
	config->tls->server_name = g_strdup(text_of(cluster, "tls-server-name"));
	config->proxy = g_strdup(text_of(cluster, "proxy-url"));
	return TRUE;
}

/* What we cannot do yet is refused: to ignore it would act as somebody else. */
static gboolean check_user(const struct entry *user, GError **error)
{
	static const struct {
		const char *key, *problem;
	} refused[] = {
	    {"exec", "is a credential plugin, which is not supported yet: use a token or a client "
		     "certificate"},
	    {"auth-provider", "is not supported (nor by kubectl since 1.26): use a token or a "
			      "client certificate"},
	    {"as", "(impersonation) is not supported yet"},
	    {"as-uid", "(impersonation) is not supported yet"},
	    {"as-groups", "(impersonation) is not supported yet"},
	    {"as-user-extra", "(impersonation) is not supported yet"},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(refused); i++) {
		yyjson_val *value = json_at(user->value, refused[i].key, NULL);

		if (value == NULL || yyjson_is_null(value))
			continue;
		set_entry_error(error, user, refused[i].key, refused[i].problem);
		return FALSE;
	}
	return TRUE;
}

static gboolean take_token(struct kube_config *config, const struct entry *user, GError **error)
{
	const char *token = text_of(user, "token");
	const char *file = text_of(user, "tokenFile");
	struct kube_config_options options = {.token = token};

	if (token != NULL && !kube_config_override(config, &options, NULL)) {
		set_entry_error(error, user, "token", "contains control characters");
		return FALSE;
	}
	if (file == NULL)
		return TRUE;
	config->token_file = resolve_path(user, file);
	if (g_file_test(config->token_file, G_FILE_TEST_EXISTS) &&
	    !g_file_test(config->token_file, G_FILE_TEST_IS_REGULAR)) {
		set_entry_error(error, user, "tokenFile", "names something that is no file");
		return FALSE;
	}
	/* With both, the token stands in until the file can be read. */
	if (!kube_config_read_token(config, error) && token == NULL) {
		g_prefix_error(
		    error, "tokenFile of user \"%s\" in %s: ", user->name, user->file->name);
		return FALSE;
	}
	g_clear_error(error);
	return TRUE;
}

static gboolean take_user(struct kube_config *config, const struct entry *user, GError **error)
{
	if (!check_user(user, error) || !take_token(config, user, error) ||
	    !read_pem(user, "client-certificate", &config->tls->cert_pem, error) ||
	    !read_pem(user, "client-key", &config->tls->key_pem, error))
		return FALSE;
	if ((config->tls->cert_pem == NULL) != (config->tls->key_pem == NULL)) {
		set_entry_error(error, user,
		    config->tls->key_pem == NULL ? "client-key" : "client-certificate",
		    "is missing, the other half is there");
		return FALSE;
	}
	config->username = g_strdup(text_of(user, "username"));
	config->password = g_strdup(text_of(user, "password"));
	return TRUE;
}

/* Finds the chosen context. *ret_context.value stays NULL when none is needed (--server). */
static gboolean choose_context(GPtrArray *files, const struct kube_config_options *options,
    struct entry *ret_context, GError **error)
{
	const char *name = options->context != NULL ? options->context : current_context(files);
	g_autofree char *there = names_of_contexts(files);
	g_autofree char *where = names_of_files(files);

	if (name == NULL) {
		if (options->server != NULL)
			return TRUE;
		g_set_error(error, KUBE_ERROR, KUBE_ERROR_CONFIG,
		    "no current-context in %s; pass --context; there are: %s", where, there);
		return FALSE;
	}
	if (find(files, "contexts", "context", name, ret_context))
		return TRUE;
	g_set_error(error, KUBE_ERROR, KUBE_ERROR_CONFIG, "context \"%s\" not in %s; there are: %s",
	    name, where, there);
	return FALSE;
}

/* The cluster or user that the context names. *ret_entry.value stays NULL: it names none. */
static gboolean follow(GPtrArray *files, const struct entry *context, const char *list,
    const char *what, struct entry *ret_entry, GError **error)
{
	const char *name = text_of(context, what);

	if (name == NULL || find(files, list, what, name, ret_entry))
		return TRUE;
	g_set_error(error, KUBE_ERROR, KUBE_ERROR_CONFIG,
	    "context \"%s\" in %s names %s \"%s\", which is not there", context->name,
	    context->file->name, what, name);
	return FALSE;
}

struct kube_config *kubeconfig_build(
    GPtrArray *files, const struct kube_config_options *options, GError **error)
{
	AUTO(kube_config) config = kube_config_alloc();
	struct entry context = {NULL}, cluster = {NULL}, user = {NULL};

	if (!choose_context(files, options, &context, error))
		return NULL;
	if (context.file != NULL) {
		if (!follow(files, &context, "clusters", "cluster", &cluster, error) ||
		    !follow(files, &context, "users", "user", &user, error))
			return NULL;
		config->namespace = g_strdup(text_of(&context, "namespace"));
	}
	if (cluster.file != NULL && !take_cluster(config, &cluster, error))
		return NULL;
	/* A token of the options replaces the user, who may well be one that we would refuse. */
	if (user.file != NULL && options->token == NULL && !take_user(config, &user, error))
		return NULL;
	if (!kube_config_override(config, options, error))
		return NULL;
	if (config->server == NULL) {
		g_set_error(error, KUBE_ERROR, KUBE_ERROR_CONFIG,
		    "context \"%s\" in %s names no cluster", context.name, context.file->name);
		return NULL;
	}
	return g_steal_pointer(&config);
}
