"""What the API server itself makes of Models: validation, documentation, scaling."""

import json
import os

from harness.cluster import TOP
from harness.suite import test
from harness.wait import check, equal, wait_until

from .support import child_name, find_children, make, model

VALID = {
    "the shortest": {},
    "a tag": {"image": "qwen2.5:0.5b"},
    "a namespace": {"image": "user/model:tag"},
    "Hugging Face": {"image": "hf.co/user/repo:Q4_K_M"},
    "a registry with a port": {"image": "registry.example.com:5000/ns/model:tag"},
    "asleep": {"replicas": 0},
    "all fields": {
        "replicas": 2, "imagePullPolicy": "Always", "imagePullSecrets": [{"name": "key"}],
        "resources": {"limits": {"cpu": 4, "memory": "8Gi", "nvidia.com/gpu": "1"}},
        "serverImage": "docker.io/ollama/ollama:rocm", "runtimeClassName": "nvidia",
        "contextLength": 8192, "parallel": 4, "keepAlive": "24h", "suspend": True,
        "extraEnv": [{"name": "A", "value": "b"},
                     {"name": "C", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        "extraEnvFrom": [{"configMapRef": {"name": "settings"}}],
        "storageClassName": "fast", "persistentVolume": {"accessMode": "ReadWriteMany"},
    },
    "a claim": {"persistentVolumeClaim": {"claimName": "own", "readOnly": True}},
}
# What the answer must say, besides refusing.
INVALID = {
    "a digest": ({"image": "a@b"}, "digests are not model names"),
    "a space": ({"image": "my model"}, "has no spaces"),
    "an empty image": ({"image": ""}, "spec.image"),
    "an empty part": ({"image": "a//b"}, "may be empty"),
    "nothing but slashes": ({"image": "//"}, "may be empty"),
    "an odd letter": ({"image": "mödel"}, "only letters, digits"),
    "an empty tag": ({"image": "phi:"}, "may be empty"),
    "a number as image": ({"image": 7}, "spec.image"),
    "negative replicas": ({"replicas": -1}, "spec.replicas"),
    "replicas in words": ({"replicas": "two"}, "spec.replicas"),
    "too many replicas": ({"replicas": 1001}, "spec.replicas"),
    "a pull policy of its own": ({"imagePullPolicy": "Sometimes"}, "spec.imagePullPolicy"),
    "a pull policy in small letters": ({"imagePullPolicy": "always"}, "spec.imagePullPolicy"),
    "a bad quantity": ({"resources": {"limits": {"memory": "8 GB"}}}, "limits"),
    "a bad duration": ({"keepAlive": "for ever"}, "spec.keepAlive"),
    "no context": ({"contextLength": 0}, "spec.contextLength"),
    "a claim in a word": ({"persistentVolumeClaim": "own"}, "spec.persistentVolumeClaim"),
    "a claim without a name": ({"persistentVolumeClaim": {"readOnly": True}}, "claimName"),
    "an access mode of its own": ({"persistentVolume": {"accessMode": "Often"}}, "accessMode"),
    "a claim and a class": (
        {"persistentVolumeClaim": {"claimName": "own"}, "storageClassName": "fast"}, "excludes"),
    "a variable without a name": ({"extraEnv": [{"value": "b"}]}, "name"),
    "a variable twice": ({"extraEnv": [{"name": "A"}, {"name": "A"}]}, "uplicate"),
}


@test("valid Models are accepted")
def valid(t):
    for index, (what, spec) in enumerate(VALID.items()):
        done = t.cluster.kubectl("apply", "-n", t.namespace, "-f", "-",
                                 stdin=model(f"m{index}", **spec), check=False)
        equal(done.returncode, 0, f"{what}: {done.stderr.strip()}")
        stored = t.cluster.get("models", t.namespace, f"m{index}")["spec"]
        check(all(stored.get(key) == value for key, value in spec.items()),
              f"{what}: stored as {json.dumps(stored)}")
    equal(t.cluster.get("models", t.namespace, "m0")["spec"]["replicas"], 1, "default replicas")


@test("invalid Models are refused with words that name the field")
def invalid(t):
    for index, (what, (spec, words)) in enumerate(INVALID.items()):
        done = t.cluster.kubectl("apply", "-n", t.namespace, "-f", "-",
                                 stdin=model(f"m{index}", **spec), check=False)
        check(done.returncode != 0, f"{what}: accepted")
        check(words in done.stderr, f"{what}: {words!r} is not in {done.stderr.strip()!r}")
    no_image = model("m")
    del no_image["spec"]["image"]
    done = t.cluster.kubectl("apply", "-n", t.namespace, "-f", "-", stdin=no_image, check=False)
    check(done.returncode != 0 and "spec.image" in done.stderr, f"no image: {done.stderr}")
    equal(t.cluster.list("models", t.namespace), [], "Models in the end")


@test("an unknown field is refused by kubectl, and a change to a bad value too")
def changes(t):
    make(t, "phi")
    done = t.cluster.kubectl("apply", "-n", t.namespace, "-f", "-",
                             stdin=model("other", colour="red"), check=False)
    check(done.returncode != 0 and "colour" in done.stderr, f"unknown field: {done.stderr}")
    done = t.cluster.kubectl("patch", "model", "phi", "-n", t.namespace, "--type=merge", "-p",
                             '{"spec":{"image":"a@b"}}', check=False)
    check(done.returncode != 0 and "digests" in done.stderr, f"bad change: {done.stderr}")


@test("install.yaml can be applied again, changes nothing, and is small")
def install_again(t):
    path = os.path.join(TOP, "dist", "install.yaml")
    names = ("customresourcedefinitions", None, "models.ollama.ayaka.io")
    before = t.cluster.get(*names)["metadata"]["generation"]
    t.cluster.kubectl("apply", "--server-side", "-f", path)
    equal(t.cluster.get(*names)["metadata"]["generation"], before, "generation of the CRD")
    check(os.path.getsize(path) < 100_000, f"{os.path.getsize(path)} bytes")


@test("kubectl explain knows the fields, kubectl get shows them")
def documentation(t):
    explained = t.cluster.kubectl("explain", "model.spec").stdout
    for name in ("image", "replicas", "serverImage", "keepAlive", "extraEnv", "resources"):
        check(f"  {name}\t" in explained, f"{name} is not in kubectl explain model.spec")
    check("qwen2.5:0.5b" in t.cluster.kubectl("explain", "model.spec.image").stdout,
          "kubectl explain model.spec.image shows no example")
    make(t, "phi", "phi:latest")
    shown = t.cluster.kubectl("get", "models", "-n", t.namespace).stdout.splitlines()
    for column in ("NAME", "IMAGE", "PHASE", "READY", "SIZE", "AGE"):
        check(column in shown[0].split(), f"no column {column} in {shown[0]!r}")
    check("phi:latest" in shown[1].split(), f"no image in {shown[1]!r}")


@test("kubectl scale changes spec.replicas and then the Deployment")
def scale(t):
    t.manager().wait_working()
    make(t, "phi")
    wait_until("children", lambda: find_children(t, "phi"))
    for count in (2, 0, 1):
        t.cluster.kubectl("scale", "model", "phi", "-n", t.namespace, f"--replicas={count}")
        equal(t.cluster.get("models", t.namespace, "phi")["spec"]["replicas"], count, "the Model's")
        wait_until(f"the Deployment has {count} replicas", lambda n=count: t.cluster.get(
            "deployments", t.namespace, child_name("phi"))["spec"]["replicas"] == n)
    wait_until("status.replicas counts the pod", lambda: t.cluster.kubectl_json(
        "get", "model", "phi", "-n", t.namespace, "--subresource=scale")["status"]["replicas"] == 1)
