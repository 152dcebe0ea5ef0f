"""A Model's Deployment and Service: made, changed, put back, deleted, and left alone."""

import statistics
import time

from harness.cluster import field
from harness.suite import test
from harness.wait import NotYet, check, equal, holds_for, wait_until

from .support import (GARBAGE_S, child_name, condition, environment_of, events_of,
                      fetch_arguments, find_children, make, model, owner_uid, server_of)

LABELS = {"app": "ollama-model-phi", "ollama.ayaka.io/type": "model",
          "model.ollama.ayaka.io": "phi", "model.ollama.ayaka.io/name": "phi"}


def has_labels(thing, labels):
    return labels.items() <= field(thing, "metadata", "labels", default={}).items()


@test("a Model gets the Deployment and the Service that users of the original know")
def made(t):
    t.manager().wait_working()
    t.cluster.kubectl("apply", "-n", t.namespace, "-f", "-", stdin=model("phi"))
    deployment, service = wait_until("children", lambda: find_children(t, "phi"))
    uid = t.cluster.get("models", t.namespace, "phi")["metadata"]["uid"]
    for thing in (deployment, service, deployment["spec"]["template"]):
        check(has_labels(thing, LABELS), f"labels: {thing['metadata'].get('labels')}")
    for thing in (deployment, service):
        equal(len(thing["metadata"]["ownerReferences"]), 1, "number of owners")
        owner = thing["metadata"]["ownerReferences"][0]
        equal((owner["kind"], owner["name"], owner["uid"], owner["controller"]),
              ("Model", "phi", uid, True), "owner")
    server = server_of(deployment)
    equal((server["name"], server["args"]), ("server", ["serve"]), "server container")
    equal([(port["name"], port["containerPort"]) for port in server["ports"]],
          [("ollama", 11434)], "ports of the server container")
    equal(service["spec"]["type"], "ClusterIP", "type of the Service")
    equal([(port["name"], port["port"], port["targetPort"]) for port in service["spec"]["ports"]],
          [("ollama", 11434, "ollama")], "ports of the Service")
    pods = wait_until("a pod", lambda: t.cluster.list("pods", t.namespace, "app=ollama-model-phi"))
    check(service["spec"]["selector"].items() <= pods[0]["metadata"]["labels"].items(),
          "the Service does not select the pod")
    for selector in ("ollama.ayaka.io/type=model", "model.ollama.ayaka.io/name=phi"):
        found = t.cluster.kubectl_json("get", "svc", "-n", t.namespace, "--selector", selector)
        equal([item["metadata"]["name"] for item in found["items"]], ["ollama-model-phi"], selector)


@test("the status says what is there, with conditions; Events say what was done")
def status(t):
    t.manager().wait_working()
    created = make(t, "phi", replicas=2)

    def counted():
        now = t.cluster.get("models", t.namespace, "phi")
        if field(now, "status", "replicas") != 2:
            raise NotYet(str(now.get("status")))
        return now["status"]
    said = wait_until("status.replicas is 2", counted)
    equal((said["observedGeneration"], said["readyReplicas"], said["availableReplicas"],
           said["unavailableReplicas"]), (1, 0, 0, 2), "counters")
    equal(said["image"], "registry.ollama.ai/library/phi:latest", "image")
    check(f"http://ollama-model-phi.{t.namespace}" in said["url"], said["url"])
    found = {one["type"]: one for one in said["conditions"]}
    equal(set(found), {"Available", "Progressing", "ReplicaFailure", "Pulled", "Schedulable"},
          "types of conditions")
    for one in found.values():
        check(one["reason"] and one["message"] and one["lastTransitionTime"] and
              one["observedGeneration"] == 1, f"incomplete: {one}")
    equal((found["Available"]["status"], found["Progressing"]["status"]), ("False", "True"),
          "Available and Progressing")
    wait_until("two Events Created", lambda: sorted(
        message for kind, reason, message in events_of(t, "phi")
        if (kind, reason) == ("Normal", "Created")) ==
        ["created Deployment ollama-model-phi", "created Service ollama-model-phi"])
    check(created["metadata"]["generation"] ==
          t.cluster.get("models", t.namespace, "phi")["metadata"]["generation"],
          "writing the status changed the generation")


@test("the status follows a Deployment that becomes available, and one that breaks again")
def status_goes_back(t):
    t.manager().wait_working()
    make(t, "phi")
    wait_until("children", lambda: find_children(t, "phi"))
    # No kubelet here: what it would say about the pod is said for it, and taken back.
    pod = wait_until("a pod", lambda: t.cluster.list("pods", t.namespace))[0]["metadata"]["name"]
    for ready, available in (("True", "True"), ("False", "False"), ("True", "True")):
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        t.cluster.patch("pods", t.namespace, pod, {"status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": ready, "lastTransitionTime": now}]}}, "status")
        wait_until(f"Available is {available}",
                   lambda want=available: condition(t, "phi", "Available")[0] == want)
        phase = t.cluster.get("models", t.namespace, "phi")["status"]["phase"]
        check((phase == "Ready") == (ready == "True"), f"phase {phase}, pod ready {ready}")
    reasons = [reason for _, reason, _ in events_of(t, "phi")]
    check("Loaded" in reasons and "Unavailable" in reasons, f"Events: {reasons}")


# Change of the Model's spec; how its Deployment shows it; what it must show then.
CHANGES = [
    ("image", {"image": "qwen2.5:0.5b"},
     lambda d: fetch_arguments(d)[fetch_arguments(d).index("--image") + 1], "qwen2.5:0.5b"),
    ("the probe's model", {"image": "llama3.2:1b"},
     lambda d: server_of(d)["startupProbe"]["exec"]["command"][-1], "llama3.2:1b"),
    ("replicas", {"replicas": 3}, lambda d: d["spec"]["replicas"], 3),
    ("imagePullPolicy", {"imagePullPolicy": "Always"},
     lambda d: fetch_arguments(d)[fetch_arguments(d).index("--pull-policy") + 1], "Always"),
    ("imagePullSecrets", {"imagePullSecrets": [{"name": "key"}]},
     lambda d: d["spec"]["template"]["spec"].get("imagePullSecrets"), [{"name": "key"}]),
    ("resources", {"resources": {"limits": {"cpu": "4"}, "requests": {"memory": "1Gi"}}},
     lambda d: server_of(d).get("resources"),
     {"limits": {"cpu": "4"}, "requests": {"memory": "1Gi"}}),
    ("resources, one more and one less",
     {"resources": {"limits": {"cpu": None, "memory": "8Gi"}}},
     lambda d: server_of(d).get("resources"),
     {"limits": {"memory": "8Gi"}, "requests": {"memory": "1Gi"}}),
    ("resources, none", {"resources": None}, lambda d: server_of(d).get("resources", {}), {}),
    ("serverImage", {"serverImage": "example.com/ollama:rocm"},
     lambda d: server_of(d)["image"], "example.com/ollama:rocm"),
    ("runtimeClassName", {"runtimeClassName": "nvidia"},
     lambda d: d["spec"]["template"]["spec"].get("runtimeClassName"), "nvidia"),
    ("runtimeClassName, none", {"runtimeClassName": None},
     lambda d: d["spec"]["template"]["spec"].get("runtimeClassName"), None),
    ("contextLength", {"contextLength": 8192},
     lambda d: environment_of(d)["OLLAMA_CONTEXT_LENGTH"], "8192"),
    ("parallel", {"parallel": 4}, lambda d: environment_of(d)["OLLAMA_NUM_PARALLEL"], "4"),
    ("keepAlive", {"keepAlive": "24h"}, lambda d: environment_of(d)["OLLAMA_KEEP_ALIVE"], "24h"),
    ("extraEnv", {"extraEnv": [{"name": "OLLAMA_DEBUG", "value": "1"}]},
     lambda d: environment_of(d).get("OLLAMA_DEBUG"), "1"),
    ("extraEnv wins over a default", {"extraEnv": [{"name": "OLLAMA_KEEP_ALIVE", "value": "9m"}]},
     lambda d: [entry["value"] for entry in server_of(d)["env"]
                if entry["name"] == "OLLAMA_KEEP_ALIVE"], ["9m"]),
    ("extraEnv, an entry less", {"extraEnv": []},
     lambda d: (environment_of(d).get("OLLAMA_DEBUG"), environment_of(d)["OLLAMA_KEEP_ALIVE"]),
     (None, "24h")),
    ("extraEnvFrom", {"extraEnvFrom": [{"configMapRef": {"name": "settings"}}]},
     lambda d: server_of(d).get("envFrom"), [{"configMapRef": {"name": "settings"}}]),
    ("suspend", {"suspend": True}, lambda d: d["spec"]["replicas"], 0),
    ("suspend no more", {"suspend": False}, lambda d: d["spec"]["replicas"], 3),
]


@test("every change of the spec reaches the Deployment")
def every_field(t):
    t.manager().wait_working()
    make(t, "phi")
    wait_until("children", lambda: find_children(t, "phi"))
    default_image = server_of(t.cluster.get("deployments", t.namespace, child_name("phi")))["image"]
    check(not default_image.endswith(":latest") and ":" in default_image, default_image)
    changes = CHANGES + [("serverImage, none", {"serverImage": None},
                          lambda d: server_of(d)["image"], default_image)]
    took = []
    with t.cluster.watch("deployments", t.namespace) as watch:
        for what, spec, look, wanted in changes:
            check(look(t.cluster.get("deployments", t.namespace, child_name("phi"))) != wanted,
                  f"{what}: was so before")
            start, since = len(watch.events), time.monotonic()
            t.cluster.patch("models", t.namespace, "phi", {"spec": spec})
            when, _ = watch.wait(f"{what} is {wanted!r} in the Deployment",
                                 lambda kind, d, f=look, w=wanted: kind != "DELETED" and f(d) == w,
                                 start=start)
            took.append(when - since)
    equal(len(t.cluster.list("deployments", t.namespace)), 1, "Deployments")
    t.note(f"{len(took)} changes, median {statistics.median(took) * 1000:.0f} ms, "
           f"longest {max(took) * 1000:.0f} ms")


@test("a deleted Deployment or Service comes back within a second")
def deleted_children(t):
    t.manager().wait_working()
    make(t, "phi")
    wait_until("children", lambda: find_children(t, "phi"))
    name, took = child_name("phi"), []
    for kind in ("deployments", "services"):
        with t.cluster.watch(kind, t.namespace) as watch:
            for _ in range(5):
                start = len(watch.events)
                old = t.cluster.delete(kind, t.namespace, name)
                gone, _ = watch.wait("it is gone", lambda event, _: event == "DELETED", start=start)
                back, new = watch.wait(f"{kind[:-1]} is back", lambda event, _: event == "ADDED",
                                       start=start)
                check(new["metadata"]["uid"] != field(old, "details", "uid"), "it was not deleted")
                took.append(back - gone)
    t.note(f"median {statistics.median(took) * 1000:.0f} ms, longest {max(took) * 1000:.0f} ms")
    # Why the median: the machine that runs this may be busy with other things for a moment.
    check(statistics.median(took) < 1.0, f"median {statistics.median(took):.2f} s")


# Somebody's edit of a child, by merge patch; what is looked at afterwards.
EDITS = [
    ("replicas", "deployments", {"spec": {"replicas": 7}}, ("spec", "replicas"), 1),
    ("a field of the pod", "deployments",
     {"spec": {"template": {"spec": {"automountServiceAccountToken": True}}}},
     ("spec", "template", "spec", "automountServiceAccountToken"), False),
    ("a label", "deployments", {"metadata": {"labels": {"model.ollama.ayaka.io/name": "evil"}}},
     ("metadata", "labels", "model.ollama.ayaka.io/name"), "phi"),
    ("a label that is removed", "deployments", {"metadata": {"labels": {"app": None}}},
     ("metadata", "labels", "app"), "ollama-model-phi"),
    ("the label that we watch by", "deployments",
     {"metadata": {"labels": {"ollama.ayaka.io/type": None}}},
     ("metadata", "labels", "ollama.ayaka.io/type"), "model"),
    ("the owner", "deployments", {"metadata": {"ownerReferences": None}},
     ("metadata", "ownerReferences", 0, "name"), "phi"),
    ("a Service's label", "services", {"metadata": {"labels": {"model.ollama.ayaka.io": "evil"}}},
     ("metadata", "labels", "model.ollama.ayaka.io"), "phi"),
    ("a Service's port", "services",
     {"spec": {"ports": [{"name": "ollama", "port": 11434, "targetPort": 80}]}},
     ("spec", "ports", 0, "targetPort"), "ollama"),
    ("a Service's selector", "services", {"spec": {"selector": {"app": "evil"}}},
     ("spec", "selector", "app"), "ollama-model-phi"),
    ("a Service's owner", "services", {"metadata": {"ownerReferences": None}},
     ("metadata", "ownerReferences", 0, "name"), "phi"),
]


@test("what somebody edits of ours in a child is put back")
def edited_children(t):
    t.manager().wait_working()
    make(t, "phi")
    wait_until("children", lambda: find_children(t, "phi"))
    name, bad = child_name("phi"), []
    for what, kind, patch, path, wanted in EDITS:
        changed = t.cluster.patch(kind, t.namespace, name, patch)
        check(field(changed, *path) != wanted, f"{what}: the edit changed nothing")
        try:
            wait_until(f"{what} is put back",
                       lambda k=kind, p=path, w=wanted: field(
                           t.cluster.get(k, t.namespace, name), *p) == w, timeout=8)
        except AssertionError:
            bad.append(what)
            # The next edit wants children in order.
            t.cluster.delete(kind, t.namespace, name)
            wait_until("children again", lambda: find_children(t, "phi"), timeout=60)
    check(not bad, "not put back: " + ", ".join(bad))
    wait_until("an Event says so", lambda: any(
        kind == "Warning" and reason == "PutBack" and "change the Model" in message
        for kind, reason, message in events_of(t, "phi")))


@test("an edit that the API server does not let us put back is told in its words, until it heals")
def stuck_edit(t):
    t.manager().wait_working()
    make(t, "phi")
    wait_until("children", lambda: find_children(t, "phi"))
    # Their port keeps our port's name; two of one name are refused.
    t.cluster.patch("services", t.namespace, child_name("phi"),
                    {"spec": {"ports": [{"name": "ollama", "port": 80}]}})
    wait_until("the status has the API server's words", lambda: (
        condition(t, "phi", "Progressing")[1] == "Invalid" and
        "ports" in condition(t, "phi", "Progressing")[2]))
    t.cluster.delete("services", t.namespace, child_name("phi"))
    wait_until("the Service is back and the status is in order", lambda: (
        find_children(t, "phi")[1]["spec"]["ports"][0]["port"] == 11434 and
        condition(t, "phi", "Progressing")[1] != "Invalid"), 40)


def versions(t):
    """resourceVersions of the Model and its children."""
    things = [("models", "phi"), ("deployments", child_name("phi")), ("services", child_name("phi"))]
    return [t.cluster.get(kind, t.namespace, name)["metadata"]["resourceVersion"]
            for kind, name in things]


def settle(t):
    """Waits until nobody has changed anything for two seconds."""
    state = {"versions": None, "since": time.monotonic()}

    def settled():
        now = versions(t)
        if now != state["versions"]:
            state.update(versions=now, since=time.monotonic())
        return time.monotonic() - state["since"] > 2
    wait_until("nothing changes any more", settled, 30)


@test("what others own in a child is left alone, and nothing is written without need")
def left_alone(t):
    t.manager().wait_working()
    # Quantities that the API server writes in another way must not be applied for ever.
    make(t, "phi", extraEnv=[{"name": "A", "value": "b"}])
    wait_until("children", lambda: find_children(t, "phi"))
    name = child_name("phi")
    t.cluster.kubectl("set", "resources", "deployment", "-n", t.namespace,
                      "-l", "model.ollama.ayaka.io/name=phi", "--limits", "cpu=4")
    t.cluster.kubectl("annotate", "deployment", name, "-n", t.namespace, "team=red")
    t.cluster.kubectl("label", "service", name, "-n", t.namespace, "team=red")
    settle(t)
    before, mark = versions(t), t.cluster.audit_mark()
    holds_for("no resourceVersion changes", lambda: versions(t) == before, 3, every=0.25)
    equal(t.cluster.writes(mark, namespace=t.namespace), [], "the manager's writes in 3 s")

    def untouched():
        deployment, service = find_children(t, "phi")
        return (field(server_of(deployment), "resources", "limits", "cpu") == "4" and
                field(deployment, "metadata", "annotations", "team") == "red" and
                field(service, "metadata", "labels", "team") == "red")
    check(untouched(), "what others set is gone")
    t.cluster.patch("models", t.namespace, "phi", {"spec": {"replicas": 2, "parallel": 2}})
    wait_until("a change of the Model arrives", lambda: t.cluster.get(
        "deployments", t.namespace, name)["spec"]["replicas"] == 2)
    check(untouched(), "a change of the Model took what others set")


@test("values that the API server rewrites are not applied again and again")
def rewritten_values(t):
    manager = t.manager().wait_working()
    make(t, "phi", resources={"limits": {"cpu": "1000m", "memory": "1024Mi"},
                              "requests": {"cpu": "0.5"}},
         extraEnv=[{"name": "EMPTY", "value": ""}])
    wait_until("children", lambda: find_children(t, "phi"))
    settle(t)
    mark = t.cluster.audit_mark()
    holds_for("no resourceVersion changes",
              lambda before=versions(t): versions(t) == before, 3, every=0.25)
    equal(len(t.cluster.writes(mark, namespace=t.namespace)), 0, "the manager's writes in 3 s")
    # A start of the manager looks at everything once, and must not change anything either.
    manager.stop()
    mark, before = t.cluster.audit_mark(), versions(t)
    t.manager().wait_working()
    holds_for("no resourceVersion changes after a start", lambda: versions(t) == before, 3,
              every=0.25)
    written = t.cluster.writes(mark, namespace=t.namespace)
    check(len(written) <= 2, f"{len(written)} writes after a start")
    t.note(f"{len(written)} writes after a start")


@test("with a Model go its children; one made again at once under its name gets new ones")
def deleted_model(t):
    t.manager().wait_working()
    make(t, "phi")
    old = wait_until("children", lambda: find_children(t, "phi"))
    t.cluster.delete("models", t.namespace, "phi")

    def none_left():
        return not any(t.cluster.list(kind, t.namespace)
                       for kind in ("deployments", "services", "pods", "models"))
    wait_until("all children are gone", none_left, GARBAGE_S)
    for _ in range(3):
        new = make(t, "phi")["metadata"]["uid"]

        def renewed(uid=new):
            found = find_children(t, "phi")
            if any(owner_uid(thing) != uid or thing["metadata"].get("deletionTimestamp")
                   for thing in found):
                raise NotYet(f"owners {[owner_uid(thing) for thing in found]}, wanted {uid}")
            return found
        children = wait_until("children of the new Model", renewed, GARBAGE_S)
        check(all(a["metadata"]["uid"] != b["metadata"]["uid"] for a, b in zip(old, children)),
              "the old ones are still there")
        wait_until("its status", lambda: t.cluster.get(
            "models", t.namespace, "phi").get("status", {}).get("conditions"))
        old = children
        t.cluster.delete("models", t.namespace, "phi")


FOREIGN_POD = {"metadata": {"labels": {"x": "y"}},
               "spec": {"containers": [{"name": "c", "image": "example.com/c"}]}}


def foreign_deployment(name, **metadata):
    return {"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": child_name(name), **metadata},
            "spec": {"replicas": 0, "selector": {"matchLabels": {"x": "y"}},
                     "template": FOREIGN_POD}}


def foreign_service(name, **metadata):
    return {"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": child_name(name), **metadata}, "spec": {"ports": [{"port": 80}]}}


@test("somebody else's object under our name is never changed; the status says so until it goes")
def name_taken(t):
    t.manager().wait_working()
    other = t.cluster.create("configmaps", t.namespace, {"metadata": {"name": "other"}})
    owners = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "other",
               "uid": other["metadata"]["uid"]}]
    watched = {"ollama.ayaka.io/type": "model"}
    foreign = {
        "plain": ("deployments", foreign_deployment("plain")),
        "labelled": ("deployments", foreign_deployment("labelled", labels=watched)),
        "owned": ("deployments", foreign_deployment("owned", ownerReferences=owners, labels={
            **watched, "model.ollama.ayaka.io/name": "owned"})),
        "service": ("services", foreign_service("service")),
    }
    made_before = {name: t.cluster.create(kind, t.namespace, body)
                   for name, (kind, body) in foreign.items()}
    for name in foreign:
        make(t, name)

    def said(name):
        status_is, reason, message = condition(t, name, "Progressing")
        if reason != "NameTaken":
            raise NotYet(f"{name}: {status_is} {reason} {message}")
        return status_is == "False" and child_name(name) in message
    for name in foreign:
        wait_until(f"{name}: the status says NameTaken", lambda n=name: said(n))
        equal(t.cluster.get("models", t.namespace, name)["status"]["phase"], "Failed", "phase")
        wait_until("an Event says it too", lambda n=name: any(
            kind == "Warning" and reason == "NameTaken" for kind, reason, _ in events_of(t, n)))
    t.cluster.patch("models", t.namespace, "plain", {"spec": {"replicas": 2}})
    wait_until("the change was looked at", lambda: t.cluster.get(
        "models", t.namespace, "plain")["status"]["observedGeneration"] == 2)
    for name, (kind, _) in foreign.items():
        now = t.cluster.get(kind, t.namespace, child_name(name))
        equal((now["spec"], now["metadata"].get("labels"), owner_uid(now),
               now["metadata"]["uid"]),
              (made_before[name]["spec"], made_before[name]["metadata"].get("labels"),
               owner_uid(made_before[name]), made_before[name]["metadata"]["uid"]), name)
        managers = {entry["manager"] for entry in now["metadata"]["managedFields"]}
        check("ollama-operator" not in managers, f"{name} was written by us")
    start = time.monotonic()
    for name, (kind, _) in foreign.items():
        t.cluster.delete(kind, t.namespace, child_name(name))
    for name in foreign:
        wait_until(f"{name} heals", lambda n=name: owner_uid(find_children(t, n)[0]) and
                   condition(t, n, "Progressing")[1] != "NameTaken", 45)
    t.note(f"healed after {time.monotonic() - start:.1f} s")
