"""Models and their pods as these tests speak of them, and how one asks them."""

import contextlib
import http.client
import json
import re
import socket
import subprocess
import time

from harness.cluster import KUBECTL, condition_of, field
from harness.wait import Failed, NotYet, check, wait_until

PORT = 11434
QUESTION = "Tell me in one sentence what a bicycle is."


def make(t, name, image, **spec):
    spec.setdefault("resources", {"requests": {"memory": "256Mi"}})
    return t.cluster.create("models", t.namespace, {
        "apiVersion": "ollama.ayaka.io/v1", "kind": "Model", "metadata": {"name": name},
        "spec": {"image": image, **spec}})


def child_name(name):
    return "ollama-model-" + name


def status_of(t, name):
    return t.cluster.get("models", t.namespace, name).get("status", {})


def condition(t, name, kind):
    """(status, reason, message)"""
    found = condition_of(t.cluster.get("models", t.namespace, name), kind)
    return found["status"], found["reason"], found["message"]


def events_of(t, name):
    """(type, reason, message) of the Events about a Model."""
    return [(event["type"], event["reason"], event["message"])
            for event in t.cluster.list("events", t.namespace)
            if event["involvedObject"]["kind"] == "Model" and
            event["involvedObject"]["name"] == name]


def wait_event(t, name, reason):
    def there():
        for kind, what, message in events_of(t, name):
            if what == reason:
                return kind, message
        raise NotYet(str(events_of(t, name)))
    return wait_until(f"an Event {reason} about {name}", there)


def wait_ready(t, name, replicas=1, timeout=60):
    """Its status, once so many replicas are Ready."""
    def ready():
        status = status_of(t, name)
        if status.get("phase") != "Ready" or status.get("readyReplicas") != replicas:
            raise NotYet(f"{status.get('phase')}: {status.get('message')}")
        return status
    return wait_until(f"{name} has {replicas} Ready", ready, timeout)


def pods_of(t, name):
    """Those that are not on their way out."""
    return [pod for pod in t.cluster.list("pods", t.namespace, f"model.ollama.ayaka.io/name={name}")
            if "deletionTimestamp" not in pod["metadata"]]


def is_ready(pod):
    return any(entry["type"] == "Ready" and entry["status"] == "True"
               for entry in field(pod, "status", "conditions", default=[]))


def node_of(t, name):
    """The node of the Model's one pod, once it has one."""
    def placed():
        pods = pods_of(t, name)
        return len(pods) == 1 and pods[0]["spec"].get("nodeName")
    return wait_until(f"{name}'s pod has a node", placed)


@contextlib.contextmanager
def cordoned(t, node):
    """No new pod goes to the node meanwhile."""
    t.cluster.kubectl("cordon", node)
    try:
        yield
    finally:
        t.cluster.kubectl("uncordon", node)


def shell(t, pod, script, container="server"):
    """What a script prints in a pod's container, with its exit code."""
    done = t.cluster.kubectl("-n", t.namespace, "exec", pod["metadata"]["name"], "-c", container,
                             "--", "sh", "-c", script, check=False)
    return done.returncode, done.stdout + done.stderr


# ---- asking ----

class Server:
    """An Ollama server at an address that this machine reaches."""

    def __init__(self, host, port=PORT):
        self.host, self.port = host, port

    def call(self, method, path, body=None, timeout=60):
        """The answer's JSON."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        finally:
            connection.close()
        check(answer.status == 200, f"{method} {path}: {answer.status} {text[:300]}")
        return json.loads(text)

    def loaded(self):
        """Names of the models in memory."""
        return [model["name"] for model in self.call("GET", "/api/ps", timeout=5)["models"]]

    def listed(self):
        """As `ollama list` shows them."""
        return [model["name"] for model in self.call("GET", "/api/tags", timeout=5)["models"]]

    def generate(self, image, tokens=16):
        """Words of the model, and no more is asked of them."""
        answer = self.call("POST", "/api/generate", {
            "model": image, "prompt": QUESTION, "stream": False,
            "options": {"num_predict": tokens}})
        check(answer["done"], f"not done: {answer}")
        return real_text(answer["response"])

    def stream(self, image, tokens=48):
        """A streamed answer: [(seconds after the request, line)]."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        body = {"model": image, "prompt": QUESTION, "options": {"num_predict": tokens}}
        start, lines = time.monotonic(), []
        try:
            connection.request("POST", "/api/generate", json.dumps(body),
                               {"Content-Type": "application/json"})
            for line in connection.getresponse():
                lines.append((time.monotonic() - start, json.loads(line)))
        finally:
            connection.close()
        return lines


def real_text(text):
    """The text, which must have words in it."""
    words = re.findall(r"[A-Za-z]{2,}", text)
    check(len(words) >= 3, f"no text: {text[:200]!r}")
    return text


def service_of(t, name):
    """The Service's own address, which the lab lets this machine reach, once it leads somewhere.

    That comes a moment after a pod has become Ready: kube-proxy must have heard of it.
    """
    address = t.cluster.get("services", t.namespace, child_name(name))["spec"]["clusterIP"]

    def connects():
        with socket.create_connection((address, PORT), timeout=2):
            return True
    wait_until(f"the Service of {name} takes connections", connects, 10)
    return Server(address)


def server_of(pod):
    return Server(pod["status"]["podIP"])


@contextlib.contextmanager
def port_forward(t, name):
    """As users reach a Model from their own machine."""
    log = t.file("port-forward.log", "")
    with open(log, "w", encoding="utf-8") as out:
        process = subprocess.Popen(
            [KUBECTL, "-n", t.namespace, "port-forward", "service/" + child_name(name), ":ollama"],
            env=t.cluster.environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        def port():
            if process.poll() is not None:
                raise Failed(f"kubectl port-forward ended: {log}")
            with open(log, encoding="utf-8") as text:
                return re.search(r"Forwarding from 127\.0\.0\.1:(\d+)", text.read())
        yield Server("127.0.0.1", int(wait_until("port-forward", port).group(1)))
    finally:
        process.terminate()
        process.wait()


def in_busybox(t, script):
    """Runs a shell script in a pod of the Model's namespace: what it printed."""
    name = "client"
    t.cluster.create("pods", t.namespace, {"metadata": {"name": name}, "spec": {
        "restartPolicy": "Never", "terminationGracePeriodSeconds": 0,
        "containers": [{"name": name, "image": "lab.local/busybox:1", "imagePullPolicy": "Never",
                        "command": ["sh", "-c", script]}]}})

    def ended():
        phase = t.cluster.get("pods", t.namespace, name)["status"].get("phase")
        return phase if phase in ("Succeeded", "Failed") else None
    try:
        phase = wait_until("the client's pod has ended", ended, 90)
        output = t.cluster.kubectl("-n", t.namespace, "logs", name).stdout
    finally:
        t.cluster.delete("pods", t.namespace, name)
    check(phase == "Succeeded", f"the client's pod failed: {output[-500:]}")
    return output
