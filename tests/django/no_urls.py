"""The URLs of a site without the webhook."""

from __future__ import annotations

from typing import Any, List

urlpatterns: List[Any] = []
