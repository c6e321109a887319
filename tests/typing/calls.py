"""What the calls take and give. Checked by mypy, never run (tests/test_typing.py)."""

import datetime
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from typing_extensions import assert_type

from langgraph_runs import (
    AbortController,
    Assistant,
    BatchResult,
    Checkpoint,
    Client,
    LangGraphRunsError,
    Ledger,
    LedgerEntry,
    MapProgress,
    RetryPolicy,
    Run,
    RunCreate,
    RunMap,
    RunOutcome,
    RunsCreatePayload,
    RunsStreamPayload,
    RunsWaitPayload,
    ServerInfo,
    Thread,
    ThreadState,
    ThreadUpdate,
)
from langgraph_runs.devserver import DevServer

client = Client("http://localhost:2024", api_key=None, timeout=60, retry=RetryPolicy(attempts=1))
runs = client.runs
now = datetime.datetime.now(datetime.timezone.utc)


def starting() -> None:
    assert_type(runs.create("t", "agent", input={"n": 1}), Run)
    assert_type(runs.create(None, "agent", RunsCreatePayload(input=1), metadata={"k": "v"}), Run)
    assert_type(runs.wait("t", "agent", input={"n": 1}, timeout=1.5, on_timeout="cancel"), Any)
    assert_type(runs.wait("t", "agent", RunsWaitPayload(input=1)), Any)
    assert_type(runs.create_batch([RunCreate(assistant_id="agent"), {"assistant_id": "agent"}]), List[Run])


def every_option_of_a_run() -> None:
    runs.create(
        "t",
        "agent",
        input=None,
        command={"resume": "yes"},
        stream_mode=["values", "messages-tuple"],
        stream_subgraphs=True,
        stream_resumable=True,
        metadata={"k": 1},
        config={"tags": ["a"], "recursion_limit": 5, "configurable": {"k": 1}},
        context={"user": "ada"},
        checkpoint=Checkpoint(checkpoint_id="c"),
        checkpoint_id="c",
        checkpoint_during=False,
        interrupt_before="*",
        interrupt_after=["node"],
        feedback_keys=["score"],
        on_completion="keep",
        webhook="https://example.com/hook",
        multitask_strategy="reject",
        if_not_exists="create",
        after_seconds=0.5,
        langsmith_tracing={"project_name": "p"},
        durability="exit",
        strict_resume=True,
        kwargs={"newer": 1},
        headers={"x-a": "b"},
        params={"k": ["a", "b"]},
        timeout=None,
        signal=AbortController().signal,
        on_run_created=print,
    )


def looking_and_joining() -> None:
    assert_type(runs.get("t", "r"), Run)
    assert_type(runs.list("t", limit=5, status="success", metadata={"k": 1}, created_after=now), List[Run])
    assert_type(runs.list("t", {"limit": 5, "status": "success"}, created_after="2026-11-21T01:09:53Z"), List[Run])
    assert_type(runs.iter("t", page_size=50, select=["run_id"]), Iterator[Run])
    assert_type(runs.join("t", "r", timeout=30), Any)
    outcome: RunOutcome = runs.join("t", "r", raise_error=False)
    assert_type(outcome.paused, bool)


def many() -> None:
    results = runs.map("agent", ({"n": n} for n in range(3)), ledger="jobs.sqlite", context={"k": 1}, keep_threads="failed")
    assert_type(results, RunMap)
    assert_type(next(results), BatchResult)
    assert_type(results.progress, MapProgress)
    assert_type([result.error for result in runs.join_all([("t", "r")])], List[Optional[LangGraphRunsError]])
    assert_type(Ledger("jobs.sqlite").counts(), Dict[str, int])
    assert_type(Ledger("jobs.sqlite").entries("failed"), Iterator[LedgerEntry])
    runs.map("agent", [], on_error="ignore")  # type: ignore[arg-type]
    runs.map("agent", [], multitask_strategy="reject")  # type: ignore[call-arg]


def ending() -> None:
    runs.cancel("t", "r", wait=True, action="rollback")
    runs.cancel("t", "r", True, "interrupt")
    runs.cancel_many(thread_id="t", run_ids=["r"])
    runs.cancel_many(status="pending")
    runs.delete("t", "r", timeout=5)
    client.threads.delete("t")
    client.close()


def threads_and_assistants() -> None:
    assert_type(client.threads.create(metadata={"k": 1}, if_exists="do_nothing"), Thread)
    assert_type(client.threads.get("t"), Thread)
    assert_type(client.threads.update("t", metadata={}), Thread)
    assert_type(client.threads.copy("t"), Thread)
    assert_type(client.threads.search(metadata={"k": 1}), List[Thread])
    assert_type(client.threads.get_state("t", Checkpoint(checkpoint_id="c")), ThreadState)
    assert_type(client.threads.get_history("t", before="c"), List[ThreadState])
    assert_type(client.threads.update_state("t", {"n": 1}, as_node="node"), ThreadUpdate)
    assert_type(client.assistants.search(graph_id="agent"), List[Assistant])
    assert_type(client.assistants.get("a"), Assistant)
    assert_type(client.ok(), bool)
    assert_type(client.info(), ServerInfo)


def what_a_run_has(run: Run) -> None:
    assert_type(run.status, str)
    assert_type(run.finished, bool)
    assert_type(run.created_at, Optional[datetime.datetime])
    assert_type(run.metadata, Dict[str, Any])
    assert_type(run.request_id, Optional[str])
    assert_type(run.config, Dict[str, Any])
    run.status = "success"  # type: ignore[misc]


def clients() -> None:
    Client(api_url="http://localhost:2024", api_key="key", stream_timeout=None)
    with client.with_options(timeout=5, headers={"x-a": "b"}) as copy:
        assert_type(copy, Client)
    with DevServer(graphs={"agent": "my_agent.py:graph"}) as server:
        assert_type(server.url, str)


def what_is_wrong_is_refused() -> None:
    runs.create("t", "agent", inputs={"n": 1})  # type: ignore[call-arg]
    runs.create("t", "agent", {"n": 1})  # type: ignore[arg-type]
    runs.create("t", "agent", input={}, multitask_strategy="queue")  # type: ignore[arg-type]
    runs.create("t", "agent", input={}, on_disconnect="cancel")  # type: ignore[call-arg]
    runs.create("t", "agent", input={}, raise_error=False)  # type: ignore[call-arg]
    runs.wait("t", "agent", input={}, durability="never")  # type: ignore[arg-type]
    runs.wait("t", "agent", input={}, timeout="5")  # type: ignore[arg-type]
    runs.wait("t", "agent", input={}, signal=AbortController())  # type: ignore[arg-type]
    runs.wait("t", "agent", input={}, on_gap="mark")  # type: ignore[call-arg]
    runs.stream("t", "agent", input={}, on_gap="ignore")  # type: ignore[call-overload]
    runs.stream("t", "agent", inputs={})  # type: ignore[call-overload]
    runs.join("t", "r", input={})  # type: ignore[call-arg]
    runs.get(None, "r")  # type: ignore[arg-type]
    runs.cancel("t", "r", action="stop")  # type: ignore[arg-type]
    runs.cancel_many(status="success")  # type: ignore[arg-type]
    runs.list("t", 5)  # type: ignore[arg-type]
    runs.list("t", {"limits": 5})  # type: ignore[arg-type]
    runs.list("t", status="done")  # type: ignore[arg-type]
    list(runs.iter("t", status="done"))  # type: ignore[arg-type]
    runs.list("t", created_after=5)  # type: ignore[arg-type]
    runs.create("t", "agent", on_completion="remove")  # type: ignore[arg-type]
    client.threads.create(if_exists="replace")  # type: ignore[arg-type]
    client.threads.search(status="done")  # type: ignore[arg-type]
    client.threads.search(sort_by="name")  # type: ignore[arg-type]
    client.assistants.search(sort_order="up")  # type: ignore[call-overload]
    client.with_options(timout=5)  # type: ignore[call-arg]
    client.with_options(timeout="5")  # type: ignore[arg-type]
    Client(api_key=5)  # type: ignore[arg-type]
    Client(stream_timeout="5")  # type: ignore[arg-type]
    RunsCreatePayload(on_disconnect="cancel")  # type: ignore[call-arg]
    RunCreate(input={})  # type: ignore[call-arg]
    Client(timeout="5")  # type: ignore[arg-type]
    RetryPolicy(4)  # type: ignore[call-arg]


def payloads_are_plain_records(payload: RunsStreamPayload) -> None:
    assert_type(payload.metadata, Optional[Mapping[str, Any]])
    payload.input = 1  # type: ignore[misc]
    item = RunCreate(assistant_id="agent", thread_id="t", input=1)
    assert_type(item.payload, RunsCreatePayload)
    assert_type(item["input"], Any)
    assert_type(dict(item), Dict[str, Any])


def a_hook_gets_the_ids() -> None:
    seen: List[Tuple[str, Optional[str]]] = []
    runs.wait("t", "agent", input=1, on_run_created=lambda run: seen.append((run["run_id"], run["thread_id"])))
    runs.wait("t", "agent", input=1, on_run_created=lambda: None)  # type: ignore[misc,arg-type]
