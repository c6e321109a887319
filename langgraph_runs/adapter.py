"""The `requests` session that one process uses for one server, and its adapter over guarded connections.

It stays a `requests.Session` with an `HTTPAdapter` below it, so that what people hang onto those (response hooks, mocks, tracing)
works. It keeps no cookies, follows no redirect and reads no netrc.
"""

from __future__ import annotations

import datetime
import os
import threading
import time
from collections import OrderedDict
from http.cookiejar import CookieJar
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

import requests
from requests import adapters, sessions
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict

from .body import ByteStream
from .connections import guard_pools, is_own, is_urlopen_own
from .errors import RequestInfo
from .exchange import Exchange
from .faults import translate

__all__ = ["Connector"]


class _NoCookies(RequestsCookieJar):
    def extract_cookies(self, response: Any, request: Any) -> None:
        """Keep nothing: a session shared by threads must not change."""

    def set_cookie(self, *args: Any, **kwargs: Any) -> None:
        """Keep nothing."""


def _blank() -> Dict[str, Any]:
    return {**vars(requests.Response()), "cookies": _NoCookies()}


class _Fields(CaseInsensitiveDict):  # type: ignore[type-arg]
    """Header fields as requests has them. Made and gone through in one step, since its own takes several for each field."""

    _store: OrderedDict[str, Tuple[str, str]]

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> _Fields:
        """From names and values."""
        made = cls.__new__(cls)
        made._store = OrderedDict([(name.lower(), (name, value)) for name, value in fields.items()])
        return made

    @classmethod
    def of_answer(cls, fields: Sequence[Tuple[str, str]]) -> _Fields:
        """From the fields of an answer, where a name may come again: its values are joined."""
        made = cls.__new__(cls)
        store: OrderedDict[str, Tuple[str, str]] = OrderedDict()
        made._store = store
        for name, value in fields:
            key = name.lower()
            store[key] = (name, value) if key not in store else (store[key][0], f"{store[key][1]}, {value}")
        return made

    def items(self) -> Any:
        """Names and values."""
        return self._store.values()


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
        if not ours or not is_own(HTTPAdapter.send, adapters) or not is_urlopen_own():
            return super().send(request, stream=stream, timeout=timeout, verify=verify, cert=cert, proxies=proxies)
        pool = self.get_connection_with_tls_context(request, verify, proxies, cert)
        self.cert_verify(pool, request.url, verify, cert)
        raw = pool.ask(request.method, self.request_url(request, None), request.body, request.headers)
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
            return "/" + str(request.url).split("/", 3)[3]
        return str(super().request_url(request, proxies))

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        response = requests.Response.__new__(requests.Response)
        response.__dict__.update(self._blank)  # as its constructor makes it, without a jar for cookies of its own
        response.history = []
        response.status_code = resp.status
        below = getattr(resp, "below", None)
        response.headers = CaseInsensitiveDict(resp.headers) if below is None else _Fields.of_answer(below.fields)
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
        super().__init__()
        self.cookies = _NoCookies()
        self.adapters.clear()
        self.adapter = _Adapter(pool_size)
        self.mount("https://", self.adapter)
        self.mount("http://", self.adapter)

    def send(self, request: Any, **kwargs: Any) -> requests.Response:
        """The answer to *request*: without looking for cookies and redirects, unless somebody wants to see it or has put something
        in the place of requests' own way, as tracing does."""
        if request.hooks["response"] or not is_own(requests.Session.send, sessions):
            return super().send(request, **kwargs)
        del kwargs["allow_redirects"]
        began = time.perf_counter()
        response: requests.Response = self.get_adapter(request.url).send(request, **kwargs)
        response.elapsed = datetime.timedelta(seconds=time.perf_counter() - began)
        return response

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

    def open(self, info: RequestInfo, url: str, headers: Dict[str, Any], body: Optional[bytes], exchange: Exchange) -> ByteStream:
        """The answer, whatever its status, its body not read yet. *url* is what *info* names, with the query."""
        try:
            return ByteStream(self._send(info.method, url, headers, body, exchange), exchange, info)
        except Exception as error:
            raise translate(error, exchange, info) from error

    def _send(self, method: str, url: str, headers: Dict[str, Any], body: Optional[bytes], exchange: Exchange) -> requests.Response:
        session = self.session
        # Prepared by hand: requests would un-quote ids in the path, look for a netrc and merge cookies, on each call.
        prepared = requests.PreparedRequest()
        prepared.method = method
        prepared.url = url
        prepared.headers = _Fields.of(headers)
        prepared.body = body
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


def _is_to_be_replaced(adapter: Any) -> bool:
    if isinstance(adapter, _Adapter):
        return adapter.pid != os.getpid()  # the parent's, with its sockets
    return type(adapter) is HTTPAdapter and adapter.max_retries.total == 0
