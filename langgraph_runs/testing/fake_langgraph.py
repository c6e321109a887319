"""`FakeLangGraph`: a LangGraph server in memory, for tests.

It keeps threads, runs and events, and its responses are those of the real server, including the unexpected ones: ids that several
events share, replays that repeat events, failures with status 200. A `Dialect` makes it behave as other servers of the same API. A
run executes a function, its program; there are no graphs.
"""

from __future__ import annotations

import json
from typing import Any, Optional, Union
from urllib.parse import parse_qs, unquote

from .._public import name_public
from .dialect import Dialect
from .fake_resources import ResourceReplies, page_of
from .fake_run import FakeRun, Program
from .loopback_server import ReplySource, Request
from .replies import Reply, drop_before_answer, reply, reply_json, run_headers, sse
from .run_replies import NO_SUCH_RUN
from .scripted import matches
from .server_json import is_id, new_id, now

__all__ = ["FakeLangGraph"]

Query = dict[str, list[str]]

#: The state of a thread that no run has worked on.
_NO_STATE: dict[str, Any] = {
    "values": {},
    "next": [],
    "tasks": [],
    "metadata": {},
    "created_at": None,
    "checkpoint": None,
    "parent_checkpoint": None,
    "interrupts": [],
}


class FakeLangGraph(ResourceReplies):
    """A fake LangGraph server. Every run executes *program*, in an operating-system thread of its own.

    >>> from langgraph_runs import Client
    >>> with FakeLangGraph(lambda run: {"doubled": run.input["n"] * 2}) as server:
    ...     with Client(server.url) as client:
    ...         client.runs.wait(None, "agent", input={"n": 21})
    {'doubled': 42}
    """

    def __init__(self, program: Program, dialect: Optional[Dialect] = None, *, seed: Any = 0) -> None:
        #: Method, pattern of the path and reply for each call of `instead`.
        self._instead: list[tuple[str, list[str], Reply]] = []
        super().__init__(program, dialect, seed=seed)

    def instead(self, method: str, path: str, reply: Reply) -> None:
        """Send *reply* to the next request with this method and path, and do not process the request.

        ``*`` stands for one segment of the path: ``instead("GET", "/threads/*/runs", reply_json(503, {}))``. Several replies are
        sent in order.
        """
        with self._changed:
            self._instead.append((method, (self.dialect.prefix + path).split("/"), reply))

    def choose(self, method: str, path: str) -> ReplySource:
        """See `LoopbackServer`."""
        return self._reply_to

    def program_for(self, request: Request, body: dict[str, Any]) -> Union[Program, Reply]:
        """Return the program of the run that *request* starts, or the reply that refuses it."""
        return self.program

    def unknown(self, request: Request) -> Reply:
        """Return the reply to a request for which there is no endpoint."""
        return self.error(404, "Not Found")

    def _reply_to(self, request: Request) -> Reply:
        path = request.path
        with self._changed:
            for place, (method, pattern, reply_) in enumerate(self._instead):
                if request.method == method and matches(pattern, path.split("/")):
                    del self._instead[place]
                    return reply_
        prefix = self.dialect.prefix
        if not path.startswith(prefix):
            return self.error(404, "Not Found")
        parts = [unquote(part) for part in path[len(prefix) :].strip("/").split("/")]
        try:
            body = json.loads(request.body) if request.body else {}
        except ValueError:
            return self.error(422, "Invalid JSON in request body")
        with self._changed:
            return self._route(request, request.method, parts, body)

    def _route(self, request: Request, method: str, parts: list[str], body: Any) -> Reply:
        if parts[0] == "threads":
            return self._route_threads(request, method, parts[1:], body)
        if parts[0] == "runs" and method == "POST" and self.dialect.stateless:
            if parts[1:] == ["cancel"]:
                return self._cancel_many(request, body)
            if parts[1:] == ["batch"]:
                made = [self._create(request, None, one) for one in body]
                refused = [one for one in made if isinstance(one, Reply)]
                runs = [one for one in made if isinstance(one, FakeRun)]
                return refused[0] if refused else reply_json(200, [self.run_json(run) for run in runs])
            if parts[1:] in ([], ["wait"], ["stream"]):
                return self._create_and(request, None, parts[1:], body)
        if (method, parts) == ("GET", ["ok"]):
            return reply_json(200, {"ok": True, "services": {}})
        if (method, parts) == ("GET", ["info"]):
            return reply_json(
                200, {"version": "0.16.7", "langgraph_py_version": "1.2.22", "flags": {"assistants": True, "crons": True}}
            )
        found = None
        if parts[0] == "assistants":
            found = self.route_assistants(method, parts[1:], body)
        elif parts[:2] == ["runs", "crons"]:
            found = self.route_crons(method, parts[2:], body)
        elif parts[0] == "store":
            found = self.route_store(request, method, parts[1:], body)
        return found or self.unknown(request)

    # -- runs

    def _route_runs(self, request: Request, method: str, thread_id: str, rest: list[str], body: Any) -> Reply:
        if method == "POST" and rest in ([], ["wait"], ["stream"]):
            return self._create_and(request, thread_id, rest, body)
        if method == "GET" and not rest:
            if thread_id not in self.threads:
                return self._no_thread(thread_id)
            return reply_json(200, self._list(thread_id, parse_qs(request.query)))
        if rest and not is_id(rest[0]):
            return self.error(422, "Invalid run ID: must be a UUID")
        run = self.runs.get(rest[0]) if rest else None
        if run is not None and run.thread_id != thread_id:
            run = None
        action, query = (method, *rest[1:]), parse_qs(request.query)
        if action == ("GET", "stream"):
            if run is None:
                return self._unknown_run(sse(("error", NO_SUCH_RUN), newline=self.dialect.newline))
            modes = query.get("stream_mode", [None])[-1]
            return self._located(self.stream_reply(run, request.header("Last-Event-ID"), modes), run, "stream")
        if action == ("GET", "join"):
            if run is None:
                return self._unknown_run(reply_json(200, {"__error__": NO_SUCH_RUN}))
            return self._located(self.wait_reply(run), run, "join")
        if action == ("POST", "cancel"):
            if run is None or run.done:
                return self.error(404, "No matching runs to cancel." if run else "No runs found to cancel.")
            self.cancel_run(run, query.get("action", ["interrupt"])[-1])
            return reply_json(200, {}) if query.get("wait", ["0"])[-1] in ("1", "true") else reply(202)
        if action == ("GET",) and thread_id not in self.threads:
            return self._no_thread(thread_id)
        if run is None and action in (("GET",), ("DELETE",)):
            return self.error(404, "Not Found" if method == "GET" else "Run not found")
        if action == ("GET",) and run is not None:
            return reply_json(200, self.run_json(run))
        if action == ("DELETE",) and run is not None:
            del self.runs[run.run_id]
            return reply(204)
        return self.error(405, "Method Not Allowed")

    def _create_and(self, request: Request, thread_id: Optional[str], rest: list[str], body: Any) -> Reply:
        run = self._create(request, thread_id, body)
        if isinstance(run, Reply):
            return run
        if not run.answered:
            return drop_before_answer()
        then = rest[0] if rest else None
        if then is None:
            created = reply_json(200, self.run_json(run))
        elif then == "wait":
            created = self.wait_reply(run, body.get("on_disconnect"), fresh=True)
        else:
            created = self.stream_reply(run, fresh=True, on_disconnect=body.get("on_disconnect"))
        return self._located(created, run, "join" if then == "wait" else then)

    def _located(self, reply: Reply, run: FakeRun, then: Optional[str]) -> Reply:
        if self.dialect.locations:
            for name, value in run_headers(run.thread_id, run.run_id, then=then).items():
                reply = reply.with_header(name, value)
        return reply

    def _create(self, request: Request, thread_id: Optional[str], body: Any) -> Union[FakeRun, Reply]:
        if "assistant_id" not in body:
            return self.error(422, '"assistant_id" is a required property')
        if thread_id is not None and not is_id(thread_id):
            return self.error(422, "Invalid thread ID")
        if thread_id is not None and thread_id not in self.threads and body.get("if_not_exists") != "create":
            return self.error(404, "Thread or assistant not found.")
        busy = self.unfinished(thread_id) if thread_id is not None else []
        strategy = body.get("multitask_strategy", "enqueue")
        if busy and strategy == "reject":
            return self.error(
                409, "Thread is already running a task. Wait for it to finish or choose a different multitask strategy."
            )
        program = self.program_for(request, body)
        if isinstance(program, Reply):
            return program
        if strategy in ("interrupt", "rollback"):
            for other in busy:
                self.cancel_run(other, strategy)
        return self.begin(request, thread_id, body, program)

    def _cancel_many(self, request: Request, body: Any) -> Reply:
        action = parse_qs(request.query).get("action", ["interrupt"])[-1]
        if "status" in body:
            wanted = {"all": ("pending", "running")}.get(body["status"], (body["status"],))
            runs = [run for run in self.runs.values() if run.status in wanted]
        else:
            runs = [run for run in self.runs.values() if run.run_id in body.get("run_ids", ()) and not run.done]
        for run in runs:
            self.cancel_run(run, action)
        return reply(204) if runs else self.error(404, "No runs found to cancel.")

    def _list(self, thread_id: str, query: Query) -> list[Any]:
        runs = [run for run in self.runs.values() if run.thread_id == thread_id]
        if "status" in query:
            runs = [run for run in runs if run.status == query["status"][-1]]
        offset = int(query.get("offset", ["0"])[-1])
        page = runs[::-1][offset : offset + int(query.get("limit", ["10"])[-1])]
        select = query.get("select")
        whole = [self.run_json(run) for run in page]
        return [{k: v for k, v in run.items() if k in select} for run in whole] if select else whole

    def _unknown_run(self, as_data: Reply) -> Reply:
        return self.error(404, "Run not found") if self.dialect.honest_join else as_data

    # -- threads

    def _route_threads(self, request: Request, method: str, parts: list[str], body: Any) -> Reply:
        if method == "POST" and parts == ["search"]:
            return reply_json(200, page_of(self._found(body), body))
        if method == "POST" and parts == ["count"]:
            return reply_json(200, len(self._found(body)))
        if method == "POST" and parts == ["prune"]:
            return self._prune(body)
        if method == "POST" and not parts:
            return self._create_thread(body)
        if not parts:
            return self.error(405, "Method Not Allowed")
        thread_id = parts[0]
        if method == "POST" and parts[1:] == ["runs", "crons"]:
            return self.route_crons(method, [], body, thread_id) or self.unknown(request)
        if method == "GET" and parts[1:] == ["stream"]:
            modes = parse_qs(request.query).get("stream_modes", ["run_modes"])[-1]
            return self.thread_stream_reply(thread_id, modes.split(","), request.header("Last-Event-ID"))
        if len(parts) > 1 and parts[1] == "runs":
            return self._route_runs(request, method, thread_id, parts[2:], body)
        if not is_id(thread_id):
            return self.error(422, "Invalid thread ID: must be a UUID")
        if len(parts) > 1 and not self.dialect.history:
            return self.unknown(request)
        if thread_id not in self.threads:
            return self._no_thread(thread_id)
        return self._route_thread(request, method, thread_id, parts[1:], body)

    def _route_thread(self, request: Request, method: str, thread_id: str, rest: list[str], body: Any) -> Reply:
        thread, states = self.threads[thread_id], self.states.get(thread_id, [])
        action = (method, *rest)
        if action == ("GET",):
            return reply_json(200, thread)
        if action == ("DELETE",):
            del self.threads[thread_id]
            self.states.pop(thread_id, None)
            return reply(204)
        if action == ("PATCH",):
            thread.update(metadata={**thread["metadata"], **(body.get("metadata") or {})}, updated_at=now())
            return reply(204) if request.header("Prefer") == "return=minimal" else reply_json(200, thread)
        if action == ("POST", "copy"):
            copy = {**thread, "thread_id": new_id()}
            self.threads[copy["thread_id"]] = copy
            self.states[copy["thread_id"]] = list(states)
            return reply_json(200, copy)
        if action == ("GET", "state"):
            return reply_json(200, states[-1] if states else _NO_STATE)
        if action == ("POST", "state"):
            given = body.get("values") or {}
            state = self.write_state(thread_id, {**(thread["values"] or {}), **given}, source="update")
            place = {"thread_id": thread_id, "checkpoint_ns": "", "checkpoint_id": state["checkpoint_id"]}
            return reply_json(200, {"checkpoint": place, "configurable": place, "checkpoint_id": state["checkpoint_id"]})
        if action == ("POST", "history"):
            wanted = (body.get("metadata") or {}).items()
            found = [state for state in reversed(states) if wanted <= state["metadata"].items()]
            return reply_json(200, found[: body.get("limit", 10)])
        return self.unknown(request)

    def _create_thread(self, body: Any) -> Reply:
        thread_id = body.get("thread_id")
        if thread_id is not None and not is_id(thread_id):
            return self.error(422, "Invalid thread ID: must be a UUID")
        if thread_id is None or thread_id not in self.threads:
            return reply_json(200, self.add_thread(thread_id, metadata=body.get("metadata")))
        if body.get("if_exists") != "do_nothing":
            return self.error(409, f"Thread with ID {thread_id} already exists")
        return reply_json(200, self.threads[thread_id])

    def _found(self, body: Any) -> list[dict[str, Any]]:
        wanted, ids = (body.get("metadata") or {}).items(), body.get("ids")
        return [
            thread
            for thread in self.threads.values()
            if wanted <= thread["metadata"].items()
            and (ids is None or thread["thread_id"] in ids)
            and body.get("status") in (None, thread["status"])
            and (body.get("values") or {}).items() <= (thread["values"] or {}).items()
        ]

    def _prune(self, body: Any) -> Reply:
        if body.get("strategy", "delete") != "delete":
            return self.error(422, "keep_latest strategy is not supported in in-memory runtime")
        found = [thread_id for thread_id in body["thread_ids"] if self.threads.pop(thread_id, None) is not None]
        for thread_id in found:
            self.states.pop(thread_id, None)
        return reply_json(200, {"pruned_count": len(found)})

    def _no_thread(self, thread_id: str) -> Reply:
        return self.error(404, f"Thread with ID {thread_id} not found")


name_public("langgraph_runs.testing", [FakeLangGraph])
