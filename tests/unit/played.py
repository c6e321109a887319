"""Responses from memory, so that a `Client` or `Transport` can be tested without sockets, and a clock that tests control."""

from __future__ import annotations

import io
import json
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter

from langgraph_runs import Client, RetryPolicy
from langgraph_runs.http.session import Connector
from langgraph_runs.http.settings import Settings
from langgraph_runs.http.transport import Transport

URL = "http://server"
THREAD = "01a1fba7-134d-75bb-be92-342b603af512"
RUN = "01a1fba7-134f-707a-814b-b1e6473e86be"


class Reply:
    """One response, byte for byte."""

    def __init__(
        self, status: int = 200, body: bytes = b"", headers: Union[Mapping[str, str], Sequence[Tuple[str, str]], None] = None
    ) -> None:
        self.status, self.body, self.headers = status, body, headers

    def response(self, request: requests.PreparedRequest) -> requests.Response:
        fields = urllib3.HTTPHeaderDict(self.headers or {})
        raw = urllib3.HTTPResponse(body=io.BytesIO(self.body), headers=fields, status=self.status, preload_content=False)
        response: requests.Response = HTTPAdapter().build_response(request, raw)
        return response


def reply(value: Any, status: int = 200, **headers: str) -> Reply:
    """Return a response of JSON; ``content_location="..."`` and so on are headers."""
    fields = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(status, json.dumps(value).encode(), {"content-type": "application/json", **fields})


def sse(*events: Tuple[str, Any], ids: Sequence[Optional[str]] = (), **headers: str) -> Reply:
    """Return a response of server-sent events, as langgraph-api writes them."""
    text = ""
    for index, (name, data) in enumerate(events):
        text += f"event: {name}\r\ndata: {json.dumps(data)}\r\n"
        if index < len(ids) and ids[index] is not None:
            text += f"id: {ids[index]}\r\n"
        text += "\r\n"
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(200, text.encode(), {"content-type": "text/event-stream; charset=utf-8", **fields})


def run_json(**changes: Any) -> Dict[str, Any]:
    """Return a run as JSON of the server."""
    return {
        "run_id": RUN,
        "thread_id": THREAD,
        "assistant_id": "fe096781-5601-53d2-b2f6-0d3403f7e9ca",
        "status": "success",
        "metadata": {"created_by": "system"},
        "kwargs": {"input": {"n": 1}},
        "multitask_strategy": "enqueue",
        "created_at": "2026-11-21T01:09:53.104205+00:00",
        "updated_at": "2026-11-21T01:09:53.104211+00:00",
        "langsmith_session_name": None,
        **changes,
    }


Answer = Union[Reply, BaseException, Callable[[requests.PreparedRequest], Any]]


class Played(BaseAdapter):
    """An adapter that returns these responses in turn; an exception is raised, a function is called."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__()
        #: The requests, in order.
        self.requests: List[requests.PreparedRequest] = []
        #: The timeout, verify, cert and proxies of each request.
        self.options: List[Dict[str, Any]] = []
        self._answers = list(answers)

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        self.requests.append(request)
        self.options.append(options)
        if not self._answers:
            raise AssertionError(f"a request that nobody expected: {request.method} {request.url}")
        answer: Any = self._answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        if not isinstance(answer, Reply):
            answer = answer(request)
        return answer.response(request) if isinstance(answer, Reply) else answer

    def close(self) -> None:
        pass

    @property
    def asked(self) -> List[str]:
        """The method and path of each request."""
        return [f"{request.method} {str(request.url)[len(URL) :]}" for request in self.requests]

    def body(self, index: int = 0) -> Any:
        """Return the parsed body of a request."""
        return json.loads(self.requests[index].body or b"null")


def session_of(adapter: BaseAdapter) -> requests.Session:
    """Return a session that uses only this adapter."""
    session = requests.Session()
    session.trust_env = False
    session.adapters.clear()
    session.mount("http://", adapter)
    return session


def client_of(*answers: Answer, **options: Any) -> Tuple[Client, Played]:
    """Return a client that gets these responses, and retries without waiting."""
    played = Played(*answers)
    options.setdefault("api_key", None)
    options.setdefault("retry", RetryPolicy(wait_initial=0))
    return Client(URL, session=session_of(played), **options), played


class Time:
    """A clock that only advances when the code under test sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        #: The sleeps, in seconds.
        self.slept: List[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def transport_of(*answers: Answer, **settings: Any) -> Tuple[Transport, Played, Time]:
    """Return a transport that gets these responses and uses a `Time`."""
    played, time = Played(*answers), Time()
    session = session_of(played)
    settings.setdefault("url", URL)
    transport = Transport(
        Settings(**settings),
        connect=lambda: Connector(settings["url"], pool_size=1, session=session, verify=True, cert=None, proxies=None),
        clock=time.clock,
        sleep=time.sleep,
    )
    return transport, played, time
