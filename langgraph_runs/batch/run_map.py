"""``map`` and ``join_all``: from their arguments to the work that they mean, and the iterator that the caller holds."""

from __future__ import annotations

import weakref
from types import TracebackType
from typing import Any, Callable, Iterable, Iterator, Mapping, Optional, Type

import attrs

from ..call import AbortSignal
from ..errors import InvalidRequestError
from ..http import CALL_OPTIONS, Transport, parse_call_options
from ..server_traits import ServerTraits
from ..validation import check_choice, check_count, check_id, check_seconds
from .inputs import InputReader, RunsToJoin
from .ledger import Ledger, LedgerWriter
from .progress import MapProgress, Meter
from .results import BatchResult
from .scheduler import MapConfig, Scheduler
from .worker import TaskRunner, check_picklable

__all__ = ["MapCalls", "RunMap"]


class RunMap(Iterator[BatchResult]):
    """The results of ``client.runs.map``, one for each input, as they come.

    >>> from langgraph_runs import Client
    >>> list(Client("http://localhost:2024", api_key=None).runs.map("agent", []))
    []

    Nothing is run before the first one is asked for. Close it, use it in a ``with`` block, or let go of it, to stop early: what is
    in flight is then cancelled, or detached from, as ``on_interrupt`` says. One thread at a time may iterate.
    """

    def __init__(self, work: Scheduler) -> None:
        self._work = work
        self._finalizer = weakref.finalize(self, work.stop)

    def __iter__(self) -> RunMap:
        return self

    def __next__(self) -> BatchResult:
        return self._work.next()

    def close(self) -> None:
        """Stop. Blocks until what was in flight is cancelled, which takes about a second. May be called twice."""
        self._work.stop()

    @property
    def progress(self) -> MapProgress:
        """How far it has come; may be read from any thread."""
        return self._work.meter.now()

    def __enter__(self) -> RunMap:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<RunMap {self.progress}>"


class MapCalls:
    """Begins maps on one server."""

    def __init__(self, transport: Transport, knowledge: Optional[ServerTraits], connect: Optional[Callable[[], Any]]) -> None:
        self._transport = transport
        self._knowledge = knowledge
        self._connect = connect

    def map(
        self,
        assistant_id: str,
        inputs: Iterable[Any],
        options: Mapping[str, Any],
        *,
        concurrency: int,
        ordered: bool,
        ledger: Any,
        progress: Any,
        executor: Any,
        on_error: str,
        on_interrupt: str,
        timeout_each: Optional[float],
        signal: Optional[AbortSignal],
        key: Optional[Callable[[Any], Any]],
        keep_threads: Any,
    ) -> RunMap:
        """See ``client.runs.map``."""
        if keep_threads not in (True, False, "failed"):
            raise InvalidRequestError(f"keep_threads={keep_threads!r}: give True, False or 'failed'")
        if "timeout" in options:
            raise InvalidRequestError("map() has no timeout: use timeout_each, for one input, or a signal, for all of them")
        check_choice("on_error", on_error, ("yield", "raise", "stop"))
        check_choice("on_interrupt", on_interrupt, ("cancel", "detach"))
        plan = self._plan(
            check_id("assistant_id", assistant_id),
            options,
            concurrency=concurrency,
            ordered=ordered,
            on_error=on_error,
            on_interrupt=on_interrupt,
            keep=(keep_threads is True, bool(keep_threads)),
            timeout_each=timeout_each,
            executor=executor,
            signal=signal,
        )
        read = InputReader(
            inputs,
            {name: value for name, value in options.items() if name not in CALL_OPTIONS},
            key=key,
            digests=ledger is not None,
        )
        meter = Meter(progress, read.total)
        errands = self._errands()
        if executor is not None:
            if not callable(getattr(executor, "submit", None)):
                raise InvalidRequestError(f"executor={executor!r}: give a concurrent.futures.Executor, or None for threads")
            check_picklable(errands)
        claims = None
        if ledger is not None:
            path = ledger.path if isinstance(ledger, Ledger) else Ledger(ledger).path
            claims = LedgerWriter(path, url=self._transport.base_url, assistant_id=plan.assistant_id)
        return RunMap(Scheduler(errands, read, plan, claims, meter, self._transport.settings.retry))

    def join_all(
        self,
        runs: Iterable[Any],
        *,
        concurrency: int,
        ordered: bool,
        progress: Any,
        timeout_each: Optional[float],
        signal: Optional[AbortSignal],
    ) -> RunMap:
        """See ``client.runs.join_all``."""
        plan = self._plan(
            "",
            {},
            concurrency=concurrency,
            ordered=ordered,
            on_error="yield",
            on_interrupt="detach",
            keep=(True, True),
            timeout_each=timeout_each,
            executor=None,
            signal=signal,
        )
        read = RunsToJoin(runs)
        return RunMap(Scheduler(self._errands(), read, plan, None, Meter(progress, read.total), self._transport.settings.retry))

    def _plan(self, assistant_id: str, options: Mapping[str, Any], **wanted: Any) -> MapConfig:
        check_count("concurrency", wanted["concurrency"], least=1)
        wanted["timeout_each"] = check_seconds("timeout_each", wanted["timeout_each"])
        common = {name: value for name, value in options.items() if name in CALL_OPTIONS}
        given = parse_call_options("map", {**common, "signal": wanted["signal"]})
        return MapConfig(assistant_id=assistant_id, headers=given.headers, params=given.params, **wanted)

    def _errands(self) -> TaskRunner:
        # What the server refuses because it is too much comes back at once: it holds up the whole map, not one thread of it.
        settings = self._transport.settings
        policy = attrs.evolve(settings.retry, statuses=settings.retry.statuses - {429}, retry_after_max=0.0)
        transport = self._transport.with_settings(attrs.evolve(settings, retry=policy))
        return TaskRunner(transport, self._knowledge, self._connect)
