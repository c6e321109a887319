"""The admin of rows: what it shows, what its actions do, and who may use them."""

from __future__ import annotations

import re
from typing import Any, Iterator, List

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.http import HttpResponse
from django.test import Client as Caller
from django.test import override_settings
from django.urls import reverse
from django.utils.html import escape

from langgraph_runs.django.clients import replaced_options
from langgraph_runs.django.runs.models import AgentRun
from langgraph_runs.testing import FakeRuns, fails, never_ends, no_wait, pauses, succeeds

from .rows import Heard, again, ended, heard_signals, server_of_rows, started  # noqa: F401
from .settings_rows import ADMIN_MIDDLEWARE

pytestmark = pytest.mark.usefixtures("server", "heard")
Status = AgentRun.Status
LIST = "/admin/langgraph_agent_runs/agentrun/"


@pytest.fixture(autouse=True)
def _middleware(server: FakeRuns) -> Iterator[None]:
    with override_settings(MIDDLEWARE=ADMIN_MIDDLEWARE):
        yield


def make_user(name: str, **fields: Any) -> Any:
    users: Any = get_user_model().objects
    return users.create_user(name, **fields)


def signed_in(*permissions: str) -> Caller:
    """A member of the staff with these permissions; a superuser for none."""
    user = make_user("staff", is_staff=True, is_superuser=not permissions)
    user.user_permissions.add(*Permission.objects.filter(codename__in=[f"{name}_agentrun" for name in permissions]))
    caller = Caller()
    caller.force_login(user)
    return caller


def text_of(response: Any) -> str:
    assert isinstance(response, HttpResponse) and 200 == response.status_code, response
    return response.content.decode()


def messages_of(page: str) -> List[str]:
    found = re.search(r'<ul class="messagelist">(.*?)</ul>', page, re.DOTALL)
    return [] if found is None else [re.sub("<[^>]+>", "", one).strip() for one in re.findall(r"<li.*?</li>", found[1], re.DOTALL)]


def act(caller: Caller, action: str, *rows: AgentRun) -> List[str]:
    """Choose an action of the list for these rows, and return the messages of the next page."""
    data = {"action": action, "_selected_action": [str(row.pk) for row in rows]}
    return messages_of(text_of(caller.post(LIST, data, follow=True)))


def test_the_list_shows_filters_and_finds(server: FakeRuns) -> None:
    owner: Any = make_user("ada")
    row = started(server, never_ends(), owner=owner, about=owner)
    failed = ended(server, fails("ValueError", "no ink"))
    caller = signed_in()

    page = text_of(caller.get(LIST))
    assert str(row.pk)[:8] in page and 'class="agent-run-status started"' in page
    assert reverse("admin:auth_user_change", args=[owner.pk]) in page
    for query in (
        "status=failed",
        "q=no ink",
        f"q={str(failed.pk)[:8]}",
        f"q={failed.pk}",
        f"q={failed.run_id}",
        "owner__isnull=True",
    ):
        page = text_of(caller.get(f"{LIST}?{query}"))
        assert (True, False) == (str(failed.pk)[:8] in page, str(row.pk)[:8] in page), query
    for query in ("q=ada", f"owner__id__exact={owner.pk}", f"q={row.thread_id}"):
        page = text_of(caller.get(f"{LIST}?{query}"))
        assert (False, True) == (str(failed.pk)[:8] in page, str(row.pk)[:8] in page), query
    assert "0 agent runs" in text_of(caller.get(f"{LIST}?assistant=other"))


def test_the_list_does_not_read_large_fields(server: FakeRuns) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    for _ in range(5):
        ended(server, succeeds({"answer": 42}))
    caller = signed_in()
    with CaptureQueriesContext(connection) as queries:
        text_of(caller.get(LIST))
    table, values = (connection.ops.quote_name(name) for name in ("langgraph_agent_runs_agentrun", "values"))
    read = [query["sql"] for query in queries if f"FROM {table}" in query["sql"]]
    assert read and not any(values in sql for sql in read)
    assert len(queries) < 15


def test_the_page_of_a_row_shows_what_there_is(server: FakeRuns) -> None:
    owner: Any = make_user("ada")
    row = ended(
        server,
        pauses({"question": "<b>Send this?</b>"}, values={"n": 3}),
        owner=owner,
        about=owner,
        webhook="https://us.example/secret/",
    )
    page = text_of(signed_in().get(f"{LIST}{row.pk}/change/"))

    for text in ("<b>Send this?</b>", '"n": 3', '"n": 1', row.thread_id, row.run_id):
        assert escape(text) in page, text
    assert "<b>Send" not in page
    assert "us.example/secret" not in page
    assert f'href="{reverse("admin:auth_user_change", args=[owner.pk])}"' in page
    assert "Save" not in page


def test_the_page_of_a_failure_shows_the_error(server: FakeRuns) -> None:
    row = ended(server, fails("ValueError", "no ink"))
    page = text_of(signed_in().get(f"{LIST}{row.pk}/change/"))
    assert "ValueError" in page and "no ink" in page


def test_an_object_that_was_deleted_is_named(server: FakeRuns) -> None:
    about: Any = make_user("ada")
    row = started(server, never_ends(), about=about)
    key = about.pk
    about.delete()

    assert f"user {key}, which was deleted" in text_of(signed_in().get(f"{LIST}{row.pk}/change/"))


def test_runs_are_cancelled_and_begun_again_and_refreshed(server: FakeRuns) -> None:
    caller = signed_in()
    running = [started(server, never_ends()) for _ in range(2)]
    done = ended(server, succeeds({}))

    assert ["2 runs were cancelled, or about to be.", "1 run was left out: its status does not allow this."] == act(
        caller, "cancel_runs", *running, done
    )
    assert [Status.CANCELLED] * 2 == [again(row).status for row in running]
    server.script(succeeds({"answer": 42}))
    assert ["1 run was begun again."] == act(caller, "retry_runs", running[0])
    assert (Status.STARTED, 2) == (again(running[0]).status, again(running[0]).attempts)
    server.started[-1].wait_for_end(5)
    assert ["1 run was brought up to date."] == act(caller, "refresh_runs", running[0])
    assert Status.SUCCEEDED == again(running[0]).status


def test_a_server_that_is_away_is_one_message(server: FakeRuns) -> None:
    caller = signed_in()
    rows = [started(server, never_ends()) for _ in range(3)]
    with replaced_options(url="http://127.0.0.1:9", api_key=None, retry=no_wait(1)):
        (message,) = act(caller, "refresh_runs", *rows)
    assert "APIConnectionError" in message


def test_a_button_acts_on_one_row(server: FakeRuns) -> None:
    caller = signed_in()
    row = started(server, never_ends())
    page = text_of(caller.get(f"{LIST}{row.pk}/change/"))
    urls = re.findall(r'formaction="([^"]+)"', page)
    assert [f"{LIST}{row.pk}/run/refresh/", f"{LIST}{row.pk}/run/cancel/"] == urls
    assert re.search(r'<form[^>]* id="agentrun_form"', page) and page.count('form="agentrun_form"') == 2

    assert ["1 run was cancelled, or about to be."] == messages_of(text_of(caller.post(urls[1], follow=True)))
    assert Status.CANCELLED == again(row).status
    assert f"{LIST}{row.pk}/run/retry/" in text_of(caller.get(f"{LIST}{row.pk}/change/"))
    assert 405 == caller.get(urls[1]).status_code
    assert 404 == caller.post(f"{LIST}{row.pk}/run/explode/").status_code


def test_nothing_is_done_without_a_csrf_token(server: FakeRuns) -> None:
    row = started(server, never_ends())
    caller = signed_in()
    strict = Caller(enforce_csrf_checks=True)
    strict.cookies = caller.cookies
    assert 403 == strict.post(f"{LIST}{row.pk}/run/cancel/").status_code
    assert Status.STARTED == again(row).status


@pytest.mark.parametrize(
    ("permissions", "allowed"),
    [
        (["view"], []),
        (["change"], ["refresh"]),
        (["view", "cancel"], ["cancel"]),
        (["view", "retry"], ["retry"]),
        (["view", "change", "cancel", "retry"], ["refresh", "cancel", "retry"]),
    ],
    ids=str,
)
def test_each_action_needs_its_permission(server: FakeRuns, permissions: List[str], allowed: List[str]) -> None:
    caller = signed_in(*permissions)
    rows = {"refresh": started(server, never_ends()), "cancel": started(server, never_ends()), "retry": ended(server, fails())}
    server.script(succeeds({}), repeat=True)

    page = text_of(caller.get(LIST))
    assert set(allowed) == {name for name in rows if f'value="{name}_runs"' in page}
    for name, row in rows.items():
        assert (name in allowed) == (f"run/{name}/" in text_of(caller.get(f"{LIST}{row.pk}/change/")))
        assert (302 if name in allowed else 403) == caller.post(f"{LIST}{row.pk}/run/{name}/").status_code
    assert 403 == caller.get(f"{LIST}add/").status_code


@pytest.mark.parametrize("permissions", [["cancel"], ["delete"]], ids=str)
def test_looking_needs_a_permission_too(server: FakeRuns, permissions: List[str]) -> None:
    row = started(server, never_ends())
    caller = signed_in(*permissions)
    assert 403 == caller.get(LIST).status_code
    assert 403 == caller.post(f"{LIST}{row.pk}/run/cancel/").status_code
    assert Status.STARTED == again(row).status


def test_a_long_value_is_cut(server: FakeRuns) -> None:
    row = ended(server, succeeds({"text": "x" * 100_000}))
    page = text_of(signed_in().get(f"{LIST}{row.pk}/change/"))
    assert len(page) < 90_000 and "characters)" in page
