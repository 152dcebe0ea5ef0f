#include "temp_dir.h"

#include <fcntl.h>
#include <stdlib.h>

#include "store/content_priv.h"

char *temp_dir_new(void)
{
	char *path = g_dir_make_tmp("store-test-XXXXXX", NULL);

	if (path == NULL)
		abort();
	return path;
}

void temp_dir_free(char *path)
{
	content_remove_tree(AT_FDCWD, path);
	g_free(path);
}

int temp_dir_entries(const char *root, const char *path)
{
	g_autofree char *full = g_build_filename(root, path, NULL);
	g_autoptr(GDir) dir = g_dir_open(full, 0, NULL);
	int n = 0;

	while (dir != NULL && g_dir_read_name(dir) != NULL)
		n++;
	return dir == NULL ? -1 : n;
}

GBytes *temp_dir_read(const char *root, const char *path)
{
	g_autofree char *full = g_build_filename(root, path, NULL);
	char *bytes = NULL;
	gsize len;

	return g_file_get_contents(full, &bytes, &len, NULL) ? g_bytes_new_take(bytes, len) : NULL;
}

void temp_dir_write(const char *root, const char *path, const char *bytes, gsize len)
{
	g_autofree char *full = g_build_filename(root, path, NULL);

	if (!g_file_set_contents(full, bytes, (gssize)len, NULL))
		abort();
}
