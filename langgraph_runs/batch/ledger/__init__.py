"""The ledger of a map: which inputs were claimed, by which map, and the results. Sends no requests."""

from .reader import STATUSES, Ledger, LedgerEntry
from .sqlite_file import KeyCounter
from .store import Changes, Claim, Finish, LedgerStore, Move, Purpose, Record, Release, Wanted, Written

__all__ = [
    "STATUSES",
    "Changes",
    "Claim",
    "Finish",
    "KeyCounter",
    "Ledger",
    "LedgerEntry",
    "LedgerStore",
    "Move",
    "Purpose",
    "Record",
    "Release",
    "Wanted",
    "Written",
]
