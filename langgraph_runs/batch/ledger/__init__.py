"""The ledger of a map: which inputs were taken, by whom, and what came of them. Knows no requests and no threads of execution."""

from .reader import STATUSES, Ledger, LedgerEntry
from .writer import Claim, LedgerWriter

__all__ = ["STATUSES", "Claim", "Ledger", "LedgerEntry", "LedgerWriter"]
