"""The settings of a database by its URL, such as those of the servers that tests start."""

from __future__ import annotations

import urllib.parse
from typing import Any, Dict


def settings_of(url: str) -> Dict[str, Any]:
    """What DATABASES has for the database. The query of the URL has the OPTIONS.

    Django knows mysqlclient only, which pip has to compile; who uses this for MySQL calls ``pymysql.install_as_MySQLdb()``.
    """
    parts = urllib.parse.urlsplit(url)
    return {
        "ENGINE": f"django.db.backends.{parts.scheme}",
        "NAME": parts.path.strip("/"),
        "USER": parts.username,
        "PASSWORD": parts.password or "",
        "HOST": parts.hostname,
        "PORT": parts.port,
        "OPTIONS": dict(urllib.parse.parse_qsl(parts.query)),
    }
