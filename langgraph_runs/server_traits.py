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
    #: True if the response to a wait names its run in its headers. Recognised by the responses to waits on a thread. If it is
    #: False, a wait creates its run first and then joins it, so that the run is known from the beginning. While it is unknown, the
    #: run of a response that does not name it is looked for on its thread, by the marker.
    names_run_in_wait: Optional[bool] = None

    #: True if the server lists the runs of a thread newest first, by ``created_at``. Recognised by the last list that showed an
    #: order. If it is True, the newest runs are requested alone. If it is False or unknown, a list that does not show its order
    #: is read to its end and put in order here.
    lists_newest_first: Optional[bool] = None
    #: True if the server takes the filter of stream modes of a join. Recognised by a refusal (400 or 422) of a join with the filter
    #: that is accepted without it. If it is False, events of other modes are left out here. While it is unknown, the filter is
    #: sent.
    filters_streams: Optional[bool] = None

    #: True if the server stores the ``multitask_strategy`` of a create, so that ``reject`` can be expected to refuse a second run.
    #: Recognised by a run that this client has created and that shows the strategy. If it is False or unknown, ``reject`` is no
    #: evidence that a create which is sent again makes no second run.
    keeps_strategy: Optional[bool] = None

    def note_created(self, *, shows_marker: bool, in_metadata: bool, strategy: Optional[str]) -> None:
        """Note what the server shows of a create with the run that it has made."""
        self.note_strategy(strategy)
        if self.shows_marker is None or shows_marker:
            self.shows_marker = shows_marker
            self.keeps_run_metadata = in_metadata

    def note_strategy(self, strategy: Optional[str]) -> None:
        """Note the ``multitask_strategy`` of a run that this client has created; None if the run does not show it."""
        self.keeps_strategy = strategy is not None

    def note_order(self, newest_first: Optional[bool]) -> None:
        """Note the order that a list has shown; None if it has shown none."""
        if newest_first is not None:
            self.lists_newest_first = newest_first
