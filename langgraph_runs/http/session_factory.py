"""Makes a client's connections when the first request needs them. Importing requests is left until then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping

import attrs

if TYPE_CHECKING:
    from .session import Connector

__all__ = ["SessionFactory"]


@attrs.frozen
class SessionFactory:
    """Makes the connections of one client. Pickles, so that another process can make its own."""

    base_url: str
    #: The keyword arguments of `Connector`.
    options: Mapping[str, Any] = attrs.field(repr=False)

    def __call__(self) -> Connector:
        """A new session with its connection pool."""
        from .session import Connector  # importing requests takes longer than importing all the rest

        return Connector(self.base_url, **self.options)
