"""Two managers: one leads, and what happens when it goes."""

import re
import time

from harness.cluster import field
from harness.suite import test
from harness.wait import check, equal, holds_for, wait_until

from .support import child_name, find_children, make

LEASE = "ollama-operator-manager"
# How the API server's audit log names the users of the two kubeconfigs.
FIRST_USER, SECOND_USER = "admin", "token-admin"


def holder(t):
    return field(t.cluster.find("leases", t.namespace, LEASE), "spec", "holderIdentity")


def identity(manager):
    return wait_until("the manager says who it is",
                      lambda: re.search(r"identity=(\S+)", manager.log())).group(1)


def start_two(t):
    """(leader, other); the leader is FIRST_USER to the API server, the other SECOND_USER."""
    leader = t.manager().wait_working()
    other = t.manager(kubeconfig=t.cluster.kubeconfig + ".token").wait_ready()
    equal(holder(t), identity(leader), "holder of the Lease")
    return leader, other


@test("of two managers exactly one leads and works")
def one_leads(t):
    managers = [t.manager() for _ in range(2)]
    wait_until("one works", lambda: any(manager.is_working() for manager in managers))
    for manager in managers:
        manager.wait_ready()
    make(t, "phi")
    wait_until("children", lambda: find_children(t, "phi"))
    holds_for("one works", lambda: sum(manager.is_working() for manager in managers) == 1, 6, 0.25)
    leader = next(manager for manager in managers if manager.is_working())
    equal(holder(t), identity(leader), "holder of the Lease")


@test("SIGTERM gives the Lease up: another leads within 3 s")
def term(t):
    leader, other = start_two(t)
    make(t, "phi")
    wait_until("children", lambda: find_children(t, "phi"))
    start = time.monotonic()
    code = leader.stop()
    ended = time.monotonic() - start
    wait_until("the other works", other.is_working)
    took = time.monotonic() - start
    equal(code, 0, "exit code of the first")
    equal(holder(t), identity(other), "holder of the Lease")
    t.note(f"ended after {ended:.2f} s, handed over after {took:.2f} s")
    check(took < 3, f"{took:.2f} s")
    t.cluster.patch("models", t.namespace, "phi", {"spec": {"replicas": 2}})
    wait_until("the new leader acts", lambda: t.cluster.get(
        "deployments", t.namespace, child_name("phi"))["spec"]["replicas"] == 2)


@test("after kill -9 of the leader another leads within 20 s and acts on what happened since")
def killed(t):
    leader, other = start_two(t)
    make(t, "phi")
    wait_until("children", lambda: find_children(t, "phi"))
    start = time.monotonic()
    leader.kill()
    t.cluster.patch("models", t.namespace, "phi", {"spec": {"replicas": 2}})
    make(t, "new")
    wait_until("the other works", other.is_working, 20)
    took = time.monotonic() - start
    t.note(f"handed over after {took:.1f} s")
    # Sooner, the first could still have been alive by its own Lease.
    check(8 < took < 20, f"{took:.1f} s")
    wait_until("a change made meanwhile arrives", lambda: t.cluster.get(
        "deployments", t.namespace, child_name("phi"))["spec"]["replicas"] == 2)
    wait_until("a Model made meanwhile gets children", lambda: find_children(t, "new"))


@test("a leader that was stopped for longer than its Lease writes nothing more, and ends")
def paused(t):
    leader, other = start_two(t)
    for name in ("a", "b", "c"):
        make(t, name)
        wait_until("children", lambda n=name: find_children(t, n))
    leader.pause()
    wait_until("the other works", other.is_working, 25)
    # Work for both: the one that wakes up sees all this before it can know that it lost.
    for name in ("a", "b", "c"):
        t.cluster.patch("models", t.namespace, name, {"spec": {"replicas": 3}})
    wait_until("the other acts", lambda: all(t.cluster.get(
        "deployments", t.namespace, child_name(name))["spec"]["replicas"] == 3
        for name in ("a", "b", "c")))
    mark = t.cluster.audit_mark()
    leader.resume()
    for name in ("a", "b", "c"):
        t.cluster.delete("deployments", t.namespace, child_name(name))
    equal(leader.wait(20), 1, "exit code of the one that was stopped")
    check("lease was lost" in leader.log(), f"it does not say why: {leader.log()[-400:]}")
    for name in ("a", "b", "c"):
        wait_until("children", lambda n=name: find_children(t, n))
    # That its attempt to renew the Lease meets a conflict is how it learns that it lost.
    written = [event for event in t.cluster.audit(mark, user=FIRST_USER)
               if event["verb"] in ("create", "update", "patch", "delete") and
               event["responseStatus"]["code"] != 409]
    equal([event["requestURI"] for event in written], [], "writes of the one that was stopped")
    # The same look at the log does see writes.
    check(t.cluster.writes(mark, user=SECOND_USER), "the audit log shows no writes at all")
    equal(holder(t), identity(other), "holder of the Lease")
