"""What web servers do besides handling a request: they fork, serve many requests in one thread, and stop."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from langgraph_runs.testing import fake_server, succeeds

from ..django.browser import Browser, query
from ..django.gunicorn import Gunicorn
from .hosts import Place, get, no_uwsgi, uwsgi, web_server


@pytest.mark.skipif(bool(no_uwsgi()), reason="uWSGI is not installed")
def test_workers_of_uwsgi_send_different_request_ids(here: Place) -> None:
    """uWSGI forks after the import, without the functions of ``os.register_at_fork``: all that Python has seeded is the same."""
    found: dict[int, list[str]] = {}
    with web_server(here, *uwsgi()) as url, ThreadPoolExecutor(4) as pool:
        end = time.monotonic() + 60
        while len(found) < 2 and time.monotonic() < end:
            for response in pool.map(get, [f"{url}/ids?n=5"] * 8):
                found.setdefault(response["pid"], []).extend(response["result"])
    assert 2 == len(found), "one worker has handled all requests"
    ids = [one for several in found.values() for one in several]
    assert len(ids) == len(set(ids)) and None not in ids


def test_streams_of_django_under_gevent_share_one_worker() -> None:
    """Ten browsers at the same time, in one thread of the system: each gets its events as they come, and none waits for another."""
    pytest.importorskip("gevent")

    def watch(number: int) -> tuple[list[Any], float]:
        browser = Browser(site.url, "/stream/?" + query(graph="agent", input={"n": number}))
        try:
            began = time.monotonic()
            events = [(event.event, time.monotonic() - began) for event in browser.events()]
        finally:
            browser.leave()
        return [name for name, _ in events], events[-1][1]

    with fake_server() as fake:
        fake.script(succeeds({"done": True}, events=[("custom", 1), 1.0, ("custom", 2)]), repeat=True)
        with Gunicorn(fake.url, "-k", "gevent") as site, ThreadPoolExecutor(10) as pool:
            began = time.monotonic()
            found = list(pool.map(watch, range(10)))
            seconds = time.monotonic() - began
    assert [] == [names for names, _ in found if names.count("custom") != 2 or names[-1] != "end"]
    assert seconds < 8, "one after the other they would take ten seconds"


def test_gunicorn_with_gevent_ends_streams_when_it_stops() -> None:
    """A function that it calls for SIGTERM must not block, since it runs in the event loop."""
    pytest.importorskip("gevent")
    with fake_server() as fake:
        fake.script(succeeds({"done": True}, events=[("custom", 1), 60.0]), repeat=True)
        with Gunicorn(fake.url, "-k", "gevent", "--graceful-timeout", "5") as site:
            browser = Browser(site.url, "/stream/?" + query(graph="agent", input={}, on_disconnect="continue"))
            events = browser.events()
            assert "custom" in (event.event for event in events)
            began = time.monotonic()
            site.terminate()
            names = [event.event for event in events]
            browser.leave()
            seconds = time.monotonic() - began
    assert ["error", "end"] == names[-2:]
    assert seconds < 5
