"""The webhook of a run: the server calls this view when a run has ended, and the view sends the signal `run_finished`.

The server does not sign what it sends. So it must know a secret: in the URL, as `webhook_url` builds it, or in a header that the
server's own configuration adds to all webhooks. Either is compared in constant time, before the body is read.

The server tries three times, about two seconds apart, until it gets a 2xx. So the signal is sent once per run: a run is noted in
Django's cache while its signal is sent and when that is done. If a receiver raises, the answer is a 500, the run is forgotten,
and the next try calls all receivers again.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any, Dict, List, Optional, Tuple

from django.conf import settings
from django.core.cache import caches
from django.dispatch import Signal
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.urls import reverse
from django.utils.crypto import constant_time_compare, salted_hmac
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from .. import ResponseDecodeError, Run, RunOutcome
from ..runs import interrupts_in, reported_error
from ..serialization import decode, decode_body
from .configurations import SettingsError, configurations, option

__all__ = ["run_finished", "webhook", "webhook_url"]

_log = logging.getLogger("langgraph_runs.django")
_SALT = "langgraph_runs.django.webhook"
#: Seconds that a run counts as being worked on, should the process that does so be killed.
_LEASE = 60
#: Seconds for which a run that is done is remembered.
_REMEMBERED = 24 * 3600
#: Seconds after which a second try of the same webhook may come back.
_AGAIN = 2

#: Sent once for each run whose webhook came: ``receiver(sender, run, outcome, name, **kwargs)``. *run* is the `Run`, *outcome* the
#: `RunOutcome` with its values or error, *name* that of the configuration; the sender is `Run`. Called within the server's
#: request: hand longer work to a task queue. A receiver that raises is called again at the server's next try.
run_finished = Signal()


def webhook_url(request: Optional[HttpRequest] = None, *, name: str = "default") -> str:
    """The URL for ``client.runs.create(..., webhook=...)``, with a token in it that nobody can guess.

    It begins with ``WEBHOOK_BASE_URL`` of the configuration, else as *request* was called. The token is derived from
    ``WEBHOOK_SECRET``, else from ``SECRET_KEY``. Whoever knows the URL can send webhooks: the server keeps it with the run, and
    access logs show it. Needs ``path("...", include("langgraph_runs.django.urls"))`` in your URLs. Raises `SettingsError` where
    there is neither a base URL nor a request.
    """
    path = reverse("langgraph_runs:webhook", args=[name, _token(name, _secrets(name)[0])])
    base = option(name, "WEBHOOK_BASE_URL")
    if base is not None:
        return str(base).rstrip("/") + path
    if request is None:
        raise SettingsError("webhook_url() without a request: set WEBHOOK_BASE_URL in LANGGRAPH_RUNS, or give the request")
    return request.build_absolute_uri(path)


@csrf_exempt
@require_POST
def webhook(request: HttpRequest, name: str = "default", token: str = "") -> HttpResponse:
    """The view. Answers 200 when the signal was sent, for this try or an earlier one.

    Otherwise: 405 for anything but POST, 403 without the secret, 413 above ``WEBHOOK_MAX_BYTES``, 400 for a body that is no run,
    503 while another try is being worked on, 500 when a receiver raised.
    """
    if not _is_allowed(request, name, token):
        return _answer(403, "wrong secret")
    try:
        body = _body(request, option(name, "WEBHOOK_MAX_BYTES"))
        if body is None:
            return _answer(413, "too large: see WEBHOOK_MAX_BYTES")
        run, outcome = _read(body)
    except (ResponseDecodeError, UnreadablePostError) as error:
        _log.warning("a webhook was refused: %s", error)
        return _answer(400, "this is no run")
    return _once(name, run, outcome)


# -- the secret


def _secrets(name: str) -> List[str]:
    """Those that are taken, the one in use first."""
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
    if option(name, "WEBHOOK_SECRET"):  # never SECRET_KEY itself
        header = request.headers.get(option(name, "WEBHOOK_HEADER"), "")
        known += [constant_time_compare(header, secret) for secret in _secrets(name)]
    return any(known)


# -- the body


def _body(request: HttpRequest, most: int) -> Optional[bytes]:
    """The whole body, or None for one that is too large. Not ``request.body``, whose limit is that of forms."""
    try:
        told = int(request.headers.get("Content-Length") or 0)
    except ValueError:
        told = 0
    if told > most:
        return None
    body: bytes = request.read(most + 1)
    return body if len(body) <= most else None


def _read(body: bytes) -> Tuple[Run, RunOutcome]:
    data = decode_body(body)
    values, error = (data.pop("values", None), data.pop("error", None)) if isinstance(data, dict) else (None, None)
    run = decode(data, Run)
    kind, message = reported_error(error) or (None, None)
    asked = interrupts_in(values)
    outcome = RunOutcome(
        status=run.status, values=values, error=kind, message=message, interrupts=asked, paused=bool(asked), run=run
    )
    return run, outcome


# -- once


def _once(name: str, run: Run, outcome: RunOutcome) -> HttpResponse:
    cache = caches[option(name, "WEBHOOK_CACHE")]
    key = "langgraph_runs:webhook:" + hashlib.sha256(f"{name}\0{run.run_id}".encode("utf-8", "replace")).hexdigest()
    if not cache.add(key, "working", _LEASE):
        if cache.get(key) == "done":
            return _answer(200, "done before")
        return _answer(503, "another try is being worked on", {"Retry-After": str(_AGAIN)})
    try:
        answers = run_finished.send_robust(sender=Run, run=run, outcome=outcome, name=name)  # logs what they raise
    except BaseException:
        cache.delete(key)
        raise
    if any(isinstance(answer, Exception) for _, answer in answers):
        cache.delete(key)
        return _answer(500, "a receiver raised")
    cache.set(key, "done", _REMEMBERED)
    return _answer(200, "done")


def _answer(status: int, told: str, headers: Optional[Dict[str, Any]] = None) -> HttpResponse:
    return HttpResponse(told, status=status, content_type="text/plain; charset=utf-8", headers=headers)
