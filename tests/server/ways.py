"""The three ways to start a run, with one face, so that a test of an option is written once and holds for all."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Iterator
from typing import Any, Callable

import attrs

from langgraph_runs import Client, Run

#: Seconds that a run may take before the test fails instead of hanging.
PATIENCE = 30.0


@attrs.frozen
class Ended:
    """A run that was started and has ended, or the part of it that was asked for."""

    values: Any
    run_id: str
    thread_id: str


class Way:
    """One of create (and join), wait and stream. Calling it starts a run and returns when it has ended."""

    def __init__(self, call: str, client: Client) -> None:
        self.call = call
        self.client = client
        self._pool = concurrent.futures.ThreadPoolExecutor()

    def __call__(self, thread_id: str, assistant_id: str, *payload: Any, **options: Any) -> Ended:
        seen: dict[str, Any] = {}
        told = options.pop("on_run_created", None)

        def note(created: Any) -> None:
            seen.update(created)
            if told is not None:
                told(created)

        runs = self.client.runs
        options = {"timeout": PATIENCE, **options, "on_run_created": note}
        if self.call == "create":
            run = runs.create(thread_id, assistant_id, *payload, **options)
            values = runs.join(run.thread_id, run.run_id, timeout=options["timeout"])
        elif self.call == "wait":
            values = runs.wait(thread_id, assistant_id, *payload, **options)
        else:
            with runs.stream(thread_id, assistant_id, *payload, **options) as stream:
                for _ in stream:
                    pass
                values = stream.values
        assert thread_id == seen["thread_id"]
        return Ended(values, seen["run_id"], thread_id)

    def run(self, ended: Ended) -> Run:
        """The run as the server tells it."""
        return self.client.runs.get(ended.thread_id, ended.run_id)

    def begin(self, thread_id: str, assistant_id: str, *payload: Any, **options: Any) -> Begun:
        """Start a run and return as soon as it exists; what comes of it is in the future."""
        exists = threading.Event()
        ids: dict[str, Any] = {}

        def note(found: Any) -> None:
            ids.update(found)
            exists.set()

        future = self._pool.submit(self, thread_id, assistant_id, *payload, **{**options, "on_run_created": note})
        future.add_done_callback(lambda _: exists.set())
        assert exists.wait(PATIENCE), "the run was not created"
        if not ids:
            future.result()
        return Begun(ids["run_id"], thread_id, future)

    def begin_alone(self, assistant_id: str, **options: Any) -> Callable[[], Any]:
        """Start a run on no thread and return as soon as it exists; what is returned waits for its end."""
        runs = self.client.runs
        if self.call == "create":
            runs.create(None, assistant_id, **options)
            return lambda: None
        if self.call == "stream":
            stream = runs.stream(None, assistant_id, timeout=PATIENCE, **options)
            return lambda: list(stream)
        exists = threading.Event()
        options = {**options, "timeout": PATIENCE, "on_run_created": lambda _: exists.set()}
        future = self._pool.submit(lambda: runs.wait(None, assistant_id, **options))
        assert exists.wait(PATIENCE), "the run was not created"
        return lambda: future.result(PATIENCE)

    def close(self) -> None:
        self._pool.shutdown()


@attrs.frozen
class Begun:
    run_id: str
    thread_id: str
    future: concurrent.futures.Future[Ended]

    def values(self) -> Any:
        """The final values; raises what the call raised."""
        return self.future.result(PATIENCE).values


def replay(client: Client, ended: Ended) -> Iterator[Any]:
    """The events that the server has kept of a resumable run."""
    with client.runs.join_stream(ended.thread_id, ended.run_id, last_event_id="0", timeout=PATIENCE) as stream:
        yield from stream
