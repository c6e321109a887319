"""The tables of the ledgers in a PostgreSQL database, their version, and how they are made.

The tables lie in the first schema of the user's ``search_path``. One database has many ledgers, each with a name.
"""

from __future__ import annotations

from typing import Any

from ....errors import LedgerError

__all__ = ["VERSION", "make_tables", "tables_exist"]

VERSION = 1
#: Held while tables are made, so that two maps do not make them at the same time. An arbitrary number.
_LOCK = 0x4C47524C_53434845

#: The statements that make each version from the one before it. A released version is never changed; the next one is added.
_VERSIONS = (
    (
        "CREATE TABLE langgraph_runs_schema (version integer NOT NULL)",
        "INSERT INTO langgraph_runs_schema VALUES (0)",
        """
        CREATE TABLE langgraph_runs_ledger (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            name text NOT NULL UNIQUE,
            url text NOT NULL,
            assistant_id text NOT NULL,
            options text,
            created_at timestamptz NOT NULL DEFAULT now()
        )
        """,
        """
        CREATE TABLE langgraph_runs_owner (
            id bigint PRIMARY KEY,
            ledger bigint NOT NULL REFERENCES langgraph_runs_ledger ON DELETE CASCADE,
            connections bigint NOT NULL DEFAULT 1,
            host text NOT NULL,
            pid bigint NOT NULL,
            opened_at timestamptz NOT NULL DEFAULT now()
        )
        """,
        "CREATE INDEX langgraph_runs_owner_ledger ON langgraph_runs_owner (ledger)",
        """
        CREATE TABLE langgraph_runs_entry (
            ledger bigint NOT NULL REFERENCES langgraph_runs_ledger ON DELETE CASCADE,
            key text COLLATE "C" NOT NULL,
            id bigint GENERATED ALWAYS AS IDENTITY,
            digest text NOT NULL,
            place bigint NOT NULL,
            status text NOT NULL,
            owner bigint,
            thread_id text,
            run_id text,
            rerun_failed boolean NOT NULL DEFAULT false,
            paused boolean NOT NULL DEFAULT false,
            attempts integer NOT NULL DEFAULT 0,
            seconds double precision NOT NULL DEFAULT 0,
            "values" text,
            error text,
            PRIMARY KEY (ledger, key)
        )
        """,
        "CREATE INDEX langgraph_runs_entry_status ON langgraph_runs_entry (ledger, status, id)",
        "CREATE INDEX langgraph_runs_entry_owner ON langgraph_runs_entry (owner) WHERE status = 'started'",
        """
        CREATE TABLE langgraph_runs_orphaned_thread (
            ledger bigint NOT NULL REFERENCES langgraph_runs_ledger ON DELETE CASCADE,
            thread_id text NOT NULL,
            PRIMARY KEY (ledger, thread_id)
        )
        """,
    ),
)


def tables_exist(connection: Any, name: str) -> bool:
    """Return True if the tables exist in this version. Raises `LedgerError` if they are of a newer one."""
    version = _version(connection)
    if version > VERSION:
        raise LedgerError(f"the ledger {name} was made by a newer version of langgraph_runs: update it here too")
    return version == VERSION


def _version(connection: Any) -> int:
    """Return the version of the tables; 0 if there are none."""
    (exists,) = connection.execute("SELECT to_regclass('langgraph_runs_schema') IS NOT NULL").fetchone()
    return int(connection.execute("SELECT version FROM langgraph_runs_schema").fetchone()[0]) if exists else 0


def make_tables(connection: Any, name: str) -> None:
    """Make the tables, or bring them to this version. Maps that do so at the same time wait for each other."""
    if tables_exist(connection, name):
        return
    # Before the transaction begins: within one, the server may still remember that a table was not there.
    connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
    try:
        _make_missing(connection, name)
    finally:
        if not connection.closed:  # else the server has released the lock
            connection.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


def _make_missing(connection: Any, name: str) -> None:
    with connection.transaction():
        if tables_exist(connection, name):
            return
        for statements in _VERSIONS[_version(connection) :]:
            for statement in statements:
                connection.execute(statement)
        connection.execute("UPDATE langgraph_runs_schema SET version = %s", [VERSION])
