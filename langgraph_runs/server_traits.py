"""The traits in which servers of this API differ.

Each is documented with how it is recognised (by behaviour, never by the name or version of a server), what it changes, and what
holds while it is unknown.
"""

from __future__ import annotations

from typing import Optional

import attrs

__all__ = ["ServerTraits"]


@attrs.define
class ServerTraits:
    """The traits of one server, shared by the copies of a client. None: unknown, since it was not observed yet."""

    #: True if the server stores the ``x-request-id`` of a create with its run. Recognised by the first run that a create returns.
    #: If it is False, creates carry the id in the run's metadata as well; while it is unknown, they do not.
    stores_request_id: Optional[bool] = None
