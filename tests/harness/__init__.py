"""What tests need that run real programs against a real Kubernetes API server.

    suite    registry of tests, a namespace and a directory for each, result lines
    cluster  an API server: its HTTP API, kubectl, watches, the audit log; lab/control-plane
    faulty_api  a proxy before an API server that fails as it is told
    process  programs under test, with a log, and what a sanitizer wrote into it
    wait     waiting for a condition until a deadline

Python's standard library only. A test waits for events, never for time to pass, except where it
must show that nothing happens.
"""
