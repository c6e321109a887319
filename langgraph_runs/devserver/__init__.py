"""A real LangGraph server on this machine, for tests and for trying things out (extra ``server``)."""

from .._public import name_public
from .server import DevServer, DevServerError, unavailable_reason

__all__ = ["DevServer", "DevServerError", "unavailable_reason"]

name_public(__name__, [DevServer, DevServerError])
