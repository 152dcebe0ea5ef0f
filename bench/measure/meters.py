"""Measuring: processes, requests, events."""

import http.client
import json
import os
import re
import threading
import time
from collections import Counter
from datetime import datetime, timezone

from harness.cluster import Cluster
from harness.wait import Failed, check

# The clock of another process, as clock_getcpuclockid() makes it from a pid; Python has no such call.
CPUCLOCK_SCHED = 2
SAMPLE_S = 0.05


def memory_kb(pid):
    """{"rss", "anon", "file", "peak"} of a process, in KiB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        lines = dict(re.findall(r"^(\w+):\s+(\d+) kB$", status.read(), re.M))
    return {"rss": int(lines["VmRSS"]), "anon": int(lines["RssAnon"]),
            "file": int(lines["RssFile"]), "peak": int(lines["VmHWM"])}


def cpu_s(pid):
    """Seconds of CPU that a process has used: its own clock, exact to less than a microsecond."""
    return time.clock_gettime(~pid << 3 | CPUCLOCK_SCHED)


def wait_quiet(pid, seconds, timeout):
    """Waits until a process has had nothing to do for so long; when that began, of time.time().

    Nothing to do: never more than 2 % of a core within a twentieth of a second.
    """
    deadline = time.monotonic() + timeout
    since, used = time.time(), cpu_s(pid)
    while True:
        time.sleep(SAMPLE_S)
        now, uses = time.time(), cpu_s(pid)
        if uses - used > SAMPLE_S * 0.02:
            since = now
        used = uses
        if now - since >= seconds:
            return since
        check(time.monotonic() < deadline, f"process {pid} is still at work after {timeout:g} s")


class Requests:
    """What a contender asked of the API server, out of the audit log."""

    def __init__(self, plane):
        self._path = plane.audit_log

    def mark(self):
        return os.path.getsize(self._path)

    def since(self, mark, until=None):
        """Events after the mark, up to another; a watch counts when it begins."""
        found = []
        with open(self._path, "rb") as log:
            log.seek(mark)
            while (until is None or log.tell() < until) and (line := log.readline()).endswith(b"\n"):
                event = json.loads(line)
                if event["stage"] == ("ResponseStarted" if event["verb"] == "watch"
                                      else "ResponseComplete"):
                    found.append(event)
        return found

    @staticmethod
    def by_kind(events):
        """{"patch models/status": 1000, ...}, most first; the Lease's apart under "lease"."""
        kinds = Counter()
        for event in events:
            about = event.get("objectRef", {})
            resource = about.get("resource", event["requestURI"].partition("?")[0])
            if resource == "leases":
                kinds["lease"] += 1
                continue
            part = "/" + about["subresource"] if "subresource" in about else ""
            kinds[f"{event['verb']} {resource}{part}"] += 1
        return dict(kinds.most_common())


def audit_time(event):
    """When the API server had answered, as time.time()."""
    return datetime.strptime(event["stageTimestamp"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(
        tzinfo=timezone.utc).timestamp()


class Stream(threading.Thread):
    """Calls note(time.time(), object) for all that is added or changed in a collection from now on.

    A context manager. Its first request asks for one object only: lists of thousands cost more
    than what is measured.
    """

    def __init__(self, cluster, resource, namespace, note):
        super().__init__(daemon=True)
        self._note = note
        self._ending = False
        self._failure = None
        path = cluster.path(resource, namespace)
        version = cluster.request("GET", path + "?limit=1")["metadata"]["resourceVersion"]
        self._connection = cluster.connect(timeout=3600)
        self._connection.request("GET", f"{path}?watch=1&resourceVersion={version}",
                                 headers=cluster.headers())
        self._answer = self._connection.getresponse()
        self._socket = self._connection.sock or self._answer.fp.raw._sock

    def run(self):
        try:
            for line in self._answer:
                event = json.loads(line)
                if event["type"] in ("ADDED", "MODIFIED"):
                    self._note(time.time(), event["object"])
        except (OSError, ValueError, http.client.HTTPException) as error:
            self._failure = error
        if not self._ending:
            self._failure = self._failure or Failed("the watch has ended")

    def check(self):
        check(self._ending or self.is_alive(), f"the observer's watch broke: {self._failure}")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._ending = True
        try:
            self._socket.shutdown(2)
        except OSError:
            pass
        self.join()
        self._connection.close()


class Tally(threading.Thread):
    """Notes when the collections of a namespace reach `wanted` objects: `reached` {resource: time}.

    A context manager. It asks for one object and the number of the others, which costs the API server next to nothing.
    """

    def __init__(self, cluster, namespace, resources, wanted):
        super().__init__(daemon=True)
        self._cluster = Cluster(cluster.kubeconfig)
        self._namespace, self._wanted = namespace, wanted
        self._left = list(resources)
        self._ending = threading.Event()
        self.reached, self.counts = {}, {}

    def run(self):
        while self._left and not self._ending.wait(0.05):
            for resource in list(self._left):
                path = self._cluster.path(resource, self._namespace) + "?limit=1"
                page = self._cluster.request("GET", path)
                count = len(page["items"]) + page["metadata"].get("remainingItemCount", 0)
                self.counts[resource] = count
                if count >= self._wanted:
                    self.reached[resource] = time.time()
                    self._left.remove(resource)

    def check(self):
        check(self.is_alive() or not self._left, "the count of children broke off: see above")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._ending.set()
        self.join()
