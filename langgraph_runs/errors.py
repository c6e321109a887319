"""The exceptions of this package. Imports nothing of the package but the records that an error may carry.

::

    LangGraphRunsError                      .request  .run_id  .thread_id  .attempts  .created  .uncertain
    ├── InvalidRequestError (ValueError)    a wrong argument; nothing was sent
    │   └── IdempotencyConflictError        the key belongs to another run; .differs
    ├── LedgerError                         the ledger of a map cannot be used, or not for this map
    │   └── LedgerUnavailableError          its database cannot be reached now
    ├── AbortedError                        the caller's signal fired, or the client was closed
    ├── APIConnectionError                  no usable response; .sent: False, True or None (unknown)
    │   ├── APITimeoutError (TimeoutError)  connecting, or silence for longer than ``read_timeout``
    │   │   └── DeadlineExceededError       ``timeout`` has passed; .timeout
    │   ├── StreamInterruptedError          .last_event_id  .events_seen
    │   ├── CreateUncertainError            the run may exist; .request_id
    │   └── ResponseDecodeError             .problems  .status_code  .body
    ├── APIStatusError                      .status_code  .message  .body  .headers  .request_id  .retry_after
    │   ├── BadRequestError  AuthenticationError  PermissionDeniedError  NotFoundError (.values)
    │   ├── ConflictError  UnprocessableEntityError  RateLimitError
    │   └── InternalServerError
    └── RunError                            the request succeeded, the run did not; .run  .values
        ├── RunFailedError                  .error  .message
        ├── RunCancelledError
        └── RunTimedOutError

The three branches say how far a call came: no usable response (``APIConnectionError``), a response with an error status
(``APIStatusError``), or a run that did not end well (``RunError``). All errors pickle. Every attribute has a default on its class.

``str()`` is one line, with at most 500 characters of text from the server. ``repr()`` shows the attributes as well, in about 2,000
characters at most; the attributes themselves (``body``, ``message``, ``problems``) are never cut.
"""

import types
from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple, Type, TypeVar

from .models import Run

S = TypeVar("S", bound="APIStatusError")

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AbortedError",
    "AuthenticationError",
    "BadRequestError",
    "ConflictError",
    "CreateUncertainError",
    "DeadlineExceededError",
    "IdempotencyConflictError",
    "InternalServerError",
    "InvalidRequestError",
    "LangGraphRunsError",
    "LedgerError",
    "LedgerUnavailableError",
    "NotFoundError",
    "OutageError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestInfo",
    "ResponseDecodeError",
    "RunCancelledError",
    "RunError",
    "RunFailedError",
    "RunTimedOutError",
    "StreamInterruptedError",
    "UnprocessableEntityError",
    "shortened",
    "status_error",
]

#: Characters of text from elsewhere (the server, the graph, an argument) in the text of an error.
_TEXT_LIMIT = 500
#: Characters of a whole message: the words of this library and the text from elsewhere.
_MESSAGE_LIMIT = 1000
#: Characters of an id, and of a URL, in the text of an error.
_ID_LIMIT = 100
#: Characters of a repr. The attributes share what the message leaves; the short ones are shown whole.
_REPR_LIMIT = 2000
_NOTHING: Mapping[Any, Any] = types.MappingProxyType({})


class RequestInfo(NamedTuple):
    """The HTTP method and the URL of a request, without credentials and without the query.

    >>> RequestInfo("GET", "http://localhost:2024/ok").url
    'http://localhost:2024/ok'
    """

    method: str
    url: str


def shortened(text: str, limit: int = _TEXT_LIMIT) -> str:
    """Return *text* for a message: at most *limit* characters and, if it is cut, the number of all characters.

    >>> shortened("x" * 600, 10)
    'xxxxxxxxxx... (600 characters)'
    """
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _repr_of(value: Any) -> str:
    try:
        return repr(value)
    except RecursionError:  # JSON may be nested deeper than Python can print
        return f"<{type(value).__name__} that is nested too deep to be shown>"


class LangGraphRunsError(Exception):
    """The base class of all errors of this package.

    >>> error = LangGraphRunsError("it did not work", run_id="1f0c")
    >>> error.run_id
    '1f0c'
    """

    #: The request that failed; None if none was made.
    request: Optional[RequestInfo] = None
    #: The run of the call, if it was known when the error was raised.
    run_id: Optional[str] = None
    #: The thread of that run.
    thread_id: Optional[str] = None
    #: How many times the request was tried; 0 if nothing was sent.
    attempts: int = 0
    #: For ``create_batch``: the runs that were created before the error, by the index of their payload.
    created: Mapping[int, Run] = _NOTHING
    #: For ``create_batch``: the indexes of the payloads whose runs may have been created.
    uncertain: Tuple[int, ...] = ()

    #: Attributes that a repr leaves out: the state of the user's graph.
    _not_shown = frozenset({"run", "values"})

    def __init__(
        self,
        message: str,
        *,
        request: Optional[RequestInfo] = None,
        run_id: Optional[str] = None,
        thread_id: Optional[str] = None,
        attempts: int = 0,
    ) -> None:
        super().__init__(message)
        self._text = message
        self.request = request
        self.run_id = run_id
        self.thread_id = thread_id
        self.attempts = attempts

    def __str__(self) -> str:
        text = shortened(_one_line(self._text), _MESSAGE_LIMIT)
        if self.request is not None:
            text += f" [{self.request.method} {shortened(self.request.url)}]"
        if self.run_id is not None and self.run_id not in text:
            text += f" (run {shortened(_one_line(self.run_id), _ID_LIMIT)})"
        return text

    def __repr__(self) -> str:
        shown = [repr(shortened(self._text, _MESSAGE_LIMIT))]
        texts = {
            name: _repr_of(value)
            for name, value in sorted(self.__dict__.items())
            if value is not None and not name.startswith("_") and name not in self._not_shown
        }
        left, limits = _REPR_LIMIT - len(shown[0]), dict.fromkeys(texts, 0)
        for number, name in enumerate(sorted(texts, key=lambda name: len(texts[name]))):
            limits[name] = max(0, left // (len(texts) - number))
            left -= min(len(texts[name]), limits[name])
        shown += [f"{name}={shortened(text, limits[name])}" for name, text in texts.items()]
        return f"{type(self).__name__}({', '.join(shown)})"

    def __reduce__(self) -> Tuple[Any, ...]:
        return self._restored, (self._text, self.__dict__.copy())

    @classmethod
    def _restored(cls, text: str, attributes: Mapping[str, Any]) -> "LangGraphRunsError":
        """Return an error from another process or a ledger. Attributes that *attributes* leaves out have their default."""
        error = cls.__new__(cls, text)
        error.args = (text,)
        error._text = text
        error.__dict__.update(attributes)
        return error


class InvalidRequestError(LangGraphRunsError, ValueError):
    """An argument is wrong. Nothing was sent; the message names the argument and what to give instead.

    >>> isinstance(InvalidRequestError("limit=0: give a whole number of at least 1"), ValueError)
    True
    """


class IdempotencyConflictError(InvalidRequestError):
    """The idempotency key was used before, with another assistant, another input or other options. No run was created.

    ``run_id`` and ``thread_id`` are those of the run of the key.

    >>> IdempotencyConflictError("the key has another run", differs=("input",)).differs
    ('input',)
    """

    #: The names of the arguments that are not the same as in the first call.
    differs: Tuple[str, ...] = ()

    def __init__(self, message: str, *, differs: Sequence[str] = (), **context: Any) -> None:
        super().__init__(message, **context)
        self.differs = tuple(differs)


class LedgerError(LangGraphRunsError):
    """The ledger of a map is for another server, assistant or options, cannot be used or reached, or an input has changed.

    >>> str(LedgerError("there is no ledger at 'jobs.sqlite'"))
    "there is no ledger at 'jobs.sqlite'"
    """


class LedgerUnavailableError(LedgerError):
    """The database of a ledger cannot be reached, or has not come back within ``max_outage``.

    Nothing that was recorded is lost: the same call with the same ledger continues the map.

    >>> isinstance(LedgerUnavailableError("connection refused"), LedgerError)
    True
    """


class AbortedError(LangGraphRunsError):
    """The call was ended by its `AbortSignal`, or because the client was closed.

    A run that was started goes on. Cancel it with ``client.runs.cancel``.

    >>> AbortedError("aborted: enough", reason="enough", run_id="1f0c").reason
    'enough'
    """

    #: The argument of `AbortController.abort`.
    reason: Any = None

    def __init__(self, message: str, *, reason: Any = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.reason = reason


class APIConnectionError(LangGraphRunsError):
    """No usable response arrived.

    >>> APIConnectionError("could not connect: Connection refused", sent=False).sent
    False
    """

    #: Whether the server may have acted. False: it has not, since no byte of the request left. True: it has responded, at least
    #: in part. None: unknown.
    sent: Optional[bool] = None

    def __init__(self, message: str, *, sent: Optional[bool] = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.sent = sent


class APITimeoutError(APIConnectionError, TimeoutError):
    """Connecting took longer than ``connect_timeout``, or the server was silent for longer than ``read_timeout``.

    >>> isinstance(APITimeoutError("the server was silent for longer than read_timeout=30.0 s"), TimeoutError)
    True
    """


class DeadlineExceededError(APITimeoutError):
    """The whole call took longer than its ``timeout``. A run that was started goes on, unless ``on_timeout="cancel"``.

    >>> error = DeadlineExceededError("not done within timeout=2.0 s", timeout=2.0, run_id="1f0c")
    >>> error.timeout, error.run_id  # to join it later
    (2.0, '1f0c')
    """

    #: The ``timeout`` of the call, in seconds.
    timeout: Optional[float] = None

    def __init__(self, message: str, *, timeout: Optional[float] = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.timeout = timeout


class StreamInterruptedError(APIConnectionError):
    """The stream broke and could not be resumed without losing events. All events before it were delivered.

    The run goes on, and can be joined.

    >>> StreamInterruptedError("the stream was cut", last_event_id="1795224633885-0", events_seen=7).events_seen
    7
    """

    #: Where to resume: ``client.runs.join_stream(thread_id, run_id, last_event_id=...)``.
    last_event_id: Optional[str] = None
    #: How many events were delivered.
    events_seen: int = 0

    def __init__(self, message: str, *, last_event_id: Optional[str] = None, events_seen: int = 0, **context: Any) -> None:
        super().__init__(message, **context)
        self.last_event_id = last_event_id
        self.events_seen = events_seen


class CreateUncertainError(APIConnectionError):
    """The run may exist or not: no response of the server came, and looking the run up did not decide it.

    The request was not repeated. To find the run, list the runs of the thread and compare ``run.request_id`` with *request_id*; to
    find a cron, search the crons and compare ``cron.request_id``.

    >>> CreateUncertainError("the run may have been created", request_id="0d9f").request_id
    '0d9f'
    """

    #: The id of the create, which its run shows as ``request_id``.
    request_id: Optional[str] = None
    #: True if only the time for the response was over, so that the server may execute the create later. Then a list of runs without
    #: the run does not show that there will be none.
    may_still_arrive: bool = False

    def __init__(self, message: str, *, request_id: Optional[str] = None, may_still_arrive: bool = False, **context: Any) -> None:
        super().__init__(message, **context)
        self.request_id = request_id
        self.may_still_arrive = may_still_arrive


class OutageError(APIConnectionError):
    """A map has ended because the server could not be reached, or refused everything, for longer than ``max_outage``.

    No input has failed for that reason. With a ledger, the same call goes on where this one has ended.

    >>> OutageError("the server has not responded for 600 s", done=212, total=500).done
    212
    """

    #: Inputs that succeeded, and inputs that failed, before the map ended; those whose results were in the ledger included.
    done: int = 0
    failed: int = 0
    #: All inputs; None if the number is not known.
    total: Optional[int] = None
    #: Seconds from the beginning of the outage to the end of the map.
    seconds: float = 0.0

    def __init__(
        self, message: str, *, done: int = 0, failed: int = 0, total: Optional[int] = None, seconds: float = 0.0, **context: Any
    ) -> None:
        super().__init__(message, **context)
        self.done = done
        self.failed = failed
        self.total = total
        self.seconds = seconds


class ResponseDecodeError(APIConnectionError):
    """A response does not have the shape that the API documents, or is larger than the client allows. Not repeated.

    ``sent`` is None if the response is not the API's, such as a login page: whether the server acted is then not known.

    >>> ResponseDecodeError("another shape", problems=["$.status: expected a string, not a number"]).problems
    ('$.status: expected a string, not a number',)
    """

    #: What is wrong, each with its place: ``"$.status: expected a string, not a number"``.
    problems: Tuple[str, ...] = ()
    #: The HTTP status of a response that is not the API's; else None.
    status_code: Optional[int] = None
    #: The whole body of a response that is not the API's, as text; else None.
    body: Optional[str] = None

    _not_shown = LangGraphRunsError._not_shown | {"body"}

    def __init__(
        self,
        message: str,
        *,
        problems: Sequence[str] = (),
        status_code: Optional[int] = None,
        body: Optional[str] = None,
        **context: Any,
    ) -> None:
        context.setdefault("sent", True)
        super().__init__(message, **context)
        self.problems = tuple(problems)
        self.status_code = status_code
        self.body = body

    @classmethod
    def _of_shape(cls, *problems: str) -> "ResponseDecodeError":
        """Return the error for JSON of another shape than the API documents."""
        return cls(f"the response has another shape than promised: {shortened('; '.join(problems))}", problems=problems)


class APIStatusError(LangGraphRunsError):
    """The server responded with a status that is not a success. Redirects (3xx) are not followed and raise it too.

    >>> error = APIStatusError("teapot", status_code=418, body={"detail": "teapot"})
    >>> str(error), error.message
    ('418: teapot', 'teapot')
    """

    #: The HTTP status.
    status_code: int = 0
    #: The server's own text: the ``detail`` of a JSON body, else the body as text.
    message: str = ""
    #: The parsed JSON body, else the text, else None for an empty body.
    body: Any = None
    #: The headers of the response, names in lower case.
    headers: Mapping[str, str] = _NOTHING
    #: The ``x-request-id`` of the response, else that of the request.
    request_id: Optional[str] = None
    #: ``Retry-After`` of the response in seconds, or None.
    retry_after: Optional[float] = None

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        body: Any = None,
        headers: Optional[Mapping[str, str]] = None,
        request_id: Optional[str] = None,
        retry_after: Optional[float] = None,
        **context: Any,
    ) -> None:
        super().__init__(f"{status_code}: {shortened(message)}" if message else str(status_code), **context)
        self.message = message
        self.status_code = status_code
        self.body = body
        self.headers = dict(headers or {})
        self.request_id = request_id
        self.retry_after = retry_after

    def _restated(self, cls: Type[S], message: str) -> S:
        """Return an error of another class about the same response, for a status that means something else than its number says."""
        return cls(
            message,
            status_code=self.status_code,
            body=self.body,
            headers=self.headers,
            request_id=self.request_id,
            retry_after=self.retry_after,
            request=self.request,
            attempts=self.attempts,
        )


class BadRequestError(APIStatusError):
    """400: the server could not interpret the request.

    >>> str(BadRequestError("bad config", status_code=400))
    '400: bad config'
    """


class AuthenticationError(APIStatusError):
    """401: no api key, or a wrong one.

    >>> str(AuthenticationError("Invalid API key", status_code=401))
    '401: Invalid API key'
    """


class PermissionDeniedError(APIStatusError):
    """403: the key is valid, and does not allow this.

    >>> str(PermissionDeniedError("read only", status_code=403))
    '403: read only'
    """


class NotFoundError(APIStatusError):
    """404: the run, thread or assistant does not exist, or not for this key. Or the run was deleted while the caller waited.

    >>> str(NotFoundError("Not Found", status_code=404))
    '404: Not Found'
    """

    #: The last values received of a run that was deleted while the caller waited for it. Else None.
    values: Any = None


class ConflictError(APIStatusError):
    """409: the thread is busy (``multitask_strategy="reject"``), or the id exists. Never repeated.

    Some servers refuse a run on a busy thread with 422: then ``status_code`` is 422.

    >>> str(ConflictError("Thread is already running a task.", status_code=409))
    '409: Thread is already running a task.'
    """


class UnprocessableEntityError(APIStatusError):
    """422: a field is missing or of the wrong type.

    >>> str(UnprocessableEntityError("Invalid run ID: must be a UUID", status_code=422))
    '422: Invalid run ID: must be a UUID'
    """


class RateLimitError(APIStatusError):
    """429: too many requests; ``retry_after`` says when to try again, if the server said so.

    >>> RateLimitError("slow down", status_code=429, retry_after=7.0).retry_after
    7.0
    """


class InternalServerError(APIStatusError):
    """5xx: the server, or a gateway before it, failed.

    >>> str(InternalServerError("Bad Gateway", status_code=502))
    '502: Bad Gateway'
    """


_BY_STATUS: Dict[int, Type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}


def status_error(status_code: int) -> Type[APIStatusError]:
    """Return the class of the error for an HTTP status.

    >>> status_error(404).__name__, status_error(502).__name__, status_error(418).__name__
    ('NotFoundError', 'InternalServerError', 'APIStatusError')
    """
    if status_code >= 500:
        return InternalServerError
    return _BY_STATUS.get(status_code, APIStatusError)


class RunError(LangGraphRunsError):
    """The request succeeded, but the run did not, or it cannot be known how the run ended.

    >>> RunError("the run ended with status 'lost'", values={"n": 1}, run_id="1f0c").values
    {'n': 1}
    """

    #: The run as the server last described it; None if it could not be read.
    run: Optional[Run] = None
    #: The values that the run had produced when it ended; None if they are not known.
    values: Any = None

    def __init__(self, message: str, *, run: Optional[Run] = None, values: Any = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.run = run
        self.values = values


class RunFailedError(RunError):
    """The graph raised an error.

    >>> error = RunFailedError("ValueError", "no ink", run_id="1f0c")
    >>> str(error)
    'the run failed: ValueError: no ink (run 1f0c)'
    """

    #: The class of the graph's exception, as text; None if the server no longer has the reason.
    error: Optional[str] = None
    #: The message of the exception. For classes whose messages the server does not report, a general sentence.
    message: Optional[str] = None

    def __init__(self, error: Optional[str] = None, message: Optional[str] = None, **context: Any) -> None:
        reason = shortened(": ".join(part for part in (error, message) if part))
        super().__init__(f"the run failed: {reason}" if reason else "the run failed; the server did not say why", **context)
        self.error = error
        self.message = message


class RunCancelledError(RunError):
    """The run was cancelled before it ended; ``values`` is what it had produced.

    >>> str(RunCancelledError("the run was cancelled", run_id="1f0c"))
    'the run was cancelled (run 1f0c)'
    """


class RunTimedOutError(RunError):
    """The server stopped the run because it took longer than the server allows. This is not the ``timeout`` of the call.

    >>> isinstance(RunTimedOutError("the server stopped the run"), TimeoutError)
    False
    """
