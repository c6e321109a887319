"""A column of text in which two values are equal only if all their characters are, on every database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from django.db import models

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    _CharField = models.CharField[Any, Any]
else:
    _CharField = models.CharField

__all__ = ["ExactCharField"]


class ExactCharField(_CharField):
    """A CharField for keys and ids.

    MySQL and MariaDB compare text as the collation of the database says: by default without case and accents, in MariaDB without
    trailing spaces and with all emoji alike. Two keys would be one. PostgreSQL and SQLite compare exactly.
    """

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        """See Django."""
        return {**super().db_parameters(connection), "collation": self.db_collation or _exact_collation(connection)}


def _exact_collation(connection: Any) -> Optional[str]:
    """Return the collation that compares all characters and does not pad with spaces; None where the default one does so."""
    if connection.vendor != "mysql":
        return None
    if connection.mysql_is_mariadb:
        return "utf8mb4_nopad_bin"
    return "utf8mb4_0900_bin" if connection.mysql_version >= (8, 0, 17) else "utf8mb4_bin"  # the last one pads
