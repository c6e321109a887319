"""`Client`: wires the floors below it together, from the arguments and the environment."""

from __future__ import annotations

import os
import urllib.parse
from types import TracebackType
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Tuple, Type, Union

import attrs

from .call import RetryPolicy
from .errors import InvalidRequestError
from .http import Request, SessionFactory, Settings, Transport, parse_call_options, split_login
from .models import ServerInfo
from .options import CallOptions, documented
from .resources import AssistantsClient, RunsClient, ThreadsClient
from .serialization import decode, decode_body
from .server_traits import ServerTraits
from .validation import check_count, check_headers, check_seconds

if TYPE_CHECKING:
    import requests
    from typing_extensions import Unpack


__all__ = ["KEY_VARIABLES", "Client"]

#: Where a key is looked for, in this order.
KEY_VARIABLES = ("LANGGRAPH_API_KEY", "LANGSMITH_API_KEY", "LANGCHAIN_API_KEY")
_DEFAULT_URL = "http://localhost:2024"
#: Options that a copy made by `with_options` may change.
_CHANGEABLE = (
    "timeout",
    "connect_timeout",
    "read_timeout",
    "retry",
    "headers",
    "verify_outcome",
    "max_event_bytes",
    "max_response_bytes",
)


class Client:
    """A LangGraph server's runs, threads and assistants. One client serves all threads of a program, also after a fork.

    >>> client = Client("http://localhost:2024", api_key=None, timeout=60)
    >>> client
    Client('http://localhost:2024', api_key=None, timeout=60.0)
    >>> client.close()

    It makes no request before the first call. Close it, or use it in a ``with`` block, to give its connections back.
    ``client.runs``, ``client.threads`` and ``client.assistants`` hold the calls. It pickles with its key.

    Arguments:
        url: Of the server, with its mount prefix if it has one; else the variable LANGGRAPH_API_URL, else
            ``http://localhost:2024``.
        api_key: Sent as ``x-api-key``. Not given: the first of the variables LANGGRAPH_API_KEY, LANGSMITH_API_KEY and
            LANGCHAIN_API_KEY that is set. None: no key.
        headers: Sent with every request.
        timeout: Seconds that each call may take as a whole; None: no limit.
        connect_timeout: Seconds to connect: name, connection and TLS handshake together. None: no limit.
        read_timeout: Seconds of silence before a peer is taken for dead. This server says something every 5 s, however long
            a run takes. None: no limit.
        retry: When and how often to try again.
        pool_size: Connections that are kept; more calls at once open more.
        session: A `requests.Session` of yours: its adapters, hooks, headers, auth and certificates are used.
        verify, cert, proxies: As in requests. Proxies and CA bundles from the environment are used too; netrc is not.
        verify_outcome: Whether ``wait``, ``join`` and streams ask the run how it ended (one GET). False is faster, and then a
            cancelled or timed-out run looks like a success.
        max_event_bytes: A larger server-sent event is a `ResponseDecodeError`. Counted after decompression.
        max_response_bytes: So is a larger answer.

    Raises `InvalidRequestError` for arguments that cannot be meant.
    """

    def __init__(
        self,
        url: Optional[str] = None,
        *,
        api_key: Any = ...,
        headers: Optional[Mapping[str, str]] = None,
        timeout: Optional[float] = None,
        connect_timeout: Optional[float] = 5.0,
        read_timeout: Optional[float] = 30.0,
        retry: Optional[RetryPolicy] = None,
        pool_size: int = 64,
        session: Optional[requests.Session] = None,
        verify: Union[bool, str] = True,
        cert: Union[str, Tuple[str, str], None] = None,
        proxies: Optional[Mapping[str, str]] = None,
        verify_outcome: bool = True,
        max_event_bytes: int = 256 * 1024 * 1024,
        max_response_bytes: int = 1024 * 1024 * 1024,
    ) -> None:
        settings = Settings(
            url=_checked_url(url or os.environ.get("LANGGRAPH_API_URL") or _DEFAULT_URL),
            api_key=_find_key(api_key),
            headers=check_headers(headers),
            timeout=check_seconds("timeout", timeout),
            connect_timeout=check_seconds("connect_timeout", connect_timeout),
            read_timeout=check_seconds("read_timeout", read_timeout),
            retry=_checked_retry(retry),
            verify_outcome=bool(verify_outcome),
            max_event_bytes=check_count("max_event_bytes", max_event_bytes, least=1),
            max_response_bytes=check_count("max_response_bytes", max_response_bytes, least=1),
        )
        self._made_with: Dict[str, Any] = {
            "pool_size": check_count("pool_size", pool_size, least=1),
            "session": session,
            "verify": verify,
            "cert": cert,
            "proxies": proxies,
        }
        self._connect_to(settings)

    def _connect_to(self, settings: Settings) -> None:
        self._connect = SessionFactory(split_login(settings.url)[0], self._made_with)
        self._wire(Transport(settings, connect=self._connect), ServerTraits())

    def _wire(self, transport: Transport, knowledge: ServerTraits) -> None:
        self._transport = transport
        self._knowledge = knowledge
        #: Starting, watching and ending runs.
        self.runs = RunsClient(transport, knowledge, self._connect)
        #: The state that runs work on.
        self.threads = ThreadsClient(transport)
        #: What can be run.
        self.assistants = AssistantsClient(transport)

    def with_options(self, **options: Any) -> Client:
        """A light copy on the same connections, with other timeouts, retries, headers or limits.

        >>> client = Client("http://localhost:2024", api_key=None)
        >>> patient = client.with_options(timeout=600, retry=RetryPolicy(attempts=10))

        May change ``timeout``, ``connect_timeout``, ``read_timeout``, ``retry``, ``headers``, ``verify_outcome``,
        ``max_event_bytes`` and ``max_response_bytes``; anything else is an `InvalidRequestError`. *headers* are laid over the
        client's own. The retry budget stays that of the first client. Closing one of them closes both.
        """
        unknown = [name for name in options if name not in _CHANGEABLE]
        if unknown:
            raise InvalidRequestError(f"with_options({unknown[0]}=...): can change {', '.join(_CHANGEABLE)}; else make a client")
        old = self._transport.settings
        changes = dict(options)
        for name in ("timeout", "connect_timeout", "read_timeout"):
            if name in changes:
                changes[name] = check_seconds(name, changes[name])
        for name in ("max_event_bytes", "max_response_bytes"):
            if name in changes:
                check_count(name, changes[name], least=1)
        if "retry" in changes:
            changes["retry"] = _checked_retry(changes["retry"])
        if "headers" in changes:
            changes["headers"] = {**old.headers, **check_headers(changes["headers"])}
        copy = object.__new__(Client)
        copy._made_with = self._made_with
        copy._connect = self._connect
        copy._wire(self._transport.with_settings(attrs.evolve(old, **changes)), self._knowledge)
        return copy

    @property
    def base_url(self) -> str:
        """Where the server is, without credentials."""
        return self._transport.base_url

    @documented(CallOptions)
    def ok(self, **options: Unpack[CallOptions]) -> bool:
        """True, if the server answers that it is well; else raises as every call does."""
        given = parse_call_options("ok", options)
        with given.scope(self._transport) as scope:
            self._transport.call(Request(method="GET", path="/ok", query=given.params, headers=given.headers), scope)
        return True

    @documented(CallOptions)
    def info(self, **options: Unpack[CallOptions]) -> ServerInfo:
        """The server's version and features."""
        given = parse_call_options("info", options)
        with given.scope(self._transport) as scope:
            request = Request(method="GET", path="/info", query=given.params, headers=given.headers)
            return decode(decode_body(self._transport.call(request, scope).body), ServerInfo)

    def close(self) -> None:
        """End every call under way (`AbortedError` there), from whatever thread, and close the connections.

        Runs on the server go on. A `requests.Session` that you gave stays open. May be called twice; any other call after it
        raises `InvalidRequestError`.
        """
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def __repr__(self) -> str:
        settings = self._transport.settings
        key = None if settings.api_key is None else "***"
        return f"Client({self.base_url!r}, api_key={key!r}, timeout={settings.timeout!r})"

    def __getstate__(self) -> Dict[str, Any]:
        return {"settings": attrs.asdict(self._transport.settings, recurse=False), "made_with": self._made_with}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self._made_with = state["made_with"]
        self._connect_to(Settings(**state["settings"]))


def _find_key(given: Any) -> Optional[str]:
    if given is None:
        return None
    if given is not ...:
        if not isinstance(given, str):
            raise InvalidRequestError("api_key: give text, or None for no key")
        return _checked_key("api_key", given)
    for variable in KEY_VARIABLES:
        key = _checked_key(variable, os.environ.get(variable, ""))
        if key is not None:
            return key
    return None


def _checked_key(name: str, text: str) -> Optional[str]:
    key = text.strip().strip("\"'").strip()
    if not all(" " < char <= "~" for char in key):
        raise InvalidRequestError(f"{name}: the key holds characters that cannot stand in a header")
    return key or None


def _checked_retry(retry: Any) -> RetryPolicy:
    if retry is None:
        return RetryPolicy()
    if not isinstance(retry, RetryPolicy):
        raise InvalidRequestError(f"retry={retry!r}: give a RetryPolicy; RetryPolicy(attempts=1) never repeats")
    return retry


def _checked_url(url: Any) -> str:
    shown = split_login(url)[0] if isinstance(url, str) else url
    if isinstance(shown, str) and "@" in shown:
        shown = "***@" + shown.rpartition("@")[2]  # not split, since it is no URL; but it may hold a password
    remedy = "give http:// or https://, a host, and the server's mount prefix if it has one"
    if not isinstance(url, str) or any(char <= " " or char == "\x7f" or char == "\\" for char in url.strip()):
        raise InvalidRequestError(f"url={shown!r}: {remedy}")
    checked = url.strip().rstrip("/")
    try:
        parts = urllib.parse.urlsplit(checked)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidRequestError(f"url={shown!r}: {error}; {remedy}") from None
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise InvalidRequestError(f"url={shown!r}: {remedy}")
    return checked
