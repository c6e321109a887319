"""A small Django project without a database; its LangGraph server is named in the environment."""

from __future__ import annotations

import os
from typing import Any, Dict

DEBUG = False
SECRET_KEY = "only for tests, and long enough for them"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
ROOT_URLCONF = "tests.django.urls"
INSTALLED_APPS = ["langgraph_runs.django"]
MIDDLEWARE = [
    "django.middleware.gzip.GZipMiddleware",
    "django.middleware.common.CommonMiddleware",
    "tests.django.views.failing_at_first",
]
CACHES: Dict[str, Any] = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
LOGGING_CONFIG = None
LANGGRAPH_RUNS: Dict[str, Any] = {"URL": os.environ.get("TEST_LANGGRAPH_URL", "http://127.0.0.1:9"), "API_KEY": None}
