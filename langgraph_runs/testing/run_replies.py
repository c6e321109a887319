"""How a fake LangGraph server answers those who listen to a run: event streams with replay, and waits. Knows no path."""

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

__all__ = ["NO_SUCH_RUN", "Listening"]

#: What is said within an answer of status 200 of a run that is not there.
NO_SUCH_RUN = {"error": "HTTPException", "message": "404: Run not found"}


class Listening(RunStore):
    """A store with ears."""

    def stream_reply(
        self,
        run: FakeRun,
        last_event_id: Optional[str] = None,
        modes: Optional[str] = None,
        *,
        fresh: bool = False,
        on_disconnect: Optional[str] = None,
    ) -> Reply:
        """The events of a run: to who has made it (*fresh*) all of them, to who joins those after *last_event_id*, or from now."""
        only = None if modes is None else json.loads(modes) if modes.startswith("[") else [modes]
        cut = next(run.cuts, None)
        if cut is None:
            run.uncut.set()
        count, how = cut or next(self.cuts, (-1, ""))
        # what was emitted until now is only told to who asks for it, and to who made the run
        start = 0 if fresh else len(run.log)

        def items() -> Iterator[Item]:
            left = count
            for one in self._listen(run, start, last_event_id, on_disconnect):
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

    def _listen(
        self, run: FakeRun, start: int, last_id: Optional[str], on_disconnect: Optional[str]
    ) -> Iterator[Union[LoggedEvent, bytes, None]]:
        """What one listener hears: kept events after `last_id`, then all that come, from `start` or from there."""
        if last_id is not None and last_id.strip():
            with self._changed:
                log, running = list(run.log), not run.done
            yield from (one for one in self._after(log, last_id) if one.kept)
            # the real server listens before it replays, and so repeats what came meanwhile
            start = max(0, len(log) - (self.dialect.overlap if running else 0))

        with self._changed:
            self.listeners += 1
            self._changed.notify_all()

        def news() -> bool:
            return len(run.log) > start or self.is_over(run)

        for beat in self._until(run, news, on_disconnect):
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

    def wait_reply(self, run: FakeRun, on_disconnect: Optional[str] = None, *, fresh: bool = False) -> Reply:
        """The values of a run, once it has ended. Who joins after that gets those of the thread, whichever run made them."""
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
        asked = [one for several in thread.get("interrupts", {}).values() for one in several]
        return {"__interrupt__": asked} if asked else thread["values"]

    def _until(self, run: FakeRun, condition: Callable[[], bool], on_disconnect: Optional[str]) -> Iterator[Optional[bytes]]:
        """Come back whenever `condition` may hold: with a newline when a heartbeat is due, else with None.

        Never ends by itself. Where the listener leaves, it cancels the run if `on_disconnect` says so.
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
