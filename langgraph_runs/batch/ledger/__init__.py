"""The ledger of a map: which inputs were claimed, by which map, and the results. Knows no requests and starts no runs."""

from .reader import STATUSES, Ledger, LedgerEntry
from .store import Claim, LedgerStore
from .writer import LedgerWriter

__all__ = ["STATUSES", "Claim", "Ledger", "LedgerEntry", "LedgerStore", "LedgerWriter"]
