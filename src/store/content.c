#include "store/content_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/quantity.h"

char *content_blob_path(const char *directory, const char *digest)
{
	g_autofree char *name = digest_file_name(digest);

	return g_strconcat(directory, "/", name, NULL);
}

char *content_temp_path(const char *directory)
{
	static gint counter; /* Why: only makes names unique, within this process */

	return g_strdup_printf("%s/" CONTENT_TEMP_PREFIX "%d-%d", directory, (int)getpid(),
	    g_atomic_int_add(&counter, 1));
}

gboolean content_open_mode(const struct content *content, int fd)
{
	return content->is_volume || fchmod(fd, 0644) == 0;
}

static gboolean make_dir(const struct content *content, const char *path, GError **error)
{
	mode_t mode = content->is_volume ? 0775 : 0755;

	/* The mode is set again because the umask has taken bits away. */
	if ((mkdirat(content->dir_fd, path, mode) != 0 && errno != EEXIST) ||
	    (!content->is_volume && fchmodat(content->dir_fd, path, mode, 0) != 0)) {
		store_error_set_errno(error, errno, "making %s/%s", content->directory, path);
		return FALSE;
	}
	return TRUE;
}

gboolean content_make_dirs(const struct content *content, const char *path, GError **error)
{
	g_autofree char *copy = g_strdup(path);

	for (char *slash = strchr(copy, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (!make_dir(content, copy, error))
			return FALSE;
		*slash = '/';
	}
	return make_dir(content, path, error);
}

gboolean content_sync_dir(const struct content *content, const char *path, GError **error)
{
	int fd = openat(content->dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int number = errno;

	if (fd >= 0) {
		number = fsync(fd) == 0 ? 0 : errno;
		close(fd);
	}
	if (fd >= 0 && number == 0)
		return TRUE;
	store_error_set_errno(error, number, "syncing %s/%s", content->directory, path);
	return FALSE;
}

static int write_all(int fd, const char *bytes, gsize len)
{
	while (len > 0) {
		ssize_t n = write(fd, bytes, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		bytes += n;
		len -= (gsize)n;
	}
	return 0;
}

gboolean content_write_file(
    const struct content *content, const char *path, GBytes *bytes, GError **error)
{
	int fd = openat(content->dir_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	    content->is_volume ? 0664 : 0644);
	int number = errno;
	gsize len;
	const char *data = g_bytes_get_data(bytes, &len);

	if (fd >= 0) {
		number = write_all(fd, data, len);
		if (number == 0 && (!content_open_mode(content, fd) || fsync(fd) != 0))
			number = errno;
		if (close(fd) != 0 && number == 0)
			number = errno;
	}
	if (fd >= 0 && number == 0)
		return TRUE;
	store_error_set_errno(error, number, "writing %s/%s", content->directory, path);
	return FALSE;
}

static gboolean is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

void content_remove_tree(int dir_fd, const char *path)
{
	struct dirent *entry;
	DIR *dir;
	int fd;

	if (unlinkat(dir_fd, path, 0) == 0)
		return;
	fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(dir)) != NULL)
		if (!is_dots(entry->d_name))
			content_remove_tree(dirfd(dir), entry->d_name);
	closedir(dir);
	(void)unlinkat(dir_fd, path, AT_REMOVEDIR);
}

/* Calls fn for each name in a directory, without the hidden and the temporary ones. */
static void foreach_name(int dir_fd, const char *path, gboolean temporary,
    void (*fn)(int dir_fd, const char *name, void *data), void *data)
{
	int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(dir)) != NULL) {
		gboolean is_temporary = g_str_has_prefix(entry->d_name, CONTENT_TEMP_PREFIX);

		if (temporary ? is_temporary : entry->d_name[0] != '.')
			fn(dirfd(dir), entry->d_name, data);
	}
	closedir(dir);
}

static void remove_orphan(int dir_fd, const char *name, void *data)
{
	(void)data;
	content_remove_tree(dir_fd, name);
}

/* One store per directory: two would each delete what the other is just making. */
static gboolean take_lock(struct content *content, GError **error)
{
	content->lock_fd = openat(content->dir_fd, ".lock", O_RDONLY | O_CREAT | O_CLOEXEC, 0644);
	if (content->lock_fd < 0) {
		store_error_set_errno(error, errno, "opening %s/.lock", content->directory);
		return FALSE;
	}
	if (flock(content->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return TRUE;
	if (errno == EWOULDBLOCK)
		g_set_error(error, STORE_ERROR, STORE_ERROR_IN_USE,
		    "another store is using %s: stop it, or give this one a directory of its own",
		    content->directory);
	else
		store_error_set_errno(error, errno, "locking %s/.lock", content->directory);
	return FALSE;
}

/* Why GLib for it: it makes the parents too, and nothing of ours is below them yet. */
static int open_directory(const char *directory, gboolean make, GError **error)
{
	int fd = -1;

	if (!make || g_mkdir_with_parents(directory, 0755) == 0)
		fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		store_error_set_errno(error, errno, "opening the directory %s", directory);
	return fd;
}

static gboolean prepare(
    const struct content *content, const char *const directories[], guint n, GError **error)
{
	for (guint i = 0; i < n; i++) {
		if (!make_dir(content, directories[i], error))
			return FALSE;
		foreach_name(content->dir_fd, directories[i], TRUE, remove_orphan, NULL);
	}
	return TRUE;
}

struct content *content_open(const char *directory, GError **error)
{
	static const char *const DIRECTORIES[] = {"blobs", "partial", "manifests", "views", "pods"};
	AUTO(content) content = g_new0(struct content, 1);

	content->lock_fd = -1;
	content->directory = g_strdup(directory);
	content->dir_fd = open_directory(directory, TRUE, error);
	if (content->dir_fd < 0 || !take_lock(content, error) ||
	    !prepare(content, DIRECTORIES, G_N_ELEMENTS(DIRECTORIES), error))
		return NULL;
	return g_steal_pointer(&content);
}

struct content *content_open_volume(const char *directory, GError **error)
{
	AUTO(content) content = g_new0(struct content, 1);

	content->lock_fd = -1;
	content->is_volume = TRUE;
	content->directory = g_strdup(directory);
	content->dir_fd = open_directory(directory, FALSE, error);
	return content->dir_fd < 0 ? NULL : g_steal_pointer(&content);
}

gboolean content_prepare_volume(const struct content *content, GError **error)
{
	static const char *const DIRECTORIES[] = {"blobs", "partial", "manifests"};

	return prepare(content, DIRECTORIES, G_N_ELEMENTS(DIRECTORIES), error);
}

void content_tidy_volume(const struct content *content)
{
	(void)unlinkat(content->dir_fd, "partial", AT_REMOVEDIR);
}

void content_free(struct content *content)
{
	if (content == NULL)
		return;
	if (content->lock_fd >= 0)
		close(content->lock_fd);
	if (content->dir_fd >= 0)
		close(content->dir_fd);
	g_free(content->directory);
	g_free(content);
}

const char *content_directory(const struct content *content)
{
	return content->directory;
}

/* The size of the regular file of a blob in that directory, -1: none. */
static gint64 size_of(const struct content *content, const char *directory, const char *digest)
{
	g_autofree char *path = content_blob_path(directory, digest);
	struct stat st;

	if (fstatat(content->dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
		return -1;
	return st.st_size;
}

gboolean content_has_blob(const struct content *content, const struct manifest_blob *blob)
{
	return size_of(content, "blobs", blob->digest) == blob->size_bytes;
}

gboolean content_has_model(const struct content *content, const struct manifest *manifest)
{
	for (guint i = 0; i < manifest->n_layers; i++)
		if (!content_has_blob(content, &manifest->layers[i]))
			return FALSE;
	return content_has_blob(content, &manifest->config);
}

gint64 content_bytes_of_blob(const struct content *content, const struct manifest_blob *blob)
{
	if (content_has_blob(content, blob))
		return blob->size_bytes;
	return CLAMP(size_of(content, "partial", blob->digest), 0, blob->size_bytes);
}

/* A file of at most `max_bytes`. NULL: errno says why (EFBIG: too large). */
static GBytes *read_file(const struct content *content, const char *path, gsize max_bytes)
{
	int fd = openat(content->dir_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	GByteArray *bytes = g_byte_array_new();
	char buffer[16384];
	ssize_t n = -1;
	int number;

	while (fd >= 0 && bytes->len <= max_bytes) {
		n = read(fd, buffer, sizeof(buffer));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		g_byte_array_append(bytes, (const guint8 *)buffer, (guint)n);
	}
	number = n < 0 ? errno : EFBIG;
	if (fd >= 0)
		close(fd);
	if (n == 0)
		return g_byte_array_free_to_bytes(bytes);
	g_byte_array_unref(bytes);
	errno = number;
	return NULL;
}

int content_open_blob(const struct content *content, const char *digest, gint64 *ret_size_bytes)
{
	g_autofree char *path = content_blob_path("blobs", digest);
	int fd = openat(content->dir_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -1;
	}
	*ret_size_bytes = st.st_size;
	return fd;
}

GBytes *content_read_blob(const struct content *content, const struct manifest_blob *blob,
    gsize max_bytes, GError **error)
{
	g_autofree char *path = content_blob_path("blobs", blob->digest);
	GBytes *bytes = read_file(content, path, max_bytes);

	if (bytes == NULL)
		store_error_set_errno(error, errno, "reading %s/%s", content->directory, path);
	return bytes;
}

GBytes *content_read_start(
    const struct content *content, const struct manifest_blob *blob, gsize len, GError **error)
{
	g_autofree char *path = content_blob_path("blobs", blob->digest);
	g_autofree char *bytes = g_malloc(len);
	int fd = openat(content->dir_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : 0;
	gsize have = 0;
	int number;

	while (n >= 0 && have < len) {
		n = pread(fd, bytes + have, len - have, (off_t)have);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n == 0)
			break;
		else if (n > 0)
			have += (gsize)n;
	}
	number = n < 0 ? errno : EIO;
	if (fd >= 0)
		close(fd);
	if (have == len)
		return g_bytes_new_take(g_steal_pointer(&bytes), len);
	store_error_set_errno(error, number, "reading %s/%s", content->directory, path);
	return NULL;
}

gboolean content_check_space(const struct content *content, gint64 need_bytes, GError **error)
{
	g_autofree char *need = NULL, *have = NULL;
	struct statvfs fs;
	gint64 have_bytes;

	if (fstatvfs(content->dir_fd, &fs) != 0) {
		store_error_set_errno(
		    error, errno, "asking for the free space of %s", content->directory);
		return FALSE;
	}
	if (fs.f_bavail > (guint64)G_MAXINT64 / fs.f_frsize)
		return TRUE;
	have_bytes = (gint64)(fs.f_bavail * fs.f_frsize);
	if (need_bytes <= have_bytes)
		return TRUE;
	need = quantity_human_bytes(need_bytes);
	have = quantity_human_bytes(have_bytes);
	g_set_error(error, STORE_ERROR, STORE_ERROR_DISK_FULL,
	    "%s more are needed, the %s has %s free", need,
	    content->is_volume ? "volume" : "node's disk", have);
	return FALSE;
}

GBytes *content_load_manifest(const struct content *content, const struct reference *reference)
{
	g_autofree char *path = reference_manifest_path(reference);

	return read_file(content, path, MANIFEST_MAX_BYTES);
}

gboolean content_save_manifest(const struct content *content, const struct reference *reference,
    GBytes *manifest, GError **error)
{
	g_autofree char *path = reference_manifest_path(reference);
	g_autofree char *parent = g_path_get_dirname(path);
	g_autofree char *temp = content_temp_path("manifests");

	if (!content_make_dirs(content, parent, error) ||
	    !content_write_file(content, temp, manifest, error)) {
		(void)unlinkat(content->dir_fd, temp, 0);
		return FALSE;
	}
	if (renameat(content->dir_fd, temp, content->dir_fd, path) != 0) {
		store_error_set_errno(error, errno, "writing %s/%s", content->directory, path);
		(void)unlinkat(content->dir_fd, temp, 0);
		return FALSE;
	}
	return content_sync_dir(content, parent, error);
}

/* The walk through manifests/<host>/<ns>/<model>/<tag>, one level per call. */
struct manifest_walk {
	const char *names[4];
	guint depth;
	void (*fn)(void *data, const struct reference *reference);
	void *data;
};

static void walk_manifests(int dir_fd, const char *name, void *data)
{
	struct manifest_walk *walk = data;
	g_autofree char *text = NULL;
	AUTO(reference) reference = NULL;

	walk->names[walk->depth] = name;
	if (walk->depth < 3) {
		walk->depth++;
		foreach_name(dir_fd, name, FALSE, walk_manifests, walk);
		walk->depth--;
		return;
	}
	text = g_strdup_printf("%s/%s/%s:%s", walk->names[0], walk->names[1], walk->names[2], name);
	reference = reference_parse(text, NULL);
	if (reference != NULL)
		walk->fn(walk->data, reference);
}

void content_foreach_manifest(const struct content *content,
    void (*fn)(void *data, const struct reference *reference), void *data)
{
	struct manifest_walk walk = {.fn = fn, .data = data};

	foreach_name(content->dir_fd, "manifests", FALSE, walk_manifests, &walk);
}
