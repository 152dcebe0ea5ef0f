"""Watches that are cut, that fall silent, that tell the past again, or tell nonsense."""

import json
import os
import random
import re
import time

from harness.cluster import ApiError
from harness.suite import test
from harness.wait import NotYet, check, equal, holds_for, wait_until

from .faults import KINDS, check_fresh_agrees, faulty, own_plane, snapshot
from .support import child_name, fetch_arguments, find_children, make

EVERY_WATCH = r"^GET \S*watch=true"
IMAGES = ("phi", "qwen2.5:0.5b", "llama3.2:1b", "user/model:x")


def lot(t):
    seed = int.from_bytes(os.urandom(4), "big")
    t.note(f"seed {seed}")
    return random.Random(seed)


class Life:
    """Models to which things happen at random; what must come of it."""

    def __init__(self, t, choose, count):
        self.t, self.choose = t, choose
        self.names = [f"m{index}" for index in range(count)]
        self.wanted = {}  # name -> (image, replicas)

    def happen(self):
        """One thing, to one Model."""
        name, cluster = self.choose.choice(self.names), self.t.cluster
        if name not in self.wanted:
            make(self.t, name)
            self.wanted[name] = ("phi", 1)
            return
        image, replicas = self.wanted[name]
        what = self.choose.randrange(5)
        if what == 0:
            image = self.choose.choice(IMAGES)
        elif what == 1:
            replicas = self.choose.randrange(5)
        elif what == 2:
            self._try(lambda: cluster.delete("deployments", self.t.namespace, child_name(name)))
        elif what == 3:
            self._try(lambda: cluster.delete("services", self.t.namespace, child_name(name)))
        else:
            self._try(lambda: cluster.patch("deployments", self.t.namespace, child_name(name),
                                            {"spec": {"replicas": 9}}))
        self.wanted[name] = (image, replicas)
        cluster.patch("models", self.t.namespace, name,
                      {"spec": {"image": image, "replicas": replicas}})

    @staticmethod
    def _try(act):
        try:
            act()
        except ApiError as error:
            if error.code != 404:
                raise

    def check_done(self):
        """A condition for wait_until."""
        seen = snapshot(self.t)
        equal(set(seen["models"]), set(self.wanted), "Models")
        for name, (image, replicas) in self.wanted.items():
            deployment = seen["deployments"].get(child_name(name))
            if deployment is None or child_name(name) not in seen["services"]:
                raise NotYet(f"{name} has no children")
            arguments = fetch_arguments(deployment)
            got = (arguments[arguments.index("--image") + 1], deployment["spec"]["replicas"])
            if got != (image, replicas):
                raise NotYet(f"{name}: {got}, wanted {(image, replicas)}")
            model = seen["models"][name]
            if model.get("status", {}).get("observedGeneration") != model["metadata"]["generation"]:
                raise NotYet(f"{name}: its status is old")
        for kind in KINDS[1:]:
            equal(len(seen[kind]), len(self.wanted), kind)
        return True


@test("watches are cut at random, in order and in mid-event: nothing is missed")
def cut(t):
    own_plane(t)
    api, choose = faulty(t), lot(t)
    cuts = [api.add("cut", EVERY_WATCH, count=None, after=after,
                    chance=lambda: choose.random() < 0.2) for after in (0, 1, 3, 8)]
    cuts.append(api.add("end", EVERY_WATCH, count=None, after=2,
                        chance=lambda: choose.random() < 0.3))
    manager = t.manager("--no-leader-election", kubeconfig=api.kubeconfig).wait_working(90)
    life = Life(t, choose, 30)
    for index in range(300):
        life.happen()
        if index % 60 == 59:
            api.cut_all()
        time.sleep(0.02)  # Why: so that cuts and events come in turn.
    api.clear()
    wait_until("all is as wanted", life.check_done, 60, every=0.25)
    happened = sum(rule.fired for rule in cuts)
    t.note(f"{happened} cuts")
    check(happened >= 10, f"only {happened} cuts")
    equal(manager.stop(), 0, "exit code")
    check_fresh_agrees(t)


@test("a watch that falls silent is given up after --watch-idle, and what it missed is seen")
def stalled(t):
    own_plane(t)
    api = faulty(t)
    manager = t.manager("--no-leader-election", "--watch-idle", "6",
                        kubeconfig=api.kubeconfig).wait_working()
    make(t, "phi")
    wait_until("children", lambda: find_children(t, "phi"))
    rules = [api.add("stall", rf"^GET \S*/{kind}\?\S*watch=true") for kind in KINDS]
    # Those that stand end; those that come instead are silent.
    api.cut_all()
    wait_until("the new watches are there", lambda: all(rule.fired for rule in rules), 30)
    start = time.monotonic()
    make(t, "new")
    t.cluster.patch("models", t.namespace, "phi", {"spec": {"replicas": 3}})
    t.cluster.delete("services", t.namespace, child_name("phi"))
    holds_for("a silent watch tells nothing: this test does test it", lambda: not (
        t.cluster.find("services", t.namespace, child_name("phi")) or
        t.cluster.find("deployments", t.namespace, child_name("new"))), 2, 0.25)
    for name in ("new", "phi"):
        wait_until(f"children of {name}", lambda n=name: find_children(t, n), 20)
    wait_until("the change arrives", lambda: t.cluster.get(
        "deployments", t.namespace, child_name("phi"))["spec"]["replicas"] == 3, 20)
    t.note(f"seen after {time.monotonic() - start:.1f} s")
    check(manager.alive(), "the manager has ended")


@test("watches that tell old events again after each new one do not bring the past back")
def replayed(t):
    own_plane(t)
    api, choose = faulty(t), lot(t)
    rule = api.add("replay", EVERY_WATCH, count=None, after=15)
    manager = t.manager("--no-leader-election", kubeconfig=api.kubeconfig).wait_working()
    life = Life(t, choose, 12)
    for _ in range(200):
        life.happen()
    wait_until("all is as wanted", life.check_done, 30)
    # The past would come with the next event.
    gone = sorted(life.wanted)[:4]
    for name in gone:
        del life.wanted[name]
        t.cluster.delete("models", t.namespace, name)
    life.names = sorted(life.wanted)
    # A later change of a Model shows that the manager knows of the deletions.
    life.wanted[life.names[0]] = ("phi", 7)
    t.cluster.patch("models", t.namespace, life.names[0], {"spec": {"image": "phi", "replicas": 7}})
    wait_until("a later change", lambda: t.cluster.get(
        "deployments", t.namespace, child_name(life.names[0]))["spec"]["replicas"] == 7)
    for name in gone:
        for kind in KINDS[1:]:
            t.cluster.delete(kind, t.namespace, child_name(name))
    for _ in range(30):
        life.happen()
    wait_until("all is as wanted", life.check_done, 30)
    holds_for("it stays so", life.check_done, 3, every=0.3)
    check(rule.fired >= 4, f"{rule.fired} watches told old events")
    equal(manager.stop(), 0, "exit code")
    check_fresh_agrees(t)


# Objects of an API server that has gone mad; none may end the manager.
NONSENSE = [
    {}, {"metadata": None}, {"metadata": []}, {"metadata": {}}, {"metadata": {"name": ""}},
    {"metadata": {"name": 7, "namespace": []}},
    {"metadata": {"name": "x"}},
    {"metadata": {"name": "x\u0000y", "namespace": "n"}, "spec": {}},
    {"metadata": {"name": "a", "namespace": "NS", "uid": 5, "resourceVersion": 9,
                  "labels": [], "ownerReferences": {"uid": 1}}, "spec": "text", "status": []},
    {"metadata": {"name": "b", "namespace": "NS", "uid": "u", "resourceVersion": "x",
                  "generation": "many", "ownerReferences": [None, 4, {"controller": True}],
                  "annotations": 3, "deletionTimestamp": 8},
     "spec": {"image": 5, "replicas": "two", "template": [], "resources": {"limits": []},
              "extraEnv": {}, "podTemplate": 4},
     "status": {"conditions": {"type": "x"}, "replicas": "0", "containerStatuses": "none"}},
    {"metadata": {"name": "c", "namespace": "NS", "uid": "u2", "resourceVersion": "-1",
                  "labels": {"ollama.ayaka.io/type": 1}},
     "spec": {"image": "phi", "replicas": 1e300, "extraEnv": [None, 1, {"name": 3}],
              "resources": {"limits": {"cpu": {}}, "requests": {"memory": "x" * 5000}},
              "podTemplate": {"spec": {"containers": [None, {"name": []}]}}},
     "status": {"conditions": [None, [], {"type": 4}]}},
    {"metadata": {"name": "n" * 300, "namespace": "NS", "uid": "u3", "resourceVersion": "1"},
     "spec": {"image": "i" * 100000}},
    {"metadata": {"name": "../../etc", "namespace": "../..", "uid": "u4", "resourceVersion": "2"},
     "spec": {"image": "phi"}},
]
LINES = ["null", "[]", "7", '"text"', "{}", '{"type":"ADDED"}', '{"type":"ADDED","object":[]}',
         '{"type":"EXPLODED","object":{}}', '{"type":"ERROR"}', '{"type":"ERROR","object":{}}',
         '{"type":"ERROR","object":{"code":"x","reason":[],"message":{}}}', '{"type":"ADDED","obj',
         "\x00\x01\xff", "{" * 5000, '{"type":"BOOKMARK","object":{}}',
         '{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":{}}}}',
         '{"type":"ADDED","object":"' + "x" * (5 * 1024 * 1024) + '"}']


@test("objects that are none, lines that are no events, a line of 5 MB: told in a line, no more")
def nonsense(t):
    own_plane(t)
    api = faulty(t)
    text = json.dumps(NONSENSE).replace('"NS"', json.dumps(t.namespace))
    objects = json.loads(text)
    rules = []
    kinds = KINDS + ("pods",)
    for number, kind in enumerate(kinds):
        watch = rf"^GET \S*/{kind}\?\S*watch=true"
        events = [json.dumps({"type": event, "object": thing})
                  for event in ("ADDED", "MODIFIED", "DELETED") for thing in objects]
        rules.append(api.add("insert", watch, text="\n".join(events)))
        # Each ends its watch, and the next comes later each time: so each goes to one kind only.
        rules += [api.add("insert", watch, text=line) for line in LINES[number::len(kinds)]]

        def stuffed(answer):
            whole = json.loads(answer)
            whole["items"] = objects[:4] + (whole["items"] or []) + objects
            return json.dumps(whole).encode()
        rules.append(api.add("edit", rf"^GET \S*/{kind}\?(?!\S*watch=true)", count=2,
                             edit=stuffed))
    manager = t.manager("--no-leader-election", "--watch-idle", "6",
                        kubeconfig=api.kubeconfig).wait_working(60)
    make(t, "before")
    wait_until("children of a good Model", lambda: find_children(t, "before"), 40)

    def all_happened():
        check(manager.alive(), f"the manager has ended: {manager.log()[-800:]}")
        left = [rule for rule in rules if not rule.fired]
        if left:
            raise NotYet(f"{len(left)} of {len(rules)} to come, such as {left[0].pattern} "
                         f"{(left[0].text or 'list')[:60]}")
        return True
    wait_until("all of it has come", all_happened, 150, every=0.5)
    make(t, "after")
    wait_until("children of a later Model", lambda: find_children(t, "after"), 60)
    t.cluster.patch("models", t.namespace, "before", {"spec": {"replicas": 2}})
    wait_until("a change arrives", lambda: t.cluster.get(
        "deployments", t.namespace, child_name("before"))["spec"]["replicas"] == 2, 60)
    log = manager.log()
    check("left out objects without a name" in log, "what was left out is not told")
    odd = re.findall(r"level=(?:warn|error) msg=\"(?!reconcile failed)[^\"]*\"", log)
    check(len(odd) <= 3 * len(rules), f"{len(odd)} lines for {len(rules)} oddities")
    t.note(f"{len(rules)} oddities, {len(odd)} lines")
    equal(manager.stop(), 0, "exit code")
