/* Whatever is accepted as a manifest has digests that are safe as file names and sane sizes. */
#include "model/manifest.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(GError) error = NULL;
	AUTO(manifest) manifest = manifest_parse((const char *)data, size, &error);
	AUTO(model_config) config = model_config_parse((const char *)data, size, NULL);
	gint64 sum;

	g_assert_true(config == NULL || config->family == NULL || config->family[0] != '\0');
	if (manifest == NULL) {
		g_assert_nonnull(error);
		return 0;
	}
	g_assert_true(digest_is_valid(manifest->digest));
	g_assert_true(digest_is_valid(manifest->config.digest));
	g_assert_cmpuint(manifest->n_layers, <=, MANIFEST_MAX_LAYERS);
	sum = manifest->config.size_bytes;
	for (guint i = 0; i < manifest->n_layers; i++) {
		g_assert_true(digest_is_valid(manifest->layers[i].digest));
		g_assert_cmpint(manifest->layers[i].size_bytes, >=, 0);
		sum += manifest->layers[i].size_bytes;
	}
	g_assert_cmpint(manifest->size_bytes, <=, sum);
	return 0;
}
