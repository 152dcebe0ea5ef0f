/* Views and pods' links: what a model's server is shown of the content store. */
#include "store/content_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VIEW_KEY_DIGITS = 32, POD_UID_MAX_BYTES = 64 };

gboolean pod_uid_is_valid(const char *pod_uid)
{
	gsize len = strlen(pod_uid);

	if (len < 1 || len > POD_UID_MAX_BYTES)
		return FALSE;
	for (gsize i = 0; i < len; i++)
		if (!g_ascii_isalnum(pod_uid[i]) && pod_uid[i] != '-')
			return FALSE;
	return TRUE;
}

/* The name in it, because a view holds it in its manifest's path; the digest, for its blobs. */
static char *view_key(const struct reference *reference, const struct manifest *manifest)
{
	g_autofree char *full = reference_full(reference);
	g_autofree char *text = g_strconcat(full, "\n", manifest->digest, NULL);
	char *key = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);

	key[VIEW_KEY_DIGITS] = '\0';
	return key;
}

static gboolean link_blob(const struct content *content, const char *view,
    const struct manifest_blob *blob, GError **error)
{
	g_autofree char *from = content_blob_path("blobs", blob->digest);
	g_autofree char *to = g_strconcat(view, "/", from, NULL);

	/* EEXIST: a layer that is the config's blob as well. */
	if (linkat(content->dir_fd, from, content->dir_fd, to, 0) == 0 || errno == EEXIST)
		return TRUE;
	store_error_set_errno(error, errno, "linking %s/%s", content->directory, from);
	return FALSE;
}

static gboolean fill_view(const struct content *content, const char *view,
    const struct reference *reference, const struct manifest *manifest, GBytes *manifest_bytes,
    GError **error)
{
	g_autofree char *inner = reference_manifest_path(reference);
	g_autofree char *path = g_strconcat(view, "/", inner, NULL);
	g_autofree char *parent = g_path_get_dirname(path);
	g_autofree char *blobs = g_strconcat(view, "/blobs", NULL);

	if (!content_make_dirs(content, blobs, error) ||
	    !content_make_dirs(content, parent, error) ||
	    !link_blob(content, view, &manifest->config, error))
		return FALSE;
	for (guint i = 0; i < manifest->n_layers; i++)
		if (!link_blob(content, view, &manifest->layers[i], error))
			return FALSE;
	return content_write_file(content, path, manifest_bytes, error) &&
	       content_sync_dir(content, blobs, error) && content_sync_dir(content, parent, error);
}

char *content_make_view(const struct content *content, const struct reference *reference,
    const struct manifest *manifest, GBytes *manifest_bytes, GError **error)
{
	g_autofree char *key = view_key(reference, manifest);
	g_autofree char *path = g_strconcat("views/", key, NULL);
	g_autofree char *temp = NULL;

	if (faccessat(content->dir_fd, path, F_OK, 0) == 0)
		return g_steal_pointer(&key);
	temp = content_temp_path("views");
	if (!fill_view(content, temp, reference, manifest, manifest_bytes, error)) {
		content_remove_tree(content->dir_fd, temp);
		return NULL;
	}
	/* Another thread may have been faster with the same view: then its one stays. */
	if (renameat(content->dir_fd, temp, content->dir_fd, path) != 0) {
		int number = errno;

		content_remove_tree(content->dir_fd, temp);
		if (number != EEXIST && number != ENOTEMPTY) {
			store_error_set_errno(
			    error, number, "making %s/%s", content->directory, path);
			return NULL;
		}
	}
	return content_sync_dir(content, "views", error) ? g_steal_pointer(&key) : NULL;
}

static gboolean view_key_is_valid(const char *key)
{
	return strlen(key) == VIEW_KEY_DIGITS && strspn(key, "0123456789abcdef") == VIEW_KEY_DIGITS;
}

gboolean content_link_pod(
    const struct content *content, const char *pod_uid, const char *view_key_text, GError **error)
{
	g_autofree char *target = g_strconcat("../views/", view_key_text, NULL);
	g_autofree char *path = g_strconcat("pods/", pod_uid, NULL);
	g_autofree char *temp = content_temp_path("pods");

	g_assert(pod_uid_is_valid(pod_uid) && view_key_is_valid(view_key_text));
	if (symlinkat(target, content->dir_fd, temp) == 0 &&
	    renameat(content->dir_fd, temp, content->dir_fd, path) == 0)
		return TRUE;
	store_error_set_errno(error, errno, "linking %s/%s", content->directory, path);
	(void)unlinkat(content->dir_fd, temp, 0);
	return FALSE;
}
