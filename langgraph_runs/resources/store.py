"""``client.store``: objects that all threads share, under a namespace and a key."""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING, Any, Dict, Literal, Mapping, Optional, Sequence, Tuple, Union

from .. import api
from ..errors import InvalidRequestError
from ..fields import as_object
from ..models import Item, ListNamespaceResponse, SearchItemsResponse
from ..options import CallOptions, LimitOptions, Params, documented
from ..validation import check_count, check_id
from .resource import Resource, check_page

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["StoreClient"]

Namespace = Sequence[str]


class StoreClient(Resource):
    """The store of a server, as ``client.store``. A namespace is a list of labels: ``["users", "ada"]``; a label has no period."""

    @documented(LimitOptions)
    def put_item(
        self,
        namespace: Namespace,
        /,
        key: str,
        value: Mapping[str, Any],
        index: Union[Literal[False], Sequence[str], None] = None,
        ttl: Optional[float] = None,
        headers: Optional[Mapping[str, str]] = None,
        params: Optional[Params] = None,
        **options: Unpack[LimitOptions],
    ) -> None:
        """Store *value*, an object, under a namespace and a key. An item that is there is replaced.

        *index*: the fields by whose meaning a search finds the item, or False for none; None: as the store is configured. *ttl*:
        minutes after which the item is deleted; None: as the store is configured. *headers* and *params* are sent in addition.

        The request is repeated after a broken connection: storing an item twice is the same as once.
        """
        if index is not None and index is not False and (isinstance(index, str) or not isinstance(index, Sequence)):
            raise InvalidRequestError("index: give a list of fields, or False")
        fields: Dict[str, Any] = {
            "namespace": _labels("namespace", namespace),
            "key": check_id("key", key),
            "ttl": _minutes("ttl", ttl),
        }
        fields.update(value=as_object("value", value), index=index if index is None or index is False else list(index))
        with self._call("put_item", {**options, "headers": headers, "params": params}) as (scope, common):
            api.put_item(self._transport, scope, common, **fields)

    @documented(CallOptions)
    def get_item(
        self, namespace: Namespace, /, key: str, *, refresh_ttl: Optional[bool] = None, **options: Unpack[CallOptions]
    ) -> Optional[Item]:
        """Return the item, or None if the server says that there is none.

        *refresh_ttl*: whether reading it begins its time to live again. Raises `NotFoundError` for a 404 that does not say what is
        absent, as from a gateway or a server without a store.
        """
        labels, key = _labels("namespace", namespace), check_id("key", key)
        with self._call("get_item", options) as (scope, common):
            return api.get_item(self._transport, scope, common, namespace=labels, key=key, refresh_ttl=refresh_ttl)

    @documented(LimitOptions)
    def delete_item(
        self,
        namespace: Namespace,
        /,
        key: str,
        headers: Optional[Mapping[str, str]] = None,
        params: Optional[Params] = None,
        **options: Unpack[LimitOptions],
    ) -> None:
        """Delete the item. Does nothing if there is none. *headers* and *params* are sent in addition."""
        labels, key = _labels("namespace", namespace), check_id("key", key)
        with self._call("delete_item", {**options, "headers": headers, "params": params}) as (scope, common):
            api.delete_item(self._transport, scope, common, namespace=labels, key=key)

    @documented(LimitOptions)
    def search_items(
        self,
        namespace_prefix: Namespace,
        /,
        filter: Optional[Mapping[str, Any]] = None,
        limit: int = 10,
        offset: int = 0,
        query: Optional[str] = None,
        refresh_ttl: Optional[bool] = None,
        headers: Optional[Mapping[str, str]] = None,
        params: Optional[Params] = None,
        **options: Unpack[LimitOptions],
    ) -> SearchItemsResponse:
        """Return items of a namespace and of those below it: ``.items``, at most *limit*, after skipping *offset*.

        *filter*: fields that the values must have, with their contents. *query*: text whose meaning the items should have, if the
        store has an index. *refresh_ttl*: whether their time to live begins again. *headers* and *params* are sent in addition.
        """
        prefix = _labels("namespace_prefix", namespace_prefix, least=0)
        check_page(limit, offset)
        with self._call("search_items", {**options, "headers": headers, "params": params}) as (scope, common):
            return api.search_items(
                self._transport,
                scope,
                common,
                namespace_prefix=prefix,
                limit=limit,
                offset=offset,
                filter=None if filter is None else as_object("filter", filter),
                query=query,
                refresh_ttl=refresh_ttl,
            )

    @documented(CallOptions)
    def list_namespaces(
        self,
        prefix: Optional[Namespace] = None,
        suffix: Optional[Namespace] = None,
        max_depth: Optional[int] = None,
        limit: int = 100,
        offset: int = 0,
        **options: Unpack[CallOptions],
    ) -> ListNamespaceResponse:
        """Return the namespaces that have items: ``.namespaces``, at most *limit*, after skipping *offset*.

        *prefix* and *suffix*: the labels with which a namespace must begin and end. *max_depth*: the number of labels after which
        longer namespaces are cut.
        """
        check_page(limit, offset)
        if max_depth is not None:
            check_count("max_depth", max_depth, least=1)
        filters = {
            "prefix": None if prefix is None else list(_labels("prefix", prefix, least=0)),
            "suffix": None if suffix is None else list(_labels("suffix", suffix, least=0)),
            "max_depth": max_depth,
        }
        with self._call("list_namespaces", options) as (scope, common):
            return api.list_namespaces(self._transport, scope, common, limit=limit, offset=offset, **filters)


def _labels(name: str, value: Any, *, least: int = 1) -> Tuple[str, ...]:
    """Return a namespace as a tuple. Raise `InvalidRequestError`, which does not show it: labels may be names of users."""
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Sequence):
        raise InvalidRequestError(f"{name}: give a list of labels, such as ['users', 'ada']")
    if len(value) < least:
        raise InvalidRequestError(f"{name}: give at least one label")
    for index, label in enumerate(value):
        if not isinstance(label, str) or not label or "." in label:
            raise InvalidRequestError(f"{name}[{index}]: give text that is not empty and has no period")
    return tuple(value)


def _minutes(name: str, value: Any) -> Optional[float]:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value) or value <= 0:
        raise InvalidRequestError(f"{name}: give a number of minutes above 0")
    return value  # type: ignore[return-value]  # an int or a float
