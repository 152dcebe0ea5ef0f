/* What content.c, view.c and blob_writer.c share. */
#ifndef STORE_CONTENT_PRIV_H
#define STORE_CONTENT_PRIV_H

#include "store/content.h"

struct content {
	char *directory;
	int dir_fd;  /* all paths are relative to it */
	int lock_fd; /* .lock, held until it is closed; -1: a volume */
	gboolean is_volume;
};

/* Temporary names begin so; what begins so at start is an orphan. */
#define CONTENT_TEMP_PREFIX ".tmp-"

/*
 * Makes a file or directory readable for all, whatever the umask. In a volume that is not ours to
 * say. errno is set when it fails.
 */
gboolean content_open_mode(const struct content *content, int fd);

/* "blobs/sha256-<hex>" or another directory in front; the caller's. */
char *content_blob_path(const char *directory, const char *digest);

/* A name that nobody else uses: "<directory>/.tmp-<pid>-<n>". The caller's. */
char *content_temp_path(const char *directory);

/* Makes `path` and what is above it, 0755. */
gboolean content_make_dirs(
    const struct content *content, const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean content_sync_dir(
    const struct content *content, const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Writes a new file, 0644, and syncs it. */
gboolean content_write_file(const struct content *content, const char *path, GBytes *bytes,
    GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Removes a file, a link or a tree (links are never followed). Errors are nobody's problem. */
void content_remove_tree(int dir_fd, const char *path);

#endif
