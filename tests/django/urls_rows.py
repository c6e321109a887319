"""Where the project with the admin answers."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [path("admin/", admin.site.urls), path("hooks/", include("langgraph_runs.django.urls"))]
