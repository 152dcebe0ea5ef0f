"""Waiting for what other processes do."""

import time

POLL_S = 0.05


class Failed(AssertionError):
    """A test's verdict: the message says what was wanted and what was there."""


class NotYet(Exception):
    """A condition raises this to say why it does not hold yet; anything else ends the wait."""


def check(condition, message):
    """Like assert, but with a sentence, and not removed by python -O."""
    if not condition:
        raise Failed(message)


def equal(got, want, what):
    if got != want:
        raise Failed(f"{what}: got {got!r}, wanted {want!r}")


def wait_until(what, condition, timeout=20.0, every=POLL_S):
    """Polls `condition()` until it is true and returns its value.

    What it says last is part of the failure: a false value, or the words of a NotYet or of an
    error of the API server, which may be away for a while.
    """
    from .cluster import ApiError  # Why here: cluster needs this module too.

    deadline = time.monotonic() + timeout
    while True:
        try:
            value = condition()
            last = repr(value)
            if value:
                return value
        except (NotYet, ApiError, OSError) as error:
            last = str(error)
        if time.monotonic() >= deadline:
            raise Failed(f"not within {timeout:g} s: {what} (last: {last[:500]})")
        time.sleep(every)


def holds_for(what, condition, seconds, every=POLL_S):
    """Checks that `condition()` stays true: for what must not happen."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        check(condition(), f"did not stay so for {seconds:g} s: {what}")
        time.sleep(every)
