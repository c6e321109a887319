"""``threads.prune``: one request where the server has the route, else one request for each thread."""

from __future__ import annotations

from typing import List, Sequence

from .. import api
from ..call import Scope, may_lack_route, states_absence
from ..errors import APIStatusError, LangGraphRunsError, NotFoundError
from ..http import CommonOptions, Transport
from ..models import ThreadsPruned

__all__ = ["prune_threads"]


def prune_threads(
    transport: Transport, scope: Scope, options: CommonOptions, *, thread_ids: Sequence[str], strategy: str
) -> ThreadsPruned:
    """Delete threads, or their older checkpoints (see `api.prune_threads`)."""
    if not thread_ids:
        return ThreadsPruned(pruned_count=0)
    try:
        return api.prune_threads(transport, scope, options, thread_ids=thread_ids, strategy=strategy)
    except APIStatusError as error:
        if not may_lack_route(error) or states_absence(error) or strategy != "delete":
            raise
        return _delete_each(transport, scope, options, thread_ids, error)


def _delete_each(
    transport: Transport, scope: Scope, options: CommonOptions, thread_ids: Sequence[str], refusal: APIStatusError
) -> ThreadsPruned:
    """Delete each thread that exists. Raise *refusal*, the first response, if none is found: it may have come from a gateway."""
    deleted: List[str] = []
    certain = True
    for thread_id in thread_ids:
        try:
            api.delete_thread(transport, scope, thread_id, options)
            deleted.append(thread_id)
        except NotFoundError as error:
            certain = certain and states_absence(error)
        except LangGraphRunsError as error:
            if deleted:
                error._text += f"; deleted before: {', '.join(deleted)}"
            raise
    if not deleted and not certain:
        raise refusal
    return ThreadsPruned(pruned_count=len(deleted))
