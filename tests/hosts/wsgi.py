"""What web servers serve: each request makes calls in the process that handles it. The clients are made when it is imported."""

from __future__ import annotations

import json
import os
from typing import Any, Callable, Dict, Iterable
from urllib.parse import parse_qs

from .probes import from_environment

PROBE = from_environment()


def application(environ: Dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """``/all`` makes all calls; ``/ids?n=3`` starts runs and returns their request ids; ``/pid`` says which process this is."""
    path = environ["PATH_INFO"].strip("/")
    result: Any = os.getpid()
    if path == "all":
        result = PROBE.run_all()
    elif path == "ids":
        count = int(parse_qs(environ["QUERY_STRING"])["n"][0])
        threads = [PROBE.client.threads.create().thread_id for _ in range(count)]
        result = [PROBE.client.runs.create(thread_id, "agent").request_id for thread_id in threads]
    body = json.dumps({"pid": os.getpid(), "result": result}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
