"""Makes the session of a client. requests is imported when a client is made, not with this package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping

import attrs

from .._late_imports import import_all

if TYPE_CHECKING:
    from .session import Connector

__all__ = ["SessionFactory"]


@attrs.frozen
class SessionFactory:
    """Makes the session of one client, once in each process. Can be pickled, so that another process can make its own."""

    base_url: str
    #: The keyword arguments of `Connector`.
    options: Mapping[str, Any] = attrs.field(repr=False)

    def __attrs_post_init__(self) -> None:
        import_all()

    def __call__(self) -> Connector:
        """Return a new session with its connection pools."""
        from .session import Connector

        return Connector(self.base_url, **self.options)
