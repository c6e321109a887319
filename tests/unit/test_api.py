"""Paths that cannot be left, and what Location headers may and may not make us do."""

from __future__ import annotations

from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_runs.api.paths import RunIds, ids_from, local_path, run_path, runs_path, thread_path


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
