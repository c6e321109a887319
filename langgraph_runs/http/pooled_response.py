"""urllib3's response over the parser of this package. Knows urllib3, not requests."""

from __future__ import annotations

import io
from typing import Any, Optional

import urllib3

from .exchange import Exchange
from .response import HTTPResponse

__all__ = ["PooledResponse"]


class PooledResponse(urllib3.HTTPResponse):
    """A response that gives its connection back to the pool once, and only while the connection belongs to its exchange.

    Whether a connection is given back, closed, or passed to another request is decided by its ``exchange`` alone, so that an
    exception between any two steps can neither put a connection into the pool twice nor close another request's.
    """

    # Set here, so that one whose constructor was interrupted can be closed.
    parsed: Any = None
    auto_close = True
    _connection: Any = None
    _fp: Any = None
    _pool: Any = None
    # Without urllib3's property, whose code would run in the finalizer of each response: an exception of a signal handler would be
    # lost there. The connection is released, and this True, before the finalizer runs.
    closed = io.IOBase.closed

    def __init__(self, parsed: HTTPResponse, exchange: Exchange, method: str, url: str) -> None:
        #: The parser. While nothing was read through this object, the body can be read from it directly, which is cheaper.
        self.parsed = parsed
        self._exchange: Optional[Exchange] = exchange
        super().__init__(
            body=parsed.file(),  # type: ignore[arg-type]
            headers=parsed.fields,  # type: ignore[arg-type]  # urllib3.HTTPHeaderDict takes pairs
            status=parsed.status,
            version=parsed.version,
            version_string="HTTP/1.1" if parsed.version == 11 else "HTTP/1.0",
            reason=parsed.reason,
            preload_content=False,
            decode_content=False,
            # requests looks into it for cookies, which takes its time.
            original_response=parsed if "set-cookie" in parsed.headers else None,
            request_method=method,
            request_url=url,
        )

    def release_conn(self) -> None:
        """Give the connection back to the pool, if it is still this response's; close it if the body was not read to its end."""
        connection, self._connection = self._connection, None
        if connection is None or connection.exchange is not self._exchange:
            return
        if not self.parsed.is_complete or self.parsed.has_surplus:
            connection.close()
        self._pool._put_conn(connection)
        io.IOBase.close(self)

    def close(self) -> None:
        """Close the response, and its connection if the body was not read to its end."""
        if self.parsed is not None:
            self.parsed.close()
        self.release_conn()
        super().close()
        io.IOBase.close(self)
