"""The URLs of the chat."""

from __future__ import annotations

from django.urls import path

from . import views

__all__ = ["urlpatterns"]

urlpatterns = [
    path("", views.page, name="new"),
    path("list/", views.chats, name="list"),
    path("chats/", views.send, name="begin"),
    path("chats/<uuid:thread_id>/", views.page, name="chat"),
    path("chats/<uuid:thread_id>/state/", views.state, name="state"),
    path("chats/<uuid:thread_id>/messages/", views.send, name="send"),
    path("chats/<uuid:thread_id>/answers/", views.answer, name="answer"),
    path("chats/<uuid:thread_id>/again/", views.again, name="again"),
    path("chats/<uuid:thread_id>/runs/<uuid:run_id>/events/", views.events, name="events"),
    path("chats/<uuid:thread_id>/runs/<uuid:run_id>/stop/", views.stop, name="stop"),
]
