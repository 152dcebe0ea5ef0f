"""The API server fails in every way that it can, at every step: in the end all is as it should be.

What fails is chosen by a proxy between manager and API server (harness/faulty_api.py).
"""

import collections
import json
import re
import time

from harness.cluster import ControlPlane, field
from harness.faulty_api import WHAT_FAILS, FaultyApi
from harness.suite import test
from harness.wait import NotYet, check, equal, holds_for, wait_until

from .support import child_name, make, model

KINDS = ("models", "deployments", "services")


def own_plane(t):
    """A control plane without controllers: nothing but the manager acts, so requests are the same
    in every run."""
    from .run import install  # Why here: run imports this module.
    server = ControlPlane(t.directory)
    t.defer(server.down)
    t.cluster = server
    install(server)
    server.create("namespaces", None, {"metadata": {"name": t.namespace}})
    return server


def faulty(t, cluster=None):
    api = FaultyApi(cluster or t.cluster, t.directory)
    t.defer(api.close)
    return api


def about(name):
    """A pattern for the requests about a Model and its children."""
    return rf"^\S+ \S*/(ollama-model-)?{re.escape(name)}([/?\s]|$)"


def snapshot(t, namespace=None):
    """kind -> name -> object."""
    return {kind: {item["metadata"]["name"]: item
                   for item in t.cluster.list(kind, namespace or t.namespace)} for kind in KINDS}


def shape(thing, name, uid):
    """What must not depend on what failed: all but names, times, and numbers drawn by lot."""
    metadata = {key: thing["metadata"].get(key)
                for key in ("labels", "annotations", "ownerReferences", "generation")}
    spec = {key: value for key, value in thing["spec"].items()
            if key not in ("clusterIP", "clusterIPs")}
    status = thing.get("status", {}) if thing.get("kind", "Model") == "Model" else {}
    text = json.dumps([metadata, spec, status], sort_keys=True)
    text = re.sub(r'"(lastTransitionTime|lastUpdateTime)": "[^"]*"', r'"\1": ""', text)
    # A hash over names too.
    text = re.sub(r'("ollama.ayaka.io/(?:said|applied-hash)"): "[^"]*"', r'\1: ""', text)
    return text.replace(uid, "UID").replace(name, "NAME")


def shapes_of(seen, name):
    """The shapes of a Model and its children; None while one is missing."""
    ours = seen["models"].get(name)
    children = [seen[kind].get(child_name(name)) for kind in KINDS[1:]]
    if ours is None or None in children:
        return None
    uid = ours["metadata"]["uid"]
    return [shape(dict(thing, kind=kind), name, uid)
            for kind, thing in zip(("Model", "Deployment", "Service"), [ours, *children])]


# What happens to each Model, one after the other; each when the one before has been answered.
STEPS = [
    ("made", make),
    ("changed", lambda t, name: t.cluster.patch("models", t.namespace, name, {
        "spec": {"image": "qwen2.5:0.5b", "contextLength": 4096}})),
    ("scaled", lambda t, name: t.cluster.patch("models", t.namespace, name, {
        "spec": {"replicas": 3}})),
    ("its Deployment deleted", lambda t, name: t.cluster.delete(
        "deployments", t.namespace, child_name(name))),
    ("its Service deleted", lambda t, name: t.cluster.delete(
        "services", t.namespace, child_name(name))),
    ("its Deployment edited", lambda t, name: t.cluster.patch(
        "deployments", t.namespace, child_name(name), {"spec": {"replicas": 7}})),
]


def record_clean(t, api, name):
    """Walks a Model through the steps: the shapes after each, and the requests it took."""
    mark, wanted = len(api.requests), []
    for _, act in STEPS:
        act(t, name)
        state = {"shapes": None, "since": 0}

        def settled():
            now = shapes_of(snapshot(t), name)
            if now is None or now != state["shapes"]:
                state.update(shapes=now, since=time.monotonic())
            return now is not None and time.monotonic() - state["since"] > 1.5
        wait_until("a clean step settles", settled)
        wanted.append(state["shapes"])
    pattern = re.compile(about(name))
    return wanted, [text for text in api.requests[mark:] if pattern.search(text)]


def check_clean_run(wanted, requests):
    """That the reference is none of nothing."""
    check("qwen2.5:0.5b" in wanted[1][1] and '"4096"' in wanted[1][1], "the change is missing")
    check('"replicas": 3' in wanted[2][1] and '"replicas": 3' in wanted[5][1], "not scaled")
    check('"observedGeneration": 3' in wanted[5][0], "the status is old")
    kinds = collections.Counter(kind_of(text) for text in requests)
    equal(set(kinds), {"GET deployments", "PATCH deployments", "GET services", "PATCH services",
                       "PATCH models/status"}, "kinds of requests")


def kind_of(request):
    """"PATCH deployments" of "PATCH /apis/apps/v1/namespaces/n/deployments/phi?x=y"."""
    method, _, target = request.partition(" ")
    parts = target.partition("?")[0].split("/namespaces/")[1].split("/")
    return f"{method} {parts[1]}" + (f"/{parts[3]}" if len(parts) > 3 else "")


class Walk:
    """One Model on its way through the steps, one of its requests failing."""

    def __init__(self, t, api, name, fault, nth):
        self.t, self.name, self.fault, self.nth = t, name, fault, nth
        self.rule = api.add(fault, about(name), nth)
        self.step = -1

    def go_on(self, seen, wanted):
        """Takes the next step if the one before has led where it should; True at the end."""
        if self.step == len(STEPS):
            return True
        if self.step >= 0 and shapes_of(seen, self.name) != wanted[self.step]:
            return False
        self.step += 1
        if self.step < len(STEPS):
            STEPS[self.step][1](self.t, self.name)
        return self.step == len(STEPS)

    def words(self, seen, wanted):
        """Where it stands."""
        hit = self.rule.hit[0] if self.rule.hit else "nothing"
        text = f"{self.name} ({self.fault} of {hit}) after '{STEPS[self.step][0]}'"
        for got, want in zip(shapes_of(seen, self.name) or [], wanted[self.step]):
            if got != want:
                at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b),
                          min(len(got), len(want)))
                text += f": ...{got[max(at - 60, 0):at + 100]} but wanted {want[at:at + 60]}"
        return text


# So many requests of a run may fall together with others.
MAY_MERGE = 4


def walk_all(t, walks, wanted, timeout):
    def all_there():
        seen = snapshot(t)
        waiting = [walk for walk in walks if not walk.go_on(seen, wanted)]
        if waiting:
            raise NotYet(f"{len(waiting)} of {len(walks)} on their way, such as " +
                         waiting[0].words(snapshot(t), wanted))
        return True
    wait_until("every Model has come through", all_there, timeout, every=0.5)


def check_everything_failed(walks, requests):
    """Each kind of fault has hit each kind of request."""
    hit = {(walk.fault, kind_of(text)) for walk in walks for text in walk.rule.hit}
    missing = [f"{fault} of {kind}" for fault in WHAT_FAILS
               for kind in sorted({kind_of(text) for text in requests})
               if (fault, kind) not in hit]
    check(not missing, "these never happened: " + ", ".join(missing))
    # Two status writes of one run may be one of another, so the last requests of the clean run do not
    # always come; those before them must.
    silent = [walk.name for walk in walks if not walk.rule.fired]
    check(len(silent) <= MAY_MERGE * len(WHAT_FAILS),
          f"{len(silent)} faults did not happen: {silent[:5]}")


def versions(t):
    return {kind: {name: item["metadata"]["resourceVersion"] for name, item in items.items()}
            for kind, items in snapshot(t).items()}


def check_fresh_agrees(t, *arguments):
    """A manager that starts anew, without faults, finds nothing to change."""
    before, mark = versions(t), t.cluster.audit_mark()
    t.manager("--no-leader-election", *arguments, kubeconfig=t.cluster.kubeconfig).wait_working()
    holds_for("a fresh manager changes nothing", lambda: versions(t) == before, 4, every=0.5)
    written = [event["requestURI"] for event in t.cluster.writes(mark, namespace=t.namespace)]
    equal(written, [], "what a fresh manager writes")


@test("each request of a Model's life fails once in each way: the end is that of a clean run")
def every_request(t):
    server = own_plane(t)
    api = faulty(t)
    manager = t.manager("--no-leader-election", kubeconfig=api.kubeconfig).wait_working()
    wanted, requests = record_clean(t, api, "m-clean-0")
    check_clean_run(wanted, requests)
    start = time.monotonic()
    walks = [Walk(t, api, f"m-{fault}-{nth}", fault, nth)
             for fault in WHAT_FAILS for nth in range(1, len(requests) + 1)]
    with server.watch("deployments", t.namespace) as deployments, \
            server.watch("services", t.namespace) as services:
        walk_all(t, walks, wanted, 150)
        t.note(f"{len(walks)} faults in {time.monotonic() - start:.0f} s, "
               f"{len(requests)} requests in a clean run")
        check_everything_failed(walks, requests)
        # Made once, and once more after they were deleted.
        for watch in (deployments, services):
            added = collections.Counter(thing["metadata"]["name"] for _, event, thing
                                        in watch.events if event == "ADDED")
            equal(added, {child_name(walk.name): 2 for walk in walks}, "how often each was made")
    for kind in KINDS:
        equal(len(server.list(kind, t.namespace)), len(walks) + 1, kind)
    equal(manager.stop(), 0, "exit code")
    check_fresh_agrees(t)


# What a manager asks first, and then: lists, watches, its Lease, an Event.
FIRST = [rf"^GET \S*/{resource}\?(?!\S*watch=true)" for resource in KINDS + ("pods",)]
FIRST += [rf"^{method} \S*/leases" for method in ("GET", "POST", "PUT")] + [r"^POST \S*/events"]
FIRST_WATCHES = [rf"^GET \S*/{resource}\?\S*watch=true" for resource in KINDS + ("pods",)]


@test("each request with which a manager starts fails once in each way: it starts all the same")
def every_start(t):
    server = own_plane(t)
    begun = []
    for fault in WHAT_FAILS:
        namespace = f"{t.namespace}-{fault}"
        server.create("namespaces", None, {"metadata": {"name": namespace}})
        server.create("models", namespace, model("phi"))
        api = faulty(t)
        rules = [api.add(fault, pattern) for pattern in FIRST]
        # To lose the answer of a watch is to cut it.
        rules += [api.add("cut" if fault == "lost" else fault, pattern)
                  for pattern in FIRST_WATCHES]
        manager = t.manager("--watch-namespace", namespace, "--watch-idle", "6",
                            kubeconfig=api.kubeconfig, namespace=namespace, everywhere=True)
        begun.append((fault, namespace, rules, manager))
    start = time.monotonic()
    for fault, namespace, rules, manager in begun:
        def complete():
            seen = snapshot(t, namespace)
            if shapes_of(seen, "phi") is None or "status" not in seen["models"]["phi"]:
                raise NotYet(f"{ {kind: list(things) for kind, things in seen.items()} }")
            waiting = [rule for rule in rules if not rule.fired]
            if waiting:
                raise NotYet(f"not yet asked: {[rule.pattern for rule in waiting]}")
            return True
        wait_until(f"{fault}: the Model has children and status; {manager.log_path}", complete, 90)
        check(manager.alive(), f"{fault}: it has ended")
    # A Lease is renewed and an Event repeated after what failed.
    wait_until("each has told what it did", lambda: all(
        {event["reason"] for event in server.list("events", namespace)} >= {"Created"}
        for _, namespace, _, _ in begun), 60)
    t.note(f"{len(begun)} managers in {time.monotonic() - start:.0f} s")
    for fault, namespace, _, manager in begun:
        # Its watches stand.
        server.patch("models", namespace, "phi", {"spec": {"replicas": 4}})
        wait_until(f"{fault}: a change arrives", lambda n=namespace: server.get(
            "deployments", n, child_name("phi"))["spec"]["replicas"] == 4, 45)
        equal(manager.log().count("msg=working"), 1, f"{fault}: how often it began to work")
