"""Starts a run once. After a failure that leaves open whether the run exists, looks it up before the create is sent again.

Each create writes a marker of its own into its body. If a run with the marker is found, it is the result. The create is sent again
only if a look-up has shown, at the end of the settling time (`_MOMENTS`), that the run does not exist.

After a timeout no look-up can show that: the server may execute the create later. On a thread that only this create uses, the
server's own refusal of a second run can (see `ServerTraits.keeps_strategy`). Else the call raises `CreateUncertainError`.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Optional, Union

from ..call import Execution, Retrier, Scope, at_moments, execution_of, has_api_shape, is_refusal, is_timeout
from ..errors import (
    APIConnectionError,
    APIStatusError,
    ConflictError,
    CreateUncertainError,
    LangGraphRunsError,
    UnprocessableEntityError,
)
from ..http import CommonOptions, Request, Response, Transport
from ..models import Run
from ..server_traits import ServerTraits
from .idempotency_key import IdempotencyKey
from .request_marker import RequestMarker
from .run_lookup import RecoveredRun, RunLookup, StatelessLookup

if TYPE_CHECKING:
    from ..http import ByteStream

__all__ = ["SETTLING", "RunCreator", "uncertain_error"]

#: Seconds after the failure at which the run is looked up; the last look-up decides.
SETTLING = (0.0, 0.1, 0.3, 0.8, 1.8)
#: The same after a timeout, when a look-up can only find the run.
_SETTLING_AFTER_TIMEOUT = (0.0, 0.1, 0.3, 0.8, 1.8, 4.0)


class RunCreator:
    """Sends the creates of one client, each once."""

    def __init__(self, transport: Transport, traits: Optional[ServerTraits] = None, *, repeat_refused: bool = True) -> None:
        self._transport = transport
        self.traits = traits if traits is not None else ServerTraits()
        #: False if the caller itself repeats creates that were refused, or surely not executed, as a map does.
        self.repeat_refused = repeat_refused

    def mark(self, body: Dict[str, Any], headers: Mapping[str, Any], key: Optional[IdempotencyKey] = None) -> RequestMarker:
        """Return the marker for one create, and write it into the metadata of *body*."""
        marker = RequestMarker.new(headers, key)
        marker.write_to(body, in_config=self.marks_config)
        return marker

    @property
    def marks_config(self) -> bool:
        """True if creates must carry their marker in ``config.metadata`` too, since the server may not keep ``metadata``."""
        return not self.traits.keeps_run_metadata

    def open_once(
        self,
        request: Request,
        scope: Scope,
        *,
        thread_id: Optional[str],
        marker: RequestMarker,
        recover: bool = True,
        own_thread: bool = False,
        repeats: bool = True,
    ) -> Union[ByteStream, RecoveredRun]:
        """Return the open response to a create. With *recover*, a run whose response was lost is looked up and returned instead.

        *own_thread* says that no other call creates runs on the thread, and that the request has ``multitask_strategy="reject"``.
        Without *repeats*, the create is sent once: the error of the attempt is raised where it would be sent again.
        """
        creation = _Creation(self, request, scope, thread_id, marker, recover, own_thread, repeats)
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
        repeats: bool = True,
        on_headers: Optional[Callable[[Mapping[str, str]], None]] = None,
    ) -> Union[Response, RecoveredRun]:
        """Return the whole response to a create; otherwise as `open_once`.

        *on_headers* is called with the headers of a success, before the body is read. Its exceptions reach the caller, and the
        create is not repeated.
        """
        creation = _Creation(self, request, scope, thread_id, marker, recover, own_thread, repeats)
        return self._transport.logged(lambda: creation.send(on_headers), request, scope)

    def find(self, thread_id: Optional[str], marker: RequestMarker, scope: Scope) -> Optional[Run]:
        """Return the run of a create that succeeded, and whose response did not name the run; None if it cannot be found."""
        if thread_id is None:
            return None
        return scope.unless_failed(lambda: RunLookup(self._transport, self.traits, thread_id, marker).find(scope), None)


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
        repeats: bool,
    ) -> None:
        self._creator = creator
        self._transport = creator._transport
        self._request = request
        self._scope = scope
        self._marker = marker
        self._recover = recover
        self._own_thread = own_thread
        self._repeats = repeats
        self._sent = 0
        #: True if an attempt may have created the run.
        self._may_exist = False
        #: True if an attempt may still be executed, although the create is sent again.
        self._may_still_arrive = False
        self._thread_id = thread_id
        self._began = scope.deadline.clock()
        self._retrier: Retrier = self._transport.retrier(request, scope)

    @functools.cached_property
    def _lookup(self) -> Union[RunLookup, StatelessLookup]:
        """The search for the run, which most creates do without."""
        options, traits = _caller_headers(self._request), self._creator.traits
        if self._thread_id is None:
            return StatelessLookup(self._transport, traits, self._marker, options)
        return RunLookup(self._transport, traits, self._thread_id, self._marker, options, began=self._began)

    def open(self) -> Union[ByteStream, RecoveredRun]:
        while True:
            try:
                return self._open_attempt()
            except (APIConnectionError, APIStatusError) as error:
                failure = error
            try:
                # Not within the block above: what fails in a look-up would have the first error as its context.
                recovered = self._after_failure(failure)
            finally:
                del failure  # this frame is in the traceback of the error
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
                failure = error
            try:
                recovered = self._after_failure(failure)  # when the broken response is closed, since a look-up may take seconds
            finally:
                del failure
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
            copied = self._own_thread and self._repeats and self._creator.repeat_refused and isinstance(error, ConflictError)
            if copied or (self._may_exist and isinstance(error, (ConflictError, UnprocessableEntityError))):
                # The thread is busy, perhaps with the wanted run: an earlier attempt may have created it late, or a proxy has sent
                # this one twice, and only it creates runs on the thread.
                return self._run_in_the_way(error)
            execution = execution_of(error)
            if execution is Execution.NOT_EXECUTED:
                seconds = self._retrier.next_wait(error) if self._repeats and self._creator.repeat_refused else None
                if seconds is None:
                    raise self._final(error)
                self._scope.sleep(seconds)
                return None
            if execution is Execution.EXECUTED or not self._recover:
                raise error
            if is_refusal(error) and not self._creator.repeat_refused:
                raise self._final(error)  # the caller looks the run up before it sends the create again
            self._may_exist = True
            recovered = self._find(error)
            if recovered is None and not self._repeats:
                raise self._final(error)
            if recovered is None and self._retrier.next_wait(error, seconds=0.0, repeatable=True) is None:
                raise self._final(error)
            return recovered
        finally:
            del error  # this frame is in the traceback of the error

    def _run_in_the_way(self, error: LangGraphRunsError) -> RecoveredRun:
        """Return the run of an earlier attempt, because of which the server has refused another one. Raise if it is not found."""
        try:
            for _ in at_moments(self._scope, SETTLING if self._may_still_arrive else SETTLING[:1]):
                found = self._look_up(thorough=False)
                if found is not None:
                    return _recovered(found)
            raise self._final(error)
        finally:
            del error

    def _find(self, error: LangGraphRunsError) -> Optional[RecoveredRun]:
        """Return the run that the failed attempt has created, or None if the create may be sent again. Raise if that is unknown."""
        try:
            scope = self._scope
            scope.check(error)  # raises if the call has no time left for a look-up
            if scope.run_id is not None:
                return RecoveredRun(scope.run_id, scope.thread_id)  # the headers of the lost response named the run
            if isinstance(self._lookup, StatelessLookup) and isinstance(error, APIStatusError) and has_api_shape(error):
                raise error  # the API's own: a stateless run can only be found while it is active
            timed_out = is_timeout(error)
            may_repeat = not timed_out or (self._own_thread and self._creator.traits.keeps_strategy is True)
            moments = SETTLING if may_repeat else _SETTLING_AFTER_TIMEOUT
            try:
                for number, _ in enumerate(at_moments(scope, moments), 1):
                    found = self._look_up(thorough=may_repeat and number == len(moments))
                    if found is not None:
                        return _recovered(found)
            except LangGraphRunsError as second:
                scope.check(second)
                raise self._uncertain(f"looking it up failed ({second})", error) from second
            if not may_repeat:
                raise self._uncertain("the server may still execute it after the timeout", error, may_still_arrive=True)
            if self._lookup.problem is not None:
                raise self._uncertain(self._lookup.problem, error)
            self._may_still_arrive = self._may_still_arrive or timed_out
            return None
        finally:
            del error  # as in `_after_failure`

    def _look_up(self, *, thorough: bool) -> Optional[Run]:
        try:
            return self._lookup.find(self._scope, thorough=thorough)
        finally:
            self._scope.attempts = self._sent  # the requests of the look-up have counted theirs

    def _final(self, error: LangGraphRunsError) -> LangGraphRunsError:
        """Return the error of the whole create, of which *error* is the last attempt's."""
        if not self._may_still_arrive:
            return error
        return self._uncertain("an earlier attempt may still be executed", error, may_still_arrive=True)

    def _uncertain(self, why: str, error: LangGraphRunsError, *, may_still_arrive: bool = False) -> LangGraphRunsError:
        return uncertain_error(why, error, self._marker, self._scope, may_still_arrive=may_still_arrive)


def uncertain_error(
    why: str,
    error: LangGraphRunsError,
    marker: RequestMarker,
    scope: Scope,
    *,
    what: str = "the run",
    may_still_arrive: bool = False,
) -> LangGraphRunsError:
    """Return the error for a create that failed with *error*, where it is unknown, for the reason *why*, whether it was executed.

    A status that the API itself has sent is returned as it is, since it is more precise.
    """
    if isinstance(error, APIStatusError) and has_api_shape(error):
        return error
    uncertain = CreateUncertainError(
        f"{what} may have been created: {error._text}; {why}",
        sent=error.sent if isinstance(error, APIConnectionError) else None,
        request_id=marker.request_id,
        may_still_arrive=may_still_arrive,
        request=error.request,
    )
    uncertain.__cause__ = error
    scope.identify(uncertain)
    return uncertain


def _caller_headers(request: Request) -> CommonOptions:
    """Return the options for a look-up: the caller's own headers, which may hold credentials, and not those of the create."""
    headers = {name: value for name, value in request.headers.items() if name.lower() != "x-request-id"}
    return CommonOptions(..., None, headers, [])


def _recovered(found: Run) -> RecoveredRun:
    return RecoveredRun(found.run_id, found.thread_id, found)
