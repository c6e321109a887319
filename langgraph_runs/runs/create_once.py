"""Starting a run once. After a failure that leaves open whether the run exists, the server is asked before anything is sent again.

Each create carries a fresh ``x-request-id``, which the server stores with the run. A run that is found by it is adopted; a run
that is not found after a settling time was not created, and only then is the create sent again.
"""

from __future__ import annotations

import os
import random
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, TypeVar, Union

import attrs

from ..api import runs_path
from ..call import Scope
from ..errors import (
    APIConnectionError,
    APIStatusError,
    ConflictError,
    CreateUncertainError,
    LangGraphRunsError,
    NotFoundError,
    ResponseDecodeError,
)
from ..http import Request, Transport, http_date
from ..models import Run
from ..serialization import decode_body, decode_list
from ..server_traits import ServerTraits

__all__ = ["RecoveredRun", "RunCreator"]

T = TypeVar("T")

#: Field of the metadata that carries the request id on servers that do not store the header.
MARKER = "langgraph_runs_request_id"
#: Seconds after the failure at which the thread's runs are listed; the last one decides.
_LOOKS = (0.0, 0.1, 0.3, 0.8, 1.8)
_PAGE = 20
_PAGES = 25
#: Answers that leave open whether the request was carried out: what stands before the server gave them.
_OPEN = frozenset({502, 503, 504})
#: Seconds by which the clock that dates answers and the one that dates runs may differ.
_SKEW = 2.0

#: Of our own, which nobody's seed() reaches. uuid4 asks the kernel each time, which lets other threads run and has to wait for its
#: turn again; these numbers need to differ, not to be secret.
_numbers = random.Random()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_numbers.seed)


@attrs.frozen
class RecoveredRun:
    """A run that an attempt had created before its answer was lost."""

    run_id: str
    thread_id: Optional[str]
    #: The run itself, where it had to be looked up.
    run: Optional[Run] = None


class _Absent(Exception):
    """The run does not exist."""


class RunCreator:
    """Sends creates of one client, each once."""

    def __init__(self, transport: Transport, knowledge: Optional[ServerTraits] = None) -> None:
        self._transport = transport
        self._knowledge = knowledge if knowledge is not None else ServerTraits()

    def prepare(self, body: Dict[str, Any], headers: Mapping[str, Any]) -> CreateMarker:
        """The request id for one create; may put it into *body*'s metadata."""
        given = next((value for name, value in headers.items() if name.lower() == "x-request-id"), None)
        marked = given is None and self._knowledge.stores_request_id is False
        ticket = CreateMarker(request_id=given or _fresh_id(), ours=given is None, marked=marked)
        if marked:
            body["metadata"] = {**(body.get("metadata") or {}), MARKER: ticket.request_id}
        return ticket

    def once(
        self,
        attempt: Callable[[], T],
        *,
        request: Request,
        thread_id: Optional[str],
        ticket: CreateMarker,
        scope: Scope,
        adopt: bool = True,
    ) -> Union[T, RecoveredRun]:
        """The result of *attempt*, which sends *request*; or, if *adopt*, the run that an attempt had created unseen."""
        transport = self._transport
        sent_again = False
        began = scope.deadline.clock()
        for number in range(1, transport.settings.retry.attempts + 1):
            try:
                result: T = transport.retrying(attempt, request, scope, transport.is_surely_not_executed)
                return result
            except ConflictError:
                # The thread is busy: perhaps with our own run, which came into being after we had given it up.
                found = self._look_once(thread_id, ticket, scope) if sent_again and thread_id else None
                if found is None:
                    raise
                return _adopted(found)
            except (APIConnectionError, APIStatusError) as error:
                if not adopt or not self._is_open(error):
                    raise
                try:
                    return self._find(error, thread_id, ticket, scope, began)
                except _Absent:
                    if number == transport.settings.retry.attempts:
                        raise error from None
                    sent_again = True
        raise AssertionError("not reached")

    def learn(self, run: Run, ticket: CreateMarker) -> None:
        """Note from a created run whether this server stores the request id."""
        if self._knowledge.stores_request_id is None and run.kwargs:
            self._knowledge.stores_request_id = run.request_id == ticket.request_id

    def _is_open(self, error: LangGraphRunsError) -> bool:
        if isinstance(error, APIStatusError):
            return error.status_code in _OPEN and not self._transport.is_surely_not_executed(error)
        if isinstance(error, ResponseDecodeError):
            return False
        return isinstance(error, APIConnectionError) and error.sent is not False

    def _find(
        self, error: LangGraphRunsError, thread_id: Optional[str], ticket: CreateMarker, scope: Scope, began: float
    ) -> RecoveredRun:
        """The run that the failed attempt created; `_Absent` where it surely created none; else an error."""
        scope.check(error)  # a call that is over has no time to look
        if scope.run_id is not None:
            return RecoveredRun(scope.run_id, scope.thread_id)  # the headers had come
        if thread_id is None:
            raise self._uncertain("a stateless run cannot be looked up", error, ticket, scope)
        try:
            for index, moment in enumerate(_LOOKS):
                scope.sleep(moment - _LOOKS[index - 1] if index else 0.0)
                runs, now = self._list(thread_id, ticket, scope)
                found = next((run for run in runs if self._is_ours(run, ticket)), None)
                if found is not None:
                    self.learn(found, ticket)
                    return _adopted(found)
        except LangGraphRunsError as second:
            scope.check(second)
            raise self._uncertain(f"looking it up failed ({second})", error, ticket, scope) from second
        if runs and not self._would_show(runs, ticket, now - (scope.deadline.clock() - began)):
            raise self._uncertain("the server does not say which request created a run", error, ticket, scope)
        raise _Absent

    def look(self, thread_id: Optional[str], ticket: CreateMarker, scope: Scope) -> Optional[Run]:
        """The run of a create that surely worked but whose answer did not tell it; None where it cannot be found."""
        if thread_id is None:
            return None
        try:
            return self._look_once(thread_id, ticket, scope)
        except (APIConnectionError, APIStatusError) as error:
            scope.check(error)
            return None

    def _look_once(self, thread_id: str, ticket: CreateMarker, scope: Scope) -> Optional[Run]:
        runs, _ = self._list(thread_id, ticket, scope)
        return next((run for run in runs if self._is_ours(run, ticket)), None)

    def _list(self, thread_id: str, ticket: CreateMarker, scope: Scope) -> Tuple[List[Run], float]:
        """The thread's runs, newest first, up to the page that has ours, and the server's clock; an unknown thread has none."""
        runs: List[Run] = []
        now = time.time()
        for page in range(_PAGES):
            query = (("limit", _PAGE), ("offset", page * _PAGE))
            request = Request(method="GET", path=runs_path(thread_id), query=query)
            try:
                answer = self._transport.call(request, scope)
                found = decode_list(decode_body(answer.body), Run)
            except NotFoundError:
                break
            now = http_date(answer.headers.get("date", "")) or time.time()
            runs += found
            if len(found) < _PAGE or any(self._is_ours(run, ticket) for run in found):
                break
        return runs, now

    def _is_ours(self, run: Run, ticket: CreateMarker) -> bool:
        return ticket.ours and ticket.request_id in (run.request_id, run.metadata.get(MARKER))

    def _would_show(self, runs: List[Run], ticket: CreateMarker, began: float) -> bool:
        """Whether our run would be recognised if it were among *runs*; *began* is when the create did, on the server's clock."""
        if not ticket.ours:
            return False
        if ticket.marked:
            return True
        if self._knowledge.stores_request_id:
            return all(run.request_id is not None for run in runs)
        # Perhaps the server gives every run an id of its own making: then ours is known only by not being there yet.
        return all(run.created_at is not None and run.created_at.timestamp() < began - _SKEW for run in runs)

    def _uncertain(self, why: str, error: LangGraphRunsError, ticket: CreateMarker, scope: Scope) -> LangGraphRunsError:
        if isinstance(error, APIStatusError):
            return error  # the server's answer says more
        uncertain = CreateUncertainError(
            f"the run may have been created: {error._text}; {why}",
            sent=error.sent if isinstance(error, APIConnectionError) else None,
            request_id=ticket.request_id,
            request=error.request,
        )
        uncertain.__cause__ = error
        return scope.identify(uncertain)


def _fresh_id() -> str:
    digits = f"{_numbers.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"  # a UUID, version 4


def _adopted(run: Run) -> RecoveredRun:
    return RecoveredRun(run.run_id, run.thread_id, run)


@attrs.frozen
class CreateMarker:
    """What tells one create from all others."""

    request_id: str
    #: Whether we made the id; one that the user chose may serve several requests and proves nothing.
    ours: bool
    #: Whether the metadata carry it as well.
    marked: bool = False

    @property
    def headers(self) -> Dict[str, str]:
        """What is sent with the create beside the caller's own headers."""
        return {"x-request-id": self.request_id} if self.ours else {}
