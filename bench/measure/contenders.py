"""Who is compared."""

import json
import os
import subprocess
import time

from harness.process import Process, free_port
from harness.wait import check

from .plane import NAMESPACE, OPERATOR_NAMESPACE

WORKERS = 8  # the manager's default; also the floor's and the writer's requests in flight
IMAGE = "ollama-operator:bench"


class Contender:
    """A program that turns Models into children. `title` heads its column."""

    controller = True

    def __init__(self, key, title, command):
        self.key, self.title, self._command = key, title, command
        self._starts = 0

    def start(self, plane, directory):
        """The running Process; its `started` is time.time() of the start."""
        self._starts += 1
        command = [part.format(kubeconfig=plane.contender_kubeconfig, port=free_port())
                   for part in self._command]
        started = time.time()
        process = Process(command, os.path.join(directory, f"{self.key}-{self._starts}.log"))
        process.started = started
        return process


class Floor:
    """Creates the Models and their children itself, and ends."""

    controller = False
    key, title = "floor", "floor: only creates"


def contenders(operator, peer, leader_election):
    """All, by key, in the order of their columns."""
    common = ["--kubeconfig", "{kubeconfig}", "--image", IMAGE, "--namespace", OPERATOR_NAMESPACE,
              "--health-address", "127.0.0.1:{port}", "--workers"]  # Metrics are off in all.
    ours = [operator, "manager", *common, str(WORKERS), "--metrics-address", "0"]
    theirs = [peer, *common]
    if not leader_election:
        ours.append("--no-leader-election")
    else:
        theirs.insert(1, "--leader-elect")
    everyone = [
        Contender("ours", "ollama-operator", ours),
        Contender("go-limited", "Go peer, 20 requests/s, 1 worker",
                  [*theirs, "1", "--qps", "20", "--burst", "30"]),
        Contender("go-unlimited", f"Go peer, no limit, {WORKERS} workers",
                  [*theirs, str(WORKERS), "--qps", "-1"]),
        Floor(),
    ]
    return {contender.key: contender for contender in everyone}


class Writer:
    """Creates Models as fast as it can, with as many requests in flight as the manager has.

    With `children` it is the floor: it creates their Deployments and Services too.
    """

    def __init__(self, program, kubeconfig, count, children=False):
        command = [program, "--kubeconfig", kubeconfig, "--namespace", NAMESPACE,
                   "--models", str(count), "--in-flight", str(WORKERS)]
        self._process = subprocess.Popen(command + ["--children"] * children, text=True,
                                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)

    def wait(self):
        """{"started", "models_s", "children_s", "cpu_s"}."""
        text = self._process.stdout.read()
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        check(self._process.returncode == 0, "the writer of Models failed")
        return {**json.loads(text), "cpu_s": usage.ru_utime + usage.ru_stime}
