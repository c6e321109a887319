"""An input of a map on its way: what was done for it so far. Knows nothing of who does it."""

from __future__ import annotations

from typing import Any, Optional

import attrs

from .inputs import Item
from .ledger import Claim

__all__ = ["InFlightTask"]


@attrs.define(eq=False)
class InFlightTask:
    """An input on its way."""

    item: Item
    thread_id: str
    claim: Optional[Claim] = None
    #: Whether a run may be on the thread already; and whether one may still be about to come into being.
    look: bool = False
    settle: bool = False
    #: Times that it was sent and came back without an end.
    tries: int = 0
    #: Seconds that these took.
    spent: float = 0.0
    #: Whether the run is known to exist; set by the thread that runs it.
    created: bool = False
    #: Whether one may exist.
    begun: bool = False

    @property
    def attempts(self) -> int:
        """How often it was begun, by this map and those before it."""
        return self.tries + (self.claim.attempts if self.claim is not None else 1)

    def note_created(self, _: Any) -> None:
        """The run exists."""
        self.created = True
