"""``langgraph-runs doctor``: find out why the server cannot be used, and what to do about it."""

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
    exit_codes,
)
from ..api import PROBES, probe
from ..client import KEY_VARIABLES
from ..http import Response, http_date, split_login
from .command import Command
from .conformance import check_conformance_options, configure_conformance, run_conformance
from .connection import add_connection, client_of, proxy_remedy
from .console import escape_controls, print_json, write_output
from .values import limit

__all__ = ["COMMAND"]

_LIBRARIES = ("requests", "urllib3", "sseclient-py", "tenacity", "attrs", "cattrs", "orjson")
#: Requests on the open connection whose time is measured.
_ROUNDS = 3
#: Seconds that the two clocks may differ without a warning.
_MAX_SKEW = 30.0


class Finding(NamedTuple):
    """The result of one check."""

    #: ``ok``, ``warning`` or ``failed``.
    verdict: str
    #: The name of the check.
    what: str
    #: What was found, in words.
    found: str
    #: What to do about it, or "".
    remedy: str = ""
    #: The exit code that it makes.
    code: int = exit_codes.OK


def configure_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--timeout", metavar="TIME", type=limit, default=10.0, help="limit for each request (10s)")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each check")
    configure_conformance(parser)
    add_connection(parser)


def run_doctor(args: argparse.Namespace) -> int:
    check_conformance_options(args)
    if args.conformance:
        return run_conformance(args)
    code = exit_codes.OK
    with client_of(args, timeout=args.timeout) as client:
        for finding in examine(client, args):
            code = code or finding.code
            if args.json:
                print_json({name: value for name, value in finding._asdict().items() if name != "code"}, pretty=False)
                continue
            mark = {"ok": "ok", "warning": "!!", "failed": "FAILED"}[finding.verdict]
            write_output(f"{mark:<7} {finding.what + ':':<9} {escape_controls(' '.join(finding.found.split()))}\n")
            if finding.remedy:
                write_output(f"{'':<18}{finding.remedy}\n")
    return code


def examine(client: Client, args: argparse.Namespace) -> Iterator[Finding]:
    """Yield the result of each check. If the server cannot be reached, the checks that need it are skipped."""
    yield installed()
    yield address(client, args)
    yield key(client, args)
    proxied, finding = proxy(client.base_url)
    yield finding
    try:
        path, response, seconds = request_probe(client)
    except LangGraphRunsError as error:
        yield unreachable(error, client.base_url, proxied=proxied)
        return
    yield reached(client, path, seconds)
    yield clock(response, time.time())
    yield from access(client)


def installed() -> Finding:
    """Check the versions of the library, of Python and of the libraries that it needs."""
    import importlib.metadata

    versions = [f"langgraph_runs {__version__}", f"{platform.python_implementation()} {platform.python_version()}"]
    missing = []
    for name in _LIBRARIES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            # orjson is optional: it is installed only if there is a wheel for this platform.
            if name != "orjson":
                missing.append(name)
    if missing:
        return Finding(
            "warning", "here", ", ".join(versions), f"not installed by pip: {', '.join(missing)}; pip install langgraph_runs"
        )
    return Finding("ok", "here", ", ".join(versions))


def address(client: Client, args: argparse.Namespace) -> Finding:
    """Show the server's URL, and where it comes from."""
    variable = os.environ.get("LANGGRAPH_API_URL")
    source = "--url" if args.url else "LANGGRAPH_API_URL" if variable else "the default; set LANGGRAPH_API_URL or give --url"
    return Finding("ok", "server", f"{client.base_url}, from {source}")


def key(client: Client, args: argparse.Namespace) -> Finding:
    """Check whether there is an API key, and where it comes from. The key itself is not shown."""
    given = "--api-key-file" if args.api_key_file else "--api-key" if args.api_key else None
    source = given or next((name for name in KEY_VARIABLES if os.environ.get(name, "").strip("\"' \t\n")), None)
    if source is None:
        return Finding("ok", "key", f"none: neither --api-key-file nor any of {', '.join(KEY_VARIABLES)}")
    parts = urllib.parse.urlsplit(client.base_url)
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        remedy = "the key is sent over the network unencrypted: use https:// if the server supports it"
        return Finding("warning", "key", f"from {source}", remedy)
    return Finding("ok", "key", f"from {source}")


def proxy(url: str) -> Tuple[bool, Finding]:
    """Check which proxy of the environment is used for the server; return also True if one is used."""
    import urllib.request

    parts = urllib.parse.urlsplit(url)
    proxies = urllib.request.getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    host = parts.hostname or ""
    if found is None:
        return False, Finding("ok", "proxy", "none")
    shown = split_login(found if "://" in found else f"http://{found}")[0]  # without user and password
    if urllib.request.proxy_bypass(f"{host}:{parts.port}" if parts.port else host):
        return False, Finding("ok", "proxy", f"{shown}, but not for {host}")
    if host in ("localhost", "127.0.0.1", "::1"):
        remedy = f"a proxy cannot reach this machine's own address: export NO_PROXY={host}"
        return True, Finding("warning", "proxy", f"{shown}, for {host}", remedy)
    return True, Finding("ok", "proxy", shown)


def request_probe(client: Client) -> Tuple[str, Response, List[float]]:
    """Request ``/ok`` several times or, from a server that does not have it, something else.

    Return its path, the last response, and the seconds that each request took. Raise the error of ``/ok`` if it has none of them.
    """
    first: Optional[NotFoundError] = None
    for path in PROBES:
        seconds = []
        try:
            for _ in range(_ROUNDS + 1):
                start = time.monotonic()
                with client._transport.scope() as scope:
                    response = probe(client._transport, scope, path)
                seconds.append(time.monotonic() - start)
            return path, response, seconds
        except NotFoundError as error:
            first = first or error
        except ResponseDecodeError as error:
            raise first or error from error  # another program
    assert first is not None
    raise first


def unreachable(error: LangGraphRunsError, url: str, *, proxied: bool) -> Finding:
    """Describe why there was no usable response, and what to do."""
    return Finding(
        "failed", "reach", str(error), remedy_for(error, url, proxied=proxied), exit_codes.code_of(error) or exit_codes.UNREACHABLE
    )


def remedy_for(error: LangGraphRunsError, url: str, *, proxied: bool) -> str:
    """Return what to do about an error of the first request."""
    parts = urllib.parse.urlsplit(url)
    where = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    text = str(error).lower()
    if proxy_remedy(error):
        return proxy_remedy(error)
    if isinstance(error, (AuthenticationError, PermissionDeniedError)):
        return "give a key in LANGGRAPH_API_KEY or --api-key-file; perhaps a gateway in front of the server requires it"
    if isinstance(error, APIStatusError):
        if isinstance(error, NotFoundError):
            return "another program responds there: does --url lack the server's mount prefix, or have the wrong port?"
        if error.status_code < 400:
            return "it redirects: give the URL that it redirects to, perhaps with https://"
        return "the server, or a gateway in front of it, has failed: see its log, or try again later"
    if isinstance(error, ResponseDecodeError):
        return "another program responds there: is it a LangGraph server?"
    if "does not use tls" in text:
        return "the server does not use TLS at this port, it probably speaks plain http: try http:// in --url"
    if "certificate is for another name" in text:
        return "give --url with a name that the certificate has"
    if "certificate verify failed" in text:
        return "its certificate is not trusted here: give the certificate of its CA with --ca-file, or set REQUESTS_CA_BUNDLE"
    if "ssl" in text or "tls" in text:
        return "the TLS handshake failed: is it https at this port? try http:// in --url"
    if proxied:
        return "is the proxy right? if not, unset it, or name the server in NO_PROXY"
    if isinstance(error, APITimeoutError):
        return f"nothing came back from {where}: perhaps a firewall, a wrong address, or a server that hangs"
    if "refused" in text:
        return f"nothing listens on {where}: start the server (`langgraph dev`), or correct --url"
    if isinstance(error, APIConnectionError) and error.sent is False:
        return "is the host's name right, and does this machine have a network?"
    return "it closed the connection without a response: is it a LangGraph server, and is it http at this port, not https?"


def reached(client: Client, path: str, seconds: List[float]) -> Finding:
    """Show the server's version and its response times."""
    repeated = sorted(seconds[1:])[_ROUNDS // 2]
    times = f"first response after {seconds[0] * 1000:.0f} ms, on the open connection after {repeated * 1000:.1f} ms"
    if path != PROBES[0]:
        times += f" (to {path}: the server has no {PROBES[0]})"
    try:
        info = client.info()
    except LangGraphRunsError as error:
        return Finding(
            "warning", "reach", f"{times}; no version: {error}", "it may be another server with the same API, which is fine"
        )
    return Finding("ok", "reach", f"{times}; version {info.version or 'unknown'}")


def clock(response: Response, now: float) -> Finding:
    """Compare the server's clock with this machine's."""
    server_time: Optional[float] = http_date(response.headers.get("date", ""))
    if server_time is None:
        return Finding("ok", "clock", "the server does not send its time")
    ahead = server_time - now
    difference = f"the server's is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    if abs(ahead) > _MAX_SKEW:
        remedy = "set the wrong one (NTP): the times of runs are the server's, while --older-than uses this machine's clock"
        return Finding("warning", "clock", difference, remedy)
    return Finding("ok", "clock", difference)


def access(client: Client) -> Iterator[Finding]:
    """Check whether the server accepts the key, and which graphs can be run."""
    try:
        found = client.assistants.search(limit=100)
        client.threads.search(limit=1, select=["thread_id"])
    except (AuthenticationError, PermissionDeniedError) as error:
        remedy = "give a key that is valid on this server in LANGGRAPH_API_KEY or --api-key-file"
        yield Finding("failed", "access", str(error), remedy, exit_codes.REFUSED)
        return
    except LangGraphRunsError as error:
        yield Finding("failed", "access", str(error), "see the server's log", exit_codes.code_of(error))
        return
    graphs = sorted({assistant.graph_id or assistant.assistant_id for assistant in found})
    if not graphs:
        yield Finding("warning", "access", "granted, but no assistant is visible", "may this key see the assistants?")
        return
    shown = ", ".join(graphs[:20]) + (" and more" if len(graphs) > 20 else "")
    yield Finding("ok", "access", f"granted; graphs: {shown}")


COMMAND = Command(
    name="doctor",
    summary="find out why the server cannot be used",
    description=(
        "Checks one by one what a request needs: the installed versions, the URL, the API key (only whether there is one), the "
        "proxy of the environment, whether the server responds and how fast, the difference of the clocks, and whether the key "
        "is accepted. Says what to do about each failure. A warning (!!) does not change the exit code. Nothing is changed on "
        "the server.\n\n"
        "With --conformance it checks instead which promises of the library hold on this server: a failed run is an error, a "
        "create makes one run, a stream is complete, and so on. It runs the given graphs, about a hundred small runs on threads "
        "that it deletes. Each promise holds; or the server differs and the library keeps the promise in another way; or it "
        "is broken, with exit code 7; or it was not tried, for example since no graph that fails was named."
    ),
    configure=configure_doctor,
    run=run_doctor,
    examples=[
        ("langgraph-runs doctor --url https://runs.example.com --api-key-file key.txt", "check this server"),
        ("langgraph-runs doctor --conformance", "check the promises on a local server"),
        (
            """langgraph-runs doctor --conformance --url https://runs.example.com --graph 'agent={"topic": "tides"}'""",
            "check the promises on this server",
        ),
    ],
    exits=[exit_codes.FAILED, exit_codes.TIMED_OUT, exit_codes.UNREACHABLE, exit_codes.REFUSED, exit_codes.NOT_CONFORMING],
)
