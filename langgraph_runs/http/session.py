"""The `requests` session and adapter through which one process reaches one server. Knows requests.

A request always goes through `requests.Session.send`, `HTTPAdapter.send` and `urlopen` of urllib3's pool, so that response hooks,
mocks and tracing that are installed there see it. The classes here override only steps that these methods repeat for each request
although the result is the same for all requests of a client. The session keeps no cookies, follows no redirect and reads no netrc.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Any, Dict, Iterable, Iterator, Mapping, Optional, Tuple

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict
from requests.utils import prepend_scheme_if_needed, select_proxy
from urllib3.exceptions import NewConnectionError

from ..errors import RequestInfo
from .body import ByteStream
from .exception_mapping import translate
from .exchange import Exchange
from .pool import ExchangeTimeout, limit_pools
from .pooled_response import PooledResponse
from .response import HTTPResponse

__all__ = ["Connector", "LimitedAdapter"]


class _NoCookies(RequestsCookieJar):
    """A cookie jar that stays empty, since threads share the session."""

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Keep nothing."""

    def set_cookie(self, *args: Any, **kwargs: Any) -> None:
        """Keep nothing."""


#: The attributes of a new request, and of a new response. They are copied, since the constructors take longer; that of a response
#: makes a cookie jar each time.
_NEW_REQUEST: Dict[str, Any] = vars(requests.PreparedRequest())
_NEW_RESPONSE: Dict[str, Any] = {**vars(requests.Response()), "cookies": _NoCookies()}


class _LazyHeaders(CaseInsensitiveDict):  # type: ignore[type-arg]
    """requests' header dict, converted from an ordinary dict at its first use, since the conversion is slow."""

    _store: OrderedDict[str, Tuple[str, str]]

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields

    def __getattr__(self, name: str) -> Any:
        if name != "_store" or "_fields" not in self.__dict__:
            raise AttributeError(name)
        self._store = OrderedDict(self._converted())
        del self._fields
        return self._store

    def _converted(self) -> Iterable[Tuple[str, Tuple[str, str]]]:
        return ((name.lower(), (name, value)) for name, value in self._fields.items())

    def items(self) -> Any:
        """Return names and values."""
        return self._fields.items() if "_fields" in self.__dict__ else self._store.values()

    def __contains__(self, key: object) -> bool:
        return ("_fields" in self.__dict__ and key in self._fields) or super().__contains__(key)

    def copy(self) -> Any:
        """Return a copy, which is converted at its first use."""
        return _LazyHeaders(dict(self._fields)) if "_fields" in self.__dict__ else super().copy()

    def update(self, *given: Any, **fields: Any) -> None:
        """Do as `dict.update`. urllib3 adds the headers for a proxy, mostly none."""
        if fields or any(given):
            super().update(*given, **fields)


class _ResponseHeaders(_LazyHeaders):
    """The header fields of a parsed response, with names as the server wrote them."""

    def __init__(self, parsed: HTTPResponse) -> None:
        super().__init__(parsed.headers)
        self._parsed = parsed

    def _converted(self) -> Iterable[Tuple[str, Tuple[str, str]]]:
        names: Dict[str, str] = {}
        for name, _ in self._parsed.fields:
            names.setdefault(name.lower(), name)
        return ((lower, (names[lower], value)) for lower, value in self._fields.items())

    def items(self) -> Any:
        """Return names and values."""
        return self._store.values()

    def copy(self) -> Any:
        """Return a copy, as an ordinary header dict."""
        return CaseInsensitiveDict(self.items())

    def lower_items(self) -> Any:
        """Return names in lower case, and values."""
        return self._fields.items() if "_fields" in self.__dict__ else super().lower_items()


class LimitedAdapter(HTTPAdapter):
    """An adapter that uses the pools of this package, for one server."""

    def __init__(self, pool_size: int) -> None:
        self.pid = os.getpid()
        self._pool: Any = None
        super().__init__(pool_connections=4, pool_maxsize=pool_size, max_retries=0, pool_block=False)

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self.pid = os.getpid()
        self._pool = None
        super().__setstate__(state)  # type: ignore[misc]

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        limit_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        limit_pools(manager)
        return manager

    # The following methods return the same as those of HTTPAdapter, without computing it for each request.

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        key = (request.url.split("/", 3)[:3], verify, proxies, cert)
        found = self._pool
        if found is None or found[0] != key:
            self._pool = found = key, super().get_connection_with_tls_context(request, verify, proxies, cert)
        return found[1]

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        if url[:5].lower() == "https":
            try:
                super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]
            except OSError as error:  # a file is missing: nothing was sent
                raise NewConnectionError(conn, str(error)) from error

    def request_url(self, request: Any, proxies: Any) -> str:
        if not proxies:
            return "/" + str(request.url).split("/", 3)[3]
        return str(super().request_url(request, proxies))

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        if not isinstance(resp, PooledResponse) or "set-cookie" in resp.parsed.headers:
            response: requests.Response = super().build_response(req, resp)
        else:
            response = requests.Response.__new__(requests.Response)
            response.__dict__.update(_NEW_RESPONSE)
            response.history = []
            response.status_code = resp.status
            response.headers = _ResponseHeaders(resp.parsed)
            response.raw = resp
            response.reason = resp.reason  # type: ignore[assignment]
            response.url = req.url
            response.request = req
            response.connection = self
        response.encoding = "utf-8"  # JSON and server-sent events are UTF-8, even if a header says otherwise
        return response

    def close(self) -> None:
        """Close the idle connections too. urllib3 leaves that to the garbage collector, but a traceback may keep them alive."""
        self._pool = None
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in list(manager.pools.keys()):
                pool = manager.pools.get(key)
                if pool is not None:
                    pool.close()
        super().close()


class _Session(requests.Session):
    """The session of a client if the user gives none."""

    def __init__(self, pool_size: int) -> None:
        super().__init__()
        self.cookies = _NoCookies()
        self.adapters.clear()
        adapter = LimitedAdapter(pool_size)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def resolve_redirects(self, *args: Any, **options: Any) -> Iterator[Any]:
        """Nothing: requests would compute the request that follows a redirect."""
        return iter(())

    def get_redirect_target(self, resp: Any) -> None:
        """Return None, so that a redirect is not followed. It becomes an error, with its body, as other error statuses do."""


class _FinalAuth(AuthBase):
    """The last step before a request of a user's session is sent: restores the path, and applies the session's authentication.

    requests decodes ``%2E`` in a path, so that an id of dots would change the path. This is passed as ``auth``, so requests
    does not send a login from a netrc file.
    """

    def __init__(self, url: str, auth: Any) -> None:
        self._path = url.partition("?")[0]
        self._auth = auth

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        _, mark, query = str(r.url).partition("?")
        r.url = self._path + mark + query
        if self._auth is not None:
            # requests applies it, whether it is a pair of texts or a callable.
            r.prepare_auth(self._auth)
        return r


class Connector:
    """Sends the requests of one client in one process; made anew after a fork, since sockets must not be shared.

    A request of a user's *session* goes through its `request` method: its headers, parameters, cookies, authentication, hooks and
    adapters are used, and what a subclass adds there. Its adapter gets the connections of this package, since a deadline or an
    abort signal could not end a blocked connect or read otherwise. An adapter of requests itself is replaced, for the URL of the
    client only. In any other `HTTPAdapter`, the pools are replaced.
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
        self._own = session is None
        self.session: Any = _Session(pool_size) if session is None else session
        self._takes_exchange = True
        if session is not None:
            if verify is True:
                verify = None  # the user gave no value, so the session's setting is used
            self._takes_exchange = _prepare_adapter(session, url, pool_size)
        # Looked up once: the proxies and certificate bundles of the environment do not change while a client is in use.
        self._settings: Dict[str, Any] = dict(self.session.merge_environment_settings(url, dict(proxies or {}), True, verify, cert))
        self._settings.update(stream=True, allow_redirects=False)
        if not select_proxy(url, self._settings["proxies"]):
            self._settings["proxies"] = {}  # NO_PROXY is in it, or a proxy for another scheme
        if session is not None:
            _limit_proxy_pools(session.get_adapter(url), url, self._settings["proxies"])

    def open(self, info: RequestInfo, url: str, headers: Dict[str, str], body: Optional[bytes], exchange: Exchange) -> ByteStream:
        """Send a request once and return the response with any status, its body not read yet.

        *url* is the URL in *info* with the query. Failures are raised as errors of this package.
        """
        try:
            send = self._send if self._own else self._send_through_users_session
            return ByteStream(send(info.method, url, headers, body, exchange), exchange, info)
        except requests.HTTPError as error:
            # Raised by a hook of the session that calls ``raise_for_status``: the response has come, with this status.
            response = getattr(error, "response", None)
            if response is None:
                raise translate(error, exchange, info) from error
            return ByteStream(response, exchange, info)
        except Exception as error:
            raise translate(error, exchange, info) from error

    def _send(self, method: str, url: str, headers: Dict[str, str], body: Optional[bytes], exchange: Exchange) -> requests.Response:
        # Not prepared by requests, which would decode ids in the path, and look for a netrc file and merge cookies each time.
        prepared = requests.PreparedRequest.__new__(requests.PreparedRequest)
        prepared.__dict__.update(_NEW_REQUEST)
        prepared.method = method
        prepared.url = url
        prepared.headers = _LazyHeaders(headers)
        prepared.body = body
        prepared.hooks = self.session.hooks
        prepared._cookies = self.session.cookies  # type: ignore[attr-defined]
        response: requests.Response = self.session.send(prepared, timeout=ExchangeTimeout(exchange), **self._settings)
        return response

    def _send_through_users_session(
        self, method: str, url: str, headers: Dict[str, str], body: Optional[bytes], exchange: Exchange
    ) -> requests.Response:
        timeout: Any = ExchangeTimeout(exchange)
        if not self._takes_exchange:
            timeout = (timeout.connect_timeout, timeout.read_timeout)
        auth = _FinalAuth(url, self.session.auth)
        response: requests.Response = self.session.request(
            method, url, data=body, headers=headers, auth=auth, timeout=timeout, **self._settings
        )
        return response

    def close(self) -> None:
        """Close the session and connections that were made here. A user's own session stays open."""
        if self._own:
            self.session.close()


def _prepare_adapter(session: requests.Session, url: str, pool_size: int) -> bool:
    """Give the session's adapter for *url* connections of this package. Return False if it is not an `HTTPAdapter`."""
    adapter: Any = session.get_adapter(url)
    if isinstance(adapter, LimitedAdapter):
        if adapter.pid != os.getpid():  # made in the parent process, with its sockets
            _mount(session, url, LimitedAdapter(pool_size))
    elif type(adapter) is HTTPAdapter and adapter.max_retries.total == 0:
        _mount(session, url, LimitedAdapter(pool_size))
    elif isinstance(adapter, HTTPAdapter):
        limit_pools(adapter.poolmanager)
    else:
        return False
    return True


def _mount(session: requests.Session, prefix: str, adapter: HTTPAdapter) -> None:
    """Do as `requests.Session.mount`, in one step: another thread may be using the session, and iterate over its adapters."""
    adapters = {key: value for key, value in session.adapters.items() if key != prefix}
    adapters[prefix] = adapter
    session.adapters = OrderedDict(sorted(adapters.items(), key=lambda item: -len(item[0])))


def _limit_proxy_pools(adapter: Any, url: str, proxies: Any) -> None:
    """Replace also the pools for the proxy through which a user's own `HTTPAdapter` reaches *url*."""
    proxy = select_proxy(url, proxies)
    if proxy and isinstance(adapter, HTTPAdapter):
        limit_pools(adapter.proxy_manager_for(prepend_scheme_if_needed(proxy, "http")))  # type: ignore[no-untyped-call]
