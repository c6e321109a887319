"""Where the small project answers."""

from __future__ import annotations

from django.urls import include, path

from . import views

urlpatterns = [
    path("start/", views.start),
    path("stream/", views.stream),
    path("events/<str:thread_id>/<str:run_id>/", views.events),
    path("owned/<str:thread_id>/", views.owned),
    path("pid/", views.pid),
    path("hook-url/", views.hook_url),
    path("hooks/", include("langgraph_runs.django.urls")),
]
