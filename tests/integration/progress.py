"""What a node's store says becomes the Model's status, without a storm of writes."""

import http.server
import json
import queue
import random
import threading
import time

from harness.cluster import field
from harness.suite import test
from harness.wait import NotYet, check, equal, wait_until

from .support import condition, events_of, make

IMAGE = "registry.ollama.ai/library/phi:latest"
DIGEST = "sha256:" + "ab" * 32


class Store:
    """Speaks GET /v1/progress as a store does; the test says what."""

    PORT = 11435

    def __init__(self):
        # Why: the manager knows the port only; the address keeps tests of one machine apart.
        self.address = f"127.{random.randint(1, 250)}.{random.randint(0, 250)}.{random.randint(2, 250)}"
        self.opened = 0
        self._lines, self._known = queue.Queue(), {}
        store = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if self.path != "/v1/progress":
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "application/x-ndjson")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                store.opened += 1
                for state in list(store._known.values()):
                    self._chunk(json.dumps(state))
                self._chunk('{"synced":true}')
                while (line := store._lines.get()) is not None:
                    self._chunk(line)
                self.close_connection = True

            def _chunk(self, line):
                data = line.encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer((self.address, self.PORT), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._lines.put(None)
        self._server.shutdown()
        self._server.server_close()

    def cut(self):
        """Ends the stream in the middle of a chunked answer."""
        self._lines.put(None)

    def send(self, line):
        self._lines.put(line)

    def say(self, phase, image=IMAGE, **more):
        self._known[image] = {"image": image, "node": "wherever", "phase": phase, **more}
        self.send(json.dumps(self._known[image]))

    def forget(self, phase, image=IMAGE, **more):
        """Changes what it knows without a line about it."""
        self._known[image] = {"image": image, "node": "wherever", "phase": phase, **more}


def start(t):
    """A store on a node of its own, and a manager that listens to it."""
    store, node = Store(), t.namespace
    t.defer(store.close)
    t.cluster.create("nodes", None, {"metadata": {"name": node}})
    t.defer(t.cluster.delete, "nodes", None, node)
    labels = {"app.kubernetes.io/name": "ollama-operator", "app.kubernetes.io/component": "store"}
    t.cluster.create("pods", t.namespace, {
        "metadata": {"name": "store", "labels": labels},
        "spec": {"nodeName": node, "containers": [{"name": "store", "image": "example.com/x"}],
                 "tolerations": [{"operator": "Exists"}]}})
    t.cluster.patch("pods", t.namespace, "store", {"status": {
        "phase": "Running", "podIP": store.address, "podIPs": [{"ip": store.address}]}}, "status")
    t.manager().wait_working()
    make(t, "phi")
    wait_until("the manager listens to the store", lambda: store.opened == 1)
    return store


def status(t):
    return t.cluster.get("models", t.namespace, "phi").get("status", {})


def wait_phase(t, phase, timeout=20):
    def there():
        now = status(t)
        if now.get("phase") != phase:
            raise NotYet(str(now.get("phase")))
        return now
    return wait_until(f"phase {phase}", there, timeout)


@test("a pull's progress, and its end, are in the status")
def pull(t):
    store = start(t)
    store.say("Queued")
    store.send("")  # A heartbeat.
    store.send("this is no JSON")
    store.say("Pulling", completed=43, total=100, bytesPerSecond=7, digest=DIGEST, size=100)
    now = wait_phase(t, "Pulling 43 %")
    equal(now["pull"]["completed"], 43, "pull.completed")
    equal(now["pull"]["total"], 100, "pull.total")
    equal(now["pull"]["bytesPerSecond"], 7, "pull.bytesPerSecond")
    equal(now["pull"]["node"], t.namespace, "pull.node: the pod's, not what the stream says")
    equal(condition(t, "phi", "Pulled")[:2], ("False", "Pulling"), "Pulled")
    start_time = time.monotonic()
    store.say("Ready", digest=DIGEST, size=98364, completed=98364, total=98364, family="llama",
              parameters="134.52M", quantization="Q4_1")
    wait_until("Pulled is True", lambda: condition(t, "phi", "Pulled")[0] == "True")
    took = time.monotonic() - start_time
    t.note(f"Pulled after {took * 1000:.0f} ms")
    check(took < 1.5, f"it took {took:.2f} s: a change of phase is not to wait")
    now = status(t)
    equal([now.get(key) for key in ("digest", "size", "family", "parameters", "quantization",
                                    "nodes", "image", "pull")],
          [DIGEST, 98364, "llama", "134.52M", "Q4_1", 1, IMAGE, None], "facts")
    wait_until("an Event Pulled", lambda: any(
        (kind, reason) == ("Normal", "Pulled") for kind, reason, _ in events_of(t, "phi")))


@test("a pull that failed says why, in status and Event; and no more once it works")
def failure(t):
    words = "manifest for phi:latest not found in registry.ollama.ai: check spec.image"
    store = start(t)
    store.say("Failed", reason="NotFound", message=words)
    now = wait_phase(t, "Failed")
    equal(now["message"], words, "message")
    equal(condition(t, "phi", "Pulled"), ("False", "NotFound", words), "Pulled")
    wait_until("an Event", lambda: ("Warning", "NotFound", words) in events_of(t, "phi"))
    store.say("Pulling", completed=1, total=4)
    wait_phase(t, "Pulling 25 %")
    store.say("Ready", digest=DIGEST, size=4)
    wait_until("Pulled is True", lambda: condition(t, "phi", "Pulled")[0] == "True")
    check(words not in json.dumps(status(t)), f"the old words are still there: {status(t)}")


@test("another image's progress is not this Model's, and changes of image forget the facts")
def other_image(t):
    store = start(t)
    store.say("Failed", image="registry.ollama.ai/library/other:latest", reason="NotFound",
              message="not this one")
    store.say("Ready", digest=DIGEST, size=4)
    wait_until("Pulled is True", lambda: condition(t, "phi", "Pulled")[0] == "True")
    check("not this one" not in json.dumps(status(t)), f"the other's words: {status(t)}")
    t.cluster.patch("models", t.namespace, "phi", {"spec": {"image": "other"}})
    wait_until("the other's failure is now this Model's",
               lambda: condition(t, "phi", "Pulled") == ("False", "NotFound", "not this one"))
    equal((status(t).get("digest"), status(t).get("size")), (None, None), "facts of the old image")


@test("120 lines of progress in 6 s make at most 5 writes of the status")
def coalesced(t):
    store = start(t)
    wait_until("a first status", lambda: status(t).get("conditions"))
    store.say("Pulling", completed=1, total=1000)
    wait_phase(t, "Pulling 0 %")
    with t.cluster.watch("models", t.namespace) as watch:
        mark = t.cluster.audit_mark()
        for step in range(1, 121):
            store.say("Pulling", completed=8 * step, total=1000)
            time.sleep(0.05)
        writes = [event for event in t.cluster.writes(mark, namespace=t.namespace)
                  if event["objectRef"].get("subresource") == "status"]
        wait_until("the watch saw what the audit log counts",
                   lambda: len(watch.events) >= len(writes))
        seen = [field(thing, "status", "pull", "completed") for _, _, thing in watch.events]
    t.note(f"{len(writes)} writes, at {seen}")
    check(2 <= len(writes) <= 5, f"{len(writes)} writes")
    wait_phase(t, "Pulling 96 %", 5)


@test("a stream that is cut is opened again, and tells what has changed meanwhile")
def cut(t):
    store = start(t)
    store.say("Pulling", completed=10, total=100)
    wait_phase(t, "Pulling 10 %")
    store.forget("Pulling", completed=77, total=100)
    store.cut()
    wait_phase(t, "Pulling 77 %")
    equal(store.opened, 2, "connections")
    # The pod goes: what it said of its node is not known any more.
    t.cluster.kubectl("delete", "pod", "store", "-n", t.namespace, "--force", "--grace-period=0")
    wait_until("no pull in the status", lambda: "pull" not in status(t))
    equal(condition(t, "phi", "Pulled")[0], "Unknown", "Pulled")
