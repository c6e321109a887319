"""`PostgresqlStore`: a `LedgerStore` in a PostgreSQL database, for the processes of many machines."""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from ....errors import LedgerError
from ..store import Changes, Claim, Purpose, Record, Written
from . import statements
from .owner_session import GRACE, Session
from .schema import make_tables
from .url import PostgresqlUrl

__all__ = ["PostgresqlStore"]


class PostgresqlStore:
    """A `LedgerStore` in a PostgreSQL database."""

    #: An index of PostgreSQL has no longer values.
    longest_key = 2000

    def __init__(self, url: PostgresqlUrl, purpose: Purpose) -> None:
        self._url = url
        self._purpose = purpose
        self._ledger = 0
        #: Owners whose lock was free when it was looked at, with the number of their connections, and the moment.
        self._seen_free: Dict[Tuple[int, int], float] = {}
        self._session = Session(url, self._register, self._renew)
        self.release_dead_owners()

    def _register(self, connection: Any, owner: int) -> None:
        make_tables(connection, str(self._url))
        options = json.dumps(self._purpose.options, sort_keys=True)
        connection.execute(statements.MAKE_LEDGER, [self._url.name, self._purpose.url, self._purpose.assistant_id, options])
        # After `retry_failed(new_options=True)`, the ledger is for the options of the next map.
        connection.execute(statements.SET_OPTIONS, [options, self._url.name])
        self._ledger, url, assistant_id, recorded = connection.execute(statements.LEDGER, [self._url.name]).fetchone()
        self._purpose.check(str(self._url), Purpose(url, assistant_id, json.loads(recorded)))
        connection.execute(statements.ADD_OWNER, [owner, self._ledger, socket.gethostname(), os.getpid()])

    def _renew(self, connection: Any, owner: int) -> bool:
        return bool(connection.execute(statements.RENEW_OWNER, [owner]).rowcount)

    def watch(self, on_lost: Callable[[], object], max_outage: Optional[float]) -> None:
        """See `LedgerStore`."""
        self._session.watch(on_lost, max_outage)

    def holds(self, claim: Claim) -> bool:
        """See `LedgerStore`."""
        return claim.owner == str(self._session.owner)

    def may_create(self) -> bool:
        """See `LedgerStore`."""
        return self._session.is_confirmed

    def interrupt(self) -> None:
        """See `LedgerStore`."""
        self._session.interrupt()

    # -- dead owners

    def release_dead_owners(self) -> int:
        """See `LedgerStore`. An owner is dead if its lock was free all the time between two calls, `GRACE` seconds apart."""

        def work(connection: Any) -> int:
            rows = connection.execute(statements.OWNERS_WITHOUT_LOCK, [self._ledger, self._session.owner]).fetchall()
            now = time.monotonic()
            self._seen_free = {row: self._seen_free.get(row, now) for row in rows}
            return sum(self._take_over(connection, *row) for row, seen in self._seen_free.items() if now - seen >= GRACE)

        return self._session.run(work)

    def _take_over(self, connection: Any, owner: int, connections: int) -> int:
        with connection.transaction():
            # With its lock, the owner cannot come back meanwhile. In a statement of its own: the next one sees all its commits.
            if not connection.execute("SELECT pg_try_advisory_xact_lock(%s)", [owner]).fetchone()[0]:
                return 0
            if not connection.execute(statements.REMOVE_DEAD_OWNER, [owner, connections]).rowcount:
                return 0
            return int(connection.execute(statements.RELEASE_CLAIMS, [owner]).rowcount)

    # -- reading

    def look_up(self, keys: Sequence[str]) -> Dict[str, Record]:
        """See `LedgerStore`."""
        rows = self._session.run(lambda connection: connection.execute(statements.LOOK_UP, [self._ledger, list(keys)]).fetchall())
        return {key: Record.of_row(row) for key, *row in rows}

    def orphaned_threads(self, limit: int) -> List[str]:
        """See `LedgerStore`."""
        rows = self._session.run(
            lambda connection: connection.execute(statements.ORPHANED_THREADS, [self._ledger, limit]).fetchall()
        )
        return [thread_id for (thread_id,) in rows]

    # -- writing

    def write(self, changes: Changes) -> Written:
        """See `LedgerStore`. One statement."""
        new_threads = {wanted.key: str(uuid.uuid4()) for wanted in changes.wanted}
        parameters = statements.parameters_of(changes, new_threads)

        def work(connection: Any) -> Tuple[int, List[Any]]:
            owner = self._session.owner
            values = {**parameters, "ledger": self._ledger, "owner": owner}
            return owner, connection.execute(statements.WRITE, values).fetchall()

        owner, rows = self._session.run(work)
        written = Written()
        for kind, key, rerun_failed, *row in rows:
            if kind == "held":
                written.held.add(key)
                continue
            record = Record.of_row(row)
            if kind == "record":
                written.records[key] = record
                continue
            if record.thread_id is None:
                raise LedgerError(f"the ledger {self._url}: the claimed input {key!r} has no thread")
            written.claims[key] = Claim(
                key,
                record.thread_id,
                record.attempts,
                may_exist=record.thread_id != new_threads[key],
                rerun_failed=rerun_failed,
                owner=str(owner),
            )
        return written

    def close(self) -> None:
        """See `LedgerStore`."""

        def work(connection: Any) -> None:
            with connection.transaction():
                connection.execute(statements.RELEASE_CLAIMS, [self._session.owner])
                connection.execute(statements.REMOVE_OWNER, [self._session.owner])

        self._session.close(work)
