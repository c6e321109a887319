"""One request and its answer: limits, retries, typed errors, log lines. Knows HTTP, not what the bodies mean.

What sends (`adapter`, and requests below it) is imported with the first request, not with this package.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import urllib.parse
import weakref
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Optional, Sequence, Set, Tuple, TypeVar

import attrs

from .._version import __version__
from ..call import AbortSignal, Deadline, Retrier, RetryBudget, Scope, is_surely_not_executed, is_transient
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

__all__ = ["Request", "Response", "Transport"]

T = TypeVar("T")
_log = logging.getLogger(__name__)

#: Of the body of an error, in bytes; more is not read.
_ERROR_BODY = 1 << 20
#: A connection that was idle for longer is not used: this server closes after 5 s, and then a request may meet a closed one.
_IDLE = 4.0
#: For requests that must not be repeated blindly, the more so.
_IDLE_CREATE = 1.0
#: Header names that we write like this, so that none is sent twice in two cases.
_OURS = ("Accept", "Authorization", "Content-Type", "Host", "Last-Event-ID", "x-request-id")


@attrs.frozen(kw_only=True)
class Request:
    """What to ask."""

    method: str
    #: From the base URL on, encoded: ``/threads/x/runs``.
    path: str
    query: Sequence[Tuple[str, Any]] = ()
    body: Optional[bytes] = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    #: Whether sending it twice may do something twice.
    creates: bool = False
    accept: str = "application/json"

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@attrs.frozen
class Response:
    """An answer that was read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes = attrs.field(repr=False)


class Transport:
    """Sends requests to one server. Shared by threads; usable on both sides of a fork.

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
        self.settings = settings
        self._shared = _Shared(connect, settings.retry.budget, clock)
        self._clock = clock
        self._sleep = sleep
        self._prepare()

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
        self._written = {name.lower(): name for name in (*self._fixed, *_OURS)}
        for name, value in check_headers(settings.headers).items():
            self._fixed[self._written.setdefault(name.lower(), name)] = value
        if settings.api_key is not None:
            self._fixed["x-api-key"] = settings.api_key

    @property
    def base_url(self) -> str:
        """Scheme, host and mount prefix, without credentials."""
        return self._base

    def with_settings(self, settings: Settings) -> Transport:
        """A copy on the same connections."""
        copy = object.__new__(Transport)
        copy.__dict__.update(self.__dict__)
        copy.settings = settings
        copy._prepare()
        return copy

    def scope(self, timeout: Any = ..., signal: Optional[AbortSignal] = None) -> Scope:
        """The limits of a call that begins now. *timeout* in seconds; ``...`` is the client's, None is none."""
        if timeout is ...:
            timeout = self.settings.timeout
        if self._shared.closed:
            raise InvalidRequestError("the client is closed; make a new one")
        scope = Scope(Deadline(timeout, clock=self._clock), (signal,), sleep=self._sleep)
        self._shared.enter(scope)
        return scope

    def close(self) -> None:
        """End every call that is under way (`AbortedError` there) and close all connections."""
        self._shared.close()

    # -- whole answers

    def call(self, request: Request, scope: Scope) -> Response:
        """The response, requested again after transient failures as the policy and `Request.creates` allow."""
        return self.logged(lambda: self.retrier(request, scope).run(lambda: self.send(request, scope)), request, scope)

    def open_with_retries(self, request: Request, scope: Scope) -> ByteStream:
        """As `call`, for a response whose body the caller reads."""
        return self.logged(lambda: self.retrier(request, scope).run(lambda: self.open(request, scope)), request, scope)

    def retrier(self, request: Request, scope: Scope, *, call: Optional[str] = None) -> Retrier:
        """The engine that decides about repeats of *request*; *call* is its name in log lines, by default method and path."""
        scope.begin_request()
        return Retrier(
            call or str(request),
            policy=self.settings.retry,
            budget=self._shared.budget,
            scope=scope,
            transient=lambda error: self.is_transient(error) and (not request.creates or is_surely_not_executed(error)),
        )

    def retrier_of(self, call: str, transient: Callable[[LangGraphRunsError], bool], *, scope: Optional[Scope] = None) -> Retrier:
        """The engine for what is more than one request: the connections of a stream, an input of a map."""
        return Retrier(call, policy=self.settings.retry, budget=self._shared.budget, scope=scope, transient=transient)

    def logged(self, work: Callable[[], T], request: Request, scope: Scope) -> T:
        """The result of *work*, which sends *request* however often; leaves the one line at INFO that a finished call leaves.

        For a stream it tells when the answer began.
        """
        started = self._clock()
        outcome = "failed"
        try:
            result = work()
            outcome = str(getattr(result, "status", "done"))
            return result
        except LangGraphRunsError as error:
            outcome = type(error).__name__
            raise
        finally:
            if _log.isEnabledFor(logging.INFO):
                attempts = f", {scope.attempts} attempts" if scope.attempts > 1 else ""
                _log.info("%s: %s in %.3f s%s", str(request), outcome, self._clock() - started, attempts)

    def is_transient(self, error: LangGraphRunsError) -> bool:
        """Whether the same request may succeed a little later, by the statuses of the client's policy."""
        return is_transient(error, self.settings.retry.statuses)

    def send(self, request: Request, scope: Scope) -> Response:
        """One attempt."""
        with self.open(request, scope) as stream:
            return self.read(stream)

    def read(self, stream: ByteStream) -> Response:
        """The rest of an open response."""
        return Response(stream.status, stream.headers, stream.read_all(self.settings.max_response_bytes))

    # -- open answers

    def open(self, request: Request, scope: Scope) -> ByteStream:
        """One attempt, up to the headers of a success. Other statuses raise."""
        scope.check()
        settings = self.settings
        exchange = Exchange(
            scope,
            connect_timeout=settings.connect_timeout,
            read_timeout=settings.read_timeout,
            idle_limit=_IDLE_CREATE if request.creates else _IDLE,
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
        _log.debug("%s: attempt %d answered %d", str(request), scope.attempts, stream.status)
        if 200 <= stream.status < 300:
            return stream
        with stream:
            raise self._status_error(stream, request)

    def _status_error(self, stream: ByteStream, request: Request) -> LangGraphRunsError:
        headers = stream.headers
        try:
            body = stream.read_all(_ERROR_BODY, strict=False)
        except APIConnectionError as fault:
            body = b""  # the status says more than the fault in its body; what ends the whole call was raised
            stream.exchange.scope.check(fault)
        text = self._scrub(body.decode("utf-8-sig", "replace"))
        parsed: Any = text or None
        if text:
            try:
                parsed = parse(text.encode("utf-8"))
            except ValueError:
                pass
        status = stream.status
        message = error_text(parsed)
        if 300 <= status < 400:
            target = self._scrub(split_login(headers.get("location", ""))[0]) or "nowhere"
            message = f"redirects to {target!r}, which is not followed; give the client the right url"
        message = message or _phrase(status)
        error = status_error(status)(
            message,
            status_code=status,
            body=parsed,
            headers={name: self._scrub(value) for name, value in headers.items() if name != "set-cookie"},
            request_id=headers.get("x-request-id") or request.headers.get("x-request-id"),
            retry_after=retry_after(headers),
            request=stream.info,
        )
        return stream.exchange.scope.identify(error)

    def _scrub(self, text: str) -> str:
        key = self.settings.api_key
        return text.replace(key, "***") if key else text


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


class _Shared:
    """What all copies of a client share: connections, the retry budget, the calls under way. Anew in each process."""

    def __init__(self, connect: Callable[[], Connector], budget: Optional[float], clock: Callable[[], float]) -> None:
        self._connect = connect
        self._budget = budget
        self._clock = clock
        self.closed = False
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.RLock()  # a signal handler may close the client within
        self._connector: Optional[Connector] = None
        #: Weak references to the calls that are under way. A WeakSet would do the same in several steps of Python.
        self._scopes: Set[weakref.ref[Scope]] = set()
        self._budget_here = RetryBudget(self._budget, clock=self._clock)

    def _here(self) -> None:
        # After a fork nothing of the parent's may be used: not its sockets, and not a lock that another of its threads held.
        if os.getpid() != self._pid:
            self._begin()

    @property
    def budget(self) -> RetryBudget:
        self._here()
        return self._budget_here

    def connector(self) -> Connector:
        self._here()
        found = self._connector
        if found is None:
            with self._lock:
                found = self._connector
                if found is None:
                    found = self._connector = self._connect()
        return found

    def enter(self, scope: Scope) -> None:
        self._here()
        self._scopes.add(weakref.ref(scope, self._scopes.discard))
        if self.closed:  # since the caller looked
            scope.interrupt("the client was closed")

    def close(self) -> None:
        self._here()
        self.closed = True
        with self._lock:
            calls, connector = list(self._scopes), self._connector
        for call in calls:
            scope = call()
            if scope is not None:
                scope.interrupt("the client was closed")
        if connector is not None:
            connector.close()
