"""System checks: report errors in ``LANGGRAPH_RUNS`` when the site starts, not at the first request."""

from __future__ import annotations

import ipaddress
import urllib.parse
from typing import Any, List, Optional, Sequence

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.urls import NoReverseMatch

from .configurations import SETTING, WEBHOOK_OPTIONS, SettingsError, configurations, option, problems
from .webhooks import webhook_path

__all__ = ["check_deployment", "check_settings"]

#: Caches that are not shared between processes.
_LOCAL_CACHES = ("django.core.cache.backends.locmem.LocMemCache", "django.core.cache.backends.dummy.DummyCache")


def check_settings(app_configs: Optional[Sequence[AppConfig]], **kwargs: Any) -> List[CheckMessage]:
    """Return an error for each invalid setting, with its place in ``LANGGRAPH_RUNS`` and a remedy."""
    return [Error(f"{found.setting}: {found.message}", hint=found.remedy or None, id=found.code) for found in problems()]


def check_deployment(app_configs: Optional[Sequence[AppConfig]], **kwargs: Any) -> List[CheckMessage]:
    """Return warnings for settings that work in development but not in production; run by ``manage.py check --deploy``."""
    if problems():
        return []
    found: List[CheckMessage] = []
    for name, given in configurations().items():
        cache = option(name, "WEBHOOK_CACHE")
        if settings.CACHES[cache]["BACKEND"] in _LOCAL_CACHES and (
            _receives_webhooks() or any(key in given for key in WEBHOOK_OPTIONS)
        ):
            message = (
                f"{SETTING}: repeated webhooks of {name!r} are detected with the cache {cache!r}, which processes do not share"
            )
            hint = "Name a cache that all processes share in WEBHOOK_CACHE, or run_finished may be sent twice for a run."
            found.append(Warning(message, hint=hint, id="langgraph_runs.W001"))
        if given.get("API_KEY") and _is_remote_http(str(given.get("URL") or "")):
            message = f"{SETTING}: the API key of {name!r} is sent over plain http"
            found.append(Warning(message, hint="Use an https URL.", id="langgraph_runs.W002"))
    return found


def _receives_webhooks() -> bool:
    """Return True if the view of the webhook is among the URLs of the site."""
    try:
        webhook_path()
    except (NoReverseMatch, SettingsError):
        return False
    return True


def _is_remote_http(url: str) -> bool:
    """Return True if the URL is http and its host is not this machine."""
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or "localhost"
    try:
        is_local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_local = host == "localhost"
    return parts.scheme == "http" and not is_local
