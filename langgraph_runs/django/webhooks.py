"""The webhook of a run: the LangGraph server calls this view when a run has ended, and the view sends the signal `run_finished`.

The server does not sign its webhooks, so a request must carry a secret: in the URL, as `webhook_url` builds it, or in a header that
the server's configuration adds to all webhooks. It is compared in constant time, before the body is read.

The server sends a webhook up to three times, about two seconds apart, until the response is a 2xx. The signal is sent once per run:
while it is being sent, and for a day afterwards, the run is recorded in Django's cache, or in its row if the site has the app
`langgraph_runs.django.runs` and the run has one. If a receiver raises, the response is a
500, the record is deleted, and the server's next attempt calls all receivers again.

The body of a webhook does not say whether the run is paused: the Python server sends the status "success", and the values without
the question. So for a run that has not failed, the view requests from the server how it ended.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any, Dict, List, Optional, Tuple

import attrs
from django.conf import settings
from django.core.cache import caches
from django.dispatch import Signal
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.urls import reverse
from django.utils.crypto import constant_time_compare, salted_hmac
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from .. import LangGraphRunsError, NotFoundError, ResponseDecodeError, Run, RunOutcome
from ..runs import interrupts_in, reported_error
from ..serialization import decode, decode_body
from .clients import get_client
from .configurations import SettingsError, configurations, option
from .run_records import RunRecords, records_of

__all__ = ["run_finished", "webhook", "webhook_path", "webhook_url"]

_log = logging.getLogger("langgraph_runs.django")
_SALT = "langgraph_runs.django.webhook"
#: Seconds after which the record of a run whose signal is being sent expires, in case the process is killed meanwhile.
_WORKING_SECONDS = 60
#: Seconds for which the record of a run whose signal was sent is kept.
_DONE_SECONDS = 24 * 3600
#: The Retry-After of the response to a webhook whose signal is being sent, in seconds.
_RETRY_AFTER = 2
#: Seconds that it may take to request how a run ended. The Python server waits longer than this for the response to a webhook.
_REQUEST_SECONDS = 4.0
#: The statuses of a run that may be paused for a human: some servers report a paused run as a success, others as interrupted.
_MAY_BE_PAUSED = ("success", "interrupted")

#: Sent once for each run, when its webhook arrives: ``receiver(sender, run, outcome, name, **kwargs)``. *run* is the `Run`,
#: *outcome* the `RunOutcome` with its values or error, *name* the name of the configuration; the sender is `Run`. Receivers are
#: called within the server's request: hand longer work to a task queue. If a receiver raises, all are called again at the server's
#: next attempt.
run_finished = Signal()


def webhook_url(request: Optional[HttpRequest] = None, *, name: str = "default") -> str:
    """Return the URL for ``client.runs.create(..., webhook=...)``, which contains a secret token.

    The URL begins with ``WEBHOOK_BASE_URL`` of the configuration *name*, else with the scheme and host of *request*. The token is
    derived from ``WEBHOOK_SECRET``, else from ``SECRET_KEY``. Anyone who knows the URL can send webhooks; note that the server
    stores it with the run, and that access logs show it. Needs ``path("...", include("langgraph_runs.django.urls"))`` in your URLs.

    Raises `SettingsError` if there is neither a base URL nor a request.
    """
    path = webhook_path(name)
    base = option(name, "WEBHOOK_BASE_URL")
    if base is not None:
        return str(base).rstrip("/") + path
    if request is None:
        raise SettingsError("webhook_url() without a request: set WEBHOOK_BASE_URL in LANGGRAPH_RUNS, or give the request")
    return request.build_absolute_uri(path)


def webhook_path(name: str = "default") -> str:
    """Return the path of `webhook_url`, with the token, for tests and for code that knows the scheme and host itself."""
    return reverse("langgraph_runs:webhook", args=[name, _token(name, _secrets(name)[0])])


@csrf_exempt
@require_POST
def webhook(request: HttpRequest, name: str = "default", token: str = "") -> HttpResponse:
    """Receive a webhook. The response is 200 if the signal was sent, for this attempt of the server or an earlier one.

    Otherwise it is 405 for a method other than POST, 403 without the secret, 413 above ``WEBHOOK_MAX_BYTES``, 400 for a body that
    is not a run, 503 while the signal is being sent for an earlier attempt or if the server did not say whether the run is paused,
    and 500 if a receiver raised.
    """
    if not _is_allowed(request, name, token):
        return _response(403, "wrong secret")
    try:
        body = _body(request, option(name, "WEBHOOK_MAX_BYTES"))
        if body is None:
            return _response(413, "too large: see WEBHOOK_MAX_BYTES")
        run, outcome = _parse(body)
    except (ResponseDecodeError, UnreadablePostError) as error:
        _log.warning("a webhook was refused: %s", error)
        return _response(400, "the body is not a run")
    records = records_of(name, run)
    return _send_once(name, run, outcome) if records is None else _record(records, name, outcome)


# -- the secret


def _secrets(name: str) -> List[str]:
    """Return the accepted secrets. The first one is used for new URLs."""
    given = option(name, "WEBHOOK_SECRET")
    if given:
        return [given] if isinstance(given, str) else list(given)
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]


def _token(name: str, secret: str) -> str:
    return str(salted_hmac(_SALT, name, secret=secret, algorithm="sha256").hexdigest())


def _is_allowed(request: HttpRequest, name: str, token: str) -> bool:
    if name not in configurations():
        return False
    known = [constant_time_compare(token, _token(name, secret)) for secret in _secrets(name)]
    if option(name, "WEBHOOK_SECRET"):  # the header must never contain SECRET_KEY
        header = request.headers.get(option(name, "WEBHOOK_HEADER"), "")
        known += [constant_time_compare(header, secret) for secret in _secrets(name)]
    return any(known)


# -- the body


def _body(request: HttpRequest, max_bytes: int) -> Optional[bytes]:
    """Read the body; return None if it is too large. (``request.body`` has the limit of forms, DATA_UPLOAD_MAX_MEMORY_SIZE.)"""
    try:
        length = int(request.headers.get("Content-Length") or 0)
    except ValueError:
        length = 0
    if length > max_bytes:
        return None
    body: bytes = request.read(max_bytes + 1)
    return body if len(body) <= max_bytes else None


def _parse(body: bytes) -> Tuple[Run, RunOutcome]:
    data = decode_body(body)
    values, error = (data.pop("values", None), data.pop("error", None)) if isinstance(data, dict) else (None, None)
    run = decode(data, Run)
    if not run.finished:
        raise ResponseDecodeError(f"$.status: {run.status!r} is not the status of a run that has ended", problems=("$.status",))
    kind, message = reported_error(error) or (None, None)
    interrupts = interrupts_in(values)
    outcome = RunOutcome(
        status=run.status, values=values, error=kind, message=message, interrupts=interrupts, paused=bool(interrupts), run=run
    )
    return run, outcome


def _with_pause(name: str, outcome: RunOutcome) -> RunOutcome:
    """Return *outcome* with ``paused`` and ``interrupts`` as the server says. Raise if the server does not say it."""
    run = outcome.run
    if run is None or outcome.paused or outcome.error is not None or outcome.status not in _MAY_BE_PAUSED:
        return outcome
    try:
        found = get_client(name).runs.join(run.thread_id, run.run_id, raise_error=False, timeout=_REQUEST_SECONDS)
    except NotFoundError:
        return outcome  # the thread of a stateless run is deleted at its end, so that the run cannot be resumed
    if not found.paused:
        return outcome
    return attrs.evolve(outcome, status=found.status, paused=True, interrupts=found.interrupts)


# -- the signal, once per run


def _record(records: RunRecords, name: str, outcome: RunOutcome) -> HttpResponse:
    """Let the records of the run send the signal, and decide whether it was sent before."""
    try:
        outcome = _with_pause(name, outcome)
    except LangGraphRunsError as error:
        return _pause_unknown(outcome, error)
    return _response(200, "done") if records.ended(name, outcome) else _response(500, "a receiver raised")


def _pause_unknown(outcome: RunOutcome, error: LangGraphRunsError) -> HttpResponse:
    run_id = outcome.run.run_id if outcome.run is not None else None
    _log.warning("a webhook was refused: it is not known whether run %s is paused: %s", run_id, error)
    return _response(503, "the LangGraph server did not say whether the run is paused", {"Retry-After": str(_RETRY_AFTER)})


def _send_once(name: str, run: Run, outcome: RunOutcome) -> HttpResponse:
    cache = caches[option(name, "WEBHOOK_CACHE")]
    key = "langgraph_runs:webhook:" + hashlib.sha256(f"{name}\0{run.run_id}".encode("utf-8", "replace")).hexdigest()
    if not cache.add(key, "working", _WORKING_SECONDS):
        if cache.get(key) == "done":
            return _response(200, "done before")
        return _response(503, "another attempt is being processed", {"Retry-After": str(_RETRY_AFTER)})
    try:
        outcome = _with_pause(name, outcome)
    except LangGraphRunsError as error:
        cache.delete(key)
        return _pause_unknown(outcome, error)
    except BaseException:
        cache.delete(key)
        raise
    try:
        results = run_finished.send_robust(sender=Run, run=run, outcome=outcome, name=name)  # logs what the receivers raise
    except BaseException:
        cache.delete(key)
        raise
    if any(isinstance(result, Exception) for _, result in results):
        cache.delete(key)
        return _response(500, "a receiver raised")
    cache.set(key, "done", _DONE_SECONDS)
    return _response(200, "done")


def _response(status: int, text: str, headers: Optional[Dict[str, Any]] = None) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8", headers=headers)
