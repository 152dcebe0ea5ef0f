#!/usr/bin/env python3
"""The operator's image on a real cluster: two nodes, real Ollama, a real model that answers.

    tests/e2e/run.py --image-tar TAR [-k SUBSTRING] [--keep] [--logs DIR]

Brings the lab up where it is not, installs the operator of TAR as users do, and runs the tests
whose name contains SUBSTRING. A lab that it has brought up it takes down again, and proves that
nothing is left behind, unless --keep is given. Prints a line for each test, and at the end
"N passed, N failed". Logs of a run without failures are removed, unless --logs names their place.
"""

import argparse
import os
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from harness.suite import Suite  # noqa: E402
from harness.wait import wait_until  # noqa: E402

# The order of their tests; "end" takes the lab down and is imported only when that is wanted.
from e2e import flow, faults, lifecycle, volumes, pods  # noqa: E402,F401
from e2e.lab import OPERATOR_NAMESPACE, Lab, remove_old_variants  # noqa: E402


class LabSuite(Suite):
    """A Suite that knows the lab, and keeps more evidence: logs of the operator and of pods."""

    def __init__(self, lab, directory):
        super().__init__(lab.cluster, None, directory)
        self.lab = lab

    def _keep_evidence(self, case, error):
        super()._keep_evidence(case, error)
        if not case.namespace:
            return
        for namespace in (OPERATOR_NAMESPACE, case.namespace):
            there = self.cluster.kubectl("-n", namespace, "get", "pods", "-o", "name", check=False)
            for pod in there.stdout.split():
                log = self.cluster.kubectl("-n", namespace, "logs", pod, "--all-containers",
                                           "--prefix", "--timestamps", "--tail=300", check=False)
                case.file(f"{namespace}-{pod.rpartition('/')[2]}.log", log.stdout + log.stderr)


def wait_namespaces_gone(cluster, names):
    """So that the next run finds none of them."""
    wait_until("the tests' namespaces are gone", lambda: not names & {
        thing["metadata"]["name"] for thing in cluster.list("namespaces")}, 120)


def run_tests(lab, options, logs):
    lab.up()
    print(f"lab: up; installing {lab.image}", flush=True)
    lab.install()
    remove_old_variants()
    rate = lab.registry.rate()
    lab.registry.set_rate(0)
    lab.registry.clear_faults()
    try:
        return LabSuite(lab, logs).run(options.pattern)
    finally:
        if lab.is_up():
            lab.registry.clear_faults()
            lab.registry.set_rate(rate)
            wait_namespaces_gone(lab.cluster, set(os.listdir(logs)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image-tar", required=True, metavar="TAR")
    parser.add_argument("-k", dest="pattern", default="")
    parser.add_argument("--keep", action="store_true", help="leave the lab up")
    parser.add_argument("--logs")
    options = parser.parse_args()
    if not os.path.isfile(options.image_tar):
        parser.error(f"no file {options.image_tar}")
    logs = os.path.abspath(options.logs or tempfile.mkdtemp(prefix="ollama-operator-e2e."))
    os.makedirs(logs, exist_ok=True)
    lab = Lab(options.image_tar, logs)
    ours = not lab.was_up and not options.keep
    if ours:
        from e2e import end  # noqa: F401  pylint: disable=unused-import,import-outside-toplevel
    try:
        good = run_tests(lab, options, logs)
    finally:
        # The test of the end has done so already, if it was chosen and could.
        if ours and lab.is_up():
            lab.down()
    if good and not options.logs:
        shutil.rmtree(logs)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
