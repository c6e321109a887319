"""The replies of a fake LangGraph server that last as long as a run: event streams with replay, and ``wait``."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Callable, Optional, Union

from ..streaming import mode_of
from .fake_run import FakeRun, LoggedEvent
from .replies import Break, Item, Reply, chunked, event, heartbeat, sse
from .run_store import RunStore

__all__ = ["NO_SUCH_RUN", "RunReplies"]

#: The error in a response with status 200 for a run that does not exist.
NO_SUCH_RUN = {"error": "HTTPException", "message": "404: Run not found"}


class RunReplies(RunStore):
    """A store of runs that makes the replies to ``stream``, ``wait`` and ``join``."""

    def stream_reply(
        self,
        run: FakeRun,
        last_event_id: Optional[str] = None,
        modes: Optional[str] = None,
        *,
        fresh: bool = False,
        on_disconnect: Optional[str] = None,
    ) -> Reply:
        """Return a stream of a run's events: all for the request that created the run (*fresh*), else those after *last_event_id*.

        Without *last_event_id*, a request that did not create the run gets new events only.
        """
        only = None if modes is None else json.loads(modes) if modes.startswith("[") else [modes]
        cut = next(run.cuts, None)
        if cut is None:
            run.uncut.set()
        count, how = cut or next(self.cuts, (-1, ""))
        # earlier events are sent only to the request that created the run, or after a Last-Event-ID
        start = 0 if fresh else len(run.log)

        def items() -> Iterator[Item]:
            left = count
            for one in self._events_for(run, start, last_event_id, on_disconnect):
                if left == 0:
                    if how != "end":
                        yield Break(how)
                    return
                if not isinstance(one, LoggedEvent):
                    yield one
                elif only is None or mode_of(one.name) in only:
                    left -= 1
                    yield event(one.name, one.data, one.id, newline=self.dialect.newline)

        return replace(sse(), story="stream", items=items)

    def _events_for(
        self, run: FakeRun, start: int, last_id: Optional[str], on_disconnect: Optional[str]
    ) -> Iterator[Union[LoggedEvent, bytes, None]]:
        """Yield the events for one connection: the kept ones after `last_id`, then new ones, from `start` or after those."""
        if last_id is not None and last_id.strip():
            with self._changed:
                log, running = list(run.log), not run.done
            yield from (one for one in self._after(log, last_id) if one.kept)
            # the real server subscribes before it replays, and so repeats events that were emitted meanwhile
            start = max(0, len(log) - (self.dialect.overlap if running else 0))

        with self._changed:
            self.listeners += 1
            self._changed.notify_all()

        def has_news() -> bool:
            return len(run.log) > start or self.is_over(run)

        for beat in self._until(run, has_news, on_disconnect):
            if beat is not None:
                yield heartbeat(self.dialect.newline)
            with self._changed:
                new, over = run.log[start:], self.is_over(run)
            start += len(new)
            yield from new
            if over and not new:
                break
            yield None
        if not run.done:
            yield LoggedEvent("error", NO_SUCH_RUN, None, False)

    def thread_stream_reply(self, thread_id: str, modes: list[str], last_event_id: Optional[str] = None) -> Reply:
        """Return a stream of the events of all runs of a thread, which does not end; after *last_event_id*, if it is given.

        Every event has an id, also those that are not kept.
        """

        def wanted(name: str) -> bool:
            return "run_modes" in modes or ("lifecycle" in modes and name == "metadata")

        def items() -> Iterator[Item]:
            with self._changed:
                runs = [run for run in self.created if run.thread_id == thread_id]
                read = {run.run_id: len(run.log) for run in runs}
                over = {run.run_id for run in runs if self.is_over(run)}
                kept = (
                    [one for run in runs for one in self._after(run.log, last_event_id or "") if one.kept] if last_event_id else []
                )
                self.listeners += 1
                self._changed.notify_all()
            for one in kept:
                if wanted(one.name):
                    yield event(one.name, one.data, one.id, newline=self.dialect.newline)
            beat = time.monotonic()
            while True:
                with self._changed:
                    self._changed.wait(0.02)
                    news = list(self._news_of(thread_id, read, over))
                for name, data, event_id in news:
                    if wanted(name):
                        yield event(name, data, event_id, newline=self.dialect.newline)
                if self.dialect.heartbeat is not None and time.monotonic() - beat >= self.dialect.heartbeat:
                    beat = time.monotonic()
                    yield heartbeat(self.dialect.newline)
                yield None

        return replace(sse(), story="thread stream", items=items)

    def _news_of(self, thread_id: str, read: dict[str, int], over: set[str]) -> Iterator[tuple[str, Any, str]]:
        """Yield the new events of a thread's runs, and the end of each. *read* and *over* say which are known, and are changed."""
        for run in self.created:
            if run.thread_id != thread_id or run.run_id in over:
                continue
            new = run.log[read.get(run.run_id, 0) :]
            read[run.run_id] = read.get(run.run_id, 0) + len(new)
            for one in new:
                yield one.name, one.data, one.id or self._next_id()
            if self.is_over(run):
                over.add(run.run_id)
                yield "metadata", {"status": "run_done", "run_id": run.run_id}, self._next_id()

    def wait_reply(self, run: FakeRun, on_disconnect: Optional[str] = None, *, fresh: bool = False) -> Reply:
        """Return a reply with the values of a run, sent when it has ended.

        A request that joins a run which has ended already gets the values of the thread, whichever run wrote them.
        """
        late = run.done and not fresh
        cut = None if late else next(run.cuts, None)
        if cut is None or cut[1] == "end":
            run.uncut.set()

        def items() -> Iterator[Item]:
            if cut is not None and cut[1] != "end":
                yield "\n"
                yield Break(cut[1])
            for beat in self._until(run, lambda: self.is_over(run), on_disconnect):
                yield beat
                if self.is_over(run):
                    break
            value = self._state_of_thread(run) if late else self._result(run)
            yield json.dumps({} if self.dialect.empty_wait else value, ensure_ascii=False)

        return replace(chunked(), story="wait", items=items)

    def _result(self, run: FakeRun) -> Any:
        if not run.done:
            return {"__error__": NO_SUCH_RUN}
        if run.ended:
            return run.result
        return {} if run.values is None else run.values

    def _state_of_thread(self, run: FakeRun) -> Any:
        thread = self.threads.get(run.thread_id)
        if thread is None:
            return {"__error__": NO_SUCH_RUN}
        error = thread.get("error")
        if error and thread["status"] == "error":
            return {"__error__": error}
        interrupts = [one for several in thread.get("interrupts", {}).values() for one in several]
        return {"__interrupt__": interrupts} if interrupts else thread["values"]

    def _until(self, run: FakeRun, condition: Callable[[], bool], on_disconnect: Optional[str]) -> Iterator[Optional[bytes]]:
        """Yield whenever `condition` may be true: a newline if a heartbeat is due, else None.

        Never ends by itself. If the client disconnects, the run is cancelled if `on_disconnect` is ``cancel``.
        """
        beat = time.monotonic()
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(condition, 0.02)
                due = self.dialect.heartbeat is not None and time.monotonic() - beat >= self.dialect.heartbeat
                beat = time.monotonic() if due else beat
                yield b"\n" if due else None
        finally:
            if on_disconnect == "cancel":
                self.cancel_run(run)

    def _after(self, log: list[LoggedEvent], last_id: str) -> list[LoggedEvent]:
        if self.dialect.ids == "ms":
            return [one for one in log if one.id is not None and one.id > last_id]
        ids = [one.id for one in log]
        return log[ids.index(last_id) + 1 :] if last_id in ids else log
