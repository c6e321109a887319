"""``langgraph-runs batch``: run each input of a file once, and write a file of results."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import threading
from typing import Any, Callable, Dict, Iterator, Optional, Set

from .. import (
    AbortController,
    AbortedError,
    AuthenticationError,
    BatchResult,
    LangGraphRunsError,
    NotFoundError,
    PermissionDeniedError,
    exit_codes,
)
from .command import Command, CommandError
from .connection import add_connection, client_of
from .console import print_json, print_message, writing_output
from .lock import add_lock, locked, try_lock
from .options import ENDINGS, add_graph_options, graph_options
from .values import count, limit, parse_json

__all__ = ["COMMAND"]

_DONE = object()
#: Timeout of the first request, which shows whether the server can be reached, in seconds.
_FIRST_TIMEOUT = 15.0


def configure_batch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("assistant", metavar="ASSISTANT", help="name of a graph, or id of an assistant")
    parser.add_argument("file", metavar="INPUTS", help="file of JSON lines, each the input of one run; - for stdin")
    files = parser.add_argument_group("files")
    files.add_argument(
        "-o", "--output", metavar="FILE", default="-", help="write a line of JSON for each input to this file; default: stdout"
    )
    files.add_argument(
        "--ledger", metavar="FILE", help="record the progress in this file, so that the same command continues after a kill"
    )
    files.add_argument("--key", metavar="NAME", help="use this field of each input as its key; default: a hash of the input")
    files.add_argument("--with-input", action="store_true", help="include the input in the line of its result")
    pace = parser.add_argument_group("execution")
    pace.add_argument("-c", "--concurrency", metavar="N", type=count(1), default=16, help="at most N runs at once (16)")
    pace.add_argument("--ordered", action="store_true", help="write the results in the order of the inputs")
    pace.add_argument("--on-error", choices=("go-on", "stop"), default="go-on", help="what to do after a run that failed (go-on)")
    pace.add_argument(
        "--keep-threads", choices=("never", "failed", "always"), default="never", help="keep the threads of these runs (never)"
    )
    pace.add_argument("--progress", action="store_true", help="show the progress on stderr even if that is not a terminal")
    pace.add_argument("-q", "--quiet", action="store_true", help="do not show the progress")
    add_graph_options(parser)
    ends = parser.add_argument_group("ending early")
    ends.add_argument("--timeout-each", metavar="TIME", type=limit, help="limit for one input (no limit)")
    ends.add_argument("--timeout", metavar="TIME", type=limit, help="limit for the whole command (no limit)")
    ends.add_argument(
        "--on-interrupt",
        choices=ENDINGS,
        default="cancel",
        help="what to do with unfinished runs on Ctrl-C, SIGTERM, SIGHUP or after --timeout (cancel); "
        "after detach, the same command with the same --ledger continues them",
    )
    add_lock(parser)
    add_connection(parser)


def run_batch(args: argparse.Namespace) -> int:
    options = graph_options(args)
    inputs = inputs_in(args.file)
    with locked(args), client_of(args) as client, ended_early(args) as controller:
        with contextlib.suppress(NotFoundError):  # not every server has that endpoint
            client.ok(timeout=_FIRST_TIMEOUT)  # fail here, rather than once for each input
        tally = Tally()
        with (
            Output(args.output) as output,
            client.runs.map(
                args.assistant,
                inputs,
                concurrency=args.concurrency,
                ordered=args.ordered,
                ledger=args.ledger,
                progress=not args.quiet and (args.progress or sys.stderr.isatty()),
                on_error="yield" if args.on_error == "go-on" else "stop",
                on_interrupt=args.on_interrupt,
                timeout_each=args.timeout_each,
                key=None if args.key is None else key_function(args.key),
                keep_threads="failed" if args.keep_threads == "failed" else args.keep_threads == "always",
                signal=controller.signal,
                **options,
            ) as results,
        ):
            while True:
                with args.signals.during_call():
                    result: Any = next(results, _DONE)
                if result is _DONE:
                    break
                output.write(described(result, with_input=args.with_input))
                tally.add(result)
            if not (tally.failed and args.on_error == "stop"):
                output.complete()
    return tally.summarize(args)


@contextlib.contextmanager
def ended_early(args: argparse.Namespace) -> Iterator[AbortController]:
    """Yield a controller that is aborted by a signal or after ``--timeout``; raise `CommandError` if that ended the block."""
    controller = AbortController()
    unsubscribe = args.signals.signal.subscribe(controller.abort)
    args.signals.run_is_known()  # map() itself waits for runs that are being created
    timer = None if args.timeout is None else threading.Timer(args.timeout, controller.abort, args=["timeout"])
    resume = "" if args.ledger is None else "; the same command continues the work"
    with args.signals.aborting_calls():
        try:
            if timer is not None:
                timer.daemon = True
                timer.start()
            yield controller
        except (AbortedError, KeyboardInterrupt) as error:
            if isinstance(error, AbortedError) and error.reason == "timeout":
                raise CommandError(f"not done within --timeout {args.timeout:g} s{resume}", exit_codes.TIMED_OUT) from error
            raise CommandError(f"interrupted{resume}", exit_codes.INTERRUPTED) from error
        finally:
            unsubscribe()
            if timer is not None:
                timer.cancel()
                timer.join()


def inputs_in(path: str) -> Lines:
    """Return the inputs. A regular file is parsed once before the first run starts, so that a bad line is found at once."""
    if path == "-" or (os.path.exists(path) and not os.path.isfile(path)):
        return Lines(path)
    return CountedLines(path, sum(1 for _ in Lines(path)))


class Lines:
    """The inputs of a file of JSON lines, read lazily. Empty lines are skipped."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __iter__(self) -> Iterator[Any]:
        name = "stdin" if self._path == "-" else self._path
        try:
            with contextlib.ExitStack() as stack:
                file = sys.stdin.buffer if self._path == "-" else stack.enter_context(open(self._path, "rb"))
                for number, line in enumerate(file, 1):
                    if line.strip():
                        yield self._parsed(line, f"{name}, line {number}")
        except OSError as error:
            raise CommandError(f"{name}: {error.strerror or error}", exit_codes.USAGE) from None

    def _parsed(self, line: bytes, where: str) -> Any:
        try:
            return parse_json(line.decode("utf-8-sig"))
        except ValueError as error:
            raise CommandError(f"{where}: not JSON: {error}", exit_codes.USAGE) from None


class CountedLines(Lines):
    """The same, with a length, which the progress display shows."""

    def __init__(self, path: str, length: int) -> None:
        super().__init__(path)
        self._length = length

    def __len__(self) -> int:
        return self._length


def key_function(name: str) -> Callable[[Any], str]:
    """Return a function that reads the key of an input from its field *name*."""

    def key(item: Any) -> str:
        value = item.get(name) if isinstance(item, dict) else None
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise CommandError(f"--key {name}: an input has no text or whole number there", exit_codes.USAGE)
        return str(value)

    return key


def described(result: BatchResult, *, with_input: bool) -> Dict[str, Any]:
    """Return a result as JSON, with the same keys as ``ledger export``."""
    error = result.error
    data = {
        "key": result.key,
        "index": result.index,
        "status": "done" if error is None else "failed",
        "values": result.values,
        "error": None if error is None else {"class": type(error).__name__, "message": str(error)},
        "run_id": result.run_id,
        "thread_id": result.thread_id,
        "attempts": result.attempts,
        "seconds": round(result.seconds, 3),
        "paused": result.paused,
    }
    return {**data, "input": result.input} if with_input else data


class Output:
    """The file of results, written as ``FILE.part`` and renamed when it is complete.

    A command that continues after a kill writes the file again from the start, with all results that its ledger has. So the file
    never has half a line, and has exactly one line for each input.
    """

    def __init__(self, path: str) -> None:
        self._path = os.path.realpath(path)
        self._is_stdout = path == "-"
        self._file: Any = None
        self._part = ""

    def __enter__(self) -> Output:
        if self._is_stdout:
            return self
        try:
            if os.path.exists(self._path) and not os.path.isfile(self._path):
                self._file = open(self._path, "wb")  # a pipe or a device cannot be renamed
            else:
                self._part = f"{self._path}.part"
                self._file = open(self._part, "ab")
                if not try_lock(self._file.fileno(), f"--output {self._path}"):
                    self._file.close()
                    raise CommandError(f"--output {self._path}: another batch writes {self._part}", exit_codes.BUSY)
                self._file.truncate(0)
        except OSError as error:
            raise CommandError(f"--output {self._path}: {error.strerror or error}", exit_codes.USAGE) from None
        return self

    def write(self, data: Dict[str, Any]) -> None:
        """Write one line and flush."""
        if self._is_stdout:
            print_json(data, pretty=False)
            return
        line = json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n"
        with writing_output():
            self._file.write(line.encode("utf-8"))
            self._file.flush()

    def complete(self) -> None:
        """Rename the file: all results have been written."""
        if self._part:
            with writing_output():
                os.fsync(self._file.fileno())
                os.replace(self._part, self._path)

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # each write was flushed, and its error raised
                self._file.close()


class Tally:
    """Counts the results and derives the exit code."""

    def __init__(self) -> None:
        self.done = self.failed = self._paused = 0
        self._codes: Set[int] = set()

    def add(self, result: BatchResult) -> None:
        """Count a result. Raise its error if the server refused the API key, since it would refuse it for all inputs."""
        error: Optional[LangGraphRunsError] = result.error
        self.done += error is None
        self.failed += error is not None
        self._paused += result.paused
        if error is not None:
            self._codes.add(exit_codes.code_of(error))
            if isinstance(error, (AuthenticationError, PermissionDeniedError)):
                raise error

    def summarize(self, args: argparse.Namespace) -> int:
        """Print how many inputs failed or are paused, if any; return the exit code."""
        if self.failed:
            ledger = args.ledger
            retry = f"; to try them again: langgraph-runs ledger retry-failed {ledger}" if ledger else ""
            print_message(f"{self.failed} of {self.done + self.failed} inputs failed{retry}")
            return self._codes.pop() if len(self._codes) == 1 else exit_codes.FAILED
        if self._paused:
            print_message(f"{self._paused} of {self.done} runs wait for a human")
            return exit_codes.PAUSED
        return exit_codes.OK


COMMAND = Command(
    name="batch",
    summary="run an assistant on each line of a file",
    description=(
        "Runs an assistant on each line of a file of JSON lines, several at a time, each on a thread of its own, and writes a "
        "line of JSON for each: key, index, status, values, error, run_id, thread_id, attempts, seconds, paused.\n\n"
        "With --ledger, the same command continues after a kill: inputs that were finished are not run again, and runs that were "
        "unfinished are looked up on the server. Inputs that failed stay failed until `langgraph-runs ledger retry-failed`. The "
        "file given with -o exists when all inputs are done; until then the lines are in FILE.part. Every start writes the file "
        "again from the beginning, with the results that the ledger has.\n\n"
        "The exit code is 0 if all runs succeeded, and 3 if runs wait for a human. If runs failed, it is the code of their error "
        "if they all have the same one, else 1."
    ),
    configure=configure_batch,
    run=run_batch,
    examples=[
        (
            "langgraph-runs batch agent in.jsonl -o out.jsonl --ledger jobs.sqlite",
            "each input is run once, however often this is started",
        ),
        ("langgraph-runs batch agent in.jsonl --key id -c 4 | jq -c 'select(.error)'", "four at a time; show only what failed"),
    ],
    exits=exit_codes.OF_A_STARTED_RUN,
)
