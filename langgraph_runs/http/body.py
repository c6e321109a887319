"""The body of a response, read as it arrives. Knows requests and urllib3, not what a body means."""

from __future__ import annotations

import io
import logging
import os
from typing import Any, Dict, List, Optional

import requests
import urllib3

from ..call import is_from_signal_handler, raise_foreign
from ..errors import RequestInfo, ResponseDecodeError
from .exception_mapping import BELOW, translate
from .exchange import Exchange
from .headers import http_date
from .pooled_response import PooledResponse
from .response import HTTPResponse

__all__ = ["ByteStream"]

_log = logging.getLogger(__name__)
_PIECE = 1 << 16


class ByteStream:
    """A response whose body is read as it arrives.

    At the end of the body the connection goes back to the pool; closing the stream before the end closes the connection. Failures
    to read are raised as errors of this package.
    """

    _released = False

    def __init__(self, response: requests.Response, exchange: Exchange, info: RequestInfo) -> None:
        self.exchange = exchange
        self.info = info
        self.status = response.status_code
        #: Names in lower case; the values of a repeated header are joined by commas.
        self.headers: Dict[str, str] = dict(response.headers.lower_items())
        self._raw: Any = response.raw
        #: The object whose ``close`` closes the response.
        self._closer: Any = response
        self._parsed: Optional[HTTPResponse] = None
        content = getattr(response, "_content", None)
        if self._raw is None or isinstance(content, bytes):
            # A response hook has read the body, or an adapter has no raw response.
            self._raw = io.BytesIO(content or b"")
            if response.raw is None:
                self._closer = self._raw
        elif isinstance(self._raw, PooledResponse) and "content-encoding" not in self.headers:
            # The parser is read directly, which is cheaper, unless the body is compressed or a hook has begun to read it.
            if not self._raw.parsed.is_read_as_file:
                self._parsed = self._raw.parsed

    @property
    def ends_with_connection(self) -> bool:
        """True if only the end of the connection ends the body, so that a body that was cut off looks complete."""
        return (
            self.exchange.phase == Exchange.RESPONDED
            and "content-length" not in self.headers
            and "chunked" not in self.headers.get("transfer-encoding", "").lower()
        )

    @property
    def server_time(self) -> Optional[float]:
        """The server's clock when it sent the response, in seconds since 1970; None if the response has no date."""
        return http_date(self.headers.get("date", ""))

    def read1(self) -> bytes:
        """Return the next bytes, decompressed, as soon as there are any; b"" at the end."""
        try:
            if self._parsed is not None:
                data = self._parsed.read_some()
            else:
                # urllib3's response decompresses. Other adapters give an ordinary file.
                options = {"decode_content": True} if isinstance(self._raw, urllib3.response.BaseHTTPResponse) else {}
                read = self._raw.read1 if hasattr(self._raw, "read1") else self._raw.read
                data = read(_PIECE, **options)
            if not data:
                self._release()
        except Exception as error:
            raise translate(error, self.exchange, self.info) from error
        if not data:
            self.exchange.scope.check()
        return data

    def read_all(self, limit: int, *, strict: bool = True) -> bytes:
        """Return the rest of the body. Above *limit* bytes, raise `ResponseDecodeError`; if not *strict*, return *limit* bytes."""
        pieces: List[bytes] = []
        size = 0
        while True:
            piece = self.read1()
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
            if size <= limit:
                if self._parsed is not None and self._parsed.is_complete:
                    self._release()
                    self.exchange.scope.check()
                    break
            else:
                if not strict:
                    break
                problem = f"$: more than {limit} bytes"
                raise ResponseDecodeError(
                    f"the response is larger than max_response_bytes={limit}", problems=(problem,), request=self.info
                )
        return b"".join(pieces)[:limit] if len(pieces) != 1 else pieces[0][:limit]

    def _release(self) -> None:
        release = getattr(self._raw, "release_conn", None)
        if release is not None:
            release()
            self._released = True

    def close(self) -> None:
        """Close the response, and its connection if the body was not read to its end.

        Only the reading thread may call this. Another thread interrupts the scope instead.
        """
        if self._released:
            return
        if self.exchange.scope.pid == os.getpid():
            self.exchange.scope.detach()
        try:
            self._closer.close()
        except BELOW as error:
            raise_foreign(error, foreign=is_from_signal_handler)
            _log.debug("closing a response failed: %s", repr(error))

    def __enter__(self) -> ByteStream:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
