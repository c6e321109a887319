"""``--lock FILE``: of several commands that name the same file, only one runs at a time."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from typing import Iterator

from .. import exit_codes
from .command import CommandError

if sys.platform != "win32":
    import fcntl

__all__ = ["add_lock", "locked", "try_lock"]


def add_lock(parser: argparse._ActionsContainer) -> None:
    """Add the option ``--lock``, for commands that cron may start while the previous one still runs."""
    parser.add_argument(
        "--lock",
        metavar="FILE",
        help=f"exit with {exit_codes.BUSY} at once if another command has locked this file; it is created if needed, and kept",
    )


@contextlib.contextmanager
def locked(args: argparse.Namespace) -> Iterator[None]:
    """Lock the file that ``--lock`` names, if any. The kernel releases the lock when the process ends or is killed."""
    if args.lock is None:
        yield
        return
    if sys.platform == "win32":
        raise CommandError("--lock: not available on Windows; let the task scheduler forbid a second instance", exit_codes.USAGE)
    try:
        descriptor = os.open(args.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise CommandError(f"--lock {args.lock}: {error.strerror or error}", exit_codes.USAGE) from None
    try:
        if not try_lock(descriptor, f"--lock {args.lock}"):
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
            by = f" by process {holder}" if holder.isdecimal() else ""
            raise CommandError(f"--lock {args.lock}: held{by}; nothing was started", exit_codes.BUSY)
        content = os.pread(descriptor, 32, 0).strip()
        if content and not content.isdigit():
            text = f"--lock {args.lock}: the file has other content; give one that is used for nothing else"
            raise CommandError(text, exit_codes.USAGE)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(descriptor)


def try_lock(descriptor: int, what: str) -> bool:
    """Lock a file until it is closed; return False if another process has locked it. On Windows nothing is locked."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise CommandError(f"{what}: cannot be locked there: {error.strerror or error}", exit_codes.USAGE) from None
    return True
