"""Errors that are caught under the names of the official SDK.

An error that leaves the client of this package has the class that `langgraph_runs.Client` raises, the class of that name in
``langgraph_sdk.errors``, and, for a broken connection, the class of httpx that the SDK lets through. If the SDK is not installed,
classes of the same names take the place of the SDK's.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import types
from typing import Any, Dict, Hashable, Iterator, Mapping, Optional, Tuple, Type, cast

from .. import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    DeadlineExceededError,
    LangGraphRunsError,
    ResponseDecodeError,
)

__all__ = ["installed", "restated", "sdk_class", "translated"]

_STATUS_NAMES = (
    "BadRequestError",
    "AuthenticationError",
    "PermissionDeniedError",
    "NotFoundError",
    "ConflictError",
    "UnprocessableEntityError",
    "RateLimitError",
    "InternalServerError",
)
#: The classes of ``langgraph_sdk.errors``, each with its base class there.
_BASES: Dict[str, str] = {
    "APIError": "LangGraphError",
    "APIResponseValidationError": "APIError",
    "APIStatusError": "APIError",
    "APIConnectionError": "APIError",
    "APITimeoutError": "APIConnectionError",
    **dict.fromkeys(_STATUS_NAMES, "APIStatusError"),
}


@functools.cache
def installed(module: str) -> Optional[types.ModuleType]:
    """Return a module that may be missing, else None."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


@functools.cache
def sdk_class(name: str) -> Type[Exception]:
    """Return the class *name* of ``langgraph_sdk.errors``; if the SDK is not installed, a class of that name.

    >>> issubclass(sdk_class("NotFoundError"), sdk_class("APIStatusError"))
    True
    """
    errors = installed("langgraph_sdk.errors")
    if hasattr(errors, name):
        return cast(Type[Exception], getattr(errors, name))
    base = Exception if name == "LangGraphError" else sdk_class(_BASES[name])
    return type(name, (base,), {"__module__": "langgraph_runs.compat", "__doc__": f"``{name}`` of the official SDK."})


class _Restated:
    """What the SDK's errors have beside the attributes of the library."""

    def __reduce__(self) -> Tuple[Any, ...]:
        _, arguments = cast(Tuple[Any, ...], super().__reduce__())
        return _from_pickle, (type(self).__bases__[1], *arguments)

    @property
    def code(self) -> Optional[str]:
        """``code`` of the response's body, if it is text."""
        return self._of_body("code")

    @property
    def param(self) -> Optional[str]:
        """``param`` of the response's body, if it is text."""
        return self._of_body("param")

    @property
    def type(self) -> Optional[str]:
        """``type`` of the response's body, if it is text."""
        return self._of_body("type")

    def _of_body(self, name: str) -> Optional[str]:
        body = getattr(self, "body", None)
        found = body.get(name) if isinstance(body, dict) else None
        return found if isinstance(found, str) else None


class _RestatedStatus(_Restated):
    """An error of a response, which the SDK shows as an object of httpx."""

    @property
    def response(self) -> Any:
        """The response: an ``httpx.Response`` if httpx is installed, else an object with its status_code, headers and text."""
        error = cast(APIStatusError, self)
        text = error.body if isinstance(error.body, str) else ""
        httpx = installed("httpx")
        if httpx is None:
            return types.SimpleNamespace(status_code=error.status_code, headers=dict(error.headers), text=text)
        json = {} if error.body is None or isinstance(error.body, str) else {"json": error.body}
        content = {} if json else {"text": text}
        # The body is given decoded, so what the headers say about how it was sent is left out.
        headers = {name: value for name, value in error.headers.items() if not name.startswith(("content-", "transfer-"))}
        request = None if error.request is None else httpx.Request(error.request.method, error.request.url)
        return httpx.Response(error.status_code, headers=headers, request=request, **json, **content)


class _NoResponse:
    """Stands for the response that did not come: status 0, and false in a condition.

    The SDK's class for a broken connection is one of errors with a response, so that a clause for those may be the first to match.
    """

    status_code = 0
    text = reason_phrase = ""

    def __init__(self) -> None:
        self.headers: Dict[str, str] = {}

    def __bool__(self) -> bool:
        return False


class _RestatedConnection(_Restated):
    """An error without a response."""

    body = None

    @property
    def response(self) -> Any:
        """An object with status 0, which is false."""
        return _NoResponse()

    @property
    def message(self) -> str:
        """What happened, as text."""
        return str(self)


def _from_pickle(own_class: Type[LangGraphRunsError], text: str, attributes: Mapping[str, Any]) -> LangGraphRunsError:
    return restated(own_class._restored(text, attributes))


def restated(error: LangGraphRunsError) -> LangGraphRunsError:
    """Return *error*, which from now on is an instance of the SDK's class as well, if the SDK has one for it."""
    if not isinstance(error, _Restated):
        sent = error.sent if isinstance(error, APIConnectionError) else None
        found = _class_for(cast(Hashable, type(error)), sent)
        if found is not None:
            error.__class__ = found
    return error


@functools.cache
def _class_for(own_class: Any, sent: Optional[bool]) -> Any:
    if issubclass(own_class, APIStatusError):
        own: Any = _RestatedStatus
        others = [sdk_class(own_class.__name__ if own_class.__name__ in _BASES else "APIStatusError")]
    elif issubclass(own_class, ResponseDecodeError):
        own, others = _Restated, [sdk_class("APIResponseValidationError")]
    elif issubclass(own_class, APIConnectionError):
        timed_out = issubclass(own_class, APITimeoutError)
        own, others = _RestatedConnection, [sdk_class("APITimeoutError" if timed_out else "APIConnectionError")]
        httpx = installed("httpx")
        if httpx is not None and not issubclass(own_class, DeadlineExceededError):
            names = ("ConnectTimeout", "ReadTimeout") if timed_out else ("ConnectError", "RemoteProtocolError")
            others.append(getattr(httpx, names[0] if sent is False else names[1]))
    else:
        return None
    return type(own_class.__name__, (own, own_class, *others), {"__module__": own_class.__module__, "__doc__": own_class.__doc__})


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Restate the errors of the block."""
    try:
        yield
    except LangGraphRunsError as error:
        restated(error)
        raise
