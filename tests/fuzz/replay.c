/*
 * A fuzzer's main without libFuzzer: runs each file of the directories that are named through it.
 * So every corpus is also a plain test, under whatever compiler and sanitizer the build has.
 */
#include <glib.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static guint replay(const char *directory)
{
	g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
	const char *name;
	guint n = 0;

	while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
		g_autofree char *path = g_build_filename(directory, name, NULL);
		g_autofree char *bytes = NULL;
		gsize len;

		if (!g_file_get_contents(path, &bytes, &len, NULL))
			continue;
		LLVMFuzzerTestOneInput((const uint8_t *)bytes, len);
		n++;
	}
	return n;
}

int main(int argc, char **argv)
{
	guint n = 0;

	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++)
		n += replay(argv[i]);
	printf("%u inputs\n", n);
	/* An empty corpus is a mistake in the build, not a pass. */
	return n == 0;
}
