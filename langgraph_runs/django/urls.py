"""URL patterns of the webhook: ``path("langgraph/", include("langgraph_runs.django.urls"))``. `webhook_url` needs them."""

from __future__ import annotations

from django.urls import path

from .webhooks import webhook

__all__ = ["app_name", "urlpatterns"]

app_name = "langgraph_runs"
urlpatterns = [
    # For webhooks with the secret in a header.
    path("webhook/<str:name>/", webhook, name="webhook-with-header"),
    path("webhook/<str:name>/<str:token>/", webhook, name="webhook"),
]
