"""Path segments, headers, error texts and dates: what may be sent, and what is read from a response."""

from __future__ import annotations

import base64
import sys
import time
import urllib.parse
from typing import Any, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_runs.errors import InvalidRequestError
from langgraph_runs.http.headers import error_text, http_date, path_segment, retry_after, split_login
from langgraph_runs.validation import check_headers


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ("01a1fba7-134f-707a-814b-b1e6473e86be", "01a1fba7-134f-707a-814b-b1e6473e86be"),
        ("a/b", "a%2Fb"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        ("...", "..."),
        ("../../x", "..%2F..%2Fx"),
        ("%2e%2e", "%252e%252e"),
        ("a?b#c", "a%3Fb%23c"),
        ("a b", "a%20b"),
        ("a\r\nb", "a%0D%0Ab"),
        ("\\", "%5C"),
        ("a;b", "a%3Bb"),
        ("ü", "%C3%BC"),
        ("a+b", "a%2Bb"),
        ("\0", "%00"),
        ("~a_b-c", "~a_b-c"),
    ],
)
def test_an_id_stays_in_its_place(value: str, encoded: str) -> None:
    """Whatever it holds, it is one segment of the path."""
    assert encoded == path_segment(value)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_an_encoded_id_decodes_to_itself(value: str) -> None:
    """The segment has no separator in it, is no dot segment, and decodes to the id."""
    encoded = path_segment(value)
    assert value == urllib.parse.unquote(encoded)
    assert set() == set(encoded) & set("/?#\\ \r\n\0;@:")
    assert encoded not in (".", "..")


@pytest.mark.parametrize("value", ["\ud800", "a\udfffb"])
def test_half_a_character_is_no_id(value: str) -> None:
    """It cannot be sent, and the error says why."""
    with pytest.raises(InvalidRequestError, match="half a surrogate pair"):
        path_segment(value)


# -- what may be sent as a header


def test_headers_are_taken_as_they_are() -> None:
    """Names keep their spelling, values lose blanks around them; nothing is none."""
    assert {"X-A": "1", "authorization": "Bearer x=="} == check_headers({"X-A": " 1\t", "authorization": "Bearer x=="})
    assert {"X-Latin": "é"} == check_headers({"X-Latin": "é"})
    assert {} == check_headers(None) == check_headers({})


@pytest.mark.parametrize("name", ["x-api-key", "X-API-Key", "X-Api-Key"])
def test_the_key_cannot_be_given_as_a_header(name: str) -> None:
    """``x-api-key`` is refused in every spelling, and the error says where the key goes, without the value."""
    with pytest.raises(InvalidRequestError) as caught:
        check_headers({name: "secret"})
    assert f"headers: {name} is reserved for the client's own key; give Client(api_key=...)" == str(caught.value)


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding"])
def test_headers_cannot_change_the_framing(name: str) -> None:
    """A wrong length would make the rest of a body the next request."""
    with pytest.raises(InvalidRequestError, match="says where the body ends"):
        check_headers({name: "0"})


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "é", "a\0", "(a)", "a\n", 5, b"a", None])
def test_a_name_that_is_not_a_header_name_is_refused(name: Any) -> None:
    """It is refused, and shown."""
    with pytest.raises(InvalidRequestError) as caught:
        check_headers({name: "x"}, argument="with_options(headers)")
    seen = "<bytes>" if isinstance(name, bytes) else repr(name)
    assert f"with_options(headers): {seen} is not a header name" == str(caught.value).replace("\n", "\\n")


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b", "€", "\ud800", 5, b"x", None, ["x"]])
def test_a_value_that_is_not_a_header_value_is_refused(value: Any) -> None:
    """Nothing can start a second header; the value is not shown, since it may be a secret."""
    with pytest.raises(InvalidRequestError) as caught:
        check_headers({"X-A": value})
    assert "headers: the value of X-A is not text that fits on one header line" == str(caught.value)


@pytest.mark.parametrize("headers", ["X-A: 1", [("X-A", "1")], 5])
def test_headers_are_a_dict(headers: Any) -> None:
    """Anything else is refused."""
    with pytest.raises(InvalidRequestError, match="give a dict of text to text"):
        check_headers(headers)


# -- logins in URLs


@pytest.mark.parametrize(
    ("url", "bare", "login"),
    [
        ("http://host/x", "http://host/x", None),
        ("http://user:pw@host:80/x", "http://host:80/x", "user:pw"),
        ("http://user@host", "http://host", "user:"),
        ("http://us%40er:p%3Aw@host", "http://host", "us@er:p:w"),
        ("http://a@b@host", "http://host", "a@b:"),
        ("http://host/@x", "http://host/@x", None),
        ("http://host?a@b", "http://host?a@b", None),
        ("http://host#a@b", "http://host#a@b", None),
        ("no url", "no url", None),
    ],
)
def test_a_login_is_taken_out_of_the_url(url: str, bare: str, login: Any) -> None:
    """It becomes a header, and the URL that logs and errors show has none."""
    header = None if login is None else "Basic " + base64.b64encode(login.encode()).decode()
    assert (bare, header) == split_login(url)


# -- what servers say of errors


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"detail": "Not Found"}, "Not Found"),
        ({"error": "E", "message": "m"}, "E: m"),
        ({"error": "E"}, "E"),
        ({"message": "m"}, "m"),
        ({"error": {"message": "m", "code": 1}}, "m"),
        ({"detail": {"message": "m"}}, "m"),
        ({"detail": [{"loc": ["body"], "msg": "bad"}]}, "[{'loc': ['body'], 'msg': 'bad'}]"),
        ({"detail": ""}, "{'detail': ''}"),
        ({"other": 1}, "{'other': 1}"),
        ({}, "{}"),
        ([1], "[1]"),
        (None, ""),
        ("Internal Server Error", "Internal Server Error"),
        ("a < b", "a < b"),
        ("<html><head><style>b{}</style><title>502</title></head>\n<body><h1>Bad  Gateway</h1></body>", "502 Bad Gateway"),
        ("<!DOCTYPE html><p>Hello<script>alert(1)</script>", "Hello"),
        ("<!-- nginx --><html><title>Late &amp; gone</title><p>It&#39;s <b>gone</b>&hellip;", "Late & gone It's gone …"),
        ("<html><title>502</title><body>502 Bad Gateway", "502 Bad Gateway"),
        ({"detail": '{"error":"GraphRecursionError","message":"limit"}'}, "GraphRecursionError: limit"),
        ({"error": {"message": '{"detail": "{\\"message\\": \\"deep\\"}"}'}}, "deep"),
        ('{"detail": "as text"}', "as text"),
        ({"detail": "{not json}"}, "{not json}"),
    ],
)
def test_the_message_is_the_servers_text(body: Any, text: str) -> None:
    """Whatever the shape of the body, its text is found, without tags."""
    assert text == error_text(body)


def test_a_hostile_page_is_read_in_linear_time() -> None:
    """A megabyte of open tags takes a moment and not minutes."""
    begun = time.perf_counter()
    for page in ("<html>" + "<" * 1_000_000, "<html>" + "<script " * 20_000, "<html>" + "<style>" * 20_000):
        error_text(page)
    assert time.perf_counter() - begun < 10.0


# -- dates


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose local time is far from Greenwich."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 -0000",
        "Sun, 06 Nov 1994 09:49:37 +0100",
    ],
)
def test_dates_in_the_forms_of_http(text: str, far_east: None) -> None:
    """All three forms of RFC 9110 are read, as GMT wherever the machine stands."""
    assert 784111777.0 == http_date(text)


@pytest.mark.parametrize(
    "text", ["", "now", "0", "-1", "Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 99999 08:49:37 GMT", "x" * 10_000]
)
def test_a_header_that_is_not_a_date_is_none(text: str) -> None:
    """It is None, and no error."""
    assert None is http_date(text)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 7.5 "}, 7.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "9" * 400}, float("inf")),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT", "date": "Sun, 06 Nov 1994 08:49:07 GMT"}, 30.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT", "date": "Sun, 06 Nov 1994 09:49:37 GMT"}, 0.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}, 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(headers: Any, seconds: Any) -> None:
    """Seconds, or a date read against the server's own clock; anything else is None, and a past date is 0."""
    assert seconds == retry_after(headers)


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"detail": inner}])
def test_a_body_that_python_cannot_print_is_described(wrap: Any) -> None:
    """JSON may be nested deeper than repr() goes; the error must not become another one."""
    parsed: Any = 1
    # From Python 3.14 on, repr() goes as deep as the stack allows.
    for _ in range(20_000 if sys.version_info < (3, 14) else 400_000):
        parsed = [parsed]
    assert "a list that is nested too deep to be shown" == error_text(wrap(parsed))
    while parsed != 1:
        (parsed,) = parsed
