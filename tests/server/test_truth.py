"""The truth table: ways a run can end, times ways to learn of it, on the real server. No cell may lie."""

from __future__ import annotations

import concurrent.futures
import signal
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Optional

import attrs
import pytest
import requests

from langgraph_runs import (
    APIConnectionError,
    Client,
    ErrorStreamEvent,
    LangGraphRunsError,
    NotFoundError,
    RetryPolicy,
    RunCancelledError,
    RunError,
    RunFailedError,
    RunStream,
    RunTimedOutError,
    StreamInterruptedError,
)
from langgraph_runs.devserver import DevServer
from langgraph_runs.testing.cutting_proxy import CuttingProxy

from .conftest import ALL_GRAPHS, HERE, PATIENCE, Gate, wait_until
from .shared import shared_server

GRAPHS = {**ALL_GRAPHS, "ending": f"{HERE / 'endings.py'}:ending"}
QUICK = RetryPolicy(wait_initial=0.02, wait_max=0.1, budget=None)
INTERNAL = "An internal error occurred"
BOOM = "boom, said \"it\" — 'twice'"

#: Way to end: what is given to the run, and what it has put into "path" by then.
OPTIONS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "success": ({}, ["begun", "held", "done"]),
    "question": ({"end": "question"}, ["begun", "held"]),
    "interrupt_before": ({"interrupt_before": ["finish"]}, ["begun", "held"]),
    "interrupt_after": ({"interrupt_after": ["hold"]}, ["begun", "held"]),
    "ValueError": ({"end": "ValueError"}, ["begun", "held"]),
    "OwnError": ({"end": "OwnError"}, ["begun", "held"]),
    "recursion": ({"end": "recursion", "config": {"recursion_limit": 4}}, ["begun", "held", "again", "again"]),
    "cancelled": ({}, ["begun"]),
    "rolled back": ({}, []),
    "deleted": ({}, []),
    "thread deleted": ({}, []),
    "timed out": ({}, ["begun"]),
}
PAUSES = {"question", "interrupt_before", "interrupt_after"}
GONE = {"rolled back", "deleted", "thread deleted"}
#: Ways to start a run and to learn how it ended.
STARTING = ["wait", "wait for the outcome", "wait hidden", "stream", "stream hidden", "stream for the outcome"]
#: Ways to learn how a run ended that somebody else started: while it runs, and later.
LIVE = ["join", "join for the outcome", "join_stream", "join_stream hidden"]
LATE = [f"late {entry}" for entry in [*LIVE, "join_stream from the start"]]
ENTRIES = [*STARTING, *LIVE, *LATE]


@attrs.define
class Cell:
    """What one way to learn told of one run."""

    thread_id: str
    run_id: str = ""
    #: What was returned, or for a stream its last state.
    value: Any = None
    error: Optional[BaseException] = None
    stream: Optional[RunStream[Any]] = None
    events: list[Any] = attrs.field(factory=list)


class Witness:
    """A client, and what it asked: each request that was answered, noted when its headers had come."""

    def __init__(self, url: str, **options: Any) -> None:
        session = requests.Session()
        session.trust_env = False
        session.hooks["response"].append(self._note)
        self._seen: list[str] = []
        self._session = session
        self.client = Client(url, session=session, **{"api_key": None, "retry": QUICK, "timeout": 2 * PATIENCE, **options})

    def _note(self, response: requests.Response, **_: Any) -> None:
        self._seen.append(f"{response.request.method} {response.request.path_url}")

    def asked(self, text: str) -> list[str]:
        """The requests with this in their first line, so far."""
        return [line for line in list(self._seen) if text in line]

    def close(self) -> None:
        self.client.close()
        self._session.close()


@pytest.fixture
def witness(server: DevServer) -> Iterator[Witness]:
    witness = Witness(server.url)
    yield witness
    witness.close()


def follow(cell: Cell, stream: RunStream[Any], *, paused: bool = False) -> Any:
    """Read a stream to its end and return the last state that it told."""
    cell.stream = stream
    with stream:
        for event in stream:
            cell.events.append(event)
    return stream.values


class Row:
    """The cells of one way to end, played at the same time, each on a thread of its own."""

    def __init__(self, way: str, witness: Witness, directory: Path) -> None:
        self.way = way
        self._witness = witness
        self._directory = directory
        with ThreadPoolExecutor(len(ENTRIES)) as players, ThreadPoolExecutor(len(ENTRIES)) as self._readers:
            cells = {entry: players.submit(self._play, way, entry) for entry in ENTRIES}
            concurrent.futures.wait(cells.values())
        self._cells = cells

    def __getitem__(self, entry: str) -> Cell:
        return self._cells[entry].result()

    def _play(self, way: str, entry: str) -> Cell:
        witness = self._witness
        client = witness.client
        gate = Gate(self._directory / f"{way}-{entry}".replace(" ", "_"))
        given = dict(OPTIONS[way][0])
        options: dict[str, Any] = {"input": {**gate.input(), "end": given.pop("end", "success")}, **given}
        graph = "ending"
        if way == "timed out":
            graph, options = "gated", {"input": gate.input()}
        cell = Cell(client.threads.create().thread_id)
        created = threading.Event()

        def note(ids: Any) -> None:
            cell.run_id = ids["run_id"]
            created.set()

        def start() -> Any:
            hidden = {"stream_mode": "custom"} if "hidden" in entry else {}
            asked = {**options, **hidden, "on_run_created": note, "raise_error": "outcome" not in entry}
            if entry.startswith("wait"):
                return client.runs.wait(cell.thread_id, graph, **asked)
            return follow(cell, client.runs.stream(cell.thread_id, graph, **asked))

        def learn() -> Any:
            if "join_stream" not in entry:
                return client.runs.join(cell.thread_id, cell.run_id, raise_error="outcome" not in entry)
            asked: dict[str, Any] = {"stream_mode": "custom"} if "hidden" in entry else {}
            if "from the start" in entry:
                asked["last_event_id"] = "0"
            return follow(cell, client.runs.join_stream(cell.thread_id, cell.run_id, **asked))

        def told(call: Callable[[], Any]) -> Cell:
            try:
                cell.value = call()
            except LangGraphRunsError as error:
                cell.error = error
            return cell

        try:
            if entry in STARTING:
                reading = self._readers.submit(told, start)
                assert created.wait(PATIENCE), "the run was not created"
                gate.wait_begun()
                self._end(client, way, cell, gate)
                return reading.result(PATIENCE)
            note({"run_id": client.runs.create(cell.thread_id, graph, stream_resumable=True, **options).run_id})
            gate.wait_begun()
            if entry in LIVE:
                reading = self._readers.submit(told, learn)
                path = f"/{cell.run_id}/{'stream' if 'stream' in entry else 'join'}"
                wait_until(lambda: reading.done() or witness.asked(path), "the join to begin")
                self._end(client, way, cell, gate)
                return reading.result(PATIENCE)
            self._end(client, way, cell, gate)
            wait_until(lambda: ended(client, cell), "the run to end")
            return told(learn)
        finally:
            gate.open()

    def _end(self, client: Client, way: str, cell: Cell, gate: Gate) -> None:
        if way == "cancelled":
            client.runs.cancel(cell.thread_id, cell.run_id)
        elif way == "rolled back":
            client.runs.cancel(cell.thread_id, cell.run_id, action="rollback")
        elif way == "deleted":
            client.runs.delete(cell.thread_id, cell.run_id)
        elif way == "thread deleted":
            client.threads.delete(cell.thread_id)
        if way != "timed out":
            gate.open()


def ended(client: Client, cell: Cell) -> bool:
    try:
        return client.runs.get(cell.thread_id, cell.run_id).finished
    except NotFoundError:
        return True


@pytest.fixture(scope="session")
def ending_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    with shared_server("ending", lambda: DevServer(GRAPHS, workers=100), tmp_path_factory) as server:
        yield server


@pytest.fixture(scope="module", params=OPTIONS)
def row(
    request: pytest.FixtureRequest, ending_server: DevServer, guarded_server: DevServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Row]:
    """One row of the table. pytest puts the tests of a row together, so that each is played in one or two processes only."""
    hasty = request.param == "timed out"
    witness = Witness(guarded_server.url, api_key="key-of-alice") if hasty else Witness(ending_server.url)
    yield Row(request.param, witness, tmp_path_factory.mktemp("row"))
    witness.close()


def path_in(values: Any) -> Any:
    """What the graph had written when these were its values."""
    return values.get("path", values.get("passed")) if isinstance(values, dict) else values


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_table(row: Row, entry: str) -> None:
    """A run that succeeded or waits for a human returns, and says which; any other end is its own error, with all that is known."""
    cell, way = row[entry], row.way
    good = way == "success" or way in PAUSES
    if way == "rolled back" and seen_cancelled(cell):
        return
    if not good and "outcome" not in entry or way in GONE:
        check_error(way, cell, cell.error)
    elif "outcome" in entry:
        assert cell.error is None, f"raised {cell.error!r} although raise_error=False"
        check_outcome(way, entry, cell)
    else:
        assert cell.error is None, f"raised {cell.error!r}"
        check_return(way, entry, cell)


def seen_cancelled(cell: Cell) -> bool:
    """A run that is rolled back is interrupted first and deleted then: on a busy machine it is seen between the two."""
    outcome = getattr(cell.stream, "outcome", None) or cell.value
    return isinstance(cell.error, RunCancelledError) or getattr(outcome, "status", None) == "interrupted"


def check_error(way: str, cell: Cell, error: Optional[BaseException]) -> None:
    assert isinstance(error, LangGraphRunsError), f"returned {cell.value!r}"
    assert (cell.run_id, cell.thread_id) == (error.run_id, error.thread_id)
    if way in GONE:
        # The server streams what it has kept of a deleted run, without its end: that events are missing is an error before the
        # run is requested.
        assert isinstance(error, (NotFoundError, StreamInterruptedError))
        assert not isinstance(error, NotFoundError) or 404 == error.status_code
        return
    assert isinstance(error, RunError) and error.run is not None
    # The server writes checkpoints behind the run's back: on a busy machine a cancel may come before the first is there.
    if way != "cancelled" or error.values:
        assert OPTIONS[way][1] == path_in(error.values)
    assert cell.run_id == error.run.run_id
    kinds = {"cancelled": (RunCancelledError, "interrupted"), "timed out": (RunTimedOutError, "timeout")}
    kind, status = kinds.get(way, (RunFailedError, "error"))
    assert (kind, status) == (type(error), error.run.status)
    if isinstance(error, RunFailedError):
        check_reason(way, error)


def check_reason(way: str, told: Any) -> None:
    if way == "recursion":
        assert "GraphRecursionError" == told.error
        assert told.message.startswith("Recursion limit of 4 reached")
    else:
        assert (way, {"ValueError": BOOM, "OwnError": INTERNAL}[way]) == (told.error, told.message)


def check_outcome(way: str, entry: str, cell: Cell) -> None:
    outcome: Any = cell.stream.outcome if cell.stream is not None else cell.value
    status = {"cancelled": "interrupted", "timed out": "timeout"}.get(way, "error")
    good = way == "success" or way in PAUSES
    assert ("success" if good else status) == outcome.status
    assert good == outcome.succeeded
    assert OPTIONS[way][1] == path_in(outcome.values)
    assert cell.run_id == outcome.run.run_id
    if status == "error" and not good:
        check_reason(way, outcome)
    else:
        assert (None, None) == (outcome.error, outcome.message)
    if cell.stream is None:
        check_pause(way, outcome)
    else:
        check_pause(way, cell.stream)


def check_return(way: str, entry: str, cell: Cell) -> None:
    stream = cell.stream
    if stream is None:
        assert "__error__" not in cell.value
        asked = [item["value"] for item in cell.value.get("__interrupt__", ())]
        assert (["go on?"] if way == "question" else []) == asked
        assert OPTIONS[way][1] == path_in(cell.value)
        return
    assert stream.outcome is not None and stream.outcome.run is not None
    assert ("success", cell.run_id) == (stream.outcome.status, stream.outcome.run.run_id)
    assert [] == [event for event in cell.events if isinstance(event, ErrorStreamEvent)]
    assert (cell.run_id, cell.thread_id) == (stream.run_id, stream.thread_id)
    check_pause(way, stream)
    if "hidden" in entry:
        assert {"metadata", "custom"} >= {event.mode for event in cell.events}
    elif entry != "late join_stream":
        assert OPTIONS[way][1] == path_in(cell.value)


def check_pause(way: str, told: Any) -> None:
    assert (way in PAUSES) == told.paused
    assert (["go on?"] if way == "question" else []) == [question.value for question in told.interrupts]


# -- cancelled through the stream itself


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
@pytest.mark.parametrize("mode", ["values", "custom"])
@pytest.mark.parametrize("entry", ["stream", "join_stream"])
def test_a_stream_that_cancels_its_run(client: Client, gate: Gate, thread_id: str, entry: str, mode: Any, action: Any) -> None:
    """stream.cancel() ends the stream with the error of the run, from within the loop as from outside."""
    if entry == "stream":
        stream: RunStream[Any] = client.runs.stream(thread_id, "gated", input=gate.input(), stream_mode=mode)
    else:
        run = client.runs.create(thread_id, "gated", input=gate.input(), stream_mode=["values", "custom"], stream_resumable=True)
        stream = client.runs.join_stream(thread_id, run.run_id, stream_mode=mode, last_event_id="0")
    with stream, pytest.raises(NotFoundError if action == "rollback" else RunCancelledError) as caught:
        for event in stream:
            if event.mode == "custom" or event.data.get("passed"):
                stream.cancel(action=action)
                stream.cancel(action=action)

    assert (stream.run_id, thread_id) == (caught.value.run_id, caught.value.thread_id)
    if action == "interrupt":
        assert isinstance(caught.value, RunCancelledError) and caught.value.run is not None
        assert ["begun"] == caught.value.values["passed"]
        assert "interrupted" == caught.value.run.status
    assert [] == list(stream)
    assert not gate.passed()


# -- what is unknown


@pytest.mark.parametrize("what", ["run", "thread"])
@pytest.mark.parametrize(
    "entry", ["join", "join for the outcome", "join_stream", "join_stream from the start", "join_stream hidden"]
)
def test_what_is_unknown_is_not_found(witness: Witness, what: str, entry: str) -> None:
    """An unknown run or thread, which the server answers with 200, is a NotFoundError with its ids, without a repeat."""
    runs, run_id = witness.client.runs, str(uuid.uuid4())
    thread_id = witness.client.threads.create().thread_id if what == "run" else str(uuid.uuid4())
    with pytest.raises(NotFoundError) as caught:
        if "join_stream" not in entry:
            runs.join(thread_id, run_id, raise_error="outcome" not in entry)
        else:
            options: dict[str, Any] = {"stream_mode": "custom"} if "hidden" in entry else {}
            if "start" in entry:
                options["last_event_id"] = "0"
            list(runs.join_stream(thread_id, run_id, **options))

    assert (404, run_id, thread_id) == (caught.value.status_code, caught.value.run_id, caught.value.thread_id)
    assert 1 == len([line for line in witness.asked(run_id) if "/join" in line or "/stream" in line])


@pytest.mark.parametrize("call", ["create", "wait", "stream"])
def test_a_start_on_an_unknown_thread_is_not_found(client: Client, new_id: str, call: str) -> None:
    """Starting on a thread that does not exist is a NotFoundError, and makes no thread."""
    with pytest.raises(NotFoundError) as caught:
        getattr(client.runs, call)(new_id, "echo", input={})
    assert (None, new_id) == (caught.value.run_id, caught.value.thread_id)
    with pytest.raises(NotFoundError):
        client.threads.get(new_id)


# -- stateless


@pytest.mark.parametrize("keep", ["keep", None])
@pytest.mark.parametrize("entry", ["wait", "stream", "stream hidden", "join", "join_stream"])
def test_a_stateless_failure_is_an_error(client: Client, entry: str, keep: Any) -> None:
    """A run without a thread of the caller's that fails raises, with the reason, whether the server keeps it or not."""
    options: dict[str, Any] = {"input": {"error": "ValueError", "message": "boom"}, "on_completion": keep}
    with pytest.raises(RunFailedError) as caught:
        if entry == "wait":
            client.runs.wait(None, "failing", **options)
        elif entry.startswith("stream"):
            list(client.runs.stream(None, "failing", stream_mode="custom" if "hidden" in entry else "values", **options))
        else:
            run = client.runs.create(None, "failing", stream_resumable=True, **options)
            if entry == "join":
                client.runs.join(run.thread_id, run.run_id)
            else:
                list(client.runs.join_stream(run.thread_id, run.run_id, last_event_id="0"))
    assert ("ValueError", "boom") == (caught.value.error, caught.value.message)
    assert caught.value.run_id is not None


@pytest.mark.parametrize("entry", ["wait", "stream", "join", "join_stream"])
def test_a_stateless_success_is_told(client: Client, entry: str) -> None:
    """A run without a thread of the caller's that succeeds returns its values, although the server has deleted it by then."""
    if entry == "wait":
        values = client.runs.wait(None, "echo", input={"value": 7})
    elif entry == "stream":
        values = follow(Cell(""), client.runs.stream(None, "echo", input={"value": 7}))
    else:
        run = client.runs.create(None, "echo", input={"value": 7}, stream_resumable=True)
        if entry == "join":
            values = client.runs.join(run.thread_id, run.run_id)
        else:
            values = follow(Cell(""), client.runs.join_stream(run.thread_id, run.run_id, last_event_id="0"))
    assert 7 == values["echo"]


@pytest.mark.parametrize("entry", ["wait", "stream"])
def test_a_stateless_run_that_was_cancelled_is_an_error(client: Client, gate: Gate, entry: str) -> None:
    """The library has chosen the thread, so that the run can be requested; the thread is deleted afterwards."""
    created: list[Any] = []
    options: dict[str, Any] = {"input": gate.input(), "on_run_created": created.append, "timeout": PATIENCE}

    def run() -> Any:
        if entry == "wait":
            return client.runs.wait(None, "gated", **options)
        return list(client.runs.stream(None, "gated", **options))

    with ThreadPoolExecutor() as pool:
        ending = pool.submit(run)
        gate.wait_begun()
        client.runs.cancel(created[0]["thread_id"], created[0]["run_id"])
        with pytest.raises(RunCancelledError):
            ending.result(PATIENCE)
    with pytest.raises(NotFoundError):
        client.threads.get(created[0]["thread_id"])


@pytest.mark.parametrize("entry", ["wait", "join", "join_stream"])
def test_a_stateless_run_that_was_cancelled_is_told_when_it_is_kept(client: Client, gate: Gate, entry: str) -> None:
    """With on_completion="keep" a cancelled run raises as one on a thread does."""
    created: list[Any] = []

    def wait() -> Any:
        return client.runs.wait(
            None, "gated", input=gate.input(), on_completion="keep", on_run_created=created.append, timeout=PATIENCE
        )

    def join() -> Any:
        run = client.runs.create(None, "gated", input=gate.input(), on_completion="keep", on_run_created=created.append)
        if entry == "join":
            return client.runs.join(run.thread_id, run.run_id, timeout=PATIENCE)
        return list(client.runs.join_stream(run.thread_id, run.run_id, timeout=PATIENCE))

    with ThreadPoolExecutor() as pool:
        ending = pool.submit(wait if entry == "wait" else join)
        gate.wait_begun()
        client.runs.cancel(created[0]["thread_id"], created[0]["run_id"])
        with pytest.raises(RunCancelledError) as caught:
            ending.result(PATIENCE)
    assert (created[0]["run_id"], created[0]["thread_id"]) == (caught.value.run_id, caught.value.thread_id)


# -- which run's values


@pytest.mark.slow
def test_an_older_run_has_its_own_values(ending_server: DevServer, tmp_path: Path) -> None:
    """Joining each run of a thread gives what that run had made, not what the thread holds now; a failure or a pause stays one."""
    gate, run_ids = Gate(tmp_path / "gate"), {}
    gate.open()
    with Client(ending_server.url, api_key=None) as client:
        thread_id = client.threads.create().thread_id
        for way in ("first", "question", "ValueError", "last"):
            options: dict[str, Any] = {"input": {**gate.input(way), "end": way}}
            run_ids[way] = client.runs.create(thread_id, "ending", **options).run_id
            client.runs.join(thread_id, run_ids[way], raise_error=False)
        client.threads.update_state(thread_id, {"path": ["by hand"]})

        round_of = ["begun", "held", "done"]
        for way, path in (("first", round_of), ("last", round_of + ["begun", "held"] * 2 + round_of)):
            values = client.runs.join(thread_id, run_ids[way])
            assert (way, path) == (values["tag"], values["path"])
        outcome = client.runs.join(thread_id, run_ids["question"], raise_error=False)
        assert (True, True, ["go on?"]) == (outcome.exact, outcome.paused, [question.value for question in outcome.interrupts])
        assert (round_of + ["begun", "held"], outcome.values) == (
            outcome.values["path"],
            client.runs.join(thread_id, run_ids["question"]),
        )
        for learn in (client.runs.join, lambda *ids: list(client.runs.join_stream(*ids))):
            with pytest.raises(RunFailedError) as caught:
                learn(thread_id, run_ids["ValueError"])
            assert ("ValueError", BOOM) == (caught.value.error, caught.value.message)
            assert round_of + ["begun", "held"] * 2 == path_in(caught.value.values)
            assert run_ids["ValueError"] == caught.value.run_id


@pytest.mark.parametrize("later", ["steps", "pourer"])
def test_values_that_nobody_can_tell_are_not_made_up(client: Client, thread_id: str, later: str) -> None:
    """Where a run of another graph hides what an older run had made, joining that says so, and passes off nothing else."""
    older = client.runs.create(thread_id, "echo", input={"value": "mine"}).run_id
    assert "mine" == client.runs.join(thread_id, older)["echo"]
    client.runs.wait(thread_id, later, input={"path": []} if later == "steps" else {"items": []})

    with pytest.raises(RunError) as caught:
        client.runs.join(thread_id, older)
    assert caught.value.run is not None
    assert (older, thread_id, None, "success") == (
        caught.value.run_id,
        caught.value.thread_id,
        caught.value.values,
        caught.value.run.status,
    )
    outcome = client.runs.join(thread_id, older, raise_error=False)
    assert ("success", False, None, False) == (outcome.status, outcome.exact, outcome.values, outcome.paused)


def test_a_join_while_a_later_run_runs(client: Client, thread_id: str, gate: Gate, tmp_path: Path) -> None:
    """While a later run holds the thread, joining the one before gives its own values, at once, and disturbs nothing."""
    opened = Gate(tmp_path / "opened")
    opened.open()
    run = client.runs.create(thread_id, "gated", input=opened.input("early"))
    client.runs.join(thread_id, run.run_id)
    later = client.runs.create(thread_id, "gated", input=gate.input("late"))
    gate.wait_begun("late")
    values = client.runs.join(thread_id, run.run_id, timeout=PATIENCE)
    outcome = client.runs.join(thread_id, run.run_id, raise_error=False)
    streamed = client.runs.join_stream(thread_id, run.run_id)

    assert ("early", ["begun", "early"]) == (values["tag"], values["passed"])
    assert (True, False, values) == (outcome.exact, outcome.paused, outcome.values)
    assert [] == list(streamed)
    assert streamed.outcome is not None and streamed.outcome.run is not None
    assert (run.run_id, "success", False) == (streamed.outcome.run.run_id, streamed.outcome.status, streamed.paused)
    assert not gate.passed("late")
    gate.open()
    assert ["begun", "early", "begun", "late"] == client.runs.join(thread_id, later.run_id)["passed"]


@pytest.mark.parametrize("entry", ["wait", "join"])
def test_a_run_in_a_queue_returns_its_own_values(client: Client, thread_id: str, gate: Gate, entry: str) -> None:
    """Runs that were enqueued behind one another each return what they made themselves, not what the last one left."""
    first = client.runs.create(thread_id, "gated", input=gate.input("0"))
    gate.wait_begun("0")
    created: dict[str, Any] = {}

    def one(tag: str) -> Any:
        if entry == "wait":
            return client.runs.wait(
                thread_id, "gated", input=gate.input(tag), timeout=PATIENCE, on_run_created=lambda ids: created.update(ids)
            )
        return client.runs.join(thread_id, client.runs.create(thread_id, "gated", input=gate.input(tag)).run_id, timeout=PATIENCE)

    with ThreadPoolExecutor() as pool:
        values = [pool.submit(one, tag) for tag in ("1", "2", "3")]
        wait_until(lambda: 4 == len(client.runs.list(thread_id)), "all runs to be created")
        gate.open()
        found = [future.result(PATIENCE) for future in values]
    assert [["begun", "0"]] == [client.runs.join(thread_id, first.run_id)["passed"]]
    for tag, value in zip(("1", "2", "3"), found):
        assert (tag, ["begun", tag]) == (value["tag"], value["passed"][-2:])


# -- an error that nobody saw


@pytest.mark.parametrize("later", [False, True], ids=["last run", "older run"])
@pytest.mark.parametrize("mode", ["values", "custom"])
@pytest.mark.parametrize("error, told", [("ValueError", BOOM), ("OwnError", INTERNAL)])
def test_an_error_event_that_was_missed_is_fetched(
    ending_server: DevServer, tmp_path: Path, mode: Any, error: str, told: str, later: bool
) -> None:
    """A stream that was cut before the error event, which is never sent again, raises the run's error all the same."""
    gate, seen = Gate(tmp_path / "gate"), []
    with Client(ending_server.url, api_key=None) as beside, CuttingProxy(ending_server.url) as proxy:
        thread_id = beside.threads.create().thread_id
        with (
            Client(proxy.url, api_key=None, retry=QUICK) as client,
            client.runs.stream(thread_id, "ending", input={**gate.input(), "end": error}, stream_mode=mode) as stream,
            pytest.raises(RunFailedError) as caught,
        ):
            for event in stream:
                seen.append(event)
                if event.mode == "custom" or event.data.get("path") == ["begun"]:
                    gate.wait_begun()
                    proxy.freeze()
                    gate.open()
                    assert stream.run_id is not None
                    cell = Cell(thread_id, stream.run_id)
                    wait_until(lambda: ended(beside, cell), "the run to fail")
                    if later:
                        beside.runs.wait(thread_id, "ending", input={"end": "success"})
                    proxy.break_all()
                    proxy.thaw()

    assert [] == [event for event in seen if isinstance(event, ErrorStreamEvent)]
    assert error == caught.value.error
    # Once a later run has come, only the checkpoint tells, in the graph's own words.
    assert {told, "a secret"} >= {caught.value.message} if later else told == caught.value.message
    assert (stream.run_id, thread_id) == (caught.value.run_id, caught.value.thread_id)
    assert ["begun", "held"] == path_in(caught.value.values)


# -- what it costs


@pytest.mark.parametrize("verify", [True, False], ids=["verified", "unverified"])
@pytest.mark.parametrize("mode", ["values", "custom"])
@pytest.mark.parametrize("entry", ["wait", "stream"])
def test_the_truth_costs_one_get(server: DevServer, thread_id: str, entry: str, mode: Any, verify: bool) -> None:
    """After a wait or a stream the run is requested once, and nothing else is; verify_outcome=False leaves that out."""
    witness = Witness(server.url, verify_outcome=verify)
    if entry == "wait":
        assert 7 == witness.client.runs.wait(thread_id, "echo", input={"value": 7}, stream_mode=mode)["echo"]
    else:
        stream = witness.client.runs.stream(thread_id, "echo", input={"value": 7}, stream_mode=mode)
        assert "metadata" in [event.event for event in stream]
    first, *rest = witness.asked(thread_id)
    witness.close()
    assert f"POST /threads/{thread_id}/runs/{entry}" == first
    run_id = Client(server.url, api_key=None).runs.list(thread_id)[0].run_id
    run = f"GET /threads/{thread_id}/runs/{run_id}"
    # On a busy machine the end of a stream may come so late that events may be missing. One more connection shows that none are.
    assert ([run] if verify else []) == rest or (entry == "stream" and verify and [run, f"{run}/stream"] == rest)


@pytest.mark.parametrize("entry", ["wait", "stream"])
def test_unverified_failures_are_still_errors(server: DevServer, thread_id: str, entry: str) -> None:
    """What the answer itself tells is told without asking: a graph's error raises with verify_outcome=False too."""
    witness = Witness(server.url, verify_outcome=False)
    options: dict[str, Any] = {"input": {"error": "ValueError", "message": "boom"}}
    with pytest.raises(RunFailedError) as caught:
        if entry == "wait":
            witness.client.runs.wait(thread_id, "failing", **options)
        else:
            list(witness.client.runs.stream(thread_id, "failing", **options))
    asked = witness.asked(thread_id)
    witness.close()
    assert ("ValueError", "boom", thread_id) == (caught.value.error, caught.value.message, caught.value.thread_id)
    assert caught.value.run_id is not None
    assert 1 == len(asked)


# -- the server goes away


SERVER_ENTRIES = ["wait", "stream", "join", "join_stream"]


@pytest.fixture
def mortal(request: pytest.FixtureRequest) -> Iterator[DevServer]:
    with DevServer(GRAPHS, workers=20, persistence=request.param) as server:
        yield server


def readers(client: Client, gate: Gate, pool: ThreadPoolExecutor) -> dict[str, tuple[Cell, concurrent.futures.Future[Any]]]:
    """One reader for each entry, each of a run that has begun and is held, each with an answer that has begun."""
    found = {}
    for entry in SERVER_ENTRIES:
        cell = Cell(client.threads.create().thread_id)
        begun = threading.Event()

        def note(ids: Any, cell: Cell = cell, begun: threading.Event = begun) -> None:
            cell.run_id = ids["run_id"]
            begun.set()

        def read(entry: str = entry, cell: Cell = cell, note: Any = note) -> Any:
            options: dict[str, Any] = {"input": gate.input(entry), "on_run_created": note}
            if entry == "wait":
                return client.runs.wait(cell.thread_id, "ending", **options)
            if entry == "stream":
                return follow(cell, client.runs.stream(cell.thread_id, "ending", **options))
            run = client.runs.create(cell.thread_id, "ending", stream_resumable=True, **options)
            if entry == "join":
                return client.runs.join(cell.thread_id, run.run_id)
            return follow(cell, client.runs.join_stream(cell.thread_id, run.run_id, last_event_id="0"))

        found[entry] = cell, pool.submit(read)
        assert begun.wait(PATIENCE)
    for entry in SERVER_ENTRIES:
        gate.wait_begun(entry)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("mortal", [False], indirect=True, ids=["memory"])
@pytest.mark.parametrize("back", [False, True], ids=["away", "restarted"])
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_a_server_that_dies_with_the_run(mortal: DevServer, tmp_path: Path, signum: int, back: bool) -> None:
    """A run that went down with its server never looks finished: the connection is the error, or the run is not found."""
    gate = Gate(tmp_path / "gate")
    retry = RetryPolicy(attempts=1000, wait_initial=0.1, wait_max=0.1, budget=None) if back else QUICK
    witness = Witness(mortal.url, retry=retry)
    with ThreadPoolExecutor() as pool:
        found = readers(witness.client, gate, pool)
        for entry in ("join", "join_stream"):
            cell = found[entry][0]
            wait_until(lambda: witness.asked(f"GET /threads/{cell.thread_id}"), entry)
        if signum == signal.SIGTERM:
            mortal.send_signal(signum)
            if back:
                mortal.restart()
            else:
                mortal.stop()
        else:
            mortal.kill(signum)
            if back:
                mortal.restart()
        for entry, (cell, reading) in found.items():
            error = reading.exception(PATIENCE)
            assert isinstance(error, NotFoundError if back else APIConnectionError), (entry, error, cell.value)
            assert (cell.run_id, cell.thread_id) == (error.run_id, error.thread_id)
            if not back and "stream" in entry:
                assert isinstance(error, StreamInterruptedError)
                assert (len(cell.events), cell.events[-1].id) == (error.events_seen, error.last_event_id)
    assert not any(gate.passed(entry) for entry in SERVER_ENTRIES)
    witness.close()


@pytest.mark.slow
@pytest.mark.parametrize("mortal", [True], indirect=True, ids=["persistent"])
def test_a_server_that_takes_the_run_up_again(mortal: DevServer, tmp_path: Path) -> None:
    """A run that a restarted server runs again is waited for to its true end; a stream that lost its events says so."""
    gate = Gate(tmp_path / "gate")
    witness = Witness(mortal.url, retry=RetryPolicy(attempts=1000, wait_initial=0.1, wait_max=0.1, budget=None))
    client = witness.client
    with ThreadPoolExecutor() as pool:
        cell = Cell(client.threads.create().thread_id)
        stream = client.runs.stream(cell.thread_id, "ending", input=gate.input())
        cell.run_id = str(stream.run_id)
        reading = pool.submit(follow, cell, stream)
        gate.wait_begun()
        mortal.restart()
        joining = pool.submit(client.runs.join, cell.thread_id, cell.run_id)
        gate.open()
        values = joining.result(2 * PATIENCE)
        with pytest.raises(StreamInterruptedError) as caught:
            reading.result(2 * PATIENCE)
    assert "done" == values["path"][-1]
    assert (cell.run_id, cell.thread_id) == (caught.value.run_id, caught.value.thread_id)
    assert (len(cell.events), cell.events[-1].id) == (caught.value.events_seen, caught.value.last_event_id)
    witness.close()
