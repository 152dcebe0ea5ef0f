"""The API server goes away, forgets, comes back; the manager dies and comes back."""

import os
import random
import threading
import time

from harness.cluster import ApiError, ControlPlane, field
from harness.suite import test
from harness.wait import NotYet, check, equal, holds_for, wait_until

from .support import child_name, find_children, make, owner_uid


def replicas_of(t, name):
    return t.cluster.get("deployments", t.namespace, child_name(name))["spec"]["replicas"]


@test("the API server restarts, in order and by kill -9: the manager goes on, nothing is doubled")
def restarted(t):
    manager = t.manager().wait_working()
    make(t, "phi")
    before = [thing["metadata"]["uid"]
              for thing in wait_until("children", lambda: find_children(t, "phi"))]
    took = []
    for round_number, signal in enumerate(("TERM", "KILL", "KILL"), start=2):
        t.cluster.stop_apiserver(signal)
        holds_for("the manager lives without API server",
                  lambda: manager.alive() and manager.health("/healthz")[0] == 200, 2, 0.2)
        t.cluster.start_apiserver()
        start = time.monotonic()
        t.cluster.patch("models", t.namespace, "phi", {"spec": {"replicas": round_number}})
        name = f"new{round_number}"
        make(t, name)
        wait_until("a change made right after arrives",
                   lambda n=round_number: replicas_of(t, "phi") == n, 40)
        wait_until("a Model made right after gets children", lambda n=name: find_children(t, n), 40)
        took.append(time.monotonic() - start)
        # Calm between the storms: a server that flaps is spared for longer each time.
        holds_for("the manager lives", manager.alive, 7, 0.5)
        after = [thing["metadata"]["uid"] for thing in find_children(t, "phi")]
        equal(after, before, "uids of the children")
    equal(len(t.cluster.list("deployments", t.namespace)), 4, "Deployments")
    equal(len(t.cluster.list("services", t.namespace)), 4, "Services")
    check(manager.alive(), "the manager has ended")
    t.note("acted after " + ", ".join(f"{seconds:.1f} s" for seconds in took))


def watch_is_gone(cluster, resource, namespace, version):
    """Does the API server answer 410 to a watch from `version`? By itself or in its first event."""
    path = cluster.path(resource, namespace)
    try:
        event = cluster.request(
            "GET", f"{path}?watch=1&timeoutSeconds=1&resourceVersion={version}")
    except ApiError as error:
        return error.code == 410
    return field(event, "object", "code") == 410


@test("410 Gone: the manager lists anew, and notices what was changed, made and deleted")
def gone(t):
    server = ControlPlane(t.directory, flags=["--watch-cache=false"])
    t.defer(server.down)
    t.cluster = server
    from .run import install  # Why here: run imports this module.
    install(server)
    server.create("namespaces", None, {"metadata": {"name": t.namespace}})
    manager = t.manager("--no-leader-election").wait_working()
    names = [f"m{index}" for index in range(12)]
    for name in names:
        make(t, name)
    for name in names:
        wait_until("children", lambda n=name: find_children(t, n))
    manager.pause()
    # From here on its connections are dead: what comes next does not lie in their buffers.
    server.stop_apiserver("KILL")
    server.start_apiserver()
    old = server.request("GET", server.path("models", t.namespace))["metadata"]["resourceVersion"]
    for name in names[:4]:
        server.patch("models", t.namespace, name, {"spec": {"replicas": 5}})
    for name in names[4:8]:
        server.delete("models", t.namespace, name)
    server.delete("deployments", t.namespace, child_name(names[8]))
    server.delete("services", t.namespace, child_name(names[9]))
    make(t, "new")
    server.compact()
    check(watch_is_gone(server, "models", t.namespace, old), "this server forgets nothing")
    mark = server.audit_mark()
    manager.resume()
    for name in names[:4]:
        wait_until(f"the change of {name}", lambda n=name: replicas_of(t, n) == 5, 40)
    for name in names[8:] + ["new"]:
        wait_until(f"children of {name}", lambda n=name: find_children(t, n), 40)
    lists = {event["objectRef"]["resource"] for event in server.audit(mark)
             if event["verb"] == "list"}
    check({"models", "deployments", "services"} <= lists, f"only listed: {lists}")
    # Nobody collects garbage here. Who still believed in a Model would make its children again.
    for name in names[4:8]:
        server.delete("deployments", t.namespace, child_name(name))
    server.patch("models", t.namespace, "new", {"spec": {"replicas": 2}})
    wait_until("a later change", lambda: replicas_of(t, "new") == 2)
    holds_for("children of deleted Models stay away", lambda: not any(
        server.find("deployments", t.namespace, child_name(name)) for name in names[4:8]), 2, 0.25)


@test("ten kill -9 during a burst of 100 Models: in the end each has its children, once")
def killed_in_a_burst(t):
    seed = int.from_bytes(os.urandom(4), "big")
    t.note(f"seed {seed}")
    choose = random.Random(seed)
    names = [f"m{index}" for index in range(100)]

    def burst():
        for name in names:
            make(t, name)
            time.sleep(0.1)  # Why: the burst is to last as long as the kills.
    maker = threading.Thread(target=burst)
    with t.cluster.watch("deployments", t.namespace) as deployments, \
            t.cluster.watch("services", t.namespace) as services:
        maker.start()
        for _ in range(10):
            manager = t.manager("--no-leader-election")
            time.sleep(choose.uniform(0.1, 2.0))
            manager.kill()
        maker.join()
        t.manager("--no-leader-election").wait_working()

        def complete():
            models = {item["metadata"]["name"]: item
                      for item in t.cluster.list("models", t.namespace)}
            equal(len(models), 100, "Models")
            for kind in ("deployments", "services"):
                owned = {owner_uid(item) for item in t.cluster.list(kind, t.namespace)}
                missing = [name for name, item in models.items()
                           if item["metadata"]["uid"] not in owned]
                if missing:
                    raise NotYet(f"{len(missing)} without {kind}: {missing[:3]}")
            silent = [name for name, item in models.items()
                      if not field(item, "status", "conditions")]
            if silent:
                raise NotYet(f"{len(silent)} without status: {silent[:3]}")
            return True
        wait_until("all 100 Models have children and status", complete, 90, every=0.5)
        for kind, watch in (("Deployment", deployments), ("Service", services)):
            added = [thing["metadata"]["name"] for _, event, thing in watch.events
                     if event == "ADDED"]
            equal(sorted(added), sorted(child_name(name) for name in names), f"each {kind} once")
            check(not any(event == "DELETED" for _, event, _ in watch.events),
                  f"a {kind} was deleted")
    # A template that flaps would leave a second ReplicaSet.
    wait_until("one ReplicaSet for each", lambda: len(
        t.cluster.list("replicasets", t.namespace)) == 100, 60, every=0.5)
