"""Start the LangGraph server with the chat's graph, and the Django site in front of it."""

from __future__ import annotations

import contextlib
import signal
import tempfile
import webbrowser
from pathlib import Path
from types import FrameType
from typing import Iterator, Optional, TextIO

from django.conf import settings
from django.core.management import call_command
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application

from ...devserver import DevServer, DevServerError
from .settings import settings_for

__all__ = ["run"]

GRAPHS = {"chat": str(Path(__file__).with_name("graph.py")) + ":graph"}
#: Only this machine can connect.
HOST = "127.0.0.1"


def run(out: TextIO, *, port: int = 0, open_page: bool = False, log: Optional[str] = None) -> None:
    """Serve the chat on *port* (0 for a free one), print its address to *out*, and block until Ctrl-C or SIGTERM.

    Then the server is ended, its directory is removed, and ``KeyboardInterrupt`` is raised. Raises `DevServerError` if the port is
    in use or the LangGraph server cannot be started. Can be called once in a process, in its main thread.
    """
    # The port is bound first, since it may be in use. Django's development server has a thread for each connection and flushes
    # each part of a response.
    with contextlib.ExitStack() as stack:
        stack.enter_context(sigterm_interrupts())
        site = stack.enter_context(bound_site(port))
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="langgraph-runs-demo-"))
        server = stack.enter_context(DevServer(GRAPHS, log=log))
        settings.configure(**settings_for(server.url, str(Path(directory) / "runs.sqlite3")))
        site.set_app(get_wsgi_application())
        call_command("migrate", verbosity=0)
        address = f"http://{HOST}:{site.server_port}/"
        print(f"The chat is at {address} (Ctrl-C ends it)", file=out, flush=True)
        if open_page:
            webbrowser.open(address)
        site.serve_forever(poll_interval=0.1)


@contextlib.contextmanager
def bound_site(port: int) -> Iterator[ThreadedWSGIServer]:
    """Yield an HTTP server that listens on *port* and has no application yet; connections wait until it serves."""
    try:
        site = ThreadedWSGIServer((HOST, port), WSGIRequestHandler)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else "there is no such port"
        raise DevServerError(f"port {port} of {HOST} cannot be used: {reason}") from error
    with site:
        yield site


@contextlib.contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Within this block SIGTERM raises ``KeyboardInterrupt``, as Ctrl-C does, so that ``with`` blocks are left normally."""

    def interrupt(signum: int, frame: Optional[FrameType]) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
