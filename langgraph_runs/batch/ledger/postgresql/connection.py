"""Opens connections to PostgreSQL, and restates the errors of psycopg as `LedgerError`, without passwords.

The only importer of psycopg, with `url`.
"""

from __future__ import annotations

import contextlib
from typing import Any, Dict, Iterator

from ....errors import LedgerError, LedgerUnavailableError
from .url import PostgresqlUrl, load_psycopg

__all__ = ["connect", "converted_errors", "error_of", "is_transient", "needs_new_session"]

#: Parameters of libpq that apply unless the URL sets them. With these the client notices within about ten seconds that the database
#: cannot be reached, sooner than the server notices the same of the client (see `_SETTINGS`).
_PARAMETERS = {
    "connect_timeout": "5",
    "client_encoding": "UTF8",
    "keepalives": "1",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "target_session_attrs": "read-write",
}
#: Settings of the session, where the server knows them. The server drops the connection of a machine that has not responded for
#: half a minute, and releases its locks. Other settings of the server must not end a connection that is idle.
_SETTINGS = {
    "tcp_keepalives_idle": "15",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "30000",
    "idle_session_timeout": "0",
    "statement_timeout": "0",
    "lock_timeout": "30000",
    "default_transaction_isolation": "read committed",
    "jit": "off",
}
_SET = """
    SELECT set_config(given.name, given.value, false)
    FROM unnest(%s::text[], %s::text[]) AS given (name, value) JOIN pg_settings USING (name)
"""
#: Classes of SQLSTATE after which the same statement may succeed a little later: connection exception, transaction rollback (a
#: deadlock), insufficient resources, operator intervention (shutdown).
_TRANSIENT = ("08", "40", "53", "57")
#: The server has become read-only, since another one takes over.
_READ_ONLY = "25006"
#: Of single states: a lock was not available in time.
_TRANSIENT_STATES = frozenset({"55P03", _READ_ONLY})
#: The states after which only a new session is of use: connection exception, and operator intervention that ends sessions.
_SESSION_ENDED = ("08", "57P", _READ_ONLY)
#: Connections that are opened to find out whether a pooler shares sessions.
_POOLER_CHECKS = 3


def connect(url: PostgresqlUrl, application: str) -> Any:
    """Return a new connection, in which each statement is a transaction of its own. Raises errors of psycopg and `LedgerError`."""
    psycopg = load_psycopg()
    parameters = {**_PARAMETERS, "application_name": application, **url.parameters}
    connection = psycopg.connect(autocommit=True, **parameters)
    try:
        _refuse_shared_sessions(connection, url, parameters)
        connection.execute(_SET, [list(_SETTINGS), list(_SETTINGS.values())])
        # A commit that was reported is durable, also if the server's default says otherwise.
        connection.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
        (encoding,) = connection.execute("SHOW server_encoding").fetchone()
        if encoding != "UTF8":
            raise LedgerError(f"the ledger {url}: the database has the encoding {encoding}; use one with UTF8")
    except BaseException:
        with contextlib.suppress(psycopg.Error):
            connection.close()
        raise
    return connection


def _refuse_shared_sessions(connection: Any, url: PostgresqlUrl, parameters: Dict[str, Any]) -> None:
    """Raise `LedgerError` if a pooler is in between that gives each transaction another session: its locks would belong to nothing.

    A pooler is recognised by the number of the session, which is not the one that the client was given. It shares sessions if
    transactions of a second connection run in the session of the first.
    """
    psycopg = load_psycopg()
    if session_of(connection) == connection.info.backend_pid:
        return
    with contextlib.ExitStack() as stack:
        mine = session_of(connection)
        for _ in range(_POOLER_CHECKS):
            other = stack.enter_context(contextlib.closing(psycopg.connect(**parameters)))  # begins a transaction
            if session_of(other) == mine or session_of(connection) != mine:
                raise LedgerError(
                    f"the ledger {url}: the pooler in front of the database gives each transaction another session;"
                    " connect to the database itself, or to a pooler in session mode"
                )


def session_of(connection: Any) -> int:
    """Return the number of the server's session."""
    return int(connection.execute("SELECT pg_backend_pid()").fetchone()[0])


def is_transient(error: Any) -> bool:
    """Return True if the same statement may succeed a little later, on this or on a new connection."""
    state = getattr(error, "sqlstate", None)
    psycopg = load_psycopg()
    if state is None:  # the connection failed; libpq has only a text
        return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
    return state.startswith(_TRANSIENT) or state in _TRANSIENT_STATES


def needs_new_session(error: Any) -> bool:
    """Return True if the session has ended, or if its server has become read-only."""
    return error.sqlstate is None or error.sqlstate.startswith(_SESSION_ENDED)


def error_of(error: BaseException, url: PostgresqlUrl) -> LedgerError:
    """Return *error* as a `LedgerError`. The cause is None if its text contains a password."""
    text = " ".join(str(error).split()) or type(error).__name__
    shown = text
    for secret in url.secrets:
        shown = shown.replace(secret, "...")
    converted = (LedgerUnavailableError if is_transient(error) else LedgerError)(f"the ledger {url}: {shown}")
    if shown == text:
        converted.__cause__ = error
    converted.__suppress_context__ = True
    return converted


@contextlib.contextmanager
def converted_errors(url: PostgresqlUrl) -> Iterator[None]:
    """Restate the errors of psycopg that the block raises."""
    psycopg = load_psycopg()
    try:
        yield
    except psycopg.Error as error:
        converted = error_of(error, url)
        raise converted from converted.__cause__
