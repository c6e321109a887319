"""`RunStore`: the state of a fake LangGraph server (threads, their states, runs and events), and the life of its runs.

Each run is executed in an operating-system thread of its own. Paths and status codes are in `FakeLangGraph`.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Optional

from ..streaming import mode_of
from .dialect import Dialect
from .fake_run import FakeRun, GraphFailure, LoggedEvent, Paused, Program, RunWasCancelled, Stopped
from .loopback_server import LoopbackServer, Request
from .server_json import assistant_id_of, is_id, new_id, now, run_json, state_json, thread_json

__all__ = ["RunStore"]

#: The beginnings of the names of events that the real server does not keep, so that they are never replayed.
NOT_KEPT = ("error", "feedback", "messages/")
#: The error of a thread whose run was cancelled.
_CANCELLED = {
    "error": "UserInterrupt",
    "message": "interrupt requested via POST /threads/{thread_id}/runs/{run_id}/cancel",
}
_TIMED_OUT = {"error": "TimeoutError", "message": ""}


class RunStore(LoopbackServer):
    """Threads and runs in memory. Every run executes *program*."""

    takes_broken_requests = True

    def __init__(self, program: Program, dialect: Optional[Dialect] = None, *, seed: Any = 0) -> None:
        self.dialect = dialect or Dialect()
        self.program = program
        #: All runs, in the order in which they were created; deleted ones too.
        self.created: list[FakeRun] = []
        #: The runs that were not deleted, by id.
        self.runs: dict[str, FakeRun] = {}
        #: The threads that were not deleted, by id, as JSON.
        self.threads: dict[str, dict[str, Any]] = {}
        #: The states of each thread, oldest first.
        self.states: dict[str, list[dict[str, Any]]] = {}
        #: For each event stream that is opened, in order: after how many events it breaks, and how:
        #: ``fin``, ``rst``, ``stall``, or ``end`` for a response that ends normally before the run has ended.
        self.cuts: Iterator[tuple[int, str]] = iter(())
        #: How many event streams have finished their replay and get new events.
        self.listeners = 0
        #: When the server was started.
        self.since = now()
        self._random = random.Random(seed)
        self._clock, self._left, self._number = 1_795_224_633_885, 0, 0
        super().__init__()

    @property
    def url(self) -> str:
        """The base URL for a client."""
        return self.origin + self.dialect.prefix

    def forget_events(self) -> None:
        """Delete the events that are kept for replay, as a restart of the server does."""
        with self._changed:
            for run in self.runs.values():
                run.log = [LoggedEvent(e.name, e.data, e.id, False) for e in run.log]

    def close(self) -> None:
        """Cancel every run, and end every connection and thread."""
        with self._changed:
            for run in self.runs.values():
                run.cancelled.set()
            self._changed.notify_all()
        super().close()

    def add_thread(
        self,
        thread_id: Optional[str] = None,
        *,
        metadata: Optional[Mapping[str, Any]] = None,
        values: Any = None,
    ) -> dict[str, Any]:
        """Add a thread without a request, as if it existed before the test; with *values* it has a state. Return its JSON."""
        with self._changed:
            thread = thread_json(thread_id=thread_id, metadata=metadata)
            self.threads[thread["thread_id"]] = thread
            if values is not None:
                self.write_state(thread["thread_id"], values, source="update")
            return thread

    def write_state(self, thread_id: str, values: Any, *, source: str = "loop", run: Optional[FakeRun] = None, **more: Any) -> Any:
        """Add a state to the thread's history, and set the thread's values; return the state."""
        states = self.states.setdefault(thread_id, [])
        metadata = {"source": source, **self.ids_of(run)} if run else {"source": source}
        state = state_json(thread_id=thread_id, values=values, metadata=metadata, parent=states[-1] if states else None, **more)
        states.append(state)
        moment = now()
        self.threads[thread_id].update(values=values, updated_at=moment, state_updated_at=moment)
        self.threads[thread_id]["config"] = {"configurable": {}}
        return state

    def ids_of(self, run: FakeRun) -> dict[str, Any]:
        """Return the metadata of a checkpoint that names the run which wrote it."""
        return {**self.metadata_of(run), "run_id": run.run_id, "langgraph_request_id": run.request_id}

    def graph_of(self, assistant_id: str) -> str:
        """Return the name of an assistant's graph; ``agent`` if it is not known."""
        if not is_id(assistant_id):
            return assistant_id
        names = {"agent"} | {run.assistant_id for run in self.created}
        return next((name for name in sorted(names) if assistant_id_of(name) == str(uuid.UUID(assistant_id))), "agent")

    def metadata_of(self, run: FakeRun) -> dict[str, Any]:
        """Return the metadata of a run, merged as the server does it."""
        thread = self.threads.get(run.thread_id, {}).get("metadata", {})
        configured = (run.body.get("config") or {}).get("metadata") or {}
        own = {"graph_id": self.graph_of(run.assistant_id), "assistant_id": assistant_id_of(run.assistant_id)}
        return {"created_by": "system", **thread, **own, **configured, **(run.body.get("metadata") or {})}

    def run_json(self, run: FakeRun) -> dict[str, Any]:
        """Return the run as JSON, with its current status."""
        return run_json(
            run_id=run.run_id,
            thread_id=run.thread_id,
            assistant_id=run.assistant_id,
            graph_id=self.graph_of(run.assistant_id),
            status=run.status,
            body=run.body,
            metadata=self.metadata_of(run),
            request_id=run.request_id,
            temporary=run.temporary,
            resumable=run.resumable,
            created_at=run.created_at.isoformat(timespec="microseconds"),
            updated_at=(run.updated_at or run.created_at).isoformat(timespec="microseconds"),
        )

    # -- the life of a run

    def begin(self, request: Optional[Request], thread_id: Optional[str], body: dict[str, Any], program: Program) -> FakeRun:
        """Create a run, on a new thread if *thread_id* is None; it begins when the earlier runs of the thread have ended."""
        metadata = {**((body.get("config") or {}).get("metadata") or {}), **(body.get("metadata") or {})}
        temporary = thread_id is None
        if thread_id is None:
            thread_id = new_id()
        if thread_id not in self.threads:
            self.threads[thread_id] = thread_json(thread_id=thread_id, metadata=metadata)
        name = str(body.get("assistant_id"))
        named = {"graph_id": self.graph_of(name), "assistant_id": assistant_id_of(name)}
        sent = request.header("x-request-id") if request is not None and self.dialect.keeps_request_id else None
        delay = timedelta(seconds=body.get("after_seconds") or 0)
        run = FakeRun(
            self,
            new_id(),
            thread_id,
            body,
            sent or str(uuid.uuid4()),
            datetime.now(timezone.utc) + delay,
            temporary,
            request,
        )
        before = self.unfinished(thread_id)
        self.created.append(run)
        self.runs[run.run_id] = run
        thread = self.threads[thread_id]
        thread.update(status="busy", metadata={**thread["metadata"], **named}, updated_at=now())
        self._start(self._execute, f"run-{len(self.created)}", run, before, program)
        return run

    def unfinished(self, thread_id: str) -> list[FakeRun]:
        """Return the runs of a thread that have not ended, oldest first."""
        return [run for run in self.runs.values() if run.thread_id == thread_id and not run.done]

    def _execute(self, run: FakeRun, before: list[FakeRun], program: Program) -> None:
        start = run.created_at.timestamp()
        with self._changed:
            while not run.cancelled.is_set():
                delay = start - time.time()
                if delay <= 0 and all(other.done for other in before):
                    run.status = "running"
                    self.threads.get(run.thread_id, {}).pop("error", None)
                    break
                self._changed.wait(min(delay, 1.0) if delay > 0 else None)
            self._changed.notify_all()
        try:
            run.emit("metadata", {"run_id": run.run_id, "attempt": 1})
            outcome = program(run)
            if not isinstance(outcome, (Paused, Stopped)):
                json.dumps(outcome, allow_nan=False)  # values that are not JSON are a failure of the program
        except RunWasCancelled:
            outcome = Stopped("interrupted")
        except GraphFailure as failure:
            outcome = failure
        except Exception as error:
            self.fail(f"the program of run {run.run_id} failed: {error!r}")
            outcome = GraphFailure(type(error).__name__, str(error))
        self._end_run(run, outcome)

    def _end_run(self, run: FakeRun, outcome: Any) -> None:
        node = (run.node,)
        so_far = {} if run.values is None else run.values
        if isinstance(outcome, GraphFailure):
            error: Any = {"error": outcome.error, "message": outcome.message}
            if self.dialect.errors == "bare":
                error = str(outcome)
            self.log_event(run, "error", error)
            text = f"{outcome.error}({outcome.message!r})"
            self._finish(run, "error", "error", {"__error__": error}, so_far, error=error, next=node, task_error=text)
        elif isinstance(outcome, Stopped) and outcome.status == "timeout":
            self._finish(run, "timeout", "error", so_far, so_far, error=_TIMED_OUT, next=node)
        elif isinstance(outcome, Stopped):
            self._finish(run, outcome.status, "interrupted", so_far, so_far, error=_CANCELLED, next=node)
        elif isinstance(outcome, Paused):
            interrupts = [{"response_schema": None, **one} if isinstance(one, dict) else one for one in outcome.interrupts]
            result = {**(outcome.values or {}), "__interrupt__": interrupts} if interrupts else outcome.values
            self._finish(run, "success", "interrupted", result, outcome.values, interrupts=outcome.interrupts, next=outcome.next)
        else:
            self._finish(run, "success", "idle", outcome, outcome)

    def _finish(
        self,
        run: FakeRun,
        status: str,
        thread_status: str,
        result: Any,
        values: Any,
        *,
        error: Any = None,
        interrupts: Any = (),
        next: tuple[str, ...] = (),
        task_error: Optional[str] = None,
    ) -> None:
        with self._changed:
            run.result, run.ended = result, True
            # the event ``end`` is sent before the status changes
            if self.dialect.end_event:
                self.log_event(run, "end", None)
            if not run.done:
                run.status = status
            if run.cancelled_by is None:
                run.updated_at = datetime.now(timezone.utc)
                self._write_result(run, thread_status, values, error, interrupts, next, task_error)
            if run.temporary and run.body.get("on_completion") != "keep":
                self.runs.pop(run.run_id, None)
                self.threads.pop(run.thread_id, None)
                self.states.pop(run.thread_id, None)
            self._changed.notify_all()

    def _write_result(
        self,
        run: FakeRun,
        thread_status: str,
        values: Any,
        error: Any,
        interrupts: Any,
        next: tuple[str, ...],
        task_error: Optional[str] = None,
    ) -> None:
        """Write the state and status of a run that has ended to its thread."""
        if run.thread_id not in self.threads:
            return
        task_id, kept = str(uuid.uuid4()), [_without_schema(one) for one in interrupts]
        self.write_state(run.thread_id, values, run=run, next=next, error=task_error, interrupts=kept, task_id=task_id)
        # a run that was deleted goes on, and writes the state of the thread, but not its status
        if run.run_id in self.runs:
            thread = {"error": error, "interrupts": {task_id: kept} if kept else {}}
            self.threads[run.thread_id].update(status=thread_status, **thread)

    def cancel_run(self, run: FakeRun, action: str = "interrupt") -> None:
        """Cancel a run, as the endpoint does; with the *action* ``rollback``, delete it too. Does nothing if it has ended."""
        with self._changed:
            if run.done:
                return
            began, run.status = run.status == "running", "interrupted"
            run.cancelled_by = action
            run.updated_at = datetime.now(timezone.utc)
            run.cancelled.set()
            if run.thread_id in self.threads:
                self.threads[run.thread_id]["status"] = "idle" if action == "rollback" else "interrupted"
            if action == "rollback":
                self.runs.pop(run.run_id, None)
            elif began:
                # written at once, so that a test need not wait; the real server writes it when the run has stopped
                self._write_result(run, "interrupted", {} if run.values is None else run.values, _CANCELLED, (), (run.node,))
            self._changed.notify_all()

    def log_event(self, run: FakeRun, name: str, data: Any) -> None:
        """Give an event its id and send it to all connections that stream the run, if its mode was requested."""
        modes = run.body.get("stream_mode") or ["values"]
        requested = {m.replace("messages-tuple", "messages") for m in ([modes] if isinstance(modes, str) else modes)}
        if mode_of(name) not in {*requested, "metadata", "error", "end", "feedback"}:
            return
        with self._changed:
            kept = run.resumable and run.keeps_events and not name.startswith(NOT_KEPT)
            run.log.append(LoggedEvent(name, data, self._next_id() if run.resumable else None, kept))
            self._changed.notify_all()

    def _next_id(self) -> str:
        self._number += 1
        if self._left == 0:
            self._clock += self._random.randint(1, 3)
            self._left = self._random.randint(1, self.dialect.siblings)
        self._left -= 1
        if self.dialect.ids == "ms":
            return f"{self._clock}-0"
        if self.dialect.ids == "ms-seq":
            return f"{self._clock}-{self._number}"
        return str(self._number) if self.dialect.ids == "int" else str(uuid.UUID(int=self._random.getrandbits(128)))

    def is_over(self, run: FakeRun) -> bool:
        """Return True if there will be no more events: the run has ended, or was deleted."""
        return run.done or run.run_id not in self.runs


def _without_schema(interrupt: Any) -> Any:
    return {k: v for k, v in interrupt.items() if k != "response_schema"} if isinstance(interrupt, dict) else interrupt
