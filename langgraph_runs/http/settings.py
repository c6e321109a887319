"""The settings of a client: each with its default and its check, in one place.

A new setting is a field here, and a parameter with its description in `Client`; a test compares the two.
"""

from __future__ import annotations

import re
import urllib.parse
from typing import Any, Callable, Dict, FrozenSet, Mapping, Optional

import attrs

from ..call import RetryPolicy
from ..errors import InvalidRequestError
from ..validation import check_count, check_headers, check_seconds, shown
from .headers import split_login

__all__ = ["CHANGEABLE", "SETTINGS", "Settings", "check_key"]


#: An IPv6 address with a zone, as the command ``ip`` prints it. In a URL the percent sign is encoded.
_ZONE = re.compile(r"\[([0-9A-Fa-f:.]+)%(?!25)([^\]]+)\]")


def check_key(name: str, key: Any) -> Optional[str]:
    """Return an api key without the blanks and quotes around it, which an env file may have left; None for no key."""
    if key is None:
        return None
    if not isinstance(key, str):
        raise InvalidRequestError(f"{name}: give text, or None for no key")
    bare = key.strip().strip("\"'").strip()
    if not all(" " < char <= "~" for char in bare):
        raise InvalidRequestError(f"{name}: the key holds characters that cannot stand in a header")
    return bare or None


def _check_url(name: str, url: Any) -> str:
    without_login = split_login(url)[0] if isinstance(url, str) else url
    if isinstance(without_login, str) and "@" in without_login:
        # The text cannot be split, so it is not a URL. It may contain a password, so the part before "@" is hidden.
        without_login = "***@" + without_login.rpartition("@")[2]
    refused = f"{name}={shown(without_login)}"
    remedy = "give http:// or https://, a host, and the server's mount prefix if it has one"
    if not isinstance(url, str) or any(char <= " " or char == "\x7f" or char == "\\" for char in url.strip()):
        raise InvalidRequestError(f"{refused}: {remedy}")
    checked = url.strip().rstrip("/")
    checked = _ZONE.sub(r"[\1%25\2]", checked, count=1)
    try:
        parts = urllib.parse.urlsplit(checked)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidRequestError(f"{refused}: {error}; {remedy}") from None
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise InvalidRequestError(f"{refused}: {remedy}")
    return checked


def _check_headers(name: str, headers: Any) -> Dict[str, str]:
    return check_headers(headers, argument=name)


def _check_retry(name: str, retry: Any) -> RetryPolicy:
    if retry is None:
        return RetryPolicy()
    if not isinstance(retry, RetryPolicy):
        raise InvalidRequestError(f"{name}={shown(retry)}: give a RetryPolicy; RetryPolicy(attempts=1) never repeats")
    return retry


def _check_bytes(name: str, value: Any) -> int:
    return check_count(name, value, least=1)


def _check_stream_timeout(name: str, value: Any) -> Any:
    return value if value is ... else check_seconds(name, value)


def _check_flag(name: str, value: Any) -> bool:
    return bool(value)


def _checked(check: Callable[[str, Any], Any], *, fixed: bool = False) -> Dict[str, Any]:
    """Return the metadata of a field. *check* is called with name and value, and returns the value to keep.

    A *fixed* setting is the same in all copies of a client.
    """
    return {"check": check, "fixed": fixed}


@attrs.frozen(kw_only=True)
class Settings:
    """The settings of one client, checked. A repr shows neither the login in the URL, nor the key, nor values of headers."""

    url: str = attrs.field(metadata=_checked(_check_url, fixed=True), repr=lambda url: repr(split_login(url)[0]))
    api_key: Optional[str] = attrs.field(default=None, metadata=_checked(check_key, fixed=True), repr=False)
    timeout: Optional[float] = attrs.field(default=None, metadata=_checked(check_seconds))
    #: ``...``: as *timeout*.
    stream_timeout: Any = attrs.field(default=..., metadata=_checked(_check_stream_timeout))
    connect_timeout: Optional[float] = attrs.field(default=5.0, metadata=_checked(check_seconds))
    read_timeout: Optional[float] = attrs.field(default=30.0, metadata=_checked(check_seconds))
    retry: RetryPolicy = attrs.field(factory=RetryPolicy, metadata=_checked(_check_retry))
    headers: Mapping[str, str] = attrs.field(
        factory=dict, metadata=_checked(_check_headers), repr=lambda headers: repr(sorted(headers))
    )
    verify_outcome: bool = attrs.field(default=True, metadata=_checked(_check_flag))
    max_event_bytes: int = attrs.field(default=256 * 1024 * 1024, metadata=_checked(_check_bytes))
    max_response_bytes: int = attrs.field(default=1024 * 1024 * 1024, metadata=_checked(_check_bytes))

    def __attrs_post_init__(self) -> None:
        for field in attrs.fields(Settings):
            # The class is frozen, but this is still part of the construction.
            object.__setattr__(self, field.name, field.metadata["check"](field.name, getattr(self, field.name)))

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """Return a copy with other values. *headers* are added to those of the original, and replace headers of the same name."""
        changes = dict(changes)
        if "headers" in changes:
            changes["headers"] = {**self.headers, **check_headers(changes["headers"])}
        return attrs.evolve(self, **changes)


#: The names of all settings.
SETTINGS: FrozenSet[str] = frozenset(field.name for field in attrs.fields(Settings))
#: The settings that a copy of a client may change, in the order of the class.
CHANGEABLE = tuple(field.name for field in attrs.fields(Settings) if not field.metadata["fixed"])
