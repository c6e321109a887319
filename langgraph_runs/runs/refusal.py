"""What a refused start means: servers refuse a run on a busy thread with 409 or 422, and some an unknown thread with 422 too."""

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


@contextlib.contextmanager
def explained_refusals(transport: Transport, scope: Scope, thread_id: Optional[str], options: CommonOptions) -> Iterator[None]:
    """Raise `ConflictError` or `NotFoundError` instead of a 422 if the thread is busy or unknown.

    The evidence is the thread itself: its status, its runs, or the server's statement that it does not exist. If it shows neither,
    the error stays as it is.
    """
    try:
        yield
    except UnprocessableEntityError as error:
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
