"""Programs under test."""

import http.client
import os
import re
import shlex
import signal
import socket
import subprocess
import time

from .wait import Failed, NotYet, check, wait_until

SANITIZER = re.compile(r"runtime error:|(Address|Leak|Thread|UndefinedBehavior)Sanitizer|"
                       r"(GLib|GLib-GObject)-CRITICAL|Assertion .* failed")


def free_port(host="127.0.0.1"):
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def clean_environment(**more):
    """Ours, without what would tell the operator where a cluster is."""
    unwanted = re.compile(r"KUBE|POD_NAMESPACE|WATCH_NAMESPACE|OPERATOR_|OLLAMA_|STORE_|LOG_|"
                          r"HEALTH_ADDRESS|https?_proxy|HTTPS?_PROXY")
    kept = {key: value for key, value in os.environ.items() if not unwanted.match(key)}
    kept["UBSAN_OPTIONS"] = "print_stacktrace=1"
    return {**kept, **more}


class Process:
    """A program whose output goes to a log; what is wrong with its end is found by verdict()."""

    def __init__(self, command, log_path, environment=None):
        self.command, self.log_path = command, log_path
        self.killed = False
        with open(log_path, "ab") as log:
            log.write(f"$ {shlex.join(command)}\n".encode())
            log.flush()
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                             stderr=log, env=environment or clean_environment())

    @property
    def pid(self):
        return self._process.pid

    def alive(self):
        return self._process.poll() is None

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def signal(self, number):
        self._process.send_signal(number)

    def kill(self):
        """SIGKILL, as if power had failed: no orderly end is asked of it."""
        self.killed = True
        self._process.kill()
        self._process.wait()

    def pause(self):
        """SIGSTOP, and waits until all threads have stopped."""
        self.signal(signal.SIGSTOP)

        def stopped():
            with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:
                return stat.read().rpartition(")")[2].split()[0] == "T"
        wait_until("the process has stopped", stopped)

    def resume(self):
        self.signal(signal.SIGCONT)

    def wait(self, timeout):
        """Its exit code."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.command[0]} has not ended within {timeout:g} s; "
                         f"log: {self.log_path}") from None

    def stop(self, timeout=20):
        """SIGTERM; the exit code."""
        if self.alive():
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def verdict(self):
        """Ends it if it runs; raises Failed for a sanitizer's report or a bad end."""
        ran = self.alive()
        try:
            code = self.stop()
        except Failed:
            self.kill()
            raise
        found = SANITIZER.search(self.log())
        check(not found, f"{found and found.group(0)} in {self.log_path}")
        if ran:
            check(code == 0, f"SIGTERM ended it with status {code}: {self.log_path}")


class Manager(Process):
    """`ollama-operator manager` with a health address of its own."""

    def __init__(self, operator, log_path, kubeconfig, namespace, *arguments,
                 watch_namespace=None, environment=None):
        self.port = free_port()
        command = [operator, "manager", "--namespace", namespace,
                   "--image", "example.com/ollama-operator:test",
                   "--health-address", f"127.0.0.1:{self.port}",
                   "--metrics-address", "0", *arguments]
        if kubeconfig:
            command += ["--kubeconfig", kubeconfig]
        if watch_namespace:
            command += ["--watch-namespace", watch_namespace]
        self.started = time.monotonic()
        super().__init__(command, log_path, environment)

    def health(self, path):
        """(status, text) of /healthz or /readyz."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def wait_ready(self, timeout=30):
        """Its caches are filled."""
        def ready():
            self._must_live()
            status, text = self.health("/readyz")
            if status != 200:
                raise NotYet(text)
            return True
        wait_until(f"the manager is ready; log: {self.log_path}", ready, timeout)
        return self

    def wait_working(self, timeout=30):
        """It leads, and works on Models."""
        def working():
            self._must_live()
            return self.is_working()
        wait_until(f"the manager works; log: {self.log_path}", working, timeout)
        return self

    def is_working(self):
        return "msg=working" in self.log()

    def memory_kb(self):
        """What it holds in memory now."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))

    def _must_live(self):
        check(self.alive(), f"the manager has ended: {self.log()[-600:]}")
