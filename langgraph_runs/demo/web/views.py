"""The views of the chat. A thread belongs to the session that began it: to any other it does not exist.

A message starts a run; the browser then reads that run's events, as often as it likes and from where it was, and the run does not
care whether anybody does. So a reload, a second tab and a cut connection are one and the same thing.
"""

from __future__ import annotations

import json
import secrets
import uuid
from typing import Any, Dict, List, Mapping, Optional, Sequence

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from ... import Client, CustomStreamEvent, MessagesStreamEvent, NotFoundError, Run, StreamEvent, Thread
from ...django import ThreadOwner, get_client, resume_stream, stream_response
from ...options import StreamMode

__all__ = ["again", "answer", "events", "page", "send", "state", "stop"]


def session_owner(request: HttpRequest) -> str:
    """The name of this session as an owner; only it and the LangGraph server know it."""
    owner: str = request.session.setdefault("owner", secrets.token_urlsafe(16))
    return owner


THREADS = ThreadOwner(of=session_owner)
GRAPH = "chat"
#: What the page is told of a run. ``updates`` it does not get to see: they are how a question becomes known.
MODES: Sequence[StreamMode] = ["messages-tuple", "custom", "updates"]
LONGEST_TEXT = 8000


# -- the page


@never_cache
@require_safe
def page(request: HttpRequest, thread_id: Optional[uuid.UUID] = None) -> HttpResponse:
    """The page: of a chat of this session, or of one that begins with the first message."""
    session_owner(request)
    if thread_id is not None:
        THREADS.get(request, str(thread_id))
    return render(request, "chat.html", {"thread_id": thread_id, "nonce": getattr(request, "csp_nonce", "")})


@never_cache
@require_safe
def state(request: HttpRequest, thread_id: uuid.UUID) -> HttpResponse:
    """What was said so far, the question that is open, and the run to follow: one that goes on, or whose failure is to be told."""
    # The run first: if it ends in between, its answer is in the thread that is read then.
    run = next(iter(get_client().runs.list(str(thread_id), limit=1)), None)
    thread = THREADS.get(request, str(thread_id))
    follow = run is not None and run.status not in ("success", "interrupted")
    asked = [one for found in thread.interrupts.values() for one in found if run is None or run.finished]
    return JsonResponse(
        {
            "messages": shown_messages(thread, run),
            "question": {"id": asked[0].id, "value": asked[0].value} if asked and not follow else None,
            "run_id": run.run_id if run is not None and follow else None,
        }
    )


# -- runs


@require_POST
def send(request: HttpRequest, thread_id: Optional[uuid.UUID] = None) -> HttpResponse:
    """A message: starts a run on the thread, or on a new one."""
    text = text_of(request)
    if thread_id is None:
        thread = THREADS.create(request)
    else:
        thread = THREADS.get(request, str(thread_id))
    return start(thread, input={"messages": [{"role": "user", "content": text, "id": str(uuid.uuid4())}]})


@require_POST
def answer(request: HttpRequest, thread_id: uuid.UUID) -> HttpResponse:
    """The answer to the question that the graph paused for."""
    text, question = text_of(request), body_of(request).get("question")
    thread = THREADS.get(request, str(thread_id))
    if not any(one.id == question for found in thread.interrupts.values() for one in found):
        return JsonResponse({"error": "That question is no longer open."}, status=409)
    return start(thread, command={"resume": {question: {"text": text, "id": str(uuid.uuid4())}}})


@require_POST
def again(request: HttpRequest, thread_id: uuid.UUID) -> HttpResponse:
    """Run on from where the thread is: the step that failed is tried again."""
    return start(THREADS.get(request, str(thread_id)), input=None)


def start(thread: Thread, **what: Any) -> HttpResponse:
    """One run at a time: a second one is a `ConflictError`, which the page shows."""
    run = get_client().runs.create(
        thread.thread_id, GRAPH, stream_mode=MODES, stream_resumable=True, multitask_strategy="reject", **what
    )
    return JsonResponse({"thread_id": run.thread_id, "run_id": run.run_id}, status=201)


@require_safe
def events(request: HttpRequest, thread_id: uuid.UUID, run_id: uuid.UUID) -> HttpResponseBase:
    """The run's events from where this browser was, from its start where it is new here."""
    THREADS.get(request, str(thread_id))
    stream = resume_stream(request, str(thread_id), str(run_id), stream_mode=MODES)
    # The graph's own words for a failure may hold anything; the demo's do not.
    return stream_response(stream, transform=for_the_page, on_disconnect="continue", show_errors=True)


def for_the_page(event: StreamEvent) -> Any:
    """Of the event what the page shows: pieces of text, and progress."""
    if isinstance(event, MessagesStreamEvent):
        piece = event.data[0]
        return {"id": piece["id"], "text": piece["content"]} if piece["type"] == "AIMessageChunk" else None
    return event.data if isinstance(event, CustomStreamEvent) else None


@require_POST
def stop(request: HttpRequest, thread_id: uuid.UUID, run_id: uuid.UUID) -> HttpResponse:
    """Cancel the run, and keep what was said and written so far: the step that was stopped will not."""
    thread = THREADS.get(request, str(thread_id))
    client = get_client()
    try:
        client.runs.cancel(thread.thread_id, str(run_id), wait=True)
    except NotFoundError:
        return JsonResponse({"stopped": False})  # it had ended before
    keep(client, client.runs.get(thread.thread_id, str(run_id)))
    return JsonResponse({"stopped": True})


def keep(client: Client, run: Run) -> None:
    """Put into the thread what a cancelled run did not: the human's message, and the text of the answer, marked as stopped."""
    written: Dict[str, str] = {}
    with client.runs.join_stream(
        run.thread_id, run.run_id, stream_mode="messages-tuple", last_event_id="0", raise_error=False, timeout=10
    ) as stream:
        for piece in filter(None, map(for_the_page, stream)):
            written[piece["id"]] = written.get(piece["id"], "") + piece["text"]
    kept = {message["id"] for message in messages_in(client.threads.get(run.thread_id).values)}
    stopped = {key: text for key, text in written.items() if key not in kept} or {str(uuid.uuid4()): ""}
    missing: List[Dict[str, Any]] = [
        *({"id": key, "role": "user", "content": text} for key, text in said_in(run).items() if key not in kept),
        *(
            {"id": key, "role": "assistant", "content": text, "additional_kwargs": {"stopped": True}}
            for key, text in stopped.items()
        ),
    ]
    # As that node, since nothing comes after it: the thread is ready for the next message.
    client.threads.update_state(run.thread_id, {"messages": missing}, as_node="tell")


# -- in and out


def body_of(request: HttpRequest) -> Mapping[str, Any]:
    """The request's JSON object."""
    try:
        body = json.loads(request.body)
    except ValueError:
        raise BadRequest("the body is no JSON") from None
    if not isinstance(body, dict):
        raise BadRequest("the body is no JSON object")
    return body


def text_of(request: HttpRequest) -> str:
    """What was written."""
    text = body_of(request).get("text")
    if not isinstance(text, str) or not text.strip() or len(text) > LONGEST_TEXT:
        raise BadRequest(f"text must be text, of {LONGEST_TEXT} characters at most")
    return text.strip()


def messages_in(values: Any) -> List[Dict[str, Any]]:
    """The messages of a state."""
    found = values.get("messages") if isinstance(values, dict) else None
    return found if isinstance(found, list) else []


def shown_messages(thread: Thread, run: Optional[Run]) -> List[Dict[str, Any]]:
    """The conversation as the page shows it, with what the human has just said and the run has not taken in yet."""
    shown = [
        {
            "id": message["id"],
            "role": "user" if message["type"] == "human" else "assistant",
            "text": message["content"],
            "stopped": bool(message.get("additional_kwargs", {}).get("stopped")),
        }
        for message in messages_in(thread.values)
        if message["type"] in ("human", "ai")
    ]
    known = {message["id"] for message in shown}
    said = said_in(run) if run is not None and not run.finished else {}
    return shown + [{"id": key, "role": "user", "text": text, "stopped": False} for key, text in said.items() if key not in known]


def said_in(run: Run) -> Dict[str, str]:
    """What the human said to start the run, by message id: a message, or the answer to a question."""
    resume = (run.kwargs.get("command") or {}).get("resume") or {}
    said = {message["id"]: message["content"] for message in messages_in(run.kwargs.get("input"))}
    return {**said, **{one["id"]: one["text"] for one in resume.values()}}
