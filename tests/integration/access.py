"""How the manager gets at the API server: rights, kubeconfigs, and servers that are not there."""

import socket
import subprocess
import threading

from harness.process import clean_environment, free_port
from harness.suite import test
from harness.wait import check, equal, holds_for, wait_until

from .support import GARBAGE_S, child_name, events_of, find_children, make

SYSTEM = "ollama-operator-system"
ACCOUNT = "ollama-operator-controller-manager"


def token(t):
    return t.cluster.kubectl("create", "token", "-n", SYSTEM, ACCOUNT).stdout.strip()


@test("the rights of install.yaml are enough, for all that it does, in all namespaces")
def rights(t):
    # Namespaces of earlier tests that are on their way out take no new objects.
    wait_until("no Model is left of other tests", lambda: t.cluster.list("models") == [], 60)
    kubeconfig = t.file("kubeconfig", t.cluster.kubeconfig_with(token=token(t)))
    mark = t.cluster.audit_mark()
    manager = t.manager(kubeconfig=kubeconfig, namespace=SYSTEM, everywhere=True).wait_working()
    make(t, "phi")
    wait_until("children", lambda: find_children(t, "phi"))
    t.cluster.patch("models", t.namespace, "phi", {"spec": {"replicas": 2}})
    wait_until("a change arrives", lambda: t.cluster.get(
        "deployments", t.namespace, child_name("phi"))["spec"]["replicas"] == 2)
    wait_until("a status", lambda: t.cluster.get("models", t.namespace, "phi").get("status"))
    make(t, "claimed", storageClassName="fast")
    wait_until("a claim", lambda: t.cluster.list("persistentvolumeclaims", t.namespace))
    wait_until("the claim's Model has children", lambda: find_children(t, "claimed"))
    t.cluster.delete("models", t.namespace, "claimed")
    for kind in ("deployments", "services"):
        t.cluster.delete(kind, t.namespace, child_name("phi"))
        wait_until("it comes back", lambda: find_children(t, "phi"))
    wait_until("Events", lambda: events_of(t, "phi"))
    t.cluster.delete("models", t.namespace, "phi")
    wait_until("it goes with its children",
               lambda: not t.cluster.list("deployments", t.namespace), GARBAGE_S)
    equal(manager.stop(), 0, "exit code")
    user = f"system:serviceaccount:{SYSTEM}:{ACCOUNT}"
    asked = t.cluster.audit(mark, user=user)
    check(len(asked) > 20, f"only {len(asked)} requests of {user} in the audit log")
    refused = [(event["verb"], event["requestURI"]) for event in asked
               if event["responseStatus"].get("code") in (401, 403)]
    equal(refused, [], "refused")
    check("forbidden" not in manager.log().lower(), f"forbidden: {manager.log_path}")
    lease = t.cluster.get("leases", SYSTEM, "ollama-operator-manager")
    check(not lease["spec"].get("holderIdentity"), "the Lease was not given up")


def run(t, *arguments, **environment):
    """A manager that is to end by itself: (exit code, lines that it wrote)."""
    done = subprocess.run([t.suite.operator, "manager", "--health-address", "0",
                           "--metrics-address", "0", *arguments],
                          env=clean_environment(HOME=t.directory, **environment), timeout=30,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout.splitlines()


@test("what cannot work ends at once, with a status and one line that says what to do",
      own_namespace=False)
def wrong_settings(t):
    good = t.file("good", t.cluster.kubeconfig_with())
    nothing = t.file("nothing", "")
    broken = t.file("broken", "clusters: [")
    image = ["--image", "x"]
    cases = [
        ("no kubeconfig", image, {}, 1, "no kubeconfig"),
        ("a kubeconfig that is not there", [*image, "--kubeconfig", "/nowhere"], {}, 1, "/nowhere"),
        ("an empty kubeconfig", [*image, "--kubeconfig", nothing], {}, 1, nothing),
        ("a kubeconfig that is no YAML", [*image, "--kubeconfig", broken], {}, 1, broken),
        ("a kubeconfig of the environment", image, {"KUBECONFIG": "/nowhere"}, 1, "/nowhere"),
        ("a context that is not there", [*image, "--kubeconfig", good, "--context", "other"], {}, 1,
         "other"),
        ("no image", ["--kubeconfig", good], {}, 2, "--image"),
        ("an unknown flag", [*image, "--colour", "red"], {}, 2, "--colour"),
        ("too many workers", [*image, "--workers", "1000"], {}, 2, "--workers"),
        ("a relative directory", [*image, "--store-directory", "x"], {}, 2, "--store-directory"),
        ("a bad address", [*image, "--kubeconfig", good, "--health-address", "here"], {}, 1, "here"),
        ("an unknown level", [*image, "--log-level", "loud"], {}, 2, "loud"),
    ]
    bad = []
    for what, arguments, environment, code, words in cases:
        got, lines = run(t, *arguments, **environment)
        if got != code or len(lines) != 1 or words not in lines[0]:
            bad.append(f"{what}: status {got}, wanted {code} and one line with {words!r}: {lines}")
    check(not bad, "\n        ".join(bad))


@test("a wrong token: not ready, with the reason; a few lines in the log, not one for each try")
def wrong_token(t):
    kubeconfig = t.file("kubeconfig", t.cluster.kubeconfig_with(token="wrong"))
    manager = t.manager(kubeconfig=kubeconfig)
    wait_until("not ready because of the token",
               lambda: manager.health("/readyz")[0] == 503 and
               "nauthorized" in manager.health("/readyz")[1])
    wait_until("the log says it", lambda: "nauthorized" in manager.log())
    holds_for("it lives", lambda: manager.alive() and manager.health("/healthz")[0] == 200, 6, 0.25)
    lines = [line for line in manager.log().splitlines() if "nauthorized" in line]
    check(len(lines) <= 4, f"{len(lines)} lines: {lines[-1]}")


class Door:
    """A TCP port that leads to another one, once it is open."""

    def __init__(self, target):
        self.port, self._target, self._server = free_port(), target, None

    def open(self):
        self._server = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        if self._server:
            self._server.close()

    def _accept(self):
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=pair, daemon=True).start()

    @staticmethod
    def _copy(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


@test("a server that is not there yet: the manager waits, says so, and goes on when it appears")
def unreachable(t):
    door = Door((t.cluster.host, t.cluster.port))
    t.defer(door.close)
    kubeconfig = t.file("kubeconfig", t.cluster.kubeconfig_with(port=door.port))
    make(t, "phi")
    manager = t.manager(kubeconfig=kubeconfig)

    def waits():
        status, text = manager.health("/readyz")
        return status == 503 and f"127.0.0.1:{door.port}" in text
    wait_until("/readyz says why it is not ready", waits)
    wait_until("the log says it", lambda: "level=warn" in manager.log())
    holds_for("it lives and is not ready", lambda: manager.alive() and waits() and
              manager.health("/healthz") == (200, "ok\n"), 5, 0.25)
    lines = [line for line in manager.log().splitlines() if "level=warn" in line]
    check(len(lines) <= 4, f"{len(lines)} lines in 5 s: {lines[-1]}")
    door.open()
    manager.wait_working(40)
    wait_until("children", lambda: find_children(t, "phi"))
    equal(manager.health("/readyz")[0], 200, "/readyz")
    equal(manager.health("/elsewhere")[0], 404, "/elsewhere")
