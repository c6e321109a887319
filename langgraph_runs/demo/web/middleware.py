"""What every answer of the site gets: a policy for the browser, and words for what the LangGraph server could not do."""

from __future__ import annotations

import secrets
from typing import Callable, Optional

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase

from ... import ConflictError, LangGraphRunsError, NotFoundError

__all__ = ["ContentSecurityPolicy", "ServerErrors"]

Handler = Callable[[HttpRequest], HttpResponseBase]


class ContentSecurityPolicy:
    """The page may run the script and the style that carry ``request.csp_nonce``, and talk with this site; nothing else."""

    def __init__(self, get_response: Handler) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        nonce = secrets.token_urlsafe(16)
        setattr(request, "csp_nonce", nonce)  # noqa: B010 - HttpRequest is typed without it
        response = self._get_response(request)
        response["Content-Security-Policy"] = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        return response


class ServerErrors:
    """Turns an error of the library into a status and one sentence for the reader of the page. The rest is for the log."""

    def __init__(self, get_response: Handler) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> Optional[HttpResponse]:
        """Called by Django with what a view raised; None leaves it to Django."""
        if isinstance(error, NotFoundError):
            return JsonResponse({"error": "There is no such chat."}, status=404)
        if isinstance(error, ConflictError):
            return JsonResponse({"error": "An answer is being written already. Wait for it, or stop it."}, status=409)
        if isinstance(error, LangGraphRunsError):
            return JsonResponse({"error": "The LangGraph server cannot be reached at the moment."}, status=502)
        return None
