"""A small LangGraph server with a memory, whose habits a test can change.

It keeps threads, runs and the events of runs, and answers as the real server does, down to what is odd there: ids
that several events share, replay that repeats, failures with status 200. A `Dialect` is what other servers of the same
API do otherwise. What a run does is a function, its program; nothing here knows graphs.
"""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from http import HTTPStatus
from typing import Any, Callable, Optional, Union
from urllib.parse import parse_qs

from .replies import ASSISTANT_ID, Break, Item, Reply, chunked, event, heartbeat, reply, reply_json, run_headers, sse
from .scripted import Answer, LoopbackServer, Request

#: Events that the real server does not keep, so that they are never replayed.
NOT_KEPT = ("error", "feedback", "messages/")


@dataclass(frozen=True)
class Dialect:
    """How a server of this API may differ; the defaults are the real one's."""

    newline: str = "\r\n"
    #: ``ms``: ``<ms>-0``, shared by events of one millisecond, and resumed by ``>`` on strings. Unique and resumed by
    #: position: ``ms-seq`` (``<ms>-<n>``), ``int`` and ``uuid``.
    ids: str = "ms"
    #: With ``ms`` ids: how many events may share one, at most.
    siblings: int = 4
    #: Give ids to, and keep the events of, every run, not only of those made with ``stream_resumable``.
    always_resumable: bool = False
    #: Say ``event: end`` when a run is over.
    end_event: bool = False
    #: Send Location and Content-Location.
    locations: bool = True
    #: Where the API begins; not part of what Location says.
    prefix: str = ""
    #: Have the endpoints below ``/runs``.
    stateless: bool = True
    #: ``detail`` (``{"detail": text}``), ``error`` (``{"error": name, "message": text}``) or ``bare`` (a string).
    errors: str = "detail"
    #: Seconds between heartbeats on streams and newlines on waits; None for silence.
    heartbeat: Optional[float] = 5.0
    #: Keep the ``x-request-id`` of a create with the run.
    keeps_request_id: bool = True
    #: How many of the last replayed events a replay in mid-run repeats.
    overlap: int = 0
    #: Answer ``wait`` and ``join`` with ``{}`` however the run ended.
    empty_wait: bool = False
    #: Answer 404 when an unknown run is joined, where the real server answers 200 and says so inside.
    honest_join: bool = False


class GraphFailure(Exception):
    """Raised by a program: the run fails with this error and message."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(f"{error}: {message}")
        self.error, self.message = error, message


@dataclass(frozen=True)
class Paused:
    """Returned by a program: the run waits for a human; run status success, thread status interrupted."""

    values: Any
    interrupts: tuple[Any, ...] = ()


@dataclass(frozen=True)
class LoggedEvent:
    name: str
    data: Any
    id: Optional[str]
    kept: bool


class _Cancelled(Exception):
    pass


@dataclass(eq=False)
class FakeRun:
    """A run, as its program and the test see it."""

    server: FakeLangGraph
    run_id: str
    thread_id: str
    body: dict[str, Any]
    request_id: str
    created_at: datetime
    temporary: bool
    status: str = "pending"
    #: Everything that was emitted and that the run was asked to stream.
    log: list[LoggedEvent] = field(default_factory=list)
    #: What ``wait`` answers.
    result: Any = None
    #: Set when the run was cancelled, by whomever.
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def input(self) -> Any:
        return self.body.get("input")

    @property
    def done(self) -> bool:
        return self.status not in ("pending", "running")

    @property
    def resumable(self) -> bool:
        return bool(self.body.get("stream_resumable")) or self.server.dialect.always_resumable

    def emit(self, name: str, data: Any) -> None:
        """Send an event to all who listen, if the run was asked for its mode. Ends a cancelled run."""
        if self.cancelled.is_set():
            raise _Cancelled
        self.server.log_event(self, name, data)

    def wait(self, event: threading.Event) -> None:
        """Block until `event` is set. Ends a cancelled run."""
        while not event.wait(0.005):
            if self.cancelled.is_set():
                raise _Cancelled


Program = Callable[[FakeRun], Any]


def burst(run: FakeRun) -> Any:
    """Emit ``input["n"]`` numbered custom events, then the input as the final values. Fails where ``input["fail"]``."""
    asked = run.input or {}
    for i in range(asked.get("n", 0)):
        run.emit("custom", {"i": i})
    if "fail" in asked:
        raise GraphFailure("ValueError", asked["fail"])
    run.emit("values", asked)
    return asked


class FakeLangGraph(LoopbackServer):
    """The server. `program` is what every run does, on a thread of its own.

    ``with FakeLangGraph(burst, Dialect(newline="\\n", ids="uuid")) as server:``
    """

    takes_broken_requests = True

    def __init__(self, program: Program = burst, dialect: Optional[Dialect] = None, *, seed: Any = 0) -> None:
        self.dialect = dialect or Dialect()
        self.program = program
        #: All runs that were ever made, deleted ones too, in the order they were made.
        self.created: list[FakeRun] = []
        self.runs: dict[str, FakeRun] = {}
        self.threads: dict[str, dict[str, Any]] = {}
        #: For each event stream that is opened, in turn, after how many events it breaks, and how:
        #: ``fin``, ``rst``, ``stall``, or ``end`` for a clean end that means nothing.
        self.cuts: Iterator[tuple[int, str]] = iter(())
        #: How many event streams have come to live events, replay done.
        self.listeners = 0
        self._instead: list[tuple[str, str, Reply]] = []
        self._random = random.Random(seed)
        self._clock, self._left, self._number = 1_795_224_633_885, 0, 0
        super().__init__()

    @property
    def url(self) -> str:
        return self.origin + self.dialect.prefix

    def instead(self, method: str, path: str, reply: Reply) -> None:
        """Give `reply` to the next such request, and do nothing that it asks; several wait in line."""
        with self._changed:
            self._instead.append((method, path, reply))

    def forget_events(self) -> None:
        """Lose what was kept for replay, as a restart does."""
        with self._changed:
            for run in self.runs.values():
                run.log = [LoggedEvent(e.name, e.data, e.id, False) for e in run.log]

    def close(self) -> None:
        with self._changed:
            for run in self.runs.values():
                run.cancelled.set()
            self._changed.notify_all()
        super().close()

    def choose(self, method: str, path: str) -> Answer:
        return self._answer

    def _answer(self, request: Request) -> Reply:
        path = request.path
        with self._changed:
            for place, (method, wanted, reply_) in enumerate(self._instead):
                if (request.method, path) == (method, self.dialect.prefix + wanted):
                    del self._instead[place]
                    return reply_
        prefix = self.dialect.prefix
        if not path.startswith(prefix):
            return self._error(404, "Not Found")
        parts = path[len(prefix) :].strip("/").split("/")
        try:
            body = json.loads(request.body) if request.body else {}
        except ValueError:
            return self._error(422, "Invalid JSON in request body")
        with self._changed:
            return self._route(request, request.method, parts, body)

    def _route(self, request: Request, method: str, parts: list[str], body: Any) -> Reply:
        if parts[0] == "threads":
            if method == "POST" and parts[1:] == ["search"]:
                return self._search(body)
            if method == "POST" and len(parts) == 1:
                return self._create_thread(body)
            if len(parts) == 2:
                return self._thread(method, parts[1])
            if len(parts) > 2 and parts[2] == "runs":
                return self._thread_runs(request, method, parts[1], parts[3:], body)
        if parts[0] == "runs" and method == "POST" and self.dialect.stateless:
            if parts[1:] == ["cancel"]:
                return self._cancel_many(request, body)
            if parts[1:] == ["batch"]:
                runs = [self._create(request, None, one) for one in body]
                failed = [run for run in runs if isinstance(run, Reply)]
                return failed[0] if failed else reply_json(200, [self._run_json(r) for r in runs])
            if parts[1:] in ([], ["wait"], ["stream"]):
                return self._create_and(request, None, parts[1:], body)
        return self._error(404, "Not Found")

    def _thread_runs(self, request: Request, method: str, thread_id: str, rest: list[str], body: Any) -> Reply:
        if method == "POST" and rest in ([], ["wait"], ["stream"]):
            return self._create_and(request, thread_id, rest, body)
        if method == "GET" and not rest:
            if thread_id not in self.threads:
                return self._error(404, f"Thread with ID {thread_id} not found")
            return reply_json(200, self._list(thread_id, parse_qs(request.query)))
        run = self.runs.get(rest[0]) if rest else None
        if run is not None and run.thread_id != thread_id:
            run = None
        action = (method, *rest[1:])
        query = parse_qs(request.query)
        if action == ("GET", "stream"):
            if run is None:
                return self._unknown_run(sse(("error", _NOT_FOUND), newline=self.dialect.newline))
            return self._stream(run, request.header("Last-Event-ID"), query.get("stream_mode", [None])[-1])
        if action == ("GET", "join"):
            return self._wait(run) if run else self._unknown_run(reply_json(200, {"__error__": _NOT_FOUND}))
        if action == ("POST", "cancel"):
            if run is None or run.done:
                return self._error(404, "No matching runs to cancel." if run else "No runs found to cancel.")
            self._cancel(run, query.get("action", ["interrupt"])[-1])
            return reply_json(200, {}) if query.get("wait", ["0"])[-1] in ("1", "true") else reply(202)
        if run is None:
            return self._error(404, "Not Found" if method == "GET" else "Run not found")
        if action == ("GET",):
            return reply_json(200, self._run_json(run))
        if action == ("DELETE",):
            del self.runs[run.run_id]
            return reply(204)
        return self._error(405, "Method Not Allowed")

    def _create_and(self, request: Request, thread_id: Optional[str], rest: list[str], body: Any) -> Reply:
        run = self._create(request, thread_id, body)
        if isinstance(run, Reply):
            return run
        then = rest[0] if rest else None
        if then is None:
            answer = reply_json(200, self._run_json(run))
        elif then == "wait":
            answer = self._wait(run, body.get("on_disconnect"))
        else:
            answer = self._stream(run, None, None, fresh=True, on_disconnect=body.get("on_disconnect"))
        if self.dialect.locations:
            place = "join" if then == "wait" else then
            for name, value in run_headers(run.thread_id, run.run_id, then=place).items():
                answer = answer.with_header(name, value)
        return answer

    def _create(self, request: Request, thread_id: Optional[str], body: Any) -> Any:
        if "assistant_id" not in body:
            return self._error(422, '"assistant_id" is a required property')
        metadata = body.get("metadata") or {}
        temporary = thread_id is None
        if thread_id is None:
            thread_id = str(uuid.uuid4())
            self.threads[thread_id] = _new_thread(thread_id, metadata)
        elif thread_id not in self.threads:
            if body.get("if_not_exists") != "create":
                return self._error(404, "Thread or assistant not found.")
            self.threads[thread_id] = _new_thread(thread_id, metadata)
        busy = [r for r in self.runs.values() if r.thread_id == thread_id and not r.done]
        strategy = body.get("multitask_strategy", "enqueue")
        if busy and strategy == "reject":
            return self._error(409, "Thread is already running a task. Wait for it to finish or choose another strategy.")
        if strategy in ("interrupt", "rollback"):
            for other in busy:
                self._cancel(other, strategy)
        sent = request.header("x-request-id") if self.dialect.keeps_request_id else None
        delay = timedelta(seconds=body.get("after_seconds") or 0)
        run = FakeRun(
            self,
            str(uuid.uuid4()),
            thread_id,
            body,
            sent or str(uuid.uuid4()),
            datetime.now(timezone.utc) + delay,
            temporary,
        )
        self.created.append(run)
        self.runs[run.run_id] = run
        self.threads[thread_id]["status"] = "busy"
        self._start(self._execute, f"run-{len(self.created)}", run, [r for r in busy if not r.done])
        return run

    def _execute(self, run: FakeRun, before: list[FakeRun]) -> None:
        due = run.created_at.timestamp()
        with self._changed:
            while not run.cancelled.is_set():
                early = due - time.time()
                if early <= 0 and all(other.done for other in before):
                    run.status = "running"
                    self.threads.get(run.thread_id, {}).pop("error", None)
                    break
                self._changed.wait(min(early, 1.0) if early > 0 else None)
            self._changed.notify_all()
        try:
            run.emit("metadata", {"run_id": run.run_id, "attempt": 1})
            outcome = self.program(run)
        except _Cancelled:
            self._finish(run, "interrupted", "interrupted", _last_values(run))
        except GraphFailure as failure:
            told: Any = {"error": failure.error, "message": failure.message}
            if self.dialect.errors == "bare":
                told = str(failure)
            self.log_event(run, "error", told)
            self._finish(run, "error", "error", {"__error__": told}, error=told)
        except Exception as error:
            self.fail(f"the program of run {run.run_id} failed: {error!r}")
            self._finish(run, "error", "error", None)
        else:
            if isinstance(outcome, Paused):
                marked = {**(outcome.values or {}), "__interrupt__": list(outcome.interrupts)}
                result = marked if outcome.interrupts else outcome.values
                self._finish(run, "success", "interrupted", result, values=outcome.values)
            else:
                self._finish(run, "success", "idle", outcome, values=outcome)

    def _finish(self, run: FakeRun, status: str, thread_status: str, result: Any, **thread: Any) -> None:
        with self._changed:
            run.result = result
            # the run's own end comes before anybody can see that it has ended
            if self.dialect.end_event:
                self.log_event(run, "end", None)
            if not run.done:
                run.status = status
            if run.run_id in self.runs and run.thread_id in self.threads:
                self.threads[run.thread_id].update(thread, status=thread_status)
            if run.temporary and run.body.get("on_completion") != "keep":
                self.runs.pop(run.run_id, None)
                self.threads.pop(run.thread_id, None)
            self._changed.notify_all()

    def log_event(self, run: FakeRun, name: str, data: Any) -> None:
        """Give an event its id and hand it to all who listen."""
        modes = run.body.get("stream_mode") or ["values"]
        asked = {m.replace("messages-tuple", "messages") for m in ([modes] if isinstance(modes, str) else modes)}
        if _base(name) not in {*asked, "metadata", "error", "end", "feedback"}:
            return
        with self._changed:
            kept = run.resumable and not name.startswith(NOT_KEPT)
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

    def _stream(
        self,
        run: FakeRun,
        last_event_id: Optional[str],
        modes: Optional[str],
        *,
        fresh: bool = False,
        on_disconnect: Optional[str] = None,
    ) -> Reply:
        only = None if modes is None else json.loads(modes) if modes.startswith("[") else [modes]
        count, how = next(self.cuts, (-1, ""))
        # what was emitted until now is only told to who asks for it, and to who made the run
        start = 0 if fresh else len(run.log)

        def items() -> Iterator[Item]:
            left = count
            for one in self._listen(run, start, last_event_id, on_disconnect):
                if left == 0:
                    if how != "end":
                        yield Break(how)
                    return
                if not isinstance(one, LoggedEvent):
                    yield one
                elif only is None or _base(one.name) in only:
                    left -= 1
                    yield event(one.name, one.data, one.id, newline=self.dialect.newline)

        return replace(sse(), story="stream", items=items)

    def _listen(
        self, run: FakeRun, start: int, last_id: Optional[str], on_disconnect: Optional[str]
    ) -> Iterator[Union[LoggedEvent, bytes, None]]:
        """What one listener hears: kept events after `last_id`, then all that come, from `start` or from there."""
        if last_id is not None and last_id.strip():
            with self._changed:
                log, running = list(run.log), not run.done
            yield from (one for one in self._after(log, last_id) if one.kept)
            # the real server listens before it replays, and so repeats what came meanwhile
            start = max(0, len(log) - (self.dialect.overlap if running else 0))

        with self._changed:
            self.listeners += 1
            self._changed.notify_all()

        def news() -> bool:
            return len(run.log) > start or self._over(run)

        for beat in self._until(run, news, on_disconnect):
            if beat is not None:
                yield heartbeat(self.dialect.newline)
            with self._changed:
                new, over = run.log[start:], self._over(run)
            start += len(new)
            yield from new
            if over and not new:
                break
            yield None
        if not run.done:
            yield LoggedEvent("error", _NOT_FOUND, None, False)

    def _wait(self, run: FakeRun, on_disconnect: Optional[str] = None) -> Reply:
        late = run.done

        def items() -> Iterator[Item]:
            for beat in self._until(run, lambda: self._over(run), on_disconnect):
                yield beat
                if self._over(run):
                    break
            value = run.result if run.done else {"__error__": _NOT_FOUND}
            if late:
                # who comes late gets the state of the thread, whichever run made it
                thread = self.threads[run.thread_id]
                value = {"__error__": thread["error"]} if "error" in thread else thread["values"]
            yield json.dumps({} if self.dialect.empty_wait else value, ensure_ascii=False)

        return replace(chunked(), story="wait", items=items)

    def _over(self, run: FakeRun) -> bool:
        return run.done or run.run_id not in self.runs

    def _until(self, run: FakeRun, condition: Callable[[], bool], on_disconnect: Optional[str]) -> Iterator[Optional[bytes]]:
        """Come back whenever `condition` may hold: with a newline when a heartbeat is due, else with None.

        Never ends by itself. Where the listener leaves, it cancels the run if `on_disconnect` says so.
        """
        beat = time.monotonic()
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(condition, 0.02)
                due = self.dialect.heartbeat is not None and time.monotonic() - beat >= self.dialect.heartbeat
                beat = time.monotonic() if due else beat
                yield b"\n" if due else None
        finally:
            if on_disconnect == "cancel" and not run.done:
                with self._changed:
                    self._cancel(run, "interrupt")

    def _after(self, log: list[LoggedEvent], last_id: str) -> list[LoggedEvent]:
        if self.dialect.ids == "ms":
            return [one for one in log if one.id is not None and one.id > last_id]
        ids = [one.id for one in log]
        return log[ids.index(last_id) + 1 :] if last_id in ids else log

    def _cancel(self, run: FakeRun, action: str) -> None:
        if run.done:
            return
        run.status = "interrupted"
        run.cancelled.set()
        if run.thread_id in self.threads:
            self.threads[run.thread_id]["status"] = "idle" if action == "rollback" else "interrupted"
        if action == "rollback":
            del self.runs[run.run_id]
        self._changed.notify_all()

    def _cancel_many(self, request: Request, body: Any) -> Reply:
        action = parse_qs(request.query).get("action", ["interrupt"])[-1]
        if "status" in body:
            wanted = {"all": ("pending", "running")}.get(body["status"], (body["status"],))
            runs = [run for run in self.runs.values() if run.status in wanted]
        else:
            runs = [run for run in self.runs.values() if run.run_id in body.get("run_ids", ()) and not run.done]
        for run in runs:
            self._cancel(run, action)
        return reply(204) if runs else self._error(404, "No runs found to cancel.")

    def _list(self, thread_id: str, query: dict[str, list[str]]) -> list[Any]:
        runs = [run for run in self.runs.values() if run.thread_id == thread_id]
        if "status" in query:
            runs = [run for run in runs if run.status == query["status"][-1]]
        offset = int(query.get("offset", ["0"])[-1])
        page = runs[::-1][offset : offset + int(query.get("limit", ["10"])[-1])]
        select = query.get("select")
        whole = [self._run_json(run) for run in page]
        return [{k: v for k, v in run.items() if k in select} for run in whole] if select else whole

    def _run_json(self, run: FakeRun) -> dict[str, Any]:
        thread = self.threads.get(run.thread_id, {})
        configurable = {"run_id": run.run_id, "thread_id": run.thread_id, "langgraph_request_id": run.request_id}
        return {
            "run_id": run.run_id,
            "thread_id": run.thread_id,
            "assistant_id": ASSISTANT_ID,
            "metadata": {**thread.get("metadata", {}), **(run.body.get("metadata") or {})},
            "status": run.status,
            "kwargs": {"input": run.input, "config": {"configurable": configurable}, "resumable": run.resumable},
            "multitask_strategy": run.body.get("multitask_strategy", "enqueue"),
            "created_at": run.created_at.isoformat(),
            "updated_at": run.created_at.isoformat(),
        }

    def _thread(self, method: str, thread_id: str) -> Reply:
        if thread_id not in self.threads:
            return self._error(404, f"Thread with ID {thread_id} not found")
        if method == "DELETE":
            del self.threads[thread_id]
            return reply(204)
        return reply_json(200, self.threads[thread_id])

    def _create_thread(self, body: Any) -> Reply:
        thread_id = body.get("thread_id") or str(uuid.uuid4())
        if thread_id not in self.threads:
            self.threads[thread_id] = _new_thread(thread_id, body.get("metadata") or {})
        elif body.get("if_exists") != "do_nothing":
            return self._error(409, f"Thread with ID {thread_id} already exists")
        return reply_json(200, self.threads[thread_id])

    def _search(self, body: Any) -> Reply:
        wanted = (body.get("metadata") or {}).items()
        found = [thread for thread in self.threads.values() if wanted <= thread["metadata"].items()]
        offset = body.get("offset", 0)
        return reply_json(200, found[offset : offset + body.get("limit", 10)])

    def _unknown_run(self, as_data: Reply) -> Reply:
        return self._error(404, "Run not found") if self.dialect.honest_join else as_data

    def _error(self, status: int, text: str) -> Reply:
        if self.dialect.errors == "error":
            return reply_json(status, {"error": HTTPStatus(status).phrase.lower().replace(" ", "_"), "message": text})
        return reply_json(status, text if self.dialect.errors == "bare" else {"detail": text})


_NOT_FOUND = {"error": "HTTPException", "message": "404: Run not found"}


def _base(name: str) -> str:
    return name.split("|")[0].split("/")[0]


def _last_values(run: FakeRun) -> Any:
    return next((one.data for one in reversed(run.log) if one.name == "values"), {})


def _new_thread(thread_id: str, metadata: dict[str, Any]) -> dict[str, Any]:
    now = datetime.now(timezone.utc).isoformat()
    times = {"created_at": now, "updated_at": now, "state_updated_at": now}
    return {"thread_id": thread_id, **times, "metadata": metadata, "status": "idle", "config": {}, "values": None}
