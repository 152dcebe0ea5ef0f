"""From `kubectl apply` to words: what a user sees."""

import json
import os
import re
import subprocess
import sys
import time

from harness.cluster import TOP, field
from harness.suite import test
from harness.wait import check, equal, holds_for, wait_until

from e2e.lab import missing_image, variant_for
from e2e.serving import (QUESTION, Server, child_name, in_busybox, is_ready, make, pods_of,
                         port_forward, real_text, service_of, status_of, wait_event, wait_ready)

ORDER = ["Pending", "Pulling", "Loading", "Ready"]
# Slow enough for several percentages, which are written every second or two.
PULL_RATE = 10_000_000


def applied(t, name, image):
    """examples/smollm2.yaml under another name and with another image, by kubectl apply."""
    with open(os.path.join(TOP, "examples", "smollm2.yaml"), encoding="utf-8") as file:
        text = file.read()
    text, names = re.subn(r"(?m)^  name: smollm2$", f"  name: {name}", text)
    text, images = re.subn(r"(?m)^  image: smollm2:135m$", f"  image: {image}", text)
    equal((names, images), (1, 1), "what was replaced in the example")
    t.cluster.kubectl("-n", t.namespace, "apply", "-f", "-", stdin=text)


def check_phases(events):
    """In order, each of them said, and a pull that says how far it is."""
    phases = [field(thing, "status", "phase") for _, _, thing in events]
    seen = [phase for i, phase in enumerate(phases) if phase and phase != phases[i - 1]]
    words = [phase.split()[0] for phase in seen]
    places = [ORDER.index(word) for word in words]
    equal(places, sorted(places), f"order of the phases {seen}")
    check({"Pulling", "Loading", "Ready"} <= set(words), f"phases: {seen}")
    percents = [int(found.group(1)) for found in
                (re.fullmatch(r"Pulling (\d+) %", phase) for phase in seen) if found]
    check(len(percents) >= 3 and percents == sorted(percents), f"phases: {seen}")
    pulls = [field(thing, "status", "pull") for _, _, thing in events]
    pulls = [pull for pull in pulls if pull and 0 < pull["completed"] < pull["total"]]
    check(pulls, "no status.pull ever had bytes")
    check(any(pull.get("bytesPerSecond", 0) > 0 for pull in pulls), f"no rate: {pulls}")
    return len(percents)


def check_stream(server, image):
    """Words arrive one after the other, not all at the end."""
    lines = server.stream(image)
    check(lines[-1][1].get("done") is True, f"the last line: {lines[-1]}")
    real_text("".join(line["response"] for _, line in lines))
    pieces = [when for when, line in lines if line["response"]]
    check(len(pieces) >= 2, f"{len(pieces)} chunks")
    check(pieces[-1] - pieces[0] > 0.05, f"all within {pieces[-1] - pieces[0]:.3f} s")
    return len(pieces), pieces[0]


def ask_by_name(t, name, image):
    """From a pod of the cluster, by the Service's DNS name."""
    body = json.dumps({"model": image, "prompt": QUESTION, "stream": False,
                       "options": {"num_predict": 16}})
    url = f"http://{child_name(name)}:11434/api/generate"
    output = in_busybox(t, f"timeout 60 wget -q -O - --post-data '{body}' {url}")
    real_text(json.loads(output)["response"])


@test("apply; phases in order; wait as users do; words from outside and from inside")
def answers(t):
    lab, name, variant = t.suite.lab, "smollm2", variant_for(t)
    lab.registry.set_rate(PULL_RATE)
    t.defer(lab.registry.set_rate, 0)
    start = time.monotonic()
    with t.cluster.watch("models", t.namespace) as watch:
        applied(t, name, variant.image)
        wait_until("its Deployment", lambda: t.cluster.find(
            "deployments", t.namespace, child_name(name)))
        t.cluster.kubectl("-n", t.namespace, "wait", "--timeout=100s",
                          "--for=jsonpath={.status.readyReplicas}=1",
                          "deployment/" + child_name(name))
        watch.wait("phase Ready", lambda _, thing: field(thing, "status", "phase") == "Ready")
        t.note(f"Ready after {time.monotonic() - start:.1f} s")
        percents = check_phases(watch.of(name))
    t.note(f"{percents} percentages")
    with port_forward(t, name) as server:
        server.generate(variant.image)
        chunks, first = check_stream(server, variant.image)
        chat = server.call("POST", "/v1/chat/completions", {
            "model": variant.image, "max_tokens": 16,
            "messages": [{"role": "user", "content": QUESTION}]})
        equal(server.listed(), [variant.image], "ollama list")
    t.note(f"{chunks} chunks, first after {first:.2f} s")
    real_text(chat["choices"][0]["message"]["content"])
    ask_by_name(t, name, variant.image)

    status = status_of(t, name)
    equal(status["digest"], variant.manifest_digest, "status.digest")
    equal(status["size"], variant.total, "status.size")
    equal(status["nodes"], 1, "status.nodes")
    equal(status["url"], f"http://{child_name(name)}.{t.namespace}:11434", "status.url")
    for reason in ("Pulled", "Loaded"):
        equal(wait_event(t, name, reason)[0], "Normal", f"type of the Event {reason}")
    restarts = [field(pod, "status", "containerStatuses", 0, "restartCount")
                for pod in pods_of(t, name)]
    equal(restarts, [0], "restarts")


@test("a pod that becomes Ready has the model loaded already; one without a model never is")
def ready_means_loaded(t):
    variant = variant_for(t)
    make(t, "nothing", missing_image())
    with t.cluster.watch("pods", t.namespace) as watch:
        make(t, "phi", variant.image)
        when, pod = watch.wait("a Ready pod", lambda _, pod: is_ready(pod), 90)
        names = Server(pod["status"]["podIP"]).loaded()
        late = time.monotonic() - when
    equal(pod["metadata"]["labels"]["model.ollama.ayaka.io/name"], "phi", "the Ready pod's Model")
    equal(names, [variant.image], "loaded at that moment")
    check(late < 1.0, f"asked {late:.2f} s after")
    t.note(f"/api/ps asked {late * 1000:.0f} ms after Ready")
    wait_until("the other has a pod", lambda: pods_of(t, "nothing"))
    holds_for("no pod of it is Ready", lambda: not any(
        is_ready(pod) for pod in pods_of(t, "nothing")), 5, every=0.25)
    addresses = [address for slices in t.cluster.kubectl_json(
        "-n", t.namespace, "get", "endpointslices", "-l",
        "kubernetes.io/service-name=" + child_name("nothing"))["items"]
        for address in slices.get("endpoints") or [] if address["conditions"].get("ready")]
    equal(addresses, [], "endpoints of its Service")


@test("tools/ask.py, as make run calls it, prints what the model says")
def ask_tool(t):
    variant = variant_for(t)
    make(t, "phi", variant.image)
    wait_ready(t, "phi")
    with port_forward(t, "phi") as server:
        url = f"http://{server.host}:{server.port}"
        done = subprocess.run([sys.executable, os.path.join(TOP, "tools", "ask.py"), url,
                               variant.image, QUESTION], text=True, timeout=120,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        equal(done.returncode, 0, f"its exit code, with {done.stderr[-300:]!r}")
        real_text(done.stdout)
        check(re.search(r"\(\d+ tokens, \d+ a second\)", done.stdout), done.stdout[-200:])
        wrong = subprocess.run([sys.executable, os.path.join(TOP, "tools", "ask.py"), url,
                                missing_image(), QUESTION], text=True, timeout=120,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        check(wrong.returncode != 0, "it finds nothing wrong with a model that is not there")
    service_of(t, "phi").generate(variant.image)
