"""One request and its response: limits, retries, typed errors, log lines. Knows HTTP, not what the bodies mean.

The module `session`, which sends the requests, and requests are imported when the first client is made, not with this package.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
import urllib.parse
import weakref
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Optional, Protocol, Sequence, Set, Tuple, TypeVar, Union

import attrs

from .._late_imports import import_all
from .._version import __version__
from ..call import (
    AbortSignal,
    Deadline,
    Retrier,
    RetryBudget,
    Scope,
    is_surely_not_executed,
    is_transient,
    raise_foreign,
    user_code,
)
from ..errors import (
    APIConnectionError,
    InvalidRequestError,
    LangGraphRunsError,
    RequestInfo,
    status_error,
)
from ..serialization import parse
from ..validation import check_headers
from .exchange import Exchange
from .headers import error_text, retry_after, split_login
from .settings import Settings

if TYPE_CHECKING:
    from .body import ByteStream
    from .session import Connector

__all__ = ["Pacer", "Request", "Response", "Transport"]

T = TypeVar("T")
_log = logging.getLogger(__name__)

#: The maximum number of bytes that are read of the body of an error.
_ERROR_BODY = 1 << 20
#: Seconds after which an idle connection is not used again: the server closes it after 5, perhaps while a request is on its way.
_IDLE = 4.0
#: The same for creates, for which it would be unknown whether the server has executed them.
_IDLE_CREATE = 1.0
#: Header names as they are sent, so that a user's ``accept`` replaces ``Accept`` and is not sent in addition.
_NAMES = ("Accept", "Authorization", "Content-Type", "Host", "Last-Event-ID", "x-request-id")


@attrs.frozen(kw_only=True, slots=False)
class Request:
    """One request, without the headers that the client adds to each request."""

    method: str
    #: The part after the base URL, encoded: ``/threads/x/runs``.
    path: str
    query: Sequence[Tuple[str, Any]] = ()
    body: Optional[bytes] = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    #: True if sending it twice may create two runs.
    creates: bool = False
    accept: str = "application/json"

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@attrs.frozen(slots=False)
class Response:
    """A response whose whole body was read."""

    status: int
    headers: Mapping[str, str]
    body: bytes = attrs.field(repr=False)


class Pacer(Protocol):
    """Decides when the requests of a transport are sent, and sends those again that were refused."""

    def send(self, attempt: Callable[[], T], scope: Scope, call: object, *, repeat: bool) -> T:
        """Return the result of *attempt*, which sends one request, and may be called again if *repeat* is true.

        The text of *call* is the name of the request.
        """


class Transport:
    """Sends requests to one server. Threads may share it, and it may be used on both sides of a fork.

    Copies made by `with_settings` share connections and the retry budget.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        connect: Callable[[], Connector],
        clock: Callable[[], float] = time.monotonic,
        sleep: Optional[Callable[[float], None]] = None,
    ) -> None:
        import_all()  # here, since every client has a transport, also one that was pickled in another process
        self.settings = settings
        self._shared = _Shared(connect, settings.retry.budget, clock)
        self._clock = clock
        self._sleep = sleep
        self._log_level = logging.INFO
        self._pacer: Optional[Pacer] = None
        self._prepare()

    def __reduce__(self) -> Tuple[Any, ...]:
        # With connections and a retry budget of its own. What a pickled client, or its ``runs``, consists of.
        return functools.partial(Transport, connect=self._shared.connect), (self.settings,)

    def _prepare(self) -> None:
        settings = self.settings
        base, login = split_login(settings.url)
        self._base = base
        self._fixed: Dict[str, str] = {
            "User-Agent": f"langgraph-runs/{__version__}",
            "Accept-Encoding": "gzip, deflate",
            "Connection": "keep-alive",
        }
        if login is not None:
            self._fixed["Authorization"] = login
        self._written = {name.lower(): name for name in (*self._fixed, *_NAMES)}
        for name, value in check_headers(settings.headers).items():
            self._fixed[self._written.setdefault(name.lower(), name)] = value
        if settings.api_key is not None:
            self._fixed["x-api-key"] = settings.api_key

    @property
    def log_level(self) -> int:
        """The level at which finished and repeated calls are logged."""
        return self._log_level

    @property
    def clock(self) -> Callable[[], float]:
        """The clock of deadlines: a function that returns seconds."""
        return self._clock

    @property
    def base_url(self) -> str:
        """Scheme, host and mount prefix, without credentials."""
        return self._base

    def with_settings(self, settings: Settings) -> Transport:
        """Return a copy with other settings that shares the connections."""
        copy = object.__new__(Transport)
        copy.__dict__.update(self.__dict__)
        copy.settings = settings
        copy._prepare()
        return copy

    def logging_at(self, level: int) -> Transport:
        """Return a copy that logs finished and repeated calls at *level* instead of INFO."""
        copy = self.with_settings(self.settings)
        copy._log_level = level
        return copy

    def paced(self, pacer: Pacer) -> Transport:
        """Return a copy whose requests are sent by *pacer*."""
        copy = self.with_settings(self.settings)
        copy._pacer = pacer
        return copy

    def scope(self, timeout: Any = ..., signal: Optional[AbortSignal] = None) -> Scope:
        """Return the scope of a call that begins now. *timeout* is in seconds: ``...`` for the client's, None for no limit."""
        if timeout is ...:
            timeout = self.settings.timeout
        if self._shared.closed:
            raise InvalidRequestError("the client is closed; make a new one")
        scope = Scope(Deadline(timeout, clock=self._clock), (signal,), sleep=self._sleep)
        self._shared.enter(scope)
        return scope

    @property
    def is_closed(self) -> bool:
        """True after `close`: then no call may begin."""
        return self._shared.closed

    def close(self) -> None:
        """End every call in progress, which then raises `AbortedError`, and close all connections."""
        self._shared.close()

    def on_close(self, callback: Callable[[], None]) -> object:
        """Call *callback* when the client is closed, in the thread that closes it, while the returned object exists."""
        listener = _CloseListener(callback)
        self._shared.enter(listener)
        return listener

    # -- whole responses

    def call(self, request: Request, scope: Scope) -> Response:
        """Send *request* and return the response. Repeat it after transient failures, as the policy and `Request.creates` allow."""
        return self.logged(lambda: self.retrier(request, scope).run(lambda: self.send(request, scope)), request, scope)

    def open_with_retries(self, request: Request, scope: Scope) -> ByteStream:
        """Do as `call`, but return a response whose body the caller reads."""
        return self.logged(lambda: self.retrier(request, scope).run(lambda: self.open(request, scope)), request, scope)

    def retrier(self, request: Request, scope: Scope, *, call: Optional[str] = None) -> Retrier:
        """Return the retrier of *request*. *call* is its name in log lines, by default method and path."""
        scope.begin_request()
        return Retrier(
            call or request,
            policy=self.settings.retry,
            budget=self._shared.budget,
            scope=scope,
            transient=lambda error: self.is_transient(error) and (not request.creates or is_surely_not_executed(error)),
            log_level=self._log_level,
        )

    def retrier_of(self, call: str, transient: Callable[[LangGraphRunsError], bool], *, scope: Optional[Scope] = None) -> Retrier:
        """Return a retrier for more than one request: the connections of a stream, or an input of a map."""
        return Retrier(
            call,
            policy=self.settings.retry,
            budget=self._shared.budget,
            scope=scope,
            transient=transient,
            log_level=self._log_level,
        )

    def logged(self, work: Callable[[], T], request: Request, scope: Scope) -> T:
        """Return the result of *work*, which sends *request* once or repeatedly, and log one line for the finished call.

        For a stream, the time in the line is that until the response began.
        """
        started = self._clock()
        outcome = "failed"
        close: Optional[Callable[[], None]] = None
        try:
            result = work()
            close = getattr(result, "close", None)
            outcome = str(getattr(result, "status", "done"))
        except LangGraphRunsError as error:
            outcome = type(error).__name__
            raise
        finally:
            if _log.isEnabledFor(self._log_level):
                attempts = f", {scope.attempts} attempts" if scope.attempts > 1 else ""
                try:
                    with user_code():
                        seconds = self._clock() - started
                        _log.log(self._log_level, "%s: %s in %.3f s%s", str(request), outcome, seconds, attempts)
                except BaseException:  # of a log handler: the caller does not get the result
                    if close is not None:
                        close()
                    raise
        return result

    def is_transient(self, error: LangGraphRunsError) -> bool:
        """Return True if the same request may succeed a little later, by the statuses of the client's policy."""
        return is_transient(error, self.settings.retry.statuses)

    def send(self, request: Request, scope: Scope) -> Response:
        """Send the request once and return the whole response."""
        with self.open(request, scope) as stream:
            return self.read(stream)

    def read(self, stream: ByteStream) -> Response:
        """Read the rest of an open response, and return the whole."""
        return Response(stream.status, stream.headers, stream.read_all(self.settings.max_response_bytes))

    # -- open responses

    def open(self, request: Request, scope: Scope) -> ByteStream:
        """Send the request once and return the response with its body unread. Raise an error for any status but 2xx.

        With a pacer (see `paced`), a request that may be repeated is sent again after a refusal.
        """
        if self._pacer is None:
            return self._open(request, scope)
        return self._pacer.send(lambda: self._open(request, scope), scope, request, repeat=not request.creates)

    def _open(self, request: Request, scope: Scope) -> ByteStream:
        scope.check()
        settings = self.settings
        exchange = Exchange(
            scope,
            connect_timeout=settings.connect_timeout,
            read_timeout=settings.read_timeout,
            idle_limit=_IDLE_CREATE if request.creates else _IDLE,
            may_repeat=not request.creates,
        )
        place = url = self._base + request.path
        if request.query:
            try:
                url += "?" + urllib.parse.urlencode(request.query, quote_via=urllib.parse.quote)
            except UnicodeEncodeError:
                raise InvalidRequestError("params: a value holds half a surrogate pair, which is no character") from None
        headers = dict(self._fixed)
        headers["Accept"] = request.accept
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        if request.body is not None or request.method in ("POST", "PATCH", "PUT"):
            headers["Content-Length"] = str(len(request.body or b""))
        for name, value in request.headers.items():
            headers[self._written.get(name.lower(), name)] = value
        scope.attempts += 1
        scope.request = info = RequestInfo(request.method, place)
        stream = self._shared.connector().open(info, url, headers, request.body, exchange)
        if _log.isEnabledFor(logging.DEBUG):
            try:
                with user_code():
                    _log.debug("%s: attempt %d: status %d", str(request), scope.attempts, stream.status)
            except BaseException:
                stream.close()
                raise
        if 200 <= stream.status < 300:
            return stream
        with stream:
            raise self._status_error(stream, request)

    def _status_error(self, stream: ByteStream, request: Request) -> LangGraphRunsError:
        headers = stream.headers
        try:
            body = stream.read_all(_ERROR_BODY, strict=False)
        except APIConnectionError as fault:
            body = b""  # the status is more important than the failure to read the body, unless the whole call must end
            stream.exchange.scope.check(fault)
        text = self._without_key(body.decode("utf-8-sig", "replace"))
        parsed: Any = text or None
        if text:
            try:
                parsed = parse(text.encode("utf-8"))
            except ValueError as problem:
                raise_foreign(problem)
        status = stream.status
        message = error_text(parsed)
        if 300 <= status < 400:
            target = self._without_key(split_login(headers.get("location", ""))[0]) or "nowhere"
            message = f"redirects to {target!r}, which is not followed; give the client the right url"
        message = message or _phrase(status)
        error = status_error(status)(
            message,
            status_code=status,
            body=parsed,
            headers={name: self._without_key(value) for name, value in headers.items() if name != "set-cookie"},
            request_id=headers.get("x-request-id") or request.headers.get("x-request-id"),
            retry_after=retry_after(headers),
            request=stream.info,
        )
        return stream.exchange.scope.identify(error)

    def _without_key(self, text: str) -> str:
        key = self.settings.api_key
        return text.replace(key, "***") if key else text


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


class _CloseListener:
    """Ends no call of its own when the client is closed, but calls a function."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback

    def interrupt(self, _: object) -> None:
        """See `Scope.interrupt`."""
        self._callback()


class _Shared:
    """The state that all copies of a client share: connections, retry budget, calls in progress. Each process has its own."""

    def __init__(self, connect: Callable[[], Connector], budget: Optional[float], clock: Callable[[], float]) -> None:
        #: Makes the connector of a process.
        self.connect = connect
        self._budget = budget
        self._clock = clock
        self.closed = False
        self._by_process: Dict[int, _ProcessState] = {}
        self._state()

    def _state(self) -> _ProcessState:
        # After a fork, the child must not use sockets of the parent process, nor locks that another thread of it held.
        pid = os.getpid()
        state = self._by_process.get(pid)
        if state is None:
            made = _ProcessState(RetryBudget(self._budget, clock=self._clock))
            state = self._by_process.setdefault(pid, made)  # an atomic operation, so that all threads get the same object
            for other in list(self._by_process):
                if other != pid:
                    self._by_process.pop(other, None)
        return state

    @property
    def budget(self) -> RetryBudget:
        """The retry budget of the client in this process."""
        return self._state().budget

    def connector(self) -> Connector:
        """Return the connector of this process, which the first request makes."""
        state = self._state()
        if state.connector is None:
            with state.lock:
                if state.connector is None:
                    made = self.connect()
                    # A signal handler may have made a connector meanwhile.
                    state.connector = state.connector or made
        return state.connector

    def enter(self, scope: Union[Scope, _CloseListener]) -> None:
        """Note that a call is in progress, so that `close` ends it."""
        scopes = self._state().scopes
        scopes.add(weakref.ref(scope, scopes.discard))
        if self.closed:  # another thread has closed it, after the caller has checked
            scope.interrupt("the client was closed")

    def close(self) -> None:
        """End all calls and close the connections."""
        state = self._state()
        self.closed = True
        with state.lock:
            calls, connector = list(state.scopes), state.connector
        for call in calls:
            scope = call()
            if scope is not None:
                scope.interrupt("the client was closed")
        if connector is not None:
            connector.close()


class _ProcessState:
    """The state that the copies of a client share in one process."""

    def __init__(self, budget: RetryBudget) -> None:
        self.budget = budget
        self.lock = threading.RLock()  # a signal handler may close the client while its thread holds the lock
        self.connector: Optional[Connector] = None
        #: Weak references to the calls in progress. Adding to a WeakSet takes several steps, between which a thread may iterate.
        self.scopes: Set[weakref.ref[Any]] = set()
