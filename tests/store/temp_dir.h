/* A directory for one test, below $TMPDIR; removed with all that is in it. */
#ifndef TESTS_STORE_TEMP_DIR_H
#define TESTS_STORE_TEMP_DIR_H

#include <glib.h>

char *temp_dir_new(void);
/* Removes it and frees the name. */
void temp_dir_free(char *path);
/* How many entries a directory has; -1: it cannot be read. */
int temp_dir_entries(const char *root, const char *path);
/* A file's bytes below `root`; NULL: none. */
GBytes *temp_dir_read(const char *root, const char *path);
void temp_dir_write(const char *root, const char *path, const char *bytes, gsize len);

#endif
