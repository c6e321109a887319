"""A PostgreSQL cluster of its own, in a temporary directory."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

from .processes import STOP_LIMIT, Unavailable, environment, free_port, running, unprivileged, wait_ready

HOW = "PostgreSQL is needed, the server and not only its client: apt-get install postgresql"
#: What a cluster that is thrown away does not need: that its data survives a crash.
SETTINGS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_connections": "60"}


def programs() -> Optional[Path]:
    """The directory of initdb, postgres and pg_isready, which Debian does not put on the path."""
    found = shutil.which("initdb")
    newest_first = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(path.parent.name.split(".")[0]))
    places = [*newest_first, *([Path(found).resolve().parent] if found else [])]
    needed = ("initdb", "postgres", "pg_isready")
    return next((place for place in places if all((place / name).exists() for name in needed)), None)


def owner() -> dict[str, Any]:
    """Options for a process of PostgreSQL, which refuses to run as root."""
    return unprivileged("PostgreSQL", "postgres")


class Cluster:
    """A cluster in a directory of its own: started, and stopped in the way of a signal (see `pg_ctl stop --mode`)."""

    def __init__(self, place: Path, directory: Path, port: int, settings: dict[str, str]) -> None:
        self.url = f"postgresql://postgres:unused@127.0.0.1:{port}/postgres"
        self._directory = directory
        self._log = directory / "log"
        self._options = {"cwd": directory, "env": environment(), **owner()}
        self._command = [str(place / "postgres"), "-D", str(directory / "data"), "-p", str(port), "-h", "127.0.0.1", "-k", ""]
        self._command += [f"--{name}={value}" for name, value in settings.items()]
        self._asking = [str(place / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        self._running = contextlib.ExitStack()
        self._process: Optional[subprocess.Popen[bytes]] = None

    def start(self) -> None:
        """Block until it accepts connections."""
        process = self._running.enter_context(running(self._command, self._log, stop=signal.SIGQUIT, **self._options))
        self._process = process
        wait_ready(process, lambda: subprocess.run(self._asking, check=False).returncode == 0, "PostgreSQL", self._log)

    def stop(self, how: int = signal.SIGQUIT) -> None:
        """Block until it has ended: at once and to be recovered (SIGQUIT), or with a checkpoint (SIGINT)."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(STOP_LIMIT * 4)
        self._running.close()
        self._process = None


@contextlib.contextmanager
def cluster(**settings: str) -> Iterator[Cluster]:
    """Run a new cluster."""
    place = programs()
    if place is None:
        raise Unavailable(HOW)
    as_owner = owner()
    # Not below the directory of the tests, which another user may not enter.
    directory = Path(tempfile.mkdtemp(prefix="langgraph-runs-pg-"))
    try:
        if as_owner:
            os.chown(directory, as_owner["user"], as_owner["group"])
        command = [
            str(place / "initdb"),
            "-D",
            str(directory / "data"),
            "-U",
            "postgres",
            "--auth=trust",
            "-E",
            "UTF8",
            "--no-sync",
        ]
        options = {"cwd": directory, "env": environment(), **as_owner}
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **options)
        if done.returncode:
            raise RuntimeError(f"initdb ended with {done.returncode}:\n{done.stdout.decode(errors='replace')}")
        one = Cluster(place, directory, free_port(), {**SETTINGS, **settings})
        one.start()
        try:
            yield one
        finally:
            one.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def database() -> Iterator[str]:
    """Run a new cluster and yield the URL of its database."""
    with cluster() as one:
        yield one.url
