"""Django integration: clients from settings, runs streamed to a browser, the server's webhook, and threads with an owner.

Everything here works under WSGI and needs no asyncio. Add ``"langgraph_runs.django"`` to ``INSTALLED_APPS`` for the system checks;
the rest works without it.
"""

from __future__ import annotations

from .._public import name_public
from .clients import get_client
from .configurations import SettingsError
from .owners import ThreadOwner
from .responses import browser_event, stream_response
from .resume import ResumedStream, last_event_id, resume_stream
from .stream_reader import end_streams_at
from .webhooks import run_finished, webhook, webhook_path, webhook_url

__all__ = [
    "ResumedStream",
    "SettingsError",
    "ThreadOwner",
    "browser_event",
    "end_streams_at",
    "get_client",
    "last_event_id",
    "resume_stream",
    "run_finished",
    "stream_response",
    "webhook",
    "webhook_path",
    "webhook_url",
]

name_public(__name__, [ResumedStream, SettingsError, ThreadOwner])
