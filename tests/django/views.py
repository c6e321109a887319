"""The views of the small project: such as a user would write them, but for the parameters in the query."""

from __future__ import annotations

import json
import os
import time
import urllib.parse
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from langgraph_runs.django import ThreadOwner, get_client, resume_stream, run_finished, stream_response, webhook_url
from langgraph_runs.options import StreamMode

MODES: List[StreamMode] = ["custom", "values"]
#: Whoever says who they are is believed.
owner = ThreadOwner(of=lambda request: request.headers.get("X-User"))


@csrf_exempt
def start(request: HttpRequest) -> JsonResponse:
    """Start a run that a browser will read with `events`."""
    client = get_client()
    told = json.loads(request.body)
    thread_id = client.threads.create().thread_id
    options: Dict[str, Any] = {} if "webhook" not in told else {"webhook": told["webhook"]}
    run = client.runs.create(thread_id, told["graph"], input=told["input"], stream_mode=MODES, stream_resumable=True, **options)
    return JsonResponse({"thread_id": thread_id, "run_id": run.run_id, "pid": os.getpid()})


def stream(request: HttpRequest) -> HttpResponseBase:
    """Start a run and show it to this browser."""
    client = get_client()
    given = json.loads(request.GET["input"])
    thread_id = client.threads.create().thread_id
    events = client.runs.stream(thread_id, request.GET["graph"], input=given, stream_mode=MODES)
    response = stream_response(
        events,
        heartbeat=float(request.GET.get("heartbeat", 15)),
        on_disconnect="continue" if request.GET.get("on_disconnect") == "continue" else "cancel",
    )
    response["X-Thread"], response["X-Run"] = thread_id, str(events.run_id)
    return response


def events(request: HttpRequest, thread_id: str, run_id: str) -> HttpResponseBase:
    """Show a run that was started before, from where this browser was."""
    heartbeat = float(request.GET.get("heartbeat", 15))
    return stream_response(resume_stream(request, thread_id, run_id), heartbeat=heartbeat, on_disconnect="continue")


@owner.required
def owned(request: HttpRequest, thread_id: str) -> JsonResponse:
    return JsonResponse({"thread_id": thread_id})


def pid(request: HttpRequest) -> JsonResponse:
    """Which process answers, and which client it has; holds the thread for a while."""
    time.sleep(float(request.GET.get("seconds", 0)))
    return JsonResponse({"pid": os.getpid(), "client": id(get_client()), "again": id(get_client())})


def hook_url(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"path": urllib.parse.urlsplit(webhook_url(request)).path})


# -- the webhook's other side, where TEST_HOOKS names a directory


def _noted(name: str) -> Optional[Path]:
    directory = os.environ.get("TEST_HOOKS")
    return Path(directory) / name if directory else None


def failing_at_first(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """A middleware: the site is down for the first requests to the webhook, as many as TEST_HOOK_FAILURES says."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        noted = _noted("tries")
        if noted is None or not request.path.startswith("/hooks/"):
            return get_response(request)
        with noted.open("a") as file:
            file.write("try\n")
        tries: List[str] = noted.read_text().splitlines()
        if len(tries) <= int(os.environ.get("TEST_HOOK_FAILURES", "0")):
            return HttpResponse(status=503)
        return get_response(request)

    return middleware


@receiver(run_finished)
def note_run(sender: Any, run: Any, outcome: Any, name: str, **kwargs: Any) -> None:
    noted = _noted("signals")
    if noted is not None:
        with noted.open("a") as file:
            told = {"run_id": run.run_id, "status": outcome.status, "values": outcome.values, "error": outcome.error}
            file.write(json.dumps({**told, "message": outcome.message, "paused": outcome.paused, "name": name}) + "\n")
