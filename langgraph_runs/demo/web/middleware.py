"""Middleware of the site: a content security policy for every response, and messages for errors of the LangGraph server."""

from __future__ import annotations

import secrets
from typing import Callable, Optional

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase

from ... import ConflictError, LangGraphRunsError, NotFoundError

__all__ = ["ContentSecurityPolicy", "ServerErrors"]

Handler = Callable[[HttpRequest], HttpResponseBase]


class ContentSecurityPolicy:
    """Allows the page its own script and style, marked with ``request.csp_nonce``, and requests to this site; nothing else."""

    def __init__(self, get_response: Handler) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        nonce = secrets.token_urlsafe(16)
        setattr(request, "csp_nonce", nonce)  # noqa: B010 - HttpRequest has no such attribute in its type stubs
        response = self._get_response(request)
        response["Content-Security-Policy"] = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        return response


class ServerErrors:
    """Turns an error of the library into a response with a status and one sentence for the reader of the page."""

    def __init__(self, get_response: Handler) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> Optional[HttpResponse]:
        """Called by Django with an exception of a view; returns None for errors that Django shall handle."""
        if isinstance(error, NotFoundError):
            return JsonResponse({"error": "There is no such chat."}, status=404)
        if isinstance(error, ConflictError):
            return JsonResponse({"error": "An answer is being written already. Wait for it, or stop it."}, status=409)
        if isinstance(error, LangGraphRunsError):
            return JsonResponse({"error": "The LangGraph server cannot be reached at the moment."}, status=502)
        return None
