/*
 * strategic_merge over the two members of one JSON object, "original" and "patch": it ends, a patch
 * of nothing changes nothing, and what comes of it, refused or not, is a document.
 */
#include "fuzz.h"
#include "json/strategic.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(yyjson_doc) input = json_parse((const char *)data, size, NULL);
	g_autoptr(yyjson_mut_doc) doc = yyjson_mut_doc_new(NULL);
	g_autoptr(GError) error = NULL;
	g_autofree char *before = NULL, *same = NULL, *after = NULL;
	yyjson_mut_val *original, *patch;
	yyjson_val *root = yyjson_doc_get_root(input);

	if (yyjson_obj_get(root, "original") == NULL || yyjson_obj_get(root, "patch") == NULL)
		return 0;
	original = yyjson_val_mut_copy(doc, yyjson_obj_get(root, "original"));
	patch = yyjson_val_mut_copy(doc, yyjson_obj_get(root, "patch"));
	yyjson_mut_doc_set_root(doc, original);
	before = json_mut_print(original, NULL);
	if (yyjson_mut_is_obj(original)) {
		g_assert(strategic_merge(
		    doc, original, yyjson_mut_obj(doc), STRATEGIC_POD_TEMPLATE, NULL));
		same = json_mut_print(original, NULL);
		g_assert(strcmp(before, same) == 0);
	}
	g_assert(strategic_merge(doc, original, patch, STRATEGIC_POD_TEMPLATE, &error) ==
		 (error == NULL));
	after = json_mut_print(original, NULL);
	return 0;
}
