"""Plain requests to a server, past every proxy and by no client: what is true about it, for tests that judge a client."""

from __future__ import annotations

import functools
import json
import urllib.error
import urllib.request
from typing import Any, Optional

from .. import waiting

__all__ = ["ask", "find_run", "new_thread", "runs_of", "wait_until"]

#: Seconds after which something that does not come true fails.
PATIENCE = 30.0
#: Statuses of a run that goes on.
UNFINISHED = ("pending", "running")

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(url: str, method: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data=data, method=method, headers={"Content-Type": "application/json"})
    with _OPENER.open(request, timeout=PATIENCE) as response:
        text = response.read()
    return json.loads(text) if text else None


def new_thread(url: str) -> str:
    return str(ask(url, "POST", "/threads", {})["thread_id"])


def runs_of(url: str, thread_id: str) -> list[dict[str, Any]]:
    """The runs of a thread; none if there is no such thread."""
    try:
        return list(ask(url, "GET", f"/threads/{thread_id}/runs?limit=1000"))
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:
            return []
        raise


def find_run(url: str, key: str) -> Optional[dict[str, Any]]:
    """The run whose input has this text as `k`, among the newest threads of each status: for runs on a thread of the client's."""
    for status in ("busy", "interrupted", "idle", "error"):
        for thread in ask(url, "POST", "/threads/search", {"status": status, "limit": 30}):
            for run in runs_of(url, thread["thread_id"]):
                # One of the servers keeps it beside `kwargs`, and that one keeps no metadata of a run. Others keep no input.
                given = run.get("input") or run.get("kwargs", {}).get("input") or thread.get("values")
                if isinstance(given, dict) and given.get("k") == key:
                    return run
    return None


wait_until = functools.partial(waiting.wait_until, seconds=PATIENCE, pause=0.05)
