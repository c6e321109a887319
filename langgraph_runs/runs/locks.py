"""The locks of an idempotency key: threads that only one call can create.

Lock 0 is the thread of the run itself. A call that creates a lock holds it for `HOLD` seconds: so long it may send the request that
creates the run. The next lock may be created when the last one was given back, or when it has been there for `EXPIRY` seconds. So
two creates are never sent within ``EXPIRY - HOLD`` seconds of each other, unless the server surely did not execute the first one.

Evidence that this call has created a lock: the server's response to its request has the token of the call, or the server refuses
a thread that exists, and has accepted this one. Every other response means that another call may have created it.
"""

from __future__ import annotations

import contextlib
import functools
import uuid
from typing import Callable, List, Optional

import attrs

from .. import api
from ..call import Scope, states_absence
from ..errors import (
    BadRequestError,
    ConflictError,
    InternalServerError,
    LangGraphRunsError,
    NotFoundError,
    UnprocessableEntityError,
)
from ..http import CommonOptions, Transport
from .idempotency_key import IdempotencyKey

__all__ = ["EXPIRY", "HOLD", "Lock", "Locks"]

#: Seconds during which the call that has created a lock may send its create, counted from before the lock was requested.
HOLD = 5.0
#: Seconds after which another call may create the next lock, counted from when it has first seen the last one.
EXPIRY = 10.0


@attrs.frozen
class Lock:
    """A lock that this call has created."""

    number: int
    #: The time of `Deadline.clock` before it was requested.
    since: float
    #: True if there is evidence that no other call created it.
    proven: bool


class Locks:
    """The locks of one key, as one call sees them."""

    def __init__(self, transport: Transport, key: IdempotencyKey, options: CommonOptions, scope: Scope) -> None:
        self._transport = transport
        self._key = key
        self._options = options
        self._scope = scope
        self._created: List[int] = []
        # The last lock that the server has refused, as if another call had created it.
        self._refused_lock: Optional[Lock] = None
        self._refused_token = ""
        self._regained = False

    def now(self) -> float:
        """Return the time of the clock of the call."""
        return self._scope.deadline.clock()

    def take_lock(self, number: int) -> Optional[Lock]:
        """Create lock *number* and return it; None if another call has created it, or may have."""
        if self._regained:
            self._regained = False
            return self._refused_lock
        thread_id, token, since = self._key.lock_id(number), str(uuid.uuid4()), self.now()
        try:
            state: Optional[api.LockState] = api.create_lock(self._transport, self._scope, thread_id, self._options, token=token)
        except ConflictError:
            if not self._scope.may_have_been_executed:
                self._refused_lock, self._refused_token = Lock(number, since, proven=True), token
                return None
            state = self.state(number)  # an earlier attempt may have created it
            if state is not None and state.token is None:
                return None
        except (BadRequestError, UnprocessableEntityError, InternalServerError) as error:
            state = self._refused(number, error)
        if state is None or state.token not in (token, None):
            return None
        if number > 0:
            self._created.append(number)
        return Lock(number, since, proven=state.token == token)

    def regain(self, number: int, state: api.LockState) -> bool:
        """Return True if this call has created lock *number* after all: a proxy has sent its request twice. Then take it again."""
        refused = self._refused_lock
        self._regained = refused is not None and refused.number == number and state.token == self._refused_token
        return self._regained

    def _refused(self, number: int, error: LangGraphRunsError) -> api.LockState:
        """Return the lock that exists, because of which the server has refused another one; raise *error* if there is none."""
        state = self.state(number)
        if state is None:
            raise error
        return state._replace(token=state.token or "")

    def state(self, number: int) -> Optional[api.LockState]:
        """Return lock *number* as it is now; None if the server says that there is none."""
        return self._state(functools.partial(api.get_lock, self._transport, self._scope, self._key.lock_id(number), self._options))

    def touch(self, number: int) -> Optional[api.LockState]:
        """Return lock *number* with its age by the server's clock; None if the server says that there is none.

        The clocks of this machine and of the server are not compared: one may be wrong, and a server may show times of another
        zone. But two times of the server's own clock show how long ago the lock was created.
        """
        token, lock_id = str(uuid.uuid4()), self._key.lock_id(number)
        return self._state(functools.partial(api.touch_lock, self._transport, self._scope, lock_id, self._options, token=token))

    def _state(self, request: Callable[[], api.LockState]) -> Optional[api.LockState]:
        try:
            return request()
        except NotFoundError as error:
            if not states_absence(error):
                raise
            return None

    def may_send(self, lock: Lock, seconds: float = 0.0) -> bool:
        """Return True if the call still holds *lock* in *seconds* from now, so that it may send its create then."""
        return self.now() + seconds < lock.since + HOLD

    def has_expired(self, state: api.LockState, seen: float, posted: Optional[float] = None) -> bool:
        """Return True if the next lock may be created; *seen* is when this call has first seen this one.

        *posted* is when this call itself has sent its create, if it holds the lock: the create is not executed any more.
        """
        if state.released or self.now() >= seen + EXPIRY or (posted is not None and self.now() >= posted + EXPIRY - HOLD):
            return True
        return state.age >= EXPIRY

    def release(self, lock: Lock) -> None:
        """Say that this call will not send its create while it holds *lock*, so that others need not wait for that."""
        with contextlib.suppress(LangGraphRunsError):  # the call ends with an error of its own, and the lock expires
            api.release_lock(self._transport, self._scope, self._key.lock_id(lock.number), self._options)

    def clear(self) -> None:
        """Delete the locks that this call has created, beside the thread of the run. For a call that has seen the run there."""
        while self._created:
            thread_id = self._key.lock_id(self._created.pop())
            self._scope.unless_failed(
                functools.partial(api.delete_thread, self._transport, self._scope, thread_id, self._options), None
            )
