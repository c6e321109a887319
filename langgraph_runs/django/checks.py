"""System checks: what is wrong with ``LANGGRAPH_RUNS``, said when the site starts and not when the first user comes."""

from __future__ import annotations

from typing import Any, List, Optional, Sequence

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error

from .configurations import problems

__all__ = ["check_settings"]


def check_settings(app_configs: Optional[Sequence[AppConfig]], **kwargs: Any) -> List[CheckMessage]:
    """One error for each setting that cannot be meant, with its place in ``LANGGRAPH_RUNS`` and the remedy."""
    return [Error(f"{found.setting}: {found.told}", hint=found.remedy or None, id=found.code) for found in problems()]
