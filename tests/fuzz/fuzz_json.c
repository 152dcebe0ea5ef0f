/* json_parse: whatever is read can be printed, and the print reads back as the same value. */
#include "fuzz.h"
#include "json/json.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(yyjson_doc) doc = json_parse((const char *)data, size, &error);
	g_autoptr(yyjson_doc) first = NULL;
	gsize used = 0;

	g_assert((doc == NULL) == (error != NULL));
	first = json_parse_first((const char *)data, size, &used, NULL);
	g_assert(doc == NULL || first != NULL);
	g_assert(used <= size);
	if (first != NULL) {
		g_autofree char *text = json_print(yyjson_doc_get_root(first), NULL);
		g_autoptr(yyjson_doc) again = json_parse(text, strlen(text), NULL);
		g_autofree char *text_again = NULL;

		g_assert(again != NULL);
		text_again = json_print(yyjson_doc_get_root(again), NULL);
		g_assert(strcmp(text, text_again) == 0);
		json_str(yyjson_doc_get_root(first), "a", "b", NULL);
		json_int(yyjson_doc_get_root(first), 0, "a", NULL);
	}
	return 0;
}
