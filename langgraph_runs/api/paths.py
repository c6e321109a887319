"""The paths of the API, and the ids and paths in the headers of its responses. Works on text alone."""

from __future__ import annotations

import re
import urllib.parse
from typing import Mapping, NamedTuple, Optional

from ..call import raise_foreign
from ..http import path_segment

__all__ = ["RunIds", "has_dots", "ids_from", "local_path", "run_path", "runs_path", "thread_path"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_RUN = re.compile(r"(?:/threads/(?P<thread>[^/?#,\s]+))?/runs/(?P<run>[^/?#,\s]+)")
_DOTS = re.compile(r"(?:/|\A)(?:\.|%2e){1,2}(?:/|\Z)", re.IGNORECASE)
_NOT_A_RUN = frozenset({"wait", "stream", "batch", "cancel"})


def thread_path(thread_id: str, *rest: str) -> str:
    """Return ``/threads/x``, or a path below it.

    >>> thread_path("a/b", "state")
    '/threads/a%2Fb/state'
    """
    return "/".join(("/threads", path_segment(thread_id), *rest))


def runs_path(thread_id: Optional[str], *rest: str) -> str:
    """Return the path of the runs of a thread, or that of stateless runs if *thread_id* is None."""
    return "/".join(("/runs", *rest)) if thread_id is None else thread_path(thread_id, "runs", *rest)


def run_path(thread_id: Optional[str], run_id: str, *rest: str) -> str:
    """Return the path of a run; if *thread_id* is None, that without a thread, which few servers have."""
    return runs_path(thread_id, path_segment(run_id), *rest)


class RunIds(NamedTuple):
    """The ids in the headers of a response."""

    run_id: Optional[str]
    thread_id: Optional[str]


def ids_from(headers: Mapping[str, str]) -> RunIds:
    """Return the ids of the run and the thread in ``Content-Location`` and ``Location``. An id that neither has is None.

    A header that came twice, once from a gateway, and so names two runs, names none.

    >>> ids_from({"content-location": "/runs/r1", "location": "/threads/t1/runs/r1/join"})
    RunIds(run_id='r1', thread_id='t1')
    """
    run_id = thread_id = None
    for name in ("content-location", "location"):
        found = () if run_id and thread_id else {match.groups() for match in _RUN.finditer(headers.get(name, ""))}
        thread, run = next(iter(found)) if len(found) == 1 else (None, None)
        if run is None or run in _NOT_A_RUN:
            continue
        run_id = run_id or urllib.parse.unquote(run)
        if thread:
            thread_id = thread_id or urllib.parse.unquote(thread)
    return RunIds(run_id, thread_id)


def has_dots(path: str) -> bool:
    """Return True if a part of *path* is ``.`` or ``..``, encoded or not, which leads to another path.

    >>> has_dots("/threads/..%2Fx"), has_dots("/threads/%2E./x"), has_dots("/threads/...")
    (False, True, False)
    """
    return _DOTS.search(path) is not None


def local_path(location: Optional[str], base_url: str) -> Optional[str]:
    """Return the path of a ``Location`` below *base_url*, or None if it leads, or could lead, to another server.

    A ``Location`` without a host is below the base URL: the Python server leaves its mount prefix out of the header.

    >>> local_path("/threads/t/runs/r/stream", "http://h/api")
    '/threads/t/runs/r/stream'
    >>> local_path("//evil/threads", "http://h"), local_path("http://h@evil/x", "http://h"), local_path("/..", "http://h")
    (None, None, None)
    """
    if not location or not location.isascii() or re.search(r"[\\\s\x00-\x1f\x7f]", location):
        return None
    base = urllib.parse.urlsplit(base_url)
    try:
        target = urllib.parse.urlsplit(location)
        if target.scheme or target.netloc:
            if "@" in target.netloc or not _same_origin(target, base):
                return None
        elif not location.startswith("/") or location.startswith("//"):
            return None
    except ValueError as error:
        raise_foreign(error)
        return None
    path = target.path
    if not path.startswith("/") or path.startswith("//"):
        return None
    if has_dots(path):
        return None
    prefix = base.path.rstrip("/")
    return path[len(prefix) :] if prefix and path.startswith(prefix + "/") else path


def _same_origin(one: urllib.parse.SplitResult, other: urllib.parse.SplitResult) -> bool:
    def origin(parts: urllib.parse.SplitResult) -> object:
        scheme = parts.scheme.lower()
        port = parts.port
        return scheme, (parts.hostname or "").lower(), _DEFAULT_PORTS.get(scheme) if port is None else port

    return origin(one) == origin(other)
