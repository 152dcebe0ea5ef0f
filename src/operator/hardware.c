#include "operator/hardware.h"

#include "base/quantity.h"

#include <string.h>

#define AMD_GPU "amd.com/gpu"

/*
 * Extended resources of GPUs: nvidia.com/gpu and its MIG slices (nvidia.com/mig-1g.5gb),
 * amd.com/gpu, gpu.intel.com/i915 and xe.
 */
static gboolean is_gpu(const char *name)
{
	return g_str_has_suffix(name, "/gpu") || g_str_has_prefix(name, "gpu.intel.com/") ||
	       g_str_has_prefix(name, "nvidia.com/");
}

static gboolean is_zero(yyjson_val *quantity)
{
	gint64 value;

	if (yyjson_is_int(quantity))
		return yyjson_get_sint(quantity) == 0;
	return yyjson_is_str(quantity) && quantity_parse(yyjson_get_str(quantity), &value) &&
	       value == 0;
}

static void read_list(yyjson_val *list, struct hardware *hardware)
{
	yyjson_obj_iter iter;
	yyjson_val *key;

	yyjson_obj_iter_init(list, &iter);
	while ((key = yyjson_obj_iter_next(&iter)) != NULL) {
		const char *name = yyjson_get_str(key);

		if (!is_gpu(name) || is_zero(yyjson_obj_iter_get_val(key)))
			continue;
		hardware->gpu = TRUE;
		hardware->amd |= strcmp(name, AMD_GPU) == 0;
	}
}

static gint64 whole_cpus(yyjson_val *limit)
{
	gint64 milli;

	if (yyjson_is_int(limit))
		return MAX(yyjson_get_sint(limit), 0);
	if (!yyjson_is_str(limit) || !quantity_parse_milli(yyjson_get_str(limit), &milli) ||
	    milli <= 0)
		return 0;
	/* A thread beyond the limit only waits for its turn, and lets the others wait for it. */
	return MAX(milli / 1000, 1);
}

void hardware_read(yyjson_val *resources, struct hardware *ret_hardware)
{
	memset(ret_hardware, 0, sizeof(*ret_hardware));
	read_list(json_at(resources, "limits", NULL), ret_hardware);
	read_list(json_at(resources, "requests", NULL), ret_hardware);
	ret_hardware->threads = whole_cpus(json_at(resources, "limits", "cpu", NULL));
}

char *hardware_rocm_image(const char *image)
{
	const char *slash = strrchr(image, '/');
	const char *tag = strrchr(slash != NULL ? slash : image, ':');

	if (strchr(image, '@') != NULL || g_str_has_suffix(image, "rocm"))
		return g_strdup(image);
	if (tag == NULL || strcmp(tag, ":latest") == 0)
		return g_strdup_printf(
		    "%.*s:rocm", (int)(tag == NULL ? strlen(image) : (gsize)(tag - image)), image);
	return g_strconcat(image, "-rocm", NULL);
}
