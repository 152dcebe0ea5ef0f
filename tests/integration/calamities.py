"""What goes wrong from outside: restarts, names that are used again or by others, clocks that
jump, finalizers, a huge object."""

import os
import re
import shutil
import subprocess
import threading
import time

from harness.cluster import ApiError, condition_of, field
from harness.faulty_api import WHAT_FAILS
from harness.process import clean_environment
from harness.suite import test
from harness.wait import NotYet, check, equal, holds_for, wait_until

from .children import foreign_deployment, foreign_service
from .election import LEASE
from .faults import KINDS, check_fresh_agrees, faulty, own_plane, snapshot
from .support import (GARBAGE_S, child_name, condition, environment_of, fetch_arguments,
                      find_children, make, owner_uid)
from .watches import lot


def insist(act, give_up):
    """Does something on an API server that comes and goes."""
    while not give_up.is_set():
        try:
            return act()
        except ApiError as error:
            if error.code == 409:
                return None
            time.sleep(0.1)
    return None


@test("20 restarts of the API server during a rollout of 200 Models: each has its children, once")
def restarts(t):
    server, choose = own_plane(t), lot(t)
    manager = t.manager().wait_working()
    names = [f"m{index}" for index in range(200)]
    stop = threading.Event()
    t.defer(stop.set)
    image_of = {}

    def roll_out():
        for name in names:
            insist(lambda n=name: make(t, n), stop)
        rounds = 0
        while not stop.is_set():
            rounds += 1
            for name in names:
                image = f"phi:{rounds}"
                insist(lambda n=name, i=image: server.patch(
                    "models", t.namespace, n, {"spec": {"image": i}}), stop)
                if stop.is_set():
                    return
                image_of[name] = image
    worker = threading.Thread(target=roll_out)
    worker.start()
    start = time.monotonic()
    for index in range(20):
        server.stop_apiserver("TERM" if index % 4 == 0 else "KILL")
        server.start_apiserver()
        check(manager.alive(), f"the manager has ended: {manager.log()[-600:]}")
        time.sleep(choose.uniform(0, 2))
    stop.set()
    worker.join()
    t.note(f"20 restarts in {time.monotonic() - start:.0f} s, {len(image_of)} Models changed")
    check(len(image_of) >= 100, f"only {len(image_of)} Models were changed")
    start = time.monotonic()

    def complete():
        seen = snapshot(t)
        equal(len(seen["models"]), 200, "Models")
        for name, model in seen["models"].items():
            children = [seen[kind].get(child_name(name)) for kind in KINDS[1:]]
            if None in children:
                raise NotYet(f"{name} lacks children")
            if any(owner_uid(child) != model["metadata"]["uid"] for child in children):
                raise NotYet(f"{name}'s children have other owners")
            arguments = fetch_arguments(children[0])
            got = arguments[arguments.index("--image") + 1]
            if got != model["spec"]["image"]:
                raise NotYet(f"{name} has {got}, wanted {model['spec']['image']}")
            if field(model, "status", "observedGeneration") != model["metadata"]["generation"]:
                raise NotYet(f"{name}'s status is old")
        return True
    wait_until("all 200 are as wanted", complete, 150, every=0.5)
    t.note(f"in order {time.monotonic() - start:.1f} s later")
    for kind in KINDS[1:]:
        equal(len(server.list(kind, t.namespace)), 200, kind)
    equal(manager.log().count("msg=working"), 1, "how often it began to work")
    equal(manager.stop(), 0, "exit code")
    check_fresh_agrees(t)


@test("Models deleted and made again under their names while requests fail: their children are new")
def made_again(t):
    api, choose = faulty(t), lot(t)
    # Of those which pass by themselves; no time-outs, which only take time.
    passing = [fault for fault in WHAT_FAILS if fault not in ("timeout", "403", "422")]
    rules = [api.add(fault, r"^(GET|PATCH|POST) (?!\S*(watch=true|/leases))", count=None,
                     chance=lambda: choose.random() < 0.04) for fault in passing]
    manager = t.manager(kubeconfig=api.kubeconfig).wait_working(60)
    names = [f"m{index}" for index in range(8)]
    for turn in range(4):
        for name in names:
            if turn > 0:
                t.cluster.delete("models", t.namespace, name)
            make(t, name, replicas=turn)
        time.sleep(choose.uniform(0, 1.5))
    api.clear()

    def renewed():
        seen = snapshot(t)
        for name in names:
            uid = seen["models"][name]["metadata"]["uid"]
            for kind in KINDS[1:]:
                child = seen[kind].get(child_name(name))
                if child is None or owner_uid(child) != uid or \
                        child["metadata"].get("deletionTimestamp"):
                    raise NotYet(f"{name}: {kind} {child and owner_uid(child)}, wanted {uid}")
                equal(len(child["metadata"]["ownerReferences"]), 1, "owners")
            if seen["deployments"][child_name(name)]["spec"]["replicas"] != 3:
                raise NotYet(f"{name}: replicas")
            status = seen["models"][name].get("status", {})
            if status.get("observedGeneration") != seen["models"][name]["metadata"]["generation"] \
                    or condition_of(seen["models"][name], "Progressing")["status"] != "True":
                raise NotYet(f"{name}: status {status}")
        return len(seen["deployments"]) == len(seen["services"]) == len(names)
    wait_until("all children are those of the new Models", renewed, GARBAGE_S + 45, every=0.25)
    failed = sum(rule.fired for rule in rules)
    t.note(f"{failed} requests failed")
    check(failed >= 10, f"only {failed} requests failed")
    check(manager.alive(), "the manager has ended")


@test("a child that a finalizer keeps: the status says so, and a new one comes when it has gone")
def finalizer(t):
    own_plane(t)
    t.manager().wait_working()
    hold = {"metadata": {"finalizers": ["example.com/hold"]}}
    release = {"metadata": {"finalizers": None}}
    for kind, word in (("deployments", "Deployment"), ("services", "Service")):
        name = "of-" + kind
        make(t, name)
        old = wait_until("children", lambda n=name: find_children(t, n))
        t.cluster.patch(kind, t.namespace, child_name(name), hold)
        t.cluster.delete(kind, t.namespace, child_name(name))

        def said(n=name):
            status, reason, message = condition(t, n, "Progressing")
            if reason != "BeingDeleted":
                raise NotYet(f"{status} {reason} {message}")
            return word in message and "example.com/hold" in message
        wait_until(f"{kind}: the status says what it waits for", said)
        # Made again meanwhile, its Model waits for the same.
        t.cluster.delete("models", t.namespace, name)
        # The other child is the old Model's, and nobody collects garbage here.
        other = "services" if kind == "deployments" else "deployments"
        t.cluster.delete(other, t.namespace, child_name(name))
        uid = make(t, name)["metadata"]["uid"]
        wait_until(f"{kind}: a new Model says it too", said)
        mark = t.cluster.audit_mark()
        holds_for("it is waited for in peace", lambda k=kind, n=name: t.cluster.get(
            k, t.namespace, child_name(n))["metadata"].get("deletionTimestamp"), 3, 0.25)
        written = [event["requestURI"] for event in t.cluster.writes(mark, namespace=t.namespace)
                   if f"/{kind}/" in event["requestURI"]]
        equal(written, [], "writes to an object that goes")
        t.cluster.patch(kind, t.namespace, child_name(name), release)

        def renewed(n=name, u=uid, before=old):
            found = find_children(t, n)
            return all(owner_uid(thing) == u for thing in found) and not (
                {thing["metadata"]["uid"] for thing in found} &
                {thing["metadata"]["uid"] for thing in before})
        wait_until(f"{kind}: new children", renewed, 40)
        wait_until(f"{kind}: the status is in order", lambda n=name: condition(
            t, n, "Progressing")[0] == "True", 40)


@test("what appears under our names while the manager is down is somebody else's all the same")
def taken_meanwhile(t):
    own_plane(t)
    manager = t.manager("--no-leader-election").wait_working()
    foreign = {"plain": ("deployments", foreign_deployment("plain")),
               "labelled": ("deployments", foreign_deployment(
                   "labelled", labels={"ollama.ayaka.io/type": "model"})),
               "service": ("services", foreign_service("service"))}
    for name in foreign:
        make(t, name)
        wait_until("children", lambda n=name: find_children(t, n))
    equal(manager.stop(), 0, "exit code")
    made = {}
    for name, (kind, body) in foreign.items():
        t.cluster.delete(kind, t.namespace, child_name(name))
        made[name] = t.cluster.create(kind, t.namespace, body)
    t.manager("--no-leader-election").wait_working()
    for name, (kind, _) in foreign.items():
        wait_until(f"{name}: the status says NameTaken", lambda n=name: condition(
            t, n, "Progressing")[1] == "NameTaken")
        t.cluster.patch("models", t.namespace, name, {"spec": {"replicas": 2}})
        wait_until("the change was looked at", lambda n=name: t.cluster.get(
            "models", t.namespace, n)["status"]["observedGeneration"] == 2)
        now = t.cluster.get(kind, t.namespace, child_name(name))
        equal(now["metadata"]["resourceVersion"], made[name]["metadata"]["resourceVersion"],
              f"{name}: version of what is not ours")


@test("1 MB of podTemplate arrives whole, and is made again whole")
def huge(t):
    own_plane(t)
    manager = t.manager("--no-leader-election").wait_working()

    def template(size):
        return {"spec": {"containers": [{"name": "server", "env": [
            {"name": f"BIG{index}", "value": "x" * 1000} for index in range(size // 1000)]}]}}
    make(t, "big", podTemplate=template(10 ** 6))
    deployment, _ = wait_until("children", lambda: find_children(t, "big"), 40)
    equal(environment_of(deployment).get("BIG999"), "x" * 1000, "the last of it")
    t.cluster.patch("models", t.namespace, "big", {"spec": {"replicas": 2}})
    wait_until("a change arrives", lambda: t.cluster.get(
        "deployments", t.namespace, child_name("big"))["spec"]["replicas"] == 2, 40)
    make(t, "small")
    wait_until("children of another", lambda: find_children(t, "small"), 40)
    before = t.cluster.get("deployments", t.namespace, child_name("big"))
    t.cluster.delete("deployments", t.namespace, child_name("big"))
    wait_until("it is made again, whole", lambda: environment_of(
        find_children(t, "big")[0]) == environment_of(before), 40)
    t.note(f"manager {manager.memory_kb() // 1024} MiB")
    equal(manager.stop(), 0, "exit code")
    check_fresh_agrees(t)


def fake_time(path):
    """The environment for a manager whose wall clock goes as the file says."""
    library = subprocess.run(["dpkg", "-L", "libfaketime"], text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL).stdout
    found = re.search(r"\S*/libfaketimeMT\.so\S*", library)
    check(found, "libfaketime is missing: tools/deps test installs it")
    return clean_environment(
        LD_PRELOAD=found.group(0), FAKETIME_TIMESTAMP_FILE=path, FAKETIME_NO_CACHE="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1", FAKETIME_DONT_RESET="1",
        ASAN_OPTIONS="verify_asan_link_order=0")


@test("the wall clock jumps an hour ahead and two back: the Lease is kept, work and retries go on")
def clock_jumps(t):
    own_plane(t)
    api = faulty(t)
    clock = t.file("clock", "+0\n")

    def jump(offset):
        with open(clock + ".new", "w", encoding="ascii") as out:
            out.write(offset + "\n")
        os.replace(clock + ".new", clock)
    manager = t.manager(kubeconfig=api.kubeconfig, environment=fake_time(clock)).wait_working(60)

    def renewed():
        return t.cluster.get("leases", t.namespace, LEASE)["spec"]
    mine = renewed()["holderIdentity"]
    other = t.manager().wait_ready(60)
    for number, (offset, hours) in enumerate((("+3600", 1), ("-3600", -1), ("+0", 0))):
        jump(offset)
        # What the Lease says of the time shows that the manager's clock did jump.
        wait_until(f"its clock is {offset}", lambda want=time.strftime(
            "%Y-%m-%dT%H", time.gmtime(time.time() + 3600 * hours)):
            renewed()["renewTime"].startswith(want), 20)
        name = f"m{number}"
        # A backoff that looked at the wall clock would wait for an hour, or never.
        rule = api.add("500", rf"PATCH \S*/deployments/{child_name(name)}", count=6)
        make(t, name)
        wait_until("children after retries", lambda n=name: find_children(t, n), 20)
        equal(rule.fired, 6, "failed attempts")
        holds_for("it goes on leading", lambda: manager.alive() and not other.is_working() and
                  renewed()["holderIdentity"] == mine, 6, 0.25)
    equal(manager.stop(), 0, "exit code")
    wait_until("the other leads then", other.is_working, 20)
