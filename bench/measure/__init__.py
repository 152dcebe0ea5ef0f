"""What bench/manager measures with.

    plane       a control plane with simulated nodes, of which the requests of one user are counted
    meters      memory and CPU of a process, requests in the audit log, streams of events
    contenders  the programs that are compared, and how each is started
    run         one contender through all phases, as a dictionary of figures
    report      the table and the JSON file

Python's standard library, and tests/harness.
"""
