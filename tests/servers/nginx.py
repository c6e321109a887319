"""nginx (Debian: nginx-light) as a gateway in front of a server, in a temporary directory and on a free port."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

from .processes import Unavailable, free_port, running, wait_listening

HOW = "nginx is needed: apt-get install nginx-light"


def unavailable_reason() -> str:
    """Why this machine cannot run it, and how to get it; empty if it can."""
    return "" if _program() else HOW


def _program() -> Optional[str]:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextlib.contextmanager
def gateway(
    upstream: str,
    *,
    read_timeout: float = 60.0,
    buffering: bool = True,
    rate: Optional[int] = None,
    burst: int = 0,
    extra: str = "",
) -> Iterator[str]:
    """Run nginx in front of the server and yield its URL.

    `read_timeout`: seconds of silence after which it gives up. `rate`: requests per second; it refuses more than `burst` too many
    with a 503, as it does when nothing else is configured. `extra`: further lines of the location.
    """
    program = _program()
    if program is None:
        raise Unavailable(HOW)
    with tempfile.TemporaryDirectory(prefix="langgraph-runs-nginx-") as name:
        directory, port = Path(name), free_port()
        zone = f"limit_req_zone $binary_remote_addr zone=all:1m rate={rate}r/s;" if rate else ""
        limit = "" if not rate else f"limit_req zone=all burst={burst} nodelay;" if burst else "limit_req zone=all;"
        paths = "".join(f"{kind}_temp_path {directory}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        config = directory / "nginx.conf"
        config.write_text(
            f"""daemon off;
worker_processes 1;
pid {directory}/pid;
error_log {directory}/error.log warn;
{"user root;" if os.getuid() == 0 else ""}
events {{ worker_connections 256; }}
http {{
    access_log off;
    {paths}
    {zone}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {upstream};
            proxy_http_version 1.1;
            proxy_read_timeout {read_timeout * 1000:.0f}ms;
            proxy_buffering {"on" if buffering else "off"};
            {limit}
            {extra}
        }}
    }}
}}
"""
        )
        log = directory / "log"
        command = [program, "-c", str(config), "-p", str(directory), "-e", str(directory / "error.log")]
        with running(command, log) as process:
            wait_listening(process, port, "nginx", log)
            yield f"http://127.0.0.1:{port}"
