"""``langgraph-runs doctor``: what stands between this machine and the server, and what to do about it."""

from __future__ import annotations

import argparse
import os
import platform
import time
import urllib.parse
from typing import Iterator, List, NamedTuple, Optional, Tuple

from .. import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    Client,
    LangGraphRunsError,
    NotFoundError,
    PermissionDeniedError,
    ResponseDecodeError,
    __version__,
)
from ..client import KEY_VARIABLES
from ..http import Request, Response, http_date, split_login
from . import exit_codes
from .command import Command
from .connection import add_connection, client_of
from .console import escape_controls, print_json, write_output
from .values import limit

__all__ = ["COMMAND"]

_LIBRARIES = ("requests", "urllib3", "sseclient-py", "tenacity", "attrs", "cattrs", "orjson")
#: Requests whose time is measured.
_ROUNDS = 3
#: Seconds that two clocks may differ before something that compares times goes wrong.
_SKEW = 30.0


class Finding(NamedTuple):
    """One thing that was looked at."""

    #: ``ok``, ``warning`` or ``failed``.
    verdict: str
    what: str
    found: str
    #: What to do about it.
    remedy: str = ""
    code: int = exit_codes.OK


def configure_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--timeout", metavar="TIME", type=limit, default=10.0, help="for each request (10s)")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each thing that was looked at")
    add_connection(parser)


def run_doctor(args: argparse.Namespace) -> int:
    worst = exit_codes.OK
    with client_of(args, timeout=args.timeout) as client:
        for finding in examine(client, args):
            worst = worst or finding.code
            if args.json:
                print_json({name: value for name, value in finding._asdict().items() if name != "code"}, pretty=False)
                continue
            mark = {"ok": "ok", "warning": "!!", "failed": "FAILED"}[finding.verdict]
            write_output(f"{mark:<7} {finding.what + ':':<9} {escape_controls(' '.join(finding.found.split()))}\n")
            if finding.remedy:
                write_output(f"{'':<18}{finding.remedy}\n")
    return worst


def examine(client: Client, args: argparse.Namespace) -> Iterator[Finding]:
    """All that there is to look at; after a failure, only what can still be looked at."""
    yield here()
    yield address(client, args)
    yield key(client, args)
    proxied, finding = proxy(client.base_url)
    yield finding
    try:
        answer, seconds = asked(client)
    except LangGraphRunsError as error:
        yield unreachable(error, client.base_url, proxied=proxied)
        return
    yield reached(client, seconds)
    yield clock(answer, time.time())
    yield from accepted(client)


def here() -> Finding:
    """Versions on this side."""
    import importlib.metadata

    told = [f"langgraph_runs {__version__}", f"{platform.python_implementation()} {platform.python_version()}"]
    missing = []
    for name in _LIBRARIES:
        try:
            told.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            # orjson is used where there is a wheel of it, and not needed.
            if name != "orjson":
                missing.append(name)
    if missing:
        return Finding(
            "warning", "here", ", ".join(told), f"not installed by pip: {', '.join(missing)}; pip install langgraph_runs"
        )
    return Finding("ok", "here", ", ".join(told))


def address(client: Client, args: argparse.Namespace) -> Finding:
    """Which server, and who said so."""
    variable = os.environ.get("LANGGRAPH_API_URL")
    source = "--url" if args.url else "LANGGRAPH_API_URL" if variable else "the default; set LANGGRAPH_API_URL or give --url"
    return Finding("ok", "server", f"{client.base_url}, from {source}")


def key(client: Client, args: argparse.Namespace) -> Finding:
    """Whether there is a key, and where it comes from; never the key itself."""
    given = "--api-key-file" if args.api_key_file else "--api-key" if args.api_key else None
    source = given or next((name for name in KEY_VARIABLES if os.environ.get(name, "").strip("\"' \t\n")), None)
    if source is None:
        return Finding("ok", "key", f"none: neither --api-key-file nor any of {', '.join(KEY_VARIABLES)}")
    parts = urllib.parse.urlsplit(client.base_url)
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        remedy = "it goes over the network in clear text: use https:// where the server has it"
        return Finding("warning", "key", f"from {source}", remedy)
    return Finding("ok", "key", f"from {source}")


def proxy(url: str) -> Tuple[bool, Finding]:
    """Which proxy of the environment a request would take."""
    import urllib.request

    parts = urllib.parse.urlsplit(url)
    proxies = urllib.request.getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    host = parts.hostname or ""
    if found is None:
        return False, Finding("ok", "proxy", "none")
    told = split_login(found if "://" in found else f"http://{found}")[0]
    if urllib.request.proxy_bypass(f"{host}:{parts.port}" if parts.port else host):
        return False, Finding("ok", "proxy", f"{told}, but not for {host}")
    if host in ("localhost", "127.0.0.1", "::1"):
        remedy = f"a proxy cannot reach this machine for you: export NO_PROXY={host}"
        return True, Finding("warning", "proxy", f"{told}, for {host}", remedy)
    return True, Finding("ok", "proxy", told)


def asked(client: Client) -> Tuple[Response, List[float]]:
    """The server's answer, and how long each of some took."""
    request = Request(method="GET", path="/ok")
    seconds = []
    for _ in range(_ROUNDS + 1):
        begun = time.monotonic()
        with client._transport.scope() as scope:
            answer = client._transport.call(request, scope)
        seconds.append(time.monotonic() - begun)
    return answer, seconds


def unreachable(error: LangGraphRunsError, url: str, *, proxied: bool) -> Finding:
    """Why the server did not answer, and what to do."""
    return Finding(
        "failed", "reach", str(error), remedy_for(error, url, proxied=proxied), exit_codes.code_of(error) or exit_codes.UNREACHABLE
    )


def remedy_for(error: LangGraphRunsError, url: str, *, proxied: bool) -> str:
    """What to do about a server that does not answer."""
    parts = urllib.parse.urlsplit(url)
    where = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    text = str(error).lower()
    if isinstance(error, (AuthenticationError, PermissionDeniedError)):
        return "give a key in LANGGRAPH_API_KEY or --api-key-file; perhaps a proxy before the server wants it"
    if isinstance(error, APIStatusError):
        if error.status_code == 407:
            return "the proxy wants a login: put it into the proxy's URL, http://user:password@host:port"
        if isinstance(error, NotFoundError):
            return "something else answers there: does --url lack the server's mount prefix, or name another port?"
        if error.status_code < 400:
            return "it redirects: give the URL that it names, with https:// perhaps"
        return "the server, or what stands before it, is not well: look at its log, try again later"
    if isinstance(error, ResponseDecodeError):
        return "something else answers there: is it a LangGraph server?"
    if "certificate" in text:
        return "its certificate is not trusted here: give your authority's with --ca-file, or set REQUESTS_CA_BUNDLE"
    if "ssl" in text or "tls" in text:
        return "the server speaks no TLS there, or not as it should: try http:// in --url"
    if proxied:
        return "is the proxy right? unset it, or name the server in NO_PROXY"
    if isinstance(error, APITimeoutError):
        return f"nothing came back from {where}: a firewall, a wrong address, or a server that hangs"
    if "refused" in text:
        return f"nothing listens on {where}: start the server (`langgraph dev`), or correct --url"
    if isinstance(error, APIConnectionError) and error.sent is False:
        return "is the host's name right, and does this machine have a network?"
    return "it broke off in the middle: is it a LangGraph server, and does it speak http there and not https?"


def reached(client: Client, seconds: List[float]) -> Finding:
    """The server's version and how fast it answers."""
    told = f"connected and answered in {seconds[0] * 1000:.0f} ms, then in {sorted(seconds[1:])[_ROUNDS // 2] * 1000:.1f} ms"
    try:
        info = client.info()
    except LangGraphRunsError as error:
        return Finding(
            "warning", "reach", f"{told}; no version: {error}", "it may be another server with the same API; that is fine"
        )
    return Finding("ok", "reach", f"{told}; version {info.version or 'not told'}")


def clock(answer: Response, now: float) -> Finding:
    """Whether the clocks agree."""
    theirs: Optional[float] = http_date(answer.headers.get("date", ""))
    if theirs is None:
        return Finding("ok", "clock", "the server does not tell its time")
    ahead = theirs - now
    told = f"the server's is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    if abs(ahead) > _SKEW:
        return Finding(
            "warning", "clock", told, "set the wrong one (NTP): times of runs are the server's, --older-than counts here"
        )
    return Finding("ok", "clock", told)


def accepted(client: Client) -> Iterator[Finding]:
    """Whether the server lets us in, and what can be run there."""
    try:
        found = client.assistants.search(limit=100)
        client.threads.search(limit=1, select=["thread_id"])
    except (AuthenticationError, PermissionDeniedError) as error:
        remedy = "give a key that is valid on this server in LANGGRAPH_API_KEY or --api-key-file"
        yield Finding("failed", "access", str(error), remedy, exit_codes.REFUSED)
        return
    except LangGraphRunsError as error:
        yield Finding("failed", "access", str(error), "look at the server's log", exit_codes.code_of(error))
        return
    graphs = sorted({assistant.graph_id or assistant.assistant_id for assistant in found})
    if not graphs:
        yield Finding("warning", "access", "granted, but there is no assistant to be seen", "does this key see those of others?")
        return
    shown = ", ".join(graphs[:20]) + (" and more" if len(graphs) > 20 else "")
    yield Finding("ok", "access", f"granted; it runs {shown}")


COMMAND = Command(
    name="doctor",
    summary="find out why the server cannot be used",
    description=(
        "Looks at what a call needs, one thing after the other: the versions here, the address, the key (whether there is one, "
        "not what it is), the proxy of the environment, whether the server answers and how fast, the two clocks, and whether "
        "the key is accepted. Says what to do about each failure. A warning (!!) does not change the exit code. Nothing is "
        "changed on the server."
    ),
    configure=configure_doctor,
    run=run_doctor,
    examples=[("langgraph-runs doctor --url https://runs.example.com --api-key-file key.txt", "look at this server")],
    exits=[exit_codes.TIMED_OUT, exit_codes.UNREACHABLE, exit_codes.REFUSED],
)
