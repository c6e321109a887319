"""Creates a cron once. After a failure that leaves open whether it exists, looks it up, and never sends the create again."""

from __future__ import annotations

from typing import Any, Dict, Optional

from .. import api
from ..call import Execution, Scope, at_moments, execution_of
from ..errors import APIConnectionError, APIStatusError, LangGraphRunsError
from ..http import CommonOptions, Transport
from ..models import Cron
from .create_once import SETTLING, uncertain_error
from .request_marker import RequestMarker

__all__ = ["create_cron"]

#: Crons that are requested in a look-up: more than one only if the server does not filter by metadata.
_FEW = 100


def create_cron(transport: Transport, scope: Scope, thread_id: Optional[str], body: Dict[str, Any], options: CommonOptions) -> Cron:
    """Create a cron. Its *body* gets a marker, by which it is found if the response is lost; its runs inherit the marker.

    Raise `CreateUncertainError` if it is not found then. That proves nothing: a server need not show all crons, and may execute a
    request late. A cron that is created twice would start each of its runs twice, so that the create is not repeated.
    """
    marker = RequestMarker.new(options.headers)
    marker.write_to(body)
    request = api.create_cron_request(thread_id, body, options, headers=marker.headers)
    try:
        return api.created_cron(transport.call(request, scope))
    except (APIConnectionError, APIStatusError) as error:
        if execution_of(error) is not Execution.UNKNOWN:
            raise
        scope.check(error)
        lost = error
    try:
        # Not within the block above: what fails in a look-up would have the first error as its context.
        return _look_up(transport, scope, marker, options, lost)
    finally:
        del lost  # this frame is in the traceback of the error


def _look_up(transport: Transport, scope: Scope, marker: RequestMarker, options: CommonOptions, lost: LangGraphRunsError) -> Cron:
    """Return the cron of a create whose response was lost. Raise `CreateUncertainError` if it is not found."""
    attempts, why = scope.attempts, "no cron was found that has the id of the request"
    try:
        found = _find(transport, scope, marker, options)
        if found is not None:
            return found
    except LangGraphRunsError as second:
        scope.check(second)
        why = f"looking it up failed ({second})"
    finally:
        scope.attempts = attempts  # the requests of the look-up have counted theirs
    try:
        raise uncertain_error(why, lost, marker, scope, what="the cron")
    finally:
        del lost


def _find(transport: Transport, scope: Scope, marker: RequestMarker, options: CommonOptions) -> Optional[Cron]:
    for _ in at_moments(scope, SETTLING):
        found = api.search_marked_crons(transport, scope, marker.value, options.headers_only, limit=_FEW)
        if found:
            return found[0]
    return None
