"""Sets Django up, once for a process of the tests."""

from __future__ import annotations

import os

__all__ = ["set_up"]

_VARIABLE = "DJANGO_SETTINGS_MODULE"


def set_up() -> None:
    """Set Django up with the settings of the variable ``DJANGO_SETTINGS_MODULE``, or with those of the rows if there is none.

    The variable is not set afterwards: programs that a test starts, such as a worker of Celery, must not take these settings.
    """
    import django
    from django.conf import settings

    if settings.configured:
        return
    given = _VARIABLE in os.environ
    os.environ.setdefault(_VARIABLE, "tests.django.settings_rows")
    try:
        django.setup()
    finally:
        if not given:
            del os.environ[_VARIABLE]
