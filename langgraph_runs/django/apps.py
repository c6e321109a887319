"""The app: ``"langgraph_runs.django"`` in ``INSTALLED_APPS``. It has no models; it checks the settings at start-up."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import Tags, register

from .checks import check_deployment, check_settings

__all__ = ["LangGraphRunsConfig"]


class LangGraphRunsConfig(AppConfig):
    """Found by Django; its label is ``langgraph_runs``."""

    name = "langgraph_runs.django"
    label = "langgraph_runs"
    verbose_name = "LangGraph runs"

    def ready(self) -> None:
        """Have ``manage.py check``, and every other command, look at ``LANGGRAPH_RUNS``."""
        register(check_settings)
        register(check_deployment, Tags.security, deploy=True)
