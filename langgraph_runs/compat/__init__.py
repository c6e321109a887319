"""For code that was written for the official SDK: a client whose responses are dicts and whose events are tuples as well.

Change ``from langgraph_sdk import get_sync_client`` to ``from langgraph_runs.compat import get_sync_client``. README.rst beside
this file says what stays as it was and what does not.

>>> client = get_sync_client(url="http://localhost:2024", api_key=None)
>>> client
Client('http://localhost:2024', api_key=None, timeout=None)
"""

from __future__ import annotations

import typing as _typing

from .._public import name_public as _name_public
from .client import SyncLangGraphClient, get_sync_client
from .errors import sdk_class as _sdk_class
from .records import Record
from .streams import StreamPart

if _typing.TYPE_CHECKING:
    from .. import (
        APIConnectionError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        ConflictError,
        InternalServerError,
        NotFoundError,
        PermissionDeniedError,
        RateLimitError,
        UnprocessableEntityError,
    )
    from .. import LangGraphRunsError as APIError
    from .. import LangGraphRunsError as LangGraphError
    from .. import ResponseDecodeError as APIResponseValidationError

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "ConflictError",
    "InternalServerError",
    "LangGraphError",
    "NotFoundError",
    "PermissionDeniedError",
    "RateLimitError",
    "Record",
    "StreamPart",
    "SyncLangGraphClient",
    "UnprocessableEntityError",
    "get_sync_client",
]

_name_public(__name__, [Record, StreamPart, SyncLangGraphClient])


def __getattr__(name: str) -> _typing.Any:
    # The names of errors are looked up when they are used, since finding the SDK's own classes imports the SDK.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _sdk_class(name)
