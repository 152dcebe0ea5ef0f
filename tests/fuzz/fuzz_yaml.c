/* yaml_read: every document can be written, and what was written reads back as the same value. */
#include "fuzz.h"
#include "json/yaml.h"

#include <string.h>

static void check_round_trip(yyjson_val *value)
{
	g_autofree char *text = yaml_write(value);
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) again = yaml_read(text, strlen(text), &error);

	if (again == NULL || again->len != 1)
		g_error("not readable again: %s\n%s", error != NULL ? error->message : "", text);
	if (!yyjson_equals(yyjson_doc_get_root(again->pdata[0]), value) &&
	    !json_covers(yyjson_doc_get_root(again->pdata[0]), value))
		g_error("another value: %s", text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) docs = yaml_read((const char *)data, size, &error);

	g_assert((docs == NULL) == (error != NULL));
	for (guint i = 0; docs != NULL && i < docs->len; i++)
		check_round_trip(yyjson_doc_get_root(docs->pdata[i]));
	return 0;
}
