"""``settings.LANGGRAPH_RUNS``: what is refused at start-up, and which client comes of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List

import pytest
from django.core.checks import CheckMessage, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.views.debug import SafeExceptionReporterFilter

from langgraph_runs import Client, InvalidRequestError, RetryPolicy
from langgraph_runs.django import SettingsError, clients, get_client
from langgraph_runs.django.clients import replaced_options

from .gunicorn import ROOT

URL = "http://127.0.0.1:9"


def our_checks(**options: Any) -> List[CheckMessage]:
    """What the system checks of the library find. Those of the models may open the databases: here they have none."""
    return [found for found in run_checks(databases=[], **options) if str(found.id).startswith("langgraph_runs")]


def told(given: Any) -> List[str]:
    """What the system checks say, each with its remedy."""
    with override_settings(LANGGRAPH_RUNS=given):
        return [f"{found.id} {found.msg} {found.hint}" for found in our_checks()]


# -- the system checks


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"URL": URL},
        {"URL": URL, "API_KEY": None, "TIMEOUT": 60, "HEADERS": {"x-team": "tides"}, "RETRY": {"attempts": 2}},
        {"URL": URL, "RETRY": RetryPolicy(attempts=1), "VERIFY": False, "PROXIES": {"http": "http://127.0.0.1:3128"}},
        {"default": {"URL": URL}, "other": {"URL": URL, "API_KEY": "k"}},
        {"other": {}},
        {"URL": URL, "WEBHOOK_SECRET": "0123456789abcdef", "WEBHOOK_HEADER": "X-Hook", "WEBHOOK_MAX_BYTES": 1000},
        {"WEBHOOK_SECRET": ["0123456789abcdef", "fedcba9876543210"], "WEBHOOK_BASE_URL": "https://us.example"},
    ],
    ids=str,
)
def test_valid_settings_give_no_errors(given: Any) -> None:
    assert [] == told(given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], ["E001", "LANGGRAPH_RUNS", "list", "URL"]),
        ({1: {}}, ["E001", "text"]),
        ({"url": URL}, ["E001", "LANGGRAPH_RUNS['url']", "'URL'"]),
        ({"default": URL}, ["E001", "LANGGRAPH_RUNS['default']", "dict"]),
        ({"URI": URL}, ["E002", "LANGGRAPH_RUNS['URI']", "did you mean 'URL'?"]),
        ({"URL": URL, "APIKEY": "k"}, ["E002", "'APIKEY'", "did you mean 'API_KEY'?"]),
        ({"default": {"url": URL}}, ["E002", "LANGGRAPH_RUNS['default']['url']", "did you mean 'URL'?"]),
        ({"URL": "localhost:2024"}, ["E003", "LANGGRAPH_RUNS['URL']", "http://"]),
        ({"URL": 7}, ["E003", "['URL']"]),
        ({"API_KEY": 7}, ["E003", "['API_KEY']", "text"]),
        ({"TIMEOUT": "60"}, ["E003", "['TIMEOUT']", "seconds"]),
        ({"CONNECT_TIMEOUT": -1}, ["E003", "['CONNECT_TIMEOUT']", "seconds"]),
        ({"READ_TIMEOUT": True}, ["E003", "['READ_TIMEOUT']"]),
        ({"POOL_SIZE": 0}, ["E003", "['POOL_SIZE']"]),
        ({"HEADERS": {"x-api-key": "k"}}, ["E003", "['HEADERS']"]),
        ({"RETRY": 3}, ["E003", "['RETRY']", "RetryPolicy"]),
        ({"RETRY": {"attemps": 3}}, ["E003", "['RETRY']", "did you mean 'attempts'?"]),
        ({"RETRY": {"attempts": 0}}, ["E003", "['RETRY']", "attempts"]),
        ({"VERIFY": "/no/such/file"}, ["E003", "['VERIFY']", "no such file"]),
        ({"VERIFY": 1.5}, ["E003", "['VERIFY']"]),
        ({"CERT": "/no/such/file"}, ["E003", "['CERT']", "no such file"]),
        ({"CERT": 7}, ["E003", "['CERT']"]),
        ({"PROXIES": "http://p"}, ["E003", "['PROXIES']", "dict"]),
        ({"VERIFY_OUTCOME": "yes"}, ["E003", "['VERIFY_OUTCOME']", "True or False"]),
        ({"MAX_EVENT_BYTES": 0}, ["E003", "['MAX_EVENT_BYTES']"]),
        ({"WEBHOOK_SECRET": "short"}, ["E003", "['WEBHOOK_SECRET']", "16"]),
        ({"WEBHOOK_HEADER": "X Hook"}, ["E003", "['WEBHOOK_HEADER']"]),
        ({"WEBHOOK_BASE_URL": "us.example"}, ["E003", "['WEBHOOK_BASE_URL']", "https://"]),
        ({"WEBHOOK_MAX_BYTES": "1"}, ["E003", "['WEBHOOK_MAX_BYTES']"]),
        ({"WEBHOOK_CACHE": "none"}, ["E003", "['WEBHOOK_CACHE']", "'default'"]),
    ],
    ids=str,
)
def test_invalid_settings_are_named_with_a_remedy(given: Any, words: List[str]) -> None:
    found = told(given)

    assert 1 == len(found)
    assert [] == [word for word in words if word not in found[0]], found


def test_every_invalid_setting_is_named() -> None:
    assert 3 == len(told({"default": {"URL": "x", "TIMEOUT": "y"}, "other": {"URI": URL}}))


def test_an_invalid_key_in_the_environment_is_not_reported_for_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGGRAPH_API_KEY", "not\na key")

    assert [] == told({"URL": URL})


@pytest.mark.parametrize("given", [{"API_KEY": "se\ncret"}, {"WEBHOOK_SECRET": "secret"}, {"URL": "http://me:secret@h:x"}], ids=str)
def test_no_error_shows_a_secret(given: Dict[str, Any]) -> None:
    found = told(given)

    assert found and "cret" not in found[0].replace("WEBHOOK_SECRET", "").replace("is not a secret", "")


@pytest.mark.parametrize("named", [False, True])
def test_djangos_error_pages_show_no_key(named: bool) -> None:
    given = {"URL": URL, "API_KEY": "sk-123", "WEBHOOK_SECRET": "sk-123sk-123sk-123"}
    with override_settings(LANGGRAPH_RUNS={"default": given} if named else given):
        shown = str(SafeExceptionReporterFilter().get_safe_settings()["LANGGRAPH_RUNS"])

    assert URL in shown and "sk-123" not in shown


def test_manage_py_check_fails_and_names_the_setting(database: None) -> None:
    with override_settings(LANGGRAPH_RUNS={"URI": URL}), pytest.raises(CommandError) as raised:
        call_command("check")

    assert "did you mean 'URL'?" in str(raised.value)


def told_at_deployment(given: Any, **others: Any) -> List[str]:
    with override_settings(LANGGRAPH_RUNS=given, **others):
        return [str(found.id) for found in our_checks(include_deployment_checks=True)]


def test_a_deployment_needs_a_cache_that_processes_share() -> None:
    shared = {"default": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": "/tmp/none"}}

    assert ["langgraph_runs.W001"] == told_at_deployment({"WEBHOOK_SECRET": "0123456789abcdef"})
    assert [] == told_at_deployment({"WEBHOOK_SECRET": "0123456789abcdef"}, CACHES=shared)
    assert ["langgraph_runs.W001"] == told_at_deployment({"URL": URL})  # the site has the view of the webhook
    assert [] == told_at_deployment({"URL": URL}, ROOT_URLCONF="tests.django.no_urls")


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://h.example", 1),
        ("https://h.example", 0),
        ("http://localhost:2024", 0),
        ("http://[::1]:1", 0),
        ("http://10.0.0.1", 1),
    ],
)
def test_a_key_over_http_is_a_deployment_warning(url: str, found: int) -> None:
    elsewhere = {"ROOT_URLCONF": "tests.django.no_urls"}
    assert ["langgraph_runs.W002"] * found == told_at_deployment({"URL": url, "API_KEY": "k"}, **elsewhere)
    assert [] == told_at_deployment({"URL": url, "API_KEY": None}, **elsewhere)


def test_an_invalid_setting_is_one_message_with_deploy_too() -> None:
    assert ["langgraph_runs.E002"] == told_at_deployment({"URI": URL})


# -- the client


def test_there_is_one_client_for_all_threads() -> None:
    with override_settings(LANGGRAPH_RUNS={"URL": URL}):
        barrier = threading.Barrier(16)

        def get(_: int) -> Client:
            barrier.wait()
            return get_client()

        with ThreadPoolExecutor(16) as pool:
            assert 1 == len(set(map(id, pool.map(get, range(16)))))


def test_each_configuration_has_its_own_client() -> None:
    named = {"default": {"URL": URL, "API_KEY": "k"}, "other": {"URL": "http://127.0.0.1:10", "TIMEOUT": 5}}
    with override_settings(LANGGRAPH_RUNS=named):
        assert "Client('http://127.0.0.1:9', api_key='***', timeout=None)" == repr(get_client())
        assert "http://127.0.0.1:10" == get_client("other").base_url
        assert get_client("other") is get_client("other") is not get_client()


def test_options_reach_the_client() -> None:
    with override_settings(LANGGRAPH_RUNS={"URL": URL, "API_KEY": None, "TIMEOUT": 7, "RETRY": {"attempts": 2}}):
        settings = get_client()._transport.settings

    assert (7.0, 2, None) == (settings.timeout, settings.retry.attempts, settings.api_key)


@pytest.mark.parametrize("given, expected", [({}, None), ({"STREAM_TIMEOUT": 600}, 600.0), ({"STREAM_TIMEOUT": None}, None)])
def test_streams_have_a_timeout_of_their_own(given: Any, expected: Any) -> None:
    """TIMEOUT is for the calls of a view; a stream lasts as long as its run."""
    with override_settings(LANGGRAPH_RUNS={"URL": URL, "TIMEOUT": 7, **given}):
        settings = get_client()._transport.settings

    assert (7.0, expected) == (settings.timeout, settings.stream_timeout)


def test_an_unknown_name_is_refused_with_the_known_names() -> None:
    with override_settings(LANGGRAPH_RUNS={"default": {}, "reports": {}}):
        with pytest.raises(SettingsError, match="no configuration 'report'; did you mean 'reports'.*'default', 'reports'"):
            get_client("report")


def test_an_invalid_setting_raises_an_error_of_django_and_of_the_library() -> None:
    with override_settings(LANGGRAPH_RUNS={"TIMEOUT": "x"}):
        for family in (ImproperlyConfigured, InvalidRequestError):
            with pytest.raises(family, match=r"LANGGRAPH_RUNS\['TIMEOUT'\]"):
                get_client()


def test_a_test_may_override_the_setting() -> None:
    """Within there are other clients, closed at the end; after it the old one again, still open."""
    with override_settings(LANGGRAPH_RUNS={"URL": URL}):
        outer = get_client()
        with override_settings(LANGGRAPH_RUNS={"URL": "http://127.0.0.1:10"}):
            inner = get_client()
            with override_settings(LANGGRAPH_RUNS={"URL": "http://127.0.0.1:11"}):
                innermost = get_client()
            assert get_client() is inner
        assert get_client() is outer
        assert 3 == len({outer.base_url, inner.base_url, innermost.base_url})
        for left in (inner, innermost):
            with pytest.raises(InvalidRequestError, match="closed"):
                left.ok()
        outer._transport.scope().close()  # not closed


def test_other_options_may_apply_to_all_clients_for_a_while() -> None:
    """As the fixture langgraph_runs_fake does: whatever the settings say of the server, their other options apply."""
    with override_settings(LANGGRAPH_RUNS={"URL": URL, "TIMEOUT": 7}):
        before = get_client()
        with replaced_options(url="http://127.0.0.1:10"):
            within = get_client()
            assert ("http://127.0.0.1:10", 7.0) == (within.base_url, within._transport.settings.timeout)
            with override_settings(LANGGRAPH_RUNS={"URL": URL, "TIMEOUT": 8}):
                assert 8.0 == get_client()._transport.settings.timeout
            with pytest.raises(SettingsError, match="no configuration 'other'"):
                get_client("other")
        assert get_client() is before
        with pytest.raises(InvalidRequestError, match="closed"):
            within.ok()


def run(code: str, *, before: str = "") -> Any:
    """What a fresh process prints as JSON."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "DJANGO_SETTINGS_MODULE": "tests.django.settings"}
    preamble = "import json, os, django; django.setup()\nfrom langgraph_runs.django import get_client\n"
    done = subprocess.run(
        [sys.executable, "-c", before + preamble + code], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert ("", 0) == (done.stderr, done.returncode)
    return json.loads(done.stdout)


def test_threads_that_make_the_first_client_at_once_get_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them may have found nothing before the other one has stored the clients of the process."""

    class Late(Dict[int, Any]):
        def get(self, key: int, default: Any = None) -> Any:
            found = super().get(key, default)
            if found is None:
                super().setdefault(key, first)  # by the other thread, at this moment
            return found

    first = clients._Clients()
    monkeypatch.setattr(clients, "_processes", Late())
    assert clients._of_this_process() is first
    assert clients._of_this_process() is first


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_gets_a_client_of_its_own_even_while_the_lock_is_held() -> None:
    code = """
from langgraph_runs.django import clients
parent = get_client()
clients._of_this_process()._lock.acquire()   # as another thread would hold it in this moment
read, write = os.pipe()
pid = os.fork()
if pid == 0:
    child = get_client()
    os.write(write, json.dumps([child is not parent, child is get_client(), len(clients._processes)]).encode())
    os._exit(0)
os.waitpid(pid, 0)
clients._of_this_process()._lock.release()
print(json.dumps([json.loads(os.read(read, 1000)), get_client() is parent]))
"""
    assert [[True, True, 1], True] == run(code)


def test_the_clients_are_closed_when_the_process_ends() -> None:
    code = """
import atexit
client = get_client()
from langgraph_runs import InvalidRequestError
def last():
    try:
        client.ok()
    except InvalidRequestError as error:
        print(json.dumps("closed" in str(error)))
from langgraph_runs.django import clients
atexit.unregister(clients._close); atexit.register(last); atexit.register(clients._close)
"""
    assert run(code) is True


def test_it_works_without_being_installed_as_an_app() -> None:
    code = """
from django.apps import apps
print(json.dumps([apps.is_installed("langgraph_runs.django"), get_client().base_url]))
"""
    configured = "from django.conf import settings; settings.configure(LANGGRAPH_RUNS={'URL': 'http://127.0.0.1:9'})\n"
    assert [False, "http://127.0.0.1:9"] == run(code, before=configured)
