"""What changes while a Model lives, and its end."""

import os
import signal
import threading
import time

from harness.cluster import field
from harness.suite import test
from harness.wait import Failed, NotYet, check, equal, wait_until

from e2e.lab import variant_for
from e2e.serving import (child_name, cordoned, is_ready, make, node_of, pods_of, server_of,
                         service_of, status_of, wait_ready)


@test("kubectl scale to 2 puts the model onto the second node; both answer; and back to 1")
def second_replica(t):
    variant = variant_for(t)
    make(t, "phi", variant.image)
    wait_ready(t, "phi")
    first = node_of(t, "phi")
    with cordoned(t, first):
        t.cluster.kubectl("-n", t.namespace, "scale", "models/phi", "--replicas=2")
        status = wait_ready(t, "phi", replicas=2, timeout=90)
    wait_until("status.nodes is 2", lambda: status_of(t, "phi").get("nodes") == 2)
    equal((status["replicas"], status["unavailableReplicas"]), (2, 0), "replicas")
    pods = pods_of(t, "phi")
    equal({pod["spec"]["nodeName"] for pod in pods}, set(t.suite.lab.nodes), "nodes of the pods")
    for pod in pods:
        equal(server_of(pod).loaded(), [variant.image], f"loaded in {pod['metadata']['name']}")
        server_of(pod).generate(variant.image)
    t.cluster.kubectl("-n", t.namespace, "scale", "models/phi", "--replicas=1")
    wait_until("one pod is left", lambda: len(t.cluster.list("pods", t.namespace)) == 1, 60)
    wait_ready(t, "phi", replicas=1)
    service_of(t, "phi").generate(variant.image)


@test("with a Model go its Deployment, Service and pods")
def deleted_model(t):
    variant = variant_for(t)
    make(t, "phi", variant.image)
    wait_ready(t, "phi")
    start = time.monotonic()
    t.cluster.delete("models", t.namespace, "phi")

    def none_left():
        left = [f"{kind} {thing['metadata']['name']}"
                for kind in ("models", "deployments", "services", "pods")
                for thing in t.cluster.list(kind, t.namespace)]
        if left:
            raise NotYet(", ".join(left))
        return True
    wait_until("nothing is left of it", none_left, 60)
    t.note(f"all gone after {time.monotonic() - start:.1f} s")


@test("a deleted Service or Deployment is back at once, and the model answers again")
def deleted_children(t):
    variant, took = variant_for(t), []
    make(t, "phi", variant.image)
    wait_ready(t, "phi")
    for kind in ("services", "deployments"):
        with t.cluster.watch(kind, t.namespace) as watch:
            start = time.monotonic()
            t.cluster.delete(kind, t.namespace, child_name("phi"))
            watch.wait(f"{kind} gone", lambda event, _: event == "DELETED", 30)
            back, _ = watch.wait(f"{kind} back", lambda event, _: event == "ADDED", 30)
        took.append(back - start)
        check(took[-1] < 2, f"{kind}: back only after {took[-1]:.1f} s")
        wait_until("the Deployment has seen its new pod", lambda: field(t.cluster.get(
            "deployments", t.namespace, child_name("phi")), "status", "readyReplicas") == 1, 60)

        def answers():
            try:
                return service_of(t, "phi").generate(variant.image)
            except Failed as error:
                raise NotYet(str(error)) from error
        wait_until("an answer through the Service", answers, 20, every=0.5)
    t.note("Service and Deployment back after " +
           " and ".join(f"{seconds * 1000:.0f} ms" for seconds in took))


class Client(threading.Thread):
    """Asks the model again and again; `failures` says what went wrong, `answers` counts."""

    def __init__(self, server, image):
        super().__init__(daemon=True)
        self._server, self._image = server, image
        self._ended = threading.Event()
        self.answers, self.failures = 0, []

    def run(self):
        while not self._ended.wait(0.1):
            try:
                self._server.generate(self._image, tokens=8)
                self.answers += 1
            except (Failed, OSError) as error:
                self.failures.append(str(error))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self.join()


@test("the manager is killed: models go on answering, and a change made meanwhile is acted on")
def manager_killed(t):
    lab, variant = t.suite.lab, variant_for(t)
    make(t, "phi", variant.image)
    wait_ready(t, "phi")
    pod = lab.operator_pods("manager")[0]
    process = lab.process_of(pod)
    with Client(service_of(t, "phi"), variant.image) as client:
        wait_until("a first answer", lambda: client.answers, 30)
        os.kill(process, signal.SIGKILL)
        start, before = time.monotonic(), client.answers
        t.cluster.patch("models", t.namespace, "phi", {"spec": {"replicas": 2}})
        wait_until("the Deployment has 2 replicas", lambda: t.cluster.get(
            "deployments", t.namespace, child_name("phi"))["spec"]["replicas"] == 2, 60)
        t.note(f"acted {time.monotonic() - start:.1f} s after the kill")
        wait_ready(t, "phi", replicas=2, timeout=60)
        check(client.answers > before, "no answer since the kill")
    equal(client.failures, [], f"failures beside {client.answers} answers")
    t.note(f"{client.answers} answers, none failed")
    restarted = next(each for each in lab.operator_pods("manager")
                     if each["metadata"]["uid"] == pod["metadata"]["uid"])
    check(lab.process_of(restarted) != process, "it was not killed")
    check(all(map(is_ready, pods_of(t, "phi"))), "pods are not Ready")
