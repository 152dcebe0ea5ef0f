/* Who may write to a shared volume, with and without file locks that are shared. */
#include "store/volume_lock.h"

#include "temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
	*state = temp_dir_new();
	return 0;
}

static int teardown(void **state)
{
	temp_dir_free(*state);
	return 0;
}

static struct volume_lock *lock_of(const char *root, const char *holder, gint *lost)
{
	const struct volume_lock_options options = {.directory = root,
	    .holder = holder,
	    .beat_ms = 20,
	    .stale_ms = 200,
	    .settle_ms = 1,
	    .lost = lost};

	return volume_lock_new(&options);
}

static void one_holds_it_the_other_is_told_who(void **state)
{
	AUTO(volume_lock) a = lock_of(*state, "pod-a", NULL);
	AUTO(volume_lock) b = lock_of(*state, "pod-b", NULL);
	g_autofree char *holder = NULL;
	g_autoptr(GError) error = NULL;

	assert_true(volume_lock_try(a, &holder, &error));
	assert_false(volume_lock_try(b, &holder, &error));
	assert_null(error);
	assert_string_equal(holder, "pod-a");
	volume_lock_free(g_steal_pointer(&a));
	/* Given up in order: nothing to wait for. */
	g_clear_pointer(&holder, g_free);
	assert_true(volume_lock_try(b, &holder, &error));
}

/* As if the file system did not share locks: there is nothing but the text. */
static void a_text_that_stands_still_is_a_dead_holders(void **state)
{
	static const char text[] = "pod-dead 0000000007\n";
	AUTO(volume_lock) lock = lock_of(*state, "pod-b", NULL);
	gint64 begin = g_get_monotonic_time();
	gboolean taken = FALSE;
	guint refused = 0;

	temp_dir_write(*state, VOLUME_LOCK_FILE, text, strlen(text));
	while (!taken && g_get_monotonic_time() - begin < 20 * G_USEC_PER_SEC) {
		g_autofree char *holder = NULL;

		taken = volume_lock_try(lock, &holder, NULL);
		refused += !taken;
		if (!taken) {
			assert_string_equal(holder, "pod-dead");
			g_usleep(1000);
		}
	}
	assert_true(taken);
	assert_true(refused >= 1);
	assert_true(g_get_monotonic_time() - begin >= 200 * 1000);
}

static void the_same_pod_goes_on_at_once(void **state)
{
	static const char text[] = "pod-a 0000000007\n";
	AUTO(volume_lock) lock = lock_of(*state, "pod-a", NULL);
	g_autofree char *holder = NULL;

	temp_dir_write(*state, VOLUME_LOCK_FILE, text, strlen(text));
	assert_true(volume_lock_try(lock, &holder, NULL));
}

static void a_holder_that_was_taken_for_dead_hears_of_it(void **state)
{
	static const char text[] = "pod-b 0000000000\n";
	gint lost = 0;
	AUTO(volume_lock) lock = lock_of(*state, "pod-a", &lost);
	g_autofree char *holder = NULL;
	g_autoptr(GBytes) left = NULL;

	assert_true(volume_lock_try(lock, &holder, NULL));
	temp_dir_write(*state, VOLUME_LOCK_FILE, text, strlen(text));
	for (guint i = 0; i < 20000 && !g_atomic_int_get(&lost); i++)
		g_usleep(1000);
	assert_true(g_atomic_int_get(&lost));
	volume_lock_free(g_steal_pointer(&lock));
	/* And takes nothing away from the other one. */
	left = temp_dir_read(*state, VOLUME_LOCK_FILE);
	assert_int_equal(g_bytes_get_size(left), strlen(text));
}

static void a_volume_that_is_not_there(void **state)
{
	g_autofree char *path = g_build_filename(*state, "nowhere", NULL);
	AUTO(volume_lock) lock = lock_of(path, "pod-a", NULL);
	g_autofree char *holder = NULL;
	g_autoptr(GError) error = NULL;

	assert_false(volume_lock_try(lock, &holder, &error));
	assert_true(g_error_matches(error, STORE_ERROR, STORE_ERROR_STORAGE));
	assert_non_null(strstr(error->message, VOLUME_LOCK_FILE));
}

#define WITH_DIR(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_DIR(one_holds_it_the_other_is_told_who),
	    WITH_DIR(a_text_that_stands_still_is_a_dead_holders),
	    WITH_DIR(the_same_pod_goes_on_at_once),
	    WITH_DIR(a_holder_that_was_taken_for_dead_hears_of_it),
	    WITH_DIR(a_volume_that_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
