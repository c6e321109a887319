"""The server side of :mod:`langgraph_runs.devserver`: a script, run by path in a process of its own, never imported.

It imports nothing of ours, so that the server carries no client, and speaks with its parent over two pipes:

* standard input: one line of JSON with the settings, then nothing; the end of it means that the parent is gone, however
  it ended. Then this process removes its directory and kills its group, itself included.
* standard output: one line of JSON, ``{"url": ..., "port": ...}`` once requests are answered, or ``{"error": ...}``.

The socket is bound here, before the server is imported, so that no other program can get the port in between.
"""

from __future__ import annotations

import difflib
import errno
import inspect
import json
import os
import select
import shutil
import signal
import socket
import sys
import threading
import time
from typing import Any, Callable, Dict
from urllib.parse import urlsplit

HOST = "127.0.0.1"
#: Seconds to wait for a port that the server before us, killed a moment ago, still holds.
PORT_PATIENCE = 2.0
#: Seconds between looks at the parent's process id: for the pipe that a forked sibling keeps open.
PARENT_INTERVAL = 0.5
#: Options that would take the server off our socket or out of this process.
NOT_TO_BE_CHANGED = {"kwargs", "app", "fd", "host", "port", "uds", "workers"}


def main() -> int:
    settings: Dict[str, Any] = json.loads(read_line(0))
    lifeline = move(0, os.open(os.devnull, os.O_RDONLY))
    status = move(1, os.dup(2))
    threading.Thread(target=watch, args=(lifeline, settings["parent"], settings["directory"]), daemon=True).start()

    def report(**fields: Any) -> None:
        os.write(status, json.dumps(fields).encode() + b"\n")

    sys.path += [entry for entry in settings["sys_path"] if entry not in sys.path]
    try:
        bound = bind(settings["port"])
    except OSError as error:
        report(error=f"port {settings['port']} of {HOST} cannot be used: {error.strerror}")
        return 1

    import uvicorn
    from langgraph_api.cli import run_server

    options = settings["options"]
    known = {*inspect.signature(run_server).parameters, *inspect.signature(uvicorn.run).parameters} - NOT_TO_BE_CHANGED
    for name in sorted(set(options) - known):
        # The server itself would ignore it without a word.
        similar = difflib.get_close_matches(name, known, 1)
        report(error=f"the server has no option {name!r}" + (f"; did you mean {similar[0]!r}?" if similar else ""))
        return 1
    # run_server has no way to hand over a socket or to learn when it answers; the function that it ends in has both.
    uvicorn.run = serve_on(bound, report)
    run_server(HOST, bound.getsockname()[1], **options)
    return 0


def read_line(fd: int) -> bytes:
    with open(fd, "rb", buffering=0, closefd=False) as stream:
        return stream.readline()


def move(fd: int, replacement: int) -> int:
    """Put ``replacement`` in the place of a standard descriptor; return the old one, which no child inherits."""
    moved = os.dup(fd)
    os.dup2(replacement, fd)
    os.close(replacement)
    return moved


def watch(lifeline: int, parent: int, directory: str) -> None:
    """Wait until the parent is gone, then leave nothing behind."""
    while os.getppid() == parent:
        readable, _, _ = select.select([lifeline], [], [], PARENT_INTERVAL)
        if readable and not os.read(lifeline, 1):
            break
    for _ in range(3):  # another thread may write a file meanwhile
        shutil.rmtree(directory, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def bind(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    give_up = time.monotonic() + PORT_PATIENCE
    while True:
        try:
            bound.bind((HOST, port))
            return bound
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > give_up:
                raise
            time.sleep(0.05)


def serve_on(bound: socket.socket, report: Callable[..., None]) -> Callable[..., None]:
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets=sockets)
            if self.started:
                report(url=os.environ["LANGGRAPH_API_URL"], port=bound.getsockname()[1])

    def run(app: Any, **options: Any) -> None:
        # Where two sockets cannot share an unused port (not Linux), run_server believed ours to be taken.
        announced = urlsplit(os.environ["LANGGRAPH_API_URL"])
        ours = announced._replace(netloc="{}:{}".format(*bound.getsockname()))
        os.environ["LANGGRAPH_API_URL"] = ours.geturl()
        accepted = inspect.signature(uvicorn.Config).parameters
        server = Server(uvicorn.Config(app, **{name: value for name, value in options.items() if name in accepted}))
        server.run(sockets=[bound])
        if not server.started:
            sys.exit(3)

    return run


if __name__ == "__main__":
    sys.exit(main())
