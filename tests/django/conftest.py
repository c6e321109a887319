"""Django set up once for a process of the tests; nothing is collected where it is not installed."""

from __future__ import annotations

import importlib.util
import os

collect_ignore_glob = []
if importlib.util.find_spec("django") is None:
    collect_ignore_glob.append("test_*.py")
else:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.django.settings")
    django.setup()
