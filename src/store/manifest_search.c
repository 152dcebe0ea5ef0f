/* A model's manifest by digest, or by a name in whatever case. */
#include "store/content.h"

#include <string.h>

/* What is looked for among the tags, and what was found. */
struct manifest_search {
	const struct content *content;
	const struct reference *wanted;
	const char *digest;
	GBytes *found;
};

static gboolean same_word(const char *a, const char *b)
{
	return g_ascii_strcasecmp(a, b) == 0;
}

static void look_at_manifest(void *data, const struct reference *reference)
{
	struct manifest_search *search = data;
	const struct reference *wanted = search->wanted;
	g_autoptr(GBytes) bytes = NULL;
	AUTO(manifest) manifest = NULL;
	const char *text;
	gsize len;

	if (search->found != NULL || !same_word(reference->host, wanted->host) ||
	    !same_word(reference->namespace, wanted->namespace) ||
	    !same_word(reference->model, wanted->model) ||
	    (search->digest == NULL && !same_word(reference->tag, wanted->tag)))
		return;
	bytes = content_load_manifest(search->content, reference);
	text = bytes == NULL ? NULL : g_bytes_get_data(bytes, &len);
	manifest = text == NULL ? NULL : manifest_parse(text, len, NULL);
	if (manifest != NULL && content_has_model(search->content, manifest) &&
	    (search->digest == NULL || strcmp(search->digest, manifest->digest) == 0))
		search->found = g_steal_pointer(&bytes);
}

GBytes *content_find_manifest(
    const struct content *content, const struct reference *reference, const char *digest)
{
	struct manifest_search search = {content, reference, digest, NULL};

	/* As it is written first: that costs one open instead of a walk. */
	if (digest == NULL)
		look_at_manifest(&search, reference);
	if (search.found == NULL)
		content_foreach_manifest(content, look_at_manifest, &search);
	return search.found;
}
