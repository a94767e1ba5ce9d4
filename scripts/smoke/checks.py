"""Counting what holds, and looking into answers."""

import sys
import traceback
from contextlib import contextmanager

ANY = object()  # there, and not empty


class Broken(Exception):
    """What comes next cannot be tried."""


class Checks:
    """Counts checks. One that fails is told at once; the others go on."""

    def __init__(self):
        self.passed = 0
        self.failed = 0
        self._where = ""

    @contextmanager
    def about(self, what):
        """Groups checks. Whatever breaks the group is one failure more, and ends that group alone."""
        self._where = what
        print(f"- {what}", flush=True)
        try:
            yield
        except Broken as broken:
            self._fail(str(broken))
        except Exception:  # the answer was not what the next step needs
            self._fail(traceback.format_exc())

    def that(self, holds, what):
        """Counts one check."""
        if holds:
            self.passed += 1
        else:
            self._fail(what)
        return holds

    def equal(self, got, wanted, what):
        """Counts one comparison."""
        return self.that(got == wanted, f"{what}: {got!r} instead of {wanted!r}")

    def fields(self, got, **wanted):
        """Compares fields of an answer, each counted. `ANY` is any value but an empty one; a function is a test of the value."""
        for name, value in wanted.items():
            there = got.get(name) if isinstance(got, dict) else None
            if value is ANY:
                self.that(there not in (None, "", [], {}), f"{name} is empty in {got}")
            elif callable(value):
                self.that(value(there), f"{name} is {there!r} in {got}")
            else:
                self.equal(there, value, name)

    def ok(self, answer):
        """The body of an answer that must be OK; nothing after it makes sense otherwise."""
        if not self.that(answer.code == "OK", f"{answer}: not OK"):
            raise Broken("cannot go on without that answer")
        return answer.body

    def refused(self, answer, code, reason=None):
        """A call that must fail, with this status code and this reason in google.rpc.ErrorInfo."""
        self.equal(answer.code, code, f"code of {answer}")
        if reason:
            self.equal(answer.reason(), reason, f"reason of {answer}")

    def _fail(self, message):
        self.failed += 1
        print(f"  FAILED ({self._where}): {message}", file=sys.stderr, flush=True)

    def end(self):
        """Prints the last line; the exit code of the program."""
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.passed else 0
