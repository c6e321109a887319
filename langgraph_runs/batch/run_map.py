"""``map`` and ``join_all``: puts the parts of a map together, and defines the iterator that the caller gets."""

from __future__ import annotations

import logging
import os
import weakref
from types import TracebackType
from typing import Any, Callable, Iterable, Iterator, Mapping, Optional, Type, Union

from ..errors import AbortedError, InvalidRequestError
from ..http import Transport
from ..server_traits import ServerTraits
from .concurrency import ConcurrencyLimit
from .config import MapConfig
from .dispatcher import Dispatcher
from .inputs import InputReader, RunsToJoin
from .ledger import LedgerStore, Purpose
from .outage import OutageWatch
from .progress import MapProgress, Meter
from .recorder import LedgerRecorder, NullRecorder, Recorder
from .result_file import ResultFile, same_file, to_pandas
from .results import BatchResult
from .retries import InputRetries
from .scheduler import Scheduler
from .worker import TaskRunner, check_picklable

__all__ = ["MapCalls", "RunMap"]

_log = logging.getLogger(__name__)


class RunMap(Iterator[BatchResult]):
    """The results of ``client.runs.map``: one for each input, as they come.

    >>> from langgraph_runs import Client
    >>> list(Client("http://localhost:2024", api_key=None).runs.map("agent", []))
    []

    No run is started before the first result is requested. To stop early, close it, use it in a ``with`` block, or drop the last
    reference to it: the runs in flight are then cancelled or left running, as ``on_interrupt`` says. One thread at a time may
    iterate.
    """

    def __init__(self, scheduler: Scheduler, files: Mapping[str, Any]) -> None:
        self._scheduler = scheduler
        #: What the map reads and writes, with names for messages: the paths of those that are files.
        self._files = files
        self._finalizer = weakref.finalize(self, scheduler.abandon)

    def __iter__(self) -> RunMap:
        return self

    def __next__(self) -> BatchResult:
        result = self._scheduler.next()
        if result is None:
            raise StopIteration
        return result

    def close(self) -> None:
        """Stop the map. Blocks until the runs in flight are cancelled, which takes about a second. May be called twice."""
        self._scheduler.stop()

    @property
    def progress(self) -> MapProgress:
        """The numbers of inputs that are done, failed and in flight. May be read from any thread."""
        return self._scheduler.meter.now()

    def to_jsonl(self, path: Union[str, os.PathLike[str]], *, with_input: bool = False) -> MapProgress:
        """Write a line of JSON for each result to a file, and return the numbers of inputs that are done and failed.

        The lines are those of ``langgraph-runs batch``: key, index, status, values, error, run_id, thread_id, attempts, seconds,
        paused and, with *with_input*, input. They are written to ``PATH.part`` as the results come; the file is renamed when it has
        all that were not returned before. Raises what the iteration raises, `AbortedError` if the map is closed meanwhile,
        `InvalidRequestError` if it has ended already or if the file is that of the inputs or the ledger, `OSError` if the file
        cannot be written, and its subclass `BlockingIOError` if another process writes it.
        """
        return self._write(path, "jsonl", with_input)

    def to_csv(self, path: Union[str, os.PathLike[str]], *, with_input: bool = False) -> MapProgress:
        """Do the same as `to_jsonl` for a CSV file.

        The values, and the input, are JSON text in one cell. The error is in two columns, ``error_class`` and ``error_message``.
        """
        return self._write(path, "csv", with_input)

    def to_parquet(self, path: Union[str, os.PathLike[str]], *, with_input: bool = False) -> MapProgress:
        """Do the same as `to_csv` for a Parquet file, which needs the extra ``tables``.

        Rows are written in groups of some thousand. ``PATH.part`` can be read after the map has ended, but not after a kill of the
        process: then the results are in the ledger.
        """
        return self._write(path, "parquet", with_input)

    def _write(self, path: Union[str, os.PathLike[str]], format: str, with_input: bool) -> MapProgress:
        results = self._all_results()
        file = ResultFile(path, format, with_input=with_input)
        name = same_file(path, self._files) or same_file(file.part, self._files)
        if name is not None:
            raise InvalidRequestError(f"path: the results would replace {name}; give a file of their own")
        with self, file:
            for result in results:
                file.write(result)
            file.complete()
        return self.progress

    def _all_results(self) -> Iterator[BatchResult]:
        """Return an iterator over the results that were not returned yet. Raises at once if the map has ended.

        The iterator raises if the map is closed before the last one, since a file with fewer results would look complete.
        """
        if self._scheduler.is_stopped:
            raise InvalidRequestError("the map has ended, and its results were returned; start another one, with the same ledger")

        def results() -> Iterator[BatchResult]:
            yield from self
            if self._scheduler.was_closed:
                raise AbortedError("the map was closed before all of its results were returned")

        return results()

    def to_pandas(self, *, with_input: bool = False) -> Any:
        """Return a pandas DataFrame with a row for each result and the columns of `to_csv`; the values of runs are objects.

        All results are in memory then. Raises what `to_jsonl` raises, and `InvalidRequestError` if pandas is not installed.
        """
        with self:
            return to_pandas(self._all_results(), with_input=with_input)

    def __enter__(self) -> RunMap:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<RunMap {self.progress}>"


class MapCalls:
    """Makes maps for one client."""

    def __init__(self, transport: Transport, traits: Optional[ServerTraits], connect: Optional[Callable[[], Any]]) -> None:
        self._transport = transport
        self._traits = traits
        self._connect = connect

    def map(self, inputs: Iterable[Any], config: MapConfig) -> RunMap:
        """Return the results of one run for each of *inputs*; see ``client.runs.map``."""
        reader = InputReader(inputs, config.run_options, key=config.key, digests=config.ledger is not None)
        return self._run_map(reader, config, getattr(inputs, "path", None))

    def join_all(self, runs: Iterable[Any], config: MapConfig) -> RunMap:
        """Return the results of *runs*, which exist already; see ``client.runs.join_all``."""
        return self._run_map(RunsToJoin(runs), config, None)

    def _run_map(self, inputs: Union[InputReader, RunsToJoin], config: MapConfig, path: Optional[str]) -> RunMap:
        policy = self._transport.settings.retry
        meter = Meter(config.progress, inputs.total)
        runner = TaskRunner(self._transport, self._traits, self._connect)
        if config.executor is not None:
            check_picklable(runner)
        limit = ConcurrencyLimit(
            config.concurrency,
            wait_initial=policy.wait_initial,
            wait_max=policy.wait_max,
            retry_after_max=policy.retry_after_max,
            pacer=runner.pacer,
        )
        watch = OutageWatch(
            self._transport.base_url,
            max_outage=config.max_outage,
            wait_initial=policy.wait_initial,
            wait_max=policy.wait_max,
        )
        retries = InputRetries(self._transport.logging_at(logging.DEBUG), limit)
        store: Optional[LedgerStore] = None
        if config.ledger is not None:
            store = config.ledger.open_store(Purpose.of_map(self._transport.base_url, config.assistant_id, config.run_options))
        dispatcher = Dispatcher(runner, config.executor, config.concurrency)
        _warn_of_few_workers(config)
        recorder: Recorder
        if store is None:
            recorder = NullRecorder(config, dispatcher, retries.is_final)
        else:
            runner.pacer.create_only_if(store.may_create)
            recorder = LedgerRecorder(store, config, dispatcher, retries.is_final)
        files = {"the inputs": path, "the ledger": config.ledger and config.ledger.path}
        return RunMap(Scheduler(self._transport, config, inputs, dispatcher, recorder, retries, watch, meter), files)


def _warn_of_few_workers(config: MapConfig) -> None:
    """Log that an executor holds fewer runs in flight than the caller wants, since each of its workers waits for one."""
    workers = getattr(config.executor, "_max_workers", None)  # of the executors of the standard library, and of loky
    if isinstance(workers, int) and workers < config.concurrency:
        text = (
            "the executor has %d workers, which wait for one run each, so concurrency=%d has no effect; threads have no such limit"
        )
        _log.warning(text, workers, config.concurrency)
