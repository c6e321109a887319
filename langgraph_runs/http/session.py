"""The `requests` session that one process uses for one server, and its adapter over guarded connections.

It stays a `requests.Session` with an `HTTPAdapter` below it, so that what people hang onto those (response hooks, mocks, tracing)
works. It keeps no cookies, follows no redirect and reads no netrc. Where nobody hangs on, nobody sees whether a request went
through both, and it goes from `Connector` to the pool: both together are a fifth of the instructions of a small call.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from http.cookiejar import CookieJar
from typing import Any, Dict, Iterable, Mapping, Optional, Tuple

import requests
from requests import adapters, sessions
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict

from ..errors import RequestInfo
from .body import ByteStream
from .connection import as_text
from .exception_mapping import translate
from .exchange import Exchange
from .pool import guard_pools, is_own, is_urlopen_own
from .response import HTTPResponse

__all__ = ["Connector"]


class _NoCookies(RequestsCookieJar):
    def extract_cookies(self, response: Any, request: Any) -> None:
        """Keep nothing: a session shared by threads must not change."""

    def set_cookie(self, *args: Any, **kwargs: Any) -> None:
        """Keep nothing."""


def _blank() -> Dict[str, Any]:
    return {**vars(requests.Response()), "cookies": _NoCookies()}


class _Fields(CaseInsensitiveDict):  # type: ignore[type-arg]
    """Header fields as requests has them, taken apart when somebody looks at them: its own does that in several steps for each."""

    _store: OrderedDict[str, Tuple[str, str]]

    def __init__(self, fields: Any) -> None:
        self._fields = fields

    def __getattr__(self, name: str) -> Any:
        if name != "_store" or "_fields" not in self.__dict__:
            raise AttributeError(name)
        self._store = OrderedDict(self._taken_apart())
        del self._fields
        return self._store

    def _taken_apart(self) -> Iterable[Tuple[str, Tuple[str, str]]]:
        return ((name.lower(), (name, value)) for name, value in self._fields.items())

    def items(self) -> Any:
        """Names and values."""
        return self._store.values()


class _FieldsOfAnswer(_Fields):
    """The fields of an answer, where a name may come again: its values are joined."""

    def __init__(self, answer: HTTPResponse) -> None:
        super().__init__(answer.told)
        self._pairs = answer.fields

    def _taken_apart(self) -> Iterable[Tuple[str, Tuple[str, str]]]:
        names: Dict[str, str] = {}
        for name, _ in self._pairs:
            names.setdefault(name.lower(), name)
        return ((lower, (names[lower], value)) for lower, value in self._fields.items())

    def lower_items(self) -> Any:
        """Names in lower case, and values."""
        return self._fields.items() if "_fields" in self.__dict__ else super().lower_items()


class _Adapter(HTTPAdapter):
    """An adapter whose connections keep to the limits of the calling thread's `Exchange`."""

    def __init__(self, pool_size: int) -> None:
        self.calls = threading.local()
        self.pid = os.getpid()
        self._pool: Any = None
        self._blank = _blank()
        super().__init__(pool_connections=4, pool_maxsize=pool_size, max_retries=0, pool_block=False)

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self.calls = threading.local()
        self.pid = os.getpid()
        self._pool = None
        self._blank = _blank()
        super().__setstate__(state)  # type: ignore[misc]

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        guard_pools(self.poolmanager, self.calls)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not known and not proxy.lower().startswith("socks"):
            guard_pools(manager, self.calls)
        return manager

    # What follows gives what requests gives, without looking for it anew in each call: the server is always the same.

    def send(
        self, request: Any, stream: bool = False, timeout: Any = None, verify: Any = True, cert: Any = None, proxies: Any = None
    ) -> requests.Response:
        """The answer to *request*: by a shorter way than requests', unless a proxy is in between or somebody has put something
        in the place of what this way leaves out, as mocks and tracing do."""
        ours = getattr(self.calls, "exchange", None) is not None and not proxies
        if not ours or not _is_sending_own():
            return super().send(request, stream=stream, timeout=timeout, verify=verify, cert=cert, proxies=proxies)
        pool = self.get_connection_with_tls_context(request, verify, proxies, cert)
        self.cert_verify(pool, request.url, verify, cert)
        raw = pool.ask(request.method, self.request_url(request, None), request.body, dict(as_text(request.headers)))
        return self.build_response(request, raw)

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        key = (request.url.split("/", 3)[:3], verify, proxies, cert)
        if self._pool is None or self._pool[0] != key:
            self._pool = key, super().get_connection_with_tls_context(request, verify, proxies, cert)
        return self._pool[1]

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        if url[:5].lower() == "https":
            super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]

    def request_url(self, request: Any, proxies: Any) -> str:
        if not proxies:
            return _target(str(request.url))
        return str(super().request_url(request, proxies))

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        response = requests.Response.__new__(requests.Response)
        response.__dict__.update(self._blank)  # as its constructor makes it, without a jar for cookies of its own
        response.history = []
        response.status_code = resp.status
        below = getattr(resp, "below", None)
        response.headers = CaseInsensitiveDict(resp.headers) if below is None else _FieldsOfAnswer(below)
        response.encoding = "utf-8"  # as JSON and server-sent events are, whatever a header says
        response.raw = resp
        response.reason = resp.reason
        response.url = req.url
        response.request = req
        response.connection = self
        return response

    def close(self) -> None:
        """Close the connections too. urllib3 leaves that to the collector, which an error's traceback can keep from it."""
        self._pool = None
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in list(manager.pools.keys()):
                pool = manager.pools.get(key)
                if pool is not None:
                    pool.close()
        super().close()


class _Session(requests.Session):
    def __init__(self, pool_size: int) -> None:
        self.adapter = _Adapter(pool_size)
        super().__init__()
        self.cookies = _NoCookies()
        self.adapters.clear()
        self.mount("https://", self.adapter)
        self.mount("http://", self.adapter)
        self.is_altered = False

    def mount(self, prefix: Any, adapter: Any) -> None:
        """As requests does, and note that it was done."""
        super().mount(prefix, adapter)
        self.is_altered = True

    @property
    def is_plain(self) -> bool:
        """Whether nobody has hung anything on it, nor, as tracing does, put anything in the place of requests' own session."""
        hooked = self.is_altered or self.hooks["response"]
        return not hooked and is_own(requests.Session.send, sessions) and is_own(requests.Session.get_adapter, sessions)

    def get_redirect_target(self, resp: Any) -> None:
        """None: a redirect is an answer like another, so its body is not read here and nothing goes to its target."""


class Connector:
    """Sends prepared requests for one process; made anew after a fork, since sockets must not be shared.

    A session given by the user keeps its adapters, but where it has requests' own plain adapter for our URL, ours takes its
    place, for that URL alone: otherwise deadlines and aborts could not reach a blocked connect or read.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int,
        session: Optional[requests.Session],
        verify: Any,
        cert: Any,
        proxies: Optional[Mapping[str, str]],
    ) -> None:
        self.pid = os.getpid()
        self._own = session is None
        self.session: Any = _Session(pool_size) if session is None else session
        if session is not None:
            if verify is True:
                verify = None  # not given: then the session's own holds
            if _is_to_be_replaced(session.get_adapter(url)):
                session.mount(url, _Adapter(pool_size))
        # Looked up once: proxies and certificate bundles from the environment do not change under a running client.
        self._settings: Dict[str, Any] = dict(self.session.merge_environment_settings(url, dict(proxies or {}), True, verify, cert))
        self._settings.update(stream=True, allow_redirects=False)
        self._jar = CookieJar()
        self._pool: Any = None

    def open(self, info: RequestInfo, url: str, headers: Dict[str, str], body: Optional[bytes], exchange: Exchange) -> ByteStream:
        """The answer, whatever its status, its body not read yet. *url* is what *info* names, with the query."""
        try:
            if self._own and self.session.is_plain and _is_sending_own():
                raw = self._ask(info.method, url, headers, body, exchange)
                if raw is not None:
                    return ByteStream(raw, raw.status, raw.below.told, exchange, info)
            response = self._send(info.method, url, headers, body, exchange)
            return ByteStream.of(response, exchange, info)
        except Exception as error:
            raise translate(error, exchange, info) from error

    def _ask(self, method: str, url: str, headers: Dict[str, str], body: Optional[bytes], exchange: Exchange) -> Any:
        """urllib3's answer, past requests' session and adapter, where nobody sees them; None where there is a proxy in between.

        What they do for each call is the same for all calls of a client, and was done for the first.
        """
        adapter = self.session.adapter
        if self._pool is None:
            if self._settings["proxies"]:
                return None
            first = _prepared(method, url, headers, body)
            verify, cert = self._settings["verify"], self._settings["cert"]
            pool = adapter.get_connection_with_tls_context(first, verify, cert=cert)
            adapter.cert_verify(pool, url, verify, cert)
            self._pool = pool
        calls = adapter.calls
        calls.exchange = exchange
        try:
            return self._pool.ask(method, _target(url), body, headers)
        finally:
            calls.exchange = None

    def _send(self, method: str, url: str, headers: Dict[str, str], body: Optional[bytes], exchange: Exchange) -> requests.Response:
        session = self.session
        prepared = _prepared(method, url, headers, body)
        prepared.hooks = session.hooks
        prepared._cookies = self._jar  # type: ignore[attr-defined]
        if not self._own:
            self._take_over(prepared)
        adapter = session.adapter if self._own else session.get_adapter(url)
        calls = adapter.calls if isinstance(adapter, _Adapter) else None
        if calls is not None:
            calls.exchange = exchange
        scope = exchange.scope
        try:
            response: requests.Response = session.send(
                prepared,
                timeout=(scope.io_timeout(exchange.connect_timeout), scope.io_timeout(exchange.read_timeout)),
                **self._settings,
            )
            return response
        finally:
            if calls is not None:
                calls.exchange = None

    def _take_over(self, prepared: requests.PreparedRequest) -> None:
        """What a user's session adds to each request."""
        for name, value in self.session.headers.items():
            prepared.headers.setdefault(name, value)
        if self.session.auth is not None:
            prepared.prepare_auth(self.session.auth)

    def close(self) -> None:
        """Close what was opened here; a user's own session stays open."""
        if self._own:
            self.session.close()


def _prepared(method: str, url: str, headers: Dict[str, str], body: Optional[bytes]) -> requests.PreparedRequest:
    # Prepared by hand: requests would un-quote ids in the path, look for a netrc and merge cookies, on each call.
    prepared = requests.PreparedRequest()
    prepared.method = method
    prepared.url = url
    prepared.headers = _Fields(headers)
    prepared.body = body
    return prepared


def _target(url: str) -> str:
    return "/" + url.split("/", 3)[3]


def _is_sending_own() -> bool:
    """Whether nobody has put anything in the place of how requests' adapter and urllib3 send, as mocks do."""
    return is_own(HTTPAdapter.send, adapters) and is_urlopen_own()


def _is_to_be_replaced(adapter: Any) -> bool:
    if isinstance(adapter, _Adapter):
        return adapter.pid != os.getpid()  # the parent's, with its sockets
    return type(adapter) is HTTPAdapter and adapter.max_retries.total == 0
