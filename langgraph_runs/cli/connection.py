"""The options of every command that sends requests: URL, API key, timeouts, attempts; and the client that they describe."""

from __future__ import annotations

import argparse
import contextlib
import logging
import shlex
import sys
from typing import Any, Dict, Iterator

from .. import APIStatusError, Client, LangGraphRunsError, RetryPolicy, exit_codes
from ..http import split_login
from .command import CommandError
from .console import print_message
from .values import count, limit

__all__ = ["add_connection", "client_of", "log_shown", "proxy_remedy", "repeated"]


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Add the options of every command that sends requests."""
    group = parser.add_argument_group("server")
    group.add_argument("--url", metavar="URL", help="URL of the server; default: LANGGRAPH_API_URL, else http://localhost:2024")
    group.add_argument(
        "--api-key-file",
        metavar="PATH",
        help="file with the API key; default: the first of LANGGRAPH_API_KEY, LANGSMITH_API_KEY, LANGCHAIN_API_KEY that is set",
    )
    group.add_argument(
        "--api-key", metavar="KEY", help="the API key itself; other users of this machine can see it in the list of processes"
    )
    group.add_argument("--header", metavar="NAME:VALUE", action="append", help="an additional HTTP header; may be repeated")
    group.add_argument(
        "--ca-file", metavar="PATH", help="file of trusted CA certificates; default: REQUESTS_CA_BUNDLE, else those of certifi"
    )
    group.add_argument("--connect-timeout", metavar="TIME", type=limit, default=5.0, help="limit for connecting (5s)")
    group.add_argument(
        "--read-timeout", metavar="TIME", type=limit, default=30.0, help="longest silence before a request is repeated (30s)"
    )
    group.add_argument("--attempts", metavar="N", type=count(1), default=4, help="attempts per request, the first included (4)")
    group.add_argument("-v", "--verbose", action="store_true", help="log each request, and the causes of errors, to stderr")


def repeated(command: str, args: argparse.Namespace) -> str:
    """Return a command line for a message: ``langgraph-runs``, *command*, and the options of *args* that name the server."""
    options = [
        ("--url", split_login(args.url)[0] if args.url else None),
        ("--api-key-file", args.api_key_file),
        ("--ca-file", args.ca_file),
    ]
    given = [f" {name} {shlex.quote(value)}" for name, value in options if value]
    return f"langgraph-runs {command}{''.join(given)}"


def client_of(args: argparse.Namespace, **options: Any) -> Client:
    """Return the client that the arguments describe. *options* are further options of `Client`."""
    given: Dict[str, Any] = {
        "headers": dict(_header(text) for text in args.header or ()),
        "connect_timeout": args.connect_timeout,
        "read_timeout": args.read_timeout,
        "retry": RetryPolicy(attempts=args.attempts),
        **options,
    }
    if args.api_key is not None and args.api_key_file is not None:
        raise CommandError("--api-key excludes --api-key-file", exit_codes.USAGE)
    if args.api_key is not None:
        print_message("warning: anybody on this machine can read --api-key in the list of processes; use --api-key-file")
        given["api_key"] = args.api_key
    elif args.api_key_file is not None:
        given["api_key"] = read_key(args.api_key_file)
    if args.ca_file is not None:
        given["verify"] = args.ca_file
    return Client(args.url, **given)


def proxy_remedy(error: LangGraphRunsError) -> str:
    """Return what to do about an error of the proxy in front of the server, or "" if it is not known to be the proxy's.

    >>> proxy_remedy(APIStatusError("Proxy Authentication Required", status_code=407))
    "the proxy requires a login: put it into the proxy's URL, http://user:password@host:port"
    """
    if not isinstance(error, APIStatusError):
        return ""
    if error.status_code == 407:
        return "the proxy requires a login: put it into the proxy's URL, http://user:password@host:port"
    return "does the proxy allow this server?" if error.message.startswith("the proxy opens no tunnel") else ""


def read_key(path: str) -> str:
    """Read the API key from a file."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            key = file.read(65536).strip()
    except OSError as error:
        raise CommandError(f"--api-key-file {path}: {error.strerror or error}", exit_codes.USAGE) from None
    except UnicodeDecodeError:
        raise CommandError(f"--api-key-file {path}: not a text file", exit_codes.USAGE) from None
    if not key:
        raise CommandError(f"--api-key-file {path}: the file is empty", exit_codes.USAGE)
    return key


@contextlib.contextmanager
def log_shown(args: argparse.Namespace) -> Iterator[None]:
    """With ``--verbose``, print the library's log records to stderr."""
    if not getattr(args, "verbose", False):
        yield
        return
    log = logging.getLogger("langgraph_runs")
    before = log.level
    handler = logging.StreamHandler(sys.stderr)
    # With --log-timestamps, stderr itself begins each line with the time.
    handler.setFormatter(logging.Formatter(f"{'' if args.log_timestamps else '%(asctime)s '}%(levelname)s %(message)s"))
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
        raise CommandError(f"--header {name}: give NAME:VALUE", exit_codes.USAGE)
    return name.strip(), value.strip()
