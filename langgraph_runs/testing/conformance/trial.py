"""`Trial`: what one check may use: clients with a time limit, threads that are deleted afterwards, plain requests."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import urllib.parse
import uuid
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from ... import APIStatusError, Client, LangGraphRunsError, NotFoundError, RetryPolicy, Run
from ...http import Request
from ..cutting_proxy import CuttingProxy
from .results import Graph, Graphs

__all__ = ["METADATA", "Clients", "PlainResponse", "Trial"]

#: The metadata of each thread that a check creates, by which a search finds those that a killed program left behind.
METADATA = {"langgraph_runs_conformance": "thread of a check"}
#: Seconds in which a create that was ended early may still reach the server.
_ARRIVAL = 1.0
#: Seconds for deleting the threads of one check.
CLEANUP_LIMIT = 10.0
#: Repeats quickly, since a check that breaks a connection waits for the repeat.
_QUICK = RetryPolicy(attempts=8, wait_initial=0.05, wait_max=0.5, budget=None)


class PlainResponse(NamedTuple):
    """A response of the server to a request that the client sends once, without a look at what it means."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The body as JSON, or None if it is not JSON."""
        try:
            return json.loads(self.text)
        except ValueError:
            return None


class Clients:
    """The clients that the checks use: copies of the caller's, so that closing them ends the checks and not the caller's calls."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._open: List[Client] = []
        self._lock = threading.Lock()
        self._closed = False
        self.base_url = client.base_url
        #: The client of all checks, with its own connections.
        self.checking = self.another()
        #: The caller's client, for deleting threads after the checks were ended.
        self.cleaning = client

    def another(self, **settings: Any) -> Client:
        """Return a client that is made as the caller's was, except for *settings*; `close` closes it."""
        state = self._client.__getstate__()
        client = Client(**{**state["made_with"], **state["settings"], "retry": _QUICK, **settings})
        with self._lock:
            self._open.append(client)
            if self._closed:
                client.close()
        return client

    def headers(self, **added: str) -> Dict[str, str]:
        """Return the headers that the caller's client adds to each request, and *added*."""
        return {**(self._client.__getstate__()["settings"]["headers"] or {}), **added}

    def close(self) -> None:
        """End the calls of all checks at once; each raises `AbortedError`."""
        with self._lock:
            self._closed = True
            for client in self._open:
                client.close()

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Trial:
    """What one check may use. `clean_up` deletes the threads that it created."""

    def __init__(self, clients: Clients, graphs: Graphs, *, limit: float) -> None:
        self._clients = clients
        self._client = clients.checking
        self._end = time.monotonic() + limit
        self._threads: List[str] = []
        #: Threads whose create has no response yet.
        self._unconfirmed: Set[str] = set()
        self.graphs = graphs

    @property
    def left(self) -> float:
        """The seconds that the check may still take, at least a little."""
        return max(0.05, self._end - time.monotonic())

    @property
    def client(self) -> Client:
        """The caller's client, each of whose calls ends at the latest when the time of the check is over."""
        return self._client.with_options(timeout=self.left, stream_timeout=self.left, retry=_QUICK)

    @property
    def main(self) -> Graph:
        return self.graphs.main

    def graph(self, name: str) -> Graph:
        """Return a graph that the check declares as needed."""
        found: Optional[Graph] = getattr(self.graphs, name)
        if found is None:
            raise LookupError(f"the check does not declare that it needs the graph {name!r}")
        return found

    def thread(self) -> str:
        """Create a thread and return its id."""
        # The id is noted first, so that the thread is deleted also if the check is ended before the response has come.
        thread_id = self.note_thread(str(uuid.uuid4()))
        self._unconfirmed.add(thread_id)
        created = self.client.threads.create(thread_id=thread_id, metadata=METADATA, if_exists="do_nothing").thread_id
        if created == thread_id:
            self._unconfirmed.remove(thread_id)
            return thread_id
        return self.note_thread(created)

    def note_thread(self, thread_id: str) -> str:
        """Have a thread deleted after the check."""
        self._threads.append(thread_id)
        return thread_id

    def note_run(self, ids: Mapping[str, Any]) -> None:
        """Have the thread of a run deleted after the check; for ``on_run_created``."""
        if ids.get("thread_id"):
            self.note_thread(ids["thread_id"])

    def create(self, thread_id: Optional[str], graph: Graph, **options: Any) -> Run:
        """Create a run of *graph*."""
        return self.client.runs.create(thread_id, graph.assistant_id, input=graph.input, **options)

    def until(self, condition: Callable[[], object], seconds: float) -> bool:
        """Block until the condition holds, at most some seconds; return False if it does not."""
        end = min(time.monotonic() + seconds, self._end)
        while not condition():
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True

    # -- plain requests

    def plain(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Sequence[Tuple[str, Any]] = (),
        headers: Optional[Mapping[str, str]] = None,
    ) -> PlainResponse:
        """Send one request, without a repeat, and return the response whatever its status."""
        request = Request(
            method=method,
            path=path,
            query=query,
            body=None if body is None else json.dumps(body).encode(),
            headers=dict(headers or {}),
            accept="*/*",
        )
        transport = self._client._transport
        with transport.scope(timeout=self.left) as scope:
            try:
                response = transport.send(request, scope)
            except APIStatusError as error:
                text = error.body if isinstance(error.body, str) else json.dumps(error.body)
                return PlainResponse(error.status_code, dict(error.headers), text)
        return PlainResponse(response.status, response.headers, response.body.decode("utf-8", "replace"))

    def plain_start(self, kind: str, thread_id: Optional[str], graph: Graph, **fields: Any) -> PlainResponse:
        """Start a run by a plain request; *kind* is ``wait``, ``stream``, or "" for a create."""
        path = "/".join(filter(None, ["/threads/" + thread_id if thread_id else "", "runs", kind]))
        body = {"assistant_id": graph.assistant_id, "input": graph.input, **fields}
        return self.plain("POST", path if thread_id else "/" + path, body)

    def runs_of(self, thread_id: str) -> List[Dict[str, Any]]:
        """Return the runs of a thread as the server lists them, in one page."""
        listed = self.plain("GET", f"/threads/{thread_id}/runs", query=[("limit", 100), ("offset", 0)]).json
        return [run for run in listed if isinstance(run, dict)] if isinstance(listed, list) else []

    # -- broken connections

    @contextlib.contextmanager
    def cutting(self, **options: Any) -> Iterator[Tuple[CuttingProxy, Client]]:
        """Yield a proxy in front of the server that breaks connections, and a client that uses it."""
        parts = urllib.parse.urlsplit(self._client.base_url)
        with CuttingProxy(f"http://{parts.hostname}:{parts.port or 80}") as proxy:
            options.update(timeout=self.left, stream_timeout=self.left, headers=self._clients.headers(Host=parts.netloc))
            with self._clients.another(url=proxy.url + parts.path, **options) as client:
                yield proxy, client

    # -- afterwards

    def clean_up(self) -> List[str]:
        """Cancel what still runs on the threads of this check, and delete them. Return the ids of those that remain."""
        end = time.monotonic() + CLEANUP_LIMIT
        remaining = []
        for thread_id in self._threads:
            client = self._clients.cleaning.with_options(timeout=max(0.5, end - time.monotonic()), retry=_QUICK)
            try:
                self._delete(client, thread_id)
            except LangGraphRunsError:
                remaining.append(thread_id)
        self._threads.clear()
        return remaining

    def _delete(self, client: Client, thread_id: str) -> None:
        end = time.monotonic() + (_ARRIVAL if thread_id in self._unconfirmed else 0)
        while True:
            with contextlib.suppress(NotFoundError):
                self._cancel_active(client, thread_id)
                client.threads.delete(thread_id)
                return
            if time.monotonic() >= end:
                return
            time.sleep(0.1)

    def _cancel_active(self, client: Client, thread_id: str) -> None:
        for run in client.runs.list(thread_id, limit=100):
            if not run.finished:
                with contextlib.suppress(APIStatusError):  # it has ended meanwhile
                    client.runs.cancel(thread_id, run.run_id, wait=True)
