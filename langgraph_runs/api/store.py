"""The endpoints of the store."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional, Sequence, Tuple

from ..call import Scope, states_absence
from ..errors import APIStatusError, NotFoundError, ResponseDecodeError
from ..http import NO_OPTIONS, CommonOptions, Response, Transport
from ..models import Item, ListNamespaceResponse, SearchItemsResponse, kind_of
from ..serialization import decode
from .own_response import check_done, own_record
from .request import build, fetch_json, given, run_once_or_absent

__all__ = ["delete_item", "get_item", "list_namespaces", "put_item", "search_items"]

_ITEMS = "/store/items"


def put_item(
    transport: Transport,
    scope: Scope,
    options: CommonOptions = NO_OPTIONS,
    *,
    namespace: Sequence[str],
    key: str,
    value: Mapping[str, Any],
    index: Any = None,
    ttl: Optional[float] = None,
) -> None:
    """Store an item, in place of the one that has the key."""
    body = {"namespace": list(namespace), "key": key, "value": value, **given(index=index, ttl=ttl)}
    check_done(transport.call(build("PUT", _ITEMS, options, body=body), scope))


def get_item(
    transport: Transport,
    scope: Scope,
    options: CommonOptions = NO_OPTIONS,
    *,
    namespace: Sequence[str],
    key: str,
    refresh_ttl: Optional[bool] = None,
) -> Optional[Item]:
    """Return an item. None if the server itself says that there is none: with the JSON value null, or with a 404 about an item."""
    query: List[Tuple[str, str]] = [("key", key)]
    if refresh_ttl is not None:
        query.append(("refresh_ttl", "true" if refresh_ttl else "false"))
    joined = build("GET", _ITEMS, options, query=[*query, ("namespace", ".".join(namespace))])
    apart = build("GET", _ITEMS, options, query=[*query, *(("namespace", label) for label in namespace)])
    forms = [joined]

    def attempt() -> Response:
        try:
            return transport.send(forms[-1], scope)
        except APIStatusError as error:
            # Some servers take each label as a parameter of its own, and say that the other form is no namespace.
            if forms[-1] is apart or len(namespace) == 1 or "namespace" not in str(error.body).lower():
                raise
            forms.append(apart)  # also for the attempts to come
            return transport.send(apart, scope)

    try:
        response = transport.logged(lambda: transport.retrier(joined, scope).run(attempt), joined, scope)
    except NotFoundError as error:
        if states_absence(error):
            return None
        raise
    value = own_record(response)
    return None if value is None else decode(value, Item)


def delete_item(
    transport: Transport, scope: Scope, options: CommonOptions = NO_OPTIONS, *, namespace: Sequence[str], key: str
) -> None:
    """Delete an item, if it exists."""
    request = build("DELETE", _ITEMS, options, body={"namespace": list(namespace), "key": key})
    run_once_or_absent(transport, scope, request)


def search_items(
    transport: Transport,
    scope: Scope,
    options: CommonOptions = NO_OPTIONS,
    *,
    namespace_prefix: Sequence[str],
    limit: int,
    offset: int,
    **filters: Any,
) -> SearchItemsResponse:
    """Return items below a namespace."""
    body = {"namespace_prefix": list(namespace_prefix), "limit": limit, "offset": offset, **given(**filters)}
    return decode(fetch_json(transport, scope, build("POST", f"{_ITEMS}/search", options, body=body)), SearchItemsResponse)


def list_namespaces(
    transport: Transport, scope: Scope, options: CommonOptions = NO_OPTIONS, *, limit: int, offset: int, **filters: Any
) -> ListNamespaceResponse:
    """Return the namespaces that have items."""
    body = {"limit": limit, "offset": offset, **given(**filters)}
    value = fetch_json(transport, scope, build("POST", "/store/namespaces", options, body=body))
    if isinstance(value, list):  # the shape of earlier servers
        value = {"namespaces": value}
    found = value.get("namespaces") if isinstance(value, dict) else None
    for index, namespace in enumerate(found if isinstance(found, list) else ()):
        if not isinstance(namespace, list):
            raise ResponseDecodeError._of_shape(f"$.namespaces[{index}]: expected a list, not {kind_of(namespace)}")
    return decode(value, ListNamespaceResponse)
