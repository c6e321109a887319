"""The app's configuration: ``"langgraph_runs.django.runs"`` in ``INSTALLED_APPS``."""

from __future__ import annotations

from django.apps import AppConfig

from ..run_records import register_records

__all__ = ["AgentRunsConfig"]


class AgentRunsConfig(AppConfig):
    """The app's configuration. Its label, with which its tables and permissions begin, is ``langgraph_agent_runs``."""

    name = "langgraph_runs.django.runs"
    label = "langgraph_agent_runs"
    verbose_name = "LangGraph"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Let the webhook and the streams of `langgraph_runs.django` update the rows."""
        from .recording import RowRecords

        register_records(RowRecords())
