"""Starts the LangGraph server with the chat's graph and the Django site in front of it, until somebody ends it."""

from __future__ import annotations

import contextlib
import signal
import webbrowser
from pathlib import Path
from types import FrameType
from typing import Iterator, Optional, TextIO

from django.conf import settings
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application

from ...devserver import DevServer, DevServerError
from .settings import settings_for

__all__ = ["run"]

GRAPHS = {"chat": str(Path(__file__).with_name("graph.py")) + ":graph"}
#: Only this machine can connect.
HOST = "127.0.0.1"


def run(out: TextIO, *, port: int = 0, open_page: bool = False, log: Optional[str] = None) -> None:
    """Serve the chat on *port* (0: a free one), tell its address on *out*, and block until Ctrl-C or SIGTERM.

    Nothing is left behind then: the server has ended, and its directory is removed. Raises `DevServerError` where the port is in
    use or the LangGraph server cannot be had, and ``KeyboardInterrupt`` at its end. Once in a process, and in its main thread.
    """
    # The port first, since it may be taken. Django's own server: one thread for each connection, each piece flushed.
    with sigterm_unwinds(), listening(port) as site, DevServer(GRAPHS, log=log) as server:
        settings.configure(**settings_for(server.url))
        site.set_app(get_wsgi_application())
        address = f"http://{HOST}:{site.server_port}/"
        print(f"The chat is at {address} (Ctrl-C ends it)", file=out, flush=True)
        if open_page:
            webbrowser.open(address)
        site.serve_forever(poll_interval=0.1)


@contextlib.contextmanager
def listening(port: int) -> Iterator[ThreadedWSGIServer]:
    """The site's socket, before there is a site; who connects already waits."""
    try:
        site = ThreadedWSGIServer((HOST, port), WSGIRequestHandler)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else "there is no such port"
        raise DevServerError(f"port {port} of {HOST} cannot be used: {reason}") from error
    with site:
        yield site


@contextlib.contextmanager
def sigterm_unwinds() -> Iterator[None]:
    """SIGTERM is like Ctrl-C: an exception, so that all is put away."""

    def end(signum: int, frame: Optional[FrameType]) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
