"""`LedgerStore`: the protocol of the storage that a map uses as its ledger. `LedgerWriter` implements it with an SQLite file."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, List, Optional, Protocol

import attrs

from ...errors import LangGraphRunsError
from ..results import BatchResult

__all__ = ["Claim", "LedgerStore"]


@attrs.frozen
class Claim:
    """An input that one map has claimed: no other map runs it until the claim is released."""

    key: str
    #: The id of the thread on which the input is run.
    thread_id: str
    #: How often the input was started, this time included.
    attempts: int
    #: True if an earlier map may have created a run on the thread.
    may_exist: bool = False
    #: True if a failed run on the thread is not the result of the input: the input is then run again.
    rerun_failed: bool = False


class LedgerStore(Protocol):
    """One map's access to a ledger: opened when the map is made, closed when it ends. Used by one thread at a time.

    Every method may raise `LedgerError`. Methods that say so must be called within `transaction`.
    """

    def occurrence(self, key: str) -> int:
        """Add 1 to the number of times that this map has read *key*, and return it. The numbers are not kept when the map ends."""

    def find_result(self, key: str, digest: str, *, index: int, item: Any) -> Optional[BatchResult]:
        """Return the result of an input if it is final, or None.

        If *digest* is not the recorded one, the result is a `LedgerError`: the input has changed. *index* and *item* are those of
        the calling map, and are put into the result.
        """

    def transaction(self) -> AbstractContextManager[None]:
        """Return a context manager: all changes within become durable together when it ends, or none if there was an exception."""

    def claim(self, key: str, digest: str, index: int) -> Optional[Claim]:
        """Claim an input; within `transaction`. Returns None if another map has claimed it, or if its result is final."""

    def replace_thread(self, claim: Claim, *, delete: bool) -> Claim:
        """Move a claimed input to a new thread; within `transaction`. With *delete*, the old thread becomes an orphaned thread."""

    def is_unclaimed(self, key: str) -> bool:
        """Return True if no map has claimed the input."""

    def finish(self, result: BatchResult, *, delete: bool) -> None:
        """Record a final result and release its claim; within `transaction`. With *delete*, the thread becomes an orphaned one."""

    def release(self, claim: Claim, *, error: Optional[LangGraphRunsError], cancelled: bool, may_exist: bool) -> None:
        """Release the claim of an input without a result; within `transaction`.

        *may_exist* says whether its run may exist. If *cancelled*, that run was or will be cancelled, and the next map creates
        a new run; else the next map joins it.
        """

    def forget_thread(self, key: str, thread_id: str) -> None:
        """Record that the thread of an input that was released as cancelled is deleted; within `transaction`."""

    def orphaned_threads(self, limit: int) -> List[str]:
        """Return at most *limit* ids of threads that are still to be deleted from the server."""

    def remove_orphaned_threads(self, thread_ids: List[str]) -> None:
        """Record that these threads are deleted; within `transaction`."""

    def release_dead_owners(self) -> int:
        """Release the claims of maps whose process has ended. Returns the number of inputs."""

    def close(self) -> None:
        """Release all claims that this map still holds, and close the ledger."""
