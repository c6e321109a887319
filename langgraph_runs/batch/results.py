"""What came of one of many inputs, and how its error is written down and read again."""

from __future__ import annotations

import json
from collections import deque
from typing import Any, Deque, Dict, Optional

import attrs

from .. import errors
from ..errors import LangGraphRunsError
from ..models import Run

__all__ = ["BatchResult", "ResultBuffer", "error_from", "error_text"]


@attrs.frozen(kw_only=True)
class BatchResult:
    """What came of one input of ``client.runs.map``, or of one run of ``client.runs.join_all``.

    >>> result = BatchResult(index=0, key="order-17", input={"n": 1}, values={"n": 2}, attempts=1)
    >>> result.succeeded, result.get()
    (True, {'n': 2})
    """

    #: The place among the inputs, from 0.
    index: int
    #: The key that was given with the input, or with a ledger the one that was made from it; else None.
    key: Optional[str] = None
    #: What was given, the very object; for ``join_all`` the run.
    input: Any = attrs.field(default=None, repr=False)
    #: The final values of the run; for one that failed, what there was so far.
    values: Any = attrs.field(default=None, repr=False)
    #: Why there is no result, or None: a `RunError` for a run that ended badly, else what went wrong on the way.
    error: Optional[LangGraphRunsError] = None
    #: The run as the server last told it, or None where it was not asked (and where the result is from a ledger).
    run: Optional[Run] = attrs.field(default=None, repr=False)
    #: The run's id, where it is known.
    run_id: Optional[str] = None
    #: The thread that it ran on; deleted by now, unless it was to be kept.
    thread_id: Optional[str] = None
    #: How often this input was begun, restarts and refusals by the server included.
    attempts: int = 1
    #: Seconds that it took, the last time.
    seconds: float = 0.0
    #: Whether the run waits for a human; its thread is kept, so that it can be answered.
    paused: bool = False
    #: Whether the result was there before, in the ledger, and nothing was run for it now.
    from_ledger: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether the run ended well; a pause for a human counts as well."""
        return self.error is None

    def get(self) -> Any:
        """The values; raises the error where there is one."""
        if self.error is not None:
            raise self.error
        return self.values


class ResultBuffer:
    """Results on their way to whoever asked: as they come, or in the order of their inputs.

    >>> outlet = ResultBuffer(ordered=True)
    >>> outlet.put(BatchResult(index=1))
    >>> outlet.ready, len(outlet)
    (0, 1)
    >>> outlet.put(BatchResult(index=0))
    >>> outlet.pop().index, outlet.pop().index
    (0, 1)
    """

    def __init__(self, *, ordered: bool) -> None:
        self._ordered = ordered
        self._ready: Deque[BatchResult] = deque()
        self._held: Dict[int, BatchResult] = {}
        #: The place of the next result, where they come in order.
        self.turn = 0

    @property
    def ready(self) -> int:
        """How many can be handed out now."""
        return len(self._ready)

    def __len__(self) -> int:
        """How many there are, those included that wait for their turn."""
        return len(self._ready) + len(self._held)

    def put(self, result: BatchResult) -> None:
        """Take one in."""
        if not self._ordered:
            self._ready.append(result)
            return
        self._held[result.index] = result
        while self.turn in self._held:
            self._ready.append(self._held.pop(self.turn))
            self.turn += 1

    def pop(self) -> BatchResult:
        """The next one."""
        return self._ready.popleft()


def error_text(error: LangGraphRunsError) -> str:
    """*error* as JSON text: its class, its message, and of its fields those that are plain.

    >>> error_from(error_text(errors.RunFailedError("ValueError", "no ink", run_id="1f0c"))).message
    'no ink'
    """
    plain = (str, int, float, bool, type(None))
    fields = {k: v for k, v in error.__dict__.items() if not k.startswith("_") and isinstance(v, plain)}
    return json.dumps({"class": type(error).__name__, "text": error._text, "fields": fields})


def error_from(text: str) -> LangGraphRunsError:
    """The error that `error_text` wrote; what was not written is None or empty."""
    told: Dict[str, Any] = json.loads(text)
    found = getattr(errors, str(told.get("class")), None)
    cls = found if isinstance(found, type) and issubclass(found, LangGraphRunsError) else LangGraphRunsError
    return cls._restored(told["text"], told.get("fields", {}))
