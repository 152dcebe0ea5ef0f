/* Strategic merge: what Kubernetes' own code makes of a patch, and where ours differs on purpose.
 */
#include "json/strategic.h"
#include "json/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Documents in YAML's flow style. `wanted` NULL: the patch is refused. */
struct merge_case {
	const char *name;
	const char *original;
	const char *patch;
	const char *wanted;
};

/*
 * `wanted` is what StrategicMergePatch() of k8s.io/apimachinery v0.35.4 returned for a
 * PodTemplateSpec of k8s.io/api v0.35.4.
 */
static const struct merge_case of_kubernetes[] = {
    {"an empty patch changes nothing", "{spec: {containers: [{name: a, image: x}]}}", "{}",
	"{spec: {containers: [{name: a, image: x}]}}"},
    {"a scalar is replaced", "{spec: {nodeName: a, priority: 1}}", "{spec: {nodeName: b}}",
	"{spec: {nodeName: b, priority: 1}}"},
    {"a member is added", "{metadata: {labels: {a: b}}}",
	"{metadata: {labels: {c: d}}, spec: {hostNetwork: true}}",
	"{metadata: {labels: {a: b, c: d}}, spec: {hostNetwork: true}}"},
    {"null removes a member", "{spec: {nodeName: a, priority: 1}}", "{spec: {nodeName: null}}",
	"{spec: {priority: 1}}"},
    {"null of what is not there does nothing", "{spec: {priority: 1}}",
	"{spec: {nodeName: null, affinity: {nodeAffinity: null}}}",
	"{spec: {affinity: {}, priority: 1}}"},
    {"null removes an object and a list",
	"{metadata: {labels: {a: b}}, spec: {containers: [{name: a}]}}",
	"{metadata: {labels: null}, spec: {containers: null}}", "{metadata: {}, spec: {}}"},
    {"false, zero and empty text are values",
	"{spec: {hostNetwork: true, priority: 5, nodeName: a}}",
	"{spec: {hostNetwork: false, priority: 0, nodeName: ''}}",
	"{spec: {hostNetwork: false, nodeName: '', priority: 0}}"},
    {"labels merge", "{metadata: {labels: {a: b, c: d}}}",
	"{metadata: {labels: {a: x, e: f, c: null}}}", "{metadata: {labels: {a: x, e: f}}}"},
    {"an object over a scalar, a scalar over an object",
	"{metadata: {labels: a, annotations: {b: c}}}",
	"{metadata: {labels: {x: q}, annotations: z}}",
	"{metadata: {annotations: z, labels: {x: q}}}"},
    {"a list over an object", "{spec: {securityContext: {runAsUser: 1}}}",
	"{spec: {securityContext: [1]}}", "{spec: {securityContext: [1]}}"},
    {"a container is amended by its name",
	"{spec: {containers: [{name: a, image: x, args: [s]}, {name: b, image: q}]}}",
	"{spec: {containers: [{name: b, image: z}]}}",
	"{spec: {containers: [{name: a, args: [s], image: x}, {name: b, image: z}]}}"},
    {"a new container comes first", "{spec: {containers: [{name: server, image: x}]}}",
	"{spec: {containers: [{name: sidecar, image: q}]}}",
	"{spec: {containers: [{name: sidecar, image: q}, {name: server, image: x}]}}"},
    {"named containers take the patch's order",
	"{spec: {containers: [{name: a}, {name: b}, {name: c}]}}",
	"{spec: {containers: [{name: c}, {name: a}]}}",
	"{spec: {containers: [{name: b}, {name: c}, {name: a}]}}"},
    {"the others keep their place among those the original has",
	"{spec: {containers: [{name: a}, {name: b}, {name: c}, {name: d}]}}",
	"{spec: {containers: [{name: new}, {name: c, image: x}]}}",
	"{spec: {containers: [{name: new}, {name: a}, {name: b}, {name: c, image: x}, {name: "
	"d}]}}"},
    {"new between named ones", "{spec: {containers: [{name: a}, {name: b}, {name: c}]}}",
	"{spec: {containers: [{name: b}, {name: new}, {name: c}]}}",
	"{spec: {containers: [{name: a}, {name: b}, {name: new}, {name: c}]}}"},
    {"environment merges by name",
	"{spec: {containers: [{name: a, env: [{name: A, value: '1'}, {name: B, value: '2'}]}]}}",
	"{spec: {containers: [{name: a, env: [{name: B, value: '3'}, {name: C, value: '4'}]}]}}",
	"{spec: {containers: [{name: a, env: [{name: A, value: '1'}, {name: B, value: '3'}, {name: "
	"C, value: '4'}]}]}}"},
    {"a value is replaced by its source",
	"{spec: {containers: [{name: a, env: [{name: A, value: '1'}]}]}}",
	"{spec: {containers: [{name: a, env: [{name: A, value: null, valueFrom: {fieldRef: "
	"{fieldPath: x}}}]}]}}",
	"{spec: {containers: [{name: a, env: [{name: A, valueFrom: {fieldRef: {fieldPath: "
	"x}}}]}]}}"},
    {"ports merge by number",
	"{spec: {containers: [{name: a, ports: [{containerPort: 80, name: http}, {containerPort: "
	"81}]}]}}",
	"{spec: {containers: [{name: a, ports: [{containerPort: 81, name: more}, {containerPort: "
	"82}]}]}}",
	"{spec: {containers: [{name: a, ports: [{name: http, containerPort: 80}, {name: more, "
	"containerPort: 81}, {containerPort: 82}]}]}}"},
    {"a number and its text are two ports",
	"{spec: {containers: [{name: a, ports: [{containerPort: 80, name: http}]}]}}",
	"{spec: {containers: [{name: a, ports: [{containerPort: '80', name: more}]}]}}",
	"{spec: {containers: [{name: a, ports: [{name: more, containerPort: '80'}, {name: http, "
	"containerPort: 80}]}]}}"},
    {"mounts merge by path",
	"{spec: {containers: [{name: a, volumeMounts: [{mountPath: /a, name: a, readOnly: "
	"true}]}]}}",
	"{spec: {containers: [{name: a, volumeMounts: [{mountPath: /a, name: b}, {mountPath: /c, "
	"name: c}]}]}}",
	"{spec: {containers: [{name: a, volumeMounts: [{name: b, mountPath: /a, readOnly: true}, "
	"{name: c, mountPath: /c}]}]}}"},
    {"devices merge by path",
	"{spec: {containers: [{name: a, volumeDevices: [{devicePath: /a, name: a}]}]}}",
	"{spec: {containers: [{name: a, volumeDevices: [{devicePath: /a, name: b}]}]}}",
	"{spec: {containers: [{name: a, volumeDevices: [{name: b, devicePath: /a}]}]}}"},
    {"args and command are replaced whole",
	"{spec: {containers: [{name: a, args: [x, q], command: [c]}]}}",
	"{spec: {containers: [{name: a, args: [z]}]}}",
	"{spec: {containers: [{name: a, args: [z], command: [c]}]}}"},
    {"envFrom is replaced whole",
	"{spec: {containers: [{name: a, envFrom: [{secretRef: {name: x}}, {secretRef: {name: "
	"q}}]}]}}",
	"{spec: {containers: [{name: a, envFrom: [{configMapRef: {name: z}}]}]}}",
	"{spec: {containers: [{name: a, envFrom: [{configMapRef: {name: z}}]}]}}"},
    {"tolerations are replaced whole",
	"{spec: {tolerations: [{key: a, operator: Exists}, {key: b}]}}",
	"{spec: {tolerations: [{key: c}]}}", "{spec: {tolerations: [{key: c}]}}"},
    {"an empty list replaces a whole list", "{spec: {tolerations: [{key: a}]}}",
	"{spec: {tolerations: []}}", "{spec: {tolerations: []}}"},
    {"an empty list leaves a keyed list", "{spec: {containers: [{name: a}], hostAliases: []}}",
	"{spec: {containers: [], hostAliases: []}}",
	"{spec: {containers: [{name: a}], hostAliases: []}}"},
    {"readiness gates are replaced whole", "{spec: {readinessGates: [{conditionType: a}]}}",
	"{spec: {readinessGates: [{conditionType: b}]}}",
	"{spec: {readinessGates: [{conditionType: b}]}}"},
    {"probes merge deeply",
	"{spec: {containers: [{name: a, livenessProbe: {httpGet: {path: /, port: 1}, "
	"periodSeconds: 5}}]}}",
	"{spec: {containers: [{name: a, livenessProbe: {httpGet: {path: /x}, timeoutSeconds: "
	"3}}]}}",
	"{spec: {containers: [{name: a, livenessProbe: {httpGet: {path: /x, port: 1}, "
	"periodSeconds: 5, timeoutSeconds: 3}}]}}"},
    {"init and ephemeral containers merge by name",
	"{spec: {initContainers: [{name: f, image: x}], ephemeralContainers: [{name: e, image: "
	"x}]}}",
	"{spec: {initContainers: [{name: f, image: q}], ephemeralContainers: [{name: e, env: "
	"[{name: A}]}]}}",
	"{spec: {ephemeralContainers: [{name: e, env: [{name: A}], image: x}], initContainers: "
	"[{name: f, image: q}]}}"},
    {"pull secrets and host aliases",
	"{spec: {imagePullSecrets: [{name: a}], hostAliases: [{ip: 10.0.0.1, hostnames: [a]}]}}",
	"{spec: {imagePullSecrets: [{name: b}], hostAliases: [{ip: 10.0.0.1, hostnames: [b]}]}}",
	"{spec: {hostAliases: [{hostnames: [b], ip: '10.0.0.1'}], imagePullSecrets: [{name: b}, "
	"{name: a}]}}"},
    {"spread constraints, gates and claims",
	"{spec: {topologySpreadConstraints: [{topologyKey: z, maxSkew: 1}], schedulingGates: "
	"[{name: a}], resourceClaims: [{name: c, resourceClaimName: x}]}}",
	"{spec: {topologySpreadConstraints: [{topologyKey: z, maxSkew: 2}], schedulingGates: "
	"[{name: b}], resourceClaims: [{name: c, resourceClaimName: q}]}}",
	"{spec: {resourceClaims: [{name: c, resourceClaimName: q}], schedulingGates: [{name: b}, "
	"{name: a}], topologySpreadConstraints: [{maxSkew: 2, topologyKey: z}]}}"},
    {"finalizers are a set", "{metadata: {finalizers: [a, b]}}", "{metadata: {finalizers: [b, c]}}",
	"{metadata: {finalizers: [a, b, c]}}"},
    {"owners merge by uid",
	"{metadata: {ownerReferences: [{uid: u1, name: a}, {uid: u2, name: b}]}}",
	"{metadata: {ownerReferences: [{uid: u2, name: c}, {uid: u3, name: d}]}}",
	"{metadata: {ownerReferences: [{name: a, uid: u1}, {name: c, uid: u2}, {name: d, uid: "
	"u3}]}}"},
    {"owners of a claim template within a volume",
	"{spec: {volumes: [{name: v, ephemeral: {volumeClaimTemplate: {metadata: {finalizers: "
	"[a]}}}}]}}",
	"{spec: {volumes: [{name: v, ephemeral: {volumeClaimTemplate: {metadata: {finalizers: "
	"[b]}}}}]}}",
	"{spec: {volumes: [{name: v, ephemeral: {volumeClaimTemplate: {metadata: {finalizers: [b, "
	"a]}}}}]}}"},
    {"affinity's lists are replaced",
	"{spec: {affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "
	"[{topologyKey: a}]}}}}",
	"{spec: {affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "
	"[{topologyKey: b}]}}}}",
	"{spec: {affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "
	"[{topologyKey: b}]}}}}"},
    {"a volume of another kind keeps the old kind too",
	"{spec: {volumes: [{name: v, hostPath: {path: /x}}]}}",
	"{spec: {volumes: [{name: v, emptyDir: {}}]}}",
	"{spec: {volumes: [{name: v, emptyDir: {}, hostPath: {path: /x}}]}}"},
    {"retainKeys changes the kind of a volume",
	"{spec: {volumes: [{name: v, hostPath: {path: /x}}, {name: w}]}}",
	"{spec: {volumes: [{name: v, emptyDir: {}, $retainKeys: [name, emptyDir]}]}}",
	"{spec: {volumes: [{name: v, emptyDir: {}}, {name: w}]}}"},
    {"retainKeys that keeps what the patch does not name",
	"{spec: {volumes: [{name: v, hostPath: {path: /x, type: q}}]}}",
	"{spec: {volumes: [{name: v, $retainKeys: [name, hostPath]}]}}",
	"{spec: {volumes: [{name: v, hostPath: {path: /x, type: q}}]}}"},
    {"retainKeys of an object",
	"{spec: {securityContext: {runAsUser: 1, runAsGroup: 2, fsGroup: 3}}}",
	"{spec: {securityContext: {$retainKeys: [runAsUser, fsGroup], runAsUser: 9}}}",
	"{spec: {securityContext: {fsGroup: 3, runAsUser: 9}}}"},
    {"retainKeys must name what the patch sets",
	"{spec: {volumes: [{name: v, hostPath: {path: /x}}]}}",
	"{spec: {volumes: [{name: v, emptyDir: {}, $retainKeys: [name]}]}}", NULL},
    {"retainKeys must be a list", "{spec: {securityContext: {runAsUser: 1}}}",
	"{spec: {securityContext: {$retainKeys: runAsUser}}}", NULL},
    {"$patch replace of an object", "{spec: {securityContext: {runAsUser: 1, fsGroup: 3}}}",
	"{spec: {securityContext: {$patch: replace, runAsGroup: 2}}}",
	"{spec: {securityContext: {runAsGroup: 2}}}"},
    {"$patch replace of everything", "{metadata: {labels: {a: b}}, spec: {nodeName: a}}",
	"{$patch: replace, spec: {nodeName: b}}", "{spec: {nodeName: b}}"},
    {"$patch delete of an object leaves an empty one",
	"{spec: {securityContext: {runAsUser: 1, fsGroup: 3}, nodeName: a}}",
	"{spec: {securityContext: {$patch: delete}}}",
	"{spec: {nodeName: a, securityContext: {}}}"},
    {"$patch delete of what is not there", "{spec: {nodeName: a}}",
	"{spec: {securityContext: {$patch: delete}, affinity: {nodeAffinity: {$patch: delete}}}}",
	"{spec: {affinity: {}, nodeName: a}}"},
    {"$patch merge is refused", "{spec: {nodeName: a}}", "{spec: {$patch: merge, nodeName: b}}",
	NULL},
    {"$patch merge in a list is refused", "{spec: {containers: [{name: a}]}}",
	"{spec: {containers: [{$patch: merge}, {name: b}]}}", NULL},
    {"$patch of an unknown word is refused", "{spec: {containers: [{name: a}]}}",
	"{spec: {containers: [{name: a, $patch: kill}]}}", NULL},
    {"$patch delete of an element", "{spec: {containers: [{name: a}, {name: b}, {name: c}]}}",
	"{spec: {containers: [{name: b, $patch: delete}]}}",
	"{spec: {containers: [{name: a}, {name: c}]}}"},
    {"$patch delete of an element, another amended and one added",
	"{spec: {containers: [{name: a}, {name: b}, {name: c}]}}",
	"{spec: {containers: [{name: c, image: x}, {name: b, $patch: delete}, {name: d}]}}",
	"{spec: {containers: [{name: a}, {name: c, image: x}, {name: d}]}}"},
    {"$patch delete of an element that is not there", "{spec: {containers: [{name: a}]}}",
	"{spec: {containers: [{name: x, $patch: delete}]}}", "{spec: {containers: [{name: a}]}}"},
    {"$patch delete of the last element", "{spec: {containers: [{name: a}]}}",
	"{spec: {containers: [{name: a, $patch: delete}]}}", "{spec: {containers: []}}"},
    {"$patch delete without the key", "{spec: {containers: [{name: a}]}}",
	"{spec: {containers: [{$patch: delete}]}}", NULL},
    {"$patch replace of a list", "{spec: {containers: [{name: a, image: x}, {name: b}]}}",
	"{spec: {containers: [{$patch: replace}, {name: c}, {name: a}]}}",
	"{spec: {containers: [{name: c}, {name: a}]}}"},
    {"$patch replace of a list by nothing",
	"{spec: {containers: [{name: a, image: x}, {name: b}]}}",
	"{spec: {containers: [{$patch: replace}]}}", "{spec: {containers: []}}"},
    {"$patch in a list that is new", "{spec: {nodeName: a}}",
	"{spec: {containers: [{name: x, $patch: delete}, {name: q}]}}",
	"{spec: {containers: [{name: q}], nodeName: a}}"},
    {"directives and nulls in an object that is new", "{spec: {nodeName: a}}",
	"{spec: {affinity: {podAffinity: null, nodeAffinity: {x: null, q: 1}}}}",
	"{spec: {affinity: {nodeAffinity: {q: 1}}, nodeName: a}}"},
    {"an element without its key", "{spec: {containers: [{name: a}]}}",
	"{spec: {containers: [{image: x}]}}", NULL},
    {"an element of the original without its key", "{spec: {containers: [{image: x}]}}",
	"{spec: {containers: [{name: a}]}}", NULL},
    {"an element that is no object", "{spec: {containers: [{name: a}]}}",
	"{spec: {containers: [b]}}", NULL},
    {"a list in a list", "{spec: {containers: [{name: a}]}}", "{spec: {containers: [[b]]}}", NULL},
    {"a list that is new is taken as it is", "{spec: {nodeName: a}}",
	"{spec: {containers: [{image: x}, {image: q}]}}",
	"{spec: {containers: [{image: x}, {image: q}], nodeName: a}}"},
    {"two elements of one key: the first is amended",
	"{spec: {containers: [{name: a, ports: [{containerPort: 53, protocol: UDP}, "
	"{containerPort: 53, protocol: TCP}]}]}}",
	"{spec: {containers: [{name: a, ports: [{containerPort: 53, name: dns}]}]}}",
	"{spec: {containers: [{name: a, ports: [{name: dns, containerPort: 53, protocol: UDP}, "
	"{containerPort: 53, protocol: TCP}]}]}}"},
    {"values are deleted from a set", "{metadata: {finalizers: [a, b, c]}}",
	"{metadata: {$deleteFromPrimitiveList/finalizers: [b, x]}}",
	"{metadata: {finalizers: [a, c]}}"},
    {"values are deleted from a set, others added", "{metadata: {finalizers: [a, b, c]}}",
	"{metadata: {$deleteFromPrimitiveList/finalizers: [b], finalizers: [d]}}",
	"{metadata: {finalizers: [d, a, c]}}"},
    {"values are deleted from a list that does not merge",
	"{spec: {containers: [{name: a, args: [x, q, x]}]}}",
	"{spec: {containers: [{name: a, $deleteFromPrimitiveList/args: [x]}]}}",
	"{spec: {containers: [{name: a, args: [q]}]}}"},
    {"values are deleted from no list", "{metadata: {labels: {a: b}}}",
	"{metadata: {$deleteFromPrimitiveList/finalizers: [b]}}", "{metadata: {labels: {a: b}}}"},
    {"order of a keyed list", "{spec: {containers: [{name: a}, {name: b}, {name: c}]}}",
	"{spec: {$setElementOrder/containers: [{name: c}, {name: b}, {name: a}]}}",
	"{spec: {containers: [{name: c}, {name: b}, {name: a}]}}"},
    {"order of a keyed list with what is new and what is gone",
	"{spec: {containers: [{name: a}, {name: b}, {name: c}]}}",
	"{spec: {$setElementOrder/containers: [{name: new}, {name: c}, {name: a}], containers: "
	"[{name: new, image: x}, {name: b, $patch: delete}]}}",
	"{spec: {containers: [{name: new, image: x}, {name: c}, {name: a}]}}"},
    {"order of a part: the others stay where they were",
	"{spec: {containers: [{name: a}, {name: b}, {name: c}, {name: d}]}}",
	"{spec: {$setElementOrder/containers: [{name: d}, {name: b}]}}",
	"{spec: {containers: [{name: a}, {name: c}, {name: d}, {name: b}]}}"},
    {"order of a set", "{metadata: {finalizers: [a, b, c]}}",
	"{metadata: {$setElementOrder/finalizers: [c, d, a], finalizers: [d]}}",
	"{metadata: {finalizers: [b, c, d, a]}}"},
    {"order with deletion from a set", "{metadata: {finalizers: [a, b, c]}}",
	"{metadata: {$setElementOrder/finalizers: [c, a], $deleteFromPrimitiveList/finalizers: "
	"[b]}}",
	"{metadata: {finalizers: [c, a]}}"},
    {"order of a list that is new", "{spec: {nodeName: a}}",
	"{spec: {$setElementOrder/containers: [{name: a}, {name: b}], containers: [{name: a}, "
	"{name: b}]}}",
	"{spec: {containers: [{name: a}, {name: b}], nodeName: a}}"},
    {"order of no list", "{spec: {nodeName: a}}",
	"{spec: {$setElementOrder/containers: [{name: a}]}}", "{spec: {nodeName: a}}"},
    {"the patch must keep its own order", "{spec: {containers: [{name: a}]}}",
	"{spec: {$setElementOrder/containers: [{name: a}, {name: b}], containers: [{name: b}, "
	"{name: a}]}}",
	NULL},
    {"the order must name what the patch names", "{spec: {containers: [{name: a}]}}",
	"{spec: {$setElementOrder/containers: [{name: a}], containers: [{name: b}]}}", NULL},
    {"an order must be a list", "{spec: {containers: [{name: a}]}}",
	"{spec: {$setElementOrder/containers: a}}", NULL},
    {"environment in an order within a container",
	"{spec: {containers: [{name: a, env: [{name: A, value: '1'}, {name: B, value: '2'}, {name: "
	"C}]}]}}",
	"{spec: {containers: [{name: a, $setElementOrder/env: [{name: B}, {name: A}], env: [{name: "
	"A, value: '9'}]}]}}",
	"{spec: {containers: [{name: a, env: [{name: B, value: '2'}, {name: A, value: '9'}, {name: "
	"C}]}]}}"},
};

/* Where ours differs: see json/strategic.h. */
static const struct merge_case of_ours[] = {
    {"nulls go from a list that is replaced", "{spec: {tolerations: [{key: a}]}}",
	"{spec: {tolerations: [{key: b, value: null}]}}", "{spec: {tolerations: [{key: b}]}}"},
    {"nulls and directives go from a new element", "{spec: {containers: [{name: a}]}}",
	"{spec: {containers: [{name: b, args: null, env: [{name: A, $patch: delete}, {name: "
	"B}]}]}}",
	"{spec: {containers: [{name: b, env: [{name: B}]}, {name: a}]}}"},
    {"directives about lists go from what is new", "{}",
	"{spec: {$setElementOrder/containers: [{name: a}], containers: [{name: a, "
	"$deleteFromPrimitiveList/args: [x], $retainKeys: [name]}]}}",
	"{spec: {containers: [{name: a}]}}"},
    {"nulls go from what replaces", "{spec: {securityContext: {runAsUser: 1}}}",
	"{spec: {securityContext: {$patch: replace, runAsUser: null, fsGroup: 1}}}",
	"{spec: {securityContext: {fsGroup: 1}}}"},
    {"replacing nothing adds", "{spec: {}}",
	"{spec: {securityContext: {$patch: replace, fsGroup: 1}}}",
	"{spec: {securityContext: {fsGroup: 1}}}"},
    {"a member that the schema does not know is merged",
	"{spec: {futureThing: {a: 1}, futureList: [{name: a}]}}",
	"{spec: {futureThing: {b: 2}, futureList: [{name: b}]}}",
	"{spec: {futureThing: {a: 1, b: 2}, futureList: [{name: b}]}}"},
    {"a list of objects has no order without a key", "{spec: {tolerations: [{key: a}]}}",
	"{spec: {$setElementOrder/tolerations: [{key: a}]}}", NULL},
    {"objects are not deleted by value", "{spec: {tolerations: [{key: a}]}}",
	"{spec: {$deleteFromPrimitiveList/tolerations: [{key: a}]}}", NULL},
    {"a key that is an object", "{spec: {containers: [{name: a}]}}",
	"{spec: {containers: [{name: {a: b}}]}}", NULL},
};

static yyjson_mut_doc *read_yaml(const char *text)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) docs = yaml_read(text, strlen(text), &error);

	if (docs == NULL || docs->len != 1)
		g_error("%s in %s", error == NULL ? "no document" : error->message, text);
	return yyjson_doc_mut_copy(docs->pdata[0], NULL);
}

/* What comes of it as JSON text, or NULL and the error. */
static char *merged(const char *original, const char *patch, GError **error)
{
	g_autoptr(yyjson_mut_doc) doc = read_yaml(original);
	g_autoptr(yyjson_mut_doc) patch_doc = read_yaml(patch);
	yyjson_mut_val *patch_root = yyjson_mut_doc_get_root(patch_doc);
	g_autofree char *patch_before = json_mut_print(patch_root, NULL);
	g_autofree char *patch_after = NULL;
	gboolean good = strategic_merge(
	    doc, yyjson_mut_doc_get_root(doc), patch_root, STRATEGIC_POD_TEMPLATE, error);

	patch_after = json_mut_print(patch_root, NULL);
	assert_string_equal(patch_before, patch_after);
	/* Half merged or not, it must be a document. */
	return good ? json_mut_print(yyjson_mut_doc_get_root(doc), NULL)
		    : (g_free(json_mut_print(yyjson_mut_doc_get_root(doc), NULL)), NULL);
}

static void check_case(const struct merge_case *test)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = merged(test->original, test->patch, &error);
	g_autoptr(yyjson_doc) result = NULL;
	g_autoptr(yyjson_mut_doc) wanted = NULL;
	g_autoptr(yyjson_doc) fixed = NULL;

	if (test->wanted == NULL) {
		if (text != NULL)
			fail_msg("%s: was not refused: %s", test->name, text);
		assert_true(g_error_matches(error, JSON_ERROR, JSON_ERROR_SYNTAX));
		return;
	}
	if (text == NULL)
		fail_msg("%s: %s", test->name, error->message);
	result = json_parse(text, strlen(text), NULL);
	wanted = read_yaml(test->wanted);
	fixed = yyjson_mut_doc_imut_copy(wanted, NULL);
	if (!yyjson_equals(yyjson_doc_get_root(result), yyjson_doc_get_root(fixed)))
		fail_msg("%s: got %s, wanted %s", test->name, text, test->wanted);
}

static void test_as_kubernetes_does(void **state)
{
	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(of_kubernetes); i++)
		check_case(&of_kubernetes[i]);
}

static void test_where_ours_differs(void **state)
{
	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(of_ours); i++)
		check_case(&of_ours[i]);
}

static void test_an_error_says_where(void **state)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = merged("{spec: {containers: [{name: a, env: []}]}}",
	    "{spec: {containers: [{name: a, env: [{value: x}]}]}}", &error);

	(void)state;
	assert_null(text);
	assert_string_equal(error->message, "spec.containers.env: an element has no \"name\"");
}

static void test_only_objects_merge(void **state)
{
	static const char *const pairs[][2] = {
	    {"[]", "{}"}, {"{}", "[]"}, {"{}", "a"}, {"1", "{}"}};

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(pairs); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *text = merged(pairs[i][0], pairs[i][1], &error);

		assert_null(text);
		assert_non_null(error);
	}
}

/* Over 1 MB in one list, one object and one set: with searching by scanning this takes minutes. */
static void test_large_patches_take_no_time(void **state)
{
	enum { COUNT = 20000, LIMIT_S = 10 };
	g_autoptr(GString) env = g_string_new("{metadata: {labels: {a: b");
	g_autofree char *once = NULL;
	gint64 start;

	(void)state;
	for (guint i = 0; i < COUNT; i++)
		g_string_append_printf(env, ", label-%u: x", i);
	g_string_append(env, "}}, spec: {containers: [{name: a, env: [{name: A}");
	for (guint i = 0; i < COUNT; i++)
		g_string_append_printf(env, ", {name: VARIABLE_%u, value: a value}", i);
	g_string_append(env, "]}]}}");
	assert_true(env->len > 1024 * 1024);
	start = g_get_monotonic_time();
	once = merged(env->str, env->str, NULL);
	assert_non_null(once);
	assert_true(g_get_monotonic_time() - start < LIMIT_S * G_USEC_PER_SEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_as_kubernetes_does),
	    cmocka_unit_test(test_where_ours_differs),
	    cmocka_unit_test(test_an_error_says_where),
	    cmocka_unit_test(test_only_objects_merge),
	    cmocka_unit_test(test_large_patches_take_no_time),
	};

	return cmocka_run_group_tests_name("strategic", tests, NULL, NULL);
}
