"""A run in the foreground: on which thread it runs, and what becomes of it when the command ends before it does."""

from __future__ import annotations

import argparse
import contextlib
import uuid
from typing import Any, Dict, Iterator, Mapping, Optional

from .. import AbortedError, APIConnectionError, Client, DeadlineExceededError, LangGraphRunsError, NotFoundError, RunError
from . import codes
from .command import CommandError
from .console import complain
from .interrupts import Interrupts

__all__ = ["Attended", "attended", "on_own_thread"]

#: Seconds for each request that cleans up.
_LATE = 5.0


def on_own_thread(options: Dict[str, Any]) -> str:
    """A thread for one run alone, whose id we choose: so a broken connection never makes the run twice, and how it ends is known.

    (Of a run without any thread the server forgets the end with the run.)
    """
    options["if_not_exists"] = "create"
    options["multitask_strategy"] = "reject"
    return str(uuid.uuid4())


class Attended:
    """One run, and who may end it."""

    def __init__(self, client: Client, interrupts: Interrupts, thread_id: str, run_id: Optional[str], *, own: bool) -> None:
        self._client = client
        self._interrupts = interrupts
        self.thread_id = thread_id
        self.run_id = run_id
        #: Whether the thread is deleted at the end.
        self.temporary = own
        if run_id is not None:
            interrupts.run_is_known()

    def created(self, told: Mapping[str, Any]) -> None:
        """For ``on_run_created``."""
        self.run_id = told["run_id"]
        self._interrupts.run_is_known()

    def leave(self, ending: str) -> str:
        """Cancel the run, or let it go on; what was done, in words."""
        if self.run_id is None:
            self._look()
        if self.run_id is None:
            return "no run is known to have been created"
        if ending == "detach":
            return f"the run goes on: langgraph-runs join {self.thread_id} {self.run_id}"
        try:
            self._client.runs.cancel(self.thread_id, self.run_id, wait=True, timeout=_LATE)
        except NotFoundError:
            self.over()
            return f"run {self.run_id} had ended"
        except LangGraphRunsError as error:
            return f"run {self.run_id} on thread {self.thread_id} could not be cancelled and may go on ({error})"
        self.over()
        return f"run {self.run_id} was cancelled"

    def over(self) -> None:
        """The run has ended: a thread of its own is of no more use."""
        if not self.temporary:
            return
        try:
            self._client.threads.delete(self.thread_id, timeout=_LATE)
        except NotFoundError:
            pass  # it was never made
        except LangGraphRunsError as error:
            complain(f"warning: the run's own thread {self.thread_id} was not deleted: {error}")

    def _look(self) -> None:
        # Only a thread of its own says by itself which run is ours.
        if self.temporary:
            with contextlib.suppress(LangGraphRunsError):
                for run in self._client.runs.list(self.thread_id, limit=1, timeout=_LATE):
                    self.run_id = run.run_id


@contextlib.contextmanager
def attended(
    client: Client, args: argparse.Namespace, thread_id: str, run_id: Optional[str] = None, *, own: bool = False
) -> Iterator[Attended]:
    """What happens to a run that is waited for in here, however this ends."""
    interrupts: Interrupts = args.interrupts
    run = Attended(client, interrupts, thread_id, run_id, own=own)
    with interrupts.attending():
        try:
            yield run
        except (KeyboardInterrupt, AbortedError) as error:
            raise CommandError(f"interrupted: {run.leave(args.on_interrupt)}", codes.INTERRUPTED) from error
        except BrokenPipeError:
            run.leave(args.on_interrupt)
            raise
        except DeadlineExceededError as error:
            raise CommandError(f"{error}: {run.leave(args.on_timeout)}", codes.TIMED_OUT) from error
        except APIConnectionError as error:
            if run.run_id is None:
                raise
            text = f"{error}; it may go on: langgraph-runs join {thread_id} {run.run_id}"
            raise CommandError(text, codes.code_of(error)) from error
        except CommandError as error:
            if run.run_id is None:
                raise
            # The output cannot be written: the run and its thread stay, so that the result is not lost.
            raise CommandError(f"{error}; to see the result: langgraph-runs join {thread_id} {run.run_id}", error.code) from error
        except RunError:
            run.over()
            raise
        run.over()
