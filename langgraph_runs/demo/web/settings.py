"""The settings of the site, made by a function, since the LangGraph server's URL is known only when it runs."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any, Dict

__all__ = ["settings_for"]

PACKAGE = __name__.rpartition(".")[0]


def settings_for(url: str, database: str) -> Dict[str, Any]:
    """Return the arguments of Django's ``settings.configure`` for a local site on the LangGraph server at *url*.

    The file *database* has the runs. Sessions are signed cookies, and the LangGraph server keeps the messages. The secret key is
    new at each start, since the threads are too.
    """
    return {
        "LANGGRAPH_RUNS": {"URL": url, "API_KEY": None},
        "SECRET_KEY": secrets.token_urlsafe(50),
        "ALLOWED_HOSTS": ["127.0.0.1", "localhost"],
        "ROOT_URLCONF": f"{PACKAGE}.urls",
        "MIDDLEWARE": [
            "django.middleware.security.SecurityMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
            f"{PACKAGE}.middleware.ContentSecurityPolicy",
            f"{PACKAGE}.middleware.ServerErrors",
        ],
        "INSTALLED_APPS": [
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "langgraph_runs.django",
            "langgraph_runs.django.runs",
        ],
        "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database, "OPTIONS": {"timeout": 20}}},
        "TEMPLATES": [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "DIRS": [str(Path(__file__).with_name("templates"))],
            }
        ],
        "SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies",
        # Cookies are shared by all ports of a host. With other names, sites on other ports of this machine keep their sessions.
        "SESSION_COOKIE_NAME": "langgraph_runs_demo_session",
        "SESSION_COOKIE_SAMESITE": "Strict",
        "CSRF_COOKIE_NAME": "langgraph_runs_demo_csrf",
        "CSRF_COOKIE_HTTPONLY": True,
        "CSRF_COOKIE_SAMESITE": "Strict",
        "DATA_UPLOAD_MAX_MEMORY_SIZE": 64 * 1024,
        "USE_TZ": True,
        "LOGGING": {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"stderr": {"class": "logging.StreamHandler"}, "null": {"class": "logging.NullHandler"}},
            "loggers": {
                "django": {"handlers": ["stderr"], "level": "ERROR", "propagate": False},
                "django.server": {"handlers": ["null"], "propagate": False},
                "django.security": {"handlers": ["null"], "propagate": False},
                "langgraph_runs": {"handlers": ["stderr"], "level": "ERROR", "propagate": False},
            },
        },
    }
