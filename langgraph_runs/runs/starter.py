"""Starts runs on one server and waits for them. Used by ``client.runs`` and by the task runners of a map."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Callable, Mapping, Optional, TypeVar, Union

import attrs

from .. import api
from ..call import Scope, states_absence, states_no_route
from ..errors import (
    APIStatusError,
    CreateUncertainError,
    DeadlineExceededError,
    InternalServerError,
    NotFoundError,
    ResponseDecodeError,
)
from ..http import Request, Response, Transport
from ..models import Run, RunOutcome
from ..server_traits import ServerTraits
from .create_once import RunCreator
from .idempotency_key import is_replayed
from .keyed_start import KeyedStart
from .outcome import RunOutcomes
from .own_thread import Disposal, OwnThreads
from .refusal import explained_refusals
from .run_lookup import RecoveredRun
from .start import PreparedStart
from .wait import RunWaiter

if TYPE_CHECKING:
    from ..http import ByteStream

__all__ = ["RunStarter"]

#: The response to a create: read, or still open.
R = TypeVar("R", "Response", "ByteStream")


class RunStarter:
    """Sends the requests that start runs, each once, and waits for the end of runs."""

    def __init__(self, transport: Transport, traits: Optional[ServerTraits] = None, *, repeat_refused: bool = True) -> None:
        self.transport = transport
        self.traits = traits if traits is not None else ServerTraits()
        self.outcomes = RunOutcomes(transport)
        self.creator = RunCreator(transport, self.traits, repeat_refused=repeat_refused)
        self.waiter = RunWaiter(transport, self.outcomes)
        self.own_threads = OwnThreads(transport, self.outcomes)

    def create(self, start: PreparedStart, scope: Scope) -> Run:
        """Create a run and return it. Does not wait for its end."""
        created = self._send(start, scope, recover=True)
        if isinstance(created, RecoveredRun):
            run = self._fetch(created, start, scope)
        else:
            run = self._created(created, start, scope)
            if start.key is not None and is_replayed(created.headers):
                run = attrs.evolve(run, replayed=True)
        start.report(run.run_id, run.thread_id or None)
        return run

    def wait(self, start: PreparedStart, scope: Scope) -> RunOutcome:
        """Start a run, wait until it has ended, and return its outcome. A broken connection is replaced by a join.

        If the library made the thread, it is deleted when the run has ended for good.
        """
        outcome = self._wait(start, scope)
        return self.finish(start, outcome, scope) or outcome

    def result_of(self, start: PreparedStart, scope: Scope, options: Mapping[str, Any]) -> Any:
        """Wait as `wait` does, and return what the caller chose: the values or the outcome. Raise the error of a run that failed.

        When the time is over, cancel the run if the caller chose ``on_timeout="cancel"``.
        """
        try:
            outcome = self.wait(start, scope)
            return self.waiter.result_of(outcome, scope, options, pause_known=start.disposal is not Disposal.KEEP)
        except DeadlineExceededError as error:
            if options.get("on_timeout") != "cancel" or start.disposal is Disposal.KEEP:
                self.waiter.raise_late(error, scope, options, lambda late: self.find(start, late))
            self.own_threads.cancel_late(start.plan)
            raise

    def finish(self, start: PreparedStart, outcome: Optional[RunOutcome], scope: Scope) -> Optional[RunOutcome]:
        """Delete the thread of *start* if the library made it and its run has ended. Return *outcome* with any pause found.

        Blocks for a short time; raises nothing.
        """
        options = start.options
        return self.own_threads.finish(start.plan, outcome, scope, options=options.headers_only, signal=options.signal)

    def _wait(self, start: PreparedStart, scope: Scope) -> RunOutcome:
        if start.key is not None:
            run = self.create(start, scope)
            outcome = self.waiter.join(run.thread_id, run.run_id, scope, start.options.headers_only, started=True)
            return attrs.evolve(outcome, run=outcome.run and attrs.evolve(outcome.run, replayed=run.replayed))
        if start.thread_id is not None and self.traits.names_run_in_wait is False and start.survives_disconnect:
            return self._create_and_join(start, scope)

        def find() -> Optional[Run]:
            return self._find_after_wait(start, scope)

        try:
            first = self._send(start, scope, recover=start.survives_disconnect)
        except APIStatusError as error:
            if start.thread_id is not None and states_no_route(error):
                return self._wait_without_route(start, scope)
            if not isinstance(error, InternalServerError):
                raise
            # Some servers respond to a wait with status 500 if the run fails.
            failed = self._run_after_500(start, error, scope)
            if failed is None:
                raise
            first = RecoveredRun(failed.run_id, failed.thread_id, failed)
        if isinstance(first, RecoveredRun):
            scope.note_run(run_id=first.run_id, thread_id=first.thread_id)
            start.report(first.run_id, first.thread_id)
        elif start.thread_id is not None and scope.run_id is not None:
            self.traits.names_run_in_wait = True
        # The server deletes the thread of a run only if the caller named none and left it to the server.
        started = start.thread_id is not None
        outcome = self.waiter.finish(first, scope, options=start.options, find=find, started=started)
        if outcome.run is not None:
            self.traits.note_strategy(outcome.run.multitask_strategy)
        return outcome

    def _create_and_join(self, start: PreparedStart, scope: Scope) -> RunOutcome:
        """Create the run of a wait, and join it."""
        run = self.create(attrs.evolve(start, request=api.create_instead_of_wait(start.request)), scope)
        return self.waiter.join(run.thread_id, run.run_id, scope, start.options.headers_only, started=True)

    def _wait_without_route(self, start: PreparedStart, scope: Scope) -> RunOutcome:
        """Create the run of a wait and join it, on a server that may have no route for a wait.

        A gateway may have sent the 404, after it has passed the wait on: then the run is there.
        """
        run = self._find_after_wait(start, scope)
        if run is not None:
            return self.waiter.join(run.thread_id, run.run_id, scope, start.options.headers_only, started=True)
        outcome = self._create_and_join(start, scope)
        self.traits.names_run_in_wait = False
        return outcome

    def find(self, start: PreparedStart, scope: Scope) -> Optional[Run]:
        """Return the run of *start*, which may have been created, if it is on its thread; None if it cannot be found."""
        found = self.creator.find(start.thread_id, start.marker, scope)
        if found is None and start.own_thread and start.thread_id is not None:
            return self.outcomes.only_run(start.thread_id, scope)
        return found

    def _find_after_wait(self, start: PreparedStart, scope: Scope) -> Optional[Run]:
        """Return the run of a wait whose response did not name it."""
        if start.thread_id is None:
            return None
        # Also if the run is not found: the next wait then knows its run from the beginning.
        self.traits.names_run_in_wait = False
        found = self.find(start, scope)
        if found is not None:
            start.report(found.run_id, found.thread_id)
        return found

    def _run_after_500(self, start: PreparedStart, error: InternalServerError, scope: Scope) -> Optional[Run]:
        """Return the run of a wait to which the server responded with status 500, if there is one; else None."""
        if error.status_code != 500 or start.thread_id is None:
            return None
        thread_id, run_id = start.thread_id, api.ids_from(error.headers).run_id
        if run_id is None:
            return scope.unless_failed(lambda: self.find(start, scope), None)
        return scope.unless_failed(lambda: self.outcomes.run(thread_id, run_id, scope), None)

    def open(self, start: PreparedStart, scope: Scope) -> Union[ByteStream, RecoveredRun]:
        """Start a run for a stream and return the open response, or the run if the response was lost."""
        return self._start(self.creator.open_once, start, scope, recover=start.survives_disconnect)

    def _send(self, start: PreparedStart, scope: Scope, *, recover: bool) -> Union[Response, RecoveredRun]:
        # With a key, the run of the response may be removed again, and must not be reported before that is known.
        on_headers = start.note_headers(scope) if start.key is None else None
        return self._start(functools.partial(self.creator.send_once, on_headers=on_headers), start, scope, recover=recover)

    def _start(
        self, send: Callable[..., Union[R, RecoveredRun]], start: PreparedStart, scope: Scope, *, recover: bool
    ) -> Union[R, RecoveredRun]:
        """Create the run with *send*, a method of the creator. With an idempotency key, find it if it exists."""
        scope.note_run(thread_id=start.thread_id)

        def send_once(request: Request, repeats: bool) -> Union[R, RecoveredRun]:
            with explained_refusals(self.transport, scope, start.thread_id, start.options):
                return send(
                    request,
                    scope,
                    thread_id=start.thread_id,
                    marker=start.marker,
                    recover=recover,
                    own_thread=start.own_thread,
                    repeats=repeats,
                )

        if start.key is None:
            try:
                return send_once(start.request, True)
            except NotFoundError as error:
                if not (start.own_thread and states_absence(error) and "assistant" not in error.message.lower()):
                    raise
            # The server does not create threads with their runs.
            metadata = api.metadata_of_start(start.request)
            api.create_thread(self.transport, scope, start.options.headers_only, thread_id=start.thread_id, metadata=metadata)
            return send_once(start.request, True)
        keyed: KeyedStart[R] = KeyedStart(
            self.transport, self.traits, start, scope, send_once, repeat_refused=self.creator.repeat_refused
        )
        return keyed.run()

    def _created(self, response: Response, start: PreparedStart, scope: Scope) -> Run:
        """Return the run that *response* names or, if it does not name it, the run that has the marker of the create."""
        try:
            row = api.created_run(response, start.thread_id)
        except ResponseDecodeError as error:
            scope.identify(error)
            message = f"the run may exist: {error._text}"
            found = self.creator.find(start.thread_id, start.marker, scope)
            if found is not None:
                return found
            if error.sent is not None:
                error._text = message
                raise
            uncertain = CreateUncertainError(message, request_id=start.marker.request_id, request=error.request)
            raise scope.identify(uncertain) from error
        row.note_in(self.traits, shows_marker=start.marker.is_shown_by(row))
        return row.run

    def _fetch(self, found: RecoveredRun, start: PreparedStart, scope: Scope) -> Run:
        scope.note_run(run_id=found.run_id, thread_id=found.thread_id)
        if found.run is not None:
            return attrs.evolve(found.run, replayed=found.replayed)
        if found.thread_id is None:
            message = "the run was created, but its response was lost before it named the run's thread"
            raise scope.identify(CreateUncertainError(message, sent=True, request_id=start.marker.request_id))
        return self.outcomes.run(found.thread_id, found.run_id, scope)
