"""Items of the store: what shows that there is none, and the forms of a namespace. The responses are recorded."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from langgraph_runs import APIStatusError, InternalServerError, NotFoundError, ResponseDecodeError

from .played import Reply, client_of, reply
from .recorded import RECORDED

SERVERS = ["python", "javascript", "aegra"]
HERE = ["users", "ada"]


@pytest.mark.parametrize("server", SERVERS)
def test_items_are_put_and_deleted(server: str) -> None:
    """What each server confirms with is a success."""
    client, played = client_of(RECORDED[server, "put item"], RECORDED[server, "delete item"])
    client.store.put_item(HERE, "k", {"n": 1})
    client.store.delete_item(HERE, "k")
    assert ["PUT /store/items", "DELETE /store/items"] == played.asked
    assert {"namespace": HERE, "key": "k", "value": {"n": 1}} == played.body(0)


@pytest.mark.parametrize("server", ["python", "javascript"])
def test_an_item_and_none(server: str) -> None:
    """The JSON value null is the server's own statement that there is none."""
    client, played = client_of(RECORDED[server, "get item"], RECORDED[server, "get item unknown"])
    found = client.store.get_item(HERE, "k")
    assert found is not None and ({"n": 1}, ("users", "ada")) == (found.value, found.namespace)
    assert client.store.get_item(HERE, "x") is None
    assert "GET /store/items?key=k&namespace=users.ada" == played.asked[0]


def test_a_server_that_takes_each_label_apart() -> None:
    """It says that the other form is no namespace; its 404 names the item."""
    refused = RECORDED["aegra", "get item"]
    client, played = client_of(refused, RECORDED["aegra", "get item apart"], refused, RECORDED["aegra", "get item apart unknown"])
    found = client.store.get_item(HERE, "k")
    assert found is not None and found.value == {"n": 1}
    assert client.store.get_item(HERE, "x") is None
    assert "GET /store/items?key=k&namespace=users&namespace=ada" == played.asked[1]


def test_the_other_form_is_not_tried_for_another_error() -> None:
    """A server of the first form would take it for another namespace, and say that there is no item."""
    broken = Reply(500, b"Internal Server Error", {"content-type": "text/plain"})
    client, played = client_of(*[broken] * 4)
    with pytest.raises(InternalServerError):
        client.store.get_item(HERE, "k")
    assert {"GET /store/items?key=k&namespace=users.ada"} == set(played.asked)


def test_what_says_nothing_about_the_item_is_not_none() -> None:
    """A 404 of a gateway or of a server without a store, a page with status 200, an item without a value."""
    for status, body in ((404, {"detail": "Not Found"}), (404, {"message": "no route"}), (403, {"detail": "no"})):
        with pytest.raises(APIStatusError):
            client_of(reply(body, status))[0].store.get_item(HERE, "k")
    for answer in (Reply(200, b"<html></html>", {"content-type": "text/html"}), reply({"key": "k", "namespace": HERE}), reply([])):
        with pytest.raises(ResponseDecodeError):
            client_of(answer)[0].store.get_item(HERE, "k")
    with pytest.raises(NotFoundError):
        client_of(Reply(404, b"", {}))[0].store.get_item(HERE, "k")


def test_a_put_whose_response_is_lost_is_sent_again() -> None:
    """Storing twice is storing once."""
    client, played = client_of(requests.ConnectionError("reset"), RECORDED["python", "put item"])
    client.store.put_item(HERE, "k", {})
    assert 2 == len(played.requests)


def test_namespaces_are_lists_of_labels() -> None:
    """Another shape is an error with its place, and not a namespace of letters."""
    assert [("a", "b")] == client_of(reply({"namespaces": [["a", "b"]]}))[0].store.list_namespaces().namespaces
    assert [("a",)] == client_of(reply([["a"]]))[0].store.list_namespaces().namespaces
    body: Any
    for body in ({"namespaces": ["ab"]}, {"namespaces": None}, {}, {"items": []}):
        with pytest.raises(ResponseDecodeError):
            client_of(reply(body))[0].store.list_namespaces()
    with pytest.raises(ResponseDecodeError, match=r"\$.namespaces\[0\]: expected a list, not a string"):
        client_of(reply({"namespaces": ["ab"]}))[0].store.list_namespaces()
