"""The project of langgraph_runs/django/README.rst, as a reader would run it: under gunicorn, with ``sync`` beside it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any, Dict

import pytest

from langgraph_runs.testing import fake_server, never_ends, pauses, succeeds

from ..waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the workers are found in /proc"),
    pytest.mark.skipif(importlib.util.find_spec("gunicorn") is None, reason="gunicorn is not installed"),
]
PATIENCE = 60.0


def test_runs_are_started_streamed_answered_cancelled_and_listed_and_a_killed_worker_loses_none(tmp_path: Path) -> None:
    from ..bench.django_rows import Browsers, Site

    with fake_server() as fake, Site(tmp_path, fake.url, workers=1) as site:
        browsers = Browsers(site.port)

        def start(script: Any, key: str, status: int = 201) -> str:
            fake.script(script)
            found, row = browsers.send("POST", "/runs/", {"text": "Why?", "key": key})
            assert status == found
            return str(row["id"])

        def row_of(pk: str) -> Dict[str, Any]:
            row: Dict[str, Any] = browsers.send("GET", f"/runs/{pk}/")[1]
            return row

        def wait_for(pk: str, status: str) -> Dict[str, Any]:
            wait_until(lambda: row_of(pk)["status"] == status, f"row {pk} is {status}", seconds=PATIENCE, pause=0.1)
            return row_of(pk)

        streamed = start(succeeds({"answer": 42}), "one")
        browsers.stream(streamed)
        assert {"status": "succeeded", "values": {"answer": 42}} == {key: row_of(streamed)[key] for key in ("status", "values")}
        assert (200, streamed) == (lambda found: (found[0], found[1]["id"]))(
            browsers.send("POST", "/runs/", {"text": "Why?", "key": "one"})
        )

        asked = start(pauses("Send this?"), "two")
        assert ["Send this?"] == [one["value"] for one in wait_for(asked, "paused")["questions"]]
        site.kill_workers()
        fake.script(succeeds({"sent": True}))
        browsers.send("POST", f"/runs/{asked}/answer/", {"answer": "yes"})
        assert {"sent": True} == wait_for(asked, "succeeded")["values"]
        assert 409 == browsers.send("POST", f"/runs/{asked}/answer/", {"answer": "yes"})[0]

        stopped = start(never_ends(), "three")
        browsers.send("POST", f"/runs/{stopped}/cancel/")
        wait_for(stopped, "cancelled")

        listed = browsers.send("GET", "/runs/")[1]["runs"]
        assert [(stopped, "cancelled"), (asked, "succeeded"), (streamed, "succeeded")] == [
            (row["id"], row["status"]) for row in listed
        ]
        assert 4 == len(fake.started)
    assert "Traceback" not in (tmp_path / "site.log").read_text(encoding="utf-8")
