"""Paths that cannot be left, and what Location headers may and may not make us do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Optional

import attrs
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from langgraph_runs import CreateUncertainError, ResponseDecodeError
from langgraph_runs.api.paths import RunIds, ids_from, local_path, run_path, runs_path, thread_path

from .played import RUN, THREAD, Reply, client_of, reply, run_json


def test_paths_of_the_api() -> None:
    """Each id is one segment; a stateless run has no thread."""
    assert "/threads/a%2Fb" == thread_path("a/b")
    assert "/threads/t/state/checkpoint" == thread_path("t", "state", "checkpoint")
    assert "/threads/t/runs" == runs_path("t")
    assert "/threads/t/runs/wait" == runs_path("t", "wait")
    assert "/runs/stream" == runs_path(None, "stream")
    assert "/threads/%2E%2E/runs/%2E/join" == run_path("..", ".", "join")


@pytest.mark.parametrize(
    ("headers", "ids"),
    [
        ({}, (None, None)),
        ({"content-location": "/threads/t/runs/r"}, ("r", "t")),
        ({"location": "/threads/t/runs/r/join"}, ("r", "t")),
        ({"content-location": "/runs/r", "location": "/runs/r/stream"}, ("r", None)),
        ({"content-location": "/runs/r", "location": "/threads/t/runs/r/join"}, ("r", "t")),
        ({"content-location": "/api/threads/t/runs/r"}, ("r", "t")),
        ({"location": "http://h/threads/t/runs/r/stream?x=1"}, ("r", "t")),
        ({"location": "/threads/a%2Fb/runs/%C3%BC"}, ("ü", "a/b")),
        ({"location": "/threads/t/runs/r, /threads/t/runs/r"}, ("r", "t")),
        ({"location": "/threads/t/runs/r, http://gateway/login"}, ("r", "t")),
        ({"location": "/threads/t/runs/r, /threads/t/runs/other"}, (None, None)),
        ({"location": "/threads/t/runs/wait"}, (None, None)),
        ({"location": "/runs/stream"}, (None, None)),
        ({"location": "/threads/t/runs"}, (None, None)),
        ({"location": "/elsewhere"}, (None, None)),
        ({"location": ""}, (None, None)),
    ],
)
def test_ids_in_headers(headers: Any, ids: Any) -> None:
    """Run and thread are found in either header, decoded, and not if there are none."""
    assert RunIds(*ids) == ids_from(headers)


HOSTS = ["http://h", "http://h/api", "https://h:8443/a/b"]


@pytest.mark.parametrize("base", HOSTS)
def test_a_path_is_below_the_base_url(base: str) -> None:
    """This server leaves its mount prefix out; the header is used as it is."""
    assert "/threads/t/runs/r/stream" == local_path("/threads/t/runs/r/stream", base)


@pytest.mark.parametrize(
    ("location", "base", "path"),
    [
        ("http://h/threads/t", "http://h", "/threads/t"),
        ("http://h:80/threads/t", "http://h", "/threads/t"),
        ("http://h/threads/t", "http://h:80", "/threads/t"),
        ("HTTPS://H:443/threads/t", "https://h", "/threads/t"),
        ("http://h/api/threads/t", "http://h/api", "/threads/t"),
        ("/api/threads/t", "http://h/api", "/threads/t"),
        ("/api/threads/t", "http://h/api/", "/threads/t"),
        ("/apix/threads/t", "http://h/api", "/apix/threads/t"),
        ("/threads/a%2Fb?x=1#y", "http://h", "/threads/a%2Fb"),
        ("/threads/..a/b..", "http://h", "/threads/..a/b.."),
        ("http://[::1]:8000/threads/t", "http://[::1]:8000", "/threads/t"),
    ],
)
def test_a_location_may_spell_the_same_server_otherwise(location: str, base: str, path: str) -> None:
    """Default ports, upper case and the mount prefix are seen through; query and fragment are left out."""
    assert path == local_path(location, base)


@pytest.mark.parametrize(
    "location",
    [
        None,
        "",
        "threads/t",
        "?x=1",
        "//evil/threads/t",
        "//h/threads/t",
        "///evil/threads",
        "http://evil/threads/t",
        "https://h/threads/t",
        "http://h.evil/threads/t",
        "http://hh/threads/t",
        "http://h:81/threads/t",
        "http://h:0/threads/t",
        "http://h:99999/threads/t",
        "http://h:x/threads/t",
        "http://h:80@evil/threads/t",
        "http://h@evil/threads/t",
        "http://evil@h/threads/t",
        "http://@h/threads/t",
        "http:/threads/t",
        "http:threads/t",
        "http://h",
        "http://h//evil",
        "http://[::1/threads",
        "ftp://h/threads/t",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "/\\evil/threads",
        "\\\\evil\\threads",
        "http://h\\@evil/threads",
        "/threads/\tt",
        "/threads/ t",
        "/threads/\r\nX-Evil: 1",
        "/threads/\x00t",
        "/threads/\x7ft",
        " /threads/t",
        "http://h\u3002evil/threads",
        "http://ⓗ/threads/t",
        "/threads/ü",
        "/..",
        "/threads/../admin",
        "/threads/./x",
        "/threads/%2e%2e/admin",
        "/threads/.%2E/admin",
        "/threads/%2E",
    ],
)
def test_a_location_that_may_lead_to_another_server_is_not_followed(location: Optional[str]) -> None:
    """Another scheme, host or port, user info, backslashes, blanks, dots and letters that look like others."""
    assert None is local_path(location, "http://h")


@given(st.text(alphabet="http:/@hevil.%2e\\?#[]5 \t"), st.sampled_from(HOSTS))
def test_a_followed_location_is_a_plain_path(location: str, base: str) -> None:
    """A path that is used begins with one slash and holds no dot segment, query or other host; nothing raises."""
    path = local_path(location, base)
    if path is not None:
        assert path.startswith("/") and not path.startswith("//")
        assert set() == set(path) & set("?#\\ \t\r\n")
        assert set() == {".", ".."} & set(path.lower().replace("%2e", ".").split("/"))


# -- what servers return for a request that has taken effect

RECORDED = json.loads((Path(__file__).parent / "recorded_responses.json").read_text("utf-8"))
EFFECTS: dict[str, Any] = {
    "run create": lambda client: client.runs.create(THREAD, "work"),
    "stateless create": lambda client: client.runs.create(None, "work"),
    "thread create": lambda client: client.threads.create(),
    "thread update": lambda client: client.threads.update(THREAD, metadata={}),
    "copy": lambda client: client.threads.copy(THREAD),
    "update state": lambda client: client.threads.update_state(THREAD, {}),
}
EFFECTIVE = [item for item in RECORDED if item["call"] in EFFECTS and item["status"] < 300]
OTHERS: list[Any] = [None, True, 0, -1.5, "", "text", [], ["text"], [{"value": 1}], {}, {"id": "x"}, {"a": ["x"], "b": {}}]


def named_recording(item: dict[str, Any]) -> str:
    return f"{item['server']}: {item['call']}"


@pytest.mark.parametrize("item", EFFECTIVE, ids=named_recording)
def test_no_secondary_field_fails_a_call_that_took_effect(item: dict[str, Any]) -> None:
    """Whatever a server sends in any field but the id, the call returns, and nothing that came is lost."""
    recorded = json.loads(item["body"])
    ids = {"run_id": recorded["run_id"]} if "run_id" in recorded else {"thread_id": recorded.get("thread_id")}
    changed = [{**recorded, name: other, **ids} for name in recorded for other in OTHERS]
    changed += [{**dict.fromkeys(recorded, other), **ids} for other in OTHERS]
    changed += [{**ids, **{name: recorded[name] for name in recorded if name != left_out}} for left_out in recorded]
    client, _ = client_of(*[reply(body) for body in changed])
    for body in changed:
        found = EFFECTS[item["call"]](client)
        for name, value in ids.items():
            assert value == getattr(found, name, value)
        shown = attrs.asdict(found, recurse=False)
        lost = {
            name for name, value in body.items() if value not in (None, [], {}) and name not in shown and name not in found.extra
        }
        assert set() == lost


@pytest.mark.parametrize("run_id", [..., None, 5, [], {"id": "r"}])
@pytest.mark.parametrize("item", [item for item in EFFECTIVE if item["call"] == "run create"], ids=named_recording)
def test_a_create_without_a_run_id_says_that_the_run_may_exist(item: dict[str, Any], run_id: Any) -> None:
    """The error names the thread, if the run is not found there. If the headers name the run, nothing is missing."""
    body = {**json.loads(item["body"]), "run_id": run_id}
    if run_id is ...:
        del body["run_id"]
    client, played = client_of(reply(body), reply([]), reply(body, content_location=f"/threads/{THREAD}/runs/{RUN}"))
    with pytest.raises(ResponseDecodeError, match="the run may exist") as caught:
        client.runs.create(THREAD, "work")
    assert [f"POST /threads/{THREAD}/runs", f"GET /threads/{THREAD}/runs"] == [asked.partition("?")[0] for asked in played.asked]
    assert (THREAD, True) == (caught.value.thread_id, caught.value.sent)
    assert RUN == client.runs.create(THREAD, "work").run_id


def test_a_create_whose_thread_is_null_is_on_the_thread_of_the_request() -> None:
    """A stateless run may have no thread that the server tells of; the fields that are not documented are in extra."""
    body = {**run_json(thread_id=None, error_message=None, output={"k": 1}), "created_at": 1795223393}
    client, _ = client_of(reply(body), reply(body))
    run = client.runs.create(THREAD, "work")
    assert (THREAD, None, 1795223393, {"k": 1}) == (run.thread_id, run.created_at, run.extra["created_at"], run.extra["output"])
    assert "" == client.runs.create(None, "work").thread_id


def test_a_thread_whose_create_was_lost_is_read_with_the_headers_of_the_call() -> None:
    """They may hold the credentials of the user for whom the call is made."""
    thread = {"thread_id": THREAD, "status": "idle", "metadata": {}}
    client, played = client_of(requests.ConnectionError("reset"), reply({"detail": "the thread exists"}, 409), reply(thread))
    assert THREAD == client.threads.create(thread_id=THREAD, headers={"Authorization": "Bearer ada"}, params={"a": "b"}).thread_id
    assert ["POST /threads?a=b", "POST /threads?a=b", f"GET /threads/{THREAD}"] == played.asked
    assert {"Bearer ada"} == {request.headers.get("Authorization") for request in played.requests}


def test_a_page_after_a_create_is_looked_up() -> None:
    """A login page leaves open whether the run exists; it is found by its marker, or reported as uncertain."""
    page = Reply(200, b"<html><title>Sign in</title></html>", {"content-type": "text/html"})

    def listed(_: Any) -> Any:
        return reply([run_json(metadata=json.loads(played.requests[0].body or b"")["metadata"])]).response(_)

    client, played = client_of(page, listed)
    assert RUN == client.runs.create(THREAD, "work").run_id
    client, played = client_of(page, reply([]))
    with pytest.raises(CreateUncertainError, match="the run may exist.*Sign in") as caught:
        client.runs.create(THREAD, "work")
    assert caught.value.sent is None and caught.value.request_id
    assert ["POST", "GET"] == [request.method for request in played.requests]
