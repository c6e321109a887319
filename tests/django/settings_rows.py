"""The same project with a database, the admin, and the app that stores runs in rows. The tests in this process use it."""

from __future__ import annotations

import os
from typing import Any, Dict

from .databases import settings_of
from .settings import *  # noqa: F403

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "langgraph_runs.django",
    "langgraph_runs.django.runs",
]
#: A test that needs a database has the fixture `database`, which puts the name of a file in the place of this one. No database can
#: be opened under this name; one in memory would stay open, since Django does not close those, and later tests would use it.
_NONE = os.path.join(os.path.dirname(__file__), "the fixture database is missing", "rows.sqlite3")
DATABASES: Dict[str, Any] = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": _NONE, "OPTIONS": {"timeout": 20}}}
for _variable in ("TEST_POSTGRESQL", "TEST_MYSQL"):  # the URL of a database, by tests/servers/test_agent_runs.py
    if _variable in os.environ:
        DATABASES["default"] = settings_of(os.environ[_variable])
if "TEST_MYSQL" in os.environ:
    import pymysql

    pymysql.install_as_MySQLdb()
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
#: In the place of MIDDLEWARE where the admin is used.
ADMIN_MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
