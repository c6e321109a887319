"""The child process of :mod:`langgraph_runs.devserver`: a script that is run by its path, and never imported.

It does not import this library, so that the server's process does not contain the client. It communicates with its parent over two
pipes:

* standard input: one line of JSON with the settings. Afterwards the pipe stays open; its end means that the parent process has
  ended, also if it was killed. Then this process removes its directory and kills its process group, itself included.
* standard output: one line of JSON, ``{"url": ..., "port": ...}`` when the server accepts requests, or ``{"error": ...}``.

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
#: Seconds to wait for a port that a server which was killed a moment ago still holds.
PORT_TIMEOUT = 2.0
#: Seconds between checks of the parent's process id, in case a forked child of the parent keeps the pipe open.
PARENT_INTERVAL = 0.5
#: Options that would make the server use another socket or another process.
RESERVED_OPTIONS = {"kwargs", "app", "fd", "host", "port", "uds", "workers"}


def main() -> int:
    settings: Dict[str, Any] = json.loads(read_line(0))
    parent_pipe = move(0, os.open(os.devnull, os.O_RDONLY))
    status = move(1, os.dup(2))
    threading.Thread(target=watch, args=(parent_pipe, settings["parent"], settings["directory"]), daemon=True).start()

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
    known = {*inspect.signature(run_server).parameters, *inspect.signature(uvicorn.run).parameters} - RESERVED_OPTIONS
    for name in sorted(set(options) - known):
        # The server itself would ignore it silently.
        similar = difflib.get_close_matches(name, known, 1)
        report(error=f"the server has no option {name!r}" + (f"; did you mean {similar[0]!r}?" if similar else ""))
        return 1
    # run_server takes no socket, and does not report when it accepts requests. So the function that it calls is replaced.
    uvicorn.run = serve_on(bound, report)
    run_server(HOST, bound.getsockname()[1], **options)
    return 0


def read_line(fd: int) -> bytes:
    with open(fd, "rb", buffering=0, closefd=False) as stream:
        return stream.readline()


def move(fd: int, replacement: int) -> int:
    """Replace the descriptor *fd* by *replacement*; return a copy of the old one, which child processes do not inherit."""
    moved = os.dup(fd)
    os.dup2(replacement, fd)
    os.close(replacement)
    return moved


def watch(parent_pipe: int, parent: int, directory: str) -> None:
    """Wait until the parent process has ended, then remove the directory and kill the process group."""
    while os.getppid() == parent:
        readable, _, _ = select.select([parent_pipe], [], [], PARENT_INTERVAL)
        if readable and not os.read(parent_pipe, 1):
            break
    for _ in range(3):  # repeated, since another thread may create a file meanwhile
        shutil.rmtree(directory, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def bind(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    deadline = time.monotonic() + PORT_TIMEOUT
    while True:
        try:
            bound.bind((HOST, port))
            return bound
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
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
        # On systems other than Linux, run_server finds that the port is in use (by our own socket) and announces another one.
        announced = urlsplit(os.environ["LANGGRAPH_API_URL"])
        actual = announced._replace(netloc="{}:{}".format(*bound.getsockname()))
        os.environ["LANGGRAPH_API_URL"] = actual.geturl()
        accepted = inspect.signature(uvicorn.Config).parameters
        server = Server(uvicorn.Config(app, **{name: value for name, value in options.items() if name in accepted}))
        server.run(sockets=[bound])
        if not server.started:
            sys.exit(3)

    return run


if __name__ == "__main__":
    sys.exit(main())
