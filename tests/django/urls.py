"""Where the small project answers."""

from __future__ import annotations

from typing import List

urlpatterns: List[object] = []
