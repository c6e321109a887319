"""The settings of a client: one list, which the signature of `Client`, its documentation and `with_options` follow."""

from __future__ import annotations

import inspect
import re
import ssl
from pathlib import Path
from typing import Any

import attrs
import pytest

from langgraph_runs import Client, InvalidRequestError, RetryPolicy
from langgraph_runs.http.settings import CHANGEABLE, SETTINGS, Settings, check_key
from langgraph_runs.options import ClientOptions

#: Parameters of `Client` that say how connections are made, and are no settings.
OF_CONNECTIONS = {"pool_size", "session", "verify", "cert", "proxies"}
#: Other names of settings.
ALIASES = {"api_url"}
PARAMETERS = dict(inspect.signature(Client).parameters)


def test_the_client_has_a_parameter_for_each_setting() -> None:
    assert SETTINGS | OF_CONNECTIONS | ALIASES == set(PARAMETERS)


@pytest.mark.parametrize("field", attrs.fields(Settings), ids=lambda field: field.name)
def test_the_defaults_in_the_signature_are_those_of_the_settings(field: Any) -> None:
    """None in the signature stands for a default that is made anew; the url and the key may come from the environment."""
    if field.name not in ("url", "api_key"):
        default = PARAMETERS[field.name].default
        assert getattr(Settings(url="http://server"), field.name) == getattr(
            Settings(url="http://server", **{field.name: default}), field.name
        )
        assert default == field.default or (default is None and isinstance(field.default, attrs.Factory))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(set(PARAMETERS)))
def test_every_parameter_is_described(name: str) -> None:
    described = (Client.__doc__ or "").split("Arguments:")[1]
    assert any(name in line.split(":")[0] for line in described.splitlines() if ":" in line)


def test_the_types_of_with_options_name_what_it_may_change() -> None:
    assert list(CHANGEABLE) == list(ClientOptions.__annotations__)


def test_api_url_is_another_name_of_url() -> None:
    assert "http://server:1" == Client(api_url="http://server:1", api_key=None).base_url
    assert "http://server:1" == Client("http://server:1", api_url="http://server:1", api_key=None).base_url
    with pytest.raises(InvalidRequestError, match="url and api_url are two names of one argument"):
        Client("http://server:1", api_url="http://server:2", api_key=None)


def test_with_options_says_what_it_may_change() -> None:
    text = (Client.with_options.__doc__ or "").split("May change")[1].split(";")[0]
    assert [] == [name for name in CHANGEABLE if f"``{name}``" not in text]
    assert {"url", "api_key"} == SETTINGS - set(CHANGEABLE)


@pytest.mark.parametrize("name", sorted(SETTINGS - {"verify_outcome"}))
def test_every_setting_is_checked(name: str) -> None:
    """In a new client and in a copy, by the same check; the value of a key or of headers is not in the message."""
    wrong: Any = ["secret\n"]
    messages = []
    with pytest.raises(InvalidRequestError) as caught:
        Settings(**{"url": "http://server", name: wrong})
    messages.append(str(caught.value))
    if name in CHANGEABLE:
        with pytest.raises(InvalidRequestError) as caught:
            Settings(url="http://server").changed({name: wrong})
        messages.append(str(caught.value))
    assert 1 == len(set(messages))
    assert messages[0].startswith(name)
    assert ("secret" in messages[0]) is (name not in ("api_key", "headers"))


def test_settings_are_kept_as_they_are_checked() -> None:
    settings = Settings(url=" http://server/ ", timeout=5, api_key=' "key" ', retry=None, verify_outcome=1)  # type: ignore[arg-type]
    assert ("http://server", 5.0, "key", RetryPolicy(), True) == (
        settings.url,
        settings.timeout,
        settings.api_key,
        settings.retry,
        settings.verify_outcome,
    )
    assert settings == settings.changed({})


def test_a_copy_adds_its_headers() -> None:
    settings = Settings(url="http://server", headers={"X-A": "1", "X-B": "1"})
    assert {"X-A": "1", "X-B": "2"} == settings.changed({"headers": {"X-B": "2"}}).headers
    assert {"X-A": "1", "X-B": "1"} == settings.headers


def test_a_repr_shows_no_secret() -> None:
    shown = repr(Settings(url="http://user:secret@server", api_key="secret", headers={"X-A": "secret"}))
    assert "secret" not in shown
    assert "X-A" in shown and "http://server" in shown


@pytest.mark.parametrize(("key", "bare"), [(None, None), ("", None), (" ", None), ("''", None), (" 'k' ", "k"), ('"k"', "k")])
def test_blanks_and_quotes_around_a_key_are_removed(key: Any, bare: Any) -> None:
    assert bare == check_key("api_key", key)


#: Values of arguments about connections that would fail in the first call, with a part of the message.
WRONG = [
    ("verify", ssl.create_default_context(), "an adapter that passes it to init_poolmanager"),
    ("verify", "", "CA certificates"),
    ("verify", 0, "CA certificates"),
    ("cert", 5, "a pair of paths"),
    ("cert", ("a",), "a pair of paths"),
    ("cert", ("a", "b", "c"), "a pair of paths"),
    ("proxies", "http://proxy:3128", "give a dict"),
    ("proxies", {"http": 3128}, "give a dict"),
    ("session", "http://server", "give a requests.Session"),
]


@pytest.mark.parametrize(("name", "value", "remedy"), WRONG, ids=lambda value: str(value)[:20])
def test_a_wrong_argument_about_connections_is_refused_when_the_client_is_made(name: str, value: Any, remedy: str) -> None:
    with pytest.raises(InvalidRequestError, match=re.escape(remedy)) as caught:
        Client("http://server", api_key=None, **{name: value})
    assert str(caught.value).startswith(name)


@pytest.mark.parametrize(
    ("name", "value"), [("verify", None), ("verify", Path("ca.pem")), ("cert", "a.pem"), ("cert", ("a", "b")), ("proxies", {})]
)
def test_an_argument_about_connections_may_be(name: str, value: Any) -> None:
    Client("http://server", api_key=None, **{name: value}).close()


@pytest.mark.parametrize("zone", ["%eth0", "%25eth0"])
def test_the_zone_of_an_ipv6_address_is_encoded_in_the_url(zone: str) -> None:
    """As RFC 6874 has it; the command ``ip`` prints it with a plain percent sign."""
    assert "http://[fe80::1%25eth0]:2024/api" == Client(f"http://[fe80::1{zone}]:2024/api", api_key=None).base_url
