"""Rules for all tests: nothing leaves this machine, nothing is left behind."""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.metadata
import ipaddress
import os
import platform
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

DEPENDENCIES = ("requests", "urllib3", "sseclient-py", "tenacity", "attrs", "cattrs", "orjson", "langgraph-api")

HERE = Path(__file__).parent

#: A user's project: its tests are run by test_plugin.py.
collect_ignore = ["example_project"]

#: Processes that run the tests on a machine with few cores.
WORKERS = 6

#: Seconds that a thread gets to end after the test that made it.
GRACE = 5.0


def pytest_configure(config: pytest.Config) -> None:
    # A job that a shell started in the background ignores Ctrl-C, and so would all the programs that tests start and interrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Below nohup, the programs would ignore SIGHUP. They get the default for a signal that has a handler here, even one that does
    # nothing. A process that only distributes the tests goes on to ignore it, so that the processes that run them do so too.
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) is signal.SIG_IGN and not getattr(config.option, "numprocesses", None):
        signal.signal(hangup, lambda *_: None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The number of processes for ``-n auto``: three on each of two cores, since most tests wait; none for a few named files."""
    if all(".py" in argument for argument in config.args):
        return 0
    return max(os.cpu_count() or 1, WORKERS)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    # Thousands of tests come into memory and stay there to the end. Each garbage collection would go through all of them.
    gc.disable()
    try:
        import_share(session.config)
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        items[:] = slow_first(items, worker["workercount"])


def slow_first(items: list[pytest.Item], processes: int) -> list[pytest.Item]:
    """The tests in such an order that each process begins with its share of the slow ones.

    With ``worksteal`` each process is given an equal part of the list. One that began a slow test as the last would let the
    others wait for it.
    """
    slow = [item for item in items if item.get_closest_marker("slow")]
    others = [item for item in items if not item.get_closest_marker("slow")]
    ordered: list[pytest.Item] = []
    for left in range(processes, 0, -1):
        size, first = (len(slow) + len(others)) // left, len(slow) // left
        ordered += slow[:first] + others[: size - first]
        del slow[:first], others[: size - first]
    return ordered


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()


def import_share(config: pytest.Config) -> None:
    """Import each n-th module of tests in the n-th process, so that the processes do not all compile the same module at a time.

    What one process has compiled, the others load from its file.
    """
    worker = getattr(config, "workerinput", None)
    if worker is None or any(".py" in argument for argument in config.args):
        return
    modules = sorted(path for name in ("unit", "wire", "server") for path in (HERE / name).glob("test_*.py"))
    for path in modules[int(worker["workerid"].removeprefix("gw")) :: worker["workercount"]]:
        with contextlib.suppress(ImportError, SyntaxError, pytest.skip.Exception):  # pytest imports it again, and reports it
            importlib.import_module(f"{__package__}.{path.parent.name}.{path.stem}")


def pytest_report_header(config: pytest.Config) -> list[str]:
    found = []
    for name in DEPENDENCIES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"no {name}")
    header = [f"{platform.python_implementation()}: {', '.join(found)}"]
    if not is_wanted(config, "servers"):
        header.append("the tests on servers other than the Python one are left out; with them alone: pytest -m servers")
    if not is_wanted(config, "hosts"):
        header.append("the tests in web servers, task queues and other hosts are left out; with them alone: pytest -m hosts")
    return header


def is_wanted(config: pytest.Config, name: str) -> bool:
    """True if the command names the tests in ``tests/<name>``, by their marker or their path."""
    directory = HERE / name
    named = (Path(config.invocation_params.dir, argument.partition("::")[0]).resolve() for argument in config.args)
    return any(directory == path or directory in path.parents for path in named) or name in re.findall(
        r"\w+", config.option.markexpr
    )


def leave_out_unless_wanted(config: pytest.Config, items: list[pytest.Item], name: str) -> None:
    """Mark the tests in ``tests/<name>`` with that name, and leave them out unless the command names them."""
    tests = items_in(HERE / name, items)
    for item in tests:
        item.add_marker(getattr(pytest.mark, name))
    if tests and not is_wanted(config, name):
        left_out = set(tests)
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=tests)


def items_in(directory: Path, items: list[pytest.Item]) -> list[pytest.Item]:
    """The tests below *directory*. Each process asks about all tests, and many lie in one file."""
    files = {path for path in {item.path for item in items} if directory in path.parents}
    return [item for item in items if item.path in files]


def _is_here(address: Any) -> bool:
    if not isinstance(address, tuple):
        return True  # a path of this machine
    host = address[0]
    try:
        return ipaddress.ip_address(host.split("%")[0]).is_loopback
    except ValueError:
        return bool(host == "localhost")


@pytest.fixture(scope="session", autouse=True)
def _only_loopback() -> Iterator[None]:
    """A connection to another machine fails the test that makes it."""

    def guarded(connect: Callable[..., Any]) -> Callable[..., Any]:
        def checked(self: socket.socket, address: Any) -> Any:
            if not _is_here(address):
                raise AssertionError(f"a test wants to connect to {address[0]}")
            return connect(self, address)

        return checked

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, guarded(getattr(socket.socket, name)))
        yield


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    """A thread that outlives its test fails it."""
    before = set(threading.enumerate())
    yield
    end = time.monotonic() + GRACE
    left = set(threading.enumerate()) - before
    while left and time.monotonic() < end:
        next(iter(left)).join(0.01)
        left = {thread for thread in left if thread.is_alive()}
    assert not left, f"threads left behind: {sorted(thread.name for thread in left)}"
