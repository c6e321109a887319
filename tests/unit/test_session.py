"""Users' sessions, their adapters, hooks, authentication and certificates, and the mocks `responses` and requests-mock."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any, List

import pytest
import requests
from requests.adapters import BaseAdapter, HTTPAdapter

from langgraph_runs import Client, NotFoundError, RetryPolicy
from langgraph_runs.http.pool import PlainPool
from langgraph_runs.http.session import Connector, LimitedAdapter

from .played import RUN, THREAD, URL, Played, Reply, reply, run_json, session_of, sse

ONE = f"{URL}/threads/{THREAD}/runs/{RUN}"
EVENTS = sse(("metadata", {"run_id": RUN}), ("values", {"n": 1}))


@pytest.mark.parametrize("own", [True, False])
def test_the_mocks_of_responses_replace_calls(own: bool) -> None:
    """The mocks of the library `responses` answer calls and streams, with the client's session and a user's."""
    responses = pytest.importorskip("responses")
    with responses.RequestsMock() as mocked:
        mocked.add(responses.GET, ONE, json=run_json())
        mocked.add(responses.GET, ONE, json={"detail": "gone"}, status=404)
        mocked.add(responses.POST, f"{URL}/threads/{THREAD}/runs/stream", body=EVENTS.body, content_type="text/event-stream")
        client = Client(URL, api_key="k", session=None if own else requests.Session(), verify_outcome=False)
        assert RUN == client.runs.get(THREAD, RUN).run_id
        with pytest.raises(NotFoundError, match="gone"):
            client.runs.get(THREAD, RUN)
        with client.runs.stream(THREAD, "agent", input={}) as stream:
            assert ["metadata", "values"] == [event.event for event in stream]
        assert "k" == mocked.calls[0].request.headers["x-api-key"]
        client.close()


@pytest.mark.parametrize("own", [True, False])
def test_the_mocks_of_requests_mock_replace_calls(own: bool) -> None:
    """So do those of requests-mock, whether they replace all sessions or are mounted in one."""
    requests_mock = pytest.importorskip("requests_mock")
    if own:
        with requests_mock.Mocker() as mocked:
            mocked.get(ONE, json=run_json())
            mocked.post(f"{URL}/threads/{THREAD}/runs/stream", content=EVENTS.body, headers={"content-type": "text/event-stream"})
            check(Client(URL, api_key=None, verify_outcome=False))
    else:
        session, adapter = requests.Session(), requests_mock.Adapter()
        session.mount("http://", adapter)
        adapter.register_uri("GET", ONE, json=run_json())
        adapter.register_uri(
            "POST", f"{URL}/threads/{THREAD}/runs/stream", content=EVENTS.body, headers={"content-type": "text/event-stream"}
        )
        check(Client(URL, api_key=None, session=session, verify_outcome=False))


def check(client: Client) -> None:
    assert RUN == client.runs.get(THREAD, RUN).run_id
    assert [{"run_id": RUN}, {"n": 1}] == [event.data for event in client.runs.stream(THREAD, "agent", input={})]


def plain_file(body: bytes, headers: Any = None) -> Any:
    """A response as simple adapters make it: a Response around a file."""

    def answer(request: requests.PreparedRequest) -> requests.Response:
        response = requests.Response()
        response.status_code = 200
        response.headers.update(headers or {"content-type": "application/json"})
        response.raw = io.BytesIO(body)
        response.url = str(request.url)
        response.request = request
        return response

    return answer


def only_content(body: bytes, headers: Any = None) -> Any:
    """A response as the simplest make it: its content set, no file at all."""

    def answer(request: requests.PreparedRequest) -> requests.Response:
        response: requests.Response = plain_file(b"", headers)(request)
        response.raw = None
        response._content = body
        return response

    return answer


@pytest.mark.parametrize("made", [plain_file, only_content])
def test_adapters_that_give_plain_files(made: Any) -> None:
    """An adapter need not build on urllib3: a file, or content alone, will do, for whole responses and streams."""
    played = Played(made(json.dumps(run_json()).encode()), made(EVENTS.body, {"content-type": "text/event-stream"}), made(b""))
    client = Client(URL, api_key=None, session=session_of(played), verify_outcome=False)
    check(client)
    client.runs.delete(THREAD, RUN)


class NoRead1:
    """A file that can only be read."""

    def __init__(self, body: bytes) -> None:
        self.left = body

    def read(self, size: int = -1) -> bytes:
        piece, self.left = self.left[:size], self.left[size:]
        return piece

    def close(self) -> None:
        pass


def test_adapters_whose_files_can_only_be_read() -> None:
    """read() is enough."""

    def answer(request: requests.PreparedRequest) -> requests.Response:
        response: requests.Response = plain_file(b"")(request)
        response.raw = NoRead1(json.dumps(run_json()).encode())
        return response

    client = Client(URL, api_key=None, session=session_of(Played(answer)))
    assert RUN == client.runs.get(THREAD, RUN).run_id


def test_response_hooks_run() -> None:
    """A session's hook sees each response before it is read, and may replace it."""
    seen: List[Any] = []
    played = Played(reply(run_json()), reply({"detail": "x"}, 404))
    session = session_of(played)
    session.hooks["response"].append(lambda response, **_: seen.append((response.request.method, response.status_code)))
    client = Client(URL, api_key=None, session=session)
    client.runs.get(THREAD, RUN)
    with pytest.raises(NotFoundError):
        client.runs.get(THREAD, RUN)
    assert [("GET", 200), ("GET", 404)] == seen


def test_a_hook_may_read_the_response() -> None:
    """A hook that logs the body leaves it to us as well, for successes, errors and streams."""
    seen: List[str] = []
    played = Played(reply(run_json()), EVENTS, reply({"detail": "gone"}, 404))
    session = session_of(played)
    session.hooks["response"].append(lambda response, **_: seen.append(response.text[:20]))
    client = Client(URL, api_key=None, session=session, verify_outcome=False)
    check(client)
    with pytest.raises(NotFoundError, match="gone"):
        client.runs.get(THREAD, RUN)
    assert 3 == len(seen)


def test_an_error_in_a_hook_reaches_the_caller() -> None:
    """It is raised as it is, and nothing is tried again."""
    played = Played(reply(run_json()), reply(run_json()))
    session = session_of(played)

    def hook(response: requests.Response, **_: Any) -> None:
        raise RuntimeError("a bug in the hook")

    session.hooks["response"].append(hook)
    with pytest.raises(RuntimeError, match="a bug in the hook"):
        Client(URL, api_key=None, session=session).runs.get(THREAD, RUN)
    assert 1 == len(played.requests)


def test_a_sessions_headers_and_auth_are_used() -> None:
    """The client's headers take precedence; the session's own auth is applied to each request."""
    played = Played(reply(run_json()))
    session = session_of(played)
    session.headers.update({"X-Theirs": "1", "X-Both": "theirs", "User-Agent": "theirs"})
    session.auth = ("user", "pw")
    Client(URL, api_key=None, session=session, headers={"X-Both": "ours"}).runs.get(THREAD, RUN)
    sent = played.requests[0].headers
    assert ("1", "ours", "Basic dXNlcjpwdw==") == (sent["X-Theirs"], sent["X-Both"], sent["Authorization"])
    assert sent["User-Agent"].startswith("langgraph-runs/")


@pytest.mark.parametrize(
    ("given", "used"), [({}, "/their/ca.pem"), ({"verify": "/our/ca.pem"}, "/our/ca.pem"), ({"verify": False}, False)]
)
def test_a_sessions_certificates_are_used(given: Any, used: Any) -> None:
    """The session's setting is used, unless the client has one of its own."""
    played = Played(reply(run_json()))
    session = session_of(played)
    session.verify = "/their/ca.pem"
    session.cert = "/their/cert.pem"
    Client(URL, api_key=None, session=session, **given).runs.get(THREAD, RUN)
    assert (used, "/their/cert.pem") == (played.options[0]["verify"], played.options[0]["cert"])


def test_certificates_are_verified_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session without a setting, and a client without a session, verify certificates."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    for session in (session_of(Played()), None):
        connector = Connector(URL, pool_size=1, session=session, verify=True, cert=None, proxies=None)
        assert True is connector._settings["verify"]
        connector.close()


def test_environment_of_certificates_and_proxies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """REQUESTS_CA_BUNDLE and the proxy variables are used; arguments of the client take precedence."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    bundle = tmp_path / "ca.pem"
    bundle.write_text("")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    monkeypatch.setenv("https_proxy", "http://proxy:3128")

    def settings(**given: Any) -> Any:
        options = {"verify": True, "cert": None, "proxies": None, **given}
        return Connector("https://server", pool_size=1, session=None, **options)._settings

    assert (str(bundle), "http://proxy:3128") == (settings()["verify"], settings()["proxies"]["https"])
    assert "http://other:1" == settings(proxies={"https": "http://other:1"})["proxies"]["https"]
    assert "/own.pem" == settings(verify="/own.pem")["verify"]


@pytest.mark.parametrize("own", [True, False])
def test_nothing_of_netrc_is_sent(own: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """requests would put the login of a .netrc into Authorization, over the user's own even."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine server login user password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    played = Played(reply(run_json()), reply(run_json()))
    session = session_of(played)
    session.trust_env = True
    assert ("user", "hunter2") == requests.utils.get_netrc_auth(URL)
    client = Client(URL, api_key=None, session=None if own else session)
    if own:
        client._transport._shared.connector().session.mount("http://", played)
    client.runs.get(THREAD, RUN)
    client.runs.get(THREAD, RUN, headers={"Authorization": "Bearer mine"})
    assert [None, "Bearer mine"] == [sent.headers.get("Authorization") for sent in played.requests]


def test_cookies_are_off() -> None:
    """A session that threads share must not change: what a server sets is not kept and not sent."""
    played = Played(Reply(200, json.dumps(run_json()).encode(), {"set-cookie": "a=b; Path=/"}), reply(run_json()))
    client = Client(URL, api_key=None)
    session = client._transport._shared.connector().session
    session.mount("http://", played)
    client.runs.get(THREAD, RUN), client.runs.get(THREAD, RUN)
    session.cookies.set("c", "d")
    assert [None, None] == [sent.headers.get("Cookie") for sent in played.requests]
    assert 0 == len(session.cookies)


def test_only_one_layer_repeats() -> None:
    """The adapter below us makes each attempt once."""
    session = Connector(URL, pool_size=3, session=None, verify=True, cert=None, proxies=None).session
    for url in (URL, "https://server"):
        adapter: Any = session.get_adapter(url)
        assert (0, False) == (adapter.max_retries.total, adapter.max_retries.read)
        assert 3 == adapter._pool_maxsize


def test_a_plain_adapter_is_replaced_for_the_clients_url_only() -> None:
    """Deadlines and aborts need connections of this package. Other uses of the session keep theirs; a second client shares them."""
    session = requests.Session()
    before = session.get_adapter("http://other")
    for _ in range(2):
        Connector(URL, pool_size=1, session=session, verify=True, cert=None, proxies=None)
    assert isinstance(session.get_adapter(URL + "/x"), LimitedAdapter)
    assert before is session.get_adapter("http://other")
    assert 3 == len(session.adapters)


class Own(HTTPAdapter):
    """A user's own adapter."""


@pytest.mark.parametrize("adapter", [Own(), HTTPAdapter(max_retries=3), Played()])
def test_a_users_own_adapter_stays(adapter: BaseAdapter) -> None:
    """An adapter that the user has mounted is kept."""
    session = session_of(adapter)
    Connector(URL, pool_size=1, session=session, verify=True, cert=None, proxies=None)
    assert adapter is session.get_adapter(URL)


def test_in_a_forked_child_the_adapter_is_made_again() -> None:
    """The child's copy of a user's session does not use its parent's connections."""
    session = requests.Session()
    make: dict[str, Any] = {"pool_size": 1, "session": session, "verify": True, "cert": None, "proxies": None}
    Connector(URL, **make)
    inherited: Any = session.get_adapter(URL)
    inherited.pid -= 1  # as if it had been made by another process
    Connector(URL, **make)
    assert inherited is not session.get_adapter(URL)


def test_a_users_session_is_not_closed() -> None:
    """It belongs to the user: closing the client leaves it open."""
    closed: List[int] = []
    session = session_of(Played())
    session.close = lambda: closed.append(1)  # type: ignore[method-assign]
    client = Client(URL, api_key=None, session=session)
    client._transport._shared.connector()
    client.close()
    assert [] == closed


def test_errors_are_recognised_by_status_and_not_by_bool() -> None:
    """``bool(response)`` of requests is False for a 404: a response of any status is read."""
    played = Played(*[reply({"detail": "x"}, 404)] * 2)
    with pytest.raises(NotFoundError, match="x"):
        Client(URL, api_key=None, session=session_of(played), retry=RetryPolicy(attempts=1)).ok()


class Signing(requests.Session):
    """A session that adds its credentials in `request`, as those of OAuth libraries do."""

    def request(self, method: Any, url: Any, **options: Any) -> Any:  # type: ignore[override]
        options["headers"] = {**options["headers"], "Authorization": f"Signed {method}"}
        return super().request(method, url, **options)


def test_additions_of_a_session_class_are_sent() -> None:
    """Requests go through `request` of a user's session."""
    played = Played(reply(run_json()), reply(run_json()))
    session = Signing()
    session.mount("http://", played)
    client = Client(URL, api_key=None, session=session)
    client.runs.get(THREAD, RUN)
    client.runs.create(THREAD, "agent", input={"n": 1})
    assert ["Signed GET", "Signed POST"] == [sent.headers["Authorization"] for sent in played.requests]
    assert {"n": 1} == played.body(1)["input"]


def test_a_sessions_parameters_and_cookies_are_used() -> None:
    """They are part of each request, as when the session is used alone."""
    played = Played(reply(run_json()))
    session = session_of(played)
    session.params = {"tenant": "a b"}
    session.cookies.set("login", "1")
    Client(URL, api_key=None, session=session).runs.get(THREAD, RUN, params={"x": "y"})
    (sent,) = played.requests
    assert {"x=y", "tenant=a+b"} == set(str(sent.url).partition("?")[2].split("&"))
    assert "login=1" == sent.headers["Cookie"]


@pytest.mark.parametrize("auth", [None, ("user", "pw")])
def test_an_id_of_dots_keeps_its_place_in_the_path(auth: Any) -> None:
    """requests decodes %2E, and a server would take the path for another one."""
    played = Played(reply(run_json()))
    session = session_of(played)
    session.auth = auth
    Client(URL, api_key=None, session=session).runs.get("..", RUN)
    assert f"{URL}/threads/%2E%2E/runs/{RUN}" == played.requests[0].url
    assert (auth is not None) == ("Authorization" in played.requests[0].headers)


def test_hooks_that_an_auth_registers_are_those_of_one_request() -> None:
    """As digest authentication registers one: the session's own hooks do not become more."""

    def auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.register_hook("response", lambda response, **_: None)  # type: ignore[no-untyped-call]
        return request

    played = Played(*[reply(run_json())] * 5)
    session = session_of(played)
    session.auth = auth
    client = Client(URL, api_key=None, session=session)
    for _ in range(5):
        client.runs.get(THREAD, RUN)
    assert [] == session.hooks["response"]
    assert [1] * 5 == [len(sent.hooks["response"]) for sent in played.requests]


@pytest.mark.parametrize("adapter", [Own(), HTTPAdapter(max_retries=3)])
def test_a_users_own_adapter_gets_connections_of_this_package(adapter: HTTPAdapter) -> None:
    """So that time limits and abort signals reach them; the proxies' too."""
    session = session_of(adapter)
    proxies = {"http": "http://proxy:3128"}
    Connector(URL, pool_size=1, session=session, verify=True, cert=None, proxies=proxies)
    for manager in (adapter.poolmanager, adapter.proxy_manager_for("http://proxy:3128")):
        assert PlainPool is manager.pool_classes_by_scheme["http"]


def test_a_session_may_be_in_use_when_a_client_begins_to_use_it() -> None:
    """Another thread may be looking for the adapter of a URL; its order of prefixes is that of `requests.Session.mount`."""
    session, twin = requests.Session(), requests.Session()
    for one in (session, twin):
        one.mount(URL + "/longer", HTTPAdapter())
    adapters = iter(session.adapters.items())
    next(adapters)
    client = Client(URL, api_key=None, session=session)
    client._transport._shared.connector()
    assert 2 == len(list(adapters))  # no RuntimeError
    twin.mount(URL, HTTPAdapter())
    assert list(twin.adapters) == list(session.adapters)
    assert isinstance(session.get_adapter(URL), LimitedAdapter)
