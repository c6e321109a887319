"""``langgraph-runs batch``: run each input of a file once, and write a file of results.

The file is read by `read_table`, so an input that cannot be read is the error of its result, and the others are run.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import logging
import operator
import os
import shlex
import sys
import threading
from typing import Any, Iterable, Iterator, List, Optional, Set

from .. import (
    AbortController,
    AbortedError,
    APIStatusError,
    AuthenticationError,
    BatchResult,
    InvalidRequestError,
    LangGraphRunsError,
    Ledger,
    LedgerError,
    NotFoundError,
    OutageError,
    PermissionDeniedError,
    exit_codes,
    read_table,
)
from ..batch import RESULT_FORMATS, ResultFile, guess_format, result_row, same_file
from .command import Command, CommandError
from .connection import add_connection, client_of
from .console import print_json, print_message, writing_output
from .lock import add_lock, locked
from .options import ENDINGS, add_graph_options, graph_options
from .values import count, limit, limit_or_none

__all__ = ["COMMAND"]

_DONE = object()
#: Timeout of the first request, which shows whether the server can be reached, in seconds.
_FIRST_TIMEOUT = 15.0
#: Errors of inputs that could not be run, of which so many are printed.
_SHOWN_ERRORS = 10
#: Characters in a cell of CSV; the default of Python is 131,072.
_LONGEST_CELL = 2**31 - 1


def configure_batch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("assistant", metavar="ASSISTANT", help="name of a graph, or id of an assistant")
    parser.add_argument("file", metavar="INPUTS", help="file of JSON lines, CSV or Parquet, with an input in each row; - for stdin")
    files = parser.add_argument_group("files")
    files.add_argument(
        "-o", "--output", metavar="FILE", default="-", help="write a row for each input to this file; default: JSON lines to stdout"
    )
    files.add_argument(
        "--input-format", choices=("jsonl", "csv", "tsv", "parquet"), help="format of INPUTS; default: by its name, else jsonl"
    )
    files.add_argument(
        "--delimiter", metavar="CHAR", type=delimiter, help="what is between the cells of a CSV file of inputs, or tab (,)"
    )
    files.add_argument(
        "--encoding", metavar="NAME", help="encoding of INPUTS, such as cp1252; default: UTF-8, or UTF-16 if INPUTS has its mark"
    )
    files.add_argument("--output-format", choices=RESULT_FORMATS, help="format of --output; default: by its name, else jsonl")
    files.add_argument(
        "--ledger",
        metavar="FILE",
        help="record the progress in this file, or at this URL of PostgreSQL, so that the same command continues after a kill",
    )
    files.add_argument("--with-input", action="store_true", help="include the input in the row of its result")
    rows = parser.add_argument_group("rows")
    rows.add_argument("--key", metavar="NAME", help="use this column, or field of JSON, as the key; default: a hash of the input")
    rows.add_argument("--input-column", metavar="NAME", help="the input is the value of this column; default: the whole row")
    rows.add_argument("--columns", metavar="NAMES", action="append", help="the input has only these columns, separated by commas")
    rows.add_argument("--json-columns", metavar="NAMES", action="append", help="the text in these columns is parsed as JSON")
    rows.add_argument(
        "--missing",
        choices=("error", "null"),
        default="error",
        help="what to do with missing values (null in Parquet, NaN) and infinities: refuse the row, or send null (error)",
    )
    pace = parser.add_argument_group("execution")
    pace.add_argument("-c", "--concurrency", metavar="N", type=count(1), default=16, help="at most N runs at once (16)")
    pace.add_argument("--ordered", action="store_true", help="write the results in the order of the inputs")
    pace.add_argument(
        "--on-error", choices=("go-on", "stop"), default="go-on", help="what to do after an input that failed (go-on)"
    )
    pace.add_argument("--max-errors", metavar="N", type=count(0), help="start no more runs after more than N inputs have failed")
    pace.add_argument(
        "--keep-threads", choices=("never", "failed", "always"), default="never", help="keep the threads of these runs (never)"
    )
    pace.add_argument("--progress", action="store_true", help="show the progress on stderr even if that is not a terminal")
    pace.add_argument("-q", "--quiet", action="store_true", help="do not show the progress")
    add_graph_options(parser)
    ends = parser.add_argument_group("ending early")
    ends.add_argument("--timeout-each", metavar="TIME", type=limit, help="limit for one input (no limit)")
    ends.add_argument(
        "--max-outage",
        metavar="TIME",
        type=limit_or_none,
        default=600.0,
        help="wait at most this long for a server that cannot be reached; none: no limit (10 min)",
    )
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
    check_files(args)
    inputs = Inputs(table_in(args))
    max_errors = 0 if args.on_error == "stop" else args.max_errors
    with locked(args), client_of(args) as client, ended_early(args) as controller:
        with contextlib.suppress(NotFoundError):  # not every server has that endpoint
            client.ok(timeout=_FIRST_TIMEOUT)  # fail here, rather than once for each input
        tally = Tally()
        with (
            client.runs.map(
                args.assistant,
                inputs,
                concurrency=args.concurrency,
                ordered=args.ordered,
                ledger=args.ledger,
                progress=not args.quiet and (args.progress or sys.stderr.isatty()),
                on_interrupt=args.on_interrupt,
                timeout_each=args.timeout_each,
                max_outage=args.max_outage,
                keep_threads="failed" if args.keep_threads == "failed" else args.keep_threads == "always",
                signal=controller.signal,
                **options,
            ) as results,
            # After the map, which raises for a wrong ledger: until then, the results of an earlier command stay as they are.
            Output(args.output, args.output_format, with_input=args.with_input) as output,
            outages_shown(args),
        ):
            while True:
                with args.signals.during_call():
                    result: Any = next(results, _DONE)
                if result is _DONE:
                    break
                output.write(result)
                tally.add(result)
                inputs.ended = inputs.ended or (max_errors is not None and tally.failed > max_errors)
            if not inputs.ended:
                output.complete()
    return tally.summarize(args, ended=inputs.ended)


def check_files(args: argparse.Namespace) -> None:
    """Raise `CommandError` if one file has two uses: the command would replace inputs, or a ledger, with something else."""
    given = {"INPUTS": args.file, "--output": args.output, "--ledger": args.ledger, "--lock": args.lock}
    files = {name: path for name, path in given.items() if path not in (None, "-")}
    while files:
        name, path = files.popitem()
        other = same_file(path, files)
        if other is not None:
            raise CommandError(f"{name} {path}: that is the file of {other}; give it one of its own", exit_codes.USAGE)
    if args.output != "-":
        given.pop("--output")
        other = same_file(f"{os.path.realpath(args.output)}.part", given)
        if other is not None:
            raise CommandError(f"--output {args.output}: its .part would replace the file of {other}", exit_codes.USAGE)


@contextlib.contextmanager
def outages_shown(args: argparse.Namespace) -> Iterator[None]:
    """Within the block, a message says that the map waits for the server, and another one that it goes on."""
    log, handler = logging.getLogger("langgraph_runs.batch.outage"), MessageHandler()
    if not args.verbose:
        log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


class MessageHandler(logging.Handler):
    """Prints log records as messages of the command line."""

    def emit(self, record: logging.LogRecord) -> None:
        print_message(record.getMessage())


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
        except OutageError as error:
            done = f"{error.done} inputs" if error.total is None else f"{error.done} of {error.total} inputs"
            raise CommandError(
                f"the server has been away for {error.seconds:.0f} s, longer than --max-outage: {error.__cause__}; "
                f"{done} are done{resume or '; without --ledger the same command starts with the first input'}",
                exit_codes.UNREACHABLE,
            ) from error
        finally:
            unsubscribe()
            if timer is not None:
                timer.cancel()
                timer.join()


def table_in(args: argparse.Namespace) -> Iterable[Any]:
    """Return the inputs, with their keys. Raises for a file or a column that is not there."""
    if args.input_column is not None and args.columns is not None:
        raise CommandError("--input-column excludes --columns", exit_codes.USAGE)
    if args.on_error == "stop" and args.max_errors:
        raise CommandError("--on-error stop excludes --max-errors", exit_codes.USAGE)
    source, format = args.file, args.input_format
    if source == "-":
        if sys.stdin is None:
            raise CommandError("there is no stdin", exit_codes.USAGE)
        source = sys.stdin.buffer
    csv.field_size_limit(_LONGEST_CELL)
    return read_table(
        source,
        key=args.key,
        input=args.input_column if args.columns is None else _names(args.columns),
        missing=args.missing,
        json_columns=_names(args.json_columns),
        delimiter=args.delimiter,
        encoding=args.encoding,
        format=format or (None if isinstance(source, str) and guess_format(source) is not None else "jsonl"),
    )


def delimiter(text: str) -> str:
    """Return the character that ``--delimiter`` means: a tab has names, since shells do not pass it easily."""
    return "\t" if text in ("tab", "\\t") else text


def _names(lists: Optional[List[str]]) -> List[str]:
    return [name.strip() for names in lists or () for name in names.split(",") if name.strip()]


class Inputs(Iterator[Any]):
    """The inputs of a table, until no more are to be started."""

    def __init__(self, table: Iterable[Any]) -> None:
        self._table = table
        #: True if no more are to be started, because too many have failed.
        self.ended = False

    def __iter__(self) -> Iterator[Any]:
        self._rows = iter(self._table)
        return self

    def __next__(self) -> Any:
        if self.ended:
            raise StopIteration
        return next(self._rows)

    @property
    def place(self) -> str:
        """Where the row of the last input is."""
        return str(getattr(self._rows, "place", ""))

    def __length_hint__(self) -> int:
        length = operator.length_hint(self._table, -1)
        return NotImplemented if length < 0 else length


class Output:
    """The file of results, or stdout.

    A command that continues after a kill writes the file again from the start, with all results that its ledger has. So the file
    never has half a row, and has exactly one row for each input.
    """

    def __init__(self, path: str, format: Optional[str], *, with_input: bool) -> None:
        self._with_input = with_input
        self._file: Optional[ResultFile] = None
        self._path = os.path.realpath(path)
        if path != "-":
            self._file = ResultFile(path, format, with_input=with_input)
        elif format not in (None, "jsonl"):
            raise CommandError(f"--output-format {format}: give a file with --output", exit_codes.USAGE)

    def __enter__(self) -> Output:
        if self._file is not None:
            try:
                self._file.__enter__()
            except BlockingIOError:
                busy = f"--output {self._path}: another batch writes {self._file.part}"
                raise CommandError(busy, exit_codes.BUSY) from None
            except OSError as error:
                raise CommandError(f"--output {self._path}: {error.strerror or error}", exit_codes.USAGE) from None
        return self

    def write(self, result: BatchResult) -> None:
        """Write a result and flush."""
        if self._file is None:
            print_json(result_row(result, with_input=self._with_input), pretty=False)
            return
        with writing_output():
            self._file.write(result)

    def complete(self) -> None:
        """Rename the file: all results have been written."""
        if self._file is not None:
            with writing_output():
                self._file.complete()

    def __exit__(self, *details: Any) -> None:
        if self._file is not None:
            self._file.__exit__(*details)


class Tally:
    """Counts the results and derives the exit code."""

    def __init__(self) -> None:
        self.done = self.failed = self._paused = self._refused = self._changed = self._not_run = 0
        self._codes: Set[int] = set()

    def add(self, result: BatchResult) -> None:
        """Count a result, and print the error of an input that could not be run.

        Raises the error if the server refused the API key, since it would refuse it for all inputs.
        """
        error: Optional[LangGraphRunsError] = result.error
        self.done += error is None
        self.failed += error is not None
        self._paused += result.paused
        if error is not None:
            self._codes.add(exit_codes.code_of(error))
            if isinstance(error, (AuthenticationError, PermissionDeniedError)):
                raise error
            self._changed += isinstance(error, LedgerError)
            self._refused += isinstance(error, InvalidRequestError)
            if isinstance(error, (InvalidRequestError, LedgerError, APIStatusError)):
                self._not_run += 1
                if self._not_run <= _SHOWN_ERRORS:
                    print_message(str(error))
                elif self._not_run == _SHOWN_ERRORS + 1:
                    print_message("the messages of further inputs that cannot be run are in their results")

    def summarize(self, args: argparse.Namespace, *, ended: bool) -> int:
        """Print how many inputs failed or are paused, if any; return the exit code. *ended*: not all inputs were started."""
        if self.failed:
            hint = "" if args.ledger is None else f"; {self._remedy(Ledger(args.ledger))}"
            print_message(f"{self.failed} of {self.done + self.failed} inputs failed{hint}")
            if ended and args.output != "-":
                print_message(f"no more inputs were started; the results so far are in {args.output}.part")
            return self._codes.pop() if len(self._codes) == 1 else exit_codes.FAILED
        if self._paused:
            print_message(f"{self._paused} of {self.done} runs wait for a human")
            return exit_codes.PAUSED
        return exit_codes.OK

    def _remedy(self, ledger: Ledger) -> str:
        """Return how the failed inputs can be run."""
        remedies = {}
        if self._refused:
            remedies["that cannot be sent"] = (self._refused, "the same command runs them when they are corrected")
        if self._changed:
            text = "their keys are in the ledger with other inputs: give them other keys, or use another ledger"
            remedies["that have changed"] = (self._changed, text)
        started = self.failed - self._refused - self._changed
        if started:
            again = f"to try them again: langgraph-runs ledger retry-failed {shlex.quote(ledger.path)}"  # without a password
            remedies["whose runs failed"] = (started, again if ledger.counts()["failed"] else "the same command runs them again")
        if len(remedies) == 1:
            return next(text for _, text in remedies.values())
        return "; ".join(f"{count} {which}: {text}" for which, (count, text) in remedies.items())


COMMAND = Command(
    name="batch",
    summary="run an assistant on each row of a file",
    description=(
        "Runs an assistant on each row of a file of JSON lines, CSV or Parquet, several at a time, each on a thread of its own, "
        "and writes a row for each: key, index, status, values, error, run_id, thread_id, attempts, seconds, paused. In CSV and "
        "Parquet the values are JSON text, and the error is in error_class and error_message. Parquet needs the extra `tables`.\n\n"
        "A row that cannot be read is an error of that row, which names its line or number; the others are run. In CSV, each cell "
        "is text, unless --json-columns names its column.\n\n"
        "With --ledger, the same command continues after a kill: inputs that were finished are not run again, and runs that were "
        "unfinished are looked up on the server. Inputs that failed stay failed until `langgraph-runs ledger retry-failed`. The "
        "file given with -o exists when all inputs are done; until then the rows are in FILE.part, which in Parquet cannot be "
        "read after a kill. Every start writes the file again from the beginning, with the results that the ledger has.\n\n"
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
        ("langgraph-runs batch agent in.parquet -o out.parquet --key id --columns question,words", "from Parquet to Parquet"),
        ("langgraph-runs batch agent in.jsonl --key id -c 4 | jq -c 'select(.error)'", "four at a time; show only what failed"),
    ],
    exits=exit_codes.OF_A_STARTED_RUN,
)
