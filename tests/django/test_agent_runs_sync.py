"""``manage.py langgraph_runs sync``: rows whose process was killed, whose webhook did not come, whose server has lost them."""

from __future__ import annotations

import datetime
import io
import signal
import threading
from typing import Any, List, Tuple

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, connections
from django.utils import timezone

from langgraph_runs import Run
from langgraph_runs.django import SettingsError
from langgraph_runs.django.clients import replaced_options
from langgraph_runs.django.runs.models import AgentRun
from langgraph_runs.django.runs.posting import create_run
from langgraph_runs.testing import FakeRun, FakeRuns, fails, never_ends, no_wait, pauses, refuses, succeeds, unauthorized

from .rows import Heard, again, end_connections, ended, heard_signals, needs_a_database_server, server_of_rows, started  # noqa: F401  # noqa: F401

pytestmark = pytest.mark.usefixtures("server", "heard")
Status = AgentRun.Status
HOUR = datetime.timedelta(hours=1)


def sync(*arguments: str) -> Tuple[int, List[str], str]:
    """The exit code, the lines that were printed, and the errors."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("langgraph_runs", "sync", "--check-after", "0", *arguments, stdout=out, stderr=err)
        code = 0
    except SystemExit as end:
        code = int(str(end.code))
    return code, out.getvalue().splitlines(), err.getvalue()


def test_a_row_that_was_not_posted_is_posted(server: FakeRuns) -> None:
    server.script(succeeds({}))
    row = AgentRun.objects.start("agent", {"n": 1}, post=False)

    assert (0, [f"{row.pk} queued -> started"], "") == sync()
    assert (1, Status.STARTED) == (len(server.started), again(row).status)


def test_a_row_whose_process_was_killed_after_it_had_posted_keeps_its_run(server: FakeRuns) -> None:
    row = started(server, never_ends())
    AgentRun.objects.update(status="queued", run_id="", thread_id="", claimed_until=timezone.now() - HOUR)

    assert (0, [f"{row.pk} queued -> started"], "") == sync()
    assert (1, row.run_id, row.thread_id) == (len(server.started), again(row).run_id, again(row).thread_id)


def test_a_row_that_another_process_is_posting_is_left_to_it(server: FakeRuns) -> None:
    row = AgentRun.objects.start("agent", {"n": 1}, post=False)
    AgentRun.objects.update(claimed_until=timezone.now() + HOUR)

    assert (0, [], "") == sync()
    assert Status.QUEUED == again(row).status


@pytest.mark.parametrize(
    ("script", "end"), [(succeeds({}), "succeeded"), (fails(), "failed: ValueError"), (pauses("Send this?"), "paused")], ids=str
)
def test_the_end_that_no_webhook_has_reported_is_asked_for(server: FakeRuns, heard: Heard, script: Any, end: str) -> None:
    row = started(server, script)
    server.started[-1].wait_for_end(5)

    assert (0, [f"{row.pk} started -> {end}"], "") == sync()
    assert 1 == len(heard.finished)
    assert (0, [], "") == sync()


def test_a_run_that_was_asked_for_lately_is_not_asked_for_again(server: FakeRuns) -> None:
    started(server, never_ends())
    sync()
    before = len(server.requests)

    sync("--check-after", "600")
    assert before == len(server.requests)
    sync()
    assert before < len(server.requests)


def test_the_signal_of_a_process_that_was_killed_is_sent(server: FakeRuns, heard: Heard) -> None:
    row = ended(server, fails("ValueError", "no ink", values={"n": 1}), metadata={"order": 7})
    heard.finished.clear()
    AgentRun.objects.update(unreported=True)

    assert (0, [], "") == sync()
    (told,) = heard.finished
    assert ("error", {"n": 1}, "no ink") == (told["outcome"].status, told["outcome"].values, told["outcome"].message)
    assert (row.run_id, row.thread_id, 7) == (told["run"].run_id, told["run"].thread_id, told["run"].metadata["order"])
    assert (0, [], "") == sync()
    assert 1 == len(heard.finished)


def test_a_receiver_that_raises_is_reported(server: FakeRuns, heard: Heard) -> None:
    heard.raises = [ZeroDivisionError()] * 2
    row = ended(server, succeeds({}))

    code, lines, errors = sync()
    assert (1, []) == (code, lines)
    assert "1 receiver" in errors
    assert (0, [], "") == sync()
    assert not again(row).unreported


def test_a_cancellation_that_did_not_arrive_is_repeated(server: FakeRuns) -> None:
    row = started(server, never_ends())
    AgentRun.objects.update(cancel_requested_at=timezone.now())

    assert (0, [f"{row.pk} started -> cancelled"], "") == sync()
    assert "interrupted" == server.started[-1].status


# -- runs that the server has lost


def test_a_run_that_the_server_does_not_have_is_lost_after_a_while(server: FakeRuns, heard: Heard) -> None:
    row = ended(server, fails(), thread_id=server.client().threads.create().thread_id)
    AgentRun.objects.update(status="started", finished_at=None)
    heard.finished.clear()
    server.client().threads.delete(row.thread_id)

    assert (0, [], "") == sync()
    assert (0, [], "") == sync()
    assert Status.STARTED == again(row).status
    AgentRun.objects.update(missing_since=timezone.now() - HOUR)
    assert (0, [f"{row.pk} started -> lost: NotFoundError"], "") == sync()
    assert (Status.LOST, None, []) == (again(row).status, again(row).outcome, heard.finished)

    server.script(succeeds({}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AgentRun, "post_after_commit", lambda self: None)
        again(row).retry()
    assert (Status.QUEUED, 2) == (again(row).status, again(row).attempts)
    server.add_thread(row.thread_id)
    assert 0 == sync()[0]


def test_a_run_that_is_missing_only_at_a_gateway_is_not_lost(server: FakeRuns) -> None:
    row = started(server, never_ends())
    AgentRun.objects.update(missing_since=timezone.now() - HOUR)
    server.instead("GET", f"/threads/{row.thread_id}/runs/{row.run_id}", refuses(404, "no such route"))

    assert (0, [], "") == sync()
    assert (Status.STARTED, False) == (again(row).status, again(row).missing_since is None)


def test_a_run_that_is_missing_only_once_is_not_lost(server: FakeRuns) -> None:
    """Another server behind the gateway says that it does not have the run; the list of the thread's runs has it."""
    row = started(server, never_ends())
    AgentRun.objects.update(missing_since=timezone.now() - HOUR)
    server.instead("GET", f"/threads/{row.thread_id}/runs/{row.run_id}", refuses(404, "Run not found"))

    assert (0, [], "") == sync()
    assert Status.STARTED == again(row).status


def test_a_lost_run_that_comes_back_is_found(server: FakeRuns) -> None:
    row = started(server, succeeds({"answer": 42}))
    AgentRun.objects.update(status="lost")
    server.started[-1].wait_for_end(5)

    assert again(row).refresh()
    assert (Status.SUCCEEDED, {"answer": 42}) == (again(row).status, again(row).values)


# -- old threads


def test_old_threads_are_deleted(server: FakeRuns) -> None:
    row = ended(server, succeeds({}))
    young = ended(server, succeeds({}))
    given = ended(server, succeeds({}), thread_id=server.client().threads.create().thread_id)
    paused = ended(server, pauses())
    AgentRun.objects.exclude(pk=young.pk).exclude(pk=paused.pk).update(finished_at=timezone.now() - 31 * 24 * HOUR)

    assert (0, [], "") == sync()
    assert (0, [f"{row.pk} succeeded: deleted 1 thread"], "") == sync("--delete-threads", "30")
    left = {thread.thread_id for thread in server.client().threads.search(limit=100)}
    assert {young.thread_id, given.thread_id, paused.thread_id} == left
    assert (0, [], "") == sync("--delete-threads", "30")


def test_a_thread_that_only_a_gateway_does_not_find_is_deleted_later(server: FakeRuns) -> None:
    row = ended(server, succeeds({}))
    AgentRun.objects.update(finished_at=timezone.now() - 31 * 24 * HOUR)
    server.instead("DELETE", f"/threads/{row.thread_id}", refuses(404, "no such route"))

    code, lines, errors = sync("--delete-threads", "30")
    assert (2, [], True) == (code, lines, "NotFoundError" in errors)
    assert [row.thread_id] == again(row).own_thread_ids


def test_a_thread_that_was_deleted_before_is_no_error(server: FakeRuns) -> None:
    row = ended(server, succeeds({}))
    AgentRun.objects.update(finished_at=timezone.now() - 31 * 24 * HOUR)
    server.client().threads.delete(row.thread_id)

    assert (0, [f"{row.pk} succeeded: deleted 1 thread"], "") == sync("--delete-threads", "30")


# -- errors


def test_a_server_that_cannot_be_reached_is_asked_once(server: FakeRuns) -> None:
    rows = [AgentRun.objects.start("agent", {"n": n}, post=False) for n in range(3)]
    with replaced_options(url="http://127.0.0.1:9", api_key=None, retry=no_wait(1)):
        code, lines, errors = sync()

    assert (5, [], 1) == (code, lines, errors.count("APIConnectionError"))
    assert [Status.QUEUED] * 3 == [again(row).status for row in rows]
    server.script(succeeds({}), repeat=True)
    assert (0, 3) == (sync()[0], len(server.started))


def test_a_refused_key_has_its_exit_code(server: FakeRuns) -> None:
    server.script(unauthorized())
    row = AgentRun.objects.start("agent", {"n": 1}, post=False)

    code, lines, errors = sync()
    assert (6, []) == (code, lines)
    assert "AuthenticationError" in errors
    assert (Status.QUEUED, "AuthenticationError") == (again(row).status, again(row).error)


def test_one_row_that_fails_does_not_stop_the_others(server: FakeRuns) -> None:
    server.script(refuses(422, "input is wrong"), succeeds({}))
    rows = [AgentRun.objects.start("agent", {"n": n}, post=False) for n in range(2)]

    code, lines, _ = sync()
    assert (2, [f"{rows[0].pk} queued -> failed: UnprocessableEntityError", f"{rows[1].pk} queued -> started"]) == (code, lines)


def test_only_the_rows_of_a_server(server: FakeRuns) -> None:
    row = AgentRun.objects.start("agent", {"n": 1}, post=False)
    AgentRun.objects.update(server="reports")

    assert (0, [], "") == sync("--server", "default")
    assert Status.QUEUED == again(row).status
    with pytest.raises(SettingsError, match="elsewhere"):
        sync("--server", "elsewhere")


@pytest.mark.parametrize(
    "arguments",
    [["--delete-threads", "soon"], ["--delete-threads", "1e8"], ["--check-after", "-1"], ["--concurrency", "0"], ["--frequently"]],
    ids=str,
)
def test_wrong_arguments_are_refused(arguments: List[str]) -> None:
    with pytest.raises(CommandError):
        sync(*arguments)


# -- a database that is away


def test_a_row_whose_connection_is_gone_does_not_stop_the_others(server: FakeRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was posted meanwhile, and is not posted twice."""
    needs_a_database_server()
    server.script(succeeds({}), repeat=True)
    rows = [AgentRun.objects.start("agent", {"n": n}, post=False) for n in range(3)]

    def create_and_end_connections(row: AgentRun) -> Run:
        run = create_run(row)
        if row.pk == rows[0].pk:
            end_connections()
        return run

    monkeypatch.setattr("langgraph_runs.django.runs.posting.create_run", create_and_end_connections)
    code, lines, errors = sync("--check-after", "600")
    assert (1, [f"{row.pk} queued -> started" for row in rows[1:]]) == (code, lines), errors
    monkeypatch.undo()
    AgentRun.objects.filter(status="queued").update(claimed_until=timezone.now() - HOUR)
    assert (0, [f"{rows[0].pk} queued -> started"], "") == sync("--check-after", "600")
    assert 3 == len(server.started)


def test_a_database_that_is_away_is_reported(server: FakeRuns) -> None:
    with connection.execute_wrapper(Away(calls=1)):
        code, lines, errors = sync()
    assert (1, [], "OperationalError: the database is away\n") == (code, lines, errors)


def test_a_loop_goes_on_when_the_database_is_back(server: FakeRuns) -> None:
    class Output(io.StringIO):
        def write(self, text: str) -> int:
            if "->" in text:
                signal.raise_signal(signal.SIGTERM)
            return super().write(text)

    server.script(succeeds({}))
    row = AgentRun.objects.start("agent", {"n": 1}, post=False)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    out, err = Output(), io.StringIO()
    try:
        with connection.execute_wrapper(Away(calls=2)):
            call_command("langgraph_runs", "sync", "--loop", "0.01", stdout=out, stderr=err)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert [f"{row.pk} queued -> started"] == out.getvalue().splitlines()
    assert ["OperationalError: the database is away"] * 2 == err.getvalue().splitlines()


class Away:
    """A database that is away for some queries."""

    def __init__(self, calls: int) -> None:
        self._calls = calls

    def __call__(self, execute: Any, *arguments: Any) -> Any:
        if self._calls:
            self._calls -= 1
            raise OperationalError("the database is away")
        return execute(*arguments)


# -- two at once


def test_several_rows_are_worked_on_at_a_time(server: FakeRuns) -> None:
    together = threading.Barrier(4, timeout=10)

    def meet(run: FakeRun) -> Any:
        together.wait()
        return {"n": run.input["n"]}

    server.script(meet, repeat=True)
    rows = [AgentRun.objects.start("agent", {"n": n}, post=False) for n in range(12)]

    assert (0, sorted(f"{row.pk} queued -> started" for row in rows)) == (lambda found: (found[0], sorted(found[1])))(
        sync("--concurrency", "4", "--check-after", "600")
    )
    for run in server.started:
        assert run.wait_for_end(10)
    code, lines, errors = sync("--concurrency", "4")
    assert (0, 12, "") == (code, len(lines), errors)
    assert [{"n": n} for n in range(12)] == [again(row).values for row in rows]


def test_two_at_once_share_the_rows(server: FakeRuns, heard: Heard) -> None:
    server.script(succeeds({}), repeat=True)
    rows = [AgentRun.objects.start("agent", {"n": n}, post=False) for n in range(30)]
    found: List[Tuple[int, List[str], str]] = []
    barrier = threading.Barrier(2)

    def work() -> None:
        try:
            barrier.wait(10)
            found.append(sync())
            found.append(sync())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    sync()
    assert [0] * 4 == [code for code, _, _ in found]
    posted = [line for _, lines, _ in found for line in lines if "queued -> started" in line]
    assert sorted(f"{row.pk} queued -> started" for row in rows) == sorted(posted)
    assert (30, {Status.SUCCEEDED}) == (len(server.started), {again(row).status for row in rows})
    assert 30 == len(heard.finished)
