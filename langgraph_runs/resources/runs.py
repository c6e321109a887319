"""``client.runs``: one method for each endpoint of the runs API."""

from __future__ import annotations

import contextlib
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
from ..call import AbortSignal, Scope
from ..errors import DeadlineExceededError, InvalidRequestError
from ..http import CommonOptions, Transport, parse_call_options
from ..models import Run
from ..options import CallOptions, CancelAction, JoinOptions, JoinStreamOptions, MapOptions, ModeOption, StreamMode, documented
from ..runs import JOINING, Filters, check_client_options, pages
from ..streaming import RunStream, StreamEvent, stream_existing_run
from ..validation import check_choice, check_count, check_id
from .run_starts import RunStarts

if TYPE_CHECKING:
    import datetime

    from typing_extensions import Unpack

    from ..batch import Ledger, MapCalls, MapProgress, RunMap
    from ..server_traits import ServerTraits

__all__ = ["RunsClient"]

_BULK_STATUS = ("pending", "running", "all")


class RunsClient(RunStarts):
    """The runs of a server. Got as ``client.runs``; shared by threads.

    Wherever an id is wanted, text or a `uuid.UUID` is taken. Each method takes ``timeout``, ``signal``, ``headers`` and
    ``params`` as well. Each may raise `InvalidRequestError` before anything is sent, `APIConnectionError` when no usable answer
    came, `APIStatusError` when the server refused, and `AbortedError` or `DeadlineExceededError` when the call was ended.
    """

    def __init__(
        self, transport: Transport, knowledge: Optional[ServerTraits] = None, connect: Optional[Callable[[], Any]] = None
    ) -> None:
        super().__init__(transport, knowledge)
        self._knowledge = knowledge
        self._connect = connect

    # -- many

    @functools.cached_property
    def _many(self) -> MapCalls:
        from ..batch import MapCalls  # with the rooms below it, for those who map

        return MapCalls(self._transport, self._knowledge, self._connect)

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
        signal: Optional[AbortSignal] = None,
        key: Optional[Callable[[Any], Any]] = None,
        keep_threads: Union[bool, Literal["failed"]] = False,
        **options: Unpack[MapOptions],
    ) -> RunMap:
        """The results of many runs, one for each of *inputs*, as they come: an iterator of `BatchResult`.

        *inputs* may be any iterable, also an endless one: it is read no faster than runs end, in the thread that iterates. An
        input is what ``wait`` takes as ``input``, or a payload such as ``RunsCreatePayload(input=..., metadata=...)``, whose
        fields go before the options. A tuple of a text and an input is a key and its input; with *key*, a function, keys are made
        from inputs.

        Each run is created once, on a new thread, which is deleted afterwards; unless it waits for a human, or *keep_threads* is
        True, or ``"failed"`` and it did.

        - *concurrency*: so many are in flight at the most, less while the server says that it is too much.
        - *ordered*: results come in the order of the inputs; a slow one holds up the rest when ``4 * concurrency`` are open.
        - *ledger*: a file, or a `Ledger`, in which each input is noted before it is run, and its result before its thread is
          deleted. The same call with the same ledger goes on where it was ended, in whatever way, and runs nothing twice.
        - *progress*: True shows a bar or a line on stderr; a function is called with a `MapProgress` after each result.
        - *executor*: any `concurrent.futures.Executor`; without, threads. It is not shut down.
        - *on_error*: ``"yield"`` gives results with an ``error`` like the others; ``"raise"`` raises the first, and what is in
          flight is ended as *on_interrupt* says; ``"stop"`` begins nothing more after the first, and gives what is in flight.
        - *on_interrupt*: what becomes of what is in flight when the map is ended early, by Ctrl-C, *signal* or close:
          ``"cancel"`` cancels the runs and deletes their threads, ``"detach"`` leaves them to the next map with the same ledger.
        - *timeout_each*: seconds that one input may take; then its run is cancelled, and its error is a `DeadlineExceededError`.

        Raises, at once, `InvalidRequestError`, and `LedgerError` where the ledger is for another server or assistant; while
        iterating, `AbortedError` when *signal* fires, what *inputs* raises, and `LedgerError` when the ledger cannot be written.
        What concerns one input is in its result.
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
            signal=signal,
            key=key,
            keep_threads=keep_threads,
        )
        return self._many.map(inputs, config)

    def join_all(
        self,
        runs: Iterable[Union[Run, Tuple[str, str]]],
        *,
        concurrency: int = 16,
        ordered: bool = False,
        progress: Union[bool, Callable[[MapProgress], object], None] = None,
        timeout_each: Optional[float] = None,
        signal: Optional[AbortSignal] = None,
    ) -> RunMap:
        """How runs that exist end, as they do: an iterator of `BatchResult`, whose ``input`` is the run.

        *runs* are `Run` objects, such as ``create_batch`` returns, or pairs of the thread's and the run's id. Runs that failed are
        results with an ``error``. Ending the iteration early leaves the runs alone. *timeout_each* is in seconds, from when a run
        is joined; it cancels nothing.
        """
        from ..batch import MapConfig

        config = MapConfig(
            concurrency=concurrency,
            ordered=ordered,
            progress=progress,
            on_interrupt="detach",
            timeout_each=timeout_each,
            signal=signal,
            keep_threads=True,
        )
        return self._many.join_all(runs, config)

    # -- looking

    @documented(CallOptions)
    def get(self, thread_id: str, run_id: str, **options: Unpack[CallOptions]) -> Run:
        """The run as it stands now. Raises `NotFoundError` for an unknown run or thread."""
        check_id("thread_id", thread_id), check_id("run_id", run_id)
        with self._scope("get", options, thread_id, run_id) as (scope, common):
            return api.get_run(self._transport, scope, str(thread_id), str(run_id), common)

    @documented(CallOptions)
    def list(
        self,
        thread_id: str,
        *,
        limit: int = 10,
        offset: int = 0,
        status: Optional[str] = None,
        select: Optional[Sequence[str]] = None,
        metadata: Optional[Mapping[str, Any]] = None,
        created_after: Optional[datetime.datetime] = None,
        created_before: Optional[datetime.datetime] = None,
        **options: Unpack[CallOptions],
    ) -> List[Run]:
        """At most *limit* runs of the thread, newest first, after skipping *offset*.

        *status* and *select* are the server's own filters; a field that is not selected is None or empty. *metadata* (every
        pair must be equal), *created_after* and *created_before* (aware datetimes) filter on our side: pages are read until
        *limit* runs match. Raises `NotFoundError` for an unknown thread.
        """
        check_count("limit", limit, least=1)
        check_count("offset", offset, least=0)
        filters = Filters.checked(status, select, metadata, created_after, created_before)
        check_id("thread_id", thread_id)
        with self._scope("list", options, thread_id) as (scope, common):
            if not filters.filter_here:
                return api.list_runs(
                    self._transport,
                    scope,
                    str(thread_id),
                    common,
                    limit=limit,
                    offset=offset,
                    status=filters.status,
                    select=filters.selected,
                )
            every = pages(self._transport, scope, str(thread_id), filters, common, page_size=100)
            return list(itertools.islice(filter(filters.match, every), offset, offset + limit))

    @documented(CallOptions)
    def iter(
        self,
        thread_id: str,
        *,
        page_size: int = 100,
        status: Optional[str] = None,
        select: Optional[Sequence[str]] = None,
        metadata: Optional[Mapping[str, Any]] = None,
        created_after: Optional[datetime.datetime] = None,
        created_before: Optional[datetime.datetime] = None,
        **options: Unpack[CallOptions],
    ) -> Iterator[Run]:
        """All runs of the thread, newest first, each once; pages are fetched as they are needed.

        Runs that are created or deleted meanwhile make no other run appear twice or be left out; those created after the first
        page are not seen. Filters as in `list`. *timeout* is for the whole iteration. Raises `NotFoundError` for an unknown
        thread, at the first run.
        """
        check_count("page_size", page_size, least=1)
        filters = Filters.checked(status, select, metadata, created_after, created_before)
        check_id("thread_id", thread_id)
        common = parse_call_options("iter", options)
        return self._iterate(str(thread_id), filters, common, page_size)

    def _iterate(self, thread_id: str, filters: Filters, common: CommonOptions, page_size: int) -> Iterator[Run]:
        with common.scope(self._transport) as scope:
            scope.note_run(thread_id=thread_id)
            yield from filter(filters.match, pages(self._transport, scope, thread_id, filters, common, page_size=page_size))

    # -- joining

    @documented(JoinOptions)
    def join(self, thread_id: str, run_id: str, **options: Unpack[JoinOptions]) -> Any:
        """The final values of a run that exists, as `wait` gives them; blocks until it has ended.

        The server answers for a run that ended before with the *current* state of its thread. If later runs have changed that,
        the run's own values are fetched from the thread's history; where the server does not tell them, raises `RunError`
        (with ``raise_error=False``: ``exact`` is False and ``values`` None).
        """
        check_id("thread_id", thread_id), check_id("run_id", run_id)
        common = parse_call_options("join", options, JOINING)
        check_client_options(options)
        waiter = self._starter.waiter
        with common.scope(self._transport) as scope:
            try:
                return waiter.give(waiter.join(str(thread_id), str(run_id), scope, common), scope, options)
            except DeadlineExceededError as error:
                waiter.late(error, scope, options)

    @documented(ModeOption, JoinStreamOptions)
    def join_stream(
        self,
        thread_id: str,
        run_id: str,
        *,
        stream_mode: Union[StreamMode, Sequence[StreamMode], None] = None,
        **options: Unpack[JoinStreamOptions],
    ) -> RunStream[StreamEvent]:
        """The events of a run that exists, from now on, or from after *last_event_id* (``"0"``: from its start, if resumable).

        *stream_mode* chooses among the modes that the run was started with; metadata and errors come in any case. Ends as
        `stream` does. Raises `NotFoundError` for an unknown run or thread, at the first event.
        """
        check_id("thread_id", thread_id), check_id("run_id", run_id)
        common = parse_call_options("join_stream", options, JOINING | {"on_gap", "cancel_on_disconnect", "last_event_id"})
        check_client_options(options)
        return stream_existing_run(self._starter, str(thread_id), str(run_id), common, options, stream_mode=stream_mode)

    # -- ending

    @documented(CallOptions)
    def cancel(
        self,
        thread_id: str,
        run_id: str,
        *,
        wait: bool = False,
        action: CancelAction = "interrupt",
        **options: Unpack[CallOptions],
    ) -> None:
        """Cancel a run; *wait* blocks until it has stopped. ``action="rollback"`` deletes the run and undoes its changes.

        Who waits for the run gets `RunCancelledError`, or `NotFoundError` after a rollback. Raises `NotFoundError` for a run
        that is unknown, has ended or was cancelled before (the server does not tell them apart).
        """
        check_choice("action", action, get_args(CancelAction))
        check_id("thread_id", thread_id), check_id("run_id", run_id)
        with self._scope("cancel", options, thread_id, run_id) as (scope, common):
            api.cancel_run(self._transport, scope, str(thread_id), str(run_id), common, wait=wait, action=action)

    @documented(CallOptions)
    def cancel_many(
        self,
        *,
        thread_id: Optional[str] = None,
        run_ids: Optional[Sequence[str]] = None,
        status: Optional[Literal["pending", "running", "all"]] = None,
        action: CancelAction = "interrupt",
        **options: Unpack[CallOptions],
    ) -> None:
        """Cancel several runs: either *run_ids* of one *thread_id*, or all runs **of the server** with a *status*.

        Raises `NotFoundError` when nothing matches; the server does not say which of several ids did.
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
                raise InvalidRequestError(f"run_ids={run_ids!r}: give a list of ids, not empty")
            body = {
                "thread_id": check_id("thread_id", thread_id),
                "run_ids": [check_id(f"run_ids[{index}]", run_id) for index, run_id in enumerate(run_ids)],
            }
        with self._scope("cancel_many", options, thread_id) as (scope, common):
            api.cancel_runs(self._transport, scope, common, selection=body, action=action)

    @documented(CallOptions)
    def delete(self, thread_id: str, run_id: str, **options: Unpack[CallOptions]) -> None:
        """Delete a run. One that is running is not stopped by that: cancel it first.

        The checkpoints that it wrote go with it: without its newest run a thread is as it was before that run. Raises
        `NotFoundError` for an unknown run.
        """
        check_id("thread_id", thread_id), check_id("run_id", run_id)
        with self._scope("delete", options, thread_id, run_id) as (scope, common):
            api.delete_run(self._transport, scope, str(thread_id), str(run_id), common)

    @contextlib.contextmanager
    def _scope(
        self, call: str, options: Mapping[str, Any], thread_id: Any = None, run_id: Any = None
    ) -> Iterator[Tuple[Scope, CommonOptions]]:
        """The limits and the common options of one call about a thread or a run."""
        common = parse_call_options(call, options)
        with common.scope(self._transport) as scope:
            scope.note_run(run_id=run_id and str(run_id), thread_id=thread_id and str(thread_id))
            yield scope, common
