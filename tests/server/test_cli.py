"""``langgraph-runs`` on the real server: what each command does, prints, and says by its exit code."""

from __future__ import annotations

import csv
import fcntl
import json
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest

from langgraph_runs import Client, NotFoundError
from langgraph_runs.devserver import DevServer

from .commands import Commands, Ended
from .conftest import Gate, wait_until


@pytest.fixture
def run(server: DevServer) -> Commands:
    return Commands(server.url)


@pytest.fixture
def guarded(guarded_server: DevServer) -> Commands:
    return Commands(guarded_server.url)


def one_line(ended: Ended) -> str:
    """What is said on stderr, which is one line."""
    assert 1 == ended.err.count("\n"), ended.err
    assert ended.err.startswith("langgraph-runs: ")
    return ended.err[len("langgraph-runs: ") : -1]


# -- run


def test_run_prints_the_values_and_leaves_no_thread(run: Commands, client: Client) -> None:
    ended = run("run", "echo", "value.deep=[1, null]", "--outcome")

    assert (0, "") == (ended.code, ended.err)
    outcome = ended.json
    assert {"value": {"deep": [1, None]}, "echo": {"deep": [1, None]}, "turns": 1} == outcome["values"]
    assert ("success", False, None, []) == (outcome["status"], outcome["paused"], outcome["error"], outcome["interrupts"])
    with pytest.raises(NotFoundError):
        client.threads.get(outcome["thread_id"])

    assert Ended(0, '{"value":"ü","echo":"ü","turns":1}\n', "") == run("run", "echo", "value=ü")


def test_a_failed_run_is_exit_code_1_with_the_error_on_stderr(run: Commands) -> None:
    ended = run("run", "failing", "error=ValueError", "message=no ink")

    assert (1, "") == (ended.code, ended.out)
    assert one_line(ended).startswith("the run failed: ValueError: no ink (run ")

    told = run("run", "failing", "error=ValueError", "message=no ink", "--outcome")
    assert (1, "error", "ValueError", "no ink") == (told.code, *(told.json[name] for name in ("status", "error", "message")))


def test_verbose_logs_each_request_and_the_whole_error(run: Commands) -> None:
    ended = run("run", "failing", "error=ValueError", "message=no ink", "-v")

    assert 1 == ended.code
    assert "INFO POST /threads/" in ended.err
    assert "because of: langgraph_runs.RunFailedError: the run failed: ValueError: no ink" in ended.err
    assert "Traceback" not in ended.err


def test_a_question_is_exit_code_3_and_the_shown_command_answers_it(run: Commands) -> None:
    asked = run("run", "asker", 'questions=["ok?"]')

    assert 3 == asked.code
    assert "ok?" == asked.json["__interrupt__"][0]["value"]
    told, _, command = one_line(asked).partition("; go on with: langgraph-runs ")
    assert 'paused for a human: "ok?"' == told
    assert command.endswith(" --resume ANSWER")

    answered = run(*command.replace("ANSWER", "yes").split())
    assert (0, "") == (answered.code, answered.err)
    assert [{"ok?": "yes"}] == answered.json["answers"]


def test_a_pause_without_a_question_is_exit_code_3_and_the_shown_command_resumes_it(run: Commands) -> None:
    paused = run("run", "steps", "path=[]", "--interrupt-before", "two,three")

    assert (3, {"path": ["one"]}) == (paused.code, paused.json)
    command = one_line(paused).partition("go on with: langgraph-runs ")[2]
    assert {"path": ["one", "two", "three"]} == run(*command.split()).json


@pytest.mark.parametrize(("ending", "status"), [("cancel", "interrupted"), ("detach", "running")])
def test_a_timeout_is_exit_code_4_and_the_run_is_cancelled_or_goes_on(
    ending: str, status: str, run: Commands, client: Client, thread_id: str, gate: Gate
) -> None:
    ended = run("run", "gated", f"gate={gate._path}", "--thread", thread_id, "--timeout", "1.5s", "--on-timeout", ending)
    (left,) = client.runs.list(thread_id)

    assert (4, "") == (ended.code, ended.out)
    assert status == left.status
    told = (
        f"run {left.run_id} was cancelled"
        if ending == "cancel"
        else f"langgraph-runs join {thread_id} {left.run_id} --url {run.url}"
    )
    assert one_line(ended).startswith("not done within timeout=1.5 s ")
    assert one_line(ended).endswith(told)


def test_the_servers_own_limit_is_exit_code_4(guarded: Commands, gate: Gate, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("key-of-alice\n")
    ended = guarded("run", "gated", f"gate={gate._path}", "--api-key-file", str(key))

    assert 4 == ended.code
    assert "the server stopped the run" in one_line(ended)


def test_a_refused_key_is_exit_code_6(guarded: Commands, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wrong = guarded("run", "echo")
    assert 6 == wrong.code
    assert "401: Invalid API key" in one_line(wrong)
    assert "--api-key-file" in one_line(wrong)

    monkeypatch.setenv("LANGGRAPH_API_KEY", "key-of-a-reader")
    assert 6 == guarded("run", "echo").code
    assert 75 == guarded("create", "echo", "--api-key", "key-of-a-hog", "--attempts", "1").code


def test_a_key_on_the_command_line_gives_a_warning_and_is_not_printed(guarded: Commands) -> None:
    ended = guarded("run", "echo", "value=1", "--api-key", "key-of-alice", "-v")

    assert (0, 1) == (ended.code, ended.json["echo"])
    assert "warning: anybody on this machine can read --api-key in the list of processes; use --api-key-file" in ended.err
    assert "key-of-alice" not in ended.err


def test_unknown_assistants_threads_and_runs_are_exit_code_2(run: Commands, new_id: str) -> None:
    for arguments in (["run", "nope"], ["run", "echo", "--thread", new_id], ["get", new_id, new_id], ["threads", "get", new_id]):
        ended = run(*arguments)

        assert (2, "") == (ended.code, ended.out)
        assert one_line(ended)[:3] in ("404", "422")


def test_a_busy_thread_is_exit_code_75_with_reject(run: Commands, client: Client, thread_id: str, gate: Gate) -> None:
    client.runs.create(thread_id, "gated", input=gate.input())
    ended = run("run", "echo", "--thread", thread_id, "--multitask-strategy", "reject")

    assert 75 == ended.code
    assert "409: Thread is already running a task." in one_line(ended)


# -- stream


def test_stream_in_a_pipe_prints_a_line_for_each_event(run: Commands) -> None:
    ended = run("stream", "burst", "n=3", "--stream-mode", "custom,values")

    assert (0, "") == (ended.code, ended.err)
    assert [
        ("metadata", {}),
        ("values", {"n": 3}),
        ("custom", {"i": 0}),
        ("custom", {"i": 1}),
        ("custom", {"i": 2}),
        ("values", {"n": 3, "written": 3}),
    ] == [(line["event"], line["data"] if line["event"] != "metadata" else {}) for line in ended.lines]


def test_stream_has_the_exit_code_of_its_run(run: Commands) -> None:
    failed = run("stream", "failing", "error=ValueError", "message=no ink")
    assert (1, "error") == (failed.code, failed.lines[-1]["event"])
    assert "the run failed: ValueError: no ink" in one_line(failed)

    paused = run("stream", "asker", 'questions=["ok?"]', "--stream-mode", "custom")
    assert 3 == paused.code
    assert 'paused for a human: "ok?"; go on with: langgraph-runs run asker --thread ' in one_line(paused)


# -- create, join, get, list, cancel, delete


def test_create_prints_ids_and_join_waits_for_the_result(run: Commands, gate: Gate) -> None:
    created = run("create", "gated", f"gate={gate._path}", "--ids", "--resumable", "--metadata", "job=nightly")
    thread_id, run_id = created.out.split()
    gate.wait_begun()

    assert "running" == run("get", thread_id, run_id).json["status"]
    late = run("join", thread_id, run_id, "--timeout", "500ms")
    assert 4 == late.code
    assert one_line(late).endswith(f"the run goes on: langgraph-runs join {thread_id} {run_id} --url {run.url}")

    gate.open()
    assert ["begun", "run"] == run("join", thread_id, run_id).json["passed"]
    streamed = run("join", thread_id, run_id, "--stream", "--last-event-id", "0")
    assert (0, "metadata") == (streamed.code, streamed.lines[0]["event"])

    told = run("get", thread_id, run_id).json
    assert ("success", "nightly") == (told["status"], told["metadata"]["job"])
    assert "kwargs" not in told
    assert "gate" in run("get", thread_id, run_id, "--full").json["kwargs"]["input"]


def test_join_of_a_run_that_has_failed_is_exit_code_1(run: Commands, client: Client, thread_id: str) -> None:
    failed = client.runs.create(thread_id, "failing", input={"error": "ValueError", "message": "no ink"})
    client.runs.wait(thread_id, "echo", input={"value": 1})

    assert 1 == run("join", thread_id, failed.run_id).code


def test_list_filters_and_prints_lines_or_a_table(run: Commands, client: Client, thread_id: str) -> None:
    for n in range(3):
        client.runs.create(thread_id, "echo", input={"value": n}, metadata={"n": n})
    client.runs.wait(thread_id, "failing", input={"error": "ValueError"}, raise_error=False)

    assert ["error", "success", "success"] == [line["status"] for line in run("list", thread_id, "-n", "3").lines]
    assert [1] == [line["metadata"]["n"] for line in run("list", thread_id, "--metadata", "n=1").lines]
    assert [{"status": "success"}] * 3 == run("list", thread_id, "--status", "success", "--select", "status").lines
    assert 4 == len(run("list", thread_id, "--all").lines)
    assert 2 == len(run("list", thread_id, "--all", "--offset", "2").lines)
    assert 4 == len(run("list", thread_id, "--created-after", "1h").lines)
    assert [] == run("list", thread_id, "--created-before", "1h").lines
    request_id = client.runs.list(thread_id, offset=2)[0].request_id
    assert [1] == [line["metadata"]["n"] for line in run("list", thread_id, "--request-id", str(request_id)).lines]

    header, *rows = run("list", thread_id, "--table").out.splitlines()
    assert ["RUN", "STATUS", "CREATED", "GRAPH"] == header.split()
    assert ["error", "success", "success", "success"] == [row.split()[1] for row in rows]


def test_cancel_and_delete_may_be_repeated(run: Commands, client: Client, thread_id: str, gate: Gate) -> None:
    run_id = client.runs.create(thread_id, "gated", input=gate.input()).run_id
    gate.wait_begun()

    early = run("delete", thread_id, run_id)
    assert 75 == early.code
    assert "has not ended" in one_line(early)
    assert Ended(0, "", "") == run("cancel", thread_id, run_id, "--wait")
    again = run("cancel", thread_id, run_id)
    assert 0 == again.code
    assert f"run {run_id} has ended before, with status interrupted" == one_line(again)
    assert 1 == run("cancel", thread_id, run_id, "--action", "rollback").code
    assert Ended(0, "", "") == run("delete", thread_id, run_id)
    assert 2 == run("delete", thread_id, run_id).code
    assert Ended(0, "", "") == run("delete", thread_id, run_id, "--missing-ok")


# -- prune, threads, watch


def test_prune_deletes_whole_threads_without_runs_that_go_on_or_wait(
    run: Commands, client: Client, gate: Gate, new_id: str
) -> None:
    """Empty threads are deleted too; those that changed since --older-than stay, and those that are in use."""
    empty, done, busy, asking = [client.threads.create(metadata={"job": new_id}).thread_id for _ in range(4)]
    client.runs.wait(done, "failing", input={"error": "ValueError"}, raise_error=False)
    client.runs.wait(asking, "asker", input={"questions": ["ok?"]})
    client.runs.create(busy, "gated", input=gate.input())
    gate.wait_begun()
    prune = ["prune", "--threads", "--thread-metadata", f"job={new_id}", "--older-than"]

    assert "" == run(*prune, "1h").out
    shown = run(*prune, "0s", "--dry-run", "--json")
    assert {empty, done} == {line["thread_id"] for line in shown.lines if not line["deleted"]}
    assert "2 threads would be deleted, of 4" == one_line(shown)
    assert 2 == len(run(*prune, "0s").out.splitlines())
    assert {busy, asking} == {thread.thread_id for thread in client.threads.search(metadata={"job": new_id})}
    assert 2 == run("prune", "--threads", done, "--older-than", "0s").code
    assert 2 == run("prune", "--threads", busy).code
    assert 2 == run("prune", "--threads", busy, "--older-than", "0s", "--status", "error").code


def test_prune_finds_the_threads_that_calls_without_a_thread_left_behind(run: Commands, client: Client, new_id: str) -> None:
    """As a process does that is killed while it waits."""
    stream = client.runs.stream(None, "echo", input={"value": 1}, metadata={"job": new_id}, stream_mode="values")
    left = stream.thread_id
    stream.close()
    wait_until(lambda: all(one.finished for one in client.runs.iter(str(left))), "the run has ended")

    shown = run("prune", "--threads", "--temporary", "--thread-metadata", f"job={new_id}", "--older-than", "0s")
    assert (0, [left]) == (shown.code, [line.split()[0] for line in shown.out.splitlines()])


def test_stream_prints_the_models_text_alone(run: Commands) -> None:
    given = ["chat", "--input", '{"messages": [{"role": "user", "content": "two tides"}]}', "--text"]
    assert Ended(0, "You said: two tides\n", "") == run("stream", *given)
    assert 2 == run("stream", *given, "--json").code
    assert "--text needs --stream-mode messages-tuple" == one_line(run("stream", *given, "--stream-mode", "values"))


def test_prune_deletes_the_selected_runs_only(run: Commands, client: Client, gate: Gate, new_id: str) -> None:
    """In one thread, and in those that a search finds; a dry run tells the same and deletes nothing."""
    threads = [client.threads.create(metadata={"job": new_id}).thread_id for _ in range(2)]
    graphs = ("failing", "echo", "failing")
    runs = [client.runs.create(thread_id, graph, input={"error": "ValueError"}) for graph in graphs for thread_id in threads]
    for one in runs[-2:]:
        client.runs.join(one.thread_id, one.run_id, raise_error=False)
    client.runs.create(threads[0], "gated", input=gate.input())
    gate.wait_begun()

    def left(thread_id: str) -> list[str]:
        return [run.status for run in client.runs.iter(thread_id)]

    everywhere = ["prune", "--thread-metadata", f"job={new_id}", "--status", "error"]
    assert "" == run(*everywhere, "--older-than", "1d").out
    told = run(*everywhere, "--dry-run")
    assert (0, 4) == (told.code, len(told.out.splitlines()))
    assert "4 runs would be deleted, in 2 threads" == one_line(told)
    assert ["running", "error", "success", "error"] == left(threads[0])

    assert 1 == len(run("prune", threads[1], "--status", "error", "--keep", "1", "--json").lines)
    assert ["error", "success"] == left(threads[1])
    assert 3 == len(run(*everywhere).out.splitlines())
    assert [["running", "success"], ["success"]] == [left(thread_id) for thread_id in threads]
    assert 1 == len(run("prune", threads[0], "--older-than", "0s").out.splitlines())
    assert ["running"] == left(threads[0])


def test_threads_are_created_read_listed_and_deleted(run: Commands, new_id: str) -> None:
    assert Ended(0, f"{new_id}\n", "") == run("threads", "create", "--ids", "--id", new_id, "--metadata", f"job={new_id}")
    assert 75 == run("threads", "create", "--id", new_id).code
    assert new_id == run("threads", "create", "--id", new_id, "--if-exists", "do_nothing").json["thread_id"]
    run("run", "echo", "value=1", "--thread", new_id)

    assert {"value": 1, "echo": 1, "turns": 1} == run("threads", "state", new_id, "--values").json
    assert [] == run("threads", "state", new_id).json["next"]
    states = run("threads", "history", new_id).lines
    assert 3 == len(states)
    first = states[-1]["checkpoint"]["checkpoint_id"]
    assert ["__start__"] == run("threads", "state", new_id, "--checkpoint-id", first).json["next"]
    assert 1 == len(run("threads", "history", new_id, "-n", "1").lines)
    assert Ended(0, f"{new_id}\n", "") == run("threads", "list", "--metadata", f"job={new_id}", "--status", "idle", "--ids")
    assert [new_id] == [line["thread_id"] for line in run("threads", "list", "--metadata", f"job={new_id}").lines]
    assert Ended(0, "", "") == run("threads", "delete", new_id)
    assert 2 == run("threads", "delete", new_id).code
    assert 0 == run("threads", "delete", new_id, "--missing-ok").code


def test_watch_prints_each_change_until_all_runs_have_ended(run: Commands, client: Client, thread_id: str, gate: Gate) -> None:
    client.runs.wait(thread_id, "failing", input={"error": "ValueError"}, raise_error=False)
    running = client.runs.create(thread_id, "gated", input=gate.input()).run_id
    waiting = client.runs.create(thread_id, "failing", input={"error": "ValueError"}).run_id
    gate.wait_begun()
    opener = threading.Timer(0.6, gate.open)
    opener.start()
    ended = run("watch", thread_id, "--interval", "50ms")
    opener.join()

    seen = [(line["run_id"], line["status"]) for line in ended.lines]
    assert 1 == ended.code  # of the one that failed meanwhile
    assert (running, "running") in seen
    assert (running, "success") in seen
    assert [(waiting, "pending"), (waiting, "error")] == [pair for pair in seen if pair[0] == waiting and pair[1] != "running"]
    assert len(set(seen)) == len(seen)
    assert 0 == run("watch", thread_id).code  # now all had ended before


# -- doctor


def test_doctor_finds_nothing_wrong(run: Commands) -> None:
    ended = run("doctor")

    assert (0, "") == (ended.code, ended.err)
    for expected in (
        "ok      server:",
        "ok      key:      none",
        "ok      proxy:    none",
        "version 0.",
        "ok      clock:",
        "echo, failing",
    ):
        assert expected in ended.out


def test_doctor_reports_a_missing_key_with_a_remedy(guarded: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = guarded("doctor", "--json")
    assert 6 == refused.code
    assert ("failed", "give a key") == (refused.lines[-1]["verdict"], refused.lines[-1]["remedy"][:10])

    monkeypatch.setenv("LANGSMITH_API_KEY", "key-of-bob")
    granted = guarded("doctor")
    assert 0 == granted.code
    assert "ok      key:      from LANGSMITH_API_KEY" in granted.out
    assert "key-of-bob" not in granted.out


def test_doctor_names_a_proxy_that_cannot_reach_this_machine(run: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://user:secret@127.0.0.1:9")
    ended = run("doctor", "--attempts", "1")

    assert 5 == ended.code
    assert "!!      proxy:    http://127.0.0.1:9, for 127.0.0.1" in ended.out
    assert "export NO_PROXY=127.0.0.1" in ended.out
    assert "secret" not in ended.out


# -- batch, ledger


def write_lines(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def read_lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def by_key(path: Path) -> dict[str, Any]:
    """Its lines, without the thread, which is told as long as the process lives that has deleted it."""
    rows = read_lines(path)
    found = {row["key"]: {name: value for name, value in row.items() if name != "thread_id"} for row in rows}
    assert len(rows) == len(found)
    return found


def test_batch_runs_each_line_and_writes_a_line_for_each(run: Commands, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "in.jsonl", [{"value": f"ü{n}"} for n in range(5)])
    ended = run("batch", "echo", file, "-o", str(tmp_path / "out.jsonl"), "--ordered", "--with-input")

    assert Ended(0, "", "") == ended
    rows = read_lines(tmp_path / "out.jsonl")
    assert [(n, "done", f"ü{n}", f"ü{n}") for n in range(5)] == [
        (row["index"], row["status"], row["values"]["echo"], row["input"]["value"]) for row in rows
    ]
    assert ["in.jsonl", "out.jsonl"] == sorted(path.name for path in tmp_path.iterdir())


def test_batch_with_a_ledger_continues_and_repeats_failures_after_retry_failed(run: Commands, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "in.jsonl", [{"id": n, "error": "ValueError" if n == 1 else ""} for n in range(3)])
    ledger, out = str(tmp_path / "jobs.sqlite"), tmp_path / "out.jsonl"
    command = ["batch", "failing", file, "-o", str(out), "--ledger", ledger, "--key", "id"]
    first = run(*command)

    assert 1 == first.code
    assert f"1 of 3 inputs failed; to try them again: langgraph-runs ledger retry-failed {ledger}" == one_line(first)
    rows = by_key(out)
    assert {"0": "done", "1": "failed", "2": "done"} == {key: row["status"] for key, row in rows.items()}
    assert "RunFailedError" == rows["1"]["error"]["class"]

    again = run(*command)
    assert 1 == again.code
    assert rows == by_key(out)

    assert {"pending": 0, "started": 0, "done": 2, "failed": 1} == run.local("ledger", "show", ledger, "--json").json["counts"]
    assert "1: the run failed: ValueError" in run.local("ledger", "show", ledger).out
    assert ["1"] == [row["key"] for row in run.local("ledger", "export", ledger, "--status", "failed").lines]
    assert Ended(0, "1 inputs will be run again by the next batch\n", "") == run.local("ledger", "retry-failed", ledger)
    assert 1 == run(*command).code
    retried = by_key(out)
    assert ["0", "1", "2"] == sorted(retried)
    assert rows["0"] == retried["0"]
    assert rows["1"]["run_id"] != retried["1"]["run_id"]
    assert 2 == run.local("ledger", "show", str(tmp_path / "none")).code


def test_the_exit_code_of_batch_is_that_of_the_errors(run: Commands, guarded: Commands, tmp_path: Path, gate: Gate) -> None:
    paused = run("batch", "asker", write_lines(tmp_path / "a", [{"questions": ["ok?"]}, {"questions": []}]))
    assert (3, "1 of 2 runs wait for a human") == (paused.code, one_line(paused))
    assert [True] == [row["paused"] for row in paused.lines if row["values"].get("questions")]

    gated = write_lines(tmp_path / "g", [gate.input("a"), gate.input("b")])
    assert 4 == run("batch", "gated", gated, "--timeout-each", "1s").code
    late = run("batch", "gated", gated, "--timeout", "1s")
    assert (4, "not done within --timeout 1 s") == (late.code, one_line(late))
    assert 6 == guarded("batch", "echo", gated).code


def test_a_bad_line_is_an_error_of_that_line(run: Commands, tmp_path: Path) -> None:
    file, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    file.write_bytes(b'{"value": 1}\n\n{"value": \n{"value": 2}\n\xff\n{"id": 1.5}\n')
    ended = run("batch", "echo", str(file), "-o", str(out), "--ordered", "--ledger", str(tmp_path / "jobs.sqlite"))

    problems = [
        f"{file}, line 3: not JSON: Expecting value at column 11",
        f'{file}, line 5: not UTF-8: invalid start byte at byte 0; if the file has another encoding, name it: encoding="cp1252"',
    ]
    last = "2 of 5 inputs failed; the same command runs them when they are corrected"
    assert (2, [*problems, last]) == (ended.code, [line.partition("langgraph-runs: ")[2] for line in ended.err.splitlines()])
    rows = read_lines(out)
    assert ["done", "failed", "done", "failed", "done"] == [row["status"] for row in rows]
    assert problems == [row["error"]["message"] for row in rows if row["error"] is not None]

    file.write_bytes(b'{"value": 1}\n{"value": 3}\n{"value": 2}\n')
    assert 0 == run("batch", "echo", str(file), "-o", str(out), "--ledger", str(tmp_path / "jobs.sqlite")).code
    assert [1, 2, 3] == sorted(row["values"]["echo"] for row in read_lines(out))


def test_a_batch_of_a_file_in_another_encoding(run: Commands, tmp_path: Path) -> None:
    for encoding, options in (("utf-16", []), ("cp1252", ["--encoding", "cp1252"])):
        file = tmp_path / f"{encoding}.csv"
        file.write_text("value\n\u00e9\n", encoding=encoding)
        assert ["\u00e9"] == [row["values"]["echo"] for row in run("batch", "echo", str(file), *options).lines]
    assert "column 'value': not UTF-8: " in run("batch", "echo", str(tmp_path / "cp1252.csv")).err
    assert 2 == run("batch", "echo", str(file), "--encoding", "latin-47").code


@pytest.mark.parametrize("with_ledger", [False, True])
def test_a_value_that_cannot_be_sent_is_an_error_that_names_the_line(run: Commands, tmp_path: Path, with_ledger: bool) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text('{"value": 1}\n\n{"value": ["\\ud800"]}\n{"value": 123456789012345678901}\n', encoding="utf-8")
    options = ["--ledger", str(tmp_path / "jobs.sqlite")] if with_ledger else []
    ended = run("batch", "echo", str(file), "--ordered", *options)
    assert 2 == ended.code
    messages = [row["error"]["message"] for row in ended.lines if row["error"] is not None]
    assert [f"{file}, line 3: $.input.value[0]", f"{file}, line 4: $.input.value"] == [
        text.rpartition(": the ")[0] for text in messages
    ]
    assert set(messages) < {line.partition("langgraph-runs: ")[2] for line in ended.err.splitlines()}


def test_a_batch_says_why_the_server_refuses_its_inputs(run: Commands, tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_text("value;n\n1;2\n", encoding="utf-8")
    ended = run("batch", "nowhere", str(file), "--delimiter", ";", "-o", str(tmp_path / "out.csv"))
    first, last = ended.err.splitlines()
    assert 2 == ended.code and first.startswith("langgraph-runs: 4") and "nowhere" in first
    assert "langgraph-runs: 1 of 1 inputs failed" == last


def test_retry_failed_names_a_key_that_the_ledger_does_not_have(run: Commands, tmp_path: Path) -> None:
    file, ledger = (
        write_lines(tmp_path / "in", [{"id": 1, "error": "ValueError"}, {"id": 2, "error": "ValueError"}]),
        str(tmp_path / "l"),
    )
    assert 1 == run("batch", "failing", file, "--key", "id", "--ledger", ledger).code
    ended = run.local("ledger", "retry-failed", ledger, "1", "3", "row-4")
    assert (2, "1 inputs will be run again by the next batch\n") == (ended.code, ended.out)
    assert "the ledger has no input with the key '3', 'row-4'" == one_line(ended)
    assert Ended(0, "0 inputs will be run again by the next batch\n", "") == run.local("ledger", "retry-failed", ledger, "1")


@pytest.mark.parametrize("name", ["tab", "\\t", "\t"])
def test_a_tab_as_delimiter_has_names(run: Commands, tmp_path: Path, name: str) -> None:
    file = tmp_path / "in.csv"
    file.write_text("value\tn\na b\t2\n", encoding="utf-8")
    assert ["a b"] == [row["values"]["echo"] for row in run("batch", "echo", str(file), "--delimiter", name).lines]


def test_the_messages_of_ten_bad_lines_are_printed(run: Commands, tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text("bad\n" * 12, encoding="utf-8")
    err = run("batch", "echo", str(file)).err.splitlines()
    assert [True] * 10 + [False] * 2 == ["not JSON" in line for line in err]
    assert "langgraph-runs: the messages of further inputs that cannot be run are in their results" == err[10]


def test_each_kind_of_failure_of_a_batch_has_its_remedy(run: Commands, tmp_path: Path) -> None:
    file, ledger = tmp_path / "in.jsonl", str(tmp_path / "jobs.sqlite")
    rows = ['{"id": 1, "error": "ValueError"}', '{"id": 2, "error": "ValueError"}']
    file.write_text("\n".join(rows), encoding="utf-8")
    command = ["batch", "failing", str(file), "--key", "id", "--ledger", ledger]
    assert 1 == run(*command).code
    file.write_text("\n".join([rows[0], '{"id": 2, "error": "TypeError"}', "bad"]), encoding="utf-8")
    ended = run(*command)
    assert "langgraph-runs: the input with the key '2' has changed since the ledger was written" in ended.err
    last = ended.err.splitlines()[-1]
    assert last == (
        "langgraph-runs: 3 of 3 inputs failed; 1 that cannot be sent: the same command runs them when they are corrected; "
        "1 that have changed: their keys are in the ledger with other inputs: give them other keys, or use another ledger; "
        f"1 whose runs failed: to try them again: langgraph-runs ledger retry-failed {ledger}"
    )


def test_batch_starts_no_more_after_max_errors(run: Commands, tmp_path: Path) -> None:
    file, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    file.write_text("bad\n" * 3 + '{"value": 1}\n' * 9, encoding="utf-8")
    ended = run("batch", "echo", str(file), "-o", str(out), "--max-errors", "2", "-c", "1")
    assert 2 == ended.code and f"the results so far are in {out}.part" in ended.err
    assert not out.exists()
    assert 3 <= len(read_lines(Path(f"{out}.part"))) < 12

    assert 2 == run("batch", "echo", str(file), "-o", str(out), "--max-errors", "3", "-q").code
    assert 12 == len(read_lines(out))
    assert 2 == run("batch", "echo", str(file), "--max-errors", "1", "--on-error", "stop").code


def test_batch_reads_and_writes_csv(run: Commands, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,value,more\n7,[1],x\n8,2,y\n9\n,3,z\n", encoding="utf-8")
    ended = run(
        *("batch", "echo", str(tmp_path / "in.csv"), "-o", str(tmp_path / "out.csv"), "--key", "id", "--columns", "value"),
        *("--json-columns", "value", "--with-input", "--ordered"),
    )
    assert 2 == ended.code
    with open(tmp_path / "out.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert ["7", "8", "", ""] == [row["key"] for row in rows]
    assert ["done", "done", "failed", "failed"] == [row["status"] for row in rows]
    assert [[1], 2] == [json.loads(row["values"])["echo"] for row in rows[:2]]
    assert ['{"value":[1]}', '{"value":2}', "", ""] == [row["input"] for row in rows]
    assert "line 4: 1 cells, but the first line names 3 columns" in rows[2]["error_message"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.jsonl"], "nowhere.jsonl: No such file or directory"),
        (["in.csv", "--key", "ids"], "key: in.csv has no column 'ids'; did you mean 'id'"),
        (["in.csv", "--input-column", "id", "--columns", "id"], "--input-column excludes --columns"),
        (["in.csv", "--output-format", "csv"], "--output-format csv: give a file with --output"),
    ],
)
def test_wrong_files_and_columns_are_usage_errors(
    run: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text("id\n1\n", encoding="utf-8")
    ended = run("batch", "echo", *arguments)
    assert 2 == ended.code and message in one_line(ended)


@pytest.mark.parametrize(
    "arguments",
    [
        ["in.jsonl", "-o", "link.jsonl"],
        ["out.jsonl.part", "--input-format", "jsonl", "-o", "out.jsonl"],
        ["in.jsonl", "-o", "jobs.sqlite", "--ledger", "jobs.sqlite"],
        ["in.jsonl", "--lock", "in.jsonl"],
        ["in.jsonl", "-o", "new", "--lock", "new"],
    ],
)
def test_a_batch_replaces_neither_its_inputs_nor_its_ledger(
    run: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / "in.jsonl", [{"value": 1}])
    Path("out.jsonl.part").write_bytes(Path("in.jsonl").read_bytes())
    Path("link.jsonl").symlink_to("in.jsonl")
    assert 0 == run("batch", "echo", "in.jsonl", "--ledger", "jobs.sqlite").code
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    ended = run("batch", "echo", *arguments)
    assert 2 == ended.code and "the file of " in one_line(ended)
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_a_wrong_ledger_leaves_the_results_of_an_earlier_batch(run: Commands, tmp_path: Path) -> None:
    file, part = write_lines(tmp_path / "in.jsonl", [{"value": 1}]), tmp_path / "out.jsonl.part"
    part.write_text("{}\n")
    assert 2 == run("batch", "echo", file, "-o", str(tmp_path / "out.jsonl"), "--ledger", file).code
    assert 2 == run("batch", "echo", file, "-o", str(tmp_path / "out.jsonl"), "--ledger", str(tmp_path / "no" / "l")).code
    assert "{}\n" == part.read_text()


def test_two_batches_cannot_write_the_same_file(run: Commands, tmp_path: Path) -> None:
    file, out = write_lines(tmp_path / "in.jsonl", [{"value": 1}]), tmp_path / "out.jsonl"
    with open(f"{out}.part", "wb") as held:
        held.write(b"theirs\n")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        busy = run("batch", "echo", file, "-o", str(out))

    assert (75, f"--output {out}: another batch writes {out}.part") == (busy.code, one_line(busy))
    assert "theirs\n" == Path(f"{out}.part").read_text()
    assert 0 == run("batch", "echo", file, "-o", str(out)).code
    assert [1] == [row["values"]["echo"] for row in read_lines(out)]


def test_a_batch_leaves_no_threads(run: Commands, client: Client, tmp_path: Path) -> None:
    job = str(uuid.uuid4())
    file = write_lines(tmp_path / "in.jsonl", [{"value": 1}])
    assert 0 == run("batch", "echo", file, "--metadata", f"job={job}").code

    wait_until(lambda: client.threads.search(metadata={"job": job}) == [], "the thread to be deleted")
