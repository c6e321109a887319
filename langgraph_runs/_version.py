"""The version, in one place: setup.cfg reads it from here without importing the package."""

from __future__ import annotations

__version__ = "0.1.0"
