"""`FakeRuns`: a fake server whose runs follow scripts, with assertions about the requests that it has received."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

from .. import Client, InvalidRequestError
from .._public import name_public
from ..markers import THREAD_USE, without_marker
from .dialect import Dialect
from .fake_langgraph import FakeLangGraph
from .fake_run import FakeRun, Program
from .loopback_server import Request
from .replies import Reply, reply_json
from .retry_policy import no_wait
from .scripted import matches
from .scripts import Script, check_json

__all__ = ["FakeRuns", "fake_server"]

#: The status of the response to an unexpected request: it says that nothing was done, so that no client looks for a run.
_UNSCRIPTED = 501
#: The timeout of the clients in seconds, so that a test fails instead of hanging.
_TIMEOUT = 20.0
#: The ends of the paths of POST requests that change nothing.
_READS = ("search", "history", "count", "versions", "namespaces")
_MISSING: Any = object()


@dataclass
class _ScriptSlot:
    """A script and the runs that it is for."""

    script: Union[Program, Reply]
    fields: dict[str, Any]
    repeat: bool
    used: bool = False

    def fits(self, body: dict[str, Any]) -> bool:
        return not (self.used and not self.repeat) and not _differing(self.fields, body)


class FakeRuns(FakeLangGraph):
    """A fake LangGraph server on a free port of this machine, whose runs do what the test's scripts say.

    >>> from langgraph_runs.testing import FakeRuns, fails, succeeds
    >>> with FakeRuns() as fake:
    ...     fake.script(succeeds({"answer": 42}))
    ...     client = fake.client()
    ...     client.runs.wait(None, "agent", input={"question": "6 x 7?"})
    ...     run = fake.assert_started(assistant_id="agent", input={"question": "6 x 7?"})
    {'answer': 42}

    Each run that is started takes the next script. The server keeps its threads and runs: they can be listed, read, joined,
    cancelled and deleted, and are consistent with one another. It uses HTTP on a real socket, so that a test covers the whole
    client. Tests can read `Request.headers`, which may contain a key; no message shows them.

    Leaving the block closes the clients and ends the runs. It raises `AssertionError` if a script was not used, or if a run was
    started for which there was no script, unless ``strict=False`` is given. With *dialect* it behaves as other servers do.
    """

    def __init__(self, *, strict: bool = True, dialect: Optional[Dialect] = None) -> None:
        self._strict = strict
        self._slots: list[_ScriptSlot] = []
        self._clients: list[Client] = []
        self._asserted: set[int] = set()
        super().__init__(_unplayable, dialect)

    # -- what runs do

    def script(self, *scripts: Union[Script, Program, Reply], repeat: bool = False, **fields: Any) -> None:
        """Add scripts for the next runs, in this order.

        A script is made by ``succeeds`` and the similar functions. It can also be a function of the `FakeRun`, which may read
        ``run.input`` and call ``run.emit("custom", data)``, and returns the final values; or a `Reply`, such as ``rate_limited()``,
        which refuses the request. With *fields*, such as ``assistant_id="agent"`` or ``thread_id=...``, the scripts are only for
        runs that are started with these fields. A run takes the first script that fits and was not used before; if there is none,
        the first one that fits and was added with *repeat*.
        """
        for one in scripts:
            if not callable(one) and not isinstance(one, Reply):
                raise InvalidRequestError(
                    f"script: {one!r} is not a script; give succeeds(...) or the like, a function, or a Reply"
                )
        with self._changed:
            self._slots += [_ScriptSlot(one, fields, repeat) for one in scripts]

    def start(self, script: Union[Script, Program], thread_id: Optional[str] = None, **body: Any) -> FakeRun:
        """Start a run from the test, as another client would; by default on a new thread."""
        with self._changed:
            if thread_id is None or thread_id not in self.threads:
                thread_id = str(self.add_thread(thread_id)["thread_id"])
            return self.begin(None, thread_id, {"assistant_id": "agent", **body}, script)

    def client(self, **options: Any) -> Client:
        """Return a client of this server, which is closed with the server. It repeats without waiting; its timeout is 20 seconds.

        *options* are those of `Client`. The environment has no effect: no key, proxy or URL is read from it.
        """
        direct = {"http": "", "https": ""}
        given = {"api_key": None, "retry": no_wait(), "timeout": _TIMEOUT, "proxies": direct, **options}
        client = Client(self.url, **given)
        self._clients.append(client)
        return client

    def program_for(self, request: Request, body: dict[str, Any]) -> Union[Program, Reply]:
        """See `FakeLangGraph`."""
        fields = {**body, "thread_id": None if _has_own_thread(body) else _thread_of(request, self.dialect.prefix)}
        fitting = [slot for slot in self._slots if slot.fits(fields)]
        slot = next((slot for slot in fitting if not slot.repeat), fitting[0] if fitting else None)
        if slot is not None:
            slot.used = True
            return slot.script
        left = [str(slot.script) for slot in self._slots if not slot.used]
        why = f"; the scripts left are for other runs: {', '.join(left)}" if left else "; give it one with fake.script(...)"
        shown = _shown_fields(fields, ("assistant_id", "thread_id", "input"))
        return self._unscripted(f"there is no script for a run with {shown}{why}")

    def unknown(self, request: Request) -> Reply:
        """See `FakeLangGraph`."""
        return self._unscripted(
            f"the fake server does not know {request.method} {request.path}; give a reply with fake.instead(...)"
        )

    def _unscripted(self, message: str) -> Reply:
        self.fail(message)
        return reply_json(_UNSCRIPTED, {"detail": message})

    def begin(self, request: Optional[Request], thread_id: Optional[str], body: dict[str, Any], program: Program) -> FakeRun:
        """See `RunStore`."""
        with self._changed:  # the run's thread waits for this lock, so that the fields are set before it begins
            run = super().begin(request, thread_id, body, program)
            if isinstance(program, Script):
                run.cuts, run.keeps_events, run.answered = iter(program.cuts), program.replayable, program.answered
            return run

    def log_event(self, run: FakeRun, name: str, data: Any) -> None:
        """See `RunStore`."""
        check_json(f"the data of {name!r}", data)
        super().log_event(run, name, data)

    # -- assertions

    @property
    def started(self) -> list[FakeRun]:
        """The runs that the code under test has started, in order."""
        with self._changed:
            return [run for run in self.created if run.request is not None]

    def assert_started(self, times: Optional[int] = None, **fields: Any) -> FakeRun:
        """Assert that a run was started with these *fields*, exactly *times* times if that is given; return the first such run.

        *fields* are fields of the request's body, such as ``assistant_id``, ``input``, ``command``, ``metadata`` or
        ``stream_mode``, and ``thread_id``, which is None if the caller gave none. Other fields may have any value.
        `unittest.mock.ANY` matches any value that was sent.
        """
        runs = self.started
        found = [run for run in runs if not _differing(fields, _request_of(run))]
        self._mark_asserted([run.request for run in found])
        if found and times in (None, len(found)):
            return found[0]
        count = "no run was" if not found else f"{_runs(len(found))}, not {times}, {'was' if len(found) == 1 else 'were'}"
        lines = [f"{count} started with {_shown_fields(fields, fields)}" if fields else f"{count} started"]
        for number, run in enumerate(runs, 1):
            other = _differing(fields, _request_of(run))
            request = run.request
            what = "; ".join(f"{name} was {_short(_request_of(run).get(name, _MISSING))}" for name in other) or "matches"
            lines.append(f"  {number}. {request.method if request else ''} {request.path if request else ''}: {what}")
        if not runs:
            lines.append("  no run was started at all" if fields else "  there was no request that starts one")
        raise AssertionError("\n".join(lines))

    def assert_not_started(self, **fields: Any) -> None:
        """Assert that no run was started with these *fields*; without *fields*, that no run was started."""
        found = [run for run in self.started if not _differing(fields, _request_of(run))]
        if found:
            shown = _shown_fields(_request_of(found[0]), ("assistant_id", "thread_id", "input"))
            raise AssertionError(f"{_runs(len(found))} started that should not have been; the first with {shown}")

    def wait_started(self, count: int = 1, timeout: float = _TIMEOUT) -> list[FakeRun]:
        """Block until *count* runs were started, by other threads; return them. Raise AssertionError after *timeout* seconds."""
        self.wait_until(lambda: sum(run.request is not None for run in self.created) >= count, f"{_runs(count)} to start", timeout)
        return self.started

    def assert_cancelled(self, run: Optional[FakeRun] = None, *, action: Optional[str] = None) -> None:
        """Assert that *run*, or any run, was cancelled; with *action*, by ``interrupt`` or by ``rollback``.

        A run is cancelled by a request, by the ``multitask_strategy`` of a later run, or by ``on_disconnect="cancel"``.
        """
        runs = [run] if run is not None else self.created
        cancelled = [one for one in runs if one.cancelled_by is not None]
        if not cancelled:
            ended = ", ".join(f"{one.run_id}: {one.status}" for one in runs) or "there are none"
            raise AssertionError(f"no run was cancelled; the runs: {ended}")
        if action is not None and action not in [one.cancelled_by for one in cancelled]:
            raise AssertionError(f"no run was cancelled by {action!r}, but by {cancelled[0].cancelled_by!r}")
        paths = {f"{one.run_id}/cancel" for one in cancelled} | {"runs/cancel"}
        self._mark_asserted([request for request in self.requests if "/".join(request.path.split("/")[-2:]) in paths])

    def assert_requested(self, method: str, path: str, *, json: Any = _MISSING, times: Optional[int] = None) -> Request:
        """Assert that there was such a request, with this body if *json* is given; return the first.

        ``*`` in the path stands for one segment: ``assert_requested("DELETE", "/threads/*")``.
        """
        pattern, found = (self.dialect.prefix + path).split("/"), []
        for request in self.requests:
            fits = request.method == method and matches(pattern, request.path.split("/"))
            if fits and (json is _MISSING or _body(request) == json):
                found.append(request)
        self._mark_asserted(found)
        if found and times in (None, len(found)):
            return found[0]
        with_body = "" if json is _MISSING else f" with {_short(json)}"
        count = "no request" if not found else f"{len(found)} requests, not {times},"
        lines = [f"{count} {method} {path}{with_body}; there were:", *(f"  {line}" for line in map(_line, self.requests))]
        raise AssertionError("\n".join(lines if self.requests else [f"{lines[0]} none"]))

    def assert_no_more_requests(self) -> None:
        """Assert that all requests that start, change or end something were matched by an assertion before this one.

        Requests that only read do not count, since a client reads how its runs ended. Neither do those with which a client deletes
        the threads of its runs without a *thread_id*.
        """
        own = {f"{self.dialect.prefix}/threads/{run.thread_id}" for run in self.started if _has_own_thread(run.body)}
        left = [r for r in self.requests if id(r) not in self._asserted and _changes(r) and r.path not in own]
        if left:
            raise AssertionError("\n".join(["requests that no assertion has matched:", *(f"  {_line(r)}" for r in left)]))

    def check(self) -> None:
        """Raise `AssertionError` if a script was not used, or if a run had no script; as at the end of the block."""
        with self._changed:
            problems = list(dict.fromkeys(self.failures))
            problems += [f"a script was not used: {slot.script}" for slot in self._slots if not slot.used and not slot.repeat]
        if problems:
            raise AssertionError("\n".join(problems))

    def close(self) -> None:
        """Close the clients and the server."""
        for client in self._clients:
            client.close()
        super().close()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.close()
        if kind is None and self._strict:
            self.check()

    def _mark_asserted(self, requests: Sequence[Optional[Request]]) -> None:
        self._asserted.update(id(request) for request in requests)


def fake_server(*, strict: bool = True, dialect: Optional[Dialect] = None) -> FakeRuns:
    """Return a `FakeRuns`, for a ``with`` statement: ``with fake_server() as fake: ...``

    >>> with fake_server() as fake:
    ...     fake.client().ok()
    True
    """
    return FakeRuns(strict=strict, dialect=dialect)


def _unplayable(run: FakeRun) -> Any:
    raise AssertionError("a run without a script")  # every run gets one in `program_for`


def _thread_of(request: Request, prefix: str) -> Optional[str]:
    parts = request.path[len(prefix) :].strip("/").split("/")
    return parts[1] if parts[0] == "threads" and len(parts) > 1 else None


def _request_of(run: FakeRun) -> dict[str, Any]:
    return {**without_marker(run.body), "thread_id": None if run.temporary or _has_own_thread(run.body) else run.thread_id}


def _has_own_thread(body: dict[str, Any]) -> bool:
    """Return True if the caller of the client named no thread, so that the client chose one."""
    metadata = body.get("metadata")
    return isinstance(metadata, dict) and THREAD_USE in metadata


def _differing(fields: dict[str, Any], sent: dict[str, Any]) -> list[str]:
    return [name for name, value in fields.items() if not _same(value, sent.get(name, _MISSING))]


def _same(expected: Any, given: Any) -> bool:
    if given is _MISSING:
        return expected is None
    # a single stream mode is sent as text or as a list
    return bool(expected == given) or (isinstance(expected, str) and given == [expected])


def _shown_fields(fields: dict[str, Any], names: Any) -> str:
    return ", ".join(f"{name}={_short(fields[name])}" for name in names if name in fields) or "nothing"


def _short(value: Any) -> str:
    if value is _MISSING:
        return "not sent"
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}... ({len(text)} characters)"


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def _body(request: Request) -> Any:
    try:
        return request.json()
    except ValueError:
        return _MISSING


def _line(request: Request) -> str:
    body = request.body.decode("utf-8", "replace")
    return f"{request.method} {request.target} {body if len(body) <= 200 else body[:200] + '...'}".rstrip()


def _changes(request: Request) -> bool:
    return request.method != "GET" and request.path.rstrip("/").rpartition("/")[2] not in _READS


name_public("langgraph_runs.testing", [FakeRuns])
