"""The app for ``INSTALLED_APPS``: ``"langgraph_runs.django"``. It has no models; it registers the system checks."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import Tags, register

from .checks import check_deployment, check_settings

__all__ = ["LangGraphRunsConfig"]


class LangGraphRunsConfig(AppConfig):
    """The app's configuration. Its label is ``langgraph_runs``."""

    name = "langgraph_runs.django"
    label = "langgraph_runs"
    verbose_name = "LangGraph runs"

    def ready(self) -> None:
        """Register the checks of ``LANGGRAPH_RUNS``, which ``manage.py check`` and most other commands run."""
        register(check_settings)
        register(check_deployment, Tags.security, deploy=True)
