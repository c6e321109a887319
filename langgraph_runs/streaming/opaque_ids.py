"""Resuming a stream whose event ids have no known order, as UUIDs have none."""

from __future__ import annotations

from .delivered import Delivered, DeliveredSiblings

__all__ = ["OpaqueIds"]


class OpaqueIds:
    """The rules for a resumed connection: it begins with the last id, and an event is new if its id was not delivered recently.

    If the first id of the stream comes again, the server sends all events again, and they are skipped up to the last id. An equal
    event under the last id is the same one, as often as it comes, unless events have shared an id: then they are counted.
    """

    #: Always False: the id says whether its event is new.
    doubt = False

    def __init__(self, delivered: Delivered) -> None:
        self._delivered = delivered
        self._last = delivered.last
        self._siblings = DeliveredSiblings(delivered)
        self._shared = delivered.repeats
        self._skipping = False

    def is_new(self, event: str, data: str, own_id: str) -> bool:
        """Return True if the event was not delivered yet."""
        if own_id == self._delivered.last:
            self._skipping = False
            if not self._shared:
                return (event, data) not in self._delivered.siblings
            # Under this id, only events that were delivered before this connection are repeats.
            return own_id != self._last or not self._siblings.is_repeat((event, data))
        if self._skipping or own_id in self._delivered:
            return False
        if own_id == self._delivered.first:
            self._skipping = True
            return False
        return True
