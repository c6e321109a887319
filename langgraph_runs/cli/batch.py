"""``langgraph-runs batch``: a file of inputs, each run once, and a file of results."""

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
)
from . import codes
from .command import Command, CommandError
from .connection import add_connection, client_of
from .console import complain, print_json, writing
from .inputs import count, limit, parsed
from .lock import add_lock, hold, locked
from .options import ENDINGS, add_graph_options, graph_options

__all__ = ["COMMAND"]

_DONE = object()
#: Seconds for the first request, which says whether there is a server.
_FIRST = 15.0


def configure_batch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("assistant", metavar="ASSISTANT", help="name of a graph, or id of an assistant")
    parser.add_argument("file", metavar="INPUTS", help="a file of JSON lines, each the input of a run; - for stdin")
    files = parser.add_argument_group("files")
    files.add_argument("-o", "--output", metavar="FILE", default="-", help="a line of JSON for each input; else stdout")
    files.add_argument("--ledger", metavar="FILE", help="remember what was done, so that the same command goes on after a kill")
    files.add_argument("--key", metavar="NAME", help="the key of each input is in this field of it; else it is made from all of it")
    files.add_argument("--with-input", action="store_true", help="the input is in the line of its result too")
    pace = parser.add_argument_group("pace")
    pace.add_argument("-c", "--concurrency", metavar="N", type=count(1), default=16, help="at most so many runs at once (16)")
    pace.add_argument("--ordered", action="store_true", help="results in the order of the inputs")
    pace.add_argument("--on-error", choices=("go-on", "stop"), default="go-on", help="after a run that failed (go-on)")
    pace.add_argument("--keep-threads", choices=("never", "failed", "always"), default="never", help="of which runs (never)")
    pace.add_argument("--progress", action="store_true", help="tell on stderr how far it is, also where that is no terminal")
    pace.add_argument("-q", "--quiet", action="store_true", help="never tell how far it is")
    add_graph_options(parser)
    ends = parser.add_argument_group("ending early")
    ends.add_argument("--timeout-each", metavar="TIME", type=limit, help="how long one input may take (no limit)")
    ends.add_argument("--timeout", metavar="TIME", type=limit, help="how long all of it may take (no limit)")
    ends.add_argument(
        "--on-interrupt",
        choices=ENDINGS,
        default="cancel",
        help="what to do with the runs in flight on Ctrl-C, SIGTERM or after --timeout (cancel); "
        "with detach the same command, with its --ledger, finds them again",
    )
    add_lock(parser)
    add_connection(parser)


def run_batch(args: argparse.Namespace) -> int:
    options = graph_options(args)
    inputs = inputs_in(args.file)
    with locked(args), client_of(args) as client, limits(args) as controller:
        with contextlib.suppress(NotFoundError):  # not every server has that endpoint
            client.ok(timeout=_FIRST)  # else each input would fail for the same reason
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
                key=None if args.key is None else key_in(args.key),
                keep_threads="failed" if args.keep_threads == "failed" else args.keep_threads == "always",
                signal=controller.signal,
                **options,
            ) as results,
        ):
            while True:
                with args.interrupts.calling():
                    result: Any = next(results, _DONE)
                if result is _DONE:
                    break
                output.write(described(result, with_input=args.with_input))
                tally.add(result)
            if not (tally.failed and args.on_error == "stop"):
                output.complete()
    return tally.report(args)


@contextlib.contextmanager
def limits(args: argparse.Namespace) -> Iterator[AbortController]:
    """What ends the whole early: a signal, or its time."""
    controller = AbortController()
    unsubscribe = args.interrupts.signal.subscribe(controller.abort)
    args.interrupts.run_is_known()  # the map itself waits for creates that are on their way
    timer = None if args.timeout is None else threading.Timer(args.timeout, controller.abort, args=["timeout"])
    again = "" if args.ledger is None else "; the same command goes on where it was"
    with args.interrupts.attending():
        try:
            if timer is not None:
                timer.daemon = True
                timer.start()
            yield controller
        except (AbortedError, KeyboardInterrupt) as error:
            if isinstance(error, AbortedError) and error.reason == "timeout":
                raise CommandError(f"not done within --timeout {args.timeout:g} s{again}", codes.TIMED_OUT) from error
            raise CommandError(f"interrupted{again}", codes.INTERRUPTED) from error
        finally:
            unsubscribe()
            if timer is not None:
                timer.cancel()
                timer.join()


def inputs_in(path: str) -> Lines:
    """The inputs; of a file, which can be read twice, all lines are looked at first, so that a bad one is found at once."""
    if path == "-" or not os.path.isfile(path):
        return Lines(path)
    return CountedLines(path, sum(1 for _ in Lines(path)))


class Lines:
    """The inputs of a file of JSON lines, read as they are needed. Empty lines are left out."""

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
            raise CommandError(f"{name}: {error.strerror or error}", codes.USAGE) from None

    def _parsed(self, line: bytes, where: str) -> Any:
        try:
            return parsed(line.decode("utf-8-sig"))
        except ValueError as error:
            raise CommandError(f"{where}: not JSON: {error}", codes.USAGE) from None


class CountedLines(Lines):
    """The same, where it is known how many there are."""

    def __init__(self, path: str, length: int) -> None:
        super().__init__(path)
        self._length = length

    def __len__(self) -> int:
        return self._length


def key_in(name: str) -> Callable[[Any], str]:
    """What reads the key of an input."""

    def key(item: Any) -> str:
        value = item.get(name) if isinstance(item, dict) else None
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise CommandError(f"--key {name}: an input has no text or whole number there", codes.USAGE)
        return str(value)

    return key


def described(result: BatchResult, *, with_input: bool) -> Dict[str, Any]:
    """A result as JSON, with the keys that ``ledger export`` has."""
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
    """The file of results. It appears when it is complete; until then its lines are in a file of that name and ``.part``.

    With a ledger, a command that goes on after a kill begins that file anew, with all results that the ledger has: so there is
    never half a line in it, and one line for each input, its newest.
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
                self._file = open(self._path, "wb")  # a pipe or a device has to be written in place
            else:
                self._part = f"{self._path}.part"
                self._file = open(self._part, "ab")
                if not hold(self._file.fileno(), f"--output {self._path}"):
                    self._file.close()
                    raise CommandError(f"--output {self._path}: another batch writes {self._part}", codes.BUSY)
                self._file.truncate(0)
        except OSError as error:
            raise CommandError(f"--output {self._path}: {error.strerror or error}", codes.USAGE) from None
        return self

    def write(self, data: Dict[str, Any]) -> None:
        """One line, at once."""
        if self._is_stdout:
            print_json(data, pretty=False)
            return
        line = json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n"
        with writing():
            self._file.write(line.encode("utf-8"))
            self._file.flush()

    def complete(self) -> None:
        """All results are written."""
        if self._part:
            with writing():
                os.fsync(self._file.fileno())
                os.replace(self._part, self._path)

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # each write was flushed, and told of
                self._file.close()


class Tally:
    """Counts what came of the inputs, and what that makes of the exit code."""

    def __init__(self) -> None:
        self.done = self.failed = self._paused = 0
        self._codes: Set[int] = set()

    def add(self, result: BatchResult) -> None:
        """One more result. A refused key is raised: it would be refused for all."""
        error: Optional[LangGraphRunsError] = result.error
        self.done += error is None
        self.failed += error is not None
        self._paused += result.paused
        if error is not None:
            self._codes.add(codes.code_of(error))
            if isinstance(error, (AuthenticationError, PermissionDeniedError)):
                raise error

    def report(self, args: argparse.Namespace) -> int:
        """The exit code; says what failed."""
        if self.failed:
            ledger = args.ledger
            again = f"; to try them again: langgraph-runs ledger retry-failed {ledger}" if ledger else ""
            complain(f"{self.failed} of {self.done + self.failed} inputs failed{again}")
            return self._codes.pop() if len(self._codes) == 1 else codes.FAILED
        if self._paused:
            complain(f"{self._paused} of {self.done} runs wait for a human")
            return codes.PAUSED
        return codes.OK


COMMAND = Command(
    name="batch",
    summary="run an assistant on each line of a file",
    description=(
        "Runs an assistant on each line of a file of JSON lines, some at a time, each on a thread of its own, and writes a line "
        "of JSON for each: key, index, status, values, error, run_id, thread_id, attempts, seconds, paused.\n\n"
        "With --ledger, the same command after a kill goes on where it was: what was finished is not run again, what was in "
        "flight is found on the server. Inputs that failed stay failed, until `langgraph-runs ledger retry-failed`. The file "
        "given with -o is there when all inputs are through; until then the lines are in FILE.part. Every start writes it "
        "anew, with the results that the ledger has.\n\n"
        "The exit code is 0 when all runs succeeded, 1 when some failed for different reasons, else that of the reason."
    ),
    configure=configure_batch,
    run=run_batch,
    examples=[
        ("langgraph-runs batch agent in.jsonl -o out.jsonl --ledger jobs.sqlite", "each input once, however often it is started"),
        ("langgraph-runs batch agent in.jsonl --key id -c 4 | jq -c 'select(.error)'", "four at a time; what failed"),
    ],
    exits=[codes.FAILED, codes.PAUSED, codes.TIMED_OUT, codes.UNREACHABLE, codes.REFUSED, codes.BUSY],
)
