"""Items of the store and their namespaces.

The annotations are read at run time, so this module does not postpone them.
"""

import datetime
from typing import Any, Dict, List, Optional, Tuple

import attrs

__all__ = ["Item", "ListNamespaceResponse", "SearchItem", "SearchItemsResponse"]


@attrs.frozen(kw_only=True)
class Item:
    """An item of the store: an object under a namespace and a key.

    >>> Item(namespace=("users", "ada"), key="colour", value={"name": "red"}).value["name"]
    'red'
    """

    namespace: Tuple[str, ...]
    key: str
    value: Dict[str, Any] = attrs.field(metadata={"strict": True})
    created_at: Optional[datetime.datetime] = None
    updated_at: Optional[datetime.datetime] = None
    #: Fields that this library does not know, or that have another type than documented.
    extra: Dict[str, Any] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class SearchItem(Item):
    """An item that a search has found.

    >>> SearchItem(namespace=("users",), key="k", value={}, score=0.5).score
    0.5
    """

    #: How well it fits a *query*, if the store can compare meanings; else None.
    score: Optional[float] = None


@attrs.frozen(kw_only=True)
class SearchItemsResponse:
    """One page of a search in the store.

    >>> SearchItemsResponse(items=[]).items
    []
    """

    items: List[SearchItem]
    #: Fields that this library does not know, or that have another type than documented.
    extra: Dict[str, Any] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class ListNamespaceResponse:
    """One page of the namespaces of the store.

    >>> ListNamespaceResponse(namespaces=[("users", "ada")]).namespaces[0]
    ('users', 'ada')
    """

    namespaces: List[Tuple[str, ...]]
    #: Fields that this library does not know, or that have another type than documented.
    extra: Dict[str, Any] = attrs.field(factory=dict, repr=False)
