/*
 * A disk that is full, and one that turns read-only: a small tmpfs in a mount namespace of our
 * own. Where such a namespace cannot be made the program says so and skips.
 */
#include "store/content.h"

#include "temp_dir.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

enum { DISK_BYTES = 1024 * 1024 };

struct fixture {
	char *root;
	struct content *content;
};

static int setup(void **state)
{
	struct fixture *fixture = g_new0(struct fixture, 1);
	g_autofree char *options = g_strdup_printf("size=%d", DISK_BYTES);

	fixture->root = temp_dir_new();
	if (mount("tmpfs", fixture->root, "tmpfs", 0, options) != 0)
		return -1;
	fixture->content = content_open(fixture->root, NULL);
	*state = fixture;
	return fixture->content == NULL ? -1 : 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	content_free(fixture->content);
	(void)umount2(fixture->root, MNT_DETACH);
	temp_dir_free(fixture->root);
	g_free(fixture);
	return 0;
}

static struct manifest_blob zeros(gsize len)
{
	g_autofree char *bytes = g_malloc0(len);
	g_autofree char *sum =
	    g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)bytes, len);

	return (struct manifest_blob){
	    .digest = g_strconcat("sha256:", sum, NULL), .size_bytes = (gint64)len};
}

/* Appends pages until it fails; the error is the caller's. */
static GError *fill(struct blob_writer *writer)
{
	static const char PAGE[4096];
	GError *error = NULL;

	while (blob_writer_append(writer, PAGE, sizeof(PAGE), &error))
		;
	return error;
}

static void a_full_disk_is_said_before(void **state)
{
	struct fixture *fixture = *state;
	g_autoptr(GError) error = NULL;

	assert_true(content_check_space(fixture->content, DISK_BYTES / 2, NULL));
	assert_false(content_check_space(fixture->content, DISK_BYTES + 1, &error));
	assert_true(g_error_matches(error, STORE_ERROR, STORE_ERROR_DISK_FULL));
	assert_non_null(strstr(error->message, "1.0 MB more are needed"));
}

/* Someone else may fill it after the check. What was received stays, and is continued. */
static void a_full_disk_is_said_in_the_middle(void **state)
{
	struct fixture *fixture = *state;
	struct manifest_blob blob = zeros(2 * DISK_BYTES), small = zeros(64 * 1024);
	struct blob_writer *writer = blob_writer_open(fixture->content, &blob, NULL, NULL);
	AUTO(blob_writer) again = NULL;
	g_autoptr(GError) error = fill(writer);
	gint64 offset = blob_writer_offset(writer);

	assert_true(g_error_matches(error, STORE_ERROR, STORE_ERROR_DISK_FULL));
	assert_string_equal(store_error_reason(error), "DiskFull");
	assert_true(offset > DISK_BYTES / 2);
	assert_int_equal(temp_dir_entries(fixture->root, "blobs"), 0);
	blob_writer_free(writer);
	again = blob_writer_open(fixture->content, &blob, NULL, NULL);
	assert_int_equal(blob_writer_offset(again), offset);
	/* Room is made: the same writer works again. */
	assert_true(blob_writer_restart(again, NULL));
	blob_writer_free(g_steal_pointer(&again));
	again = blob_writer_open(fixture->content, &small, NULL, NULL);
	for (guint i = 0; i < 16; i++) {
		static const char PAGE[4096];

		assert_true(blob_writer_append(again, PAGE, sizeof(PAGE), NULL));
	}
	assert_true(blob_writer_commit(again, NULL));
	g_free(blob.digest);
	g_free(small.digest);
}

static void a_read_only_disk(void **state)
{
	struct fixture *fixture = *state;
	struct manifest_blob blob = zeros(4096);
	g_autoptr(GError) error = NULL;

	assert_int_equal(mount(NULL, fixture->root, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	assert_null(blob_writer_open(fixture->content, &blob, NULL, &error));
	assert_true(g_error_matches(error, STORE_ERROR, STORE_ERROR_STORAGE));
	assert_string_equal(store_error_reason(error), "StorageError");
	assert_non_null(strstr(error->message, "Read-only file system"));
	g_free(blob.digest);
}

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	if (file == NULL)
		return;
	(void)!fputs(text, file);
	fclose(file);
}

/* Mounts of ours that nobody else sees; for an ordinary user by way of a user namespace. */
static gboolean enter_namespace(void)
{
	g_autofree char *uids = g_strdup_printf("0 %u 1", (unsigned)getuid());
	g_autofree char *gids = g_strdup_printf("0 %u 1", (unsigned)getgid());

	if (unshare(CLONE_NEWNS) != 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
			return FALSE;
		write_text("/proc/self/setgroups", "deny");
		write_text("/proc/self/uid_map", uids);
		write_text("/proc/self/gid_map", gids);
	}
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

#define WITH_DISK(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_DISK(a_full_disk_is_said_before),
	    WITH_DISK(a_full_disk_is_said_in_the_middle),
	    WITH_DISK(a_read_only_disk),
	};

	if (!enter_namespace()) {
		printf("1..0 # SKIP no mount namespace here: %s\n", g_strerror(errno));
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
