#include "store/content_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	SYNC_EVERY_BYTES = 64 * 1024 * 1024, /* so that the last sync at the end is short */
	REHASH_BUFFER_BYTES = 256 * 1024,
};

struct blob_writer {
	const struct content *content;
	char *digest;
	gint64 size_bytes;
	char *partial_path;
	int fd;
	gint64 offset;        /* written and hashed */
	gint64 synced_offset; /* of that, surely on disk */
	EVP_MD_CTX *hash;
};

static void hash_start(struct blob_writer *writer)
{
	if (EVP_DigestInit_ex(writer->hash, EVP_sha256(), NULL) != 1)
		g_error("SHA-256: no memory, or not in this OpenSSL");
}

static gboolean fail(const struct blob_writer *writer, const char *doing, GError **error)
{
	store_error_set_errno(
	    error, errno, "%s %s/%s", doing, writer->content->directory, writer->partial_path);
	return FALSE;
}

/* Opens and locks the partial file; another holder may be about to rename or remove it. */
static gboolean open_partial(struct blob_writer *writer, GError **error)
{
	struct stat ours, named;
	gboolean locked;

	writer->fd = openat(writer->content->dir_fd, writer->partial_path,
	    O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, writer->content->is_volume ? 0664 : 0644);
	if (writer->fd < 0)
		return fail(writer, "opening", error);
	locked = flock(writer->fd, LOCK_EX | LOCK_NB) == 0;
	if (!locked && errno != EWOULDBLOCK)
		return fail(writer, "locking", error);
	if (locked && fstat(writer->fd, &ours) == 0 &&
	    fstatat(writer->content->dir_fd, writer->partial_path, &named, 0) == 0 &&
	    ours.st_ino == named.st_ino)
		return content_open_mode(writer->content, writer->fd) ||
		       fail(writer, "opening", error);
	g_set_error(error, STORE_ERROR, STORE_ERROR_IN_USE, "%s is being written by someone else",
	    writer->digest);
	return FALSE;
}

/*
 * Hashes what an earlier transfer left. Its length can be trusted as far as file systems write
 * data before they write the length that covers it; where one does not, the digest at the end
 * says so and the transfer starts over.
 */
static gboolean rehash(struct blob_writer *writer, const gint *cancelled, GError **error)
{
	g_autofree char *buffer = g_malloc(REHASH_BUFFER_BYTES);

	hash_start(writer);
	for (;;) {
		ssize_t n = pread(writer->fd, buffer, REHASH_BUFFER_BYTES, writer->offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(writer, "reading", error);
		if (cancelled != NULL && g_atomic_int_get(cancelled)) {
			g_set_error_literal(
			    error, STORE_ERROR, STORE_ERROR_CANCELLED, "the store is stopping");
			return FALSE;
		}
		if (n == 0)
			break;
		if (writer->offset + n > writer->size_bytes)
			return blob_writer_restart(writer, error);
		EVP_DigestUpdate(writer->hash, buffer, (size_t)n);
		writer->offset += n;
	}
	writer->synced_offset = writer->offset;
	return TRUE;
}

struct blob_writer *blob_writer_open(const struct content *content,
    const struct manifest_blob *blob, const gint *cancelled, GError **error)
{
	AUTO(blob_writer) writer = g_new0(struct blob_writer, 1);

	writer->content = content;
	writer->digest = g_strdup(blob->digest);
	writer->size_bytes = blob->size_bytes;
	writer->partial_path = content_blob_path("partial", blob->digest);
	writer->fd = -1;
	writer->hash = EVP_MD_CTX_new();
	if (writer->hash == NULL)
		g_error("out of memory");
	if (!open_partial(writer, error) || !rehash(writer, cancelled, error))
		return NULL;
	return g_steal_pointer(&writer);
}

void blob_writer_free(struct blob_writer *writer)
{
	if (writer == NULL)
		return;
	if (writer->fd >= 0)
		close(writer->fd);
	EVP_MD_CTX_free(writer->hash);
	g_free(writer->partial_path);
	g_free(writer->digest);
	g_free(writer);
}

gint64 blob_writer_offset(const struct blob_writer *writer)
{
	return writer->offset;
}

gboolean blob_writer_restart(struct blob_writer *writer, GError **error)
{
	if (ftruncate(writer->fd, 0) != 0)
		return fail(writer, "truncating", error);
	hash_start(writer);
	writer->offset = 0;
	writer->synced_offset = 0;
	return TRUE;
}

gboolean blob_writer_append(
    struct blob_writer *writer, const char *bytes, gsize len, GError **error)
{
	if (len > (guint64)(writer->size_bytes - writer->offset)) {
		g_set_error(error, STORE_ERROR, STORE_ERROR_SIZE_MISMATCH,
		    "%s is longer than the %" G_GINT64_FORMAT " bytes that the manifest says",
		    writer->digest, writer->size_bytes);
		return FALSE;
	}
	while (len > 0) {
		ssize_t n = pwrite(writer->fd, bytes, len, writer->offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(writer, "writing", error);
		EVP_DigestUpdate(writer->hash, bytes, (size_t)n);
		writer->offset += n;
		bytes += n;
		len -= (gsize)n;
	}
	if (writer->offset - writer->synced_offset < SYNC_EVERY_BYTES)
		return TRUE;
	if (fdatasync(writer->fd) != 0)
		return fail(writer, "syncing", error);
	writer->synced_offset = writer->offset;
	return TRUE;
}

/* Compares; on a mismatch nothing of the file is worth keeping. */
static gboolean check_digest(struct blob_writer *writer, GError **error)
{
	unsigned char raw[EVP_MAX_MD_SIZE];
	unsigned int n = 0;
	g_autoptr(GString) digest = g_string_new("sha256:");

	EVP_DigestFinal_ex(writer->hash, raw, &n);
	for (unsigned int i = 0; i < n; i++)
		g_string_append_printf(digest, "%02x", raw[i]);
	if (strcmp(digest->str, writer->digest) == 0)
		return TRUE;
	(void)unlinkat(writer->content->dir_fd, writer->partial_path, 0);
	g_set_error(error, STORE_ERROR, STORE_ERROR_DIGEST_MISMATCH,
	    "what arrived for %s is %s: the registry or the way to it damages data; "
	    "it was thrown away",
	    writer->digest, digest->str);
	return FALSE;
}

gboolean blob_writer_commit(struct blob_writer *writer, GError **error)
{
	g_autofree char *path = content_blob_path("blobs", writer->digest);

	if (writer->offset != writer->size_bytes) {
		g_set_error(error, STORE_ERROR, STORE_ERROR_REGISTRY_UNAVAILABLE,
		    "the transfer of %s ended after %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT
		    " bytes",
		    writer->digest, writer->offset, writer->size_bytes);
		return FALSE;
	}
	if (!check_digest(writer, error))
		return FALSE;
	if (fsync(writer->fd) != 0)
		return fail(writer, "syncing", error);
	if (renameat(
		writer->content->dir_fd, writer->partial_path, writer->content->dir_fd, path) != 0)
		return fail(writer, "publishing", error);
	return content_sync_dir(writer->content, "blobs", error);
}
