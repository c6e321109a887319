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
from ..serialization import parse

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


#: How many times JSON may be written as text inside JSON.
_NESTED = 3
#: Some programs send a part of a page, such as ``<h1>Not Found</h1>``.
_PAGE = re.compile(
    r"\s*<(?:!--|!doctype|\?xml|(?:html|head|body|title|meta|link|style|script|h[1-6]|p|pre|div|span|center|table|b|br|hr)\b)",
    re.IGNORECASE,
)


def _message(parsed: Any, depth: int) -> str:
    if isinstance(parsed, str):
        inner = _json_in(parsed) if depth < _NESTED else None
        return parsed if inner is None else _message(inner, depth + 1)
    if isinstance(parsed, dict):
        error = parsed.get("error")
        for value in (parsed.get("detail"), parsed.get("message"), error):
            inner = value["message"] if isinstance(value, dict) and isinstance(value.get("message"), str) else value
            if isinstance(inner, str) and inner:
                text = _message(inner, depth)
                has_name = isinstance(error, str) and value is not error and value == parsed.get("message")
                return f"{error}: {text}" if has_name else text
        return _shown(parsed.get("detail") or parsed)
    return "" if parsed is None else _shown(parsed)


def _json_in(text: str) -> Any:
    """Return the object in *text* if it is JSON; else None."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        return parse(text)
    except ValueError as error:
        raise_foreign(error)
        return None


def _shown(parsed: Any) -> str:
    try:
        return str(parsed)
    except RecursionError:  # JSON may be nested deeper than Python can print
        return f"a {type(parsed).__name__} that is nested too deep to be shown"


def _page_text(text: str) -> str:
    """Return the title and the text of a page, without markup, scripts and styles."""
    # A regular expression would take minutes for a page with a million "<".
    first, *rest = text.split("<")
    kept, title, unseen = [first], "", ""
    for piece in rest:
        tag, _, after = piece.partition(">")
        name = re.match(r"/?\w*", tag).group().lower()  # type: ignore[union-attr]
        if unseen and name != "/" + unseen:
            continue
        unseen = name if name in ("script", "style") else ""
        if name == "title" and not title:
            title = _plain(after)
        else:
            kept.append("" if unseen else after)
    body = _plain(" ".join(kept))
    return body if body.startswith(title) else f"{title} {body}".strip()


def _plain(text: str) -> str:
    import html  # its table of entities takes a millisecond to load

    return " ".join(html.unescape(text).split())


def error_text(parsed: Any) -> str:
    """Return the server's message in the parsed body of an error: JSON of any shape, also as text in JSON, HTML or text.

    >>> error_text({"detail": "Not Found"}), error_text({"error": "E", "message": "m"}), error_text("<html><b>Bad &amp; late</b>")
    ('Not Found', 'E: m', 'Bad & late')
    >>> error_text("<h1>Not Found: &lt;runs&gt;</h1>"), error_text("<runs> is no path")
    ('Not Found: <runs>', '<runs> is no path')
    >>> error_text({"detail": '{"error": "GraphRecursionError", "message": "Recursion limit reached"}'})
    'GraphRecursionError: Recursion limit reached'
    """
    return _page_text(parsed) if isinstance(parsed, str) and _PAGE.match(parsed) else _message(parsed, 0)


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
