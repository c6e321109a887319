"""What a refused start means, and what helps.

Servers refuse a run on a busy thread with 409 or 422, and some an unknown thread with 422 too. A server also refuses a webhook that
it does not call by its own settings, which the caller cannot see.
"""

from __future__ import annotations

import contextlib
import re
from typing import Iterator, Optional, Tuple, Type

from .. import api
from ..call import Scope, states_absence
from ..errors import (
    APIConnectionError,
    APIStatusError,
    ConflictError,
    NotFoundError,
    UnprocessableEntityError,
)
from ..http import CommonOptions, Transport
from ..models import UNFINISHED

__all__ = ["explained_refusals"]

#: The refusal may be about the thread. Most refusals with 422 are about a field, and need no further request.
_MAY_BE_BUSY = re.compile(r"thread|running|busy|conflict|in[- ]?flight|concurren", re.IGNORECASE)

#: What helps against the refusal of a webhook. The names are those of the Python server.
_WEBHOOK_REMEDY = (
    "; which addresses the server calls is a setting of the server: webhooks.url in its langgraph.json, "
    'for example {"webhooks": {"url": {"disable_loopback": false, "require_https": false}}} for development'
)


@contextlib.contextmanager
def explained_refusals(transport: Transport, scope: Scope, thread_id: Optional[str], options: CommonOptions) -> Iterator[None]:
    """Raise `ConflictError` or `NotFoundError` instead of a 422 if the thread is busy or unknown.

    The evidence is the thread itself: its status, its runs, or the server's statement that it does not exist. If it shows neither,
    the error stays as it is. The text of a refusal that names the webhook says which setting of the server decides about it.
    """
    try:
        yield
    except UnprocessableEntityError as error:
        if "webhook" in error.message.lower():
            error._text += _WEBHOOK_REMEDY
            raise
        if thread_id is None or not _MAY_BE_BUSY.search(error.message):
            raise
        attempts = scope.attempts
        try:
            cls, message = _explanation(transport, scope, error, thread_id, options.headers_only)
        finally:
            scope.attempts = attempts  # the requests above have counted theirs
        if cls is UnprocessableEntityError:
            raise
        raise scope.identify(error._restated(cls, message)) from error


def _explanation(
    transport: Transport, scope: Scope, error: UnprocessableEntityError, thread_id: str, options: CommonOptions
) -> Tuple[Type[APIStatusError], str]:
    """Return the class and the message of the error that the thread shows."""
    try:
        busy = api.get_thread(transport, scope, thread_id, options).status == "busy"
        for status in sorted(UNFINISHED):
            rows = () if busy else api.list_runs(transport, scope, thread_id, options, limit=1, status=status)
            busy = busy or any(run.status in UNFINISHED for run in rows)
        if busy:
            return ConflictError, error.message
    except NotFoundError as absent:
        if states_absence(absent):
            return NotFoundError, absent.message
    except (APIStatusError, APIConnectionError) as second:
        scope.check(second)
    return UnprocessableEntityError, error.message
