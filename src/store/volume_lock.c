#include "store/volume_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { BEAT_MS = 5000, STALE_MS = 30 * 1000, SETTLE_MS = 500, TEXT_MAX_BYTES = 512 };

struct volume_lock {
	struct volume_lock_options options;
	char *path, *holder;
	int fd;            /* held, else -1 */
	char *seen;        /* another's text, and since when it has been the same */
	gint64 seen_at_ms; /* monotonic */
	guint beats;
	GThread *thread;
	GMutex mutex;
	GCond wake;
	gboolean ending; /* under the mutex */
};

struct volume_lock *volume_lock_new(const struct volume_lock_options *options)
{
	struct volume_lock *lock = g_new0(struct volume_lock, 1);

	lock->options = *options;
	lock->options.beat_ms = options->beat_ms ?: BEAT_MS;
	lock->options.stale_ms = options->stale_ms ?: STALE_MS;
	lock->options.settle_ms = options->settle_ms ?: SETTLE_MS;
	lock->path = g_build_filename(options->directory, VOLUME_LOCK_FILE, NULL);
	lock->holder = g_strdup(options->holder);
	lock->fd = -1;
	g_mutex_init(&lock->mutex);
	g_cond_init(&lock->wake);
	return lock;
}

static gboolean fail(const struct volume_lock *lock, const char *doing, GError **error)
{
	store_error_set_errno(error, errno, "%s %s", doing, lock->path);
	return FALSE;
}

/* The file's text, read anew: network file systems look again when a file is opened. */
static char *read_text(const struct volume_lock *lock)
{
	char buffer[TEXT_MAX_BYTES] = "";
	int fd = open(lock->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buffer, sizeof(buffer) - 1);

	if (fd >= 0)
		close(fd);
	return g_strndup(buffer, n < 0 ? 0 : (gsize)n);
}

static char *holder_of(const char *text)
{
	return g_strndup(text, strcspn(text, " \n"));
}

static gboolean is_ours(const struct volume_lock *lock)
{
	g_autofree char *text = read_text(lock);
	g_autofree char *holder = holder_of(text);

	return strcmp(holder, lock->holder) == 0;
}

static gboolean write_beat(struct volume_lock *lock)
{
	/* All of one length, so that a reader never sees the end of an older one. */
	g_autofree char *text = g_strdup_printf("%s %010u\n", lock->holder, lock->beats++);
	gsize len = strlen(text);

	return pwrite(lock->fd, text, len, 0) == (ssize_t)len &&
	       ftruncate(lock->fd, (off_t)len) == 0 && fsync(lock->fd) == 0;
}

static void *beat(void *data)
{
	struct volume_lock *lock = data;

	g_mutex_lock(&lock->mutex);
	while (!lock->ending) {
		gint64 until = g_get_monotonic_time() + lock->options.beat_ms * 1000;

		if (g_cond_wait_until(&lock->wake, &lock->mutex, until))
			continue;
		if (is_ours(lock)) {
			/* A beat that fails: others will wait, or take over, which is seen then. */
			(void)write_beat(lock);
			continue;
		}
		if (lock->options.lost != NULL)
			g_atomic_int_set(lock->options.lost, 1);
		break;
	}
	g_mutex_unlock(&lock->mutex);
	return NULL;
}

/* Is the holder that the text names alive? It is until its text has stood still for long. */
static gboolean holder_lives(struct volume_lock *lock, const char *text)
{
	gint64 now_ms = g_get_monotonic_time() / 1000;

	if (g_strcmp0(text, lock->seen) != 0) {
		g_free(lock->seen);
		lock->seen = g_strdup(text);
		lock->seen_at_ms = now_ms;
		return TRUE;
	}
	return now_ms - lock->seen_at_ms < lock->options.stale_ms;
}

/* Where the file system has no such lock, the text alone has to do. */
static gboolean has_no_flock(int number)
{
	return number == ENOLCK || number == EOPNOTSUPP || number == EINVAL || number == ENOSYS;
}

/* `lock->fd` is open. TRUE: it is ours; else somebody else's, or there is an error. */
static gboolean take(struct volume_lock *lock, char **ret_holder, GError **error)
{
	g_autofree char *text = NULL, *holder = NULL;
	gboolean busy = FALSE;

	if (flock(lock->fd, LOCK_EX | LOCK_NB) != 0 && !has_no_flock(errno)) {
		if (errno != EWOULDBLOCK)
			return fail(lock, "locking", error);
		busy = TRUE;
	}
	text = read_text(lock);
	holder = holder_of(text);
	if (busy ||
	    (*holder != '\0' && strcmp(holder, lock->holder) != 0 && holder_lives(lock, text))) {
		*ret_holder = g_steal_pointer(&holder);
		return FALSE;
	}
	if (!write_beat(lock))
		return fail(lock, "writing", error);
	g_usleep((gulong)lock->options.settle_ms * 1000);
	if (is_ours(lock))
		return TRUE;
	g_free(text);
	text = read_text(lock);
	*ret_holder = holder_of(text);
	return FALSE;
}

gboolean volume_lock_try(struct volume_lock *lock, char **ret_holder, GError **error)
{
	g_assert(lock->fd < 0);
	lock->fd = open(lock->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0664);
	if (lock->fd < 0)
		return fail(lock, "opening", error);
	if (!take(lock, ret_holder, error)) {
		close(lock->fd);
		lock->fd = -1;
		return FALSE;
	}
	lock->thread = g_thread_new("volume-lock", beat, lock);
	return TRUE;
}

void volume_lock_free(struct volume_lock *lock)
{
	if (lock == NULL)
		return;
	if (lock->thread != NULL) {
		g_mutex_lock(&lock->mutex);
		lock->ending = TRUE;
		g_cond_signal(&lock->wake);
		g_mutex_unlock(&lock->mutex);
		g_thread_join(lock->thread);
		/* An empty text is nobody's. */
		if (is_ours(lock) && ftruncate(lock->fd, 0) == 0)
			(void)fsync(lock->fd);
	}
	if (lock->fd >= 0)
		close(lock->fd);
	g_cond_clear(&lock->wake);
	g_mutex_clear(&lock->mutex);
	g_free(lock->seen);
	g_free(lock->holder);
	g_free(lock->path);
	g_free(lock);
}
