"""A real server that the processes of one test run share."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from langgraph_runs.devserver import DevServer

__all__ = ["shared_server", "shared_url"]


class _ServerOfAnotherProcess(DevServer):
    """A server that another process of this test run started. Its URL is known, and nothing else of it can be used."""

    def __init__(self, url: str) -> None:
        super().__init__({"unknown": "none:none"})
        self._its_url = url

    @property
    def url(self) -> str:
        return self._its_url


@contextlib.contextmanager
def shared_server(name: str, make: Callable[[], DevServer], factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    """The running server of that name, which one process of this test run starts: see `shared_url`."""
    started: list[DevServer] = []

    @contextlib.contextmanager
    def run() -> Iterator[str]:
        with make() as server:
            started.append(server)
            yield server.url

    with shared_url(name, run, factory) as url:
        yield started[0] if started else _ServerOfAnotherProcess(url)


@contextlib.contextmanager
def shared_url(
    name: str, run: Callable[[], contextlib.AbstractContextManager[str]], factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of a server: the first process that needs it starts it, and stops it when no other needs it any more.

    The processes of a run have one temporary directory above theirs. In it are, for each name, the URL of the server, a lock
    for starting and stopping, and for each server a lock that its users share.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    note = base / f"{name}.url"
    with contextlib.ExitStack() as cleanup:
        with _locked(base / f"{name}.lock", fcntl.LOCK_EX):
            if note.exists():
                owner, url = note.read_text().split()
            else:
                owner = str(os.getpid())
                url = cleanup.enter_context(run())
                note.write_text(f"{owner} {url}")
            users = base / f"{name}.users-{owner}"
            used = contextlib.ExitStack()
            cleanup.callback(used.close)
            used.enter_context(_locked(users, fcntl.LOCK_SH))
        yield url
        used.close()
        if owner == str(os.getpid()):
            with _locked(base / f"{name}.lock", fcntl.LOCK_EX):
                note.unlink()
            # The kernel releases the lock of a process that ends, however it ends.
            with _locked(users, fcntl.LOCK_EX):
                pass


@contextlib.contextmanager
def _locked(path: Path, kind: int) -> Iterator[Any]:
    with open(path, "w") as file:
        fcntl.flock(file, kind)
        yield file
