"""A ledger in PostgreSQL, shared by many machines. Needs the extra ``postgres``. Imported when the first such ledger is named."""

from .reader import PostgresqlReader
from .store import PostgresqlStore
from .url import PostgresqlUrl

__all__ = ["PostgresqlReader", "PostgresqlStore", "PostgresqlUrl"]
