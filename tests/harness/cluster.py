"""A Kubernetes API server as tests use it.

`Cluster` talks to any cluster of which there is a kubeconfig, over HTTP (fast, exact times) and
through kubectl (what users do). `ControlPlane` starts one with lab/control-plane, whose audit log
it can read.
"""

import base64
import http.client
import json
import os
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.parse

from .wait import Failed, NotYet

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
                     "ollama-operator")
LAB_BIN = os.path.join(CACHE, "lab", "bin")
KUBECTL = os.path.join(LAB_BIN, "kubectl")

# Where each resource lives; the rest of a path follows from namespace and name.
ROOTS = {
    "customresourcedefinitions": "/apis/apiextensions.k8s.io/v1",
    "deployments": "/apis/apps/v1",
    "leases": "/apis/coordination.k8s.io/v1",
    "models": "/apis/ollama.ayaka.io/v1",
    "replicasets": "/apis/apps/v1",
}
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


class ApiError(Exception):
    """The API server's refusal; code 0: it did not answer at all."""

    def __init__(self, code, reason, message):
        super().__init__(f"{code} {reason}: {message}")
        self.code, self.reason, self.message = code, reason, message


def field(value, *path, default=None):
    """The member at `path` of nested dicts and lists, `default` where there is none."""
    for key in path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return default
    return value


class Cluster:
    """One cluster, seen as the user of `kubeconfig`. Threads: any."""

    def __init__(self, kubeconfig):
        self.kubeconfig = kubeconfig
        self._local = threading.local()
        self._read_kubeconfig()

    def kubeconfig_with(self, token=None, port=None, context="test"):
        """The text of a kubeconfig for the same server, with a bearer token, at another port."""
        user = {"token": token} if token else self._user
        return json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": context,
            "clusters": [{"name": "test", "cluster": {
                "server": f"https://{self.host}:{port or self.port}",
                "certificate-authority-data": self._authority}}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}]})

    # ---- HTTP ----

    def _read_kubeconfig(self):
        shown = subprocess.run([KUBECTL, "config", "view", "--raw", "--flatten", "--minify",
                                "-o", "json"], env=self.environment(), check=True,
                               stdout=subprocess.PIPE)
        config = json.loads(shown.stdout)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        server = urllib.parse.urlsplit(cluster["server"])
        self.host, self.port = server.hostname, server.port
        self._user, self._token = user, user.get("token")
        self._authority = cluster["certificate-authority-data"]
        self._tls = ssl.create_default_context(cadata=base64.b64decode(self._authority).decode())
        if "client-certificate-data" in user:
            with tempfile.NamedTemporaryFile() as pair:
                pair.write(base64.b64decode(user["client-certificate-data"]) + b"\n" +
                           base64.b64decode(user["client-key-data"]))
                pair.flush()
                self._tls.load_cert_chain(pair.name)

    def connect(self, timeout=30):
        return http.client.HTTPSConnection(self.host, self.port, context=self._tls,
                                           timeout=timeout)

    def headers(self, content_type=JSON):
        headers = {"Accept": JSON, "Content-Type": content_type, "User-Agent": "tests"}
        if self._token:
            headers["Authorization"] = "Bearer " + self._token
        return headers

    def request(self, method, path, body=None, content_type=JSON):
        """The answer's JSON. Tried once more when a kept connection turns out to be dead."""
        data = None if body is None else json.dumps(body).encode()
        for attempt in (1, 2):
            connection = getattr(self._local, "connection", None) or self.connect()
            self._local.connection = connection
            try:
                connection.request(method, path, body=data, headers=self.headers(content_type))
                answer = connection.getresponse()
                text = answer.read()
                break
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self._local.connection = None
                if attempt == 2:
                    raise ApiError(0, "Unreachable", str(error)) from error
        try:
            result = json.loads(text)
        except ValueError:
            result = {"reason": "Text", "message": text.decode(errors="replace")}
        if answer.status >= 300:
            raise ApiError(answer.status, result.get("reason", ""), result.get("message", ""))
        return result

    # ---- resources ----

    @staticmethod
    def path(resource, namespace=None, name=None, subresource=None):
        parts = [ROOTS.get(resource, "/api/v1")]
        if namespace:
            parts += ["namespaces", namespace]
        parts += [part for part in (resource, name, subresource) if part]
        return "/".join(parts)

    def get(self, resource, namespace, name):
        return self.request("GET", self.path(resource, namespace, name))

    def find(self, resource, namespace, name):
        """The object, or None when there is none."""
        try:
            return self.get(resource, namespace, name)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def list(self, resource, namespace=None, selector=None):
        query = "?labelSelector=" + urllib.parse.quote(selector) if selector else ""
        return self.request("GET", self.path(resource, namespace) + query)["items"]

    def create(self, resource, namespace, body):
        return self.request("POST", self.path(resource, namespace), body)

    def patch(self, resource, namespace, name, body, subresource=None):
        """A JSON merge patch: null removes a member."""
        return self.request("PATCH", self.path(resource, namespace, name, subresource), body,
                            MERGE_PATCH)

    def apply(self, resource, namespace, name, body, manager="tests"):
        """Server-side apply."""
        path = self.path(resource, namespace, name) + f"?fieldManager={manager}"
        return self.request("PATCH", path, body, APPLY_PATCH)

    def delete(self, resource, namespace, name):
        """What depends on it is left to the garbage collector."""
        return self.request("DELETE", self.path(resource, namespace, name),
                            {"propagationPolicy": "Background"})

    def watch(self, resource, namespace):
        return Watch(self, self.path(resource, namespace))

    # ---- kubectl ----

    def environment(self):
        return dict(os.environ, KUBECONFIG=self.kubeconfig)

    def kubectl(self, *arguments, stdin=None, check=True):
        """Runs it; the result has returncode, stdout and stderr as text."""
        if isinstance(stdin, (dict, list)):
            stdin = json.dumps(stdin)
        done = subprocess.run([KUBECTL, *arguments], input=stdin, env=self.environment(),
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=120)
        if check and done.returncode != 0:
            raise Failed(f"kubectl {' '.join(arguments)}: {done.stderr.strip()[:500]}")
        return done

    def kubectl_json(self, *arguments):
        return json.loads(self.kubectl(*arguments, "-o", "json").stdout)


class Watch:
    """What happens to the objects of one collection from now on, with the time of each event.

    A context manager; `events` holds tuples (monotonic time, type, object) in order.
    """

    def __init__(self, cluster, path):
        self._cluster, self._path = cluster, path
        self._changed = threading.Condition()
        self._ended = False
        self.events = []

    def __enter__(self):
        version = self._cluster.request("GET", self._path)["metadata"]["resourceVersion"]
        self._connection = self._cluster.connect(timeout=600)
        self._connection.request("GET", f"{self._path}?watch=1&resourceVersion={version}",
                                 headers=self._cluster.headers())
        self._answer = self._connection.getresponse()
        self._socket = self._connection.sock or self._answer.fp.raw._sock
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        try:
            self._socket.shutdown(2)
        except OSError:
            pass
        self._thread.join()
        self._answer.close()
        self._connection.close()

    def _read(self):
        try:
            for line in self._answer:
                event = json.loads(line)
                with self._changed:
                    self.events.append((time.monotonic(), event["type"], event["object"]))
                    self._changed.notify_all()
        except (OSError, ValueError, http.client.HTTPException):
            pass
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait(self, what, matches, timeout=20.0, start=0):
        """The first event from index `start` on with `matches(type, object)`: (time, object)."""
        deadline = time.monotonic() + timeout
        seen = start
        with self._changed:
            while True:
                while seen < len(self.events):
                    when, kind, thing = self.events[seen]
                    if matches(kind, thing):
                        return when, thing
                    seen += 1
                left = deadline - time.monotonic()
                if left <= 0 or self._ended:
                    why = "the watch ended" if self._ended else f"not within {timeout:g} s"
                    raise Failed(f"{why}: {what} ({len(self.events) - start} other events)")
                self._changed.wait(left)

    def of(self, name):
        """Events of the object `name`."""
        with self._changed:
            return [event for event in self.events if event[2]["metadata"]["name"] == name]


class ControlPlane(Cluster):
    """etcd, kube-apiserver and, if wanted, kube-controller-manager, for as long as we live."""

    PROGRAM = os.path.join(TOP, "lab", "control-plane")
    POLICY = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
              "rules": [{"level": "Metadata"}]}

    def __init__(self, directory, controllers=False, flags=()):
        self.directory = os.path.join(directory, "control-plane")
        self.audit_log = os.path.join(directory, "audit.log")
        self._policy = os.path.join(directory, "audit-policy.json")
        with open(self._policy, "w", encoding="utf-8") as out:
            json.dump(self.POLICY, out)
        self._flags = ["--", f"--audit-policy-file={self._policy}",
                       f"--audit-log-path={self.audit_log}", *flags]
        options = ["--controllers"] if controllers else []
        self._lab("up", *options, "--while", str(os.getpid()), *self._flags)
        super().__init__(os.path.join(self.directory, "kubeconfig"))

    def _lab(self, command, *arguments):
        done = subprocess.run([self.PROGRAM, command, self.directory, *arguments], text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise Failed(f"lab/control-plane {command}: {done.stderr.strip()[-800:]}")
        return done.stdout.strip()

    def down(self):
        self._lab("down")

    def stop_apiserver(self, signal="TERM"):
        self._lab("stop-apiserver", signal)

    def start_apiserver(self):
        self._lab("start-apiserver")

    def compact(self):
        """Makes etcd forget the past; see lab/control-plane."""
        return int(self._lab("compact"))

    def audit(self, start=0, user=None, namespace=None):
        """Requests of the operator since `start` (of audit_mark()): audit.k8s.io/v1 Events.

        Recognised by their User-Agent; `user` keeps only those of one user.
        """
        found = []
        with open(self.audit_log, encoding="utf-8") as log:
            log.seek(start)
            for line in log:
                if not line.endswith("\n"):
                    break
                event = json.loads(line)
                if (event.get("userAgent", "").startswith("ollama-operator/") and
                        user in (None, event["user"]["username"]) and
                        namespace in (None, field(event, "objectRef", "namespace"))):
                    found.append(event)
        return found

    def audit_mark(self):
        return os.path.getsize(self.audit_log)

    def writes(self, start=0, user=None, namespace=None):
        """Of audit(): what changes something, but for Leases and Events."""
        return [event for event in self.audit(start, user, namespace)
                if event["verb"] in ("create", "update", "patch", "delete") and
                event["objectRef"]["resource"] not in ("leases", "events")]


def condition_of(thing, kind):
    """The status condition `kind` of an object; raises NotYet when it has none."""
    for condition in field(thing, "status", "conditions", default=[]):
        if condition["type"] == kind:
            return condition
    raise NotYet(f"no condition {kind} in {field(thing, 'status')}")
