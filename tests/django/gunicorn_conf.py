"""The configuration of the tests' gunicorn."""

from __future__ import annotations

import signal
from typing import Any

from langgraph_runs.django import end_streams_at


def post_worker_init(worker: Any) -> None:
    end_streams_at(signal.SIGTERM)
