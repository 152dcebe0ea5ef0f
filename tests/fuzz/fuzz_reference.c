/*
 * A name that is accepted names the same model when it is written out in full, and stays inside
 * the directory that it is put into.
 */
#include "model/reference.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = g_strndup((const char *)data, size);
	g_autoptr(GError) error = NULL;
	AUTO(reference) reference = reference_parse(text, &error);
	AUTO(reference) again = NULL;
	g_autofree char *full = NULL, *full_again = NULL, *path = NULL, *shortest = NULL;
	g_auto(GStrv) steps = NULL;

	if (reference == NULL) {
		g_assert_nonnull(error);
		g_assert_true(g_utf8_validate(error->message, -1, NULL));
		return 0;
	}
	full = reference_full(reference);
	again = reference_parse(full, NULL);
	full_again = reference_full(again);
	g_assert_cmpstr(full, ==, full_again);
	shortest = reference_short(reference);
	g_assert_nonnull(strrchr(shortest, ':'));
	path = reference_manifest_path(reference);
	steps = g_strsplit(path, "/", -1);
	g_assert_cmpuint(g_strv_length(steps), ==, 5);
	for (char **step = steps; *step != NULL; step++)
		g_assert_true((*step)[0] != '.' && (*step)[0] != '\0');
	return 0;
}
