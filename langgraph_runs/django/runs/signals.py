"""The signals of the app."""

from __future__ import annotations

from django.dispatch import Signal

from ..webhooks import run_finished

__all__ = ["run_finished", "run_status_changed"]

#: Sent when a row's status has changed, after the commit: ``receiver(sender, row, old, new, **kwargs)``. The sender is `AgentRun`,
#: *old* and *new* are statuses; *old* is "" for a new row. What a receiver raises is logged. A process that is killed between the
#: commit and the signal does not send it: what must happen for each run belongs into a receiver of `run_finished`.
run_status_changed = Signal()
