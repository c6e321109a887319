"""The truth table: ways in which a run can end, times calls that report it. `play` plays one cell on any server.

What is true is known from the graph that was chosen and from plain requests; what the client says about it is compared with that.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Optional

import attrs

from langgraph_runs import (
    Client,
    DeadlineExceededError,
    LangGraphRunsError,
    RetryPolicy,
    RunCancelledError,
    RunError,
    RunFailedError,
    RunOutcome,
    RunStream,
    cli,
)

from .plain import UNFINISHED, ask, find_run, new_thread, runs_of, wait_until

__all__ = ["CELLS", "Cell", "check", "play"]

#: Way to end: graph, input and options. All take half a second or longer, so that a join begins before the end.
WAYS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "success": ("work", {"seconds": 0.6, "tick": 0.1}, {}),
    "failure": ("work", {"seconds": 0.6, "tick": 0.1, "fail": "value"}, {}),
    "recursion": ("steps", {"n": 50, "seconds": 6}, {"config": {"recursion_limit": 5}}),
    "paused": ("ask", {}, {}),
    "cancelled": ("work", {"seconds": 60, "tick": 0.1}, {}),
    "deadline": ("work", {"seconds": 60, "tick": 0.1}, {}),
}
STARTING = [
    "wait",
    "wait outcome",
    "wait None",
    "stream",
    "stream custom",
    "stream outcome",
    "stream None",
    "map",
    "run",
    "run --stream",
]
JOINING = ["join", "join outcome", "join_stream", "join_stream custom", "join command"]
LATE = [f"late {entry}" for entry in ("join", "join outcome", "join_stream", "join_stream from the start", "join command")]
OLDER = ["older join", "older join outcome", "older join_stream"]
#: A run that waits for a human does not wait any more when a later run has begun; no late call is over before the run is.
CELLS = [
    (way, entry)
    for way in WAYS
    for entry in [*STARTING, *JOINING, *LATE, *OLDER]
    if not (way == "deadline" and entry in [*LATE, *OLDER]) and not (way == "paused" and entry in OLDER)
]
#: The time limit of the calls that are to exceed it, and of the others.
SHORT, LONG = 1.5, 60.0
EXIT_CODES = {"success": 0, "failure": 1, "recursion": 1, "cancelled": 1, "paused": 3, "deadline": 4}


@attrs.define
class Cell:
    """What one call reported of one run."""

    way: str
    entry: str
    key: str = attrs.field(factory=lambda: uuid.uuid4().hex)
    #: What was returned, or the last state of a stream.
    value: Any = None
    error: Optional[BaseException] = None
    outcome: Optional[RunOutcome] = None
    stream: Optional[RunStream[Any]] = None
    #: Of a command.
    code: Optional[int] = None
    out: str = ""
    #: The ids that ``on_run_created`` got.
    created: list[Any] = attrs.field(factory=list)
    #: The run and its thread as plain requests show them when the call had ended; empty if the thread was deleted.
    runs: list[dict[str, Any]] = attrs.field(factory=list)
    thread_id: Optional[str] = None
    run_id: Optional[str] = None

    @property
    def options(self) -> dict[str, Any]:
        graph, given, options = WAYS[self.way]
        return {**options, "input": {**given, "k": self.key}}

    @property
    def graph(self) -> str:
        return WAYS[self.way][0]


class _Player:
    """Plays one cell: starts its run, ends it as the way says, and notes what the call reported."""

    def __init__(self, url: str, cell: Cell) -> None:
        self.url = url
        self.cell = cell
        retry = RetryPolicy(attempts=8, wait_initial=0.02, wait_max=0.2, budget=None)
        self.timeout = SHORT if cell.way == "deadline" else LONG
        self.client = Client(url, api_key=None, retry=retry, timeout=LONG)

    def play(self) -> None:
        cell = self.cell
        owned = cell.entry in ("wait None", "stream None", "map", "run", "run --stream")
        if not owned:
            cell.thread_id = new_thread(self.url)
        if cell.entry not in STARTING:
            self._create()
        if cell.entry.startswith(("late", "older")):
            self._end_before()
        with self._cancelled_meanwhile():
            self._call()
        if cell.thread_id is None:
            found = find_run(self.url, cell.key)
            if found is not None:
                cell.thread_id, cell.run_id = found["thread_id"], found["run_id"]
        if cell.thread_id is not None:
            cell.runs = runs_of(self.url, cell.thread_id)
        self._clean()

    def _create(self) -> None:
        body = {"assistant_id": self.cell.graph, **self.cell.options, "stream_resumable": True, "stream_mode": ["values", "custom"]}
        self.cell.run_id = ask(self.url, "POST", f"/threads/{self.cell.thread_id}/runs", body)["run_id"]

    def _status(self) -> str:
        return str(ask(self.url, "GET", f"/threads/{self.cell.thread_id}/runs/{self.cell.run_id}")["status"])

    def _cancel(self) -> None:
        ask(self.url, "POST", f"/threads/{self.cell.thread_id}/runs/{self.cell.run_id}/cancel")

    def _wait_begun(self, called: threading.Event) -> None:
        """Until the run is found and has written the state of its first step, or the call has ended before."""

        def begun() -> bool:
            if called.is_set():
                return True
            if self.cell.run_id is None:
                runs = runs_of(self.url, self.cell.thread_id) if self.cell.thread_id else [find_run(self.url, self.cell.key)]
                if not runs or runs[0] is None:
                    return False
                self.cell.thread_id, self.cell.run_id = runs[0]["thread_id"], runs[0]["run_id"]
            if self._status() != "running":
                return False
            values = ask(self.url, "GET", f"/threads/{self.cell.thread_id}/state").get("values") or {}
            return bool(values.get("log"))

        wait_until(begun, "the run to begin")

    def _end_before(self) -> None:
        if self.cell.way == "cancelled":
            self._wait_begun(threading.Event())
            self._cancel()
        wait_until(lambda: self._status() not in UNFINISHED, "the run to end")
        if self.cell.entry.startswith("older"):
            # Without what it would inherit from the state of the older one.
            given = {"k": "newer", "seconds": 0, "tick": 0, "fail": ""}
            body = {"assistant_id": "work", "input": given, "multitask_strategy": "enqueue"}
            newer = ask(self.url, "POST", f"/threads/{self.cell.thread_id}/runs", body)["run_id"]
            path = f"/threads/{self.cell.thread_id}/runs/{newer}"
            wait_until(lambda: ask(self.url, "GET", path)["status"] == "success", "the newer run to end")

    @contextlib.contextmanager
    def _cancelled_meanwhile(self) -> Iterator[None]:
        if self.cell.way != "cancelled" or self.cell.entry.startswith(("late", "older")):
            yield
            return
        failures: list[BaseException] = []
        called = threading.Event()

        def cancel() -> None:
            try:
                self._wait_begun(called)
                if not called.is_set():
                    self._cancel()
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=cancel, name="cancel")
        thread.start()
        try:
            yield
        finally:
            called.set()
            thread.join()
        if failures:
            raise failures[0]

    def _call(self) -> None:
        cell = self.cell
        call = cell.entry.replace("late ", "").replace("older ", "")
        try:
            if call in ("run", "run --stream", "join command"):
                self._command(call)
            elif call == "map":
                self._map()
            elif "stream" in call:
                self._read(call)
            else:
                cell.value = self._wait(call)
        except LangGraphRunsError as error:
            cell.error = error
        if isinstance(cell.value, RunOutcome):
            cell.outcome = cell.value

    def _wait(self, call: str) -> Any:
        cell, runs = self.cell, self.client.runs
        options: dict[str, Any] = {"timeout": self.timeout, "raise_error": "outcome" not in call}
        if call.startswith("join"):
            return runs.join(str(cell.thread_id), str(cell.run_id), **options)
        return runs.wait(cell.thread_id, cell.graph, **cell.options, **options, on_run_created=cell.created.append)

    def _read(self, call: str) -> None:
        cell, runs = self.cell, self.client.runs
        options: dict[str, Any] = {"timeout": self.timeout, "raise_error": "outcome" not in call}
        if "custom" in call:
            options["stream_mode"] = "custom"
        if "from the start" in call:
            # A server may have kept no event, and the stream says so: what is judged here is how the run ended.
            options.update(last_event_id="-1", on_gap="mark")
        if call.startswith("join"):
            cell.stream = runs.join_stream(str(cell.thread_id), str(cell.run_id), **options)
        else:
            options.update(cell.options, on_run_created=cell.created.append)
            cell.stream = runs.stream(cell.thread_id, cell.graph, **options)
        with cell.stream as stream:
            for _ in stream:
                pass
        cell.value, cell.outcome = stream.values, stream.outcome

    def _map(self) -> None:
        cell = self.cell
        options = dict(cell.options)
        results = list(self.client.runs.map(cell.graph, [options.pop("input")], timeout_each=self.timeout, **options))
        assert len(results) == 1
        result = results[0]
        cell.value, cell.error = result.values, result.error
        if result.error is None:
            cell.outcome = RunOutcome(status="success", values=result.values, paused=result.paused)

    def _command(self, call: str) -> None:
        cell = self.cell
        arguments = ["--url", self.url, "--timeout", str(self.timeout)]
        if call == "join command":
            arguments = ["join", str(cell.thread_id), str(cell.run_id), *arguments]
        else:
            arguments = [
                "stream" if call == "run --stream" else "run",
                cell.graph,
                "-i",
                json.dumps(cell.options["input"]),
                *arguments,
            ]
            if "config" in cell.options:
                arguments += ["--config", json.dumps(cell.options["config"])]
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                cell.code = cli.main(arguments)
            except SystemExit as ended:
                cell.code = int(ended.code or 0)
        cell.out = out.getvalue() + err.getvalue()

    def _clean(self) -> None:
        if self.cell.way == "deadline" and self.cell.run_id is not None:
            with contextlib.suppress(OSError):
                self._cancel()
        self.client.close()


def play(url: str, way: str, entry: str) -> Cell:
    """Play one cell on the server and return what the call reported."""
    cell = Cell(way, entry)
    _Player(url, cell).play()
    return cell


# -- what is right


def check(cell: Cell) -> Optional[str]:
    """What is wrong with the report; None if it is the truth."""
    found = _wrong_command(cell) if cell.code is not None else _wrong_end(cell)
    if found is None and len(cell.runs) > (2 if cell.entry.startswith("older") else 1):
        return f"there are {len(cell.runs)} runs"
    if found is None and cell.way == "paused" and not cell.runs:
        return "the thread of the run that waits for a human was deleted"
    return found


def _wrong_command(cell: Cell) -> Optional[str]:
    if cell.code != EXIT_CODES[cell.way]:
        return f"exit code {cell.code}: {cell.out[-300:]}"
    if cell.way == "success" and cell.key not in cell.out:
        return f"the values are not printed: {cell.out[-300:]}"
    return None


def _wrong_end(cell: Cell) -> Optional[str]:
    if cell.way == "deadline":
        return None if isinstance(cell.error, DeadlineExceededError) else _shown(cell)
    with_outcome = "outcome" in cell.entry
    if cell.way in ("success", "paused") or with_outcome:
        if cell.error is not None:
            return _unless_values_are_gone(cell)
        if with_outcome:
            return _wrong_outcome(cell)
        return _wrong_question(cell) if cell.way == "paused" else _wrong_values(cell, cell.value)
    kind = RunCancelledError if cell.way == "cancelled" else RunFailedError
    if type(cell.error) is not kind:
        return _shown(cell)
    if cell.run_id is not None and cell.error.run_id != cell.run_id:
        return f"the error names the run {cell.error.run_id}, not {cell.run_id}"
    return _wrong_reason(cell, cell.error)


def _unless_values_are_gone(cell: Cell) -> Optional[str]:
    # The documented error of a run whose values the server does not have any more.
    if cell.entry == "older join" and type(cell.error) is RunError and cell.error.run is not None:
        return None if cell.error.run.status == "success" else _shown(cell)
    return _shown(cell)


def _wrong_outcome(cell: Cell) -> Optional[str]:
    outcome = cell.outcome
    if outcome is None:
        return "there is no outcome"
    status = {"cancelled": "interrupted", "failure": "error", "recursion": "error"}.get(cell.way, "success")
    if outcome.status != status:
        return f"the outcome's status is {outcome.status}"
    if cell.way == "paused":
        return _wrong_question(cell)
    if cell.way == "success":
        return None if outcome.values is None and not outcome.exact else _wrong_values(cell, outcome.values)
    return _wrong_reason(cell, outcome)


def _wrong_reason(cell: Cell, told: Any) -> Optional[str]:
    if cell.entry.startswith("older") or cell.way == "cancelled":
        return None
    if told.message is None and cell.way == "recursion" and cell.entry.startswith("late"):
        # No task of the graph failed: some servers keep the reason nowhere. Where one keeps it with the run, it is to be read.
        return "the reason is not reported" if any(run.get("error_message") for run in cell.runs) else None
    if cell.way == "failure" and "boom" not in str(told.message):
        return f"the reason is {told.error}: {told.message}"
    if cell.way == "recursion" and "recursion limit" not in str(told.message).lower():
        return f"the reason is {told.error}: {told.message}"
    return None


def _wrong_values(cell: Cell, values: Any) -> Optional[str]:
    if cell.stream is not None:
        if cell.outcome is None or cell.outcome.status != "success":
            return f"the outcome of the stream is {cell.outcome}"
        # A stream of other modes, or one that comes after the end, has no state to show.
        if values is None and ("custom" in cell.entry or cell.entry.startswith(("late", "older"))):
            return None
    if not isinstance(values, dict) or values.get("out") != ["done", cell.key]:
        return f"the values are {values}"
    return None


def _wrong_question(cell: Cell) -> Optional[str]:
    if cell.outcome is not None:
        if not cell.outcome.paused:
            return "the outcome does not say that the run waits for a human"
        if cell.entry == "map":
            return _wrong_marker(cell.value)
        questions = [question.value for question in cell.outcome.interrupts]
    elif cell.stream is not None:
        return "the stream has no outcome"
    else:
        return _wrong_marker(cell.value)
    return None if questions == [{"q": "who?"}] else f"the questions are {questions}"


def _wrong_marker(values: Any) -> Optional[str]:
    questions = [item.get("value") for item in values.get("__interrupt__", ())] if isinstance(values, dict) else None
    return None if questions == [{"q": "who?"}] else f"the values do not have the question: {values}"


def _shown(cell: Cell) -> str:
    return f"raised {cell.error!r}"[:600] if cell.error is not None else f"returned {cell.value!r}, outcome {cell.outcome}"[:600]


# -- the table as text


def main() -> None:
    """``python -m tests.servers.truth javascript [WAY]``: play the cells on one server, named or by URL, and print what is wrong."""
    from .serve import SERVERS, start

    name, *ways = sys.argv[1:]
    cells = [(way, entry) for way, entry in CELLS if not ways or way in ways]
    # A command needs the main thread, for its signals.
    commands = [cell for cell in cells if "run" in cell[1] or "command" in cell[1]]
    with start(name) if name in SERVERS else contextlib.nullcontext(name) as url:

        def judged(cell: tuple[str, str]) -> Optional[str]:
            try:
                return check(play(url, *cell))
            except Exception as error:
                return f"not played: {error!r}"

        with ThreadPoolExecutor(16) as pool:
            wrong = {cell: pool.submit(judged, cell) for cell in cells if cell not in commands}
            found = {cell: future.result() for cell, future in wrong.items()}
        found.update((cell, judged(cell)) for cell in commands)
    for cell in cells:
        if found[cell] is not None:
            print(f"{name}: {cell[0]}, {cell[1]}: {found[cell]}")
    print(f"{name}: {len(cells)} cells, {sum(value is not None for value in found.values())} of them wrong")


if __name__ == "__main__":
    main()
