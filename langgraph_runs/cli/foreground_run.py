"""A run in the foreground: the thread it runs on, and what happens to it when the command ends before the run does."""

from __future__ import annotations

import argparse
import contextlib
import json
from typing import Any, Dict, Iterator, Mapping, NamedTuple, Optional, Sequence

from .. import (
    AbortedError,
    APIConnectionError,
    Client,
    DeadlineExceededError,
    Interrupt,
    LangGraphRunsError,
    NotFoundError,
    Run,
    RunError,
    exit_codes,
)
from ..runs import new_thread_id, thread_of_key
from .command import CommandError
from .connection import repeated
from .console import print_message, shorten
from .signals import Signals

__all__ = ["ChosenThread", "ForegroundRun", "choose_thread", "foreground_run", "paused_message"]

#: Timeout of each request that is made after the command was ended, in seconds.
_CLEANUP_TIMEOUT = 5.0


class ChosenThread(NamedTuple):
    """The thread of a run in the foreground."""

    #: The argument of the call.
    given: Optional[str]
    #: The id that the thread has or will have.
    thread_id: str
    #: True if the thread is deleted when the run has ended.
    temporary: bool


def choose_thread(thread: Optional[str], options: Dict[str, Any]) -> ChosenThread:
    """Return the thread that the command line names, or that of its idempotency key, or a new one for this run alone.

    For a new one, set the *options* that create it with the run. Its id is chosen here, so that the run can be looked up after a
    broken connection, and cancelled before its id is known.
    """
    if thread is not None:
        return ChosenThread(thread, thread, temporary=False)
    if "idempotency_key" in options:
        return ChosenThread(None, thread_of_key(options["idempotency_key"]), temporary=False)
    options["if_not_exists"] = "create"
    options["multitask_strategy"] = "reject"
    new = new_thread_id()
    return ChosenThread(new, new, temporary=True)


class ForegroundRun:
    """One run that the command waits for, and the actions that end it early."""

    def __init__(self, client: Client, args: argparse.Namespace, thread_id: str, run_id: Optional[str], *, temporary: bool) -> None:
        self._client = client
        self._args = args
        self._signals: Signals = args.signals
        self.thread_id = thread_id
        self.run_id = run_id
        #: True if the thread is deleted when the run has ended.
        self.temporary = temporary
        #: The run when it had ended, once that is known.
        self.ended: Optional[Run] = None
        if run_id is not None:
            self._signals.run_is_known()

    def repeated(self, command: str) -> str:
        """Return a command line for the same server, for a message."""
        return repeated(command, self._args)

    def join_command(self) -> str:
        """Return the command line that waits for the run."""
        return self.repeated(f"join {self.thread_id} {self.run_id}")

    def created(self, run: Mapping[str, Any]) -> None:
        """Note the run's id; the callback ``on_run_created``."""
        self.run_id = run["run_id"]
        self._signals.run_is_known()

    def end_early(self, ending: str) -> str:
        """Cancel the run, or leave it running if *ending* is ``detach``; return a sentence that says what was done."""
        self._signals.ending = True
        if self.run_id is None:
            self._find_run()
        if self.run_id is None:
            return "no run is known to have been created"
        if ending == "detach":
            return f"the run goes on: {self.join_command()}"
        try:
            self._client.runs.cancel(self.thread_id, self.run_id, wait=True, timeout=_CLEANUP_TIMEOUT)
        except NotFoundError:
            self.delete_temporary_thread()
            return f"run {self.run_id} had ended"
        except LangGraphRunsError as error:
            return f"run {self.run_id} on thread {self.thread_id} could not be cancelled and may go on ({error})"
        self.delete_temporary_thread()
        return f"run {self.run_id} was cancelled"

    def delete_temporary_thread(self) -> None:
        """Delete the thread if it was made for this run alone, which has ended and is not paused. A failure is only printed."""
        if not self.temporary:
            return
        try:
            if not self._has_ended():
                print_message(f"warning: the run's own thread {self.thread_id} is kept: its run is not known to have ended")
                return
            self._client.threads.delete(self.thread_id, timeout=_CLEANUP_TIMEOUT)
        except NotFoundError:
            pass  # the thread was never created
        except LangGraphRunsError as error:
            print_message(f"warning: the run's own thread {self.thread_id} was not deleted: {error}")

    def _has_ended(self) -> bool:
        """Return True if the run is known to have ended, and not to be paused."""
        if self.ended is not None:
            return self.ended.finished
        if self.run_id is None:
            self._find_run()
        if self.run_id is None:
            return False
        outcome = self._client.runs.join(self.thread_id, self.run_id, raise_error=False, timeout=_CLEANUP_TIMEOUT)
        return outcome.run is not None and outcome.run.finished and not outcome.paused

    def _find_run(self) -> None:
        # The newest run of a thread is known to be this one only if the thread was made for this run.
        if self.temporary:
            with contextlib.suppress(LangGraphRunsError):
                for run in self._client.runs.list(self.thread_id, limit=1, timeout=_CLEANUP_TIMEOUT):
                    self.run_id = run.run_id


@contextlib.contextmanager
def foreground_run(
    client: Client, args: argparse.Namespace, thread_id: str, run_id: Optional[str] = None, *, temporary: bool = False
) -> Iterator[ForegroundRun]:
    """Cancel, detach or clean up after the run that the block waits for, also if the block raises.

    Without *run_id* the run is created within the block. Raises `CommandError` with what happened to the run.
    """
    signals: Signals = args.signals
    run = ForegroundRun(client, args, thread_id, run_id, temporary=temporary)
    with signals.aborting_calls():
        try:
            yield run
        except (KeyboardInterrupt, AbortedError) as error:
            raise CommandError(f"interrupted: {run.end_early(args.on_interrupt)}", exit_codes.INTERRUPTED) from error
        except BrokenPipeError:
            run.end_early(args.on_interrupt)
            raise
        except DeadlineExceededError as error:
            raise CommandError(f"{error}: {run.end_early(args.on_timeout)}", exit_codes.TIMED_OUT) from error
        except APIConnectionError as error:
            if run.run_id is None:
                raise
            raise CommandError(f"{error}; it may go on: {run.join_command()}", exit_codes.code_of(error)) from error
        except CommandError as error:
            if run.run_id is None:
                raise
            # The output cannot be written. The run and its thread stay, so that the result is not lost.
            raise CommandError(f"{error}; to see the result: {run.join_command()}", error.code) from error
        except RunError as error:
            run.ended = error.run
            run.delete_temporary_thread()
            raise
        run.delete_temporary_thread()


def paused_message(interrupts: Sequence[Interrupt], run: ForegroundRun, assistant: Optional[str]) -> str:
    """Return one line with the question of a paused run, and the command that resumes it."""
    question = "without a question"
    if interrupts:
        question = shorten(json.dumps(interrupts[0].value, ensure_ascii=False, default=str), 200)
    more = f" and {len(interrupts) - 1} more questions" if len(interrupts) > 1 else ""
    resume = " --resume ANSWER" if interrupts else ""
    command = run.repeated(f"run {assistant or 'ASSISTANT'} --thread {run.thread_id}")
    return f"paused for a human: {question}{more}; go on with: {command}{resume}"
