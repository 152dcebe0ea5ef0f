/* The content store on disk: what is visible when, what is linked to what, what is refused. */
#include "store/content.h"

#include "temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* The blob that holds this text. */
static struct manifest_blob blob_of(const char *text)
{
	g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);

	return (struct manifest_blob){
	    .digest = g_strconcat("sha256:", sum, NULL), .size_bytes = (gint64)strlen(text)};
}

struct fixture {
	char *root;
	struct content *content;
};

static int setup(void **state)
{
	struct fixture *fixture = g_new0(struct fixture, 1);

	fixture->root = temp_dir_new();
	fixture->content = content_open(fixture->root, NULL);
	*state = fixture;
	return fixture->content == NULL ? -1 : 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	content_free(fixture->content);
	temp_dir_free(fixture->root);
	g_free(fixture);
	return 0;
}

static void put_blob(struct fixture *fixture, const char *text)
{
	struct manifest_blob blob = blob_of(text);
	AUTO(blob_writer) writer = blob_writer_open(fixture->content, &blob, NULL, NULL);

	assert_non_null(writer);
	assert_true(blob_writer_append(writer, text, strlen(text), NULL));
	assert_true(blob_writer_commit(writer, NULL));
	g_free(blob.digest);
}

static struct stat stat_of(const char *root, const char *path)
{
	g_autofree char *full = g_build_filename(root, path, NULL);
	struct stat st;

	assert_int_equal(lstat(full, &st), 0);
	return st;
}

static char *blob_path(const char *directory, const char *text)
{
	struct manifest_blob blob = blob_of(text);
	g_autofree char *name = digest_file_name(blob.digest);

	g_free(blob.digest);
	return g_build_filename(directory, name, NULL);
}

/* --- blobs ---------------------------------------------------------------------------------- */

static void a_blob_is_visible_when_it_is_whole(void **state)
{
	struct fixture *fixture = *state;
	struct manifest_blob blob = blob_of("hello\n");
	g_autofree char *path = blob_path("blobs", "hello\n");
	AUTO(blob_writer) writer = blob_writer_open(fixture->content, &blob, NULL, NULL);

	assert_true(blob_writer_append(writer, "hel", 3, NULL));
	assert_false(content_has_blob(fixture->content, &blob));
	assert_int_equal(content_bytes_of_blob(fixture->content, &blob), 3);
	assert_int_equal(temp_dir_entries(fixture->root, "blobs"), 0);
	assert_true(blob_writer_append(writer, "lo\n", 3, NULL));
	assert_int_equal(temp_dir_entries(fixture->root, "blobs"), 0);
	assert_true(blob_writer_commit(writer, NULL));
	assert_true(content_has_blob(fixture->content, &blob));
	assert_int_equal(temp_dir_entries(fixture->root, "partial"), 0);
	assert_int_equal(stat_of(fixture->root, path).st_mode & 07777, 0644);
	assert_int_equal(stat_of(fixture->root, "blobs").st_mode & 07777, 0755);
	g_free(blob.digest);
}

static void what_was_received_is_kept_and_hashed_again(void **state)
{
	struct fixture *fixture = *state;
	struct manifest_blob blob = blob_of("hello\n");
	struct blob_writer *first = blob_writer_open(fixture->content, &blob, NULL, NULL);
	AUTO(blob_writer) second = NULL;

	assert_true(blob_writer_append(first, "hell", 4, NULL));
	blob_writer_free(first);
	second = blob_writer_open(fixture->content, &blob, NULL, NULL);
	assert_int_equal(blob_writer_offset(second), 4);
	assert_true(blob_writer_append(second, "o\n", 2, NULL));
	assert_true(blob_writer_commit(second, NULL));
	g_free(blob.digest);
}

static void wrong_bytes_are_thrown_away(void **state)
{
	struct fixture *fixture = *state;
	struct manifest_blob blob = blob_of("hello\n");
	AUTO(blob_writer) writer = blob_writer_open(fixture->content, &blob, NULL, NULL);
	g_autoptr(GError) error = NULL;

	assert_true(blob_writer_append(writer, "hallo\n", 6, NULL));
	assert_false(blob_writer_commit(writer, &error));
	assert_true(g_error_matches(error, STORE_ERROR, STORE_ERROR_DIGEST_MISMATCH));
	assert_string_equal(store_error_reason(error), "DigestMismatch");
	assert_int_equal(temp_dir_entries(fixture->root, "partial"), 0);
	assert_int_equal(temp_dir_entries(fixture->root, "blobs"), 0);
	g_free(blob.digest);
}

static void too_many_bytes_are_not_written(void **state)
{
	struct fixture *fixture = *state;
	struct manifest_blob blob = blob_of("hello\n");
	AUTO(blob_writer) writer = blob_writer_open(fixture->content, &blob, NULL, NULL);
	g_autoptr(GError) error = NULL, early = NULL;

	assert_false(blob_writer_append(writer, "hello\nX", 7, &error));
	assert_true(g_error_matches(error, STORE_ERROR, STORE_ERROR_SIZE_MISMATCH));
	assert_int_equal(blob_writer_offset(writer), 0);
	assert_true(blob_writer_append(writer, "hello", 5, NULL));
	assert_false(blob_writer_commit(writer, &early));
	assert_true(g_error_matches(early, STORE_ERROR, STORE_ERROR_REGISTRY_UNAVAILABLE));
	assert_int_equal(content_bytes_of_blob(fixture->content, &blob), 5);
	g_free(blob.digest);
}

/* A partial file that is longer than the blob can be is of no use. */
static void a_partial_that_is_too_long_starts_over(void **state)
{
	struct fixture *fixture = *state;
	struct manifest_blob blob = blob_of("hello\n");
	g_autofree char *path = blob_path("partial", "hello\n");
	AUTO(blob_writer) writer = NULL;

	temp_dir_write(fixture->root, path, "hello\nand more", 14);
	writer = blob_writer_open(fixture->content, &blob, NULL, NULL);
	assert_int_equal(blob_writer_offset(writer), 0);
	assert_true(blob_writer_append(writer, "hello\n", 6, NULL));
	assert_true(blob_writer_commit(writer, NULL));
	g_free(blob.digest);
}

static void one_writer_per_blob(void **state)
{
	struct fixture *fixture = *state;
	struct manifest_blob blob = blob_of("hello\n");
	AUTO(blob_writer) first = blob_writer_open(fixture->content, &blob, NULL, NULL);
	g_autoptr(GError) error = NULL;

	assert_non_null(first);
	assert_null(blob_writer_open(fixture->content, &blob, NULL, &error));
	assert_true(g_error_matches(error, STORE_ERROR, STORE_ERROR_IN_USE));
	g_free(blob.digest);
}

static void an_empty_blob(void **state)
{
	struct fixture *fixture = *state;
	struct manifest_blob blob = blob_of("");
	AUTO(blob_writer) writer = blob_writer_open(fixture->content, &blob, NULL, NULL);

	assert_true(blob_writer_commit(writer, NULL));
	assert_true(content_has_blob(fixture->content, &blob));
	g_free(blob.digest);
}

/* A link in place of a partial file is not followed. */
static void a_link_is_not_written_through(void **state)
{
	struct fixture *fixture = *state;
	struct manifest_blob blob = blob_of("hello\n");
	g_autofree char *path = blob_path("partial", "hello\n");
	g_autofree char *full = g_build_filename(fixture->root, path, NULL);
	g_autoptr(GError) error = NULL;

	assert_int_equal(symlink("../victim", full), 0);
	assert_null(blob_writer_open(fixture->content, &blob, NULL, &error));
	assert_true(g_error_matches(error, STORE_ERROR, STORE_ERROR_STORAGE));
	assert_int_equal(temp_dir_entries(fixture->root, "victim"), -1);
	g_free(blob.digest);
}

/* --- views ---------------------------------------------------------------------------------- */

static struct manifest *put_model(struct fixture *fixture, GBytes **ret_bytes)
{
	struct manifest_blob config = blob_of("config\n"), layer = blob_of("layer\n");
	char *text = g_strdup_printf("{\"config\":{\"digest\":\"%s\",\"size\":7},"
				     "\"layers\":[{\"digest\":\"%s\",\"size\":6}]}",
	    config.digest, layer.digest);
	struct manifest *manifest = manifest_parse(text, strlen(text), NULL);

	put_blob(fixture, "config\n");
	put_blob(fixture, "layer\n");
	*ret_bytes = g_bytes_new_take(text, strlen(text));
	g_free(config.digest);
	g_free(layer.digest);
	return manifest;
}

static void a_view_is_an_ollama_directory(void **state)
{
	struct fixture *fixture = *state;
	g_autoptr(GBytes) bytes = NULL;
	AUTO(manifest) manifest = put_model(fixture, &bytes);
	AUTO(reference) reference = reference_parse("localhost:5000/a/b:c", NULL);
	g_autofree char *key =
	    content_make_view(fixture->content, reference, manifest, bytes, NULL);
	g_autofree char *again =
	    content_make_view(fixture->content, reference, manifest, bytes, NULL);
	g_autofree char *path = g_strdup_printf("views/%s/manifests/localhost:5000/a/b/c", key);
	g_autofree char *inner = blob_path("blobs", "layer\n");
	g_autofree char *layer = g_strdup_printf("views/%s/%s", key, inner);
	g_autoptr(GBytes) read = temp_dir_read(fixture->root, path);

	assert_int_equal(strlen(key), 32);
	assert_string_equal(key, again);
	assert_true(g_bytes_equal(read, bytes));
	assert_int_equal(stat_of(fixture->root, path).st_mode & 07777, 0644);
	assert_int_equal(stat_of(fixture->root, layer).st_nlink, 2);
	assert_true(stat_of(fixture->root, layer).st_ino == stat_of(fixture->root, inner).st_ino);
	assert_int_equal(temp_dir_entries(fixture->root, "views"), 1);
}

static void a_view_needs_all_blobs(void **state)
{
	struct fixture *fixture = *state;
	g_autoptr(GBytes) bytes = NULL;
	AUTO(manifest) manifest = put_model(fixture, &bytes);
	AUTO(reference) reference = reference_parse("b", NULL);
	g_autofree char *inner = blob_path("blobs", "layer\n");
	g_autofree char *full = g_build_filename(fixture->root, inner, NULL);
	g_autoptr(GError) error = NULL;

	assert_true(content_has_model(fixture->content, manifest));
	assert_int_equal(unlink(full), 0);
	assert_false(content_has_model(fixture->content, manifest));
	assert_null(content_make_view(fixture->content, reference, manifest, bytes, &error));
	assert_true(g_error_matches(error, STORE_ERROR, STORE_ERROR_STORAGE));
	assert_int_equal(temp_dir_entries(fixture->root, "views"), 0);
}

static void a_pods_link_moves(void **state)
{
	struct fixture *fixture = *state;
	char *target = NULL;
	g_autofree char *path = g_build_filename(fixture->root, "pods/uid-1", NULL);
	const char *const KEYS[] = {
	    "0123456789abcdef0123456789abcdef", "ffffffffffffffffffffffffffffffff"};

	for (guint i = 0; i < G_N_ELEMENTS(KEYS); i++) {
		g_autofree char *want = g_strconcat("../views/", KEYS[i], NULL);

		assert_true(content_link_pod(fixture->content, "uid-1", KEYS[i], NULL));
		target = g_file_read_link(path, NULL);
		assert_string_equal(target, want);
		g_free(target);
	}
	assert_int_equal(temp_dir_entries(fixture->root, "pods"), 1);
}

static void pod_uids(void **state)
{
	g_autofree char *longest = g_strnfill(64, 'a');
	g_autofree char *longer = g_strnfill(65, 'a');

	(void)state;
	assert_true(pod_uid_is_valid("b5a1c7e0-1111-4222-8333-444455556666"));
	assert_true(pod_uid_is_valid(longest));
	assert_false(pod_uid_is_valid(longer));
	assert_false(pod_uid_is_valid(""));
	assert_false(pod_uid_is_valid(".."));
	assert_false(pod_uid_is_valid("../x"));
	assert_false(pod_uid_is_valid("a/b"));
	assert_false(pod_uid_is_valid("a.b"));
	assert_false(pod_uid_is_valid("a\n"));
}

/* --- tags ----------------------------------------------------------------------------------- */

static void collect(void *data, const struct reference *reference)
{
	g_ptr_array_add(data, reference_full(reference));
}

static void tags_are_remembered(void **state)
{
	struct fixture *fixture = *state;
	AUTO(reference) reference = reference_parse("localhost:5000/a/b:c", NULL);
	g_autoptr(GBytes) one = g_bytes_new_static("one", 3), two = g_bytes_new_static("two", 3);
	g_autoptr(GBytes) read = NULL;
	g_autoptr(GPtrArray) known = g_ptr_array_new_with_free_func(g_free);

	assert_null(content_load_manifest(fixture->content, reference));
	assert_true(content_save_manifest(fixture->content, reference, one, NULL));
	assert_true(content_save_manifest(fixture->content, reference, two, NULL));
	read = content_load_manifest(fixture->content, reference);
	assert_true(g_bytes_equal(read, two));
	temp_dir_write(fixture->root, "manifests/stray", "x", 1);
	content_foreach_manifest(fixture->content, collect, known);
	assert_int_equal(known->len, 1);
	assert_string_equal(known->pdata[0], "localhost:5000/a/b:c");
}

/* --- the directory -------------------------------------------------------------------------- */

static void one_store_per_directory(void **state)
{
	struct fixture *fixture = *state;
	g_autoptr(GError) error = NULL;

	assert_null(content_open(fixture->root, &error));
	assert_true(g_error_matches(error, STORE_ERROR, STORE_ERROR_IN_USE));
	assert_non_null(strstr(error->message, fixture->root));
	content_free(fixture->content);
	fixture->content = content_open(fixture->root, NULL);
	assert_non_null(fixture->content);
}

static void orphans_go_at_start(void **state)
{
	struct fixture *fixture = *state;
	g_autofree char *view = g_build_filename(fixture->root, "views/.tmp-1-2/blobs", NULL);
	g_autofree char *link = g_build_filename(fixture->root, "pods/.tmp-1-3", NULL);
	g_autofree char *inside = g_build_filename(fixture->root, "views/.tmp-1-2/away", NULL);

	content_free(fixture->content);
	assert_int_equal(g_mkdir_with_parents(view, 0755), 0);
	temp_dir_write(fixture->root, "views/.tmp-1-2/blobs/x", "x", 1);
	temp_dir_write(fixture->root, "blobs/keep", "x", 1);
	/* A link inside leads to what must stay. */
	assert_int_equal(symlink("../../blobs", inside), 0);
	assert_int_equal(symlink("../views/x", link), 0);
	fixture->content = content_open(fixture->root, NULL);
	assert_int_equal(temp_dir_entries(fixture->root, "views"), 0);
	assert_int_equal(temp_dir_entries(fixture->root, "pods"), 0);
	assert_int_equal(temp_dir_entries(fixture->root, "blobs"), 1);
}

static void space_is_checked(void **state)
{
	struct fixture *fixture = *state;
	g_autoptr(GError) error = NULL;

	assert_true(content_check_space(fixture->content, 1, NULL));
	assert_false(content_check_space(fixture->content, G_GINT64_CONSTANT(1) << 61, &error));
	assert_true(g_error_matches(error, STORE_ERROR, STORE_ERROR_DISK_FULL));
	assert_non_null(strstr(error->message, "2305843 TB more are needed"));
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_STORE(a_blob_is_visible_when_it_is_whole),
	    WITH_STORE(what_was_received_is_kept_and_hashed_again),
	    WITH_STORE(wrong_bytes_are_thrown_away),
	    WITH_STORE(too_many_bytes_are_not_written),
	    WITH_STORE(a_partial_that_is_too_long_starts_over),
	    WITH_STORE(one_writer_per_blob),
	    WITH_STORE(an_empty_blob),
	    WITH_STORE(a_link_is_not_written_through),
	    WITH_STORE(a_view_is_an_ollama_directory),
	    WITH_STORE(a_view_needs_all_blobs),
	    WITH_STORE(a_pods_link_moves),
	    WITH_STORE(pod_uids),
	    WITH_STORE(tags_are_remembered),
	    WITH_STORE(one_store_per_directory),
	    WITH_STORE(orphans_go_at_start),
	    WITH_STORE(space_is_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
