/*
 * Which lists of a PodTemplateSpec merge, and by which key: the struct tags patchStrategy and
 * patchMergeKey of k8s.io/api v0.35.4, core/v1/types.go, and of k8s.io/apimachinery's ObjectMeta.
 * Every other list is replaced: tolerations, readinessGates, envFrom, args, command.
 */
#include "json/strategic.h"

static const struct strategic_field metadata[] = {
    {.name = "ownerReferences", .merge_key = "uid"},
    {.name = "finalizers", .is_set = TRUE},
    {0},
};

static const struct strategic_field claim_template[] = {
    {.name = "metadata", .members = metadata},
    {0},
};

static const struct strategic_field ephemeral_volume[] = {
    {.name = "volumeClaimTemplate", .members = claim_template},
    {0},
};

static const struct strategic_field volume[] = {
    {.name = "ephemeral", .members = ephemeral_volume},
    {0},
};

static const struct strategic_field container[] = {
    {.name = "ports", .merge_key = "containerPort"},
    {.name = "env", .merge_key = "name"},
    {.name = "volumeMounts", .merge_key = "mountPath"},
    {.name = "volumeDevices", .merge_key = "devicePath"},
    {0},
};

static const struct strategic_field spec[] = {
    {.name = "volumes", .merge_key = "name", .members = volume},
    {.name = "initContainers", .merge_key = "name", .members = container},
    {.name = "containers", .merge_key = "name", .members = container},
    {.name = "ephemeralContainers", .merge_key = "name", .members = container},
    {.name = "imagePullSecrets", .merge_key = "name"},
    {.name = "hostAliases", .merge_key = "ip"},
    {.name = "topologySpreadConstraints", .merge_key = "topologyKey"},
    {.name = "schedulingGates", .merge_key = "name"},
    {.name = "resourceClaims", .merge_key = "name"},
    {0},
};

const struct strategic_field STRATEGIC_POD_TEMPLATE[] = {
    {.name = "metadata", .members = metadata},
    {.name = "spec", .members = spec},
    {0},
};
