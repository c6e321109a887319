"""Starts runs on one server and waits for them: what `client.runs` and the workers of a map share."""

from __future__ import annotations

from typing import Optional, Union

from ..call import Scope
from ..http import Response, Transport
from ..models import RunOutcome
from ..server_traits import ServerTraits
from .create_once import RecoveredRun, RunCreator
from .outcome import RunOutcomes
from .start import Start
from .wait import RunWaiter

__all__ = ["RunStarter"]


class RunStarter:
    """Sends the requests that start runs, each once, and waits for their end."""

    def __init__(self, transport: Transport, traits: Optional[ServerTraits] = None) -> None:
        self.transport = transport
        self.outcomes = RunOutcomes(transport)
        self.creator = RunCreator(transport, traits)
        self.waiter = RunWaiter(transport, self.outcomes)

    def send_once(self, start: Start, scope: Scope, *, recover: bool = True) -> Union[Response, RecoveredRun]:
        """Send the request of a create or a wait once; after a fault, look the run up where *recover* allows it."""
        scope.thread_id = start.thread_id
        return self.creator.once(
            lambda: self.transport.call(start.request, scope, once=True, on_headers=start.learn(scope)),
            request=start.request,
            thread_id=start.thread_id,
            ticket=start.ticket,
            scope=scope,
            adopt=recover,
        )

    def wait(self, start: Start, scope: Scope) -> RunOutcome:
        """Start a run and wait until it has ended, whatever happens to the connection."""
        first = self.send_once(start, scope, recover=start.payload.on_disconnect != "cancel")
        if isinstance(first, RecoveredRun):
            start.tell(first.run_id, first.thread_id)
        elif scope.run_id is None and self.transport.settings.verify_outcome:
            found = self.creator.look(start.thread_id, start.ticket, scope)  # its headers lack the ids
            if found is not None:
                scope.run_id = found.run_id
                start.tell(found.run_id, found.thread_id)
        return self.waiter.finish(first, scope, stateless=start.thread_id is None, headers=start.given.headers)
