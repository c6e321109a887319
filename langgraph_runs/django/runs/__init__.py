"""An app for ``INSTALLED_APPS``, ``"langgraph_runs.django.runs"``: each run of the site is a row of the database, an `AgentRun`.

The package has no names of its own, since Django imports it before its models can be. Import ``AgentRun`` from
``langgraph_runs.django.runs.models``, and ``run_status_changed`` from ``langgraph_runs.django.runs.signals``.
"""

from __future__ import annotations

__all__ = ()
