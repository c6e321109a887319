"""`LedgerStore`: the protocol of the storage that a map uses as its ledger, and what a map writes into it and reads from it.

Two classes implement it: `SqliteStore` with a file, `PostgresqlStore` with a database that many machines share.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional, Protocol, Sequence, Set

import attrs

from ...errors import LangGraphRunsError, LedgerError
from ...serialization import digest_of, encode, parse
from ..results import BatchResult, error_from, error_text

__all__ = ["PAGE_COLUMNS", "Changes", "Claim", "Finish", "LedgerStore", "Move", "Purpose", "Record", "Release", "Wanted", "Written"]

#: Options of a map that do not change the result of a run: they may differ from one map to the next with the same ledger.
_WITHOUT_EFFECT = frozenset(
    {"metadata", "webhook", "langsmith_tracing", "feedback_keys", "after_seconds", "durability", "checkpoint_during"}
    | {"stream_mode", "stream_subgraphs", "stream_resumable"}
)


@attrs.frozen
class Purpose:
    """What a ledger is for. A map with another purpose is refused: its results would be mixed with those of other runs."""

    url: str
    assistant_id: str
    #: A digest of each option that changes the result of a run, such as ``context``. Values are not recorded: they may be secret.
    options: Mapping[str, str] = attrs.field(factory=dict)

    @classmethod
    def of_map(cls, url: str, assistant_id: str, options: Mapping[str, Any]) -> Purpose:
        """Return the purpose of a map with these run options."""
        given = {name: value for name, value in options.items() if value is not None and name not in _WITHOUT_EFFECT}
        return cls(url, assistant_id, {name: digest_of(value) for name, value in sorted(given.items())})

    def check(self, name: str, recorded: Purpose) -> None:
        """Raise `LedgerError` if the ledger *name* was made for another purpose."""
        for what, value, other in (
            ("server", self.url, recorded.url),
            ("assistant", self.assistant_id, recorded.assistant_id),
        ):
            if value != other:
                raise LedgerError(f"the ledger {name} is for another {what}: {other}, not {value}; give another ledger")
        if self.options != recorded.options:
            names = sorted({*self.options, *recorded.options})
            differing = ", ".join(name for name in names if self.options.get(name) != recorded.options.get(name))
            raise LedgerError(
                f"the ledger {name} was used with other options: {differing}; give the same options, or another ledger. To run only"
                " its failed inputs with the new options, call retry_failed(new_options=True)"
                " (langgraph-runs ledger retry-failed --new-options)"
            )


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
    #: The id of the map's ownership that the claim belongs to; see `LedgerStore.holds`.
    owner: str = attrs.field(default="", eq=False)


@attrs.frozen(kw_only=True)
class Record:
    """What a ledger has about one input."""

    digest: str
    status: str
    #: True if a map has claimed the input.
    claimed: bool
    thread_id: Optional[str]
    run_id: Optional[str]
    attempts: int
    seconds: float
    paused: bool
    #: JSON text.
    values: Any = attrs.field(repr=False)
    #: As `error_text` wrote it.
    error: Optional[str] = attrs.field(repr=False)

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Record:
        """Return the record of a row, which has the columns in the order of the fields."""
        digest, status, claimed, thread_id, run_id, attempts, seconds, paused, values, error = row
        return cls(
            digest=digest,
            status=status,
            claimed=bool(claimed),
            thread_id=thread_id,
            run_id=run_id,
            attempts=attempts,
            seconds=seconds,
            paused=bool(paused),
            values=values,
            error=error,
        )

    @property
    def is_final(self) -> bool:
        """True if the input has its result."""
        return self.status in ("done", "failed")

    def result(self, digest: str, **given: Any) -> Optional[BatchResult]:
        """Return the result if it is final, else None. *given* are the fields that the calling map knows.

        If *digest* is not the recorded one, the result is a `LedgerError`: the input has changed.
        """
        common: Dict[str, Any] = {**given, "attempts": self.attempts}
        if self.digest != digest:
            key = given.get("key")
            message = f"the input with the key {key!r} has changed since the ledger was written: give the new one another key"
            return BatchResult(error=LedgerError(message), **common)
        if not self.is_final:
            return None
        return BatchResult(
            values=None if self.values is None else parse(self.values),
            error=None if self.error is None else error_from(self.error),
            run_id=self.run_id,
            thread_id=self.thread_id,
            seconds=self.seconds,
            paused=self.paused,
            from_ledger=True,
            **common,
        )


# -- changes


@attrs.frozen
class Wanted:
    """An input that a map wants to claim."""

    key: str
    digest: str
    index: int


@attrs.frozen
class Finish:
    """Record a final result and release its claim. With *delete*, the thread becomes an orphaned thread."""

    result: BatchResult
    delete: bool

    @property
    def status(self) -> str:
        """Return the status of the input from now on."""
        return "done" if self.result.error is None else "failed"

    @property
    def values(self) -> Optional[bytes]:
        """Return the values as JSON; None if there are none."""
        return None if self.result.values is None and self.result.error is not None else encode(self.result.values)

    @property
    def error(self) -> Optional[str]:
        """Return the error as text; None if there is none."""
        return None if self.result.error is None else error_text(self.result.error)

    @property
    def kept_thread(self) -> Optional[str]:
        """Return the thread if it is kept."""
        return None if self.delete else self.result.thread_id

    @property
    def orphaned_thread(self) -> Optional[str]:
        """Return the thread if it is to be deleted."""
        return self.result.thread_id if self.delete else None


@attrs.frozen
class Release:
    """Release the claim of an input without a result.

    *may_exist* says whether its run may exist. If *cancelled*, that run was or will be cancelled, and the next map creates a new
    run; else the next map joins it.
    """

    claim: Claim
    _error: Optional[LangGraphRunsError] = attrs.field(kw_only=True)
    cancelled: bool = attrs.field(kw_only=True)
    may_exist: bool = attrs.field(kw_only=True)

    @property
    def status(self) -> str:
        """Return the status of the input from now on."""
        return "pending" if self.cancelled or not self.may_exist else "started"

    @property
    def thread_id(self) -> Optional[str]:
        """Return the thread on which the next map looks for a run, or None."""
        return self.claim.thread_id if self.may_exist or self.claim.may_exist else None

    @property
    def rerun_failed(self) -> bool:
        """Return True if the next map must not take a failed run on that thread for the result."""
        return (self.claim.rerun_failed or self.cancelled) and self.thread_id is not None

    @property
    def error(self) -> Optional[str]:
        """Return the error as text; None if there is none."""
        return None if self._error is None else error_text(self._error)


@attrs.frozen
class Move:
    """Move a claimed input to a new thread. With *delete*, the old thread becomes an orphaned thread."""

    claim: Claim
    thread_id: str
    delete: bool

    @property
    def new_claim(self) -> Claim:
        """Return the claim from now on."""
        return Claim(self.claim.key, self.thread_id, self.claim.attempts, owner=self.claim.owner)


@attrs.define
class Changes:
    """What a map writes into its ledger in one step: all of it becomes durable together, or nothing.

    Each change has no effect if the map no longer holds the claim, and the same effect if it is written twice.
    """

    finished: List[Finish] = attrs.field(factory=list)
    released: List[Release] = attrs.field(factory=list)
    moved: List[Move] = attrs.field(factory=list)
    #: Keys of inputs that were released as cancelled, with their threads, which are deleted.
    forgotten: Dict[str, str] = attrs.field(factory=dict)
    #: Orphaned threads that are deleted.
    deleted: List[str] = attrs.field(factory=list)
    wanted: List[Wanted] = attrs.field(factory=list)

    def __bool__(self) -> bool:
        return bool(self.finished or self.released or self.moved or self.forgotten or self.deleted or self.wanted)


@attrs.define
class Written:
    """What `LedgerStore.write` has done."""

    #: The claims by key. A wanted input that is neither here nor in `records` is claimed by another map.
    claims: Dict[str, Claim] = attrs.field(factory=dict)
    #: The records of wanted inputs that have their result, or had another digest.
    records: Dict[str, Record] = attrs.field(factory=dict)
    #: The keys of the inputs that were finished, released or moved: those that the map held.
    held: Set[str] = attrs.field(factory=set)


#: The columns of a row of `LedgerReader.page`, which have the same names in each storage.
PAGE_COLUMNS = 'id, key, place, status, "values", error, run_id, thread_id, attempts, seconds, paused'


class LedgerStore(Protocol):
    """One map's access to a ledger: opened when the map is made, closed when it ends.

    Used by one thread at a time, except for `interrupt` and `may_create`. Every method may raise `LedgerError`.
    """

    @property
    def longest_key(self) -> Optional[int]:
        """Return the most bytes of UTF-8 that a key may have; None for no limit."""

    def watch(self, on_lost: Callable[[], object], max_outage: Optional[float]) -> None:
        """Call *on_lost*, from any thread, when other maps may soon claim the inputs of this one: no run may be created for them
        until they are claimed again.

        *max_outage* is the number of seconds for which a storage that cannot be reached is waited for, or None for no limit.
        """

    def holds(self, claim: Claim) -> bool:
        """Return False if *claim* was lost, as the storage said last: another map may have it."""

    def may_create(self) -> bool:
        """Return True if no other map can have claimed the inputs of this one by now: a run may be created. Any thread may ask."""

    def write(self, changes: Changes) -> Written:
        """Write *changes*. They are durable when this returns."""

    def look_up(self, keys: Sequence[str]) -> Dict[str, Record]:
        """Return what the ledger has about these inputs, by key."""

    def orphaned_threads(self, limit: int) -> List[str]:
        """Return at most *limit* ids of threads that are still to be deleted from the server."""

    def release_dead_owners(self) -> int:
        """Release the claims of maps whose process has ended. Returns the number of inputs."""

    def interrupt(self) -> None:
        """End a wait for a storage that is not available: the waiting method raises. May be called by any thread."""

    def close(self) -> None:
        """Release all claims that this map still holds, and close the ledger."""
