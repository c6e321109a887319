"""Which server, with which key, and how patiently: the options of every command that asks a server."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
from typing import Any, Dict, Iterator

from .. import Client, RetryPolicy
from . import codes
from .command import CommandError
from .console import complain
from .inputs import count, limit

__all__ = ["add_connection", "client_of", "log_shown"]


def add_connection(parser: argparse.ArgumentParser) -> None:
    """The options of every command that asks a server."""
    group = parser.add_argument_group("server")
    group.add_argument("--url", metavar="URL", help="of the server; else LANGGRAPH_API_URL, else http://localhost:2024")
    group.add_argument(
        "--api-key-file",
        metavar="PATH",
        help="file that holds the key; else the first of LANGGRAPH_API_KEY, LANGSMITH_API_KEY, LANGCHAIN_API_KEY",
    )
    group.add_argument("--api-key", metavar="KEY", help="the key itself: anybody on this machine can read it there")
    group.add_argument("--header", metavar="NAME:VALUE", action="append", help="a further header; may be repeated")
    group.add_argument("--ca-file", metavar="PATH", help="certificates to trust; else REQUESTS_CA_BUNDLE, else the usual ones")
    group.add_argument("--connect-timeout", metavar="TIME", type=limit, default=5.0, help="to connect (5s)")
    group.add_argument("--read-timeout", metavar="TIME", type=limit, default=30.0, help="of silence, before asking again (30s)")
    group.add_argument("--attempts", metavar="N", type=count(1), default=4, help="tries of a request that fails (4)")
    group.add_argument("-v", "--verbose", action="store_true", help="tell on stderr of each request, and of errors their causes")


def client_of(args: argparse.Namespace, **options: Any) -> Client:
    """The client that the arguments ask for."""
    given: Dict[str, Any] = {
        "headers": dict(_header(text) for text in args.header or ()),
        "connect_timeout": args.connect_timeout,
        "read_timeout": args.read_timeout,
        "retry": RetryPolicy(attempts=args.attempts),
        **options,
    }
    if args.api_key is not None and args.api_key_file is not None:
        raise CommandError("--api-key excludes --api-key-file", codes.USAGE)
    if args.api_key is not None:
        complain("warning: anybody on this machine can read --api-key in the list of processes; use --api-key-file")
        given["api_key"] = args.api_key
    elif args.api_key_file is not None:
        given["api_key"] = key_in(args.api_key_file)
    if args.ca_file is not None:
        given["verify"] = args.ca_file
    return Client(args.url, **given)


def key_in(path: str) -> str:
    """The key that stands in a file."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            key = file.read(65536).strip()
    except OSError as error:
        raise CommandError(f"--api-key-file {path}: {error.strerror or error}", codes.USAGE) from None
    except UnicodeDecodeError:
        raise CommandError(f"--api-key-file {path}: that is no text", codes.USAGE) from None
    if not key:
        raise CommandError(f"--api-key-file {path}: the file is empty", codes.USAGE)
    return key


@contextlib.contextmanager
def log_shown(args: argparse.Namespace) -> Iterator[None]:
    """With --verbose, the log of the library on stderr."""
    if not getattr(args, "verbose", False):
        yield
        return
    log = logging.getLogger("langgraph_runs")
    before = log.level
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


def _header(text: str) -> Any:
    name, sign, value = text.partition(":")
    if not sign or not name.strip():
        raise CommandError(f"--header {name}: give NAME:VALUE", codes.USAGE)
    return name.strip(), value.strip()
