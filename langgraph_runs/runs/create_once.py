"""Starts a run once. After a failure that leaves open whether the run exists, looks it up before the create is sent again.

Each create writes a marker of its own into the metadata of its run. If a run with the marker is found, it is the result. If none
is found until the last listing (`_LOOKUPS`), the run was not created, and the create is sent again.
"""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Tuple, Union

import attrs

from .. import api
from ..call import Execution, Retrier, Scope, at_moments, execution_of
from ..errors import (
    APIConnectionError,
    APIStatusError,
    ConflictError,
    CreateUncertainError,
    LangGraphRunsError,
    NotFoundError,
)
from ..http import Request, Response, Transport
from ..markers import BATCH_ITEM, MARKER
from ..models import Run
from ..server_traits import ServerTraits

if TYPE_CHECKING:
    from ..http import ByteStream

__all__ = ["RecoveredRun", "RequestMarker", "RunCreator"]

#: Seconds after the failure at which the thread's runs are listed; the last listing decides.
_LOOKUPS = (0.0, 0.1, 0.3, 0.8, 1.8)
_PAGE = 20
_PAGES = 25
#: Seconds by which the clock of the ``Date`` header and the clock of ``created_at`` may differ.
_SKEW = 2.0

#: A generator for each process, by its id, seeded by the kernel. Servers such as uWSGI fork without calling the functions of
#: ``os.register_at_fork``, so that the id is compared at each use. ``random.seed()`` in the program has no effect on it. uuid.uuid4
#: would read from the kernel each time and release the interpreter lock. The ids have to be distinct; they need not be secret.
_generators: Dict[int, random.Random] = {}


@attrs.frozen
class RequestMarker:
    """What distinguishes one create from all others: a value in the metadata of its run."""

    #: The value in the metadata.
    value: str
    #: The ``x-request-id`` of the create: the caller's, else one that the library made. Gateways change it, and not every server
    #: stores it, so that its absence proves nothing.
    request_id: str
    #: True if the library made the request id. The caller may use an id of its own for several requests.
    made_here: bool

    @classmethod
    def new(cls, headers: Mapping[str, Any]) -> RequestMarker:
        """Return a new marker for a create with the caller's *headers*."""
        given = next((value for name, value in headers.items() if name.lower() == "x-request-id"), None)
        fresh = _fresh_id()
        return cls(fresh if given is None else f"{given} {fresh}", given or fresh, given is None)

    @property
    def headers(self) -> Dict[str, str]:
        """The headers to send with the create, in addition to the caller's own."""
        return {"x-request-id": self.request_id} if self.made_here else {}

    def write_to(self, body: Dict[str, Any], *, item: Optional[int] = None, in_config: bool = False) -> None:
        """Write the marker into the body of a create: into ``metadata`` and, with *in_config*, into ``config.metadata``.

        *item* is the position of a run in a batch. An object that is no mapping is left as it is: the server refuses it.
        """
        own: Dict[str, Any] = {MARKER: self.value} if item is None else {MARKER: self.value, BATCH_ITEM: item}
        _merge(body, "metadata", own)
        if in_config and isinstance(body.get("config", {}), (dict, Mapping)):
            config = dict(body.get("config", {}))
            _merge(config, "metadata", own)
            body["config"] = config

    def is_on(self, row: api.MarkedRun) -> bool:
        """Return True if the run was created by the request with this marker."""
        return row.marker == self.value or (self.made_here and row.run.request_id == self.request_id)


@attrs.frozen
class RecoveredRun:
    """A run that an attempt had created before its response was lost."""

    run_id: str
    thread_id: Optional[str]
    #: The run itself, if it was looked up; None if only its ids are known.
    run: Optional[Run] = None


class RunCreator:
    """Sends the creates of one client, each once."""

    def __init__(self, transport: Transport, traits: Optional[ServerTraits] = None, *, repeat_refused: bool = True) -> None:
        self._transport = transport
        self._traits = traits if traits is not None else ServerTraits()
        #: False if the caller itself repeats creates that were surely not executed, as a map does.
        self.repeat_refused = repeat_refused

    def mark(self, body: Dict[str, Any], headers: Mapping[str, Any]) -> RequestMarker:
        """Return the marker for one create, and write it into the metadata of *body*."""
        marker = RequestMarker.new(headers)
        marker.write_to(body, in_config=self.marks_config)
        return marker

    @property
    def marks_config(self) -> bool:
        """True if creates must carry their marker in ``config.metadata`` too, since the server may not keep ``metadata``."""
        return not self._traits.keeps_run_metadata

    def open_once(
        self,
        request: Request,
        scope: Scope,
        *,
        thread_id: Optional[str],
        marker: RequestMarker,
        recover: bool = True,
        own_thread: bool = False,
    ) -> Union[ByteStream, RecoveredRun]:
        """Return the open response to a create. With *recover*, a run whose response was lost is looked up and returned instead.

        *own_thread* says that no other call creates runs on the thread, and that the request has ``multitask_strategy="reject"``.
        """
        creation = _Creation(self, request, scope, thread_id, marker, recover, own_thread)
        return self._transport.logged(creation.open, request, scope)

    def send_once(
        self,
        request: Request,
        scope: Scope,
        *,
        thread_id: Optional[str],
        marker: RequestMarker,
        recover: bool = True,
        own_thread: bool = False,
        on_headers: Optional[Callable[[Mapping[str, str]], None]] = None,
    ) -> Union[Response, RecoveredRun]:
        """Return the whole response to a create; otherwise as `open_once`.

        *on_headers* is called with the headers of a success, before the body is read. Its exceptions reach the caller, and the
        create is not repeated.
        """
        creation = _Creation(self, request, scope, thread_id, marker, recover, own_thread)
        return self._transport.logged(lambda: creation.send(on_headers), request, scope)

    def note_created(self, created: api.MarkedRun, marker: RequestMarker) -> None:
        """Note from a created run what this server keeps of the marker."""
        traits = self._traits
        if traits.shows_marker is None or traits.keeps_run_metadata is None:
            traits.shows_marker = created.marker == marker.value
            traits.keeps_run_metadata = created.in_metadata

    def find(self, thread_id: Optional[str], marker: RequestMarker, scope: Scope) -> Optional[Run]:
        """Return the run of a create that succeeded, and whose response did not name the run; None if it cannot be found."""
        if thread_id is None:
            return None
        try:
            return self.look_up(thread_id, marker, scope)[0]
        except (APIConnectionError, APIStatusError) as error:
            scope.check(error)
            return None

    def look_up(
        self, thread_id: str, marker: RequestMarker, scope: Scope
    ) -> Tuple[Optional[Run], List[api.MarkedRun], Optional[float]]:
        """Return the run with this marker or None, all runs that were listed, and the server's time in seconds since 1970."""
        rows: List[api.MarkedRun] = []
        now: Optional[float] = None
        for page in range(_PAGES):
            try:
                listed = api.list_marked_runs(self._transport, scope, thread_id, limit=_PAGE, offset=page * _PAGE)
            except NotFoundError:
                break  # the thread does not exist, so it has no runs
            now = listed.server_time
            rows += listed.rows
            found = next((row for row in listed.rows if marker.is_on(row)), None)
            if found is not None:
                self.note_created(found, marker)
                return found.run, rows, now
            if len(listed.rows) < _PAGE:
                break
        return None, rows, now

    def would_recognise(self, rows: List[api.MarkedRun], began: float) -> bool:
        """Return True if the run of a create would be recognised among *rows*, by its marker or by its age.

        *began* is the server's time when the create began, in seconds since 1970.
        """
        if self._traits.shows_marker:
            return True
        return all(
            row.marker is not None or (row.run.created_at is not None and row.run.created_at.timestamp() < began - _SKEW)
            for row in rows
        )


class _Creation:
    """One create, with all its attempts."""

    def __init__(
        self,
        creator: RunCreator,
        request: Request,
        scope: Scope,
        thread_id: Optional[str],
        marker: RequestMarker,
        recover: bool,
        own_thread: bool,
    ) -> None:
        self._creator = creator
        self._transport = creator._transport
        self._request = request
        self._scope = scope
        self._thread_id = thread_id
        self._marker = marker
        self._recover = recover
        self._own_thread = own_thread
        self._began = scope.deadline.clock()
        self._sent = 0
        #: True if an attempt may have created the run after its thread was last listed.
        self._may_exist = False
        self._retrier: Retrier = self._transport.retrier(request, scope)

    def open(self) -> Union[ByteStream, RecoveredRun]:
        while True:
            try:
                return self._open_attempt()
            except (APIConnectionError, APIStatusError) as error:
                recovered = self._after_failure(error)
            if recovered is not None:
                return recovered

    def send(self, on_headers: Optional[Callable[[Mapping[str, str]], None]]) -> Union[Response, RecoveredRun]:
        while True:
            opened = self.open()
            if isinstance(opened, RecoveredRun):
                return opened
            try:
                with opened as stream:
                    if on_headers is not None:
                        on_headers(stream.headers)
                    return self._transport.read(stream)
            except (APIConnectionError, APIStatusError) as error:
                recovered = self._after_failure(error)  # when the broken response is closed, since a look-up may take seconds
            if recovered is not None:
                return recovered

    def _open_attempt(self) -> ByteStream:
        self._sent += 1
        stream = self._transport.open(self._request, self._scope)
        self._retrier.budget.succeeded()
        return stream

    def _after_failure(self, error: LangGraphRunsError) -> Optional[RecoveredRun]:
        """Return the run that a failed attempt has created, or None if the create must be sent again. Raise if that is unknown."""
        try:
            if isinstance(error, ConflictError) and self._thread_id is not None and self._may_exist:
                # The thread is busy, perhaps with the wanted run: an earlier attempt may have created it late.
                found, _, _ = self._look_up(self._thread_id)
                if found is None:
                    raise error
                return _recovered(found)
            execution = execution_of(error)
            if execution is Execution.NOT_EXECUTED:
                seconds = self._retrier.next_wait(error) if self._creator.repeat_refused else None
                if seconds is None:
                    raise error
                self._scope.sleep(seconds)
                return None
            if execution is Execution.EXECUTED or not self._recover:
                raise error
            self._may_exist = True
            recovered = self._find(error)
            if recovered is None and self._retrier.next_wait(error, seconds=0.0, repeatable=True) is None:
                raise error
            return recovered
        finally:
            del error  # this frame is in the traceback of the error

    def _find(self, error: LangGraphRunsError) -> Optional[RecoveredRun]:
        """Return the run that the failed attempt has created, or None if it surely created none. Raise if that is unknown."""
        try:
            scope, thread_id = self._scope, self._thread_id
            scope.check(error)  # raises if the call has no time left for a look-up
            if scope.run_id is not None:
                return RecoveredRun(scope.run_id, scope.thread_id)  # the headers of the lost response named the run
            if thread_id is None:
                raise self._uncertain("a stateless run cannot be looked up", error)
            try:
                for _ in at_moments(scope, _LOOKUPS):
                    found, rows, now = self._look_up(thread_id)
                    if found is not None:
                        return _recovered(found)
            except LangGraphRunsError as second:
                scope.check(second)
                raise self._uncertain(f"looking it up failed ({second})", error) from second
            began = (now or time.time()) - (scope.deadline.clock() - self._began)
            if not self._creator.would_recognise(rows, began):
                raise self._uncertain("the server does not say which request created a run", error)
            return None
        finally:
            del error  # as in `_after_failure`

    def _look_up(self, thread_id: str) -> Tuple[Optional[Run], List[api.MarkedRun], Optional[float]]:
        try:
            return self._creator.look_up(thread_id, self._marker, self._scope)
        finally:
            self._scope.attempts = self._sent  # the requests for the list have counted theirs

    def _uncertain(self, why: str, error: LangGraphRunsError) -> LangGraphRunsError:
        if isinstance(error, APIStatusError):
            return error  # an error with a status is more precise
        uncertain = CreateUncertainError(
            f"the run may have been created: {error._text}; {why}",
            sent=error.sent if isinstance(error, APIConnectionError) else None,
            request_id=self._marker.request_id,
            request=error.request,
        )
        uncertain.__cause__ = error
        return self._scope.identify(uncertain)


def _merge(body: Dict[str, Any], name: str, fields: Mapping[str, Any]) -> None:
    given = body.get(name) or {}
    if isinstance(given, (dict, Mapping)):
        body[name] = {**given, **fields}


def _fresh_id() -> str:
    pid = os.getpid()
    numbers = _generators.get(pid)
    if numbers is None:
        _generators.clear()  # those of processes that this one was forked from
        numbers = _generators.setdefault(pid, random.Random())
    digits = f"{numbers.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"  # a UUID, version 4


def _recovered(run: Run) -> RecoveredRun:
    return RecoveredRun(run.run_id, run.thread_id, run)
