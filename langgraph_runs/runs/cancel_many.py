"""``cancel_many``: one request where the server has the route, else one request for each run."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional

from .. import api
from ..call import Scope, may_lack_route, states_absence
from ..errors import APIStatusError, LangGraphRunsError, NotFoundError
from ..http import CommonOptions, Transport

__all__ = ["cancel_runs"]


def cancel_runs(
    transport: Transport, scope: Scope, options: CommonOptions, *, selection: Mapping[str, Any], action: str
) -> Optional[List[str]]:
    """Cancel the runs of a *selection* (see `api.cancel_runs`).

    Return None if the server has cancelled them with one request, and does not say which; else the ids of those that were found.
    """
    try:
        api.cancel_runs(transport, scope, options, selection=selection, action=action)
        return None
    except APIStatusError as error:
        if not may_lack_route(error) or states_absence(error):
            raise
        if "run_ids" not in selection:
            raise _without_route(error) from error
        found = _cancel_each(transport, scope, options, selection["thread_id"], selection["run_ids"], action)
        if not found:
            raise
        return found


def _cancel_each(
    transport: Transport, scope: Scope, options: CommonOptions, thread_id: str, run_ids: List[str], action: str
) -> List[str]:
    """Cancel each run that exists and has not ended, and return the ids of these."""
    found: List[str] = []
    for run_id in run_ids:
        try:
            api.cancel_run(transport, scope, thread_id, run_id, options, action=action)
            found.append(run_id)
        except NotFoundError:
            continue
        except LangGraphRunsError as error:
            if found:
                error._text += f"; cancelled before: {', '.join(found)}"
            raise
    return found


def _without_route(error: APIStatusError) -> APIStatusError:
    """Return an error that is no `NotFoundError`: a route that does not exist does not say that no run matches."""
    message = f"the server may not be able to cancel runs by their status ({error.message}): give thread_id and run_ids"
    return error._restated(APIStatusError, message)
