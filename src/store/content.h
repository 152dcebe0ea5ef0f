/*
 * A node's weights on disk, content-addressed. No network in here.
 *
 *   blobs/sha256-<hex>                    whole and verified, never changed
 *   partial/sha256-<hex>                  arriving; its length is what has been received
 *   manifests/<host>/<ns>/<model>/<tag>   what a tag meant when it was last resolved here
 *   views/<key>/{manifests,blobs}/...     one Ollama models directory per model digest; its blobs
 *                                         are hard links, so a blob with link count 1 is unused
 *   pods/<podUID> -> ../views/<key>       what a pod mounts
 *   .lock                                 held by the one store that may use the directory
 *
 * Everything appears under its name by rename, complete and synced: readers need no lock, and a
 * crash leaves nothing but temporary names, which content_open() removes.
 *
 * Ownership: content_open/content_free. Threads: any; two writers of one blob exclude each other
 * by flock. Errors: STORE_ERROR_*. Names that become paths are validated by their types
 * (struct reference, digest_is_valid, pod_uid_is_valid), never escaped.
 */
#ifndef STORE_CONTENT_H
#define STORE_CONTENT_H

#include "model/manifest.h"
#include "store/error.h"

struct content;

/* Makes the directories that are missing. IN_USE: another process has them open. */
struct content *content_open(const char *directory, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void content_free(struct content *content);
DEFINE_AUTO(content, content_free)

/*
 * An Ollama models directory that is not a store's own: a volume of pods. blobs/, manifests/ and,
 * while something arrives, partial/ as above; no views, no pods, nothing of others is touched.
 * This only opens it, so a read-only one will do. Who writes holds its struct volume_lock, and
 * has called content_prepare_volume(). Modes of what is made are the umask's business.
 */
struct content *content_open_volume(
    const char *directory, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Makes the directories that are missing, and removes what a writer that died has left. */
gboolean content_prepare_volume(
    const struct content *content, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Takes partial/ away again, if nothing is in it. */
void content_tidy_volume(const struct content *content);

const char *content_directory(const struct content *content);

/* Is the blob here, whole (its size is the manifest's)? */
gboolean content_has_blob(const struct content *content, const struct manifest_blob *blob);
/* All of them, config and layers? */
gboolean content_has_model(const struct content *content, const struct manifest *manifest);
/* How much of it is here: its size, or what a broken transfer has left. */
gint64 content_bytes_of_blob(const struct content *content, const struct manifest_blob *blob);
/*
 * A whole blob for reading; the caller closes it. -1: it is not here (or NOT an ordinary file).
 * `ret_size_bytes` is its length. The digest must be valid.
 */
int content_open_blob(const struct content *content, const char *digest, gint64 *ret_size_bytes);
/* A whole blob of at most `max_bytes`; for config blobs. */
GBytes *content_read_blob(const struct content *content, const struct manifest_blob *blob,
    gsize max_bytes, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The first `len` bytes of a whole blob that has as many. */
GBytes *content_read_start(const struct content *content, const struct manifest_blob *blob,
    gsize len, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* DISK_FULL, with both numbers, unless the disk has that much room for us. */
gboolean content_check_space(
    const struct content *content, gint64 need_bytes, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* What the tag meant when it was last saved; NULL when it never was, or the file is unreadable. */
GBytes *content_load_manifest(const struct content *content, const struct reference *reference);
/*
 * The manifest of a model that is here as a whole: by `reference`, in whatever case that is
 * written, or when `digest` is not NULL the one of that digest among all tags of the model. NULL:
 * there is none.
 */
GBytes *content_find_manifest(
    const struct content *content, const struct reference *reference, const char *digest);
gboolean content_save_manifest(const struct content *content, const struct reference *reference,
    GBytes *manifest, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Calls fn for each tag that is saved. Strange files are passed over. */
void content_foreach_manifest(const struct content *content,
    void (*fn)(void *data, const struct reference *reference), void *data);

/*
 * Makes the view of a model whose blobs are all here, unless it is there already. Returns its
 * key, the caller's; NULL on failure.
 */
char *content_make_view(const struct content *content, const struct reference *reference,
    const struct manifest *manifest, GBytes *manifest_bytes,
    GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* 1 to 64 of [A-Za-z0-9-]. */
gboolean pod_uid_is_valid(const char *pod_uid);
/* Points pods/<podUID> to the view, in place of where it pointed. */
gboolean content_link_pod(const struct content *content, const char *pod_uid, const char *view_key,
    GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * One blob on its way in. It is hashed as it is written, synced from time to time, and becomes
 * visible in blobs/ only by blob_writer_commit(). Threads: one at a time.
 */
struct blob_writer;

/*
 * Opens the blob's partial file, and reads again (hashes) what is there. IN_USE: someone else
 * writes it. `cancelled` as for http_perform(); may be NULL.
 */
struct blob_writer *blob_writer_open(const struct content *content,
    const struct manifest_blob *blob, const gint *cancelled,
    GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Keeps what was written, for the next time. */
void blob_writer_free(struct blob_writer *writer);
DEFINE_AUTO(blob_writer, blob_writer_free)

/* The next byte that it waits for. */
gint64 blob_writer_offset(const struct blob_writer *writer);
/* Forgets what is there: the transfer starts over. */
gboolean blob_writer_restart(struct blob_writer *writer, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* SIZE_MISMATCH when it would become longer than the manifest says; then nothing is written. */
gboolean blob_writer_append(struct blob_writer *writer, const char *bytes, gsize len,
    GError **error) G_GNUC_WARN_UNUSED_RESULT;
/*
 * Verifies, syncs, publishes. DIGEST_MISMATCH: the partial file is removed. The writer is only
 * good for freeing afterwards.
 */
gboolean blob_writer_commit(struct blob_writer *writer, GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
