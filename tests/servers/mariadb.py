"""A MariaDB server of its own, in a temporary directory."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .processes import Unavailable, environment, free_port, running, unprivileged, wait_listening

HOW = "MariaDB is needed, the server and not only its client: apt-get install mariadb-server"
#: What a server that is thrown away does not need: that its data survives a crash. Locks are waited for as in a real one.
SETTINGS = {
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-use-native-aio": "0",
    "innodb-buffer-pool-size": "64M",
    "max-connections": "100",
    "skip-name-resolve": "1",
    # As in MySQL: with REPEATABLE READ, an UPDATE of a row that has changed meanwhile is no error. From 11.6 on it is one by default.
    "loose-innodb-snapshot-isolation": "OFF",
}


def program(name: str) -> str:
    """The path of a program of MariaDB; Debian puts the server into a directory that is not on everybody's path."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise Unavailable(HOW)
    return found


def unavailable_reason() -> str:
    try:
        program("mariadbd"), program("mariadb-install-db")
    except Unavailable as error:
        return str(error)
    return ""


@contextlib.contextmanager
def database(**settings: str) -> Iterator[str]:
    """Run a new server, whose *settings* are options of ``mariadbd``, and yield the URL of its database `site`.

    It also has a database `old`, with the character set of older ones.
    """
    install, server = program("mariadb-install-db"), program("mariadbd")
    as_owner = unprivileged("MariaDB", "mysql")
    # Not below the directory of the tests, which another user may not enter, and whose path may be too long for a socket.
    directory = Path(tempfile.mkdtemp(prefix="langgraph-runs-mariadb-"))
    try:
        if as_owner:
            os.chown(directory, as_owner["user"], as_owner["group"])
        data, port, log = directory / "data", free_port(), directory / "log"
        options = {"cwd": directory, "env": environment(), **as_owner}
        command = [install, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **options)
        if done.returncode:
            raise RuntimeError(f"mariadb-install-db ended with {done.returncode}:\n{done.stdout.decode(errors='replace')}")
        command = [server, "--no-defaults", f"--datadir={data}", f"--tmpdir={directory}", f"--pid-file={directory / 'pid'}"]
        first = directory / "first.sql"
        first.write_text(
            "CREATE DATABASE site CHARACTER SET utf8mb4;\nCREATE DATABASE old CHARACTER SET utf8mb3;\n", encoding="ascii"
        )
        command += [f"--init-file={first}", f"--socket={directory / 'socket'}", "--bind-address=127.0.0.1", f"--port={port}"]
        command += [f"--{name}={value}" for name, value in {**SETTINGS, **settings}.items()]
        with running(command, log, **options) as process:
            wait_listening(process, port, "MariaDB", log)
            yield f"mysql://root@127.0.0.1:{port}/site?charset=utf8mb4"
    finally:
        shutil.rmtree(directory, ignore_errors=True)
