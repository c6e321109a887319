"""Rows of runs under fire: the project of ``langgraph_runs/django/README.rst`` under gunicorn, whose workers are killed at random.

Browsers start runs, stream some of them, and answer the questions of others, and repeat each request until it has a response.
Meanwhile workers of gunicorn, and the process that runs ``langgraph_runs sync``, get SIGKILL. At the end each row is compared with
the runs of the LangGraph server.

    python -m tests.bench.django_rows --rows 500
    python -m tests.bench.django_rows --rows 500 --database mariadb --syncs 3
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Iterator, Optional

from langgraph_runs import Client
from langgraph_runs.devserver import DevServer

from ..django.databases import settings_of
from ..django.gunicorn import gunicorn_command, workers_of
from ..readme import CHAPTERS, ROOT
from ..servers import mariadb, postgresql

#: Seconds after which a row that has not ended is given up.
PATIENCE = 900.0
#: Seconds between two kills, at least and at most.
PAUSES = (0.2, 2.0)
THREADS = 8
WORKERS = 3


#: What runs a server of this name; SQLite needs none.
DATABASES = {"sqlite": None, "postgresql": postgresql.database, "mariadb": mariadb.database}


def write_project(directory: Path, database: Optional[str] = None) -> Path:
    """Write the project of the chapter into a file, as its reader would, with the database of this URL; return the file."""
    path = directory / "project.py"
    text = next(block for block in CHAPTERS["django"].blocks("") if "settings.configure(" in block.text).text
    if database is not None:
        text, count = re.subn(r'"default": \{"ENGINE": .*\}\n', lambda _: f'"default": {settings_of(database)!r}\n', text)
        assert 1 == count
    if database is not None and database.startswith("mysql:"):
        text = f"import pymysql\n\npymysql.install_as_MySQLdb()\n{text}"
    path.write_text(text, encoding="utf-8")
    return path


class Site:
    """The project under gunicorn, with processes that run ``sync``, all started again when they were killed."""

    def __init__(
        self, directory: Path, langgraph_url: str, *, workers: int = WORKERS, syncs: int = 1, database: Optional[str] = None
    ) -> None:
        self.directory = directory
        self._database = database
        self._workers = workers
        self.kills: Counter[str] = Counter()
        self._env = {**os.environ, "LANGGRAPH_URL": langgraph_url, "PYTHONPATH": str(ROOT)}
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._socket.getsockname()[1]
        self._log = (directory / "site.log").open("ab")
        self._gunicorn: Any = None
        self._syncs: list[Any] = [None] * syncs

    def __enter__(self) -> Site:
        write_project(self.directory, self._database)
        subprocess.run([sys.executable, "project.py", "migrate", "-v0"], cwd=self.directory, env=self._env, check=True)
        options = ("--workers", str(self._workers), "--threads", str(THREADS), "project:application")
        command = gunicorn_command(self._socket.fileno(), *options)
        self._gunicorn = subprocess.Popen(
            command, cwd=self.directory, env=self._env, pass_fds=[self._socket.fileno()], stderr=self._log, stdout=self._log
        )
        for number in range(len(self._syncs)):
            self._start_sync(number)
        return self

    def __exit__(self, *args: Any) -> None:
        for process in (self._gunicorn, *self._syncs):
            process.terminate()
        for process in (self._gunicorn, *self._syncs):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._socket.close()
        self._log.close()

    def _start_sync(self, number: int) -> None:
        options = ("--loop", "0.5", "--check-after", "1", "--concurrency", "8")
        command = [sys.executable, "project.py", "langgraph_runs", "sync", *options]
        self._syncs[number] = subprocess.Popen(command, cwd=self.directory, env=self._env, stderr=self._log, stdout=self._log)

    def kill_one(self) -> None:
        """Kill a worker, or now and then ``sync``, which is then started again. The workers are started again by gunicorn."""
        if random.random() < 0.05:
            number = random.randrange(len(self._syncs))
            self._syncs[number].kill()
            self._syncs[number].wait()
            self._start_sync(number)
            self.kills["sync"] += 1
        else:
            workers = self.workers()
            self._kill(random.choice(workers)) if workers else None

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows, as Django's command dumps them."""
        command = [sys.executable, "project.py", "dumpdata", "langgraph_agent_runs.agentrun"]
        done = subprocess.run(command, cwd=self.directory, env=self._env, check=True, stdout=subprocess.PIPE)
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    def kill_workers(self) -> None:
        """Kill all workers."""
        for worker in self.workers():
            self._kill(worker)

    def workers(self) -> list[int]:
        """Return the ids of the workers' processes."""
        return workers_of(self._gunicorn)

    def _kill(self, worker: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
            self.kills["worker"] += 1


class Browsers:
    """Repeat each request until it has a response, as people do."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.requests: Counter[str] = Counter()
        self._lock = threading.Lock()

    def send(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return status and JSON of the first response that is not an error of the site."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            try:
                connection.request(method, path, None if body is None else json.dumps(body))
                response = connection.getresponse()
                data = response.read()
                if response.status < 500:
                    self._count("responses")
                    return response.status, json.loads(data)
                self._count("errors 5xx")
            except (OSError, http.client.HTTPException):
                self._count("broken")  # its worker was killed
            finally:
                connection.close()
            time.sleep(0.05)
        raise AssertionError(f"no response to {method} {path}")

    def stream(self, pk: str) -> None:
        """Read the events of a run to the end, with a new request after each break."""
        last, end = "", time.monotonic() + PATIENCE
        while time.monotonic() < end:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            try:
                connection.request("GET", f"/runs/{pk}/events/", headers={"Last-Event-ID": last} if last else {})
                response = connection.getresponse()
                if response.status == 204:
                    return
                for line in response:
                    if line.startswith(b"id: "):
                        last = line[4:].strip().decode()
                    if line.startswith(b"event: end"):
                        self._count("streams")
                        return
            except (OSError, http.client.HTTPException):
                self._count("broken")
            finally:
                connection.close()
            time.sleep(0.05)
        raise AssertionError(f"no end of the stream of {pk}")

    def _count(self, what: str) -> None:
        with self._lock:
            self.requests[what] += 1


def job(browsers: Browsers, number: int) -> tuple[str, str]:
    """What one user does: start a run, stream it or not, answer its question; return the row's id and its last status."""
    kind = ("plain", "streamed", "answered")[number % 3]
    context = {"seconds": 0.2 * (number % 4), "review": kind == "answered"}
    key = f"job-{number}"
    _, row = browsers.send("POST", "/runs/", {"text": "Why?", "key": key, "context": context})
    pk = str(row["id"])
    if kind == "streamed":
        browsers.stream(pk)
    end = time.monotonic() + PATIENCE
    while row["status"] in ("queued", "started", "paused") and time.monotonic() < end:
        if row["status"] == "paused":
            browsers.send("POST", f"/runs/{pk}/answer/", {"answer": "yes"})  # 409 if an earlier request was carried out
        time.sleep(0.2)
        row = browsers.send("GET", f"/runs/{pk}/")[1]
    return pk, str(row["status"])


def runs_of(client: Client) -> Iterator[tuple[str, str]]:
    """The key of the row, and the status, of each run on the server."""
    seen = 0
    while True:
        threads = client.threads.search(limit=100, offset=seen, sort_by="created_at", sort_order="asc", select=["thread_id"])
        if not threads:
            return
        seen += len(threads)
        for thread in threads:
            for run in client.runs.iter(thread.thread_id):
                if "agent_run" in run.metadata:
                    yield str(run.metadata["agent_run"]), run.status


@contextlib.contextmanager
def killing(site: Site) -> Iterator[None]:
    """Within this block processes of the site are killed."""
    over = threading.Event()

    def kill() -> None:
        while not over.wait(random.uniform(*PAUSES)):
            site.kill_one()

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def measure(rows: int, browsers_at_once: int, directory: Path, database: str, syncs: int) -> dict[str, Any]:
    """Do it, and return the lines of the table."""
    began = time.monotonic()
    with contextlib.ExitStack() as running:
        starting = DATABASES[database]
        url = None if starting is None else running.enter_context(starting())
        server = running.enter_context(DevServer({"agent": f"{ROOT / 'tests' / 'docs_agent.py'}:graph"}))
        site = running.enter_context(Site(directory, server.url, syncs=syncs, database=url))
        browsers = Browsers(site.port)
        with killing(site), ThreadPoolExecutor(browsers_at_once) as pool:
            ends = dict(pool.map(lambda number: job(browsers, number), range(rows)))
        with Client(server.url, api_key=None) as client:
            runs = Counter(key for key, status in runs_of(client) if status != "interrupted")
        found = [(row["pk"], row["fields"]["run_number"], row["fields"]["status"]) for row in site.rows()]
    expected = {}
    for pk, number, _ in found:
        expected.update({pk if n == 0 else f"{pk}:{n}": 1 for n in range(number + 1)})
    statuses = Counter(status for _, _, status in found)
    return {
        "rows that browsers started": rows,
        "rows in the database": len(found),
        "rows that have ended well": statuses["succeeded"],
        "runs on the server": sum(runs.values()),
        "runs that the rows had": len(expected),
        "doubled": sum(count - 1 for count in runs.values()) + max(0, len(found) - rows) + len(runs.keys() - expected.keys()),
        "lost": len(ends) - statuses["succeeded"] + len(expected.keys() - runs.keys()),
        "workers killed": site.kills["worker"],
        "sync killed": site.kills["sync"],
        "requests that broke": browsers.requests["broken"],
        "responses 5xx": browsers.requests["errors 5xx"],
        "seconds": round(time.monotonic() - began),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.django_rows", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--browsers", type=int, default=12, help="at once (12)")
    parser.add_argument("--seed", type=int, help="of what is killed when")
    parser.add_argument("--database", choices=sorted(DATABASES), default="sqlite", help="a server is started (sqlite)")
    parser.add_argument("--syncs", type=int, default=1, help="processes that run sync (1)")
    options = parser.parse_args()
    random.seed(options.seed)
    with tempfile.TemporaryDirectory() as directory:
        try:
            table = measure(options.rows, options.browsers, Path(directory), options.database, options.syncs)
        except BaseException:
            print((Path(directory) / "site.log").read_text(errors="replace")[-20_000:], file=sys.stderr)
            raise
    for name, value in table.items():
        print(f"{name:32} {value:6}")
    return 1 if table["doubled"] or table["lost"] else 0


if __name__ == "__main__":
    sys.exit(main())
