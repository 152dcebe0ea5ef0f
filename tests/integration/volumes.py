"""Where weights are kept: claims that are made, grown and kept; pods' own volumes; and all modes."""

from harness.cluster import ApiError, field
from harness.suite import test
from harness.wait import NotYet, check, equal, holds_for, wait_until

from .support import GARBAGE_S, child_name, events_of, find_children, make

SHARED = "ollama-models-store-pvc"
CLASS = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
         "provisioner": "example.com/none", "volumeBindingMode": "WaitForFirstConsumer"}


def pod_of(deployment):
    return deployment["spec"]["template"]["spec"]


def volume_of(deployment):
    return next(one for one in pod_of(deployment)["volumes"] if one["name"] == "models")


def fetch_of(deployment):
    return pod_of(deployment)["initContainers"][0]


def term_of(deployment):
    return field(pod_of(deployment), "affinity", "podAffinity",
                 "requiredDuringSchedulingIgnoredDuringExecution", 0)


def claim(t, name):
    return t.cluster.find("persistentvolumeclaims", t.namespace, name)


def uses(t, model, source):
    """A condition: the Model's Deployment has its weights in a volume of this source."""
    deployment, _ = find_children(t, model)
    if source not in volume_of(deployment):
        raise NotYet(str(volume_of(deployment)))
    return deployment


def make_class(t, name, **more):
    t.cluster.kubectl("apply", "-f", "-", stdin={**CLASS, "metadata": {"name": name}, **more})
    t.defer(t.cluster.kubectl, "delete", "storageclass", name, "--wait=false")


@test("a class or an access mode leads to the namespace's claim, which outlives its Models")
def shared(t):
    t.manager().wait_working()
    make(t, "phi", storageClassName="fast")
    deployment = wait_until("it uses the claim",
                            lambda: uses(t, "phi", "persistentVolumeClaim"))
    made = claim(t, SHARED)
    equal(made["spec"]["accessModes"], ["ReadWriteOnce"], "access modes")
    equal(made["spec"]["storageClassName"], "fast", "class")
    equal(made["spec"]["resources"]["requests"]["storage"], "100Gi", "size")
    check("ownerReferences" not in made["metadata"], "the claim has an owner")
    equal(volume_of(deployment)["persistentVolumeClaim"], {"claimName": SHARED}, "volume")
    check("--into" in fetch_of(deployment)["args"], f"arguments {fetch_of(deployment)['args']}")
    labels = {"ollama.ayaka.io/claim": SHARED}
    equal((term_of(deployment)["topologyKey"], term_of(deployment)["labelSelector"]),
          ("kubernetes.io/hostname", {"matchLabels": labels}), "where its pods go")
    check(labels.items() <= deployment["spec"]["template"]["metadata"]["labels"].items(), "labels")
    wait_until("an Event tells of it", lambda: (
        "Normal", "Created", f"created PersistentVolumeClaim {SHARED}") in events_of(t, "phi"))
    # Another Model shares it; a Model that asks for another kind has a claim of that kind.
    make(t, "qwen", persistentVolume={"accessMode": "ReadWriteOnce"})
    other = wait_until("a second Model", lambda: uses(t, "qwen", "persistentVolumeClaim"))
    equal(volume_of(other)["persistentVolumeClaim"]["claimName"], SHARED, "claim")
    make(t, "slow", storageClassName="slow", persistentVolume={"accessMode": "ReadWriteMany"})
    third = wait_until("a third Model", lambda: uses(t, "slow", "persistentVolumeClaim"))
    name = volume_of(third)["persistentVolumeClaim"]["claimName"]
    check(name.startswith(SHARED + "-"), name)
    equal((claim(t, name)["spec"]["storageClassName"], claim(t, name)["spec"]["accessModes"]),
          ("slow", ["ReadWriteMany"]), "kind of the other claim")
    check(term_of(third) is None, f"pinned: {term_of(third)}")
    for model in ("phi", "qwen", "slow"):
        t.cluster.delete("models", t.namespace, model)
    wait_until("the Deployments go", lambda: not t.cluster.list("deployments", t.namespace),
               GARBAGE_S)
    for one in (SHARED, name):
        equal(field(claim(t, one), "metadata", "deletionTimestamp"), None, f"{one} deleted at")


@test("the predecessor's claim is used as it is")
def predecessor(t):
    old = t.cluster.create("persistentvolumeclaims", t.namespace, {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": SHARED, "labels": {"app": "ollama-models-store"}},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "old",
                 "resources": {"requests": {"storage": "100Gi"}}}})
    t.manager().wait_working()
    make(t, "phi", persistentVolume={"accessMode": "ReadWriteOnce"})
    wait_until("it uses the claim", lambda: uses(t, "phi", "persistentVolumeClaim"))
    equal(claim(t, SHARED)["metadata"]["resourceVersion"], old["metadata"]["resourceVersion"],
          "version of the claim")


def size_of(t):
    return claim(t, SHARED)["spec"]["resources"]["requests"]["storage"]


def bound_claim(t, storage_class, **more):
    """The shared claim, made by a first manager with 1 GiB and bound to a volume."""
    make_class(t, storage_class, **more)
    volume = f"{t.namespace}-volume"
    t.cluster.kubectl("create", "-f", "-", stdin={
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": volume},
        "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
                 "storageClassName": storage_class, "hostPath": {"path": "/nowhere"},
                 "claimRef": {"namespace": t.namespace, "name": SHARED}}})
    t.defer(t.cluster.kubectl, "delete", "pv", volume, "--wait=false")
    first = t.manager("--claim-size", "1Gi").wait_working()
    make(t, "phi", storageClassName=storage_class)
    wait_until("a bound claim", lambda: field(claim(t, SHARED), "status", "phase") == "Bound", 60)
    equal(first.stop(), 0, "exit code")


@test("a larger --claim-size grows the shared claim, a smaller one leaves it")
def grown(t):
    bound_claim(t, "grows", allowVolumeExpansion=True)
    second = t.manager("--claim-size", "2Gi").wait_working()
    wait_until("it is grown", lambda: size_of(t) == "2Gi")
    equal(second.stop(), 0, "exit code")
    t.manager("--claim-size", "1Gi").wait_working()
    t.cluster.patch("models", t.namespace, "phi", {"spec": {"replicas": 2}})
    wait_until("the manager has been at it", lambda: t.cluster.get(
        "deployments", t.namespace, child_name("phi"))["spec"]["replicas"] == 2)
    equal(size_of(t), "2Gi", "size")


@test("a claim whose class lets it not grow keeps nobody from running")
def stays(t):
    bound_claim(t, "stays")
    t.manager("--claim-size", "2Gi").wait_working()
    wait_until("a warning", lambda: any(
        (kind, reason) == ("Warning", "ClaimNotGrown") for kind, reason, _ in events_of(t, "phi")))
    t.cluster.patch("models", t.namespace, "phi", {"spec": {"replicas": 2}})
    wait_until("the Deployment follows its Model", lambda: t.cluster.get(
        "deployments", t.namespace, child_name("phi"))["spec"]["replicas"] == 2)
    equal(size_of(t), "1Gi", "size")


@test("a claim that the Model names: read-only if it says so, and never made by us")
def named(t):
    t.manager().wait_working()
    make(t, "phi", persistentVolumeClaim={"claimName": "own", "readOnly": True})
    deployment = wait_until("it uses the claim",
                            lambda: uses(t, "phi", "persistentVolumeClaim"))
    equal(volume_of(deployment)["persistentVolumeClaim"], {"claimName": "own", "readOnly": True},
          "volume")
    check("--read-only" in fetch_of(deployment)["args"], f"arguments {fetch_of(deployment)['args']}")
    holds_for("no claim is made",
              lambda: not t.cluster.list("persistentvolumeclaims", t.namespace), 1.0)
    t.cluster.patch("models", t.namespace, "phi", {"spec": {"persistentVolumeClaim": None}})
    deployment = wait_until("back to the node's store", lambda: uses(t, "phi", "hostPath"))
    check("--into" not in fetch_of(deployment)["args"], f"arguments {fetch_of(deployment)['args']}")


@test("a namespace that enforces pod security gets pods that it takes, as soon as it says so")
def enforced(t):
    t.manager(everywhere=True).wait_working()
    make(t, "phi")
    wait_until("the node's store at first", lambda: uses(t, "phi", "hostPath"))
    t.cluster.kubectl("label", "namespace", t.namespace,
                      "pod-security.kubernetes.io/enforce=restricted")
    deployment = wait_until("a volume of the pod's own", lambda: uses(t, "phi", "emptyDir"))
    wait_until("a pod of the new kind", lambda: [
        pod for pod in t.cluster.list("pods", t.namespace, "app=" + child_name("phi"))
        if not any("hostPath" in volume for volume in pod["spec"]["volumes"])])
    check("--into" in fetch_of(deployment)["args"], f"arguments {fetch_of(deployment)['args']}")
    t.cluster.kubectl("label", "namespace", t.namespace, "pod-security.kubernetes.io/enforce-")
    wait_until("the node's store again", lambda: uses(t, "phi", "hostPath"))


@test("a claim that is named and a claim that is made exclude each other")
def excluded(t):
    for spec in ({"storageClassName": "fast"}, {"persistentVolume": {"accessMode": "ReadWriteOnce"}}):
        try:
            make(t, "phi", persistentVolumeClaim={"claimName": "own"}, **spec)
        except ApiError as error:
            check("excludes" in error.message, error.message)
        else:
            check(False, f"{spec} was accepted")
