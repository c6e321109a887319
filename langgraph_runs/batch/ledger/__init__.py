"""The ledger of a map: which inputs were claimed, by which map, and the results. Sends no requests."""

from .reader import STATUSES, Ledger, LedgerEntry
from .store import Claim, LedgerStore
from .writer import LedgerWriter

__all__ = ["STATUSES", "Claim", "Ledger", "LedgerEntry", "LedgerStore", "LedgerWriter"]
