"""The result of one input, the buffer that puts results in order, and errors as JSON text."""

from __future__ import annotations

import json
from collections import deque
from typing import Any, Deque, Dict, Optional

import attrs

from .. import errors
from ..errors import LangGraphRunsError
from ..models import Run

__all__ = ["BatchResult", "ResultBuffer", "error_from", "error_text", "row_of"]


@attrs.frozen(kw_only=True)
class BatchResult:
    """The result of one input of ``client.runs.map``, or of one run of ``client.runs.join_all``.

    >>> result = BatchResult(index=0, key="order-17", input={"n": 1}, values={"n": 2}, attempts=1)
    >>> result.succeeded, result.get()
    (True, {'n': 2})
    """

    #: The position among the inputs, from 0.
    index: int
    #: The key that was given with the input. If none was given: with a ledger, a key made from the input; without one, None.
    key: Optional[str] = None
    #: The input, as the object that was given; for ``join_all`` the run.
    input: Any = attrs.field(default=None, repr=False)
    #: The final values of the run; for a failed run, the last known values.
    values: Any = attrs.field(default=None, repr=False)
    #: None after a success. A `RunError` if the run ended badly; another error if it was not run, or if its end is not known.
    error: Optional[LangGraphRunsError] = None
    #: The run as the server returned it last; None if it was not requested, or if the result is from a ledger.
    run: Optional[Run] = attrs.field(default=None, repr=False)
    #: The id of the run, if it is known.
    run_id: Optional[str] = None
    #: The thread of the run. It is deleted, unless ``keep_threads`` says otherwise or the run is paused.
    thread_id: Optional[str] = None
    #: How often the input was started; restarts of the map and refusals by the server count.
    attempts: int = 1
    #: Seconds that it took.
    seconds: float = 0.0
    #: True if the run waits for a human. Its thread is kept, so that it can be resumed.
    paused: bool = False
    #: True if the result was read from the ledger, so that this map did not run the input.
    from_ledger: bool = False

    @property
    def succeeded(self) -> bool:
        """True if the run succeeded, or waits for a human."""
        return self.error is None

    def get(self) -> Any:
        """Return the values, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.values


class ResultBuffer:
    """Results that were not returned to the caller yet, in the order in which they came or in the order of their inputs.

    >>> buffer = ResultBuffer(ordered=True)
    >>> buffer.put(BatchResult(index=1))
    >>> buffer.ready, len(buffer)
    (0, 1)
    >>> buffer.put(BatchResult(index=0))
    >>> buffer.pop().index, buffer.pop().index
    (0, 1)
    """

    def __init__(self, *, ordered: bool) -> None:
        self._ordered = ordered
        self._ready: Deque[BatchResult] = deque()
        self._held: Dict[int, BatchResult] = {}
        #: If ordered, the index of the next result.
        self.next_index = 0

    @property
    def ready(self) -> int:
        """The number of results that can be returned now."""
        return len(self._ready)

    def __len__(self) -> int:
        """Return the number of all results, including those that wait for an earlier input."""
        return len(self._ready) + len(self._held)

    def put(self, result: BatchResult) -> None:
        """Add a result."""
        if not self._ordered:
            self._ready.append(result)
            return
        self._held[result.index] = result
        while self.next_index in self._held:
            self._ready.append(self._held.pop(self.next_index))
            self.next_index += 1

    def pop(self) -> BatchResult:
        """Remove and return the next result."""
        return self._ready.popleft()


def row_of(result: Any, status: str) -> Dict[str, Any]:
    """Return a `BatchResult` or a `LedgerEntry` as a dict for JSON: ``error`` is None or ``{"class", "message"}``."""
    error = result.error
    return {
        "key": result.key,
        "index": result.index,
        "status": status,
        "values": result.values,
        "error": None if error is None else {"class": type(error).__name__, "message": str(error)},
        "run_id": result.run_id,
        "thread_id": result.thread_id,
        "attempts": result.attempts,
        "seconds": round(result.seconds, 3),
        "paused": result.paused,
    }


def error_text(error: LangGraphRunsError) -> str:
    """Return *error* as JSON text: its class, its message, and the attributes that are None, text, numbers or booleans.

    >>> error_from(error_text(errors.RunFailedError("ValueError", "no ink", run_id="1f0c"))).message
    'no ink'
    """
    plain = (str, int, float, bool, type(None))
    fields = {k: v for k, v in error.__dict__.items() if not k.startswith("_") and isinstance(v, plain)}
    return json.dumps({"class": type(error).__name__, "text": error._text, "fields": fields})


def error_from(text: str) -> LangGraphRunsError:
    """Return the error that `error_text` wrote. Attributes that it left out are None or empty."""
    written: Dict[str, Any] = json.loads(text)
    found = getattr(errors, str(written.get("class")), None)
    cls = found if isinstance(found, type) and issubclass(found, LangGraphRunsError) else LangGraphRunsError
    return cls._restored(written["text"], written.get("fields", {}))
