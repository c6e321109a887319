"""Faults that a request asks for by a header or in its query, in the real server. Runs inside it: imports nothing of ours."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, PlainTextResponse, Response


class Faults:
    """``x-fault: 500`` or ``?fault=500`` and the like answer instead of the server; anything else passes."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        query = parse_qs(scope.get("query_string", b"").decode())
        fault = dict(scope.get("headers") or ()).get(b"x-fault", b"").decode() or query.get("fault", [""])[-1]
        answers: dict[str, Response] = {
            "500": PlainTextResponse("Internal Server Error", 500),
            "502": HTMLResponse("<html><body><h1>Bad Gateway</h1></body></html>", 502),
            "503": PlainTextResponse("Service Unavailable", 503, {"Retry-After": "0"}),
            "302": Response(status_code=302, headers={"Location": "https://elsewhere.example/login"}),
        }
        await answers.get(fault, self.app)(scope, receive, send)


app = Starlette(middleware=[Middleware(Faults)])
