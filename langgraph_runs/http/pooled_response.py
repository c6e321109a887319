"""urllib3's response, with the parser of this package below it. Knows urllib3, not requests."""

from __future__ import annotations

from typing import Any, Optional, Tuple

import urllib3

from .exchange import Exchange
from .response import HTTPResponse

__all__ = ["PooledResponse"]


class PooledResponse(urllib3.HTTPResponse):
    """A response that gives its connection back to the pool once, and only while the connection belongs to its exchange.

    Only the ``exchange`` of a connection decides whether the response may give it back or close it. So an exception between any two
    steps can neither put a connection into the pool twice nor close the connection of another request.

    The constructor of urllib3's response takes as long as reading a small response. It runs when something is used that only
    urllib3's response has: by a response hook, or to decompress a body.
    """

    # Set on the class, so that a response whose constructor was interrupted can be closed.
    parsed: Any = None
    auto_close = True
    version_string = "HTTP/1.1"
    retries: Any = None
    _connection: Any = None
    _pool: Any = None
    # This replaces urllib3's property, whose code would run in the finalizer of each response: an exception of a signal handler
    # would be lost there. The connection is released, and this is True, before the finalizer runs.
    closed = False

    def __init__(self, parsed: HTTPResponse, exchange: Exchange, method: str, url: str) -> None:
        #: The parser. While nothing was read through this object, the body can be read from it directly, which is cheaper.
        self.parsed = parsed
        self.status = parsed.status
        self.reason = parsed.reason
        self.version = parsed.version
        self.length_remaining = parsed.length
        self.headers = _LazyHeaders(parsed)
        # requests searches it for cookies, which is slow, so it is set only if there are any.
        self._original_response = parsed if "set-cookie" in parsed.headers else None
        self._exchange: Optional[Exchange] = exchange
        self._arguments: Optional[Tuple[str, str]] = (method, url)

    def __getattr__(self, name: str) -> Any:
        arguments = self.__dict__.get("_arguments")
        if arguments is None or name.startswith("__"):  # the io module looks for an attribute of its own
            raise AttributeError(name)
        self._arguments = None
        # The constructor would overwrite the attributes that urlopen has set meanwhile.
        connection, pool, retries = self._connection, self._pool, self.retries
        super().__init__(
            body=self.parsed.file(),
            headers=self.headers,
            status=self.status,
            version=self.version,
            version_string="HTTP/1.1" if self.version == 11 else "HTTP/1.0",
            reason=self.reason,
            preload_content=False,
            decode_content=False,
            original_response=self._original_response,
            request_method=arguments[0],
            request_url=arguments[1],
        )
        self._connection, self._pool, self.retries = connection, pool, retries
        return getattr(self, name)

    def release_conn(self) -> None:
        """Give the connection back to the pool if it still belongs to this response, or close it if the body was not read."""
        connection, self._connection = self._connection, None
        if connection is None or connection.exchange is not self._exchange:
            return
        if not self.parsed.is_complete or self.parsed.has_surplus:
            connection.close()
        self._pool._put_conn(connection)
        self.closed = True

    def close(self) -> None:
        """Close the response, and its connection if the body was not read to its end."""
        if self.parsed is not None:
            self.parsed.close()
        self.release_conn()
        file = self.__dict__.get("_fp")
        if file is not None:
            file.close()
        self.closed = True


class _LazyHeaders(urllib3.HTTPHeaderDict):
    """urllib3's header dict of a parsed response. It is filled when anything but `get` is used."""

    def __init__(self, parsed: HTTPResponse) -> None:
        self._parsed = parsed

    def __getattr__(self, name: str) -> Any:
        if name != "_container":
            raise AttributeError(name)
        self._container: Any = {}
        self.extend(self._parsed.fields)
        return self._container

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a field. The values of a repeated field are joined by commas."""
        return self._parsed.headers.get(key.lower(), default)
