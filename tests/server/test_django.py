"""A real gunicorn with a real Django project, on the real server: browsers that leave and come back, and the run webhook."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from langgraph_runs import Client, NotFoundError
from langgraph_runs.devserver import DevServer

from .conftest import wait_until

pytest.importorskip("django", reason='Django is not installed: pip install ".[django]"')
pytest.importorskip("gunicorn", reason="gunicorn is not installed")

from ..bench import django_load
from ..django.browser import Browser, numbers, post, query
from ..django.gunicorn import Gunicorn


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gthread", "sync"])
def test_browsers_that_leave_and_come_back_leave_nothing_behind(server: DevServer, kind: str) -> None:
    """No process, thread, socket or run; every run ended as was chosen, and every browser saw every event once."""
    options = {name.split(",")[0]: options for name, options in django_load.kinds(5)}[kind]

    row = django_load.load(kind, server.url, options, streams=5, rounds=1, seed=1)

    assert [] == row.leaks
    assert row.disconnects > 3


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hooks")


@pytest.fixture(scope="module")
def site(server: DevServer, hooks: Path) -> Iterator[Gunicorn]:
    """One whose webhook answers 503 to the first two requests."""
    env = {"TEST_HOOKS": str(hooks), "TEST_HOOK_FAILURES": "2"}
    with Gunicorn(server.url, "-k", "gthread", "--threads", "8", env=env) as site:
        yield site


def test_events_come_as_they_happen_through_a_compressing_middleware(site: Gunicorn, client: Client) -> None:
    """The first one is there while the run has most of its time to go."""
    browser = Browser(site.url, "/stream/?" + query(graph="burst", input={"n": 3, "pause": 30}, heartbeat=1))
    try:
        assert "custom" in (event.event for event in browser.events())
        run = browser.response.headers["X-Thread"], browser.response.headers["X-Run"]
        assert "running" == client.runs.get(*run).status
    finally:
        browser.leave()


def test_a_browser_reads_a_run_to_its_end(site: Gunicorn) -> None:
    browser = Browser(site.url, "/stream/?" + query(graph="burst", input={"n": 20}))
    events = list(browser.events())
    browser.leave()

    assert list(range(20)) == numbers(events)
    assert ["metadata", "end"] == [events[0].event, events[-1].event]
    assert {"status": "success", "paused": False, "interrupts": []} == json.loads(events[-1].data)


def test_a_question_to_a_human_comes_with_the_end(site: Gunicorn) -> None:
    browser = Browser(site.url, "/stream/?" + query(graph="asker", input={"questions": ["Send this?"]}))
    events = list(browser.events())
    browser.leave()

    told = json.loads(events[-1].data)
    assert (True, ["Send this?"]) == (told["paused"], [one["value"] for one in told["interrupts"]])


def test_a_worker_was_forked_with_the_application_loaded_and_has_one_client(site: Gunicorn) -> None:
    told = [post_pid(site) for _ in range(4)]

    assert [site.workers] * 4 == [[one["pid"]] for one in told]
    assert 1 == len({one["client"] for one in told})


def post_pid(site: Gunicorn) -> Any:
    browser = Browser(site.url, "/pid/")
    told = json.loads(browser.response.read())
    browser.leave()
    return told


def test_the_webhook_fails_twice_then_succeeds_and_is_told_once(site: Gunicorn, hooks: Path, client: Client) -> None:
    url = site.url + hook_path(site)
    told = post(site.url, "/start/", {"graph": "echo", "input": {"value": 5}, "webhook": url})
    wait_until((hooks / "signals").exists, "the signal")

    signals = [json.loads(line) for line in (hooks / "signals").read_text().splitlines()]
    assert [(told["run_id"], "success", 5)] == [(one["run_id"], one["status"], one["values"]["echo"]) for one in signals]
    assert 3 == len((hooks / "tries").read_text().splitlines())

    failed = post(site.url, "/start/", {"graph": "failing", "input": {"error": "ValueError", "message": "no ink"}, "webhook": url})
    wait_until(lambda: failed["run_id"] in (hooks / "signals").read_text(), "the second signal")
    last = json.loads((hooks / "signals").read_text().splitlines()[-1])
    assert ("error", "ValueError", "no ink") == (last["status"], last["error"], last["message"])


def hook_path(site: Gunicorn) -> str:
    browser = Browser(site.url, "/hook-url/")
    path: str = json.loads(browser.response.read())["path"]
    browser.leave()
    return path


def test_a_worker_that_is_told_to_end_sends_its_browsers_to_the_next_one(server: DevServer, client: Client) -> None:
    """At once, and without cancelling a run that is to go on."""
    with Gunicorn(server.url, "-k", "gthread", "--threads", "2") as site:
        told = post(site.url, "/start/", {"graph": "burst", "input": {"n": 2, "pause": 60}})
        browser = Browser(site.url, f"/events/{told['thread_id']}/{told['run_id']}/")
        events = browser.events()
        next(events)
        site.terminate()
        last = list(events)[-1]
        browser.leave()

    assert ("error", True) == (last.event, json.loads(last.data)["retry"])
    run = told["thread_id"], told["run_id"]
    assert "running" == client.runs.get(*run).status
    client.runs.cancel(*run)


def test_a_run_is_reached_by_its_own_thread_only(client: Client) -> None:
    """So whoever may use a thread may use what runs on it, and nothing else."""
    mine, theirs = client.threads.create().thread_id, client.threads.create().thread_id
    run = client.runs.create(theirs, "burst", input={"n": 300, "pause": 0.1}, stream_mode="custom", stream_resumable=True)
    wait_until(lambda: client.runs.get(theirs, run.run_id).status == "running", "the run")

    calls = [
        lambda: client.runs.get(mine, run.run_id),
        lambda: client.runs.join(mine, run.run_id),
        lambda: list(client.runs.join_stream(mine, run.run_id, last_event_id="0")),
        lambda: client.runs.cancel(mine, run.run_id),
        lambda: client.runs.cancel_many(thread_id=mine, run_ids=[run.run_id]),
        lambda: client.runs.delete(mine, run.run_id),
    ]
    call: Callable[[], Any]
    for call in calls:
        with pytest.raises(NotFoundError):
            call()
    assert "running" == client.runs.get(theirs, run.run_id).status
    client.runs.cancel(theirs, run.run_id)


def test_another_users_thread_is_not_found(site: Gunicorn, client: Client) -> None:
    thread_id = client.threads.create(metadata={"owner": "ada"}).thread_id

    def status(user: str, asked: str) -> int:
        browser = Browser(site.url, f"/owned/{asked}/", headers={"X-User": user})
        browser.leave()
        return browser.response.status

    assert [200, 404, 404] == [status("ada", thread_id), status("bob", thread_id), status("ada", "no-uuid")]
