"""A real gunicorn with the small project, and what the system knows of its processes."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Dict, List, Optional, Type

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 30.0


def gunicorn_command(descriptor: int, *options: str) -> List[str]:
    """A gunicorn that imports the application first, and listens on a socket that it inherits. The last option is the application."""
    command = [sys.executable, "-m", "gunicorn", "--preload", "--bind", f"fd://{descriptor}", "--log-level", "error"]
    command += ["--worker-tmp-dir", "/dev/shm"] if os.path.isdir("/dev/shm") else []
    command += ["--no-control-socket"] if _has_control_socket() else []
    return [*command, *options]


def workers_of(process: subprocess.Popen[bytes]) -> List[int]:
    """The process ids of the workers of a gunicorn."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return sorted(int(pid) for pid in children.split())


class Gunicorn:
    """Serves tests.django.wsgi, preloaded, from a ``with`` block; *options* go to the command."""

    def __init__(self, langgraph_url: str, *options: str, workers: int = 1, env: Optional[Dict[str, str]] = None) -> None:
        self._count = workers
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._options = options
        settings = {"DJANGO_SETTINGS_MODULE": "tests.django.settings"}
        self._env = {**os.environ, **settings, "TEST_LANGGRAPH_URL": langgraph_url, "PYTHONPATH": str(ROOT), **(env or {})}
        self._env.pop("PYTHONWARNINGS", None)
        self._process: Optional[subprocess.Popen[bytes]] = None

    def __enter__(self) -> Gunicorn:
        descriptor = self._socket.fileno()
        options = ("--config", "python:tests.django.gunicorn_conf", "--workers", str(self._count), *self._options)
        command = gunicorn_command(descriptor, *options, "tests.django.wsgi")
        self._process = subprocess.Popen(command, cwd=ROOT, env=self._env, pass_fds=[descriptor])
        try:
            self._wait_ready()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self._socket.close()
        process = self._process
        if process is not None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def terminate(self) -> None:
        """Tell it to end, as a deployment does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def _wait_ready(self) -> None:
        end = time.monotonic() + PATIENCE
        host, port = self._socket.getsockname()
        while time.monotonic() < end:
            assert self._process is not None and self._process.poll() is None, "gunicorn has ended"
            connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
            try:
                connection.request("GET", "/pid/")
                if connection.getresponse().status == 200 and len(self.workers) == self._count:
                    return
            except OSError:
                pass  # not yet
            finally:
                connection.close()
            time.sleep(0.05)
        raise AssertionError("gunicorn did not answer")

    @property
    def workers(self) -> List[int]:
        """The process ids of its workers."""
        assert self._process is not None
        return workers_of(self._process)

    def threads(self) -> int:
        """Of all workers."""
        return sum(len(os.listdir(f"/proc/{pid}/task")) for pid in self.workers)

    def sockets(self) -> Counter[str]:
        """Of all workers, by state: ``open``, or ``pooled`` for connections in a client's pool that the server has closed since."""
        states = _tcp_states()
        found: Counter[str] = Counter()
        for pid in self.workers:
            for number in os.listdir(f"/proc/{pid}/fd"):
                inode = _socket_inode(f"/proc/{pid}/fd/{number}")
                if inode is not None:
                    found["pooled" if states.get(inode) == _CLOSE_WAIT else "open"] += 1
        return found

    def fill(self, threads: int) -> None:
        """Have every worker start all the *threads* of its pool, which gunicorn starts as they are needed."""

        def ask(_: int) -> None:
            host, port = self.url[7:].split(":")
            connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
            try:
                connection.request("GET", "/pid/?seconds=0.3")
                connection.getresponse().read()
            finally:
                connection.close()

        full = len(self.workers) * (threads + 1)
        end = time.monotonic() + 2 * PATIENCE
        with ThreadPoolExecutor(full * 2) as pool:
            while self.threads() < full and time.monotonic() < end:
                list(pool.map(ask, range(full * 2)))


#: States of /proc/net/tcp.
_CLOSE_WAIT = "08"


def _tcp_states() -> Dict[str, str]:
    """State by inode."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return {line.split()[9]: line.split()[3] for line in lines}


def _socket_inode(path: str) -> Optional[str]:
    try:
        target = os.readlink(path)
    except OSError:
        return None  # closed meanwhile
    return target[len("socket:[") : -1] if target.startswith("socket:[") else None


def _has_control_socket() -> bool:
    from gunicorn.config import KNOWN_SETTINGS

    return any(setting.name == "control_socket_disable" for setting in KNOWN_SETTINGS)
