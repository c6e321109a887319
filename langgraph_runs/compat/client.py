"""The client of this package, and `get_sync_client`, which makes it from the arguments of the official SDK's function."""

from __future__ import annotations

import functools
import numbers
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator, Mapping, Optional, Tuple, cast

from .. import Client, InvalidRequestError, NotFoundError, RunOutcome, RunStream, ThreadStream
from .errors import installed, sdk_class, translated
from .records import Record, as_dicts
from .streams import Stream, as_part, as_part_v2

if TYPE_CHECKING:
    from langgraph_sdk.client import SyncLangGraphClient as SdkClient

__all__ = ["SyncLangGraphClient", "get_sync_client"]

#: Where the SDK finds a server if it is given no URL.
_SDK_URL = "http://localhost:8123"
#: The SDK's limits of connecting and of a silence, in seconds.
_SDK_TIMES = (5.0, 300.0)


def get_sync_client(
    *,
    url: Optional[str] = None,
    api_key: Any = ...,
    headers: Optional[Mapping[str, str]] = None,
    timeout: Any = None,
    **options: Any,
) -> SdkClient:
    """Return a client that takes the calls of the official SDK's and returns what they return; see `SyncLangGraphClient`.

    The arguments are those of ``langgraph_sdk.get_sync_client``; the others of `Client` may be given as well. *timeout* limits each
    step, as in the SDK: a number of seconds, a tuple whose first two items are the limits of connecting and of a silence, or an
    ``httpx.Timeout``. A limit for each call as a whole is `Client`'s ``stream_timeout`` and the ``timeout`` of each call.

    Type checkers see the SDK's own client, if the SDK is installed, so that code that was checked before stays correct.

    >>> get_sync_client(url="http://localhost:2024", api_key=None, timeout=(5, 60)).base_url
    'http://localhost:2024'
    """
    connect, read = _times(timeout)
    options = {"connect_timeout": connect, "read_timeout": read, **options}
    sdk_class("LangGraphError")  # imports the SDK, if it is installed: a call that fails later must not have to
    return cast("SdkClient", SyncLangGraphClient(url or _SDK_URL, api_key=api_key, headers=headers, **options))


def _times(timeout: Any) -> Tuple[Optional[float], Optional[float]]:
    """Return the limits of connecting and of a silence."""
    if timeout is None:
        return _SDK_TIMES
    if isinstance(timeout, numbers.Real):
        return cast(float, timeout), cast(float, timeout)
    if isinstance(timeout, (tuple, list)) and len(timeout) >= 2:
        return timeout[0], timeout[1]
    if hasattr(timeout, "connect") and hasattr(timeout, "read"):
        return timeout.connect, timeout.read
    raise InvalidRequestError("timeout: give seconds, a tuple of (connect, read, write, pool), an httpx.Timeout, or None")


class SyncLangGraphClient(Client):
    """A `Client` whose responses are dicts, whose events are tuples, and whose errors have the classes of the SDK as well.

    ``run["run_id"]``, ``run.get("run_id")`` and ``run.run_id`` all work; ``for event, data, id in client.runs.stream(...)`` does
    too. What is promised of `Client` holds: a run that failed raises, a broken stream resumes or raises, nothing runs twice.

    >>> isinstance(SyncLangGraphClient("http://localhost:2024", api_key=None), Client)
    True
    """

    def _use_transport(self, *arguments: Any) -> None:
        super()._use_transport(*arguments)
        for name, resource in list(vars(self).items()):
            if not name.startswith("_"):
                setattr(self, name, _ADAPTERS.get(name, Calls)(resource, self._transport))

    def ok(self, **options: Any) -> bool:
        """As `Client.ok`."""
        with translated():
            return super().ok(**options)

    def info(self, **options: Any) -> Any:
        """As `Client.info`, whose result is a dict here."""
        with translated():
            return as_dicts(super().info(**options))

    def request(self, method: str, path: str, **options: Any) -> Any:
        """As `Client.request`."""
        with translated():
            return super().request(method, path, **options)

    def close(self) -> None:
        """As `Client.close`."""
        super().close()
        cast(Any, self.threads).close()

    @property
    def http(self) -> Http:
        """Requests to any endpoint, as ``client.http`` of the SDK: ``client.http.post(path, json=...)``."""
        return Http(self)


class Http:
    """One method for each HTTP method. Each returns the parsed JSON of the response."""

    def __init__(self, client: SyncLangGraphClient) -> None:
        self._client = client

    def get(self, path: str, **options: Any) -> Any:
        """Send a GET."""
        return self._client.request("GET", path, **options)

    def post(self, path: str, *, json: Any, **options: Any) -> Any:
        """Send a POST with *json* as its body; None for no body. It is repeated only if it was surely not executed."""
        return self._client.request("POST", path, json=json, **options)

    def put(self, path: str, *, json: Any, **options: Any) -> Any:
        """Send a PUT with *json* as its body."""
        return self._client.request("PUT", path, json=json, **options)

    def patch(self, path: str, *, json: Any, **options: Any) -> Any:
        """Send a PATCH with *json* as its body. It is repeated only if it was surely not executed."""
        return self._client.request("PATCH", path, json=json, **options)

    def delete(self, path: str, *, json: Any = None, **options: Any) -> None:
        """Send a DELETE."""
        self._client.request("DELETE", path, json=json, **options)


class Calls:
    """The calls of one resource, whose results are adapted."""

    def __init__(self, resource: Any, transport: Any) -> None:
        self._resource = resource
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        found = getattr(self._resource, name)
        return _adapted(found) if callable(found) else found

    def __dir__(self) -> Iterable[str]:
        return dir(self._resource)


def _adapted(call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def adapted(*arguments: Any, **options: Any) -> Any:
        with translated():
            return _result(call(*arguments, **options))

    return adapted


def _result(result: Any) -> Any:
    if isinstance(result, (RunStream, ThreadStream)):
        return Stream(result, as_part)
    if hasattr(result, "__next__"):
        return _each(result)
    return as_dicts(result)


def _each(results: Iterator[Any]) -> Iterator[Any]:
    with translated():
        yield from map(as_dicts, results)


class RunCalls(Calls):
    """The calls of ``client.runs``."""

    def map(self, *arguments: Any, **options: Any) -> Any:
        """As ``Client.runs.map``, whose results the SDK does not have."""
        return self._resource.map(*arguments, **options)

    def join_all(self, runs: Iterable[Any], **options: Any) -> Any:
        """As ``Client.runs.join_all``; *runs* may be those that this client returned."""
        return self._resource.join_all((run.record if isinstance(run, Record) else run for run in runs), **options)

    def stream(self, *arguments: Any, version: str = "v1", **options: Any) -> Stream:
        """As ``Client.runs.stream``, whose events are tuples, or dicts with ``version="v2"``."""
        if version not in ("v1", "v2"):
            raise InvalidRequestError(f"version={version!r}: give 'v1' for tuples or 'v2' for dicts")
        with translated():
            return Stream(self._resource.stream(*arguments, **options), as_part if version == "v1" else as_part_v2)

    def wait(self, *arguments: Any, **options: Any) -> Any:
        """As ``Client.runs.wait``; with ``raise_error=False`` a failed run gives values with ``__error__``, as in the SDK."""
        with translated():
            return _values(self._resource.wait(*arguments, **options))


def _values(result: Any) -> Any:
    if not isinstance(result, RunOutcome):
        return result
    if result.succeeded:
        return result.values
    values = result.values if isinstance(result.values, dict) else {}
    return {**values, "__error__": {"error": result.error or result.status, "message": result.message or ""}}


class ThreadCalls(Calls):
    """The calls of ``client.threads``."""

    def stream(self, *arguments: Any, **options: Any) -> Any:
        """As ``client.threads.stream`` of the SDK, which must be installed: another protocol, of ``RemoteGraph.stream_events``.

        It goes through a connection of the SDK's: limits, repeats and guarantees of this library do not hold for it. Raises
        `NotImplementedError` if the SDK is not installed.
        """
        return self._of_sdk.threads.stream(*arguments, **options)

    @functools.cached_property
    def _of_sdk(self) -> Any:
        """The client of the SDK for the same server, key and headers."""
        sdk = installed("langgraph_sdk.client")
        if sdk is None:
            raise NotImplementedError("threads.stream() needs the official SDK: pip install langgraph-sdk; or use runs.stream()")
        settings = self._transport.settings
        connect, read = settings.connect_timeout, settings.read_timeout
        return sdk.get_sync_client(
            url=settings.url, api_key=settings.api_key, headers=dict(settings.headers), timeout=(connect, read, read, connect)
        )

    def close(self) -> None:
        """Close the connections of the SDK, if there are any."""
        made = vars(self).pop("_of_sdk", None)
        if made is not None:
            made.close()


class AssistantCalls(Calls):
    """The calls of ``client.assistants``."""

    def get_graph(self, assistant_id: str, **options: Any) -> Any:
        """As ``Client.assistants.get_graph``. *assistant_id* may be the name of a graph on every server, as for a run."""
        with translated():
            try:
                return as_dicts(self._resource.get_graph(assistant_id, **options))
            except NotFoundError:
                # Some servers take the name of a graph only where a run is started.
                found = self._resource.search(graph_id=assistant_id, limit=2)
                if len(found) != 1 or found[0].assistant_id == assistant_id:
                    raise
            return as_dicts(self._resource.get_graph(found[0].assistant_id, **options))


_ADAPTERS = {"runs": RunCalls, "threads": ThreadCalls, "assistants": AssistantCalls}
