"""The options of the commands that start a run, and the arguments of ``client.runs`` that they become."""

from __future__ import annotations

import argparse
import typing
from typing import Any, Dict

from ..options import Durability, IfNotExists, MultitaskStrategy, StreamMode
from .values import count, flat, json_object, json_value, limit, names, pair, read_input, value_of

__all__ = ["ENDINGS", "add_endings", "add_graph_options", "add_input", "add_run_options", "graph_options", "run_options"]

ENDINGS = ("cancel", "detach")


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and options for the assistant, the input and the run."""
    parser.add_argument("assistant", metavar="ASSISTANT", help="name of a graph, or id of an assistant")
    given = add_input(parser, "input")
    given.add_argument(
        "--resume", metavar="ANSWER", help="instead of input: the answer to the question that the thread is paused at"
    )
    given.add_argument(
        "--command", metavar="JSON", dest="command_json", help="instead of input: a command object with resume, goto or update"
    )
    run = add_graph_options(parser)
    run.add_argument("-t", "--thread", metavar="ID", help="run on this thread; default: a thread of the run's own")
    run.add_argument("--if-not-exists", choices=typing.get_args(IfNotExists), help="what to do if --thread does not exist (reject)")
    run.add_argument(
        "--multitask-strategy", choices=typing.get_args(MultitaskStrategy), help="what to do when --thread is busy (enqueue)"
    )
    run.add_argument("--checkpoint-id", metavar="ID", help="where in the thread's history to start")
    run.add_argument(
        "--idempotency-key",
        metavar="KEY",
        help="start one run for this key, however often the command is repeated; a repeated one gets the run of the first",
    )


def add_input(parser: argparse.ArgumentParser, title: str) -> argparse._ArgumentGroup:
    """Add the arguments and options that `read_input` reads; return their group, which has this title."""
    given = parser.add_argument_group(
        title,
        "JSON in UTF-8. KEY=VALUE pairs are merged into --input or --input-file; a value that is not valid JSON is taken as text.",
    )
    given.add_argument(
        "pairs", metavar="KEY=VALUE", nargs="*", default=None, type=pair, help='a key of the input; a.b=1 means {"a": {"b": 1}}'
    )
    given.add_argument("-i", "--input", metavar="JSON", help="the input; @PATH reads it from a file")
    given.add_argument("--input-file", metavar="PATH", help="the input, from a file, or from stdin for -")
    return given


def add_graph_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add the options that runs have beside their input, on any thread; return their group."""
    run = parser.add_argument_group("run")
    run.add_argument("-m", "--metadata", metavar="KEY=VALUE", action="append", type=pair, help="kept with the run; may be repeated")
    run.add_argument("--config", metavar="JSON", help="tags, recursion_limit, configurable and metadata for the graph")
    run.add_argument("--context", metavar="JSON", help="the graph's runtime context, a JSON object")
    run.add_argument("--recursion-limit", metavar="N", type=count(1), help="at most N steps of the graph")
    run.add_argument("--interrupt-before", metavar="NODES", action="append", help="pause before these nodes: a,b or *")
    run.add_argument("--interrupt-after", metavar="NODES", action="append", help="pause after these nodes: a,b or *")
    run.add_argument("--stream-mode", metavar="MODES", action="append", help=f"one or more of {', '.join(modes())}")
    run.add_argument("--subgraphs", action="store_true", help="stream the events of subgraphs too")
    run.add_argument("--durability", choices=typing.get_args(Durability), help="when checkpoints are written (async)")
    run.add_argument("--webhook", metavar="URL", help="the server posts the finished run to this URL")
    run.add_argument("--after", metavar="TIME", type=limit, help="the server starts the run after this delay")
    run.add_argument(
        "--field",
        metavar="KEY=VALUE",
        action="append",
        type=pair,
        help="a field of the request body, sent unchanged; may be repeated",
    )
    return run


def modes() -> typing.List[str]:
    """Return the stream modes that can be requested."""
    return [mode for mode in typing.get_args(StreamMode) if mode != "metadata"]


def add_endings(parser: argparse.ArgumentParser, *, default: str) -> None:
    """Add the options that say what happens to the run when the command ends before the run does."""
    group = parser.add_argument_group("ending early")
    group.add_argument("--timeout", metavar="TIME", type=limit, help="limit for the whole command: 90, 90s, 10m, 2h (no limit)")
    group.add_argument(
        "--on-timeout", choices=ENDINGS, default=default, help=f"what to do with the run after --timeout ({default})"
    )
    group.add_argument(
        "--on-interrupt",
        choices=ENDINGS,
        default=default,
        help=f"what to do with the run on Ctrl-C, SIGTERM, SIGHUP, or when the output is closed ({default}); a second Ctrl-C quits",
    )


def graph_options(args: argparse.Namespace) -> Dict[str, Any]:
    """Return the given options of `add_graph_options` as arguments of ``client.runs``."""
    config = None if args.config is None else json_object("--config", args.config)
    if args.recursion_limit is not None:
        config = {**(config or {}), "recursion_limit": args.recursion_limit}
    options = {
        "config": config,
        "context": None if args.context is None else json_object("--context", args.context),
        "metadata": flat("--metadata", args.metadata),
        "interrupt_before": names(args.interrupt_before),
        "interrupt_after": names(args.interrupt_after),
        "stream_mode": names(args.stream_mode),
        "stream_subgraphs": True if args.subgraphs else None,
        "durability": args.durability,
        "webhook": args.webhook,
        "after_seconds": args.after,
        "kwargs": flat("--field", args.field),
    }
    return {name: value for name, value in options.items() if value is not None}


def run_options(args: argparse.Namespace) -> Dict[str, Any]:
    """Return the given options of `add_run_options` as arguments of ``client.runs``."""
    command: Any = None if args.command_json is None else json_object("--command", args.command_json)
    if args.resume is not None:
        resume = json_value("--resume", args.resume) if args.resume.startswith("@") else value_of(args.resume)
        command = {**(command or {}), "resume": resume}
    options = {
        **graph_options(args),
        "input": read_input(args),
        "command": command,
        "if_not_exists": args.if_not_exists,
        "multitask_strategy": args.multitask_strategy,
        "checkpoint_id": args.checkpoint_id,
        "idempotency_key": args.idempotency_key,
    }
    return {name: value for name, value in options.items() if value is not None}
