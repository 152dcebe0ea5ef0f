/* What an administrator says about registries: which are insecure, which have mirrors. */
#include "store/registry_client.h"

#include <string.h>

static gboolean refuse(GError **error, const char *item, const char *form)
{
	g_set_error(error, STORE_ERROR, STORE_ERROR_INVALID_IMAGE, "\"%s\" is not %s", item, form);
	return FALSE;
}

static gboolean is_host(const char *text)
{
	return text[0] != '\0' && strpbrk(text, "/@?# \t\"\\") == NULL;
}

static GHashTable *parse_list(const char *text,
    gboolean (*add)(GHashTable *table, char *item, GError **error), GError **error)
{
	/* Keys come from the administrator, and in lower case. */
	g_autoptr(GHashTable) table =
	    g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	g_auto(GStrv) items = g_strsplit(text != NULL ? text : "", ",", -1);

	for (char **item = items; *item != NULL; item++) {
		g_strstrip(*item);
		if ((*item)[0] != '\0' && !add(table, *item, error))
			return NULL;
	}
	return g_steal_pointer(&table);
}

static gboolean add_host(GHashTable *table, char *item, GError **error)
{
	if (!is_host(item))
		return refuse(error, item, "a registry's host or host:port");
	g_hash_table_add(table, g_ascii_strdown(item, -1));
	return TRUE;
}

static gboolean add_mirror(GHashTable *table, char *item, GError **error)
{
	char *equals = strchr(item, '=');
	g_autofree char *whole = g_strdup(item);
	char *url;
	gsize len;

	if (equals == NULL)
		return refuse(error, whole, "a mirror of the form host=URL");
	*equals = '\0';
	url = g_strstrip(equals + 1);
	g_strchomp(item);
	if (!is_host(item) ||
	    !(g_str_has_prefix(url, "http://") || g_str_has_prefix(url, "https://")) ||
	    strpbrk(url, "?# \t\"\\") != NULL)
		return refuse(
		    error, whole, "a mirror of the form host=http://... or host=https://...");
	for (len = strlen(url); len > 0 && url[len - 1] == '/'; len--)
		url[len - 1] = '\0';
	g_hash_table_replace(table, g_ascii_strdown(item, -1), g_strdup(url));
	return TRUE;
}

GHashTable *registry_parse_hosts(const char *text, GError **error)
{
	return parse_list(text, add_host, error);
}

GHashTable *registry_parse_mirrors(const char *text, GError **error)
{
	return parse_list(text, add_mirror, error);
}
