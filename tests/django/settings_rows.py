"""The same project with a database, the admin, and the app that stores runs in rows. The tests in this process use it."""

from __future__ import annotations

import os
import urllib.parse
from typing import Any, Dict

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
if "TEST_POSTGRESQL" in os.environ:  # the URL of a database, by tests/servers/test_agent_runs.py
    _url = urllib.parse.urlsplit(os.environ["TEST_POSTGRESQL"])
    DATABASES["default"] = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _url.path.strip("/"),
        "USER": _url.username,
        "PASSWORD": _url.password,
        "HOST": _url.hostname,
        "PORT": _url.port,
    }
if "TEST_MYSQL" in os.environ:  # likewise; its query has the OPTIONS
    import pymysql

    pymysql.install_as_MySQLdb()  # Django knows mysqlclient only, which pip has to compile
    _url = urllib.parse.urlsplit(os.environ["TEST_MYSQL"])
    DATABASES["default"] = {
        "ENGINE": "django.db.backends.mysql",
        "NAME": _url.path.strip("/"),
        "USER": _url.username,
        "HOST": _url.hostname,
        "PORT": _url.port,
        "OPTIONS": dict(urllib.parse.parse_qsl(_url.query)),
    }
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
