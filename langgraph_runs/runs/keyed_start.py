"""Creates one run for one idempotency key, whichever of several calls, processes and machines begin, break off or die.

Without help of the server, by this protocol. Its steps have the names of the model in ``tests/model/``.

*On the thread that is derived from the key* (no *thread_id* is given):

1. ``take_lock``: create the thread with ``if_exists="raise"``. Of all calls, one succeeds: it holds lock 0 (see `locks`).
2. ``post``: the call that holds the lock posts the run, with ``multitask_strategy="reject"`` and the key in its marker, within
   `HOLD` seconds. If the thread is busy, it lists the runs (``look_at_conflict``). If the server surely did not execute the create,
   it may post again while it holds the lock, else it gives it back (``release``). If the response is lost, it looks the run up
   (``look_up``), and then waits as all others do: the create may still arrive.
3. ``wait_for_run``: a call that finds the thread lists its runs. A run with the key is the result. If there is none, it lists them
   again until the run appears, or the lock was given back, or it has been there for `EXPIRY` seconds (``has_expired``): then the
   call that created it has died, or its request was lost.
4. Then it takes the next lock (a thread of its own), which one of all waiting calls gets, looks again (``look_as_holder``), and
   posts.
5. ``look_again``: a call that has posted lists the runs again, since a proxy may have sent its create twice. Of two runs with the
   key the older one stays. The younger one is cancelled and deleted (``remove_younger``), and its call gets the older one.

So two runs of a key need a create that the server executes later than ``EXPIRY - HOLD`` seconds after it was sent, or a proxy that
sends it twice. While the first run is unfinished, the server's own refusal of a second one stops even that, on servers that have
``multitask_strategy``. A run that comes still later is removed by the call that created it or, if that has ended, by the next call
with the key; until then it may have been executed.

*On a thread that the caller names* there is no lock: ``look``, ``post`` with ``reject``, and if the thread is busy with another
run, ``post_as_given``, with the caller's own strategy; then ``look_again``. Two calls can both create a run if the second one has
looked before the first one posted, and posts after the first run has ended, or while the thread is busy with a run of another key.
Then the younger run may be executed for the time from its post to its removal, which is two requests; if its process dies within
that time, until the next call with the key.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Callable, Generic, Optional, Tuple, TypeVar, Union

from .. import api
from ..call import Execution, Scope, execution_of, is_surely_not_executed, polling_wait
from ..errors import (
    APIConnectionError,
    APIStatusError,
    ConflictError,
    CreateUncertainError,
    LangGraphRunsError,
)
from ..http import Request, Response, Transport
from ..server_traits import ServerTraits
from .idempotency_key import is_replayed
from .key_lookup import KeyLookup
from .locks import Lock, Locks
from .run_lookup import RecoveredRun
from .start import PreparedStart

if TYPE_CHECKING:
    from ..http import ByteStream

__all__ = ["KeyedStart"]

_log = logging.getLogger(__name__)
#: The response to a create: read, or still open.
R = TypeVar("R", "Response", "ByteStream")
#: The highest number of a lock that a call takes.
_MOST_LOCKS = 100
#: How often a lock may exist when it is requested, and not exist a moment later.
_MOST_HIDDEN = 5


class KeyedStart(Generic[R]):
    """One call that creates the run of an idempotency key, or finds it.

    *send* sends a create and, if the response is lost, looks the run up. It gets the request, and whether it may send it again.
    """

    def __init__(
        self,
        transport: Transport,
        traits: ServerTraits,
        start: PreparedStart,
        scope: Scope,
        send: Callable[[Request, bool], Union[R, RecoveredRun]],
        *,
        repeat_refused: bool = True,
    ) -> None:
        assert start.key is not None and start.thread_id is not None
        self._transport = transport
        self._start = start
        self._key = start.key
        self._thread_id = start.thread_id
        self._scope = scope
        self._send: Callable[[Request, bool], Union[R, RecoveredRun]] = send
        options = start.options.headers_only
        derived = start.key.derived
        self._lookup = KeyLookup(transport, traits, start.thread_id, start.marker, options, scope, derived=derived)
        self._locks = Locks(transport, start.key, options, scope)
        self._retrier = transport.retrier(start.request, scope)
        self._repeat_refused = repeat_refused
        #: When the last create was sent whose response was lost, by the clock of the call.
        self._posted: Optional[float] = None

    def run(self) -> Union[R, RecoveredRun]:
        """Return the response to the create, or the run that another call, or an attempt of this one, has created."""
        self._scope.note_run(thread_id=self._thread_id)
        return self._on_derived_thread() if self._key.derived else self._on_given_thread()

    # -- on the derived thread

    def _on_derived_thread(self) -> Union[R, RecoveredRun]:
        number = hidden = 0
        while number <= _MOST_LOCKS and hidden <= _MOST_HIDDEN:
            lock = self._locks.take_lock(number)
            result = None if lock is None else self._post(lock)
            if result is None:
                before = number
                result, number = self._wait_for_run(number)
                hidden = hidden + 1 if number == before else 0
                self._scope.sleep(polling_wait(hidden) if result is None else 0.0)
            if result is not None:
                self._locks.clear()
                return result
        if hidden:
            message = (
                "idempotency_key: the thread of the key exists, and the server does not show it: it may belong to another user; "
                "let the key contain the name of the user"
            )
        else:
            message = "idempotency_key: calls with the key began to create its run, and ended before it was there"
        raise self._scope.identify(CreateUncertainError(message, sent=False, request_id=self._start.marker.request_id))

    def _wait_for_run(self, number: int) -> Tuple[Optional[RecoveredRun], int]:
        """Return the run when it appears, or None and the number of the lock to take, when lock *number* is not held any more."""
        seen, polls = self._locks.now(), 0
        posted, self._posted = self._posted, None
        while True:
            found = self._look()
            if found is not None:
                return found, number
            # The age of the lock is requested once: a call that has little time can take over from one that died long ago.
            state = self._locks.touch(number) if polls == 1 else self._locks.state(number)
            if state is None:
                return None, number  # it was deleted; if it is lock 0, with the thread of the run
            if self._locks.regain(number, state):
                return None, number
            if self._locks.has_expired(state, seen, posted):
                _log.info("%s: the call that holds lock %d has ended, or is late: taking over", self._start.request, number)
                return None, number + 1
            polls += 1
            self._scope.sleep(polling_wait(polls))

    def _post(self, lock: Lock) -> Union[R, RecoveredRun, None]:
        """Post the run while this call holds *lock*, and return the result; None if the lock is not held any more."""
        if lock.number > 0 or not lock.proven:
            found = self._look()
            if found is not None:
                return found
        while self._locks.may_send(lock):
            posted = self._locks.now()
            try:
                result = self._send(self._start.request, False)
            except ConflictError:
                found = self._look()
                if found is None:
                    self._locks.release(lock)
                    raise
                return found
            except (APIConnectionError, APIStatusError) as error:
                if not self._may_repeat(error, lock):
                    self._posted = None if is_surely_not_executed(error) else posted
                    return None
            else:
                return self._look_again(result)  # its own errors are no failures of the create
        self._locks.release(lock)
        return None

    def _may_repeat(self, error: LangGraphRunsError, lock: Lock) -> bool:
        """Return True if the create may be sent again with *lock*, False if only with the next one. Raise *error* if it is final.

        Waits as the retry policy says. If the server surely did not execute the create, and it is not sent again with the lock,
        the lock is given back.
        """
        try:
            execution = execution_of(error)
            if execution is Execution.EXECUTED or isinstance(error, CreateUncertainError):
                raise error
            if execution is Execution.UNKNOWN:
                if self._retrier.next_wait(error, seconds=0.0, repeatable=True) is None:
                    raise error
                return False  # the run was not found, but the create may still arrive
            seconds = self._retrier.next_wait(error) if self._repeat_refused else None
            keeps = seconds is not None and self._locks.may_send(lock, seconds)
            if not keeps:
                self._locks.release(lock)
            if seconds is None:
                raise error
            self._scope.sleep(seconds)
            return keeps
        finally:
            del error  # this frame is in the traceback of the error

    # -- on a given thread

    def _on_given_thread(self) -> Union[R, RecoveredRun]:
        found = self._look()
        if found is not None:
            return found
        try:
            result = self._send(self._start.request, True)
        except ConflictError:
            found = self._look()
            if found is not None:
                return found
            if self._start.request_as_given is None:
                raise
            # The thread is busy with another run.
            result = self._send(self._start.request_as_given, True)
        return self._look_again(result)

    # -- on both

    def _look(self, own: Optional[str] = None) -> Optional[RecoveredRun]:
        """Return the run of the key; None if there is evidence that there is none. Raise if it has other arguments.

        *own* is the run that this call has just created. It is removed if it is not the oldest one.
        """
        row = self._lookup.look(own)
        if row is None:
            return None
        self._key.check(row)
        return RecoveredRun(row.run.run_id, row.run.thread_id or self._thread_id, row.run, not self._start.marker.is_own(row))

    def _look_again(self, result: Union[R, RecoveredRun]) -> Union[R, RecoveredRun]:
        """Return *result* if its run is the oldest one of the key; else remove its run, and return the oldest one."""
        if isinstance(result, RecoveredRun):
            return self._look() or result
        if is_replayed(result.headers):
            return result
        own = api.ids_from(result.headers).run_id
        try:
            found = self._look(own)
        except BaseException as error:
            self._close(result)
            self._scope.note_run(run_id=own)  # it exists; the next call with the key looks again
            if isinstance(error, LangGraphRunsError):
                self._scope.identify(error)
            raise
        if found is None or found.run_id == own or (own is None and not found.replayed):
            return result
        self._close(result)
        return found

    def _close(self, result: Union[Response, ByteStream]) -> None:
        if not isinstance(result, Response):
            result.close()
