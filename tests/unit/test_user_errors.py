"""Errors of the user's code are carried past the handlers for errors of the call, and reach the caller as they are."""

from __future__ import annotations

import gc
from typing import List

import pytest

from langgraph_runs import LangGraphRunsError, NotFoundError
from langgraph_runs.call import Deadline, Scope, UserCodeError, user_code


def test_the_scope_of_a_call_unwraps_the_error() -> None:
    cause = KeyError("cause")
    error = NotFoundError("of another call", status_code=404)
    error.__cause__ = cause
    with pytest.raises(NotFoundError) as caught, Scope(Deadline(None)) as scope:
        scope.note_run("run", "thread")
        try:
            with user_code():
                raise error
        except LangGraphRunsError:
            pytest.fail("it was taken for an error of the call")
    assert (error, cause, None) == (caught.value, caught.value.__cause__, caught.value.run_id)


def test_other_exceptions_pass_as_they_are() -> None:
    with pytest.raises(KeyError), user_code():
        raise KeyError("of the user")


def carriers() -> List[UserCodeError]:
    # By type: isinstance would ask the lazy objects of other tests for their class, which sets them up.
    return [found for found in gc.get_objects() if type(found) is UserCodeError]


def test_no_cycle_of_references_is_left() -> None:
    gc.collect()
    gc.disable()
    before = carriers()  # of tests that failed, whose tracebacks are kept
    try:
        try:
            with Scope(Deadline(None)), user_code():
                raise NotFoundError("of another call", status_code=404)
        except NotFoundError:
            pass
        assert not [found for found in carriers() if not any(found is one for one in before)]
    finally:
        gc.enable()
