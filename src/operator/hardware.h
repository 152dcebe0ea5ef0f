/*
 * What a Model's resources say of the hardware that its server runs on. Pure.
 */
#ifndef OPERATOR_HARDWARE_H
#define OPERATOR_HARDWARE_H

#include "json/json.h"

struct hardware {
	gboolean gpu;   /* a GPU of any vendor is asked for */
	gboolean amd;   /* amd.com/gpu is: Ollama needs its ROCm image */
	gint64 threads; /* whole CPUs of the limit, at least one; 0: no limit */
};

/* `resources` is a ResourceRequirements or NULL. */
void hardware_read(yyjson_val *resources, struct hardware *ret_hardware);

/*
 * The ROCm build of an image of Ollama's: "ollama/ollama:0.33.0" has it at the tag "0.33.0-rocm".
 * An image named by digest, or ROCm's already, stays. The caller's.
 */
char *hardware_rocm_image(const char *image);

#endif
