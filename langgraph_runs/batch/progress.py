"""How far a map has come: the numbers, and the bar or the line that shows them. The only importer of tqdm, and only for a bar."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any, Callable, List, Optional, Tuple, Union

import attrs

from ..errors import InvalidRequestError

__all__ = ["MapProgress", "Meter"]

#: Seconds between two lines where nobody watches.
_LINE = 5.0
#: Seconds over which the rate is taken.
_WINDOW = 30.0


@attrs.frozen(kw_only=True)
class MapProgress:
    """How far ``client.runs.map`` has come; what a function that is given as ``progress=`` is called with.

    >>> progress = MapProgress(done=40, failed=2, in_flight=16, total=100, rate=2.9, elapsed=14.5)
    >>> progress.seconds_left
    20.0
    >>> str(progress)
    '42 of 100, 2 failed, 16 in flight, 2.9/s, 20 s left'
    """

    #: Inputs with a good result.
    done: int = 0
    #: Inputs with an error.
    failed: int = 0
    #: Of both, those whose result was in the ledger before.
    from_ledger: int = 0
    #: Inputs that are being run.
    in_flight: int = 0
    #: How many there are in all; None where the inputs do not tell their length.
    total: Optional[int] = None
    #: Inputs per second of late, those from the ledger not counted.
    rate: float = 0.0
    #: Seconds since the map began.
    elapsed: float = 0.0

    @property
    def seconds_left(self) -> Optional[float]:
        """Seconds until the end at the present rate; None where that cannot be said."""
        if self.total is None or not self.rate:
            return None
        return max(0.0, (self.total - self.done - self.failed) / self.rate)

    def __str__(self) -> str:
        parts = [f"{self.done + self.failed}" + ("" if self.total is None else f" of {self.total}")]
        if self.failed:
            parts.append(f"{self.failed} failed")
        parts += [f"{self.in_flight} in flight", f"{self.rate:.1f}/s"]
        if self.seconds_left is not None:
            parts.append(f"{_spoken(self.seconds_left)} left")
        return ", ".join(parts)


def _spoken(seconds: float) -> str:
    whole = round(seconds)
    if whole < 90:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 5400 else f"{whole // 3600} h {whole % 3600 // 60} min"


class Meter:
    """Counts, and shows what it counts in the way that was asked for."""

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
        #: Inputs that were read.
        self.read = 0
        self.done = self.failed = self.from_ledger = self.in_flight = 0
        self._lock = threading.Lock()
        self._clock = clock
        self._began = clock()
        self._told: Optional[Callable[[MapProgress], object]] = progress if callable(progress) else None
        self._last_told: Any = None
        self._bar: Any = None
        self._line_at: Optional[float] = None
        self._marks: List[Tuple[float, int]] = [(self._began, 0)]
        if progress is True:
            self._bar = _bar(total)
            if self._bar is None:
                self._line_at = self._began + _LINE

    @property
    def tick(self) -> Optional[float]:
        """Seconds after which it wants to be shown again though nothing has happened; None where nothing is shown."""
        return 1.0 if self._line_at is not None or self._bar is not None else None

    def count(self, *, failed: bool, from_ledger: bool) -> None:
        """One more input has its result."""
        self.failed += failed
        self.done += not failed
        self.from_ledger += from_ledger

    def now(self) -> MapProgress:
        """The numbers, as they stand."""
        with self._lock:
            return self._now()

    def _now(self) -> MapProgress:
        at, ran = self._clock(), self.done + self.failed - self.from_ledger
        if at - self._marks[-1][0] >= 1.0:
            self._marks.append((at, ran))
            while len(self._marks) > 2 and at - self._marks[1][0] > _WINDOW:
                del self._marks[0]
        since, before = self._marks[0]
        return MapProgress(
            done=self.done,
            failed=self.failed,
            from_ledger=self.from_ledger,
            in_flight=self.in_flight,
            total=self.total,
            rate=(ran - before) / (at - since) if at > since else 0.0,
            elapsed=at - self._began,
        )

    def show(self, *, last: bool = False) -> None:
        """Show or tell it, if it is time."""
        if self._told is not None:
            now = (self.done, self.failed, self.in_flight)
            if now != self._last_told:
                self._last_told = now
                self._told(self.now())
        elif self._bar is not None:
            self._bar.set_postfix(failed=self.failed, running=self.in_flight, refresh=False)
            self._bar.update(self.done + self.failed - self._bar.n)
            if last:
                self._bar.close()
        elif self._line_at is not None and (last or self._clock() >= self._line_at):
            self._line_at = self._clock() + _LINE
            print(f"langgraph_runs: {self.now()}", file=sys.stderr, flush=True)


def _bar(total: Optional[int]) -> Any:
    """A bar on the terminal, or None where there is no terminal or no tqdm."""
    if not sys.stderr.isatty():
        return None
    try:
        import tqdm
    except ImportError:
        return None
    # Without the thread that tqdm keeps beside its bars: ours are renewed often enough.
    bar = type("Bar", (tqdm.tqdm,), {"monitor_interval": 0})
    return bar(total=total, unit="run", file=sys.stderr, dynamic_ncols=True)
