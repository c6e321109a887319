"""Encodes and decodes the text in URLs, headers and the bodies of errors. No I/O."""

from __future__ import annotations

import base64
import datetime
import re
import time
import urllib.parse
from typing import Any, Mapping, Optional, Tuple

from ..call import raise_foreign
from ..errors import InvalidRequestError

__all__ = ["as_utf8", "error_text", "http_date", "retry_after", "path_segment", "split_login"]

_PLAIN = re.compile(r"[A-Za-z0-9_-]+\Z")  # matches nearly all ids


def path_segment(value: str) -> str:
    """Return *value* as one segment of a path, with dots, slashes, percent signs and all other special characters encoded.

    >>> path_segment("a/../b"), path_segment(".."), path_segment("%2e")
    ('a%2F..%2Fb', '%2E%2E', '%252e')
    """
    if _PLAIN.match(value):
        return value
    try:
        quoted = urllib.parse.quote(value, safe="")
    except UnicodeEncodeError:
        raise InvalidRequestError(f"id {value!r}: holds half a surrogate pair, which is no character") from None
    return quoted.replace(".", "%2E") if quoted in (".", "..") else quoted


def as_utf8(value: str) -> str:
    """Return *value* as a header value that is sent as UTF-8, as event ids are (WHATWG HTML, 9.2.3). Headers are Latin-1.

    >>> as_utf8("é").encode("latin-1") == "é".encode("utf-8")
    True
    """
    return value if value.isascii() else value.encode("utf-8").decode("latin-1")


def split_login(url: str) -> Tuple[str, Optional[str]]:
    """Return *url* without its user and password, and the ``Authorization`` header for them, or None."""
    scheme, separator, rest = url.partition("://")
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    if not separator or "@" not in authority:
        return url, None
    login, _, host = authority.rpartition("@")
    user, _, password = login.partition(":")
    pair = f"{urllib.parse.unquote(user)}:{urllib.parse.unquote(password)}".encode()
    return scheme + separator + host + rest[len(authority) :], "Basic " + base64.b64encode(pair).decode("ascii")


def _message(parsed: Any) -> str:
    if isinstance(parsed, dict):
        error = parsed.get("error")
        for text in (parsed.get("detail"), parsed.get("message"), error):
            if isinstance(text, dict) and isinstance(text.get("message"), str):
                text = text["message"]
            if isinstance(text, str) and text:
                has_name = isinstance(error, str) and text is not error and text == parsed.get("message")
                return f"{error}: {text}" if has_name else text
        return _shown(parsed.get("detail") or parsed)
    return "" if parsed is None else _shown(parsed)


def _shown(parsed: Any) -> str:
    try:
        return str(parsed)
    except RecursionError:  # JSON may be nested deeper than Python can print
        return f"a {type(parsed).__name__} that is nested too deep to be shown"


def _without_tags(text: str) -> str:
    if not re.match(r"\s*(<!doctype|<html|<\?xml|<head|<body)", text, re.IGNORECASE):
        return text
    # A regular expression would take minutes for a page with a million "<".
    first, *rest = text.split("<")
    kept, unseen = [first], ""
    for piece in rest:
        tag, _, after = piece.partition(">")
        name = re.match(r"/?\w*", tag).group().lower()  # type: ignore[union-attr]
        if unseen and name != "/" + unseen:
            continue
        unseen = name if name in ("script", "style") else ""
        kept.append("" if unseen else after)
    return " ".join(" ".join(kept).split())


def error_text(parsed: Any) -> str:
    """Return the server's message in the parsed body of an error: JSON of any shape, HTML or text.

    >>> error_text({"detail": "Not Found"}), error_text({"error": "E", "message": "m"}), error_text("<html><b>Bad</b>")
    ('Not Found', 'E: m', 'Bad')
    """
    return _without_tags(parsed) if isinstance(parsed, str) else _message(parsed)


def http_date(value: str) -> Optional[float]:
    """Return the date in a header as seconds since 1970, or None if it is not a date."""
    try:
        from email.utils import parsedate_to_datetime  # a large package, and most responses need no date

        moment = parsedate_to_datetime(value)
        # The old asctime form has no zone; it is GMT as well (RFC 9110, section 5.6.7).
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=datetime.timezone.utc)).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        raise_foreign(error)
        return None


def retry_after(headers: Mapping[str, str]) -> Optional[float]:
    """Return the seconds in ``Retry-After``, or None. A date is compared with ``Date``, else with this machine's clock."""
    value = headers.get("retry-after", "").strip()
    if re.match(r"\d+(\.\d+)?\Z", value, re.ASCII):
        return float(value)
    moment = http_date(value) if value else None
    if moment is None:
        return None
    now = http_date(headers.get("date", ""))
    return max(0.0, moment - (time.time() if now is None else now))
