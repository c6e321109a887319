"""`Client`: settings from the arguments and the environment, and the objects that hold the calls."""

from __future__ import annotations

import os
from types import TracebackType
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Tuple, Type, Union, cast

import attrs

from . import (
    _sseclient,  # noqa: F401 - fails if another package is installed
    api,
)
from .call import RetryPolicy
from .errors import InvalidRequestError
from .http import CHANGEABLE, SETTINGS, SessionFactory, Settings, Transport, check_key, parse_call_options, split_login
from .models import ServerInfo
from .options import CallOptions, ClientOptions, documented
from .server_traits import ServerTraits
from .validation import check_count, near

if TYPE_CHECKING:
    import requests
    from typing_extensions import Unpack


__all__ = ["KEY_VARIABLES", "Client"]

#: The variables of the environment that may hold the api key, in the order in which they are read.
KEY_VARIABLES = ("LANGGRAPH_API_KEY", "LANGSMITH_API_KEY", "LANGCHAIN_API_KEY")
_DEFAULT_URL = "http://localhost:2024"


class Client:
    """The runs, threads, assistants, crons and store of a LangGraph server. One client serves all threads, also after a fork.

    >>> client = Client("http://localhost:2024", api_key=None, timeout=60)
    >>> client
    Client('http://localhost:2024', api_key=None, timeout=60.0)
    >>> client.close()

    ``client.runs``, ``.threads``, ``.assistants``, ``.crons`` and ``.store`` hold the calls; ``client.request`` is for any other
    endpoint. No request is made before the first call. Close the client, or use it in a ``with`` block, to close its connections.
    A pickle of it holds the key.

    Arguments:
        url: The server's URL, with its mount prefix if it has one. Not given: the variable LANGGRAPH_API_URL, else
            ``http://localhost:2024``.
        api_key: Sent as ``x-api-key``. Not given: the first of the variables LANGGRAPH_API_KEY, LANGSMITH_API_KEY and
            LANGCHAIN_API_KEY that is set. None: no key.
        headers: Sent with every request.
        timeout: Seconds that each call may take as a whole; None: no limit.
        stream_timeout: The same for ``stream`` and ``join_stream``, until the last event. Not given: as *timeout*.
        connect_timeout: Seconds to connect: name, connection and TLS handshake together. None: no limit.
        read_timeout: Seconds without a byte after which the connection counts as broken. The Python server sends a byte every
            5 s, however long a run takes. None: no limit.
        retry: A `RetryPolicy`: when and how often requests are repeated.
        pool_size: Connections that are kept open; more calls at once open more.
        session: Your own `requests.Session`: requests go through its ``request`` method, and its adapters are used.
        verify, cert, proxies: As in requests. Proxies and CA bundles from the environment are used too; netrc is not.
        verify_outcome: True: ``wait``, ``join`` and streams request the run (one GET) to find out how it ended. False is faster,
            but a cancelled or timed-out run then looks like a success.
        max_event_bytes: A larger server-sent event is a `ResponseDecodeError`. Counted after decompression.
        max_response_bytes: The same limit for the body of any other response.
        api_url: Another name of *url*, that of the JavaScript client.

    Raises `InvalidRequestError` for a wrong argument.
    """

    def __init__(
        self,
        url: Optional[str] = None,
        *,
        api_key: Optional[str] = cast(Any, ...),
        headers: Optional[Mapping[str, str]] = None,
        timeout: Optional[float] = None,
        stream_timeout: Optional[float] = cast(Any, ...),
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
        api_url: Optional[str] = None,
    ) -> None:
        # All parameters by name, so that a new one has to be named in the signature and in `Settings` only.
        arguments = dict(locals(), url=_find_url(url, api_url), api_key=_find_key(api_key))
        del arguments["self"], arguments["api_url"]
        settings = Settings(**{name: arguments.pop(name) for name in SETTINGS})
        check_count("pool_size", pool_size, least=1)
        #: The arguments that are not settings: how connections are made.
        self._made_with: Dict[str, Any] = arguments
        self._connect_to(settings)

    def _connect_to(self, settings: Settings) -> None:
        self._connect = SessionFactory(split_login(settings.url)[0], self._made_with)
        self._use_transport(Transport(settings, connect=self._connect), ServerTraits())

    def _use_transport(self, transport: Transport, traits: ServerTraits) -> None:
        # A fifth of what importing this package would take; they have been imported with the transport.
        from .resources import AssistantsClient, CronsClient, RunsClient, StoreClient, ThreadsClient

        self._transport = transport
        self._traits = traits
        #: The runs of the server.
        self.runs = RunsClient(transport, traits, self._connect)
        #: The threads of the server, which hold the state of runs.
        self.threads = ThreadsClient(transport, traits)
        #: The assistants of the server: the graphs that can be run.
        self.assistants = AssistantsClient(transport)
        #: The crons of the server: schedules on which it starts runs.
        self.crons = CronsClient(transport)
        #: The store of the server: objects that all threads share.
        self.store = StoreClient(transport)

    def with_options(self, **options: Unpack[ClientOptions]) -> Client:
        """Return a copy that shares the connections, with other timeouts, retries, headers or limits.

        >>> client = Client("http://localhost:2024", api_key=None)
        >>> longer = client.with_options(timeout=600, retry=RetryPolicy(attempts=10))

        May change ``timeout``, ``stream_timeout``, ``connect_timeout``, ``read_timeout``, ``retry``, ``headers``,
        ``verify_outcome``, ``max_event_bytes`` and ``max_response_bytes``; anything else is an `InvalidRequestError`. *headers*
        are added to the client's own, and replace headers of the same name. The copy shares the retry budget. Closing one of them
        closes both.
        """
        unknown = [name for name in options if name not in CHANGEABLE]
        if unknown:
            hint = near(unknown[0], CHANGEABLE)
            raise InvalidRequestError(
                f"with_options({unknown[0]}=...): can change {', '.join(CHANGEABLE)}; else make a client{hint}"
            )
        copy = object.__new__(type(self))
        copy._made_with = self._made_with
        copy._connect = self._connect
        copy._use_transport(self._transport.with_settings(self._transport.settings.changed(dict(options))), self._traits)
        return copy

    @property
    def base_url(self) -> str:
        """The server's URL, without credentials."""
        return self._transport.base_url

    @documented(CallOptions)
    def ok(self, **options: Unpack[CallOptions]) -> bool:
        """Return True if the server reports that it is healthy. Raise like every other call if it does not."""
        common = parse_call_options("ok", options)
        with common.scope(self._transport) as scope:
            api.get_ok(self._transport, scope, common)
        return True

    @documented(CallOptions)
    def info(self, **options: Unpack[CallOptions]) -> ServerInfo:
        """Return the server's version and features."""
        common = parse_call_options("info", options)
        with common.scope(self._transport) as scope:
            return api.get_info(self._transport, scope, common)

    @documented(CallOptions)
    def request(
        self, method: str, path: str, *, json: Any = None, idempotent: Optional[bool] = None, **options: Unpack[CallOptions]
    ) -> Any:
        """Send a request to any endpoint of the server, and return the parsed JSON of the response; None if it has no body.

        *path* is the part after the client's URL, with each part encoded; the query is given as *params*. *json* is the body: what
        can be an input of a run; None for no body.

        *idempotent*: whether the request may be sent again after a failure that leaves open whether the server has executed it.
        Default: True for GET, PUT and DELETE, False for POST and PATCH.

        Connection, key, timeouts, retries and errors are those of the other calls. A response that is not JSON, such as the page of
        a gateway, raises `ResponseDecodeError`. What the JSON says, an error for instance, is not examined.
        """
        method, path = api.check_method(method), api.check_path(path)
        if idempotent is not None and not isinstance(idempotent, bool):
            raise InvalidRequestError("idempotent: give True or False")
        common = parse_call_options("request", options)
        body = {} if json is None else {"body": json}
        with common.scope(self._transport) as scope:
            repeat = api.is_idempotent(method) if idempotent is None else idempotent
            return api.request_json(self._transport, scope, method, path, common, idempotent=repeat, **body)

    def close(self) -> None:
        """Close the connections and end the calls that are under way in any thread: they raise `AbortedError`.

        Runs on the server go on. Your own `requests.Session` stays open. May be called twice; any other call after it raises
        `InvalidRequestError`.
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


def _find_url(url: Optional[str], api_url: Optional[str]) -> str:
    """Return the URL that was given, under either name; else that of the environment, else the default."""
    if url and api_url and url != api_url:
        raise InvalidRequestError("url and api_url are two names of one argument: give one of them")
    return url or api_url or os.environ.get("LANGGRAPH_API_URL") or _DEFAULT_URL


def _find_key(given: Any) -> Optional[str]:
    """Return the key that was given; if none was, that of the first variable that has one."""
    if given is not ...:
        return check_key("api_key", given)
    for variable in KEY_VARIABLES:
        key = check_key(variable, os.environ.get(variable))
        if key is not None:
            return key
    return None
