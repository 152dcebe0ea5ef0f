"""What a model's pod may do, and what the operator costs."""

import re

from harness.suite import test
from harness.wait import check, equal, wait_until

from e2e.lab import variant_for
from e2e.serving import child_name, cordoned, make, pods_of, service_of, shell, wait_ready


@test("a pod sees its own model only, and cannot write to it")
def own_view(t):
    lab, one, other = t.suite.lab, variant_for(t), variant_for(t)
    with cordoned(t, "node2"):
        make(t, "phi", one.image)
        make(t, "other", other.image)
        for name in ("phi", "other"):
            wait_ready(t, name)
    tags = lab.nodes["node1"].tags()
    check({f"library/{each.name}/135m" for each in (one, other)} <= set(tags), f"tags: {tags}")
    for name, variant in (("phi", one), ("other", other)):
        pod = pods_of(t, name)[0]
        code, listing = shell(t, pod, "cd /models && find . ! -type d")
        equal(code, 0, listing)
        wanted = {f"./manifests/registry.ollama.ai/library/{variant.name}/135m"}
        wanted |= {"./blobs/" + digest.replace(":", "-") for digest in variant.blobs}
        equal(set(listing.split()), wanted, "files in /models")
        mine = ["blobs/" + variant.digest.replace(":", "-"),
                f"manifests/registry.ollama.ai/library/{variant.name}/135m"]
        for script in ["echo x > new", "echo x > blobs/new", *("rm -f " + path for path in mine)]:
            code, said = shell(t, pod, f"cd /models && {script}")
            check(code != 0 and "Read-only file system" in said, f"{script}: {code} {said}")
        for path in mine:
            code, said = shell(t, pod, f"echo x >> /models/{path}")
            check(code != 0, f"writing to {path} is possible")
        # Control: the shell can write where it may.
        code, said = shell(t, pod, "echo x > /tmp/x && cat /tmp/x && id -u")
        equal((code, said.split()), (0, ["x", "65532"]), "writing to /tmp, and the user")
        code, said = shell(t, pod, "ls /var/run/secrets/kubernetes.io 2>&1")
        check(code != 0, f"the pod has a service account's token: {said}")
        service_of(t, name).generate(variant.image)


def warnings_of(t, pod):
    """What Pod Security complains of, one entry for each control."""
    done = t.cluster.kubectl("-n", t.namespace, "create", "--dry-run=server", "-f", "-", stdin=pod)
    found = re.search(r'would violate PodSecurity "restricted:[^"]+": (.*)', done.stderr)
    return re.findall(r"[^,(]+ \([^()]*\)", found.group(1)) if found else []


@test("but for the node's directory, a pod is what Pod Security calls restricted")
def restricted(t):
    variant = variant_for(t)
    t.cluster.kubectl("label", "namespace", t.namespace,
                      "pod-security.kubernetes.io/warn=restricted")
    make(t, "phi", variant.image)
    wait_until("its Deployment", lambda: t.cluster.find(
        "deployments", t.namespace, child_name("phi")))
    template = t.cluster.get("deployments", t.namespace, child_name("phi"))["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod",
           "metadata": {"name": "as-made", "labels": template["metadata"]["labels"]},
           "spec": template["spec"]}
    warnings = warnings_of(t, pod)
    equal(len(warnings), 1, f"warnings: {warnings}")
    check("restricted volume types" in warnings[0] and '"hostPath"' in warnings[0] and
          '"models"' in warnings[0], f"warning: {warnings[0]}")
    # Control: the API server does see what is forbidden.
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    equal(len(warnings_of(t, pod)), 2, "warnings of a pod that may escalate")


@test("after all this the manager has less than 20 MB, each store less than 40 MB",
      own_namespace=False)
def memory(t):
    lab, sizes = t.suite.lab, []
    for component, most_kb in (("manager", 20_000), ("store", 40_000)):
        pods = lab.operator_pods(component)
        check(pods, f"no {component} runs")
        for pod in pods:
            size_kb = lab.memory_kb(pod)
            sizes.append(f"{component} on {pod['spec']['nodeName']} {size_kb / 1000:.1f} MB")
            t.note(sizes[-1])
            check(size_kb < most_kb, sizes[-1])
