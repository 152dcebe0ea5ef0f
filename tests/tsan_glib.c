/*
 * Tells ThreadSanitizer about GLib's locks, which are futexes inside a library that it doesn't see
 * into: without this every mutex would look like none. The functions here stand before GLib's and
 * call them. Part of the tests only when they are built with -Db_sanitize=thread.
 *
 * Why no test code calls them by another name: the code under test must stay as it is.
 */
#include <dlfcn.h>
#include <glib.h>
#include <sanitizer/tsan_interface.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

G_GNUC_BEGIN_IGNORE_DEPRECATIONS

void g_mutex_lock(GMutex *mutex)
{
	REAL(g_mutex_lock)(mutex);
	__tsan_acquire(mutex);
}

void g_mutex_unlock(GMutex *mutex)
{
	__tsan_release(mutex);
	REAL(g_mutex_unlock)(mutex);
}

void g_cond_wait(GCond *cond, GMutex *mutex)
{
	__tsan_release(mutex);
	REAL(g_cond_wait)(cond, mutex);
	__tsan_acquire(mutex);
}

gboolean g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_time)
{
	gboolean signalled;

	__tsan_release(mutex);
	signalled = REAL(g_cond_wait_until)(cond, mutex, end_time);
	__tsan_acquire(mutex);
	return signalled;
}

/* Its counter is atomic inside the library: who lets go last comes after all others. */
void g_byte_array_unref(GByteArray *array)
{
	__tsan_release(array);
	__tsan_acquire(array);
	REAL(g_byte_array_unref)(array);
}

/* A queue hands over what was written before the push. */
void g_async_queue_push(GAsyncQueue *queue, gpointer data)
{
	__tsan_release(queue);
	REAL(g_async_queue_push)(queue, data);
}

gpointer g_async_queue_pop(GAsyncQueue *queue)
{
	gpointer data = REAL(g_async_queue_pop)(queue);

	__tsan_acquire(queue);
	return data;
}

gpointer g_async_queue_try_pop(GAsyncQueue *queue)
{
	gpointer data = REAL(g_async_queue_try_pop)(queue);

	__tsan_acquire(queue);
	return data;
}

gpointer g_async_queue_timeout_pop(GAsyncQueue *queue, guint64 timeout)
{
	gpointer data = REAL(g_async_queue_timeout_pop)(queue, timeout);

	__tsan_acquire(queue);
	return data;
}

G_GNUC_END_IGNORE_DEPRECATIONS
