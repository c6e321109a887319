"""client.store and client.request on the real server."""

from __future__ import annotations

import datetime
import uuid
from typing import Any, Callable

import pytest

from langgraph_runs import BadRequestError, Client, InvalidRequestError, NotFoundError, ResponseDecodeError
from langgraph_runs.devserver import DevServer


@pytest.fixture
def namespace() -> list[str]:
    """A namespace of this test alone."""
    return ["tests", f"of-{uuid.uuid4().hex}"]


def test_an_item_is_stored_read_replaced_and_deleted(client: Client, namespace: list[str]) -> None:
    """The item that was put is returned, with aware times; an item that does not exist is None, and deleting it does nothing."""
    client.store.put_item(namespace, "colour", {"name": "red", "n": [1, None]}, index=False, ttl=60)
    first = client.store.get_item(namespace, "colour", refresh_ttl=True)

    assert first is not None
    assert (tuple(namespace), "colour", {"name": "red", "n": [1, None]}) == (first.namespace, first.key, first.value)
    assert first.created_at is not None and first.created_at.tzinfo is not None

    client.store.put_item(namespace, key="colour", value={"name": "blue"}, index=["name"])
    second = client.store.get_item(first.namespace, key=first.key)
    assert second is not None and second.value == {"name": "blue"}

    client.store.delete_item(namespace, "colour")
    client.store.delete_item(namespace, key="colour")
    assert client.store.get_item(namespace, "colour") is None
    assert client.store.get_item([*namespace, "deeper"], "colour") is None


def test_search_pages_and_filters(client: Client, namespace: list[str]) -> None:
    """By prefix, by fields of the value, a page of it; ``query`` needs an index, and is sent all the same."""
    for number in range(5):
        client.store.put_item([*namespace, str(number % 2)], f"k{number}", {"number": number, "even": number % 2 == 0})

    def found(*arguments: Any, **options: Any) -> list[str]:
        return sorted(item.key for item in client.store.search_items(*arguments, **options).items)

    assert ["k0", "k1", "k2", "k3", "k4"] == found(namespace)
    assert ["k1", "k3"] == found([*namespace, "1"])
    assert ["k0", "k2", "k4"] == found(namespace, {"even": True})
    assert ["k3"] == found(namespace, filter={"number": 3}, query="three", refresh_ttl=False)
    pages = [found(namespace, limit=2, offset=offset) for offset in (0, 2, 4)]
    assert [2, 2, 1] == [len(page) for page in pages]
    assert ["k0", "k1", "k2", "k3", "k4"] == sorted(key for page in pages for key in page)
    assert [] == found(["nobody"])


def test_namespaces_are_listed(client: Client, namespace: list[str]) -> None:
    """Those that have items, by their first and last labels, cut after some, a page of them."""
    for label in ("a", "b"):
        client.store.put_item([*namespace, label, "end"], "k", {})

    whole = [(*namespace, label, "end") for label in ("a", "b")]
    assert whole == sorted(client.store.list_namespaces(namespace).namespaces)
    assert whole == sorted(client.store.list_namespaces(prefix=namespace, suffix=["end"], limit=100).namespaces)
    assert [] == client.store.list_namespaces(namespace, ["other"]).namespaces
    assert [tuple(namespace)] == client.store.list_namespaces(namespace, max_depth=2).namespaces
    assert whole[1:] == sorted(client.store.list_namespaces(namespace, limit=1, offset=1).namespaces)


@pytest.mark.parametrize("wrong", ["users", [], ["a.b"], ["a", ""], ["a", 1], None])
def test_a_wrong_namespace_is_refused_here(client: Client, wrong: Any) -> None:
    """The message names the argument, and does not show the value."""
    calls: list[Callable[[], Any]] = [
        lambda: client.store.put_item(wrong, "k", {}),
        lambda: client.store.get_item(wrong, "k"),
        lambda: client.store.delete_item(wrong, "k"),
    ]
    for call in calls:
        with pytest.raises(InvalidRequestError, match=r"^namespace(\[\d\])?: give"):
            call()
    with pytest.raises(InvalidRequestError, match="value: give an object"):
        client.store.put_item(["a"], "k", ["a list"])  # type: ignore[arg-type]


def test_request_reaches_any_endpoint(client: Client, server: DevServer, thread_id: str) -> None:
    """The parsed JSON of the response; None for an empty one; the query, the body and the typed errors are those of other calls."""
    assert {"ok": True} == client.request("get", "/ok") or client.request("GET", "/ok")["ok"] is True
    assert client.info().version == client.request("GET", "/info")["version"]
    assert [] == client.request("GET", f"/threads/{thread_id}/runs", params={"limit": 5})
    assert {"a": 1} == client.request("PATCH", f"/threads/{thread_id}", json={"metadata": {"a": 1}})["metadata"]
    assert {"a": 1} == client.threads.get(thread_id).metadata
    assert isinstance(client.request("POST", "/threads/count", json={}, idempotent=True), int)
    assert client.request("DELETE", f"/threads/{thread_id}") is None

    with pytest.raises(NotFoundError):
        client.request("DELETE", f"/threads/{thread_id}")
    with pytest.raises(BadRequestError, match="Key is required"):
        client.request("GET", "/store/items", params={"namespace": "a"})
    with pytest.raises(ResponseDecodeError):
        client.request("GET", "/docs")  # a page


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("FETCH", "/ok", "method: give one of GET"),
        ("GET", "ok", "path: give the part after the server's url"),
        ("GET", "http://elsewhere.example/ok", "path: give the part after the server's url"),
        ("GET", "//elsewhere.example/ok", "path: encode each part"),
        ("GET", "/runs?limit=1", "path: give the query as params="),
        ("GET", "/threads/../ok", "path: a part of it must not be"),
        ("GET", "/threads/%2e%2E/ok", "path: a part of it must not be"),
        ("GET", "/a b", "path: encode each part"),
        ("GET", "/ä", "path: encode each part"),
        ("GET", "/a\\b", "path: encode each part"),
        ("GET", "/a\r\nb: c", "path: encode each part"),
    ],
)
def test_a_request_stays_below_the_servers_url(client: Client, method: str, path: str, message: str) -> None:
    """A path that could lead elsewhere, or would be sent changed, is refused before anything is sent."""
    with pytest.raises(InvalidRequestError, match=message):
        client.request(method, path)


def test_times_of_items_are_utc(client: Client, namespace: list[str]) -> None:
    """Just now, by the server's clock."""
    client.store.put_item(namespace, "k", {})
    (item,) = client.store.search_items(namespace).items

    assert item.updated_at is not None
    assert abs(datetime.datetime.now(datetime.timezone.utc) - item.updated_at) < datetime.timedelta(minutes=5)
