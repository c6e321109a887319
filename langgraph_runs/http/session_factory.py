"""Makes the session of a client. requests is imported when a client is made, not with this package."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Mapping

import attrs

from ..errors import InvalidRequestError
from ..validation import shown

if TYPE_CHECKING:
    from .session import Connector

__all__ = ["SessionFactory"]


def check_connection_options(session: Any, verify: Any, cert: Any, proxies: Any, **_: Any) -> None:
    """Raise `InvalidRequestError` for an argument of another type than the documented ones, which would fail in the first call."""
    if session is not None and not (callable(getattr(session, "request", None)) and hasattr(session, "get_adapter")):
        raise InvalidRequestError(f"session={shown(session)}: give a requests.Session")
    if not (verify is None or isinstance(verify, bool) or (isinstance(verify, (str, os.PathLike)) and os.fspath(verify))):
        remedy = "True, False, or the path of a file or directory with CA certificates"
        if hasattr(verify, "wrap_socket"):
            remedy += "; for an SSLContext, give a session with an adapter that passes it to init_poolmanager"
        raise InvalidRequestError(f"verify={shown(verify)}: give {remedy}")
    is_pair = isinstance(cert, (tuple, list)) and len(cert) == 2
    if cert is not None and not all(isinstance(path, (str, os.PathLike)) for path in (cert if is_pair else [cert])):
        raise InvalidRequestError("cert: give the path of a file with certificate and key, or a pair of paths")
    if proxies is not None and not (
        isinstance(proxies, Mapping) and all(isinstance(url, (str, type(None))) for url in proxies.values())
    ):
        raise InvalidRequestError('proxies: give a dict such as {"https": "http://proxy:3128"}')


@attrs.frozen
class SessionFactory:
    """Makes the session of one client, once in each process. Can be pickled, so that another process can make its own."""

    base_url: str
    #: The keyword arguments of `Connector`.
    options: Mapping[str, Any] = attrs.field(repr=False)

    def __attrs_post_init__(self) -> None:
        check_connection_options(**self.options)

    def __call__(self) -> Connector:
        """Return a new session with its connection pools."""
        from .session import Connector

        return Connector(self.base_url, **self.options)
