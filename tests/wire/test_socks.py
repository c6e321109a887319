"""SOCKS proxies: the server is reached through them, and a proxy that is silent, slow or refuses keeps no call for ever."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Iterator, List, Optional, Type

import pytest

from langgraph_runs import (
    AbortController,
    AbortedError,
    APIConnectionError,
    APITimeoutError,
    Client,
    DeadlineExceededError,
    RetryPolicy,
)

from .scripted import ScriptedServer, reply_json
from .tls import Front

pytest.importorskip("socks", reason="PySocks is not installed")
trustme = pytest.importorskip("trustme", reason="trustme, which makes certificates, is not installed")
#: Seconds after which a call that should have ended long ago fails its test.
LATEST = 5.0


class SocksProxy:
    """A proxy of version 4 and 5 on a free port; *mode* says where it stops."""

    def __init__(self, mode: str = "connects", login: Optional[bytes] = None) -> None:
        self._mode, self._login = mode, login
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._serve)]
        #: What the client asked it to connect to: a name, or an address as text.
        self.hosts: List[str] = []
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> SocksProxy:
        self._listener.settimeout(0.05)
        self._threads[0].start()
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                sock, _ = self._listener.accept()
            except (TimeoutError, socket.timeout):
                continue
            thread = threading.Thread(target=self._handle, args=(sock,))
            self._threads.append(thread)
            thread.start()

    def _handle(self, sock: socket.socket) -> None:
        with sock:
            sock.settimeout(10)
            try:
                if self._mode == "silent":
                    self._ended.wait(30)
                elif self._mode == "dripping":
                    exact(sock, 3)
                    sock.sendall(b"\x05\x00")
                    exact(sock, 10)
                    for byte in b"\x05\x00\x00\x03\xff" + b"x" * 255:
                        sock.sendall(bytes([byte]))
                        if self._ended.wait(0.1):
                            break
                else:
                    self._connect(sock)
            except (OSError, EOFError):
                pass  # the client has closed the connection

    def _connect(self, sock: socket.socket) -> None:
        version = exact(sock, 1)[0]
        if version == 4:
            _, port, packed = struct.unpack(">BH4s", exact(sock, 7))
            until_zero(sock)
            host = until_zero(sock).decode() if packed[:3] == b"\0\0\0" else socket.inet_ntoa(packed)
            refusal, success = b"\x00\x5b" + b"\0" * 6, b"\x00\x5a" + b"\0" * 6
        else:
            methods = exact(sock, exact(sock, 1)[0])
            if self._login is not None:
                if 2 not in methods:
                    sock.sendall(b"\x05\xff")
                    return
                sock.sendall(b"\x05\x02")
                exact(sock, 1)
                given = exact(sock, exact(sock, 1)[0]) + b":" + exact(sock, exact(sock, 1)[0])
                sock.sendall(b"\x01\x00" if given == self._login else b"\x01\x01")
                if given != self._login:
                    return
            else:
                sock.sendall(b"\x05\x00")
            kind = exact(sock, 4)[3]
            size = {1: 4, 4: 16}.get(kind)
            data = exact(sock, exact(sock, 1)[0] if size is None else size)
            host = data.decode() if kind == 3 else socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, data)
            (port,) = struct.unpack(">H", exact(sock, 2))
            refusal, success = b"\x05\x05\x00\x01" + b"\0" * 6, b"\x05\x00\x00\x03\x04host\0\0"
        self.hosts.append(host)
        if self._mode == "refuses":
            sock.sendall(refusal)
            return
        with socket.create_connection(("127.0.0.1", port), timeout=10) as server:
            sock.sendall(success)
            back = threading.Thread(target=relay, args=(server, sock))
            back.start()
            relay(sock, server)
            back.join()


def exact(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def until_zero(sock: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\0"):
        data += exact(sock, 1)
    return data[:-1]


def relay(source: socket.socket, target: socket.socket) -> None:
    try:
        while True:
            data = source.recv(65536)
            if not data:
                break
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # one of both has closed its connection


def through(proxy: SocksProxy, url: str, scheme: str = "socks5", login: str = "", **options: Any) -> Client:
    proxies = dict.fromkeys(["http", "https"], f"{scheme}://{login}{proxy.address}")
    return Client(url, api_key=None, proxies=proxies, retry=RetryPolicy(attempts=1), **options)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(always=reply_json(200, {"ok": True})) as running:
        yield running


@pytest.mark.parametrize(
    ("scheme", "host", "asked"),
    [
        ("socks5", "localhost", "127.0.0.1"),
        ("socks5h", "server.test", "server.test"),
        ("socks4", "127.0.0.1", "127.0.0.1"),
        ("socks4a", "server.test", "server.test"),
    ],
)
def test_a_server_is_reached_through_a_proxy(server: ScriptedServer, scheme: str, host: str, asked: str) -> None:
    """The connection is kept and used again. Only with the schemes for it is the name looked up by the proxy."""
    with SocksProxy() as proxy:
        client = through(proxy, f"http://{host}:{server.port}", scheme)
        assert client.ok() and client.ok()
        client.close()
    # A machine may look localhost up as ::1 first.
    assert ([asked], 1) == ([found.replace("::1", "127.0.0.1") for found in proxy.hosts], server.connections)


def test_a_server_with_tls_is_reached_through_a_proxy(server: ScriptedServer, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with Front(("127.0.0.1", server.port), tls=context) as front, SocksProxy() as proxy:
        client = through(proxy, f"https://localhost:{front.port}", "socks5h", verify=str(tmp_path / "ca.pem"))
        assert client.ok()
        client.close()
    assert ["localhost"] == proxy.hosts


def test_the_login_in_the_url_of_the_proxy_is_used(server: ScriptedServer) -> None:
    with SocksProxy(login=b"user:p:w") as proxy:
        with through(proxy, server.url, login="user:p%3Aw@") as client:
            assert client.ok()
        with through(proxy, server.url, login="user:wrong@") as client:
            with pytest.raises(APIConnectionError, match="the SOCKS proxy refuses the login") as caught:
                client.ok()
            assert caught.value.sent is False
        with through(proxy, server.url) as client, pytest.raises(APIConnectionError, match="the SOCKS proxy requires a login"):
            client.ok()


@pytest.mark.parametrize("scheme", ["socks5", "socks4"])
def test_a_proxy_that_refuses_is_reported(server: ScriptedServer, scheme: str) -> None:
    with SocksProxy("refuses") as proxy, through(proxy, server.url, scheme) as client:
        with pytest.raises(APIConnectionError, match="the SOCKS proxy cannot connect to the server") as caught:
            client.ok()
    assert caught.value.sent is False


@pytest.mark.parametrize("mode", ["silent", "dripping"])
def test_a_proxy_that_does_not_finish_keeps_no_call(server: ScriptedServer, mode: str) -> None:
    """``connect_timeout``, ``timeout`` and ``signal`` end it. The dripping one would take half a minute, always with a byte in time."""
    controller = AbortController()
    with SocksProxy(mode) as proxy:
        for kind, client, options in (
            (APITimeoutError, through(proxy, server.url, connect_timeout=0.4), {}),
            (DeadlineExceededError, through(proxy, server.url), {"timeout": 0.4}),
            (AbortedError, through(proxy, server.url), {"signal": controller.signal}),
        ):
            timer = threading.Timer(0.4, controller.abort)
            timer.start()
            began = time.monotonic()
            with client, pytest.raises(kind) as caught:
                client.ok(**options)
            assert kind is type(caught.value) and time.monotonic() - began < LATEST
            timer.join()
    assert 0 == server.connections
