"""``langgraph-runs run`` and ``join``: wait for a run and print its final values."""

from __future__ import annotations

import argparse
from typing import Any, Dict, Optional

from .. import RunOutcome, exit_codes
from ..runs import error_for
from .command import Command
from .connection import add_connection, client_of
from .console import as_json, print_json, print_message
from .foreground_run import ForegroundRun, choose_thread, foreground_run, paused_message
from .lock import add_lock, locked
from .options import add_endings, add_run_options, run_options
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
    parser.add_argument("--stream", action="store_true", help="print the events as they arrive, as the command stream does")
    parser.add_argument("--last-event-id", metavar="ID", help="with --stream: start after this event; 0: from the first event")
    parser.add_argument("--text", action="store_true", help="with --stream: print only the model's text, as it arrives")
    add_endings(parser, default="detach")
    _add_output(parser)
    add_connection(parser)


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "--outcome",
        action="store_true",
        help="print an object with the keys status, values, error, message, paused, interrupts, run_id and thread_id instead of "
        "the values, also for a run that failed",
    )
    group.add_argument("--json", action="store_true", help="print JSON on one line on a terminal too")


def run_run(args: argparse.Namespace) -> int:
    options = run_options(args)
    thread, thread_id, temporary = choose_thread(args.thread, options)
    with locked(args), client_of(args) as client, foreground_run(client, args, thread_id, temporary=temporary) as run:
        with args.signals.during_call():
            outcome: RunOutcome = client.runs.wait(
                thread,
                args.assistant,
                on_run_created=run.created,
                raise_error=False,
                timeout=args.timeout,
                signal=args.signals.signal,
                **options,
            )
        return print_outcome(outcome, args, run, args.assistant)


def run_join(args: argparse.Namespace) -> int:
    with client_of(args) as client, foreground_run(client, args, args.thread, args.run) as run:
        if args.stream:
            with args.signals.during_call():
                stream = client.runs.join_stream(
                    args.thread,
                    args.run,
                    last_event_id=args.last_event_id,
                    timeout=args.timeout,
                    signal=args.signals.signal,
                )
            return show(stream, args, run, None)
        with args.signals.during_call():
            outcome: RunOutcome = client.runs.join(
                args.thread, args.run, raise_error=False, timeout=args.timeout, signal=args.signals.signal
            )
        return print_outcome(outcome, args, run, None)


def print_outcome(outcome: RunOutcome, args: argparse.Namespace, run: ForegroundRun, assistant: Optional[str]) -> int:
    """Print how the run ended and return the exit code; raise the run's error if it failed."""
    run.ended = outcome.run
    if outcome.paused:
        run.temporary = False  # the thread is needed to answer
    pretty = False if args.json else None
    if args.outcome:
        print_json(described(outcome, run), pretty=pretty)
    error = error_for(outcome)
    if error is not None:
        raise error
    if not args.outcome:
        print_json(outcome.values, pretty=pretty)
    if not outcome.paused:
        return exit_codes.OK
    print_message(paused_message(outcome.interrupts, run, assistant))
    return exit_codes.PAUSED


def described(outcome: RunOutcome, run: ForegroundRun) -> Dict[str, Any]:
    """Return the outcome as JSON."""
    return {
        "status": outcome.status,
        "values": outcome.values,
        "error": outcome.error,
        "message": outcome.message,
        "paused": outcome.paused,
        "interrupts": as_json(list(outcome.interrupts)),
        "run_id": run.run_id,
        "thread_id": run.thread_id,
    }


RUN = Command(
    name="run",
    summary="run an assistant and print the final values",
    description=(
        "Starts a run, waits until it ends, and prints its final values as JSON: on one line, or indented on a terminal. "
        "If the run fails, nothing is printed to stdout, and the error to stderr.\n\n"
        "Without --thread the run gets a thread of its own, which is deleted afterwards, unless the run has paused for a "
        "human or is left running. A broken connection does not end the wait, and never starts the run twice. With "
        "--idempotency-key the command itself may be repeated: it joins the run that the first one has started."
    ),
    configure=configure_run,
    run=run_run,
    examples=[
        ("langgraph-runs run agent topic=tides words=30", 'the input is {"topic": "tides", "words": 30}'),
        ("jq '.[0]' jobs.json | langgraph-runs run agent --input-file - --timeout 10m", "input from another program"),
        ("langgraph-runs run agent --thread $THREAD --resume '{\"approved\": true}'", "answer a question"),
    ],
    exits=exit_codes.OF_A_STARTED_RUN,
)

JOIN = Command(
    name="join",
    summary="wait for an existing run and print its final values",
    description=(
        "Waits until a run ends and prints its final values as JSON, as the command run does, or with --stream its "
        "events. The exit code is that of the run, also if it ended long ago. On Ctrl-C the run goes on, unless "
        "--on-interrupt cancel is given."
    ),
    configure=configure_join,
    run=run_join,
    examples=[("langgraph-runs join $(langgraph-runs create agent topic=tides --ids)", "start in one place, wait in another")],
    exits=[exit_codes.FAILED, exit_codes.PAUSED, exit_codes.TIMED_OUT, exit_codes.UNREACHABLE, exit_codes.REFUSED],
)
