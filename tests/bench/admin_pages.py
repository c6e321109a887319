"""Screenshots of the admin of runs: the list and the pages of rows, narrow and wide, in the light and the dark theme.

    python -m tests.bench.admin_pages DIRECTORY

Needs Chromium with its driver (Debian: ``apt install chromium chromium-driver``) and selenium (the extra ``bench``).
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Iterator

from .browser import CHROMIUM, browser, missing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.django.settings_rows")

WIDTHS = {"360": (360, 1400), "1280": (1280, 1100)}
THEMES = ("light", "dark")


@contextlib.contextmanager
def site(directory: str) -> Iterator[Any]:
    """Serve the project with an admin from a thread, on a database in *directory*; yield its address and a session's key."""
    import django
    from django.conf import settings

    settings.ROOT_URLCONF = "tests.django.urls_rows"
    settings.DATABASES["default"]["NAME"] = str(Path(directory) / "rows.sqlite3")
    settings.MIDDLEWARE = settings.ADMIN_MIDDLEWARE
    django.setup()
    from django.contrib.staticfiles.handlers import StaticFilesHandler
    from django.core.management import call_command
    from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
    from django.core.wsgi import get_wsgi_application
    from django.test import Client

    call_command("migrate", verbosity=0)
    client = Client()
    client.force_login(fill())
    server = ThreadedWSGIServer(("127.0.0.1", 0), type("Quiet", (WSGIRequestHandler,), {"log_message": lambda *_: None}))
    server.set_app(StaticFilesHandler(get_wsgi_application()))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", client.cookies["sessionid"].value
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def fill() -> Any:
    """Write rows of each status; return a superuser."""
    from django.contrib.auth import get_user_model
    from django.utils import timezone

    from langgraph_runs.django.runs.models import AgentRun

    users: Any = get_user_model().objects
    ada = users.create_superuser("ada", "ada@us.example", "secret")
    grace = users.create(username="grace.hopper")
    now = timezone.now()
    question = {
        "messages": [{"role": "user", "content": "Why are there two tides a day? " * 3}],
        "order": {"id": 7, "lines": [1, 2]},
    }
    for number in range(32):
        status = AgentRun.Status.values[number % 8]
        begun = now - datetime.timedelta(minutes=13 * number)
        ended = status not in ("queued", "started", "paused")
        row: Any = AgentRun.objects.start(
            "agent" if number % 3 else "a.graph.with.a.long.name",
            question,
            owner=[ada, grace, None][number % 3],
            about=grace if number % 2 else None,
            post=False,
        )
        row.status, row.created_at, row.started_at = status, begun, begun + datetime.timedelta(seconds=1)
        row.finished_at = begun + datetime.timedelta(seconds=3.4 * (number + 1)) if ended else None
        row.thread_id, row.run_id = ("", "") if status == "queued" else (str(row.pk)[::-1], str(row.pk))
        if status in ("failed", "lost"):
            row.error = "ValueError"
            row.message = "no ink\n" + "\n".join(f'  File "graph.py", line {line}, in node' for line in range(9))
        if status == "succeeded":
            row.values = {
                "messages": [{"type": "ai", "content": "Because the Earth turns under two bulges of water. " * 8}],
                "n": 1,
            }
        if status == "paused":
            row.questions = [
                {"id": "9d4d", "value": {"question": "Send this to Ada?", "draft": "Dear Ada,\n\nthere are two tides."}}
            ]
        row.save()
    return ada


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.admin_pages", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args().directory
    reason = missing()
    if reason is not None:
        print(reason, file=sys.stderr)
        return 2
    directory.mkdir(parents=True, exist_ok=True)
    chromium = next(filter(None, map(shutil.which, CHROMIUM)))
    with tempfile.TemporaryDirectory() as temporary, site(temporary) as (url, session):
        from langgraph_runs.django.runs.models import AgentRun

        rows = {status: AgentRun.objects.filter(status=status).first() for status in ("succeeded", "failed", "paused")}
        pages = {"list": "", **{status: f"{row.pk}/change/" for status, row in rows.items() if row is not None}}
        with browser(chromium, str(shutil.which("chromedriver"))) as driver:
            driver.get(url + "/admin/login/")
            driver.add_cookie({"name": "sessionid", "value": session})
            for theme in THEMES:
                driver.execute_cdp_cmd(
                    "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": theme}]}
                )
                for width, (wide, high) in WIDTHS.items():
                    size = {"width": wide, "height": high, "deviceScaleFactor": 1, "mobile": wide < 600}
                    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
                    for page, path in pages.items():
                        driver.get(f"{url}/admin/langgraph_agent_runs/agentrun/{path}")
                        driver.save_screenshot(str(directory / f"{page}-{width}-{theme}.png"))
    print(f"{len(pages) * len(THEMES) * len(WIDTHS)} pictures in {directory}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
