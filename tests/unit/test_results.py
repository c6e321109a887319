"""The results of a map: their order, and errors as JSON text."""

from __future__ import annotations

import pytest

from langgraph_runs import (
    APIConnectionError,
    BatchResult,
    DeadlineExceededError,
    LangGraphRunsError,
    LedgerError,
    NotFoundError,
    ResponseDecodeError,
    RunCancelledError,
    RunFailedError,
    errors,
)
from langgraph_runs.batch.results import ResultBuffer, error_from, error_text


@pytest.mark.parametrize(
    "error",
    [
        RunFailedError("ValueError", "no ink", run_id="r", thread_id="t"),
        RunCancelledError("the run was cancelled", values={"n": 1}, run_id="r"),
        NotFoundError("Not Found", status_code=404, body={"detail": "x"}, headers={"a": "b"}, request_id="q"),
        DeadlineExceededError("not done within timeout=2 s", timeout=2.0, attempts=3),
        APIConnectionError("cut", sent=True),
        ResponseDecodeError("another shape", problems=["$.x: y"]),
        LedgerError("changed \ud800"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_the_same_after_writing_and_reading(error: LangGraphRunsError) -> None:
    again = error_from(error_text(error))
    assert (type(error), str(error), error.run_id, error.thread_id, error.attempts) == (
        type(again),
        str(again),
        again.run_id,
        again.thread_id,
        again.attempts,
    )
    assert [] == [name for name in vars(error) if not hasattr(again, name)], "an attribute is missing"
    assert repr(again)
    for name in ("error", "message", "status_code", "timeout", "sent"):
        assert getattr(error, name, None) == getattr(again, name, None)


def test_an_unknown_error_class_is_read_as_the_base_class() -> None:
    again = error_from('{"class": "NewerError", "text": "odd"}')
    assert (LangGraphRunsError, "odd") == (type(again), str(again))
    assert LangGraphRunsError is type(error_from('{"class": "RequestInfo", "text": "odd"}'))
    assert hasattr(errors, "RequestInfo")


def test_results_in_order_wait_for_earlier_inputs() -> None:
    buffer = ResultBuffer(ordered=True)
    for index in (2, 1):
        buffer.put(BatchResult(index=index))
    assert (0, 2) == (buffer.ready, len(buffer))
    buffer.put(BatchResult(index=0))
    assert [0, 1, 2] == [buffer.pop().index for _ in range(3)]
    assert (0, 3) == (len(buffer), buffer.next_index)
