"""The lab as these tests use it: two nodes, the registry of models, and the operator in it.

`Lab` wraps the program lab/cluster, installs the operator as users do, and knows where the nodes'
weights lie on this machine. `Registry` is the control side of lab/registry.py. `Variant` is a
model of this run's own in the registry: smollm2 with some random bytes behind its weights, so that
no node has it and yet it answers.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request

from harness.cluster import CACHE, TOP, Cluster
from harness.wait import Failed, NotYet, wait_until

PROGRAM = os.path.join(TOP, "lab", "cluster")
HOME = os.environ.get("LAB_HOME") or os.path.join(CACHE, "lab")
MODELS = os.path.join(HOME, "models")
REGISTRY_NAME = "registry.ollama.ai"
LIBRARY = os.path.join(MODELS, "manifests", REGISTRY_NAME, "library")
OPERATOR_NAMESPACE = "ollama-operator-system"
MANAGER, STORE = "ollama-operator-controller-manager", "ollama-model-store"
NODES = ("node1", "node2")


class Registry:
    """lab/registry.py while it runs."""

    def __init__(self, url):
        self.url = url

    def _ask(self, method, what, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_lab/{what}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def rate(self):
        return self._ask("GET", "settings")["rate"]

    def set_rate(self, bytes_per_second):
        """For all connections together; 0: no limit."""
        self._ask("PUT", "settings", {"rate": bytes_per_second})

    def fault(self, kind, match, **more):
        self._ask("POST", "faults", {"kind": kind, "match": match, **more})

    def clear_faults(self):
        self._ask("DELETE", "faults")

    def requests_of(self, digest):
        """GETs of one blob."""
        return [entry for entry in self._ask("GET", "requests")
                if entry["method"] == "GET" and entry["path"].endswith("/blobs/" + digest)]


class Variant:
    """A model that only one test has; `image` is its name, removed again by remove()."""

    def __init__(self):
        with open(os.path.join(LIBRARY, "smollm2", "135m"), encoding="utf-8") as file:
            manifest = json.load(file)
        weights = next(layer for layer in manifest["layers"]
                       if layer["mediaType"] == "application/vnd.ollama.image.model")
        self.name = "e2e-" + os.urandom(4).hex()
        self.image = self.name + ":135m"
        self._directory = os.path.join(LIBRARY, self.name)
        tail = os.urandom(64)
        source = self._blob(weights["digest"])
        digest = hashlib.sha256()
        with tempfile.NamedTemporaryFile(dir=os.path.dirname(source), delete=False) as copy, \
                open(source, "rb") as original:
            while chunk := original.read(1 << 20):
                digest.update(chunk)
                copy.write(chunk)
            digest.update(tail)
            copy.write(tail)
        self.digest = "sha256:" + digest.hexdigest()
        os.chmod(copy.name, 0o644)
        os.rename(copy.name, self._blob(self.digest))
        weights["digest"], weights["size"] = self.digest, weights["size"] + len(tail)
        self.size = weights["size"]
        self.blobs = [each["digest"] for each in (manifest["config"], *manifest["layers"])]
        self.total = manifest["config"]["size"] + sum(each["size"] for each in manifest["layers"])
        text = json.dumps(manifest).encode()
        self.manifest_digest = "sha256:" + hashlib.sha256(text).hexdigest()
        os.makedirs(self._directory)
        with open(os.path.join(self._directory, "135m"), "wb") as out:
            out.write(text)

    @staticmethod
    def _blob(digest):
        return os.path.join(MODELS, "blobs", digest.replace(":", "-"))

    def remove(self):
        shutil.rmtree(self._directory)
        os.unlink(self._blob(self.digest))


class Node:
    """One node's weights, seen from this machine."""

    def __init__(self, name):
        self.name, self.number = name, name.removeprefix("node")
        self.weights = os.path.join(HOME, "state", name, "var", "lib", "ollama-operator")

    def _path(self, directory, digest):
        return os.path.join(self.weights, directory, digest.replace(":", "-"))

    def blob(self, digest):
        return self._path("blobs", digest)

    def received(self, digest):
        """How much of a blob is here, unfinished."""
        try:
            return os.path.getsize(self._path("partial", digest))
        except FileNotFoundError:
            return 0

    def places_of(self, digest):
        """Where readers could find the blob: in the content store, in views."""
        views = os.path.join(self.weights, "views")
        name = digest.replace(":", "-")
        places = [self.blob(digest)]
        places += [os.path.join(views, key, "blobs", name) for key in os.listdir(views)]
        return [place for place in places if os.path.exists(place)]

    def tags(self):
        """Of all models that the store has resolved: "library/smollm2/135m"."""
        top = os.path.join(self.weights, "manifests", REGISTRY_NAME)
        return sorted(os.path.relpath(os.path.join(where, name), top)
                      for where, _, names in os.walk(top) for name in names)

    def forget(self, variant):
        """Gives back the disk that a variant took: nothing else would, in a lab that stays up."""
        for place in self.places_of(variant.digest):
            view = os.path.dirname(os.path.dirname(place))
            os.unlink(place)
            if os.path.basename(os.path.dirname(view)) == "views":
                shutil.rmtree(view)
        shutil.rmtree(os.path.join(self.weights, "manifests", REGISTRY_NAME, "library",
                                   variant.name), ignore_errors=True)
        if self.received(variant.digest):
            os.unlink(self._path("partial", variant.digest))


class Lab:
    """lab/cluster, and the operator in it."""

    def __init__(self, image_tar, logs):
        self.image_tar, self.logs = os.path.abspath(image_tar), logs
        self.was_up = self.is_up()
        self.nodes = {name: Node(name) for name in NODES}
        self.cluster = self.registry = None
        self.image = self._image_name()

    def _image_name(self):
        with tarfile.open(self.image_tar) as tar:
            return json.load(tar.extractfile("manifest.json"))[0]["RepoTags"][0]

    def run(self, *arguments, check=True):
        """lab/cluster ARGUMENTS: what it printed."""
        done = subprocess.run([PROGRAM, *arguments], text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900)
        if check and done.returncode != 0:
            raise Failed(f"lab/cluster {' '.join(arguments)}: {done.stdout.strip()[-800:]}")
        return done.stdout

    @staticmethod
    def is_up():
        done = subprocess.run([PROGRAM, "status"], text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        return "not up" not in done.stdout

    def up(self):
        self.run("up")
        environment = self.run("env")
        self.cluster = Cluster(re.search(r"KUBECONFIG=(\S+)", environment).group(1))
        self.registry = Registry(re.search(r"LAB_REGISTRY=(\S+)", environment).group(1))

    def down(self):
        self.run("down")

    def check_clean(self):
        """Raises Failed with what is left behind."""
        done = subprocess.run([os.path.join(TOP, "lab", "check-clean")], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
        if done.returncode != 0:
            raise Failed(done.stdout.strip()[-800:])

    # ---- the operator ----

    def install(self):
        """The image onto the nodes, the lab's registry for registry.ollama.ai, install.yaml."""
        self.run("load-image", self.image_tar)
        rendered = os.path.join(self.logs, "install.yaml")
        subprocess.run([os.path.join(TOP, "tools", "render-install"), "--image", self.image,
                        "-o", rendered], check=True)
        kubectl = self.cluster.kubectl
        settings = {"apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": {"name": "ollama-operator-settings",
                                 "namespace": OPERATOR_NAMESPACE},
                    "data": {"OLLAMA_REGISTRY_MIRRORS": f"{REGISTRY_NAME}={self.registry.url}"}}
        kubectl("apply", "--server-side", "--force-conflicts", "-f",
                os.path.join(TOP, "config", "namespace.yaml"))
        kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=settings)
        kubectl("apply", "--server-side", "--force-conflicts", "-f", rendered)
        # Why: the same tag may stand for a newer build.
        workloads = ("daemonset/" + STORE, "deployment/" + MANAGER)
        kubectl("-n", OPERATOR_NAMESPACE, "rollout", "restart", *workloads)
        for workload in workloads:
            kubectl("-n", OPERATOR_NAMESPACE, "rollout", "status", workload, "--timeout=100s")
        wait_until("the API server serves Models", lambda: self.cluster.list("models") is not None)

    def operator_pods(self, component):
        """Pods of "manager" or "store" that are not on their way out."""
        return [pod for pod in self.cluster.list(
            "pods", OPERATOR_NAMESPACE, f"app.kubernetes.io/component={component}")
            if "deletionTimestamp" not in pod["metadata"]]

    def store_on(self, node):
        for pod in self.operator_pods("store"):
            if pod["spec"].get("nodeName") == node:
                return pod
        raise NotYet(f"no store on {node}")

    def process_of(self, pod):
        """The process of the pod's first container, by its id on this machine."""
        status = pod["status"]["containerStatuses"][0]
        container = status["containerID"].rpartition("/")[2]
        node = self.nodes[pod["spec"]["nodeName"]]
        for line in self.run("ctr", node.number, "tasks", "ls").splitlines():
            words = line.split()
            if words and words[0] == container and words[2] == "RUNNING":
                return int(words[1])
        raise NotYet(f"{pod['metadata']['name']} has no process")

    def memory_kb(self, pod):
        with open(f"/proc/{self.process_of(pod)}/status", encoding="ascii") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))


def variant_for(t):
    """A Variant that goes, here and on the nodes, when the test has ended."""
    variant = Variant()

    def remove():
        variant.remove()
        for node in t.suite.lab.nodes.values():
            node.forget(variant)
    t.defer(remove)
    return variant


def missing_image():
    """A model that no registry has, and that nobody has asked for before."""
    return f"e2e-missing-{os.urandom(4).hex()}:1b"


def remove_old_variants():
    """Of a run that was killed."""
    for name in os.listdir(LIBRARY):
        path = os.path.join(LIBRARY, name, "135m")
        if not name.startswith("e2e-"):
            continue
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                layers = json.load(file)["layers"]
            blob = os.path.join(MODELS, "blobs", layers[0]["digest"].replace(":", "-"))
            if os.path.exists(blob):
                os.unlink(blob)
        shutil.rmtree(os.path.dirname(path))
