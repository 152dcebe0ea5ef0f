"""Weights in claims and in pods' own volumes: what fetch --into fills, and where the pods go."""

from harness.suite import test
from harness.wait import NotYet, check, equal, wait_until

from e2e.lab import variant_for
from e2e.serving import make, pods_of, service_of, shell, status_of, wait_ready

SHARED = "ollama-models-store-pvc"
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"


def claim(name):
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "local-path",
                     "resources": {"requests": {"storage": "1Gi"}}}}


def volume_of(pod):
    return next(one for one in pod["spec"]["volumes"] if one["name"] == "models")


def fetch_log(t, pod):
    return t.cluster.kubectl("-n", t.namespace, "logs", pod["metadata"]["name"], "-c",
                             "fetch").stdout


def pulled(t, variant):
    """How many times its weights came from the registry; their header comes once more, alone."""
    entries = t.suite.lab.registry.requests_of(variant.digest)
    return sum(entry["sent"] for entry in entries) / variant.size


@test("two replicas on one ReadWriteOnce claim: one node, one writer, one pull, both answer")
def one_claim(t):
    variant = variant_for(t)
    make(t, "phi", variant.image, replicas=2, storageClassName="local-path")
    wait_ready(t, "phi", replicas=2, timeout=120)
    made = t.cluster.get("persistentvolumeclaims", t.namespace, SHARED)
    equal((made["status"]["phase"], made["spec"]["accessModes"]), ("Bound", ["ReadWriteOnce"]),
          "the claim")
    pods = pods_of(t, "phi")
    equal([volume_of(pod)["persistentVolumeClaim"] for pod in pods], [{"claimName": SHARED}] * 2,
          "volumes")
    nodes = {pod["spec"]["nodeName"] for pod in pods}
    equal(len(nodes), 1, f"nodes {nodes}")
    check(0.99 < pulled(t, variant) < 1.2, f"{pulled(t, variant):.2f} x the weights pulled")
    logs = [fetch_log(t, pod) for pod in pods]
    check(sum("copying" in log for log in logs) == 1, f"who copied: {logs}")
    service_of(t, "phi").generate(variant.image)
    # A second Model of the claim goes to its node too.
    make(t, "second", variant.image, storageClassName="local-path")
    wait_ready(t, "second", timeout=120)
    equal({pod["spec"]["nodeName"] for pod in pods_of(t, "second")}, nodes, "nodes of the second")
    for name in ("phi", "second"):
        t.cluster.delete("models", t.namespace, name)
    wait_until("its pods go", lambda: not t.cluster.list("pods", t.namespace), 90)
    now = t.cluster.get("persistentvolumeclaims", t.namespace, SHARED)
    check("deletionTimestamp" not in now["metadata"], "the claim went with its Models")


@test("a namespace that enforces restricted: the pod's own volume, and the model answers")
def restricted(t):
    variant = variant_for(t)
    t.cluster.kubectl("label", "namespace", t.namespace, RESTRICTED)
    make(t, "phi", variant.image)
    wait_ready(t, "phi", timeout=120)
    pod = pods_of(t, "phi")[0]
    check("emptyDir" in volume_of(pod), f"volume {volume_of(pod)}")
    service_of(t, "phi").generate(variant.image)
    check(0.99 < pulled(t, variant) < 1.2, f"{pulled(t, variant):.2f} x the weights pulled")


@test("a named claim is filled once and can then be used read-only; without the model it says so")
def named(t):
    variant, other = variant_for(t), variant_for(t)
    t.cluster.create("persistentvolumeclaims", t.namespace, claim("own"))
    make(t, "phi", variant.image, persistentVolumeClaim={"claimName": "own"})
    wait_ready(t, "phi", timeout=120)
    read_only = {"claimName": "own", "readOnly": True}
    make(t, "reader", variant.image, persistentVolumeClaim=read_only)
    wait_ready(t, "reader", timeout=120)
    equal({pod["spec"]["nodeName"] for pod in pods_of(t, "reader")},
          {pod["spec"]["nodeName"] for pod in pods_of(t, "phi")}, "nodes")
    service_of(t, "reader").generate(variant.image)
    make(t, "missing", other.image, persistentVolumeClaim=read_only)

    def told():
        said = status_of(t, "missing").get("message") or ""
        if "the read-only volume does not hold" not in said:
            raise NotYet(said)
        return said
    wait_until("status.message says what is missing", told, 60)
    check(pulled(t, other) < 0.2, f"{pulled(t, other):.2f} x its weights pulled")


# A second server in the pod, with a models directory of its own, pulls from this node's store.
STOCK_PULL = """
export OLLAMA_MODELS=/tmp/stock OLLAMA_HOST=127.0.0.1:11999
ollama serve >/tmp/stock.log 2>&1 &
server=$!
for _ in $(seq 100); do ollama list >/dev/null 2>&1 && break; sleep 0.1; done
ollama pull --insecure {url}/library/{image} 2>&1 | tail -n 3
ollama list
kill $server
"""


@test("stock Ollama pulls from a node's store, which is a registry to it")
def stock_ollama(t):
    variant = variant_for(t)
    make(t, "phi", variant.image)
    wait_ready(t, "phi", timeout=120)
    url = "http://ollama-model-store.ollama-operator-system.svc:11435"
    code, said = shell(t, pods_of(t, "phi")[0],
                       STOCK_PULL.format(url=url, image=variant.image))
    equal(code, 0, said)
    check("success" in said and f"library/{variant.image}" in said.split("NAME")[-1], said)
    check(0.99 < pulled(t, variant) < 1.2, f"{pulled(t, variant):.2f} x the weights pulled")
