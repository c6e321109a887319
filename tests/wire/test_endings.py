"""How runs ended on other servers: the responses of recorded_endings.json, byte for byte, and what the calls return for them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

import pytest

from langgraph_runs import Client, RunError, RunFailedError, RunOutcome

from .replies import Reply, reply, reply_json
from .scripted import ScriptedServer

RECORDED = json.loads((Path(__file__).parent / "recorded_endings.json").read_text("utf-8"))
RECURSION = "Recursion limit of 3 reached without hitting a stop condition. You can increase the limit by setting the "
FIRST, DONE = {"k": 1, "log": ["first"]}, {"k": 1, "log": ["first", "work"], "out": ["done", 1]}
#: By server and end: status, paused, the values without questions, the number of questions, and how the error begins.
EXPECTED: Mapping[tuple[str, str], tuple[str, bool, Any, int, Any]] = {
    ("JavaScript", "success"): ("success", False, DONE, 0, None),
    ("JavaScript", "failure"): ("error", False, {"fail": "value", "log": ["first"]}, 0, "Error: boom"),
    ("JavaScript", "question"): ("success", True, FIRST, 1, None),
    ("JavaScript", "stop"): ("success", True, FIRST, 0, None),
    ("JavaScript", "recursion"): ("error", False, {"n": 30, "count": 3, "log": []}, 0, f"GraphRecursionError: {RECURSION}"),
    ("JavaScript", "cancel"): ("interrupted", False, {"seconds": 3, "log": ["first"]}, 0, None),
    ("Aegra", "success"): ("success", False, DONE, 0, None),
    ("Aegra", "failure"): ("error", False, {"fail": "value", "log": ["first"]}, 0, "ValueError: boom"),
    ("Aegra", "question"): ("success", True, FIRST, 1, None),
    ("Aegra", "stop"): ("success", False, DONE, 0, None),  # it does not know interrupt_before, and ran to the end
    ("Aegra", "recursion"): ("error", False, {"n": 30, "count": 3, "log": []}, 0, f"None: {RECURSION}"),
    ("Aegra", "cancel"): ("interrupted", False, {"seconds": 3, "log": ["first"]}, 0, None),
}
CASES = pytest.mark.parametrize(("server", "end"), list(EXPECTED), ids=[f"{server}-{end}" for server, end in EXPECTED])


class Replay:
    """The routes of a server that ends every run as it was recorded, and the marker of the last create."""

    def __init__(self, server: str, end: str) -> None:
        self.recorded = RECORDED[server][end]
        self.thread_id, self.run_id = self.recorded["thread_id"], self.recorded["run_id"]
        self.marker = "of nobody"
        thread, run = "/threads/*", "/threads/*/runs/*"
        self.routes: dict[tuple[str, str], Any] = {
            ("POST", f"{thread}/runs/wait"): self.creating("wait"),
            ("POST", f"{thread}/runs"): self.creating("run"),
            ("GET", f"{thread}/runs"): lambda _: self.reply("runs"),
            ("GET", run): lambda _: self.reply("run"),
            ("GET", f"{run}/join"): lambda _: self.reply("join"),
            ("GET", thread): lambda _: self.reply("thread"),
            ("GET", f"{thread}/state"): lambda _: self.reply("state"),
            ("POST", f"{thread}/history"): lambda _: self.reply("history"),
        }

    def creating(self, name: str) -> Callable[[Any], Reply]:
        def created(request: Any) -> Reply:
            self.marker = request.json()["metadata"]["langgraph_runs_request_id"]
            return self.reply(name)

        return created

    def reply(self, name: str) -> Reply:
        found = self.recorded[name]
        return reply(found["status"], found["body"].replace("MARKER", self.marker), found["headers"])


def check(outcome: RunOutcome, server: str, end: str, run_id: str, *, says_why: bool = True) -> None:
    status, paused, values, questions, error = EXPECTED[server, end]
    found = {key: value for key, value in (outcome.values or {}).items() if key != "__interrupt__"}
    assert (status, paused, values, questions) == (outcome.status, outcome.paused, found, len(outcome.interrupts))
    assert questions == len((outcome.values or {}).get("__interrupt__", []))
    assert error is None or not says_why or f"{outcome.error}: {outcome.message}".startswith(error)
    assert outcome.exact
    assert outcome.run is not None
    assert run_id == outcome.run.run_id


@CASES
def test_a_wait_tells_how_its_run_ended(connect: Callable[..., Client], server: str, end: str) -> None:
    """Whatever its response looks like. A second wait gives the same, and by then the run is known from the beginning."""
    replay = Replay(server, end)
    with ScriptedServer(routes=replay.routes) as scripted:
        client = connect(scripted.url)
        for _ in range(2):
            created: list[Any] = []
            outcome = client.runs.wait(replay.thread_id, "work", raise_error=False, on_run_created=created.append)
            check(outcome, server, end, replay.run_id)
            assert [{"run_id": replay.run_id, "thread_id": replay.thread_id}] == created


@CASES
def test_a_join_of_an_ended_run_tells_how_it_ended(connect: Callable[..., Client], server: str, end: str) -> None:
    replay = Replay(server, end)
    with ScriptedServer(routes=replay.routes) as scripted:
        outcome = connect(scripted.url).runs.join(replay.thread_id, replay.run_id, raise_error=False)
    # The JavaScript server keeps an error that no step has raised only for the connections that are open.
    check(outcome, server, end, replay.run_id, says_why=(server, end) != ("JavaScript", "recursion"))


@pytest.mark.parametrize("end", ["success", "failure", "question", "cancel"])
def test_a_wait_whose_run_cannot_be_told(connect: Callable[..., Client], end: str) -> None:
    """The run of another create is on the thread. A question in the response is evidence of a pause; anything else is none."""
    replay = Replay("Aegra", end)
    replay.routes["POST", "/threads/*/runs/wait"] = replay.reply("wait")  # the marker is not noted
    with ScriptedServer(routes=replay.routes) as scripted:
        client = connect(scripted.url)
        outcome = client.runs.wait(replay.thread_id, "work", raise_error=False)
        if end == "question":
            assert ("success", True) == (outcome.status, outcome.paused)
            return
        assert ("unknown", False, None) == (outcome.status, outcome.paused, outcome.run)
        with pytest.raises(RunError, match="it is not known how the run ended"):
            connect(scripted.url).runs.wait(replay.thread_id, "work")  # the first client now creates runs before it waits


def test_a_wait_that_fails_with_its_run(connect: Callable[..., Client]) -> None:
    """Some servers respond with status 500 if the run fails: the run is found, and its error is raised."""
    replay = Replay("JavaScript", "failure")
    failed = reply_json(500, {"detail": "boom"})

    def respond(request: Any) -> Reply:
        replay.creating("wait")(request)
        return failed

    replay.routes["POST", "/threads/*/runs/wait"] = respond
    replay.routes["GET", "/threads/*/runs/*/join"] = failed
    with ScriptedServer(routes=replay.routes) as scripted:
        with pytest.raises(RunFailedError, match="boom") as caught:
            connect(scripted.url).runs.wait(replay.thread_id, "work")
    assert replay.run_id == caught.value.run_id
    assert 1 == sum(request.method == "POST" and request.path.endswith("/wait") for request in scripted.requests)


def test_the_ids_of_the_recording() -> None:
    """They are those of the servers, and all different."""
    ids = [uuid.UUID(case["run_id"]) for cases in RECORDED.values() for case in cases.values()]
    assert len(EXPECTED) == len(set(ids))
