"""Columns of text that store and compare the same on every database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from django.db import models

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    _CharField = models.CharField[Any, Any]
    _TextField = models.TextField[Any, Any]
else:
    _CharField = models.CharField
    _TextField = models.TextField

__all__ = ["AnyCharField", "AnyTextField", "ExactCharField"]


class _OwnCollation:
    """A field whose column has a collation of its own on MySQL and MariaDB. That implies the character set utf8mb4.

    There, the database decides on both otherwise; databases that are some years old do not store characters such as emoji.
    """

    db_collation: Optional[str]

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        """See Django."""
        found = super().db_parameters(connection)  # type: ignore[misc]
        if connection.vendor != "mysql" or self.db_collation:
            return found
        return {**found, "collation": self._collation(connection)}

    def _collation(self, connection: Any) -> str:
        return "utf8mb4_general_ci"


class AnyCharField(_OwnCollation, _CharField):
    """A CharField for every character."""


class AnyTextField(_OwnCollation, _TextField):
    """A TextField for every character."""


class ExactCharField(_OwnCollation, _CharField):
    """A CharField for keys and ids: two values are equal only if all their characters are.

    MySQL and MariaDB compare text without case and accents otherwise, in MariaDB without trailing spaces and with all emoji
    alike. Two keys would be one. PostgreSQL and SQLite compare exactly.
    """

    def _collation(self, connection: Any) -> str:
        if connection.mysql_is_mariadb:
            return "utf8mb4_nopad_bin"
        return "utf8mb4_0900_bin" if connection.mysql_version >= (8, 0, 17) else "utf8mb4_bin"  # the last one ignores the spaces
