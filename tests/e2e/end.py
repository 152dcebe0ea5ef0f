"""The last test of a run that has brought the lab up."""

from harness.suite import test


@test("the lab goes down and leaves nothing behind", own_namespace=False)
def clean(t):
    t.suite.lab.down()
    t.suite.lab.check_clean()
