"""The commands for assistants, crons and the store, on the real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from langgraph_runs import Client
from langgraph_runs.devserver import DevServer

from .commands import Commands, Ended

#: A schedule that starts nothing while the tests run.
NEVER = "0 12 29 2 *"


@pytest.fixture
def run(server: DevServer) -> Commands:
    return Commands(server.url)


@pytest.fixture
def job(client: Client, new_id: str) -> Iterator[str]:
    """Metadata for ``--metadata``, of this test alone; what has them is deleted afterwards."""
    yield f"job={new_id}"
    for assistant in client.assistants.search(metadata={"job": new_id}, limit=100):
        client.assistants.delete(assistant.assistant_id)
    for cron in client.crons.search(metadata={"job": new_id}, limit=100):
        client.crons.delete(cron.cron_id)


def test_assistants_are_created_shown_changed_and_deleted(run: Commands, new_id: str, job: str) -> None:
    """Each command prints JSON, or the id alone; the configuration is shown only on demand."""
    options = ["--name", "Echo", "--description", "repeats", "--context", '{"tone": "dry"}', "--config", '{"tags": ["t"]}']
    made = run("assistants", "create", "echo", "--id", new_id, "--metadata", job, *options)
    assert ("Echo", "repeats", 1) == (made.json["name"], made.json["description"], made.json["version"])
    assert "context" not in made.json and "config" not in made.json
    assert 75 == run("assistants", "create", "echo", "--id", new_id).code
    assert Ended(0, f"{new_id}\n", "") == run("assistants", "create", "echo", "--id", new_id, "--if-exists", "do_nothing", "--ids")
    assert {"tone": "dry"} == run("assistants", "get", new_id, "--full").json["context"]

    assert "Two" == run("assistants", "update", new_id, "--name", "Two", "--graph", "echo").json["name"]
    assert [2, 1] == [version["version"] for version in run("assistants", "get", new_id, "--versions").lines]
    assert "Echo" == run("assistants", "update", new_id, "--version", "1").json["name"]
    assert (
        2 == run("assistants", "update", new_id).code == run("assistants", "update", new_id, "--version", "1", "--name", "x").code
    )

    assert {"__start__", "say", "__end__"} == {node["id"] for node in run("assistants", "get", new_id, "--graph").json["nodes"]}
    assert "echo" == run("assistants", "get", new_id, "--schemas").json["graph_id"]
    assert {} == run("assistants", "get", new_id, "--subgraphs").json

    assert [new_id] == [found["assistant_id"] for found in run("assistants", "list", "--metadata", job, "--graph", "echo").lines]
    assert Ended(0, f"{new_id}\n", "") == run("assistants", "list", "--metadata", job, "--ids", "--name", "Echo", "--limit", "1")
    assert Ended(0, "1\n", "") == run("assistants", "list", "--metadata", job, "--count")
    assert 0 == run("assistants", "delete", new_id).code == run("assistants", "delete", new_id, "--missing-ok").code
    assert 2 == run("assistants", "delete", new_id, "--threads").code == run("assistants", "get", new_id).code


def test_crons_are_created_shown_changed_and_deleted(run: Commands, client: Client, thread_id: str, job: str) -> None:
    """With the input as pairs; what its runs are started with is shown only on demand."""
    options = ["--metadata", job, "--timezone", "Europe/Berlin", "--until", "2099-01-01T00:00:00Z", "--on-run-completed", "keep"]
    made = run("crons", "create", "echo", NEVER, "value=1", *options, "--durability", "exit", "--resumable")
    cron_id = made.json["cron_id"]
    assert (NEVER, "Europe/Berlin", True) == (made.json["schedule"], made.json["timezone"], made.json["enabled"])
    assert "payload" not in made.json
    payload = run("crons", "get", cron_id, "--full").json["payload"]
    assert ({"value": 1}, "exit", True) == (payload["input"], payload["durability"], payload["stream_resumable"])

    on_thread = ["--thread", thread_id, "--multitask-strategy", "reject", "--disabled", "--ids"]
    second = run("crons", "create", "echo", NEVER, *on_thread, "--metadata", job)
    assert thread_id == client.crons.get(second.out.strip()).thread_id
    assert 2 == run("crons", "create", "echo", NEVER, "--thread", thread_id, "--on-run-completed", "keep").code
    assert 2 == run("crons", "create", "echo", "now and then").code

    assert Ended(0, "2\n", "") == run("crons", "list", "--metadata", job, "--count")
    assert [second.out] == [run("crons", "list", "--metadata", job, "--enabled", "no", "--ids").out]
    assert [cron_id] == [found["cron_id"] for found in run("crons", "list", "--metadata", job, "--enabled", "yes").lines]
    assert 2 == run("crons", "list", "--count", "--enabled", "no").code

    changed = run("crons", "update", cron_id, "--schedule", "0 13 29 2 *", "--disable", "--forever", "value=2").json
    assert ("0 13 29 2 *", False, None) == (changed["schedule"], changed["enabled"], changed["end_time"])
    assert {"value": 2} == client.crons.get(cron_id).payload["input"]
    assert run("crons", "update", cron_id, "--enable").json["enabled"] is True
    assert 2 == run("crons", "update", cron_id).code
    assert 2 == run("crons", "update", cron_id, "--forever", "--until", "2099-01-01T00:00:00Z").code

    assert 0 == run("crons", "delete", cron_id, second.out.strip()).code == run("crons", "delete", cron_id, "--missing-ok").code
    assert 2 == run("crons", "delete", cron_id).code == run("crons", "get", cron_id).code


def test_the_store_is_written_read_and_searched(run: Commands, new_id: str) -> None:
    """A value as pairs or as JSON; an item that does not exist is an error of ``get``, and none of ``delete``."""
    users = f"cli-{new_id}.users"
    assert Ended(0, "", "") == run("store", "put", users, "ada", "name=Ada", "langs.c=3", "--ttl", "1h", "--no-index")
    assert Ended(0, "", "") == run("store", "put", users, "bob", "--input", '{"name": "Bob"}')
    assert {"name": "Ada", "langs": {"c": 3}} == run("store", "get", users, "ada", "--value").json
    assert users.split(".") == run("store", "get", users, "bob").json["namespace"]

    assert ["ada", "bob"] == sorted(found["key"] for found in run("store", "search", f"cli-{new_id}").lines)
    assert ["bob"] == [found["key"] for found in run("store", "search", users, "--filter", "name=Bob", "--limit", "1").lines]
    assert Ended(0, f"{users}\n", "") == run("store", "namespaces", f"cli-{new_id}", "--suffix", "users", "--max-depth", "2")

    assert 0 == run("store", "delete", users, "ada", "bob", "nobody").code
    missing = run("store", "get", users, "ada")
    assert (2, "") == (missing.code, missing.out) and "there is no item" in missing.err
    for wrong in (["put", users, "k"], ["put", users, "k", "--input", "[1]"], ["get", "a..b", "k"]):
        assert 2 == run("store", *wrong).code
