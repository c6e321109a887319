"""The URL of a ledger in PostgreSQL: read and checked without a connection, and shown without its password."""

from __future__ import annotations

import re
from typing import Any, Dict, Tuple
from urllib.parse import unquote

import attrs

from ....errors import InvalidRequestError, LedgerError

__all__ = ["PostgresqlUrl", "load_psycopg"]

_FORM = "postgresql://user@host:5432/database?ledger=name"
_DEFAULT_NAME = "default"
#: The parameters of a connection that are shown. All others may be secret.
_SHOWN = ("host", "port", "dbname", "user")


def load_psycopg() -> Any:
    """Return the module psycopg. Raises `LedgerError` if it is not installed."""
    try:
        import psycopg
    except ImportError as error:
        raise LedgerError(f'a ledger in PostgreSQL needs psycopg: pip install "langgraph_runs[postgres]" ({error})') from None
    return psycopg


@attrs.frozen(repr=False)
class PostgresqlUrl:
    """Where a ledger in PostgreSQL is: the parameters of the connection, and the name of the ledger in that database.

    As text, ``postgresql://jobs:secret@db.example/work?sslmode=require&ledger=nightly`` is
    ``postgresql://jobs@db.example/work?ledger=nightly``.
    """

    parameters: Dict[str, str]
    name: str

    @classmethod
    def parse(cls, url: str) -> PostgresqlUrl:
        """Return the parts of *url*. Raises `InvalidRequestError`, which does not contain the URL, if it is not one."""
        psycopg = load_psycopg()
        rest, name = _without_name(url)
        try:
            parameters: Dict[str, Any] = psycopg.conninfo.conninfo_to_dict(rest)
        except psycopg.Error:
            # The text of libpq quotes parts of the URL, perhaps of the password.
            raise InvalidRequestError(
                f"ledger=...: not a URL of PostgreSQL; write {_FORM}; percent-encode characters such as '@' or '%' of a password"
            ) from None
        return cls({key: str(value) for key, value in parameters.items() if value is not None}, name)

    @property
    def secrets(self) -> Tuple[str, ...]:
        """Return the values that must not be shown."""
        return tuple(value for key, value in self.parameters.items() if "password" in key and value)

    def __str__(self) -> str:
        host, port, dbname, user = (self.parameters.get(name, "") for name in _SHOWN)
        where = f"{host}:{port}" if port and "," not in host else host
        return f"postgresql://{user}{'@' if user else ''}{where}/{dbname}?ledger={self.name}"

    def __repr__(self) -> str:
        return str(self)


def _without_name(url: str) -> Tuple[str, str]:
    """Return *url* without the parameter ``ledger``, which libpq does not know, and the value of that parameter."""
    rest, _, query = url.partition("?")
    names = [part[len("ledger=") :] for part in query.split("&") if part.startswith("ledger=")]
    others = [part for part in query.split("&") if part and not part.startswith("ledger=")]
    name = unquote(names[-1]) if names else _DEFAULT_NAME
    if len(names) > 1 or not re.fullmatch(r"[\w.:@+-]{1,200}", name):
        raise InvalidRequestError(f"ledger=...: the name of a ledger has 1 to 200 letters, digits and '.:@+-_'; write {_FORM}")
    return rest + ("?" + "&".join(others) if others else ""), name
