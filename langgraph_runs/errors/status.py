"""Errors of requests to which the server responded with a status that is not a success."""

from typing import Any, Dict, Mapping, Optional, Type, TypeVar

from .root import NOTHING, LangGraphRunsError, shortened

__all__ = [
    "APIStatusError",
    "AuthenticationError",
    "BadRequestError",
    "ConflictError",
    "InternalServerError",
    "NotFoundError",
    "PermissionDeniedError",
    "RateLimitError",
    "UnprocessableEntityError",
    "status_error",
]

S = TypeVar("S", bound="APIStatusError")


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
    headers: Mapping[str, str] = NOTHING
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
