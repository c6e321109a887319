"""The base class of the clients of all resources: a transport, and the limits of one call."""

from __future__ import annotations

import contextlib
from typing import Any, Collection, Dict, Iterator, Mapping, Optional, Tuple, get_args

from ..call import Scope
from ..errors import InvalidRequestError
from ..http import CommonOptions, Transport, parse_call_options
from ..options import SortOrder
from ..validation import check_choice, check_count, check_known

__all__ = ["Resource", "check_page", "check_search", "merged_arguments"]


class Resource:
    """The calls for one kind of object on the server."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @contextlib.contextmanager
    def _call(
        self,
        name: str,
        options: Mapping[str, Any],
        *,
        thread_id: Optional[str] = None,
        run_id: Optional[str] = None,
        further: Collection[str] = (),
    ) -> Iterator[Tuple[Scope, CommonOptions]]:
        """Return the scope and the common options of the call *name*, whose errors get the ids. *further* names its own options."""
        common = parse_call_options(name, options, further)
        with common.scope(self._transport) as scope:
            scope.note_run(run_id, thread_id)
            yield scope, common


def merged_arguments(
    call: str, allowed: Any, arguments: Any, by_name: Mapping[str, Any], options: Mapping[str, Any]
) -> Dict[str, Any]:
    """Return the options of a call to which they were given in one object, *arguments*, as the JavaScript client takes them.

    *allowed* is the TypedDict of its fields. An option that was given by name as well (in *by_name* and not None, or in *options*)
    takes precedence. Raise `InvalidRequestError` for an object with another field.
    """
    if not isinstance(arguments, Mapping):
        raise InvalidRequestError(f"{call}(): give the options by name, or a dict of them, not {type(arguments).__name__}")
    check_known(call, arguments, allowed.__annotations__)
    return {**arguments, **{name: value for name, value in by_name.items() if value is not None}, **options}


def check_page(limit: int, offset: int) -> None:
    """Check the arguments with which a call selects one page of what there is."""
    check_count("limit", limit, least=1)
    check_count("offset", offset, least=0)


def check_search(
    limit: int, offset: int, *, sort_by: Optional[str], sort_order: Optional[str], sort_fields: Collection[str]
) -> None:
    """Check the arguments that every search has. Raise `InvalidRequestError` for the first wrong one."""
    check_page(limit, offset)
    if sort_by is not None:
        check_choice("sort_by", sort_by, sort_fields)
    if sort_order is not None:
        check_choice("sort_order", sort_order, get_args(SortOrder))
