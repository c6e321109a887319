"""``--lock FILE``: of the commands that name the same file, one runs at a time."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from typing import Iterator

from . import codes
from .command import CommandError

if sys.platform != "win32":
    import fcntl

__all__ = ["add_lock", "hold", "locked"]


def add_lock(parser: argparse._ActionsContainer) -> None:
    """The option of the commands that cron may start twice."""
    parser.add_argument(
        "--lock",
        metavar="FILE",
        help=f"do nothing, and exit with {codes.BUSY}, while another command holds this file; it is made if needed, and stays",
    )


@contextlib.contextmanager
def locked(args: argparse.Namespace) -> Iterator[None]:
    """Hold the file, if one was named. The kernel lets go of it when the process ends, in whatever way."""
    if args.lock is None:
        yield
        return
    if sys.platform == "win32":
        raise CommandError("--lock: not available on Windows; let the task scheduler forbid a second instance", codes.USAGE)
    try:
        descriptor = os.open(args.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise CommandError(f"--lock {args.lock}: {error.strerror or error}", codes.USAGE) from None
    try:
        if not hold(descriptor, f"--lock {args.lock}"):
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
            by = f" by process {holder}" if holder.isdecimal() else ""
            raise CommandError(f"--lock {args.lock}: held{by}; nothing was started", codes.BUSY)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(descriptor)


def hold(descriptor: int, what: str) -> bool:
    """Take a file for this process, until it is closed; False where another one has it. On Windows nothing is taken."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise CommandError(f"{what}: cannot be locked there: {error.strerror or error}", codes.USAGE) from None
    return True
