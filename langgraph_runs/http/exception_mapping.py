"""Translates exceptions of requests, urllib3, http.client, ssl and socket to errors of this package. Only this module does."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import zlib
from typing import Optional, Sequence

import requests
import urllib3

from ..call import UserCodeError, is_from_signal_handler, raise_foreign, with_causes
from ..errors import APIConnectionError, APITimeoutError, LangGraphRunsError, RequestInfo, ResponseDecodeError, status_error
from .exchange import Exchange

__all__ = ["BELOW", "translate"]

#: The base classes of the exceptions that these libraries raise. Errors of ssl and socket are OSErrors, those of json ValueErrors.
BELOW = (
    requests.RequestException,
    requests.exceptions.RequestsWarning,
    urllib3.exceptions.HTTPError,
    urllib3.exceptions.HTTPWarning,
    http.client.HTTPException,
    OSError,
    ValueError,
    EOFError,
    zlib.error,
)
#: The text of http.client's exception if a proxy refuses a tunnel. A 408, a 429 or a 5xx may be different a little later.
_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: (4(?!08|29)\d\d)(?: (.*))?\Z", re.DOTALL)
#: OpenSSL's reasons if the first bytes of the peer are not TLS: it takes text for a version and a length.
_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL", "HTTP_REQUEST"})
#: X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH of OpenSSL.
_OTHER_NAME = frozenset({62, 64})
#: Exceptions that say what happened to a request, whatever code has raised them: a user's adapter, or a mock.
_REPORTS = (requests.RequestException, urllib3.exceptions.HTTPError)


def translate(error: BaseException, exchange: Exchange, info: RequestInfo) -> BaseException:
    """Return *error* as an error of this package. Raise the exception from elsewhere that caused it, if there is one.

    Such exceptions come from signal handlers, bugs and a user's hooks. They are of any class, and reach the caller unchanged.

    An error of this package is from elsewhere too, namely from a hook. It is raised as a `UserCodeError`.

    The error says whether the request was sent. Its text is the innermost reason, without the names of exceptions around it.
    """
    scope = exchange.scope
    if isinstance(error, LangGraphRunsError):
        raise UserCodeError(error)
    # A handler may raise any class, also one that says what happened to a request, or one of this package.
    try:
        raise_foreign(error, foreign=is_from_signal_handler)
    except LangGraphRunsError as own:
        raise UserCodeError(own) from None
    # Until a connection of this package has the request, code of the user's session sends it, and says what happened to it. In
    # connecting, code of others may take part too, such as an `ssl.SSLContext` in Python, which checks certificates.
    if exchange.phase > Exchange.CONNECTING:
        raise_foreign(error, but=_REPORTS)
    ending = scope.ending_error()
    if ending is not None:
        ending.request = info
        if isinstance(ending, APIConnectionError):
            ending.sent = _sent(error, exchange)
        return ending
    if not isinstance(error, BELOW):
        raise error
    chain = list(with_causes(error))
    sent = _sent(error, exchange)
    reason = _reason(chain)
    refused = next((found for one in chain for found in [_TUNNEL_REFUSED.match(_text(one))] if found is not None), None)
    if refused is not None and sent is False:
        status = int(refused.group(1))
        message = f"the proxy opens no tunnel to the server: {refused.group(2) or 'refused'}"
        return scope.identify(status_error(status)(message, status_code=status, request=info))
    if _is_timeout(chain):
        if sent is False:
            message = f"no connection within connect_timeout={exchange.connect_timeout} s: {reason}"
        else:
            message = f"the server was silent for longer than read_timeout={exchange.read_timeout} s"
        return scope.identify(APITimeoutError(message, sent=sent, request=info))
    if any(isinstance(e, (urllib3.exceptions.DecodeError, requests.exceptions.ContentDecodingError, zlib.error)) for e in chain):
        problem = f"$: cannot be decompressed ({reason})"
        return scope.identify(ResponseDecodeError("the response cannot be decompressed", problems=(problem,), request=info))
    tls = next((e for e in reversed(chain) if isinstance(e, ssl.SSLError)), None)
    if tls is not None and sent is False:
        reason = f"TLS: {reason}{_tls_remedy(tls)}"
    verb = "could not connect" if sent is False else "the connection broke"
    return scope.identify(APIConnectionError(f"{verb}: {reason}", sent=sent, request=info))


def _tls_remedy(error: ssl.SSLError) -> str:
    # Errors that Python itself raises do not have all attributes.
    if getattr(error, "verify_code", None) in _OTHER_NAME:
        return "; the certificate is for another name than that in the url"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "; for a private certificate authority give verify='/path/to/ca.pem'"
    if getattr(error, "reason", None) in _NOT_TLS:
        return "; the server does not use TLS at this port: is it http:// there?"
    return ""


def _sent(error: BaseException, exchange: Exchange) -> Optional[bool]:
    if exchange.phase == Exchange.CONNECTING:
        return None if exchange.was_sent else False
    if exchange.phase == Exchange.RESPONDED:
        return True
    if exchange.phase == Exchange.UNKNOWN:
        before = (
            requests.exceptions.ConnectTimeout,
            requests.exceptions.InvalidURL,
            requests.exceptions.InvalidSchema,
            requests.exceptions.MissingSchema,
            urllib3.exceptions.ConnectTimeoutError,
            urllib3.exceptions.NewConnectionError,
            urllib3.exceptions.NameResolutionError,
        )
        if any(isinstance(e, before) for e in with_causes(error)):
            return False
    return None


def _is_timeout(chain: Sequence[BaseException]) -> bool:
    kinds = (TimeoutError, socket.timeout, urllib3.exceptions.TimeoutError, requests.exceptions.Timeout, ssl.SSLWantReadError)
    # In urllib3, the exceptions for a refused connection and for an unknown host are subclasses of a timeout.
    not_really = urllib3.exceptions.NewConnectionError
    return any(isinstance(e, kinds) and not isinstance(e, not_really) for e in chain) or any(
        "timed out" in str(e) for e in chain if isinstance(e, ssl.SSLError)
    )


def _text(error: BaseException) -> str:
    if isinstance(error, (http.client.BadStatusLine, http.client.UnknownProtocol)) and not isinstance(error, ConnectionError):
        return "the response is not HTTP/1"  # the text of this exception is what the peer sent, which may be secret or long
    try:
        return str(error)
    except Exception:  # the text of some classes needs arguments that this one may not have
        return type(error).__name__


def _reason(chain: Sequence[BaseException]) -> str:
    # The innermost error that has a text.
    for error in reversed(chain):
        if isinstance(error, OSError) and error.strerror:
            return str(error.strerror)
    texts = [text for text in map(_text, reversed(chain)) if text]
    text = texts[0] if texts else type(chain[0]).__name__
    return re.sub(r"<[^<>]* object at 0x[0-9a-f]+>:? ?", "", text)
