"""Tests, and what runs them.

A test is a function with one parameter, a `Case`:

    @test("a deleted Service comes back")
    def deleted_service(t):
        t.manager().wait_working()
        ...

Each has a namespace of its own, made before and deleted after it, and a directory for its logs.
What it starts through its Case is ended, in reverse order, however it ends; a program's bad end or
a sanitizer's report fails the test that started it.
"""

import json
import os
import re
import time
import traceback

from .process import Manager
from .wait import Failed

_tests = []


def test(sentence, **options):
    """Registers a test. Options: own_namespace=False when it needs none."""
    def register(function):
        _tests.append((function, sentence, options))
        return function
    return register


class Case:
    """What one test has: `cluster`, `namespace`, `directory`, and what it started."""

    def __init__(self, suite, name, namespace, directory):
        self.suite, self.name, self.namespace, self.directory = suite, name, namespace, directory
        self.cluster = suite.cluster
        self.notes = []
        self._cleanups = []
        self._managers = 0

    def note(self, text):
        """A measurement, shown in the result line."""
        self.notes.append(text)

    def defer(self, function, *arguments):
        """Called when the test has ended, last first; what it raises fails the test."""
        self._cleanups.append((function, arguments))

    def file(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        return path

    def manager(self, *arguments, kubeconfig=None, namespace=None, everywhere=False,
                environment=None):
        """Starts one that leads in this test's namespace and watches no other."""
        self._managers += 1
        manager = Manager(self.suite.operator,
                          os.path.join(self.directory, f"manager-{self._managers}.log"),
                          kubeconfig or self.cluster.kubeconfig, namespace or self.namespace,
                          *arguments, watch_namespace=None if everywhere else self.namespace,
                          environment=environment)
        self.defer(manager.verdict)
        return manager

    def end(self):
        """Runs what was deferred; returns the first complaint."""
        complaint = None
        while self._cleanups:
            function, arguments = self._cleanups.pop()
            try:
                function(*arguments)
            except Exception as error:  # Why all: the rest must be ended too.
                complaint = complaint or error
        return complaint


class Suite:
    """Runs the registered tests, one after the other, against one cluster."""

    def __init__(self, cluster, operator, directory):
        self.cluster, self.operator, self.directory = cluster, operator, directory
        self.passed = self.failed = 0

    def run(self, pattern="", among=None):
        """Runs those whose name contains `pattern`, prints a line for each and the count. `among`
        is a function that says of a name whether it takes part at all."""
        chosen = [entry for entry in _tests
                  if pattern in _name(entry[0]) and (among is None or among(_name(entry[0])))]
        for function, sentence, options in chosen:
            self._run_one(function, sentence, options)
        if not chosen:
            print(f"FAILED  no test has {pattern!r} in its name")
            self.failed += 1
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return self.failed == 0

    def _run_one(self, function, sentence, options):
        name = _name(function)
        directory = os.path.join(self.directory, name)
        os.makedirs(directory)
        namespace = None
        start = time.monotonic()
        if options.get("own_namespace", True):
            namespace = re.sub("[^a-z0-9]+", "-", name)[:50].strip("-")
        case = Case(self, name, namespace, directory)
        problem = self._attempt(case, function)
        took = time.monotonic() - start
        notes = "".join(f"; {note}" for note in case.notes)
        if problem is None:
            self.passed += 1
            print(f"ok      {name}: {sentence} ({took:.1f} s{notes})", flush=True)
        else:
            self.failed += 1
            print(f"FAILED  {name}: {sentence} ({took:.1f} s{notes})\n"
                  f"        {_words(problem)}\n        logs: {directory}", flush=True)

    def _attempt(self, case, function):
        problem = None
        try:
            if case.namespace:
                self.cluster.create("namespaces", None, {"metadata": {"name": case.namespace}})
            function(case)
        except Exception as error:  # Why all: a bug in one test must not hide the others.
            problem = error
            self._keep_evidence(case, error)
        complaint = case.end()
        if complaint is not None and problem is None:
            problem = complaint
        if case.namespace:
            try:
                self.cluster.delete("namespaces", None, case.namespace)
            except Exception as error:  # Why all: as above.
                problem = problem or error
        return problem

    def _keep_evidence(self, case, error):
        """What lay in the namespace when it went wrong."""
        case.file("traceback.txt", "".join(traceback.format_exception(error)))
        if not case.namespace:
            return
        for resource in ("models", "deployments", "services", "pods", "events", "leases"):
            try:
                items = self.cluster.list(resource, case.namespace)
            except Exception as trouble:  # Why all: evidence is a help, not a duty.
                items = str(trouble)
            case.file(resource + ".json", json.dumps(items, indent=1))


def _name(function):
    return f"{function.__module__.rpartition('.')[2]}.{function.__name__}"


def _words(error):
    if isinstance(error, Failed):
        return str(error)
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({os.path.basename(where.filename)}:{where.lineno})"
