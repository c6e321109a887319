"""The options of the commands that start a run, and what the library is told for them."""

from __future__ import annotations

import argparse
import typing
from typing import Any, Dict

from ..options import Durability, IfNotExists, MultitaskStrategy, StreamMode
from .inputs import count, flat, json_object, json_value, limit, names, pair, read_input, value_of

__all__ = ["ENDINGS", "add_endings", "add_graph_options", "add_run_options", "graph_options", "run_options"]

ENDINGS = ("cancel", "detach")


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """The assistant, the input, and how the run is to be."""
    parser.add_argument("assistant", metavar="ASSISTANT", help="name of a graph, or id of an assistant")
    given = parser.add_argument_group(
        "input",
        "JSON in UTF-8. The pairs are laid over --input or --input-file; their values are JSON where they are some, else text.",
    )
    given.add_argument("pairs", metavar="KEY=VALUE", nargs="*", type=pair, help="a key of the input; a.b=1 goes one level down")
    given.add_argument("-i", "--input", metavar="JSON", help="the input; @PATH reads it from a file")
    given.add_argument("--input-file", metavar="PATH", help="the input, from a file, or from stdin for -")
    given.add_argument("--resume", metavar="ANSWER", help="instead of input: answers the question that the thread has paused for")
    given.add_argument("--command", metavar="JSON", dest="command_json", help="instead of input: resume, goto and update")
    run = add_graph_options(parser)
    run.add_argument("-t", "--thread", metavar="ID", help="run on this thread; else on one of its own")
    run.add_argument("--if-not-exists", choices=typing.get_args(IfNotExists), help="whether --thread is made if it is not there")
    run.add_argument(
        "--multitask-strategy", choices=typing.get_args(MultitaskStrategy), help="what to do when --thread is busy (enqueue)"
    )
    run.add_argument("--checkpoint-id", metavar="ID", help="where in the thread's history to start")


def add_graph_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """What runs can be told beside their input, and on whatever thread."""
    run = parser.add_argument_group("run")
    run.add_argument("-m", "--metadata", metavar="KEY=VALUE", action="append", type=pair, help="kept with the run; may be repeated")
    run.add_argument("--config", metavar="JSON", help="tags, recursion_limit, configurable and metadata for the graph")
    run.add_argument("--context", metavar="JSON", help="static context for the graph")
    run.add_argument("--recursion-limit", metavar="N", type=count(1), help="steps that the graph may take")
    run.add_argument("--interrupt-before", metavar="NODES", action="append", help="pause before these nodes: a,b or *")
    run.add_argument("--interrupt-after", metavar="NODES", action="append", help="pause after these nodes: a,b or *")
    run.add_argument("--stream-mode", metavar="MODES", action="append", help=f"one or more of {', '.join(modes())}")
    run.add_argument("--subgraphs", action="store_true", help="subgraphs stream as well")
    run.add_argument("--durability", choices=typing.get_args(Durability), help="when checkpoints are written (async)")
    run.add_argument("--webhook", metavar="URL", help="the server posts the finished run to it")
    run.add_argument("--after", metavar="TIME", type=limit, help="the server waits so long before it starts the run")
    run.add_argument("--field", metavar="KEY=VALUE", action="append", type=pair, help="a field of the request, sent as it is")
    return run


def modes() -> typing.List[str]:
    """The stream modes that can be asked for."""
    return [mode for mode in typing.get_args(StreamMode) if mode != "metadata"]


def add_endings(parser: argparse.ArgumentParser, *, default: str) -> None:
    """What becomes of the run when the command ends before it."""
    group = parser.add_argument_group("ending early")
    group.add_argument("--timeout", metavar="TIME", type=limit, help="how long all of it may take: 90, 90s, 10m, 2h (no limit)")
    group.add_argument("--on-timeout", choices=ENDINGS, default=default, help=f"what to do with the run then ({default})")
    group.add_argument(
        "--on-interrupt",
        choices=ENDINGS,
        default=default,
        help=f"what to do with the run on Ctrl-C, SIGTERM, or when nobody reads the output ({default}); "
        "a second Ctrl-C quits at once",
    )


def graph_options(args: argparse.Namespace) -> Dict[str, Any]:
    """Of the options of ``client.runs`` that were given, those of `add_graph_options`."""
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
    """The options of ``client.runs`` that were given."""
    command: Any = None if args.command_json is None else json_object("--command", args.command_json)
    if args.resume is not None:
        answer = json_value("--resume", args.resume) if args.resume.startswith("@") else value_of(args.resume)
        command = {**(command or {}), "resume": answer}
    options = {
        **graph_options(args),
        "input": read_input(args),
        "command": command,
        "if_not_exists": args.if_not_exists,
        "multitask_strategy": args.multitask_strategy,
        "checkpoint_id": args.checkpoint_id,
    }
    return {name: value for name, value in options.items() if value is not None}
