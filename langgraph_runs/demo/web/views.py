"""The views of the chat. A thread belongs to the session that created it; for other sessions it does not exist.

A message starts a run in the background. The browser reads the run's events with separate requests, and can do so again from any
position. So a reload, a second tab and a broken connection need no special handling.
"""

from __future__ import annotations

import json
import secrets
import uuid
from typing import Any, Dict, Final, List, Mapping, Optional

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from ... import Client, CustomStreamEvent, LangGraphRunsError, MessagesStreamEvent, NotFoundError, Run, StreamEvent, Thread
from ...django import ThreadOwner, get_client, resume_stream, stream_response
from ...django.runs.models import AgentRun
from .markdown import html_of

__all__ = ["again", "answer", "chats", "events", "page", "send", "state", "stop"]


def session_owner(request: HttpRequest) -> str:
    """Return the owner for this session: a random text in its cookie, created if there is none."""
    owner: str = request.session.setdefault("owner", secrets.token_urlsafe(16))
    return owner


THREADS = ThreadOwner(of=session_owner)
GRAPH = "chat"
#: The stream modes of a run. ``updates`` are not sent to the browser, but make the stream notice a question of the graph.
MODES: Final = ("messages-tuple", "custom", "updates")
MAX_TEXT_LENGTH = 8000
MAX_TITLE_LENGTH = 80


# -- the page


@never_cache
@require_safe
def page(request: HttpRequest, thread_id: Optional[uuid.UUID] = None) -> HttpResponse:
    """Return the page of a chat of this session, or of a new chat."""
    session_owner(request)
    if thread_id is not None:
        THREADS.get(request, str(thread_id))
    return render(request, "chat.html", {"thread_id": thread_id, "nonce": getattr(request, "csp_nonce", "")})


@never_cache
@require_safe
def state(request: HttpRequest, thread_id: uuid.UUID) -> HttpResponse:
    """Return the messages so far, the open question, and the run to follow: one that is unfinished, or that has failed."""
    # The run is read first: if it ends in between, the thread, which is read afterwards, contains its messages.
    run = next(iter(get_client().runs.list(str(thread_id), limit=1)), None)
    thread = THREADS.get(request, str(thread_id))
    follow = run is not None and run.status not in ("success", "interrupted")
    questions = [one for found in thread.interrupts.values() for one in found if run is None or run.finished]
    return JsonResponse(
        {
            "messages": shown_messages(thread, run),
            "question": {"id": questions[0].id, "value": questions[0].value} if questions and not follow else None,
            "run_id": run.run_id if run is not None and follow else None,
        }
    )


#: Runs of a session that the list of its chats is made of, and how many of them may be requested from the server for it.
MOST_RUNS, MOST_REQUESTED = 200, 5


@never_cache
@require_safe
def chats(request: HttpRequest) -> HttpResponse:
    """Return the chats of this session, newest first: the first message of each, and the status of its last run."""
    rows = list(AgentRun.objects.filter(options__metadata__chat_owner=session_owner(request))[:MOST_RUNS])
    for row in [row for row in rows if row.status == AgentRun.Status.STARTED][:MOST_REQUESTED]:
        row.refresh()  # no browser has read the end of its stream
    found: Dict[str, Dict[str, str]] = {}
    for row in rows:
        chat = found.setdefault(row.thread_id, {"thread_id": row.thread_id, "status": row.status_label, "title": ""})
        chat["title"] = row.options["metadata"]["chat_title"] or chat["title"]
    return JsonResponse({"chats": list(found.values())})


# -- runs


@require_POST
def send(request: HttpRequest, thread_id: Optional[uuid.UUID] = None) -> HttpResponse:
    """Start a run with the user's message, on the thread or on a new one."""
    text = text_of(request)
    if thread_id is None:
        thread = THREADS.create(request)
    else:
        thread = THREADS.get(request, str(thread_id))
    return start(request, thread, text, input={"messages": [{"role": "user", "content": text, "id": str(uuid.uuid4())}]})


@require_POST
def answer(request: HttpRequest, thread_id: uuid.UUID) -> HttpResponse:
    """Resume the run with the user's answer to the graph's question."""
    text, question = text_of(request), body_of(request).get("question")
    thread = THREADS.get(request, str(thread_id))
    if not any(one.id == question for found in thread.interrupts.values() for one in found):
        return JsonResponse({"error": "That question is no longer open."}, status=409)
    return start(request, thread, text, command={"resume": {question: {"text": text, "id": str(uuid.uuid4())}}})


@require_POST
def again(request: HttpRequest, thread_id: uuid.UUID) -> HttpResponse:
    """Run the step that failed again: a run without input continues the thread."""
    return start(request, THREADS.get(request, str(thread_id)), "", input=None)


def start(request: HttpRequest, thread: Thread, title: str, **what: Any) -> HttpResponse:
    """Start a run, as a row. If the thread has an unfinished run, `ConflictError` is raised, which the page shows."""
    row = AgentRun.objects.start(
        GRAPH,
        thread_id=thread.thread_id,
        stream_mode=list(MODES),
        multitask_strategy="reject",
        metadata={"chat_owner": session_owner(request), "chat_title": title[:MAX_TITLE_LENGTH]},
        post=False,
        **what,
    )
    try:
        row.post()
    except LangGraphRunsError:
        row.delete()  # the user sees the error, and sends the message again
        raise
    return JsonResponse({"thread_id": row.thread_id, "run_id": row.run_id}, status=201)


@require_safe
def events(request: HttpRequest, thread_id: uuid.UUID, run_id: uuid.UUID) -> HttpResponseBase:
    """Stream the run's events after the last one that this browser received, or all of them."""
    THREADS.get(request, str(thread_id))
    stream = resume_stream(request, str(thread_id), str(run_id), stream_mode=MODES)
    # The message of a graph's exception may contain secrets; that of the demo's graph does not.
    return stream_response(stream, transform=for_the_page, on_disconnect="continue", show_errors=True)


def for_the_page(event: StreamEvent) -> Any:
    """Return the part of an event that the page shows: a piece of text, or progress; None for other events."""
    if isinstance(event, MessagesStreamEvent):
        piece = event.data[0]
        return {"id": piece["id"], "text": piece["content"]} if piece["type"] == "AIMessageChunk" else None
    return event.data if isinstance(event, CustomStreamEvent) else None


@require_POST
def stop(request: HttpRequest, thread_id: uuid.UUID, run_id: uuid.UUID) -> HttpResponse:
    """Cancel the run, and save the messages so far, which a cancelled step does not do."""
    thread = THREADS.get(request, str(thread_id))
    client = get_client()
    try:
        client.runs.cancel(thread.thread_id, str(run_id), wait=True)
    except NotFoundError:
        return JsonResponse({"stopped": False})  # the run has ended
    save_messages(client, client.runs.get(thread.thread_id, str(run_id)))
    return JsonResponse({"stopped": True})


def save_messages(client: Client, run: Run) -> None:
    """Add the messages of a cancelled run to the thread: the user's message, and the text so far, marked as stopped."""
    written: Dict[str, str] = {}
    with client.runs.join_stream(
        run.thread_id,
        run.run_id,
        stream_mode="messages-tuple",
        last_event_id="0",
        raise_error=False,
        on_gap="mark",  # a run that was stopped before it began has no events
        timeout=10,
    ) as stream:
        for piece in filter(None, map(for_the_page, stream)):
            written[piece["id"]] = written.get(piece["id"], "") + piece["text"]
    kept = {message["id"] for message in messages_in(client.threads.get(run.thread_id).values)}
    stopped = {key: text for key, text in written.items() if key not in kept} or {str(uuid.uuid4()): ""}
    missing: List[Dict[str, Any]] = [
        *({"id": key, "role": "user", "content": text} for key, text in user_messages_of(run).items() if key not in kept),
        *(
            {"id": key, "role": "assistant", "content": text, "additional_kwargs": {"stopped": True}}
            for key, text in stopped.items()
        ),
    ]
    # As the node "reply", which no node follows: so the thread is ready for the next message.
    client.threads.update_state(run.thread_id, {"messages": missing}, as_node="reply")


# -- requests and messages


def body_of(request: HttpRequest) -> Mapping[str, Any]:
    """Return the JSON object in the request's body."""
    try:
        body = json.loads(request.body)
    except ValueError:
        raise BadRequest("the body is not JSON") from None
    if not isinstance(body, dict):
        raise BadRequest("the body is not a JSON object")
    return body


def text_of(request: HttpRequest) -> str:
    """Return the text that the user wrote."""
    text = body_of(request).get("text")
    if not isinstance(text, str) or not text.strip() or len(text) > MAX_TEXT_LENGTH:
        raise BadRequest(f"text must be a string of at most {MAX_TEXT_LENGTH} characters")
    return text.strip()


def messages_in(values: Any) -> List[Dict[str, Any]]:
    """Return the messages of a state."""
    found = values.get("messages") if isinstance(values, dict) else None
    return found if isinstance(found, list) else []


def shown_messages(thread: Thread, run: Optional[Run]) -> List[Dict[str, Any]]:
    """Return the messages as the page shows them, with the user's last message, which an unfinished run may not have saved yet."""
    shown = [
        {
            "id": message["id"],
            "role": "user" if message["type"] == "human" else "assistant",
            "text": message["content"],
            "html": html_of(message["content"]) if message["type"] == "ai" else None,
            "stopped": bool(message.get("additional_kwargs", {}).get("stopped")),
        }
        for message in messages_in(thread.values)
        if message["type"] in ("human", "ai")
    ]
    known = {message["id"] for message in shown}
    sent = user_messages_of(run) if run is not None and not run.finished else {}
    return shown + [
        {"id": key, "role": "user", "text": text, "html": None, "stopped": False} for key, text in sent.items() if key not in known
    ]


def user_messages_of(run: Run) -> Dict[str, str]:
    """Return the messages with which the user started the run, by id: a message, or the answer to a question."""
    resume = (run.kwargs.get("command") or {}).get("resume") or {}
    sent = {message["id"]: message["content"] for message in messages_in(run.kwargs.get("input"))}
    return {**sent, **{one["id"]: one["text"] for one in resume.values()}}
