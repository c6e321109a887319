"""What all servers need to run: a free port, a process that is ended with all its children, and a place for what is installed."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pwd
import random
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable

#: Seconds that a server may take until it accepts requests: a machine that is busy included.
START_LIMIT = 120.0
#: Seconds that npm or pip may take.
INSTALL_LIMIT = 600.0
#: Seconds that a process may take to end after SIGTERM, before it is killed.
STOP_LIMIT = 5.0
#: The directory for installed packages; without it one below the user's cache directory.
CACHE_VARIABLE = "LANGGRAPH_RUNS_TEST_CACHE"

#: The environment that the tests were started with: a test takes variables out of it for itself.
ENVIRONMENT = dict(os.environ)


class Unavailable(Exception):
    """This machine cannot run the server. The message says what is missing and how to get it."""


def free_port() -> int:
    """A port that is free now, below those that the system gives to connections: it is still free when a server has started."""
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


def environment(**added: str) -> dict[str, str]:
    """The caller's environment without what would configure a server or send its data elsewhere."""
    foreign = ("LANGGRAPH_", "LANGSMITH_", "LANGCHAIN_", "OTEL_", "POSTGRES_", "DATABASE_", "PG")
    kept = {name: value for name, value in ENVIRONMENT.items() if not name.startswith(foreign)}
    return {**kept, "LANGSMITH_TRACING": "false", "LANGGRAPH_CLI_NO_ANALYTICS": "1", **added}


def unprivileged(what: str, user: str) -> dict[str, Any]:
    """Options for a process of a database, which refuses to run as root: then it is its own user, or else `nobody`."""
    if os.getuid() != 0:
        return {}
    for name in (user, "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise Unavailable(f"{what} does not run as root, and this machine has neither the user {user} nor nobody")


def tail(log: Path, lines: int = 30) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]) if log.exists() else ""


@contextlib.contextmanager
def running(command: Sequence[str], log: Path, *, stop: int = signal.SIGTERM, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """The command in a process group of its own, which is ended with all that it has started."""
    with open(log, "ab") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, **options
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, stop)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_LIMIT)
        # The children that did not end with it; the group exists as long as one of them does.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_ready(process: subprocess.Popen[bytes], ready: Callable[[], bool], what: str, log: Path) -> None:
    """Block until `ready` is true; raise with the end of the log when the process ends or takes too long."""
    end = time.monotonic() + START_LIMIT
    while not ready():
        if process.poll() is not None:
            raise RuntimeError(f"{what} ended with {process.returncode} while starting:\n{tail(log)}")
        if time.monotonic() > end:
            raise RuntimeError(f"{what} did not accept requests within {START_LIMIT:g} s:\n{tail(log)}")
        time.sleep(0.05)


def wait_listening(process: subprocess.Popen[bytes], port: int, what: str, log: Path) -> None:
    """Block until a connection to the port is accepted."""

    def accepted() -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0

    wait_ready(process, accepted, what, log)


def answers(url: str) -> bool:
    """True if a GET of the URL gives a 200."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def install(command: Sequence[str], what: str, **options: Any) -> None:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=INSTALL_LIMIT,
        check=False,
        **options,
    )
    if done.returncode:
        raise Unavailable(f"{what} cannot be installed:\n" + done.stdout.decode(errors="replace")[-2000:])


def cache_directory() -> Path:
    """Where installed packages are kept for the next time: outside of the checkout."""
    chosen = ENVIRONMENT.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen)
    return Path(ENVIRONMENT.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "langgraph_runs-tests"


@contextlib.contextmanager
def installed(name: str, recipe: str) -> Iterator[tuple[Path, bool]]:
    """A directory for what the recipe, a text, describes: another recipe has another one. True if it is filled already.

    Only one process is in here at a time. It fills the directory; when the block ends without an error, it counts as filled.
    """
    directory = cache_directory() / f"{name}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    directory.mkdir(parents=True, exist_ok=True)
    mark = directory / "filled"
    with open(directory / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield directory, mark.exists()
        mark.touch()
