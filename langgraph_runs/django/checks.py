"""System checks: what is wrong with ``LANGGRAPH_RUNS``, said when the site starts and not when the first user comes."""

from __future__ import annotations

import ipaddress
import urllib.parse
from typing import Any, List, Optional, Sequence

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from .configurations import SETTING, WEBHOOK_OPTIONS, configurations, option, problems

__all__ = ["check_deployment", "check_settings"]

#: Caches that know nothing of other processes.
_LOCAL_CACHES = ("django.core.cache.backends.locmem.LocMemCache", "django.core.cache.backends.dummy.DummyCache")


def check_settings(app_configs: Optional[Sequence[AppConfig]], **kwargs: Any) -> List[CheckMessage]:
    """One error for each setting that cannot be meant, with its place in ``LANGGRAPH_RUNS`` and the remedy."""
    return [Error(f"{found.setting}: {found.told}", hint=found.remedy or None, id=found.code) for found in problems()]


def check_deployment(app_configs: Optional[Sequence[AppConfig]], **kwargs: Any) -> List[CheckMessage]:
    """With ``manage.py check --deploy``: what works for one developer and is no good for a site."""
    if problems():
        return []
    found: List[CheckMessage] = []
    for name, given in configurations().items():
        cache = option(name, "WEBHOOK_CACHE")
        if settings.CACHES[cache]["BACKEND"] in _LOCAL_CACHES and any(key in given for key in WEBHOOK_OPTIONS):
            told = f"{SETTING}: webhooks of {name!r} are told apart in the cache {cache!r}, which each process has for itself"
            hint = "Name a cache that all processes share in WEBHOOK_CACHE, or run_finished may be sent twice for a run."
            found.append(Warning(told, hint=hint, id="langgraph_runs.W001"))
        if given.get("API_KEY") and _is_open(str(given.get("URL") or "")):
            told = f"{SETTING}: the API key of {name!r} is sent over plain http"
            found.append(Warning(told, hint="Use an https URL.", id="langgraph_runs.W002"))
    return found


def _is_open(url: str) -> bool:
    """Whether a URL is http, and leads away from this machine."""
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or "localhost"
    try:
        here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = host == "localhost"
    return parts.scheme == "http" and not here
