"""Read and validate ``settings.LANGGRAPH_RUNS``. Makes no request.

The setting has two forms. Flat, for one server: ``{"URL": ..., "API_KEY": ...}``. Named, for several servers, as in ``DATABASES``:
``{"default": {"URL": ...}, "other": {"URL": ...}}``. Option names are in capitals, so that the two forms cannot be confused.
"""

from __future__ import annotations

import inspect
import os
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from .. import Client, InvalidRequestError, RetryPolicy
from ..validation import near

__all__ = [
    "CLIENT_OPTIONS",
    "WEBHOOK_OPTIONS",
    "Problem",
    "SettingsError",
    "client_options",
    "configuration",
    "configurations",
    "option",
    "problems",
]

SETTING = "LANGGRAPH_RUNS"
#: The arguments of `Client`, in capitals.
CLIENT_OPTIONS = (
    "URL",
    "API_KEY",
    "HEADERS",
    "TIMEOUT",
    "STREAM_TIMEOUT",
    "CONNECT_TIMEOUT",
    "READ_TIMEOUT",
    "RETRY",
    "POOL_SIZE",
    "VERIFY",
    "CERT",
    "PROXIES",
    "VERIFY_OUTCOME",
    "MAX_EVENT_BYTES",
    "MAX_RESPONSE_BYTES",
)
#: The options of the webhook view, with their defaults.
WEBHOOK_OPTIONS: Mapping[str, Any] = {
    "WEBHOOK_SECRET": None,
    "WEBHOOK_HEADER": "X-LangGraph-Secret",
    "WEBHOOK_BASE_URL": None,
    "WEBHOOK_MAX_BYTES": 16 * 1024 * 1024,
    "WEBHOOK_CACHE": "default",
}
_RETRY = tuple(inspect.signature(RetryPolicy).parameters)


class SettingsError(InvalidRequestError, ImproperlyConfigured):
    """``LANGGRAPH_RUNS`` is invalid. Also a ``django.core.exceptions.ImproperlyConfigured``."""


class Problem(NamedTuple):
    """One error in the setting."""

    #: The place, such as ``LANGGRAPH_RUNS['default']['URL']``.
    setting: str
    #: What is wrong there.
    message: str
    #: What to do about it, or "".
    remedy: str
    #: The id of the system check: E001 for the form, E002 for the name of an option, E003 for its value.
    code: str


def configurations() -> Dict[str, Mapping[str, Any]]:
    """Return the configurations by name; raise `SettingsError` if the setting has neither of the two forms."""
    given = getattr(settings, SETTING, {})
    wrong = _wrong_form(given)
    if wrong:
        raise _error(wrong[0])
    return {"default": given} if _is_flat(given) else dict(given)


def configuration(name: str) -> Mapping[str, Any]:
    """Return the configuration *name*; raise `SettingsError` if there is none."""
    found = configurations()
    if name not in found:
        hint = near(name, list(found))
        raise SettingsError(f"{SETTING} has no configuration {name!r}{hint}; it has {', '.join(map(repr, found))}")
    return found[name]


def client_options(name: str) -> Dict[str, Any]:
    """Return the arguments of `Client` for a configuration; raise `SettingsError` for the first invalid option."""
    given = configuration(name)
    wrong = _wrong_options(name, given)
    if wrong:
        raise _error(wrong[0])
    arguments = {key.lower(): _argument(key, value) for key, value in given.items() if key in CLIENT_OPTIONS}
    # TIMEOUT is for the calls of a view. A stream to a browser lasts as long as its run, unless the site limits it.
    return {"stream_timeout": None, **arguments}


def option(name: str, key: str) -> Any:
    """Return an option of the webhook view, or its default."""
    return configuration(name).get(key, WEBHOOK_OPTIONS[key])


def problems() -> List[Problem]:
    """Return all errors in the setting."""
    given = getattr(settings, SETTING, {})
    found = _wrong_form(given)
    if found:
        return found
    for name, options in configurations().items():
        found += _wrong_options(name, options)
    return found


# -- the form


def _is_flat(given: Mapping[str, Any]) -> bool:
    return not given or any(key.isupper() for key in given)


def _wrong_form(given: Any) -> List[Problem]:
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        remedy = 'Give a dict such as {"URL": "https://...", "API_KEY": "..."}.'
        return [Problem(SETTING, f"is {type(given).__name__}, not a dict with text for keys", remedy, "langgraph_runs.E001")]
    if _is_flat(given):
        return []
    found = []
    for name, options in given.items():
        if not isinstance(options, Mapping):
            message = f"is {type(options).__name__}, not a dict of options"
            remedy = "Options have names in capitals" + (
                f": {name.upper()!r}." if name.upper() in _known() else "; a configuration is a dict of them."
            )
            found.append(Problem(f"{SETTING}[{name!r}]", message, remedy, "langgraph_runs.E001"))
    return found


def _known() -> Tuple[str, ...]:
    return (*CLIENT_OPTIONS, *WEBHOOK_OPTIONS)


# -- the options


def _wrong_options(name: str, given: Mapping[str, Any]) -> List[Problem]:
    found = []
    place = f"{SETTING}[{name!r}]" if not _is_flat(getattr(settings, SETTING, {})) else SETTING
    for key, value in given.items():
        where = f"{place}[{key!r}]"
        if key not in _known():
            hint = near(str(key).upper(), list(_known()))
            remedy = f"There are {', '.join(_known())}."
            found.append(Problem(where, f"is not an option{hint}", remedy, "langgraph_runs.E002"))
            continue
        try:
            _check(key, value)
        except InvalidRequestError as error:
            message, _, remedy = str(error).partition("; ")
            found.append(Problem(where, message, remedy, "langgraph_runs.E003"))
    return found


def _check(key: str, value: Any) -> None:
    """Raise `InvalidRequestError` if the value is invalid for the option *key*."""
    if key in WEBHOOK_OPTIONS:
        _check_webhook(key, value)
        return
    if key == "VERIFY" and not isinstance(value, (bool, str)):
        raise InvalidRequestError(f"verify={value!r}; give True, or the path of a bundle of certificates")
    if key == "VERIFY" and isinstance(value, str) and not os.path.exists(value):
        raise InvalidRequestError(f"verify={value!r}: there is no such file; give the path of a bundle of certificates")
    if key == "CERT" and value is not None:
        paths = (value,) if isinstance(value, str) else value
        if not isinstance(paths, (tuple, list)) or not all(isinstance(path, str) for path in paths):
            raise InvalidRequestError("cert: not a path; give the path of a certificate, or certificate and key as a tuple")
        for path in paths:
            if not os.path.exists(path):
                raise InvalidRequestError(f"cert={path!r}: there is no such file; give the path of a certificate")
    if key == "PROXIES" and value is not None and not isinstance(value, Mapping):
        raise InvalidRequestError('proxies: not a dict; give {"https": "http://proxy:3128"}')
    if key == "VERIFY_OUTCOME" and not isinstance(value, bool):
        raise InvalidRequestError(f"verify_outcome={value!r}; give True or False")
    # Without api_key, an invalid key in the environment would be reported as an error of this option.
    alone = {key.lower(): _argument(key, value)}
    Client(**{"api_key": None, **alone}).close()


def _argument(key: str, value: Any) -> Any:
    if key == "RETRY" and isinstance(value, Mapping):
        for name in value:
            if name not in _RETRY:
                raise InvalidRequestError(f"retry has no {name!r}{near(name, list(_RETRY))}; there are {', '.join(_RETRY)}")
        return RetryPolicy(**value)
    if key == "CERT" and isinstance(value, list):
        return tuple(value)
    return value


def _check_webhook(key: str, value: Any) -> None:
    if key == "WEBHOOK_SECRET":
        secrets = value if isinstance(value, (list, tuple)) else [value]
        if value is not None and not all(isinstance(secret, str) and len(secret) >= 16 for secret in secrets):
            raise InvalidRequestError(
                "is not a secret; give 16 characters or more, or a list of such: all are accepted, the first is used for new URLs"
            )
    elif key == "WEBHOOK_MAX_BYTES":
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InvalidRequestError(f"{value!r} is not a size; give a number of bytes, 1 or more")
    elif key == "WEBHOOK_BASE_URL":
        if value is not None and not (isinstance(value, str) and value.startswith(("http://", "https://"))):
            raise InvalidRequestError(
                f"{value!r} is not a URL; give https:// and the host by which the LangGraph server reaches us"
            )
    elif key == "WEBHOOK_CACHE":
        caches = list(settings.CACHES)
        if value not in caches:
            raise InvalidRequestError(f"there is no cache {value!r}; CACHES has {', '.join(map(repr, caches))}")
    elif not isinstance(value, str) or not value or not all(char.isalnum() or char == "-" for char in value):
        raise InvalidRequestError(f"{value!r} is not the name of a header; give one such as {WEBHOOK_OPTIONS[key]!r}")


def _error(found: Problem) -> SettingsError:
    return SettingsError(f"{found.setting}: {found.message}; {found.remedy}".rstrip("; "))
