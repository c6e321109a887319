"""Asks a SOCKS proxy for a connection to a server, within the time for connecting. Knows only sockets.

Versions 4, 4a and 5 (RFC 1928, RFC 1929). PySocks, which urllib3 uses, waits anew for each byte of the proxy.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import Any, Optional

from ..call import raise_foreign
from .exchange import Exchange

__all__ = ["request_connection"]

#: Texts of the failures that a proxy of version 5 reports.
_FAILURES = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "the network is unreachable",
    4: "the host is unreachable",
    5: "the connection was refused",
    6: "the time to live has expired",
    7: "it does not know the command",
    8: "it does not know this kind of address",
}


def request_connection(
    sock: Any, exchange: Exchange, *, version: int, host: str, port: int, username: Optional[str], password: Optional[str]
) -> None:
    """Have the proxy at the other end of *sock* connect to *host*, a name or an address.

    Raise `TimeoutError` at the end of the time, another `OSError` if the proxy refuses or does not speak SOCKS.
    """
    stream = _Stream(sock, exchange)
    if version == 5:
        _version_5(stream, host, port, username, password)
    else:
        _version_4(stream, host, port, username)


class _Stream:
    """Sends and receives whole messages. Each step takes the time that is left for connecting."""

    def __init__(self, sock: Any, exchange: Exchange) -> None:
        self._sock = sock
        self._exchange = exchange

    def send(self, data: bytes) -> None:
        while data:
            self._sock.settimeout(self._exchange.connecting_timeout())
            data = data[self._sock.send(data) :]

    def receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            self._sock.settimeout(self._exchange.connecting_timeout())
            piece = self._sock.recv(size - len(data))
            if not piece:
                raise ConnectionError("the SOCKS proxy has closed the connection")
            data += piece
        return data


def _version_5(stream: _Stream, host: str, port: int, username: Optional[str], password: Optional[str]) -> None:
    has_login = bool(username)
    stream.send(b"\x05\x02\x00\x02" if has_login else b"\x05\x01\x00")
    version, method = stream.receive(2)
    if version != 5:
        raise ConnectionError("the proxy does not speak SOCKS 5")
    if method == 2 and has_login:
        stream.send(b"\x01" + _counted(username or "") + _counted(password or ""))
        if stream.receive(2)[1] != 0:
            raise ConnectionError("the SOCKS proxy refuses the login")
    elif method != 0:
        raise ConnectionError("the SOCKS proxy requires a login")
    address = _address(host)
    if address is None:
        written = b"\x03" + _counted(host)
    else:
        written = (b"\x01" if address.version == 4 else b"\x04") + address.packed
    stream.send(b"\x05\x01\x00" + written + struct.pack(">H", port))
    version, code, _, kind = stream.receive(4)
    if version != 5 or code != 0:
        reason = _FAILURES.get(code, f"code {code}") if version == 5 else "its response is malformed"
        raise ConnectionError(f"the SOCKS proxy cannot connect to the server: {reason}")
    length = {1: 4, 4: 16}.get(kind)
    stream.receive((stream.receive(1)[0] if length is None else length) + 2)  # its own address


def _version_4(stream: _Stream, host: str, port: int, username: Optional[str]) -> None:
    address = _address(host)
    if address is not None and address.version == 6:
        raise ConnectionError("SOCKS 4 knows no IPv6 address")
    packed, name = (b"\x00\x00\x00\x01", host.encode("idna") + b"\x00") if address is None else (address.packed, b"")
    stream.send(b"\x04\x01" + struct.pack(">H", port) + packed + (username or "").encode("utf-8") + b"\x00" + name)
    version, code = stream.receive(8)[:2]
    if version != 0:
        raise ConnectionError("the proxy does not speak SOCKS 4")
    if code != 0x5A:
        raise ConnectionError(f"the SOCKS proxy cannot connect to the server: code {code}")


def _counted(text: str) -> bytes:
    data = text.encode("utf-8")
    if len(data) > 255:
        raise ConnectionError("a name or password for the SOCKS proxy is longer than 255 bytes")
    return bytes([len(data)]) + data


def _address(host: str) -> Any:
    """Return the address that *host* is; None for a name."""
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError as error:
        raise_foreign(error)
        return None
