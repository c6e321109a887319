"""``langgraph-runs run`` and ``join``: wait for a run and print its values."""

from __future__ import annotations

import argparse
from typing import Any, Dict, Optional

from .. import RunOutcome
from ..runs import error_for
from . import codes
from .attended import Attended, attended, on_own_thread
from .command import Command
from .connection import add_connection, client_of
from .console import complain, plain, print_json
from .lock import add_lock, locked
from .options import add_endings, add_run_options, run_options
from .pause import pause
from .stream import show

__all__ = ["JOIN", "RUN"]


def configure_run(parser: argparse.ArgumentParser) -> None:
    add_run_options(parser)
    add_endings(parser, default="cancel")
    _add_output(parser)
    add_lock(parser)
    add_connection(parser)


def configure_join(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("thread", metavar="THREAD", help="id of the run's thread")
    parser.add_argument("run", metavar="RUN", help="id of the run")
    parser.add_argument("--stream", action="store_true", help="print its events as they come, as the command stream does")
    parser.add_argument("--last-event-id", metavar="ID", help="with --stream: from after this event; 0: from the start")
    add_endings(parser, default="detach")
    _add_output(parser)
    add_connection(parser)


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "--outcome",
        action="store_true",
        help="print {status, values, error, message, paused, interrupts, run_id, thread_id} instead, for failed runs too",
    )
    group.add_argument("--json", action="store_true", help="on one line, as in a pipe")


def run_run(args: argparse.Namespace) -> int:
    options = run_options(args)
    thread_id = on_own_thread(options) if args.thread is None else args.thread
    with locked(args), client_of(args) as client, attended(client, args, thread_id, own=args.thread is None) as run:
        with args.interrupts.calling():
            outcome: RunOutcome = client.runs.wait(
                thread_id,
                args.assistant,
                on_run_created=run.created,
                raise_error=False,
                timeout=args.timeout,
                signal=args.interrupts.signal,
                **options,
            )
        return report(outcome, args, run, args.assistant)


def run_join(args: argparse.Namespace) -> int:
    with client_of(args) as client, attended(client, args, args.thread, args.run) as run:
        if args.stream:
            with args.interrupts.calling():
                stream = client.runs.join_stream(
                    args.thread,
                    args.run,
                    last_event_id=args.last_event_id,
                    timeout=args.timeout,
                    signal=args.interrupts.signal,
                )
            return show(stream, args, run, None)
        with args.interrupts.calling():
            outcome: RunOutcome = client.runs.join(
                args.thread, args.run, raise_error=False, timeout=args.timeout, signal=args.interrupts.signal
            )
        return report(outcome, args, run, None)


def report(outcome: RunOutcome, args: argparse.Namespace, run: Attended, assistant: Optional[str]) -> int:
    """Print how the run ended; raises the error that it is."""
    if outcome.paused:
        run.temporary = False  # to answer, its thread is needed
    pretty = False if args.json else None
    if args.outcome:
        print_json(described(outcome, run), pretty=pretty)
    error = error_for(outcome)
    if error is not None:
        raise error
    if not args.outcome:
        print_json(outcome.values, pretty=pretty)
    if not outcome.paused:
        return codes.OK
    complain(pause(outcome.interrupts, run, assistant))
    return codes.PAUSED


def described(outcome: RunOutcome, run: Attended) -> Dict[str, Any]:
    """The outcome as JSON."""
    return {
        "status": outcome.status,
        "values": outcome.values,
        "error": outcome.error,
        "message": outcome.message,
        "paused": outcome.paused,
        "interrupts": plain(list(outcome.interrupts)),
        "run_id": run.run_id,
        "thread_id": run.thread_id,
    }


RUN = Command(
    name="run",
    summary="run an assistant and print the final values",
    description=(
        "Starts a run, waits for its end, and prints its final values as JSON: on one line, or indented on a terminal. "
        "Nothing is printed for a run that fails; the reason stands on stderr.\n\n"
        "Without --thread the run gets a thread of its own, which is deleted afterwards, unless the run has paused for a "
        "human or goes on. A broken connection does not end the wait, and never starts the run twice."
    ),
    configure=configure_run,
    run=run_run,
    examples=[
        ("langgraph-runs run agent topic=tides words=30", 'the input is {"topic": "tides", "words": 30}'),
        ("jq '.[0]' jobs.json | langgraph-runs run agent --input-file - --timeout 10m", "input from another program"),
        ("langgraph-runs run agent --thread $THREAD --resume '{\"approved\": true}'", "answer a question"),
    ],
    exits=[
        codes.FAILED,
        codes.PAUSED,
        codes.TIMED_OUT,
        codes.UNREACHABLE,
        codes.REFUSED,
        codes.BUSY,
    ],
)

JOIN = Command(
    name="join",
    summary="wait for a run that exists and print its final values",
    description=(
        "Waits for the end of a run and prints its final values as JSON, as the command run does, or with --stream its "
        "events. Ends with the exit code of the run, also when that ended long ago. On Ctrl-C the run goes on, unless "
        "--on-interrupt says otherwise."
    ),
    configure=configure_join,
    run=run_join,
    examples=[("langgraph-runs join $(langgraph-runs create agent topic=tides --ids)", "start in one place, wait in another")],
    exits=[codes.FAILED, codes.PAUSED, codes.TIMED_OUT, codes.UNREACHABLE, codes.REFUSED],
)
