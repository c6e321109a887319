"""Windows and macOS, simulated: what these systems do not have is hidden from the package, before it is imported.

``python -m tests.hosts.other_systems windows FILE ARGUMENTS...`` runs a program so; ``-m MODULE`` in place of FILE runs a module.
The standard library was imported before, and still sees the real system.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import runpy
import select
import signal
import socket
import sqlite3
import sys
from typing import Any, Callable, Dict, List

# All that looks at the system while it is imported.
for name in ("cattrs", "orjson", "requests", "tenacity"):
    with contextlib.suppress(ImportError):
        importlib.import_module(name)

__all__ = ["PATCHES", "main"]

#: Modules that only POSIX has.
POSIX_MODULES = ("fcntl", "grp", "pwd", "resource", "termios", "tty", "pty", "syslog")
#: Names that Windows does not have, as the documentation of Python says; but O_NONBLOCK, which `shutil` of Python 3.13 uses here.
NOT_ON_WINDOWS = {
    os: "fork forkpty register_at_fork killpg getpgid setsid getuid geteuid pwrite pread O_CLOEXEC posix_spawn "
    "sched_getaffinity sched_yield WNOHANG chown fchmod mkfifo wait",
    select: "poll epoll POLLIN POLLOUT POLLHUP POLLERR",
    signal: "SIGKILL SIGHUP SIGALRM SIGSTOP SIGCONT SIGPIPE SIGUSR1 SIGUSR2 SIGCHLD setitimer alarm pthread_sigmask pthread_kill "
    "siginterrupt sigwait pause",
    socket: "AF_UNIX TCP_INFO SO_REUSEPORT MSG_NOSIGNAL sethostname",
}
NOT_ON_MACOS = {
    os: "sched_getaffinity posix_fallocate",
    select: "epoll EPOLLIN EPOLLOUT",
    socket: "TCP_INFO SO_BINDTODEVICE",
    signal: "SIGSTKFLT SIGPWR",
}


def hide(names: Dict[Any, str]) -> None:
    for module, hidden in names.items():
        for name in hidden.split():
            if hasattr(module, name):
                delattr(module, name)


def is_open_here(path: str) -> bool:
    wanted = os.path.realpath(path)
    for number in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{number}") == wanted:
                return True
        except OSError:
            pass  # closed meanwhile
    return False


def refusing(function: Callable[..., None]) -> Callable[..., None]:
    """A function that renames or removes a file, and refuses one that is open."""

    def checked(path: Any, *others: Any, **options: Any) -> None:
        if any(is_open_here(os.fspath(one)) for one in (path, *others) if isinstance(one, (str, os.PathLike))):
            raise PermissionError(errno.EACCES, "The process cannot access the file because it is being used by another process")
        function(path, *others, **options)

    return checked


def windows() -> None:
    """No signals but a few, no poll, no fork, no rename of an open file, and no texts of errors of sockets."""
    for name in POSIX_MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    hide(NOT_ON_WINDOWS)
    os.replace = refusing(os.replace)
    os.rename = refusing(os.rename)
    os.unlink = os.remove = refusing(os.unlink)
    os.strerror = lambda code: "Unknown error"
    socket.errorTab = {errno.ECONNREFUSED: "The connection was refused."}  # type: ignore[attr-defined]
    sys.platform = "win32"


def macos() -> None:
    hide(NOT_ON_MACOS)
    sys.platform = "darwin"


PATCHES: Dict[str, Callable[[], None]] = {"windows": windows, "macos": macos}


def main(system: str, program: str, *arguments: str) -> None:
    given: List[str] = list(arguments)
    assert "langgraph_runs" not in sys.modules and sqlite3
    PATCHES[system]()
    if program == "-m":
        module = given.pop(0)
        sys.argv = [module, *given]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        sys.argv = [program, *given]
        runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
