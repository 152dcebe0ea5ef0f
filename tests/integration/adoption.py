"""A cluster that comes from the Go operator: its objects go on, as ours."""

from harness.cluster import field
from harness.suite import test
from harness.wait import check, equal, wait_until

from .support import GARBAGE_S, child_name, find_children, make, owner_uid, server_of

LABELS = {"app": "ollama-model-phi", "ollama.ayaka.io/type": "model",
          "model.ollama.ayaka.io": "phi", "model.ollama.ayaka.io/name": "phi"}
# Not what we would choose, and immutable.
SELECTOR = {"matchLabels": {"ollama.ayaka.io/type": "model", "model.ollama.ayaka.io/name": "phi"}}


def old_deployment(**metadata):
    return {"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "ollama-model-phi", "labels": LABELS, **metadata},
            "spec": {"replicas": 1, "selector": SELECTOR,
                     "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [{
                         "name": "server", "image": "ollama/ollama", "args": ["serve"],
                         "ports": [{"name": "ollama", "containerPort": 11434}]}]}}}}


@test("the predecessor's Deployment is adopted: same object, its selector kept, now owned")
def deployment(t):
    old = t.cluster.create("deployments", t.namespace, old_deployment())
    service = t.cluster.create("services", t.namespace, {
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "ollama-model-phi-x7k2p", "labels": LABELS},
        "spec": {"selector": LABELS, "ports": [{"name": "ollama", "port": 11434}]}})
    uid = make(t, "phi", replicas=2)["metadata"]["uid"]
    t.manager().wait_working()
    wait_until("the Deployment is owned", lambda: owner_uid(
        t.cluster.get("deployments", t.namespace, child_name("phi"))) == uid)
    now, ours = wait_until("children", lambda: find_children(t, "phi"))
    equal(now["metadata"]["uid"], old["metadata"]["uid"], "uid of the Deployment")
    equal(now["spec"]["selector"], SELECTOR, "selector")
    equal(now["spec"]["replicas"], 2, "replicas")
    check(server_of(now)["image"] != "ollama/ollama", "the server's image is the predecessor's")
    equal(len(now["spec"]["template"]["spec"]["containers"]), 1, "containers")
    check(ours["spec"]["selector"].items() <= now["spec"]["template"]["metadata"]["labels"].items(),
          "our Service does not select the pods")
    left = t.cluster.get("services", t.namespace, service["metadata"]["name"])
    equal(left["metadata"]["resourceVersion"], service["metadata"]["resourceVersion"],
          "the predecessor's Service of random name")


@test("a Deployment that the predecessor's Model owns already stays this Model's")
def owned(t):
    model = make(t, "phi")
    old = t.cluster.create("deployments", t.namespace, old_deployment(ownerReferences=[{
        "apiVersion": "ollama.ayaka.io/v1", "kind": "Model", "name": "phi",
        "uid": model["metadata"]["uid"], "controller": True, "blockOwnerDeletion": True}]))
    t.manager().wait_working()
    wait_until("it has our server", lambda: server_of(t.cluster.get(
        "deployments", t.namespace, child_name("phi")))["image"] != "ollama/ollama")
    now = t.cluster.get("deployments", t.namespace, child_name("phi"))
    equal(now["metadata"]["uid"], old["metadata"]["uid"], "uid")
    equal(len(now["metadata"]["ownerReferences"]), 1, "owners")
    t.cluster.delete("models", t.namespace, "phi")
    wait_until("it goes with its Model", lambda: not t.cluster.find(
        "deployments", t.namespace, child_name("phi")), GARBAGE_S)


@test("its store of a namespace is left alone")
def store(t):
    made = t.cluster.create("services", t.namespace, {
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "ollama-models-store", "labels": {"app": "ollama-models-store"}},
        "spec": {"ports": [{"port": 11434}]}})
    t.manager().wait_working()
    make(t, "phi")
    wait_until("children", lambda: find_children(t, "phi"))
    now = t.cluster.get("services", t.namespace, "ollama-models-store")
    equal(field(now, "metadata", "resourceVersion"), made["metadata"]["resourceVersion"], "version")
