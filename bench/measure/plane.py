"""A control plane whose pods are simulated: etcd, API server, controllers, scheduler, kwok."""

import os

from harness.cluster import LAB_BIN, TOP, ControlPlane, field
from harness.process import Process, clean_environment
from harness.wait import check, wait_until

NAMESPACE = "bench"
OPERATOR_NAMESPACE = "ollama-operator-system"
PODS_PER_NODE = 1000
# The cluster's own controllers must not be what is measured: their own limits are 20 and 50 a second.
CLUSTER_QPS = ("--kube-api-qps=2000", "--kube-api-burst=4000")


class Plane(ControlPlane):
    """One per contender: the same empty etcd for each.

    Only the contender's requests are in the audit log: it alone uses the token of
    `contender_kubeconfig`.
    """

    POLICY = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
              "rules": [{"level": "Metadata", "users": ["token-admin"]}, {"level": "None"}]}

    def __init__(self, directory, models):
        # A hundred addresses to spare, for Services and for the API server's own.
        super().__init__(directory, flags=["--service-cluster-ip-range=10.96.0.0/16"])
        self.contender_kubeconfig = self.kubeconfig + ".token"
        self._directory = directory
        self._parts = []
        try:
            self._start_controllers()
            self._start_nodes(models // PODS_PER_NODE + 2)
            self._install()
            self._warm_up()
        except BaseException:
            self.end()
            raise

    def end(self):
        for part in reversed(self._parts):
            part.kill()
        self.down()

    def _start(self, name, *arguments):
        part = Process([os.path.join(LAB_BIN, name), *arguments],
                       os.path.join(self._directory, name + ".log"), clean_environment())
        self._parts.append(part)
        return part

    def _start_controllers(self):
        pki = os.path.join(self.directory, "pki")
        kubeconfig = f"--kubeconfig={self.kubeconfig}"
        self._start("kube-controller-manager", kubeconfig, *CLUSTER_QPS,
                    "--leader-elect=false", "--secure-port=0",
                    "--use-service-account-credentials=true",
                    f"--flex-volume-plugin-dir={self.directory}/volume-plugins",
                    f"--service-account-private-key-file={pki}/sa.key",
                    f"--root-ca-file={pki}/ca.crt",
                    # Why: kwok's heartbeats starve when two cores do all this, and nodes that are
                    # taken for dead would be measured instead of the contender.
                    "--node-monitor-grace-period=2h")
        self._start("kube-scheduler", kubeconfig, *CLUSTER_QPS, "--leader-elect=false",
                    "--secure-port=0")
        self._start("kwok", kubeconfig, f"--config={LAB_BIN}/kwok-stages.yaml",
                    "--manage-all-nodes=true", "--node-lease-duration-seconds=40",
                    "--cidr=10.128.0.1/9", "--server-address=127.0.0.1:0")

    def _start_nodes(self, count):
        room = {"cpu": "1000", "memory": "16Ti", "pods": str(PODS_PER_NODE)}
        for number in range(count):
            name = f"fake-{number}"
            self.create("nodes", None, {
                "apiVersion": "v1", "kind": "Node",
                "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
                "status": {"allocatable": room, "capacity": room}})
        wait_until(f"{count} simulated nodes take pods", lambda: self._open_nodes() == count, 60)

    def _open_nodes(self):
        for part in self._parts:
            check(part.alive(), f"{part.command[0]} has ended: {part.log_path}")
        return sum(1 for node in self.list("nodes") if not node["spec"].get("taints"))

    def _install(self):
        """The kind Model alone: no manager and no stores of an installation, even simulated."""
        self.kubectl("apply", "--server-side", "-f", os.path.join(TOP, "config", "crd"))
        for name in (NAMESPACE, OPERATOR_NAMESPACE):
            self.create("namespaces", None, {"metadata": {"name": name}})
        wait_until("the API server serves Models", lambda: self.list("models") == [])

    def _warm_up(self):
        """One Model, applied as contenders do, with a Deployment whose pod runs; then no more.

        The first request of a kind costs the API server what no later one does (schemas, caches):
        seconds that would be the first contender's.
        """
        names = {"metadata": {"name": "warm-up"}}
        labels = {"app": "warm-up"}
        pod = {"metadata": {"labels": labels},
               "spec": {"containers": [{"name": "server", "image": "nothing:1"}]}}
        self._apply("models", "ollama.ayaka.io/v1", "Model", {**names, "spec": {"image": "phi"}})
        self._apply("deployments", "apps/v1", "Deployment", {
            **names, "spec": {"selector": {"matchLabels": labels}, "template": pod}})
        self._apply("services", "v1", "Service", {**names, "spec": {
            "selector": labels, "ports": [{"port": 80}]}})
        wait_until("a simulated pod runs", lambda: field(
            self.get("deployments", "default", "warm-up"), "status", "availableReplicas"), 60)
        for resource in ("models", "deployments", "services"):
            self.delete(resource, "default", "warm-up")
        wait_until("it has gone", lambda: not self.list("pods", "default"), 60)

    def _apply(self, resource, version, kind, body):
        """Also as an update that changes nothing: that is another path."""
        for _ in (1, 2):
            self.apply(resource, "default", "warm-up", {"apiVersion": version, "kind": kind, **body})
