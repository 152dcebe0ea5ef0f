"""What goes wrong on the way of the weights, is said, and heals without help."""

import hashlib
import os
import signal
import threading
import time

from harness.suite import test
from harness.wait import NotYet, check, equal, holds_for, wait_until

from e2e.lab import OPERATOR_NAMESPACE, REGISTRY_NAME, missing_image, variant_for
from e2e.serving import (condition, events_of, is_ready, make, node_of, pods_of, service_of,
                         status_of, wait_event, wait_ready)

SLOW = 15_000_000


def wait_pull_failed(t, name, reason, timeout=30):
    """The message of its condition Pulled, once it is False for that reason."""
    def said():
        status, what, message = condition(t, name, "Pulled")
        if (status, what) != ("False", reason):
            raise NotYet(f"Pulled={status} {what}: {message}")
        return message
    return wait_until(f"{name} says Pulled=False {reason}", said, timeout)


@test("a model that no registry has: never Ready, all say why; another image repairs it")
def unknown_model(t):
    variant, missing = variant_for(t), missing_image()
    make(t, "phi", missing)
    message = wait_pull_failed(t, "phi", "NotFound")
    check(REGISTRY_NAME in message and missing in message, f"Pulled: {message}")
    equal(status_of(t, "phi")["phase"], "Failed", "phase")
    check(missing in status_of(t, "phi")["message"], status_of(t, "phi")["message"])
    kind, text = wait_event(t, "phi", "NotFound")
    equal(kind, "Warning", "type of the Event")
    check(missing in text, f"Event: {text}")
    holds_for("phase Failed, and no pod is Ready", lambda: status_of(
        t, "phi")["phase"] == "Failed" and not any(map(is_ready, pods_of(t, "phi"))), 5, every=0.25)
    start = time.monotonic()
    t.cluster.patch("models", t.namespace, "phi", {"spec": {"image": variant.image}})
    wait_ready(t, "phi", timeout=30)
    t.note(f"Ready {time.monotonic() - start:.1f} s after the repair")
    equal(condition(t, "phi", "Pulled")[0], "True", "Pulled")
    service_of(t, "phi").generate(variant.image)


@test("the registry is down: RegistryUnavailable; when it is back the pull goes on by itself")
def registry_down(t):
    lab, variant = t.suite.lab, variant_for(t)
    t.defer(lab.run, "start", "registry")
    lab.run("stop", "registry")
    make(t, "phi", variant.image)
    message = wait_pull_failed(t, "phi", "RegistryUnavailable")
    check(REGISTRY_NAME in message or lab.registry.url in message, f"Pulled: {message}")
    equal(wait_event(t, "phi", "RegistryUnavailable")[0], "Warning", "type of the Event")
    equal(status_of(t, "phi")["phase"], "Failed", "phase")
    lab.run("start", "registry")
    start = time.monotonic()
    # The longest pause between two tries is 30 s.
    wait_ready(t, "phi", timeout=60)
    t.note(f"Ready {time.monotonic() - start:.1f} s after its return")
    service_of(t, "phi").generate(variant.image)


class Sentry(threading.Thread):
    """Looks at the nodes' stores without a pause; hashes a blob as soon as readers can see it.

    `seen` maps where it was seen to the digest that it had at that moment.
    """

    def __init__(self, nodes, digest):
        super().__init__(daemon=True)
        self._nodes, self._digest = nodes, digest
        self._ended = threading.Event()
        self.seen, self.looks = {}, 0

    def run(self):
        while not self._ended.wait(0.002):
            self.looks += 1
            for node in self._nodes:
                for place in node.places_of(self._digest):
                    if place not in self.seen:
                        self._look_at(place)

    def _look_at(self, place):
        try:
            with open(place, "rb") as file:
                self.seen[place] = "sha256:" + hashlib.sha256(file.read()).hexdigest()
        except FileNotFoundError:
            pass  # A view got its name between the look and this.

    def lasting(self):
        """Places that are not those of a view in the making."""
        return [place for place in self.seen if "/.tmp-" not in place]

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self.join()


# The first bytes of a model are asked for before its pull, to estimate its memory.
HEADER_RANGE = "bytes=0-262143"


def whole(digest):
    """What a rule of the registry matches to hit a transfer of the whole blob."""
    return f"GET [^ ]*{digest} *$"


def transfers_of(lab, digest):
    return [entry for entry in lab.registry.requests_of(digest) if entry["range"] != HEADER_RANGE]


def pull_through_fault(t, variant, reasons):
    """A Model whose first transfer is bad; returns the reason that was said for it."""
    lab = t.suite.lab
    t.defer(lab.registry.clear_faults)
    with Sentry(lab.nodes.values(), variant.digest) as sentry:
        make(t, "phi", variant.image)
        said = wait_until(f"an Event of {reasons}", lambda: next(
            ((kind, reason, message) for kind, reason, message in events_of(t, "phi")
             if reason in reasons), None))
        equal(said[0], "Warning", f"type of the Event {said[1]}")
        wait_ready(t, "phi")
    check(sentry.looks > 100, f"only {sentry.looks} looks")
    equal(len(sentry.lasting()), 2, f"places where the blob was seen, {list(sentry.seen)}")
    equal(set(sentry.seen.values()), {variant.digest}, "what readers could see")
    equal(status_of(t, "phi")["digest"], variant.manifest_digest, "status.digest")
    service_of(t, "phi").generate(variant.image)
    return said


@test("bytes that are not the manifest's: DigestMismatch, fetched anew; no reader ever sees them")
def corrupted_blob(t):
    lab, variant = t.suite.lab, variant_for(t)
    lab.registry.fault("corrupt", whole(variant.digest))
    _, _, message = pull_through_fault(t, variant, {"DigestMismatch"})
    check(variant.digest[7:19] in message, f"Event: {message}")
    requests = transfers_of(lab, variant.digest)
    equal([entry["fault"] for entry in requests[:1]], ["corrupt"], "the first transfer")
    check(len(requests) >= 2, f"{len(requests)} transfers")
    sent = sum(entry["sent"] for entry in requests)
    check(1.9 < sent / variant.size <= 2, f"{sent} bytes sent for {variant.size}, wrong and right")


@test("a transfer that breaks off goes on where it was")
def truncated_blob(t):
    lab, variant = t.suite.lab, variant_for(t)
    lab.registry.fault("truncate", whole(variant.digest))
    pull_through_fault(t, variant, {"RegistryUnavailable"})
    requests = transfers_of(lab, variant.digest)
    equal([entry["fault"] for entry in requests[:1]], ["truncate"], "the first transfer")
    check(any(not entry["range"].startswith("bytes=0-") and entry["status"] == 206
              for entry in requests[1:]), f"ranges: {[entry['range'] for entry in requests]}")
    sent = sum(entry["sent"] for entry in requests)
    check(sent < 1.1 * variant.size, f"{sent} bytes sent for {variant.size}")


def pull_through_death(t, kill):
    """Kills the store of a Model's node in mid-pull; the pull must not begin again."""
    lab, variant = t.suite.lab, variant_for(t)
    lab.registry.set_rate(SLOW)
    t.defer(lab.registry.set_rate, 0)
    make(t, "phi", variant.image)
    name = node_of(t, "phi")
    node = lab.nodes[name]
    wait_until("a third of the blob is here",
               lambda: node.received(variant.digest) > variant.size / 3, 30)
    kill(name)
    had = node.received(variant.digest)
    check(had < 0.9 * variant.size, "killed too late")
    lab.registry.set_rate(0)
    start = time.monotonic()
    wait_ready(t, "phi", timeout=90)
    sent = sum(entry["sent"] for entry in lab.registry.requests_of(variant.digest))
    t.note(f"killed at {had / variant.size:.0%}, Ready {time.monotonic() - start:.1f} s after, "
           f"{sent / variant.size:.2f} x the size sent")
    check(sent < 1.2 * variant.size, f"{sent} bytes sent for {variant.size}")
    offsets = [entry["range"] for entry in lab.registry.requests_of(variant.digest)]
    check(any(text and not text.startswith("bytes=0-") for text in offsets), f"ranges: {offsets}")
    equal(status_of(t, "phi")["digest"], variant.manifest_digest, "status.digest")
    with open(node.blob(variant.digest), "rb") as blob:
        equal("sha256:" + hashlib.sha256(blob.read()).hexdigest(), variant.digest, "the blob")
    service_of(t, "phi").generate(variant.image)


@test("the store's process is killed in mid-pull: the next one goes on")
def store_killed(t):
    lab = t.suite.lab

    def kill(node):
        os.kill(lab.process_of(lab.store_on(node)), signal.SIGKILL)
    pull_through_death(t, kill)


@test("the store's pod is deleted by force in mid-pull: the next one goes on")
def store_deleted(t):
    def delete(node):
        pod = t.suite.lab.store_on(node)["metadata"]["name"]
        t.cluster.kubectl("-n", OPERATOR_NAMESPACE, "delete", "pod", pod, "--grace-period=0",
                          "--force")
    pull_through_death(t, delete)
