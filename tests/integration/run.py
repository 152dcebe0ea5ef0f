#!/usr/bin/env python3
"""The real operator against a real API server and etcd; no nodes, so no pod runs.

    tests/integration/run.py --operator PROGRAM [-k SUBSTRING] [--part PART] [--logs DIR]

PROGRAM is the operator's binary, best built with ASan and UBSan: what they report is a failure.
-k takes the tests whose name contains SUBSTRING. The part "faults" is what makes requests and
watches fail and mostly waits, "behaviour" all the rest; they may run side by side. Prints a line for each test, and at the end
"N passed, N failed". Logs of a run without failures are removed, unless --logs names their place.
"""

import argparse
import os
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from harness.cluster import TOP, ControlPlane  # noqa: E402
from harness.suite import Suite  # noqa: E402
from harness.wait import wait_until  # noqa: E402

from integration import (access, adoption, calamities, children, crd, election,  # noqa: E402,F401
                         faults, outages, progress, template, volumes, watches)


FAULTS = ("calamities.", "faults.", "watches.")
PARTS = {
    "all": None,
    "behaviour": lambda name: not name.startswith(FAULTS),
    "faults": lambda name: name.startswith(FAULTS),
}


def install(cluster):
    """As users do it."""
    cluster.kubectl("apply", "--server-side", "-f", os.path.join(TOP, "dist", "install.yaml"))
    wait_until("the API server serves Models", lambda: cluster.list("models") == [])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--operator", required=True)
    parser.add_argument("-k", dest="pattern", default="")
    parser.add_argument("--part", choices=["all", "behaviour", "faults"], default="all")
    parser.add_argument("--logs")
    options = parser.parse_args()
    operator = os.path.abspath(options.operator)
    if not os.access(operator, os.X_OK):
        parser.error(f"{operator} is no program")
    logs = os.path.abspath(options.logs or tempfile.mkdtemp(prefix="ollama-operator-integration."))
    os.makedirs(logs, exist_ok=True)
    cluster = ControlPlane(logs, controllers=True)
    try:
        install(cluster)
        good = Suite(cluster, operator, logs).run(options.pattern, PARTS[options.part])
    finally:
        cluster.down()
    if good and not options.logs:
        shutil.rmtree(logs)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
