"""One request and its response: connections, limits, retries, typed errors, log lines.

Knows HTTP, but neither the paths of the API nor what the bodies mean. The only importer of requests and urllib3, which are
imported when the first client is made.
"""

from typing import TYPE_CHECKING

from .call_options import CALL_OPTIONS, NO_OPTIONS, CommonOptions, common_options, parse_call_options
from .headers import as_utf8, error_text, http_date, path_segment, split_login
from .session_factory import SessionFactory
from .settings import CHANGEABLE, SETTINGS, Settings, check_key
from .transport import Request, Response, Transport

if TYPE_CHECKING:
    from .body import ByteStream as ByteStream

__all__ = [
    "CALL_OPTIONS",
    "CHANGEABLE",
    "NO_OPTIONS",
    "Response",
    "CommonOptions",
    "Request",
    "SETTINGS",
    "SessionFactory",
    "Settings",
    "Transport",
    "as_utf8",
    "check_key",
    "common_options",
    "error_text",
    "http_date",
    "parse_call_options",
    "path_segment",
    "split_login",
]
