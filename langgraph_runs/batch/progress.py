"""The progress of a map: its numbers, and the bar, the line or the function that shows them."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any, Callable, List, Optional, Tuple, Union

import attrs

from ..errors import InvalidRequestError
from .outage import ServerOutage
from .progress_bar import ProgressBar, open_bar

__all__ = ["MapProgress", "Meter"]

#: Seconds between two lines, if there is neither a terminal nor a notebook, or tqdm is not installed.
_LINE_INTERVAL = 5.0
#: Seconds between two updates of a bar or a line while nothing ends.
_UPDATE_INTERVAL = 1.0
#: Seconds over which the rate is measured.
_RATE_WINDOW = 30.0


@attrs.frozen(kw_only=True)
class MapProgress:
    """The progress of ``client.runs.map``. A function given as ``progress=`` is called with it.

    >>> progress = MapProgress(done=40, failed=2, in_flight=16, total=100, rate=2.9, elapsed=14.5)
    >>> progress.seconds_left
    20.0
    >>> str(progress)
    '42 of 100, 2 failed, 16 in flight, 2.9/s, 20 s left'
    """

    #: Inputs that succeeded.
    done: int = 0
    #: Inputs that failed.
    failed: int = 0
    #: The inputs, among those two, whose result was read from the ledger.
    from_ledger: int = 0
    #: Inputs that are being run now.
    in_flight: int = 0
    #: All inputs; None if the number is not known.
    total: Optional[int] = None
    #: Inputs per second in the last half minute, without those from the ledger.
    rate: float = 0.0
    #: Seconds since the map was made.
    elapsed: float = 0.0
    #: What the map waits for while the server does not respond, or refuses all requests; None if it does not wait.
    waiting_for: Optional[ServerOutage] = None

    @property
    def seconds_left(self) -> Optional[float]:
        """Seconds until the end at the present rate; None if the rate or the number of inputs is not known."""
        if self.total is None or not self.rate:
            return None
        return max(0.0, (self.total - self.done - self.failed) / self.rate)

    def __str__(self) -> str:
        parts = [f"{self.done + self.failed}" + ("" if self.total is None else f" of {self.total}")]
        if self.failed:
            parts.append(f"{self.failed} failed")
        parts += [f"{self.in_flight} in flight", f"{self.rate:.1f}/s"]
        if self.seconds_left is not None:
            parts.append(f"{_rounded(self.seconds_left)} left")
        if self.waiting_for is not None:
            parts.append(f"waiting for {self.waiting_for}")
        return ", ".join(parts)


def _rounded(seconds: float) -> str:
    whole = round(seconds)
    if whole < 90:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 5400 else f"{whole // 3600} h {whole % 3600 // 60} min"


class Meter:
    """Counts results, and shows the progress in the way that the caller has chosen."""

    def __init__(
        self,
        progress: Union[bool, Callable[[MapProgress], object], None],
        total: Optional[int],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if progress is not None and not isinstance(progress, bool) and not callable(progress):
            raise InvalidRequestError(f"progress={progress!r}: give True, False, or a function that takes a MapProgress")
        self.total = total
        #: The number of inputs read so far.
        self.read = 0
        self.done = self.failed = self.from_ledger = self.in_flight = 0
        self.waiting_for: Optional[ServerOutage] = None
        self._lock = threading.RLock()  # a signal handler may read the progress in the thread that holds the lock
        self._clock = clock
        self._started = clock()
        self._callback: Optional[Callable[[MapProgress], object]] = progress if callable(progress) else None
        #: The progress with which the function was called last.
        self._last_shown: Any = None
        self._bar: Optional[ProgressBar] = None
        self._line_at: Optional[float] = None
        self._marks: List[Tuple[float, int]] = [(self._started, 0)]
        if progress is True:
            self._bar = open_bar(total)
            if self._bar is None:
                self._line_at = self._started + _LINE_INTERVAL

    @property
    def interval(self) -> Optional[float]:
        """Seconds after which `show` must be called even if no input has ended; None if there is no bar and no line."""
        return _UPDATE_INTERVAL if self._line_at is not None or self._bar is not None else None

    def count(self, *, failed: bool, from_ledger: bool) -> None:
        """Count the result of one input."""
        self.failed += failed
        self.done += not failed
        self.from_ledger += from_ledger

    def now(self) -> MapProgress:
        """Return the progress now. May be called from any thread, and from a signal handler."""
        with self._lock:
            return self._now()

    def _now(self) -> MapProgress:
        now, finished = self._clock(), self.done + self.failed - self.from_ledger
        if now - self._marks[-1][0] >= 1.0:
            self._marks.append((now, finished))
            while len(self._marks) > 2 and now - self._marks[1][0] > _RATE_WINDOW:
                del self._marks[0]
        since, finished_before = self._marks[0]
        return MapProgress(
            done=self.done,
            failed=self.failed,
            from_ledger=self.from_ledger,
            in_flight=self.in_flight,
            total=self.total,
            rate=(finished - finished_before) / (now - since) if now > since else 0.0,
            elapsed=now - self._started,
            waiting_for=self.waiting_for,
        )

    def show(self, *, last: bool = False) -> None:
        """Update the bar, print a line if it is time, or call the function if the numbers have changed; *last* at the end.

        An exception of the function is raised here. After that, the function is not called again.
        """
        if self._callback is not None:
            numbers = (self.done, self.failed, self.in_flight, self.waiting_for)
            if numbers != self._last_shown:
                self._last_shown = numbers
                self._call()
        elif self._bar is not None:
            self._bar.show(self.now(), last=last)
        elif self._line_at is not None and (last or self._clock() >= self._line_at):
            self._line_at = self._clock() + _LINE_INTERVAL
            print(f"langgraph_runs: {self.now()}", file=sys.stderr, flush=True)

    def _call(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback(self.now())
            self._callback = callback
