/*
 * spec.podTemplate: the user's own pod, merged over what the operator makes. Pure.
 *
 * From the weakest to the strongest:
 *   1. the operator's defaults;
 *   2. spec.podTemplate, by Kubernetes' strategic merge (json/strategic.h): so a container `server`
 *      or an init container `fetch` amends ours, any other is added;
 *   3. the Model's own fields: serverImage, resources, extraEnv, extraEnvFrom, runtimeClassName,
 *      imagePullSecrets;
 *   4. what the operator cannot do without: the labels and annotations by which it finds its pods,
 *      the volumes `models` and `tools` and their mounts, the arguments of `fetch`, POD_UID, and a
 *      port with the name that the Service asks for.
 *
 * Where a user names another of things that exclude each other (a probe's handler, a variable's
 * value or source, a volume's kind), the operator's default goes: strictly merged, the pod would
 * have both, which the API server refuses.
 *
 * Ownership: all of the template's document. Threads: those of the document.
 */
#ifndef OPERATOR_TEMPLATE_H
#define OPERATOR_TEMPLATE_H

#include "model/resource.h"

/*
 * Amends `template`, a PodTemplateSpec as the operator makes it for `model`. FALSE when the user's
 * cannot be merged; the error names its place from the Model's "spec." on.
 */
gboolean template_amend(yyjson_mut_doc *doc, yyjson_mut_val *template, const struct model *model,
    GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
