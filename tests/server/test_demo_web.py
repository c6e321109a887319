"""``langgraph-runs demo --web``: the site as a process of its own, asked over HTTP. In a browser it is driven by tests.bench.browser."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Optional

import pytest
import requests

import langgraph_runs
from langgraph_runs import errors
from langgraph_runs.demo import web

from ..django.setup import set_up

pytest.importorskip("django")
set_up()

CHECKOUT = str(Path(langgraph_runs.__file__).resolve().parent.parent)
TEMPLATE = Path(web.__file__).parent / "templates" / "chat.html"
DEMO = [sys.executable, "-m", "langgraph_runs", "demo", "--web"]
STORY = "Tell me a long story"
TRIP = "Plan a trip to the sea"
WEATHER = "How is the weather at sea?"


class Site:
    """The process, and what it printed."""

    def __init__(self, directory: Path, *options: str) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "TMPDIR": str(directory),
            "PYTHONPATH": CHECKOUT,
            "PYTHONDONTWRITEBYTECODE": "1",
            "http_proxy": "http://127.0.0.1:9",
        }
        self.directory = directory
        self.process = subprocess.Popen(
            [*DEMO, *options], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", self.line)
        self.url = found.group() if found else ""

    def end(self, signum: int) -> tuple[int, str, str]:
        """Its exit code, and what it printed besides its line."""
        self.process.send_signal(signum)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for all tests; after them it ends as it should."""
    site = Site(tmp_path_factory.mktemp("site"))
    try:
        yield site
    finally:
        ended = site.end(signal.SIGINT)
    assert (130, "", "") == ended
    assert [] == list(site.directory.iterdir())


class Visitor:
    """A browser without a window: it has its cookies and the page's token."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.session = requests.Session()
        self.session.trust_env = False
        self.page = self.session.get(site.url + "/", timeout=10)
        found = re.search(r'data-csrf="(\w+)"', self.page.text)
        assert found
        self.headers = {"X-CSRFToken": found.group(1), "Referer": site.url + "/"}
        self.chat = ""

    def get(self, path: str = "") -> requests.Response:
        return self.session.get(f"{self.site.url}/chats/{self.chat}/{path}", timeout=10)

    def post(self, path: str, body: Any = None, **options: Any) -> requests.Response:
        where = f"{self.site.url}/chats/{self.chat}/{path}" if self.chat else f"{self.site.url}/chats/"
        return self.session.post(where, json={} if body is None else body, headers=self.headers, timeout=20, **options)

    def start(self, path: str, body: Any = None) -> str:
        """The run's id."""
        answer = self.post(path, body)
        assert 201 == answer.status_code, answer.text
        self.chat = answer.json()["thread_id"]
        return str(answer.json()["run_id"])

    def say(self, text: str) -> str:
        return self.start("messages/", {"text": text})

    def state(self) -> Any:
        return self.get("state/").json()

    def open_events(self, run_id: str, last: Optional[str] = None) -> requests.Response:
        headers = {} if last is None else {"Last-Event-ID": last}
        url = f"{self.site.url}/chats/{self.chat}/runs/{run_id}/events/"
        return self.session.get(url, headers=headers, stream=True, timeout=20)

    def events(self, run_id: str, last: Optional[str] = None, *, most: int = 10_000) -> list[dict[str, Any]]:
        """What an EventSource would get, up to its end or to so many."""
        with self.open_events(run_id, last) as response:
            assert 200 == response.status_code, response.text
            found: list[dict[str, Any]] = []
            for event in parse(response):
                found.append(event)
                if event["event"] == "end" or len(found) == most:
                    break
            return found

    def text(self, run_id: str) -> str:
        return written(self.events(run_id))


def parse(response: requests.Response) -> Iterator[dict[str, Any]]:
    fields: dict[str, str] = {}
    for line in response.iter_lines(chunk_size=1):
        name, _, value = line.decode().partition(": ")
        if line and name:
            fields[name] = value
        elif "data" in fields:
            yield {"event": fields["event"], "id": fields.get("id"), "data": json.loads(fields["data"]), "at": time.monotonic()}
            fields = {}


def written(events: list[dict[str, Any]]) -> str:
    return "".join(event["data"]["text"] for event in events if event["event"] == "messages")


@pytest.fixture
def visitor(site: Site) -> Visitor:
    return Visitor(site)


def test_one_line_shows_the_url(site: Site) -> None:
    """Whoever starts it reads the address, and how to end it."""
    assert re.fullmatch(r"The chat is at http://127\.0\.0\.1:\d+/ \(Ctrl-C ends it\)\n", site.line)


def test_only_this_machine_can_connect(site: Site) -> None:
    """Neither another address of the machine nor a name that somebody else has pointed at it."""
    port = int(site.url.rpartition(":")[2])
    listening = Path("/proc/net/tcp").read_text()
    assert f"0100007F:{port:04X} 00000000:0000 0A" in listening
    assert f"00000000:{port:04X} 00000000:0000 0A" not in listening
    assert 400 == requests.get(site.url, headers={"Host": "evil.example"}, timeout=10).status_code


def test_the_page_loads_nothing_from_other_hosts_and_shows_no_secret(visitor: Visitor, site: Site) -> None:
    """No address but those of the site, a policy that forbids any other, no key and no address of the LangGraph server."""
    text, headers = visitor.page.text, visitor.page.headers
    assert [] == re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:)?//", text)
    found = re.search(r"'nonce-([\w-]{20,})'", headers["Content-Security-Policy"])
    assert found
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert 2 == text.count(f'nonce="{found.group(1)}"')
    assert found.group(1) not in visitor.session.get(site.url, timeout=10).text
    assert "DENY" == headers["X-Frame-Options"]
    assert "nosniff" == headers["X-Content-Type-Options"]
    assert [] == re.findall(r"127\.0\.0\.1|localhost|api.?key", text, re.IGNORECASE)


def test_the_page_never_inserts_text_as_html() -> None:
    """Nothing in its script makes markup of a string."""
    assert [] == re.findall(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|\bon\w+=\"", TEMPLATE.read_text(encoding="utf-8")
    )


class Trip(NamedTuple):
    """A chat whose graph has paused with a question, and the events that its browser got before three cuts and after."""

    visitor: Visitor
    run_id: str
    parts: list[list[dict[str, Any]]]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for part in self.parts for event in part]


@pytest.fixture(scope="module")
def trip(site: Site) -> Trip:
    visitor = Visitor(site)
    run_id = visitor.say(TRIP)
    parts: list[list[dict[str, Any]]] = []
    last = None
    for most in (2, 20, 20, 10_000):
        parts.append(visitor.events(run_id, last, most=most))
        last = parts[-1][-1]["id"]
    return Trip(visitor, run_id, parts)


def test_tokens_arrive_one_by_one_with_ids(trip: Trip) -> None:
    """Over a second or so, not in one go; each with an id to come back with, and at the end what became of the run."""
    tokens = [event for event in trip.events if event["event"] == "messages"]
    assert len(tokens) > 50
    assert tokens[-1]["at"] - tokens[0]["at"] > 0.5
    assert all(event["id"] for event in tokens)
    assert ("end", "success") == (trip.events[-1]["event"], trip.events[-1]["data"]["status"])


def test_nothing_secret_is_in_the_events(trip: Trip) -> None:
    """Of the run's own events the browser gets text and progress: no configuration, no owner, no state."""
    assert {"messages", "custom", "end"} == {event["event"] for event in trip.events}
    assert {frozenset({"id", "text"})} == {frozenset(event["data"]) for event in trip.events if event["event"] == "messages"}


def test_a_browser_that_reconnects_gets_every_event_once(trip: Trip) -> None:
    """With the last id that it saw, while the run goes on; a new one gets all of it."""
    assert [2, 20, 20] == [len(part) for part in trip.parts[:3]]
    kept = trip.visitor.state()["messages"][1]["text"]
    assert kept == written(trip.events) == trip.visitor.text(trip.run_id)


def test_a_reloaded_page_finds_the_run_and_can_stop_it(visitor: Visitor) -> None:
    """The message is there at once. Who reads the events is told of the stop; what was written stays; the thread is free again."""
    run_id = visitor.say(STORY)
    state = visitor.state()
    assert ([STORY], run_id) == ([one["text"] for one in state["messages"]], state["run_id"])
    assert 409 == visitor.post("messages/", {"text": "and another one"}).status_code
    got: list[dict[str, Any]] = []
    begun = threading.Event()

    def read() -> None:
        with visitor.open_events(run_id) as response:
            for event in parse(response):
                got.append(event)
                if written(got):
                    begun.set()
                if event["event"] == "end":
                    return

    reader = threading.Thread(target=read)
    reader.start()
    assert begun.wait(20)
    assert {"stopped": True} == visitor.post(f"runs/{run_id}/stop/").json()
    reader.join(20)
    assert [("error", "cancelled"), ("end", None)] == [(event["event"], event["data"].get("code")) for event in got[-2:]]
    last = visitor.state()["messages"][-1]
    assert (written(got), True) == (last["text"], last["stopped"])
    assert {"stopped": False} == visitor.post(f"runs/{run_id}/stop/").json()
    visitor.say("tides")


def test_the_message_is_kept_when_a_run_is_stopped_before_it_has_begun(visitor: Visitor) -> None:
    """It is in the conversation, with an answer that says no more than that it was stopped."""
    run_id = visitor.say(STORY)
    assert {"stopped": True} == visitor.post(f"runs/{run_id}/stop/").json()
    said = [(one["role"], one["text"], one["stopped"]) for one in visitor.state()["messages"]]
    assert [("user", STORY, False), ("assistant", "", True)] == said


def test_a_question_is_asked_and_answered(trip: Trip) -> None:
    """It is in the end event and in the state; its answer goes on with the run, once."""
    visitor, end = trip.visitor, trip.events[-1]["data"]
    asked = visitor.state()["question"]
    assert (True, [asked]) == (end["paused"], end["interrupts"])
    assert {"question": "Shall I book it?", "options": ["Book it", "Not today"]} == asked["value"]
    assert 409 == visitor.post("answers/", {"question": "another", "text": "Book it"}).status_code
    run_id = visitor.start("answers/", {"question": asked["id"], "text": "Book it"})
    assert "Book it" == visitor.state()["messages"][-1]["text"]
    assert visitor.text(run_id).startswith("Booked.")
    assert None is visitor.state()["question"]
    assert 409 == visitor.post("answers/", {"question": asked["id"], "text": "Book it"}).status_code
    assert ["user", "assistant", "user", "assistant"] == [one["role"] for one in visitor.state()["messages"]]


def test_a_failure_is_shown_until_the_run_is_tried_again(visitor: Visitor) -> None:
    """To whoever reads the events, at the time and later."""
    run_id = visitor.say(WEATHER)
    for _ in range(2):
        *_, error, end = visitor.events(run_id)
        assert ("failed", "The weather station does not answer.") == (error["data"]["code"], error["data"]["message"])
        assert "error" == end["data"]["status"]
        assert run_id == visitor.state()["run_id"]
    assert visitor.text(visitor.start("again/")).startswith("The station answers again.")
    assert [WEATHER] == [one["text"] for one in visitor.state()["messages"] if one["role"] == "user"]


@pytest.mark.slow
def test_the_chats_of_a_session_are_listed(site: Site) -> None:
    """Newest first, with the first message, and the status of the last run; those of another session are not."""
    visitor, other = Visitor(site), Visitor(site)
    listed = f"{site.url}/list/"
    assert [] == visitor.session.get(listed, timeout=10).json()["chats"]
    visitor.text(visitor.say("tides"))
    first, visitor.chat = visitor.chat, ""
    visitor.events(visitor.say(WEATHER))
    visitor.text(visitor.start("again/"))
    second, visitor.chat = visitor.chat, ""
    run_id = visitor.say(STORY)
    visitor.post(f"runs/{run_id}/stop/")

    assert [(visitor.chat, STORY, "cancelled"), (second, WEATHER, "succeeded"), (first, "tides", "succeeded")] == [
        (one["thread_id"], one["title"], one["status"]) for one in visitor.session.get(listed, timeout=10).json()["chats"]
    ]
    assert [] == other.session.get(listed, timeout=10).json()["chats"]


def test_markdown_is_rendered_by_the_site(trip: Trip) -> None:
    """For the messages of the assistant; those of the user are text."""
    pytest.importorskip("nh3")
    pytest.importorskip("markdown_it")
    user, assistant = trip.visitor.state()["messages"][:2]
    assert None is user["html"]
    assert "<strong>a day at the sea</strong>" in assistant["html"] and assistant["html"].count("<li>") == 4


def test_another_session_gets_404(visitor: Visitor, site: Site) -> None:
    """For every address of a thread that is not its own, as for one that does not exist."""
    run_id = visitor.say("tides")
    other = Visitor(site)
    for other.chat in (visitor.chat, str(uuid.uuid4())):
        answers = [other.get(path) for path in ("", "state/", f"runs/{run_id}/events/")]
        answers += [
            other.post(path, {"text": "x", "question": "x"}) for path in ("messages/", "answers/", "again/", f"runs/{run_id}/stop/")
        ]
        assert [404] * 7 == [answer.status_code for answer in answers]
    assert [200] * 2 == [visitor.get(path).status_code for path in ("", "state/")]
    other.chat = ""
    other.say("tides")  # a thread of its own does not open the other's run
    assert 404 == other.get(f"runs/{run_id}/events/").status_code


def test_a_post_needs_the_csrf_token(visitor: Visitor) -> None:
    """Another site's page cannot send messages in the reader's name."""
    visitor.headers.pop("X-CSRFToken")
    assert 403 == visitor.post("", {"text": "tides"}).status_code


@pytest.mark.parametrize("body", [None, [], {"text": " "}, {"text": 1}, {"text": "x" * 8001}], ids=str)
def test_an_invalid_message_is_400(body: Any, visitor: Visitor) -> None:
    """And begins no chat."""
    assert 400 == visitor.post("", [] if body is None else body).status_code


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.APIConnectionError("refused", sent=False), 502),
        (errors.RateLimitError("too many", status_code=429), 502),
        (errors.NotFoundError("no thread", status_code=404), 404),
        (errors.ConflictError("busy", status_code=409), 409),
        (ValueError("a bug"), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_of_the_langgraph_server_is_shown_in_one_sentence(error: Exception, status: Optional[int]) -> None:
    """Never in the words of the library, which name the server and its address. A bug is left to Django."""
    from django.http import HttpRequest, HttpResponse

    from langgraph_runs.demo.web.middleware import ServerErrors

    answer = ServerErrors(lambda request: HttpResponse()).process_exception(HttpRequest(), error)
    assert status == (None if answer is None else answer.status_code)
    if answer is not None:
        told = json.loads(answer.content)["error"]
        assert str(error) not in told
        assert told.endswith(".")


def test_an_open_stream_does_not_keep_the_site_from_ending(tmp_path: Path) -> None:
    """SIGTERM as well: everything has stopped, nothing is printed and nothing is left."""
    site = Site(tmp_path)
    try:
        visitor = Visitor(site)
        with visitor.open_events(visitor.say(STORY)) as response:
            assert next(parse(response))["event"] == "messages"
            assert (130, "", "") == site.end(signal.SIGTERM)
    finally:
        site.process.kill()
        site.process.communicate()
    assert [] == list(tmp_path.iterdir())


def test_a_port_in_use_is_an_error_of_one_line(tmp_path: Path) -> None:
    """Before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        site = Site(tmp_path, "--port", str(port))
        out, err = site.process.communicate(timeout=30)
    assert (1, "", "") == (site.process.returncode, site.line, out)
    assert f"langgraph-runs: port {port} of 127.0.0.1 cannot be used: Address already in use\n" == err
