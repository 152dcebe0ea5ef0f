/* Percent-encoding comes back as it was; queries give decoded values or nothing. */
#include "fuzz.h"
#include "net/url.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = g_strndup((const char *)data, size);
	g_autofree char *encoded = url_encode(text);
	g_autofree char *back = url_decode(encoded, strlen(encoded));
	g_autofree char *decoded = url_decode((const char *)data, size);
	g_autofree char *query = g_strconcat("key=", encoded, "&key=other", NULL);
	g_autofree char *value = url_query_get(query, "key");
	g_autofree char *found = url_query_get(text, "a");

	g_assert_cmpstr(back, ==, text);
	g_assert_cmpstr(value, ==, text);
	g_assert(strspn(encoded, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				 "-._~%") == strlen(encoded));
	g_assert(decoded == NULL || strlen(decoded) <= size);
	g_assert(found == NULL || strlen(found) <= size);
	return 0;
}
