"""Errors of requests to which no usable response came: it is missing, late, incomplete or not the API's."""

from typing import Any, Optional, Sequence, Tuple

from .root import LangGraphRunsError, shortened

__all__ = [
    "APIConnectionError",
    "APITimeoutError",
    "CreateUncertainError",
    "DeadlineExceededError",
    "OutageError",
    "ResponseDecodeError",
    "StreamInterruptedError",
]


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
