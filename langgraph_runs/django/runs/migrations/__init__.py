"""The tables of the app."""

from __future__ import annotations

__all__ = ()
