"""spec.podTemplate against a real API server: rolled out, refused in its words, healed, left alone."""

from harness.cluster import field
from harness.suite import test
from harness.wait import NotYet, check, equal, holds_for, wait_until

from .support import child_name, condition, environment_of, find_children, make, server_of

# Of each kind that strategic merge treats in its own way, and values that the API server drops.
TEMPLATE = {
    "metadata": {"labels": {"team": "red", "app": "evil"}, "annotations": {"note": "x"}},
    "spec": {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "hostNetwork": False, "hostPID": False, "priority": None, "nodeName": "",
        "volumes": [{"name": "mine", "emptyDir": {}}],
        "initContainers": [{"name": "fetch", "resources": {"limits": {"memory": "128Mi"}}}],
        "containers": [
            {"name": "server", "image": "example.com/ollama:mine", "tty": False,
             "livenessProbe": {"tcpSocket": {"port": 11434}},
             "env": [{"name": "MINE", "value": ""}, {"name": "OLLAMA_KEEP_ALIVE", "value": "7m"}]},
            {"name": "sidecar", "image": "example.com/sidecar",
             "volumeMounts": [{"name": "mine", "mountPath": "/mine"}]},
        ],
    },
}


def template_of(t):
    return t.cluster.get("deployments", t.namespace, child_name("phi"))["spec"]["template"]


def container(template, name, kind="containers"):
    return next(one for one in template["spec"][kind] if one["name"] == name)


def pods_with(t, name):
    return [pod for pod in t.cluster.list("pods", t.namespace)
            if any(one["name"] == name for one in pod["spec"]["containers"])]


@test("a podTemplate rolls out, its removal too, and the pods stay findable")
def rolls_out(t):
    t.manager().wait_working()
    make(t, "phi")
    wait_until("a pod", lambda: t.cluster.list("pods", t.namespace))
    plain = template_of(t)
    t.cluster.patch("models", t.namespace, "phi", {"spec": {"podTemplate": TEMPLATE}})
    pod = wait_until("a pod with the sidecar", lambda: pods_with(t, "sidecar"))[0]
    template = template_of(t)
    labels = {"team": "red", "app": "ollama-model-phi", "model.ollama.ayaka.io/name": "phi"}
    for thing in (template, pod):
        check(labels.items() <= thing["metadata"]["labels"].items(), f"labels of {thing['metadata']}")
        equal(thing["metadata"]["annotations"].get("note"), "x", "annotation")
        equal(thing["spec"]["nodeSelector"], {"disk": "ssd"}, "nodeSelector")
        server = container(thing, "server")
        equal(server["image"], "example.com/ollama:mine", "image of the server")
        probe = server["livenessProbe"]
        check("tcpSocket" in probe and "httpGet" not in probe, f"livenessProbe {probe}")
        env = {entry["name"]: entry.get("value", "") for entry in server["env"]}
        equal((env["OLLAMA_KEEP_ALIVE"], env["MINE"]), ("7m", ""), "environment")
        check("/models" in [mount["mountPath"] for mount in server["volumeMounts"]], "no weights")
        fetch = container(thing, "fetch", "initContainers")
        equal(fetch["resources"]["limits"], {"memory": "128Mi"}, "limits of fetch")
        equal(fetch["args"][0], "fetch", "arguments of fetch")
    check("gpu" in [one.get("key") for one in template["spec"]["tolerations"]], "no toleration")
    t.cluster.patch("models", t.namespace, "phi", {"spec": {"podTemplate": {"spec": {
        "containers": [container(TEMPLATE, "server")]}}}})
    wait_until("the sidecar is gone from the Deployment", lambda: len(
        template_of(t)["spec"]["containers"]) == 1)
    t.cluster.patch("models", t.namespace, "phi", {"spec": {"podTemplate": None}})
    wait_until("all is as before", lambda: template_of(t) == plain)


@test("a podTemplate's values that the API server drops are not applied again and again")
def dropped_values(t):
    manager = t.manager().wait_working()
    make(t, "phi", podTemplate=TEMPLATE)
    wait_until("a pod with the sidecar", lambda: pods_with(t, "sidecar"))
    check("hostPID" not in template_of(t)["spec"], "the API server keeps false: nothing is tested")
    quiet(t)
    manager.stop()
    mark = t.cluster.audit_mark()
    t.manager().wait_working()
    quiet(t)
    written = t.cluster.writes(mark, namespace=t.namespace)
    check(len(written) <= 2, f"{len(written)} writes after a start: {written}")
    t.note(f"{len(written)} writes after a start")


def quiet(t):
    """Nothing is written for two seconds, though the Deployment's status changes in them."""
    def none_lately():
        mark = t.cluster.audit_mark()
        holds_for("time passes", lambda: True, 2)
        if t.cluster.writes(mark, namespace=t.namespace):
            raise NotYet("the manager still writes")
        return True
    wait_until("nothing is written any more", none_lately, 30)


# A podTemplate that is refused, and a part of what the status says then.
REFUSED = [
    ("by the API server", {"spec": {"containers": [{"name": "Bad_Name", "image": "x"}]}},
     "Bad_Name"),
    ("by the API server's types", {"spec": {"containers": [{"name": "server", "image": 3}]}},
     "image"),
    ("by the API server's schema", {"spec": {"noSuchThing": 1}}, "noSuchThing"),
    ("by the merge", {"spec": {"containers": [{"image": "x"}]}},
     'spec.podTemplate.spec.containers: an element has no "name"'),
]


@test("an invalid podTemplate is told in the API server's words, runs nothing, and heals when fixed")
def invalid(t):
    t.manager().wait_working()
    make(t, "phi")
    wait_until("children", lambda: find_children(t, "phi"))
    plain = template_of(t)
    for what, template, words in REFUSED:
        t.cluster.patch("models", t.namespace, "phi", {"spec": {"podTemplate": template}})

        def said(wanted=words):
            _, reason, message = condition(t, "phi", "Progressing")
            if reason != "Invalid" or wanted not in message:
                raise NotYet(f"{reason}: {message}")
            return message
        message = wait_until(f"{what}: the status says why", said)
        t.note(f"{what}: {message[:200]}")
        equal(t.cluster.get("models", t.namespace, "phi")["status"]["phase"], "Failed", "phase")
        equal(template_of(t), plain, "the Deployment's template")
        t.cluster.patch("models", t.namespace, "phi", {"spec": {"podTemplate": None}})
        wait_until(f"{what}: healed",
                   lambda: condition(t, "phi", "Progressing")[1] != "Invalid")
    t.cluster.patch("models", t.namespace, "phi", {"spec": {"podTemplate": {"spec": {
        "containers": [{"name": "server", "env": [{"name": "FIXED", "value": "yes"}]}]}}}})
    wait_until("a valid one arrives", lambda: "FIXED" in environment_of(
        t.cluster.get("deployments", t.namespace, child_name("phi"))))


@test("a podTemplate of nearly 1 MB arrives in time")
def large(t):
    t.manager().wait_working()
    # Why not more: Model and Deployment must each fit into 1.5 MiB of etcd, with who owns what.
    variables = [{"name": f"VARIABLE_{i}", "value": "x" * 2000} for i in range(450)]
    make(t, "phi", podTemplate={"spec": {"containers": [{"name": "server", "env": variables}]}})
    wait_until("the Deployment has them all", lambda: len([
        entry for entry in server_of(find_children(t, "phi")[0])["env"]
        if field(entry, "name").startswith("VARIABLE_")]) == 450)
    quiet(t)
