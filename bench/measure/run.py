"""One contender against one fresh control plane."""

import statistics
import time

from harness.wait import check, wait_until

from .contenders import Writer
from .meters import Requests, Stream, Tally, audit_time, cpu_s, memory_kb, wait_quiet
from .plane import NAMESPACE

QUIET_S = 5


def is_available(thing):
    """A Model whose condition Available is True; a Deployment with an available pod."""
    status = thing.get("status", {})
    if thing["kind"] == "Deployment":
        return status.get("availableReplicas", 0) > 0
    return any(condition["type"] == "Available" and condition["status"] == "True"
               for condition in status.get("conditions", []))


class Run:
    """`figures` fills as the phases go by."""

    def __init__(self, contender, plane, writer, models, directory, options):
        self._contender, self._plane, self._directory = contender, plane, directory
        self._writer, self._models, self._options = writer, models, options
        self._requests = Requests(plane)
        self._process = None
        self.figures = {}

    def all(self):
        try:
            if self._contender.controller:
                self._empty()
                self._converge()
                self._idle()
                self._changes()
                self._restart()
            else:
                self._converge()
        finally:
            if self._process is not None:
                self._process.kill()
        return self.figures

    # ---- phases ----

    def _start(self):
        self._process = self._contender.start(self._plane, self._directory)

    def _quiet(self):
        return wait_quiet(self._process.pid, QUIET_S, self._options.timeout)

    def _empty(self):
        """Running, with nothing to do."""
        self._start()
        self._quiet()
        self.figures["memory_empty_kb"] = memory_kb(self._process.pid)

    def _converge(self):
        """All Models at once, until each is Available."""
        controller = self._contender.controller
        available = {}

        def note(when, thing):
            if is_available(thing):
                available.setdefault(thing["metadata"]["name"], when)

        mark = self._requests.mark()
        cpu_before = cpu_s(self._process.pid) if controller else 0
        kubeconfig = (self._plane.kubeconfig if controller else self._plane.contender_kubeconfig)
        resource = "models" if controller else "deployments"
        with Stream(self._plane, resource, NAMESPACE, note) as stream, \
                Tally(self._plane, NAMESPACE, ("deployments", "services"), self._models) as tally:
            wrote = Writer(self._writer, kubeconfig, self._models, children=not controller).wait()

            def done():
                stream.check()
                tally.check()
                return len(tally.reached) == 2 and len(available) >= self._models
            wait_until("all children are there and available", done, self._options.timeout)
        self._note_converged(wrote, tally.reached, available)
        if controller:
            self._quiet()
            self.figures["cpu_s"] = cpu_s(self._process.pid) - cpu_before
            self.figures["memory_kb"] = memory_kb(self._process.pid)
        else:
            self.figures["cpu_s"] = wrote["cpu_s"]
        self._note_requests("requests", mark)

    def _note_converged(self, wrote, reached, available):
        self.figures["models_written_s"] = wrote["models_s"]
        self.figures["children_s"] = max(reached.values()) - wrote["started"]
        times = sorted(when - wrote["started"] for when in available.values())
        self.figures["available_s"] = times[-1]
        self.figures["available_median_s"] = statistics.median(times)

    def _note_requests(self, name, mark):
        events = self._requests.since(mark)
        self.figures[name] = self._requests.by_kind(events)
        refused = [event for event in events if event["responseStatus"]["code"] >= 400]
        self.figures[name + "_refused"] = self._requests.by_kind(refused)

    def _idle(self):
        """Nothing happens, for as long as asked."""
        mark, cpu_before = self._requests.mark(), cpu_s(self._process.pid)
        time.sleep(self._options.idle)  # Why: what must not happen is what is measured.
        self.figures["idle_s"] = self._options.idle
        self.figures["idle_cpu_s"] = cpu_s(self._process.pid) - cpu_before
        self.figures["memory_idle_kb"] = memory_kb(self._process.pid)
        self._note_requests("idle_requests", mark)

    def _changes(self):
        """One spec after the other is changed; how long after the answer has its child changed?"""
        changed = {}

        def note(when, thing):
            changed.setdefault((thing["metadata"]["name"], thing["spec"]["replicas"]), when)

        count = min(self._options.changes, self._models)
        took = []
        with Stream(self._plane, "deployments", NAMESPACE, note) as stream:
            for number in range(count):
                name = f"bench-{number:05d}"
                self._plane.patch("models", NAMESPACE, name, {"spec": {"replicas": 2}})
                answered = time.time()
                key = ("ollama-model-" + name, 2)

                def seen():
                    stream.check()
                    return changed.get(key)
                took.append(wait_until(f"{key[0]} has two replicas", seen,
                                       self._options.timeout, every=0.001) - answered)
        self.figures["change_ms"] = {"count": count, "median": statistics.median(took) * 1000,
                                     "max": max(took) * 1000}

    def _restart(self):
        """Ends it in order, and starts it with all Models there."""
        self._quiet()
        code = self._process.stop()
        check(code == 0, f"SIGTERM ended it with status {code}: {self._process.log_path}")
        mark = self._requests.mark()
        self._start()
        quiet = self._quiet()
        asked = [audit_time(event) for event in self._requests.since(mark)
                 if event.get("objectRef", {}).get("resource") != "leases"]
        self.figures["start_s"] = max(quiet, *asked) - self._process.started
        self.figures["start_cpu_s"] = cpu_s(self._process.pid)
        self.figures["memory_start_kb"] = memory_kb(self._process.pid)
        self._note_requests("start_requests", mark)
        self._process.stop()
