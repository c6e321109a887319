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

    #: True if the server shows the marker of a create (see `markers`) with its run. Recognised by a run that a create returned, or
    #: that a look-up found. If it is True, a run without the marker of a create was not created by it. If it is False or unknown,
    #: such a run may have been created by it.
    shows_marker: Optional[bool] = None
    #: True if the server keeps the metadata of a create with its run; recognised in the same way. Until it is, creates carry the
    #: marker in the metadata of their config as well.
    keeps_run_metadata: Optional[bool] = None
