"""What scripts make of the fake server is what graphs make of the real one: the same scenes are played on both and compared.

Compared is all that a client is told: values, events, errors, and the records of run, thread and state afterwards, with ids and times
made equal. What differs and must is in `DIFFERENT`, each with its reason.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Callable, Optional

import attrs
import pytest

from langgraph_runs import Client, LangGraphRunsError, RunOutcome
from langgraph_runs.devserver import DevServer
from langgraph_runs.testing import (
    FakeRuns,
    Script,
    fails,
    is_cancelled,
    message_event,
    never_ends,
    no_wait,
    pauses,
    rate_limited,
    refuses,
    succeeds,
    times_out,
    unauthorized,
    unavailable,
)
from langgraph_runs.testing.cutting_proxy import CuttingProxy, cut_response

from .conftest import Gate, wait_until

PATIENCE = 30.0

#: What only the real server tells, by where it stands, and why the fake one does not.
DIFFERENT = {
    "run.kwargs.config.configurable.__request_start_time_ms__": "the server's own timing",
    "run.kwargs.config.configurable.__after_seconds__": "the server's own copy of after_seconds",
    "run.kwargs.config.configurable.__pregel_node_finished": "an object of the library that runs graphs, as null",
    "run.kwargs.config.metadata.run_attempt": "what the server adds for tracing, when it begins the run",
    "run.kwargs.config.metadata.langgraph_version": "as above; and a version is not to be relied on",
    "run.kwargs.config.metadata.langgraph_api_version": "as above",
    "run.kwargs.config.metadata.langgraph_plan": "as above",
    "run.kwargs.config.metadata.langgraph_host": "as above",
    "run.kwargs.config.metadata.langgraph_api_url": "as above",
    "state.metadata.run_attempt": "as in the run's metadata",
    "state.metadata.langgraph_version": "as in the run's metadata",
    "state.metadata.langgraph_api_version": "as in the run's metadata",
    "state.metadata.langgraph_plan": "as in the run's metadata",
    "state.metadata.langgraph_host": "as in the run's metadata",
    "state.metadata.langgraph_api_url": "as in the run's metadata",
    "state.metadata.user_id": "there are no users on the fake server",
    "state.metadata.langgraph_auth_user_id": "there are no users on the fake server",
    "state.metadata.step": "a script has one checkpoint, a graph one for each step",
    "state.parent_checkpoint": "as above: the first checkpoint has none before it",
    "state.extra.parent_checkpoint_id": "as above",
    "state.tasks.extra.path": "which edge of the graph led to the node; a script has no edges",
}

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32}\b")


def plain(value: Any, place: str = "") -> Any:
    """*value* as JSON, with ids and times made equal and what is known to differ left out."""
    if attrs.has(type(value)):
        return {
            f.name: plain(getattr(value, f.name), f"{place}.{f.name}")
            for f in attrs.fields(type(value))
            if f"{place}.{f.name}" not in DIFFERENT
        }
    if isinstance(value, dict):
        told = {key: item for key, item in value.items() if f"{place}.{key}" not in DIFFERENT}
        return {_ID.sub("<id>", str(key)): plain(item, f"{place}.{key}") for key, item in told.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, place) for item in value]
    if isinstance(value, datetime.datetime):
        return ("time", value.tzinfo is not None)
    return _ID.sub("<id>", value) if isinstance(value, str) else value


def told(error: LangGraphRunsError) -> dict[str, Any]:
    """What an error says, in the names that its class has for it."""
    names = ("error", "message", "values", "status_code", "retry_after", "attempts", "sent")
    return {"class": type(error).__name__, **{n: plain(getattr(error, n)) for n in names if hasattr(error, n)}}


@contextmanager
def noted(record: dict[str, Any], name: str) -> Iterator[None]:
    try:
        yield
    except LangGraphRunsError as error:
        record[name] = told(error)
        if name == "stream":
            del record[name]["attempts"]  # a stream opens another connection if the server notes the end of the run late


@dataclass
class Scene:
    """The same run on both servers."""

    name: str
    graph: str
    script: Script
    input: Any = None
    options: dict[str, Any] = field(default_factory=dict)
    #: A command for the run after it, and what that run does.
    then: Optional[tuple[Any, Script]] = None

    def __str__(self) -> str:
        return self.name

    def play(self, client: Client) -> dict[str, Any]:
        """Wait for it on one thread, stream it on another, and look at what is there afterwards."""
        record: dict[str, Any] = {}
        options = {"input": self.input, "timeout": PATIENCE, **self.options}
        first, second = (client.threads.create().thread_id for _ in range(2))
        with noted(record, "wait"):
            record["wait"] = plain(client.runs.wait(first, self.graph, **options))
        outcome = client.runs.join(first, client.runs.list(first)[0].run_id, raise_error=False, timeout=PATIENCE)
        record["join"] = (plain(attrs.evolve(outcome, run=None)), plain(outcome.run, "run"))
        modes: Any = ["values", "updates", "custom"]
        events: list[Any] = record.setdefault("events", [])
        with client.runs.stream(second, self.graph, stream_mode=modes, **options) as stream:
            with noted(record, "stream"):
                for event in stream:
                    events.append((type(event).__name__, event.event, plain(event.data), event.id is not None))
            record["end"] = (stream.paused, plain(stream.interrupts), plain(stream.values), stream.gaps)
        record.update(self.rest(client, second, stream.run_id))
        if self.then is not None:
            record["then"] = plain(client.runs.wait(second, self.graph, command=self.then[0], timeout=PATIENCE))
            record["then thread"] = plain(client.threads.get(second), "thread")
        return record

    @staticmethod
    def rest(client: Client, thread_id: str, run_id: Any) -> dict[str, Any]:
        """Run, thread and state, as they are told after the run."""
        run = client.runs.get(thread_id, run_id)
        (state,) = client.threads.get_history(thread_id, limit=1)
        return {
            "run": plain(run, "run"),
            "listed": [plain(one, "run") for one in client.runs.list(thread_id)],
            "thread": plain(client.threads.get(thread_id), "thread"),
            "state": plain(state, "state"),
            "times": (run.created_at is not None and run.updated_at is not None and run.created_at <= run.updated_at),
        }

    def on_fake(self) -> dict[str, Any]:
        with FakeRuns() as fake:
            fake.script(*[self.script] * 2)
            if self.then is not None:
                fake.script(self.then[1])
            return self.play(fake.client())


ASKED = {"questions": ["Send?"], "answers": []}
SCENES = [
    Scene(
        "success",
        "echo",
        succeeds(
            {"value": 1, "echo": 1, "turns": 1},
            events=[("values", {"value": 1, "turns": 0}), ("updates", {"say": {"echo": 1, "turns": 1}})],
        ),
        {"value": 1},
    ),
    Scene(
        "failure",
        "failing",
        fails(
            "ValueError",
            "no ink",
            events=[
                ("values", {"error": "ValueError", "message": "no ink"}),
                ("custom", {"before": "the failure"}),
                ("updates", {"prepare": {"before": "the failure"}}),
                ("values", {"error": "ValueError", "message": "no ink", "before": "the failure"}),
            ],
            node="fail",
        ),
        {"error": "ValueError", "message": "no ink"},
    ),
    Scene(
        "question",
        "asker",
        pauses("Send?", values=ASKED, node="ask"),
        {"questions": ["Send?"]},
        then=({"resume": "yes"}, succeeds({**ASKED, "answers": [{"Send?": "yes"}]})),
    ),
    Scene(
        "pause before a node",
        "steps",
        pauses(events=[("updates", {"one": {"path": ["one"]}}), ("values", {"path": ["one"]})], node="two"),
        {},
        {"interrupt_before": ["two"]},
    ),
]


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_a_script_gives_the_same_results_as_a_graph(scene: Scene, client: Client) -> None:
    """Values, events, errors and records are the same."""
    real, fake = scene.play(client), scene.on_fake()
    for part in real:
        assert real[part] == fake[part], part
    assert list(real) == list(fake)


ONCE: Any = (("echo", {"value": 1}), ("failing", {"error": "ValueError", "message": "boom"}), ("asker", {"questions": ["q"]}))


def test_the_documented_differences_exist(client: Client) -> None:
    """No difference is excused that there is not."""
    scene = SCENES[0]
    with FakeRuns() as fake:
        fake.script(scene.script, fails(node="fail"), pauses("q", node="ask"))
        seen = []
        for one in (client, fake.client()):
            places = set()
            for graph, given in ONCE:
                thread_id = one.threads.create().thread_id
                ended = one.runs.wait(thread_id, graph, input=given, raise_error=False, timeout=PATIENCE)
                (state,) = one.threads.get_history(thread_id, limit=1)
                places |= set(leaves(attrs.asdict(ended.run), "run")) | set(leaves(attrs.asdict(state), "state"))
            seen.append(places)
    differing = {place for place in DIFFERENT if any(p.startswith((f"{place}.", f"{place}=")) for p in seen[0] ^ seen[1])}
    assert set(DIFFERENT) == differing


def leaves(value: Any, place: str) -> Iterator[str]:
    """Each place with what stands there, ids and times made equal."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{place}.{key}")
    elif isinstance(value, (list, tuple)) and any(isinstance(item, dict) for item in value):
        for item in value:
            yield from leaves(item, place)
    else:
        yield f"{place}={plain(value)!r}"


def test_a_run_that_another_client_cancels(client: Client, gate: Gate) -> None:
    """Waited for and streamed: the same error, the same values, the same status of run and thread."""

    def play(client: Client, cancel: Callable[[str, str], None], given: Any) -> dict[str, Any]:
        record: dict[str, Any] = {}
        thread_id = client.threads.create().thread_id
        with client.runs.stream(thread_id, "gated", input=given, timeout=PATIENCE) as stream, noted(record, "stream"):
            events = []
            for event in stream:
                events.append(event.event)
                if isinstance(event.data, dict) and event.data.get("passed") == ["begun"]:
                    cancel(thread_id, stream.run_id or "")
        # the run is told as cancelled before its worker has stopped and written that down
        wait_until(lambda: client.threads.get(thread_id).error, "the end of the run")
        return {**record, "events": events, **Scene.rest(client, thread_id, stream.run_id)}

    given = gate.input()
    real = play(client, lambda t, r: client.runs.cancel(t, r), given)
    steps = [("values", {**given, "passed": []}), ("values", {**given, "passed": ["begun"]})]
    with FakeRuns() as fake:
        fake.script(is_cancelled(events=steps, node="hold"))
        told_here = play(fake.client(), lambda t, r: None, given)
    with FakeRuns() as fake:
        fake.script(never_ends(events=steps, node="hold"))
        cancelled_here = play(fake.client(), lambda t, r: fake.client().runs.cancel(t, r), given)

    for part in real:
        assert real[part] == told_here[part] == cancelled_here[part], part


def test_a_run_that_takes_too_long(guarded_server: DevServer, gate: Gate) -> None:
    """The server's own limit: the same error, and the thread tells the same."""

    def play(client: Client) -> dict[str, Any]:
        record: dict[str, Any] = {}
        thread_id = client.threads.create().thread_id
        with noted(record, "wait"):
            client.runs.wait(thread_id, "gated", input=gate.input(), timeout=PATIENCE)
        (run,) = client.runs.list(thread_id)
        thread, (state,) = client.threads.get(thread_id), client.threads.get_history(thread_id, limit=1)
        return {
            **record,
            "run": run.status,
            "thread": (thread.status, thread.error, thread.values),
            "task": [task.name for task in state.tasks],
        }

    with Client(guarded_server.url, api_key="key-of-alice") as client:
        real = play(client)
    with FakeRuns() as fake:
        fake.script(times_out({**gate.input(), "passed": ["begun"]}, node="hold"))
        assert real == play(fake.client())


def test_a_broken_stream_is_resumed_in_the_same_way(server: DevServer) -> None:
    """Behind a proxy that cuts the real one, and with a script that is cut: all events, each once, in order."""
    numbers = [("custom", {"i": i}) for i in range(30)]

    def play(client: Client) -> Any:
        modes: Any = ["custom", "values"]
        with client.runs.stream(
            client.threads.create().thread_id, "burst", input={"n": 30}, stream_mode=modes, timeout=PATIENCE
        ) as stream:
            return [(event.event, plain(event.data), event.id is not None) for event in stream], stream.gaps

    with CuttingProxy(server.url) as proxy, Client(proxy.url, retry=no_wait()) as client:
        proxy.arm(cut_response(1500), when=b"POST /threads/")
        real = play(client)
        assert any(turn.fired for turn in proxy.turns)
    with FakeRuns() as fake:
        fake.script(succeeds({"n": 30, "written": 30}, events=[("values", {"n": 30}), *numbers]).cut_after(12))
        assert real == play(fake.client())


def test_a_message_event_is_what_a_chat_model_sends(client: Client) -> None:
    """The same fields of the same types; of what is known about it, the factory tells some, and nothing that is not so."""

    def play(client: Client) -> list[Any]:
        said = {"messages": [{"role": "user", "content": "hi"}]}
        with client.runs.stream(None, "chat", input=said, stream_mode="messages-tuple", timeout=PATIENCE) as stream:
            return [event for event in stream if event.mode == "messages"]

    real = play(client)
    words = [event.data[0]["content"] for event in real]
    assert "You said: hi" == "".join(words)
    pieces = [message_event(word, node="answer", tags=["fake-model"]) for word in words]
    with FakeRuns() as fake:
        fake.script(succeeds({}, events=pieces))
        here = play(fake.client())
    last = {**here[-1].data[0], "chunk_position": real[-1].data[0]["chunk_position"]}
    assert [plain(event.data[0]) for event in real] == [*(plain(event.data[0]) for event in here[:-1]), plain(last)]
    for one, other in zip(real, here):
        assert {**other.data[1], "graph_id": "chat"}.items() <= one.data[1].items()
        assert (type(one), one.event, one.tags) == (type(other), other.event, other.tags)


@pytest.mark.parametrize("call", ["create", "wait", "stream"])
def test_refusals_are_the_same(guarded_server: DevServer, server: DevServer, call: str) -> None:
    """A wrong key, a 429 with Retry-After, a 503: the same class, text, status and number of attempts."""
    real: list[Any] = []
    fake_: list[Any] = []

    def ask(client: Client, record: list[Any], **options: Any) -> None:
        found: dict[str, Any] = {}
        with noted(found, "error"):
            made = getattr(client.runs, call)(None, "echo", input={"value": 1}, **options)
            made.close()
        record.append(found)

    policy = no_wait(attempts=2)
    for key in ("wrong", "key-of-a-hog"):
        with Client(guarded_server.url, api_key=key, retry=policy) as client:
            ask(client, real)
    with Client(server.url, retry=policy) as client:
        ask(client, real, headers={"x-fault": "503"})
    with FakeRuns() as fake:
        fake.script(unauthorized(), *[refuses(429, "enough", {"Retry-After": "7"})] * 2, *[unavailable()] * 2)
        for _ in range(3):
            ask(fake.client(retry=policy), fake_)
    assert real == fake_
    with FakeRuns() as fake:
        fake.script(*[rate_limited(7)] * 2)
        ask(fake.client(retry=policy), fake_)
    assert {**fake_[1]["error"], "message": "Too Many Requests"} == fake_[3]["error"]


def test_a_deadline_on_a_slow_run(client: Client, gate: Gate) -> None:
    """on_timeout="cancel" ends the run, and the same is left behind."""

    def play(client: Client) -> dict[str, Any]:
        record: dict[str, Any] = {}
        thread_id = client.threads.create().thread_id
        with noted(record, "wait"):
            client.runs.wait(thread_id, "gated", input=gate.input(), timeout=2, on_timeout="cancel")
        (run,) = client.runs.list(thread_id)

        def is_settled() -> Optional[Any]:
            thread = client.threads.get(thread_id)
            return thread if thread.error else None

        thread = wait_until(is_settled, "the end of the run")
        return {**record, "run": run.status, "thread": (thread.status, thread.error, thread.values)}

    real = play(client)
    with FakeRuns() as fake:
        fake.script(never_ends({**gate.input(), "passed": ["begun"]}))
        assert real == play(fake.client())


def test_a_stateless_run_leaves_the_same_state(client: Client) -> None:
    """The values, and neither run nor thread."""

    def play(client: Client) -> Any:
        ids: list[Any] = []
        values = client.runs.wait(None, "echo", input={"value": 2}, on_run_created=ids.append, timeout=PATIENCE)
        record: dict[str, Any] = {"values": values}

        def is_gone() -> bool:
            with noted(record, "run"):
                client.runs.get(ids[0]["thread_id"], ids[0]["run_id"])
            return "run" in record

        wait_until(is_gone, "the run to be deleted")
        return record

    with FakeRuns() as fake:
        fake.script(succeeds({"value": 2, "echo": 2, "turns": 1}))
        assert play(client) == play(fake.client())


def test_missing_runs_and_threads_give_the_same_errors(client: Client, new_id: str) -> None:
    """Unknown threads and runs, ids that are none, a busy thread, a thread that exists."""

    def play(client: Client) -> list[Any]:
        thread_id = client.threads.create().thread_id
        asked: list[Callable[[], Any]] = [
            lambda: client.runs.get(thread_id, new_id),
            lambda: client.runs.get(new_id, new_id),
            lambda: client.runs.list(new_id),
            lambda: client.runs.cancel(thread_id, new_id),
            lambda: client.runs.delete(thread_id, new_id),
            lambda: client.runs.join(thread_id, new_id),
            lambda: list(client.runs.join_stream(thread_id, new_id)),
            lambda: client.runs.create(new_id, "echo"),
            lambda: client.threads.get(new_id),
            lambda: client.threads.get_state(new_id),
            lambda: client.threads.get_history(new_id),
            lambda: client.threads.delete(new_id),
            lambda: client.threads.create(thread_id=thread_id),
            lambda: client.threads.get("no-id"),
            lambda: client.runs.get(thread_id, "no-id"),
            lambda: client.runs.create("no-id", "echo"),
            lambda: client.assistants.get(new_id),
        ]
        found: list[Any] = []
        for ask in asked:
            record: dict[str, Any] = {"error": None}
            with noted(record, "error"):
                ask()
            found.append(record["error"] and {k: v for k, v in record["error"].items() if k != "values"})
        return found

    with FakeRuns() as fake:
        for real, here in zip(play(client), play(fake.client())):
            assert real == here


def test_an_outcome_is_the_same_record(client: Client) -> None:
    with FakeRuns() as fake:
        fake.script(succeeds({"value": 3, "echo": 3, "turns": 1}))
        told_: list[RunOutcome] = [
            one.runs.wait(one.threads.create().thread_id, "echo", input={"value": 3}, raise_error=False, timeout=PATIENCE)
            for one in (client, fake.client())
        ]
    assert plain(told_[0].run, "run") == plain(told_[1].run, "run")
    assert (told_[0].values, told_[0].exact, told_[0].paused) == (told_[1].values, told_[1].exact, told_[1].paused)


def test_assistants_crons_and_the_store_are_the_same(client: Client, new_id: str) -> None:
    """What is created, changed, searched, counted and deleted; the errors of what does not exist."""
    mark = {"test": new_id}

    def play(client: Client) -> list[Any]:
        found: list[Any] = []

        def note(record: Any) -> Any:
            fields = attrs.asdict(record, recurse=False)
            fields = {name: value for name, value in fields.items() if not name.endswith(("_id", "_at", "_date", "extra"))}
            found.append({**fields, "payload": None})
            return record

        def refused(call: Callable[[], Any]) -> None:
            with pytest.raises(LangGraphRunsError) as raised:
                call()
            found.append(raised.type)

        assistants, crons, store = client.assistants, client.crons, client.store
        made = note(assistants.create("echo", name="One", metadata=mark, context={"a": 1}))
        note(assistants.update(made.assistant_id, name="Two", metadata={"more": 1}))
        found.append([(one.version, one.name) for one in assistants.get_versions(made.assistant_id)])
        note(assistants.set_latest(made.assistant_id, 1))
        found.append((assistants.count(metadata=mark), len(assistants.search(metadata=mark, limit=1))))
        refused(lambda: assistants.create("echo", assistant_id=made.assistant_id))
        refused(lambda: assistants.set_latest(made.assistant_id, 9))

        thread = client.threads.create(metadata=mark)
        options: dict[str, Any] = {"schedule": "0 12 29 2 *", "metadata": mark}
        cron = note(crons.create(made.assistant_id, input={"n": 1}, end_time="2099-01-01T00:00:00Z", **options))
        note(crons.update(cron.cron_id, enabled=False, end_time=None, metadata={"more": 1}))
        note(crons.create_for_thread(thread.thread_id, made.assistant_id, **options))
        found.append((crons.count(metadata=mark), len(crons.search(metadata=mark, enabled=False))))
        found.append(crons.get(cron.cron_id).payload["input"])
        refused(lambda: crons.create(made.assistant_id, schedule="never"))
        for one in crons.search(metadata=mark):
            crons.delete(one.cron_id)
        refused(lambda: crons.delete(cron.cron_id))
        refused(lambda: crons.get(cron.cron_id))
        assistants.delete(made.assistant_id)
        refused(lambda: assistants.get(made.assistant_id))
        refused(lambda: assistants.delete(made.assistant_id))

        store.put_item([new_id, "a"], "k", {"n": 1})
        store.put_item([new_id, "b"], "k", {"n": 2})
        item = store.get_item([new_id, "a"], "k")
        found.append((item and item.value, store.get_item([new_id, "a"], "x")))
        found.append(sorted(one.namespace for one in store.search_items([new_id], {"n": 2}).items))
        found.append(sorted(store.list_namespaces([new_id]).namespaces))
        found.append(store.list_namespaces([new_id], max_depth=1).namespaces)
        store.delete_item([new_id, "a"], "k")
        found.append([one.key for one in store.search_items([new_id]).items])

        found.append(client.threads.count(metadata=mark))
        found.append(client.threads.update(thread.thread_id, metadata={"x": 1}, return_minimal=True))
        found.append(client.threads.prune([thread.thread_id, new_id]).pruned_count)
        return found

    with FakeRuns() as fake:
        assert play(client) == play(fake.client())


def test_a_stream_of_a_thread_is_the_same(client: Client) -> None:
    """Two runs, one after the other, with their ends."""

    def play(client: Client) -> Any:
        thread_id = client.threads.create().thread_id
        found: list[Any] = []
        with client.threads.join_stream(thread_id, timeout=PATIENCE) as stream:
            for value in (1, 2):
                client.runs.wait(thread_id, "echo", input={"value": value})
            for event in stream:
                if event.event != "metadata":
                    found.append((event.event, event.data))
                elif "status" not in event.data:
                    found.append("begin")
                else:
                    found.append(stream.outcome and stream.outcome.status)
                    if found.count("success") == 2:
                        return found

    real = play(client)
    with FakeRuns() as fake:
        for turns in (1, 2):
            before = {} if turns == 1 else {"echo": 1}
            start = {"value": turns, **before, "turns": turns - 1}
            fake.script(succeeds({"value": turns, "echo": turns, "turns": turns}, events=[("values", start)]))
        assert real == play(fake.client())
