"""A bar of tqdm on a terminal or in a notebook. The only importer of tqdm, which is imported when a bar is shown.

tqdm shows a bar again after a number of updates that it estimates from their pace. After a resume, when thousands of results come
from the ledger in a second, it would not show the next ones for a long time, and with a rate that was never true. So the bar takes
its numbers from the map, and decides itself when it is shown again.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional

if TYPE_CHECKING:
    from .progress import MapProgress

__all__ = ["ProgressBar", "open_bar"]

#: Seconds between two times that the bar is drawn.
_INTERVAL = 0.1


class ProgressBar:
    """A bar. *bar_class* is a class of tqdm's bars."""

    def __init__(self, bar_class: Any, total: Optional[int], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._drawn_at = float("-inf")
        self._progress: Optional[MapProgress] = None
        self._ended = False
        numbers = self._numbers

        class Bar(bar_class):  # type: ignore[misc]
            monitor_interval = 0  # without tqdm's thread: the map draws the bar often enough

            @property
            def format_dict(self) -> Dict[str, Any]:
                return {**super().format_dict, **numbers()}

        self._bar = Bar(total=total, unit="run", file=sys.stderr, dynamic_ncols=True)

    def _numbers(self) -> Dict[str, Any]:
        """Return what tqdm would estimate. Without a rate, it shows that of all results that are not from the ledger."""
        progress = self._progress
        if progress is None:
            return {}
        rate = None if self._ended else progress.rate or None
        return {"rate": rate, "initial": progress.from_ledger, "elapsed": progress.elapsed}

    def show(self, progress: MapProgress, *, last: bool = False) -> None:
        """Draw the bar if it is time; *last*: draw it, and end its line."""
        now = self._clock()
        if not last and now - self._drawn_at < _INTERVAL:
            return
        self._drawn_at = now
        self._progress, self._ended = progress, last
        self._bar.n = progress.done + progress.failed
        outage = progress.waiting_for
        suffix = "" if outage is None else f", waiting for the server since {outage.since:%H:%M:%S}"
        self._bar.set_postfix_str(f"{progress.failed} failed, {progress.in_flight} running{suffix}", refresh=False)
        self._bar.refresh()
        if last:
            self._bar.close()


def open_bar(total: Optional[int]) -> Optional[ProgressBar]:
    """Return a bar on stderr, or in the notebook; None if there is neither a terminal nor a notebook, or tqdm is not installed."""
    try:
        if _is_notebook():
            from tqdm.auto import tqdm  # a widget, or text if the notebook has no widgets
        elif sys.stderr.isatty():
            from tqdm import tqdm
        else:
            return None
    except ImportError:
        return None
    return ProgressBar(tqdm, total)


def _is_notebook() -> bool:
    """Return True in a kernel of Jupyter, where stderr is no terminal."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = None if get_ipython is None else get_ipython()
    return "IPKernelApp" in getattr(shell, "config", ())
