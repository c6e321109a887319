"""Hypothesis without a clock: how long an example takes says something of the machine, not of the library."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unit", deadline=None, database=None, print_blob=True)
settings.load_profile("unit")
