"""``client.runs``: one method for each endpoint of the runs API."""

from __future__ import annotations

import functools
import itertools
import os
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Literal,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
    get_args,
)

from .. import api
from ..call import AbortSignal
from ..errors import InvalidRequestError
from ..http import Transport, parse_call_options
from ..models import Run
from ..options import CallOptions, CancelAction, ListOptions, MapOptions, RunStatus, Time, documented
from ..runs import Filters, cancel_runs, list_newest, pages
from ..validation import check_choice, check_count, check_id, shown
from .resource import check_page, merged_arguments
from .run_joins import RunJoins

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..batch import Ledger, MapCalls, MapProgress, RunMap
    from ..server_traits import ServerTraits

__all__ = ["RunsClient"]

_BULK_STATUS = ("pending", "running", "all")


class RunsClient(RunJoins):
    """The runs of a server, as ``client.runs``. It may be used by several threads at once.

    An id is text or a `uuid.UUID`. Each method also takes ``timeout``, ``signal``, ``headers`` and ``params``. Each may raise
    `InvalidRequestError` before anything is sent, `APIConnectionError` if no usable response came, `APIStatusError` if the server
    refused, and `AbortedError` or `DeadlineExceededError` if the call was ended.
    """

    def __init__(
        self, transport: Transport, traits: Optional[ServerTraits] = None, connect: Optional[Callable[[], Any]] = None
    ) -> None:
        super().__init__(transport, traits)
        self._traits = traits
        self._connect = connect

    # -- many runs

    @functools.cached_property
    def _map_calls(self) -> MapCalls:
        from ..batch import MapCalls  # imported here, since it takes a tenth of the time of importing the package

        return MapCalls(self._transport, self._traits, self._connect)

    @documented(MapOptions)
    def map(
        self,
        assistant_id: str,
        inputs: Iterable[Any],
        *,
        concurrency: int = 16,
        ordered: bool = False,
        ledger: Union[Ledger, str, os.PathLike[str], None] = None,
        progress: Union[bool, Callable[[MapProgress], object], None] = None,
        executor: Any = None,
        on_error: Literal["yield", "raise", "stop"] = "yield",
        on_interrupt: Literal["cancel", "detach"] = "cancel",
        timeout_each: Optional[float] = None,
        max_outage: Optional[float] = 600.0,
        signal: Optional[AbortSignal] = None,
        key: Optional[Callable[[Any], Any]] = None,
        keep_threads: Union[bool, Literal["failed"], None] = None,
        **options: Unpack[MapOptions],
    ) -> RunMap:
        """Run an assistant once for each of *inputs* and return the results as they come: an iterator of `BatchResult`.

        *inputs* may be any iterable, also an endless one. It is read in the thread that iterates, and no faster than runs end.
        An input is what `wait` takes as ``input``, or a payload such as ``RunsCreatePayload(input=..., metadata=...)``, whose
        fields take precedence over the options. To give an input a key, pass a tuple of the key and the input; or pass *key*, a
        function that returns the key of an input. A key is text, a whole number, a UUID, a date or an enum; results and ledgers
        have its text. The rows of files and DataFrames are read by `read_table`.

        Each run is created once, on a new thread. The thread is deleted afterwards, unless the run waits for a human, or
        *keep_threads* is True, or *keep_threads* is ``"failed"`` and the run failed.

        With *key* and without *ledger*, the keys are the idempotency keys of the runs (see `create`): a map that is started again
        gets the runs of the first one, and other maps with the same keys do too. Then *keep_threads* is True by default, since a
        key is forgotten with its thread. A run that the map cancels is forgotten as well.

        - *concurrency*: the number of runs at the same time, at most. It is reduced while the server refuses requests with 429
          or 503.
        - *ordered*: yield the results in the order of the inputs. At most ``4 * concurrency`` inputs are read ahead of the
          oldest unfinished one.
        - *ledger*: a file, a URL of PostgreSQL, or a `Ledger`. Each input is recorded in it before it is run, and its result
          before its thread is deleted. The same call with the same ledger resumes the map, even if it was killed, and runs
          nothing twice.
        - *progress*: True shows a bar or a line on stderr; a function is called with a `MapProgress` after each result.
        - *executor*: any `concurrent.futures.Executor`, by default threads. It is not shut down.
        - *on_error*: ``"yield"`` yields results that have an ``error`` like the others. ``"raise"`` raises the first error and
          ends the map as *on_interrupt* says. ``"stop"`` starts nothing more after the first error, and yields the results of
          the runs that were started.
        - *on_interrupt*: what happens to the started runs if the map is ended early by Ctrl-C, *signal* or `RunMap.close`:
          ``"cancel"`` cancels them and deletes their threads, ``"detach"`` leaves them to the next map with the same ledger.
        - *timeout_each*: seconds that one input may take. After that its run is cancelled, and its error is a
          `DeadlineExceededError`. Time during which the server refuses requests is not counted.
        - *max_outage*: seconds for which the map waits for a server that cannot be reached, or that refuses everything; None for
          no limit. Meanwhile it starts nothing, and no input fails. It says so once in the log, and in ``MapProgress.waiting_for``.

        Raises `InvalidRequestError` at once, and `LedgerError` if the ledger is for another server, assistant or options. While
        iterating it raises `AbortedError` when *signal* fires or the client is closed, `OutageError` after *max_outage*, whatever
        *inputs* raises, and `LedgerError` if the ledger cannot be written. An error that concerns one input is in its result.
        """
        from ..batch import MapConfig

        config = MapConfig(
            assistant_id=check_id("assistant_id", assistant_id),
            options=options,
            concurrency=concurrency,
            ordered=ordered,
            ledger=ledger,
            progress=progress,
            executor=executor,
            on_error=on_error,
            on_interrupt=on_interrupt,
            timeout_each=timeout_each,
            max_outage=max_outage,
            signal=signal,
            key=key,
            keep_threads=keep_threads,
        )
        return self._map_calls.map(inputs, config)

    def join_all(
        self,
        runs: Iterable[Union[Run, Tuple[str, str]]],
        *,
        concurrency: int = 16,
        ordered: bool = False,
        progress: Union[bool, Callable[[MapProgress], object], None] = None,
        timeout_each: Optional[float] = None,
        max_outage: Optional[float] = 600.0,
        signal: Optional[AbortSignal] = None,
    ) -> RunMap:
        """Wait for runs that exist and return their results as they end: an iterator of `BatchResult` with the run as ``input``.

        *runs* are `Run` objects, as `create_batch` returns them, or pairs of a thread's id and a run's id. Runs that failed are
        results with an ``error``. Ending the iteration early does not affect the runs. *timeout_each* is in seconds, counted
        from when a run is joined; it cancels nothing. *max_outage* is as in `map`.
        """
        from ..batch import MapConfig

        config = MapConfig(
            concurrency=concurrency,
            ordered=ordered,
            progress=progress,
            on_interrupt="detach",
            timeout_each=timeout_each,
            max_outage=max_outage,
            signal=signal,
            keep_threads=True,
        )
        return self._map_calls.join_all(runs, config)

    # -- reading

    @documented(CallOptions)
    def get(self, thread_id: str, run_id: str, **options: Unpack[CallOptions]) -> Run:
        """Return the run as it is now. Raises `NotFoundError` for an unknown run or thread."""
        thread_id, run_id = check_id("thread_id", thread_id), check_id("run_id", run_id)
        with self._call("get", options, thread_id=thread_id, run_id=run_id) as (scope, common):
            return api.get_run(self._transport, scope, thread_id, run_id, common)

    @documented(CallOptions)
    def list(
        self,
        thread_id: str,
        arguments: Optional[ListOptions] = None,
        *,
        limit: int = 10,
        offset: int = 0,
        status: Optional[RunStatus] = None,
        select: Optional[Sequence[str]] = None,
        metadata: Optional[Mapping[str, Any]] = None,
        created_after: Optional[Time] = None,
        created_before: Optional[Time] = None,
        **options: Unpack[CallOptions],
    ) -> List[Run]:
        """Return at most *limit* runs of the thread, newest first, after skipping *offset*.

        The server filters by *status* and *select*; a field that is not selected is None or empty. *metadata* (every pair must
        be equal), *created_after* and *created_before* (aware datetimes, or ISO 8601 text with an offset) are filters of this
        library: pages are requested until *limit* runs match. *arguments* is a dict of any of the options, which those given by
        name supplement. Raises `NotFoundError` for an unknown thread.
        """
        if arguments is not None:
            by_name: Dict[str, Any] = {"limit": None if limit == 10 else limit, "offset": offset or None, "status": status}
            by_name.update(select=select, metadata=metadata, created_after=created_after, created_before=created_before)
            return self.list(thread_id, **merged_arguments("list", ListOptions, arguments, by_name, options))
        check_page(limit, offset)
        filters = Filters.checked(status, select, metadata, created_after, created_before)
        thread_id = check_id("thread_id", thread_id)
        with self._call("list", options, thread_id=thread_id) as (scope, common):
            if not filters.filter_here:
                return list_newest(
                    self._transport, scope, thread_id, filters, common, self._starter.traits, limit=limit, offset=offset
                )
            every = pages(self._transport, scope, thread_id, filters, common, self._starter.traits, page_size=100)
            return list(itertools.islice(filter(filters.match, every), offset, offset + limit))

    @documented(CallOptions)
    def iter(
        self,
        thread_id: str,
        *,
        page_size: int = 100,
        status: Optional[RunStatus] = None,
        select: Optional[Sequence[str]] = None,
        metadata: Optional[Mapping[str, Any]] = None,
        created_after: Optional[Time] = None,
        created_before: Optional[Time] = None,
        **options: Unpack[CallOptions],
    ) -> Iterator[Run]:
        """Yield all runs of the thread, newest first, each once. Pages are requested when they are needed.

        No run appears twice or is left out because others are created or deleted meanwhile; runs that are created after the
        first page do not appear. The filters are those of `list`. *timeout* is for the whole iteration. Raises `NotFoundError`
        for an unknown thread when the first run is requested.
        """
        check_count("page_size", page_size, least=1)
        filters = Filters.checked(status, select, metadata, created_after, created_before)
        parse_call_options("iter", options)  # a wrong option raises now, not when the first run is requested
        return self._iterate(check_id("thread_id", thread_id), filters, options, page_size)

    def _iterate(self, thread_id: str, filters: Filters, options: Mapping[str, Any], page_size: int) -> Iterator[Run]:
        with self._call("iter", options, thread_id=thread_id) as (scope, common):
            yield from filter(
                filters.match,
                pages(self._transport, scope, thread_id, filters, common, self._starter.traits, page_size=page_size),
            )

    # -- ending

    @documented(CallOptions)
    def cancel(
        self,
        thread_id: str,
        run_id: str,
        wait: bool = False,
        action: CancelAction = "interrupt",
        **options: Unpack[CallOptions],
    ) -> None:
        """Cancel a run. With *wait* the call blocks until the run has stopped.

        ``action="rollback"`` deletes the run and undoes its changes. A caller that waits for the run gets `RunCancelledError`,
        or `NotFoundError` after a rollback. Raises `NotFoundError` for a run that is unknown, has ended or was cancelled before:
        the server does not distinguish these.
        """
        check_choice("action", action, get_args(CancelAction))
        thread_id, run_id = check_id("thread_id", thread_id), check_id("run_id", run_id)
        with self._call("cancel", options, thread_id=thread_id, run_id=run_id) as (scope, common):
            api.cancel_run(self._transport, scope, thread_id, run_id, common, wait=wait, until_ended=wait, action=action)

    @documented(CallOptions)
    def cancel_many(
        self,
        *,
        thread_id: Optional[str] = None,
        run_ids: Optional[Sequence[str]] = None,
        status: Optional[Literal["pending", "running", "all"]] = None,
        action: CancelAction = "interrupt",
        **options: Unpack[CallOptions],
    ) -> Optional[List[str]]:
        """Cancel several runs: *run_ids* of one *thread_id*, or all runs **of the server** that have a *status*.

        Return None if the server cancelled the runs with one request: it does not say which of several ids matched. A server that
        cannot do that gets a request for each run, and the ids of the runs that it has cancelled are returned. Raises
        `NotFoundError` if no run matches.
        """
        check_choice("action", action, get_args(CancelAction))
        body: Dict[str, Any]
        if status is not None:
            if thread_id is not None or run_ids is not None:
                raise InvalidRequestError("status excludes thread_id and run_ids: it cancels runs of all threads")
            check_choice("status", status, _BULK_STATUS)
            body = {"status": status}
        else:
            if thread_id is None or run_ids is None:
                raise InvalidRequestError("give thread_id and run_ids together, or status alone")
            if isinstance(run_ids, str) or not run_ids:
                raise InvalidRequestError(f"run_ids={shown(run_ids)}: give a list of ids, not empty")
            body = {
                "thread_id": check_id("thread_id", thread_id),
                "run_ids": [check_id(f"run_ids[{index}]", run_id) for index, run_id in enumerate(run_ids)],
            }
        with self._call("cancel_many", options, thread_id=body.get("thread_id")) as (scope, common):
            return cancel_runs(self._transport, scope, common, selection=body, action=action)

    @documented(CallOptions)
    def delete(self, thread_id: str, run_id: str, **options: Unpack[CallOptions]) -> None:
        """Delete a run and the checkpoints that it wrote. Does not stop a run that is running: cancel it first.

        After its newest run is deleted, a thread is as it was before that run. Raises `NotFoundError` for an unknown run.
        """
        thread_id, run_id = check_id("thread_id", thread_id), check_id("run_id", run_id)
        with self._call("delete", options, thread_id=thread_id, run_id=run_id) as (scope, common):
            api.delete_run(self._transport, scope, thread_id, run_id, common)
