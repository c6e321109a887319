"""Exceptions that are not the result of an operation of a call, although their class says so: those of signal handlers.

Job limits raise ``TimeoutError``, another ``OSError``, or a ``ValueError`` in the handler of a signal. It arrives at any moment of
a call, and must end the call unchanged. Only where it was raised tells it from the error of a socket or of a parser.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
from types import TracebackType
from typing import Any, Callable, FrozenSet, Iterator, List, Optional, Tuple, Type

__all__ = ["is_foreign", "is_from_signal_handler", "raise_foreign", "with_causes"]

#: The packages whose code carries out a call. Its exceptions are results of the call's operations.
_LIBRARIES: FrozenSet[str] = frozenset(
    {"langgraph_runs", "requests", "urllib3", "http", "idna", "certifi", "charset_normalizer", "chardet", "OpenSSL", "socks"}
    | {"brotli", "brotlicffi", "zstandard", "tenacity", "sseclient", "attr", "attrs", "cattr", "cattrs", "orjson"}
    # They replace the sockets of the standard library.
    | {"gevent", "greenlet", "eventlet", "dns"}
)
_STANDARD: Optional[FrozenSet[str]] = getattr(sys, "stdlib_module_names", None)  # from Python 3.10 on
_STANDARD_PLACE = os.path.dirname(os.__file__) + os.sep
#: The modules that connect, read and write. What they call may be replaced by code of others, which passes errors of sockets on.
_ON_SOCKETS = frozenset({"langgraph_runs.http.connect", "langgraph_runs.http.sockets"})
#: At most this many causes are examined.
_MOST = 20


def is_foreign(error: BaseException) -> bool:
    """Return True if *error* was raised by code that carries out no call: a signal handler, a hook, or a tracing function.

    An exception without a traceback was not raised, so it is not foreign. One that a function in C raised counts for its caller.
    Below an operation on a socket there may be a guard or a tracer, so that only a signal handler is foreign there.

    >>> is_foreign(OSError("not raised"))
    False
    """
    trace = error.__traceback__
    if trace is None:
        return False
    on_socket = _module_of(trace) in _ON_SOCKETS
    while trace.tb_next is not None:
        trace = trace.tb_next
        on_socket = on_socket or _module_of(trace) in _ON_SOCKETS
    file, name = trace.tb_frame.f_code.co_filename, _module_of(trace).partition(".")[0]
    if name in _LIBRARIES or (not name and file.startswith("<")):  # cattrs generates functions without a module
        return False
    if _STANDARD is not None:
        is_other = name not in _STANDARD
    else:
        is_other = not file.startswith(("<frozen ", _STANDARD_PLACE)) or "site-packages" in file or "dist-packages" in file
    return is_other and (not on_socket or is_from_signal_handler(error))


def _module_of(trace: TracebackType) -> str:
    return str(trace.tb_frame.f_globals.get("__name__", ""))


def is_from_signal_handler(error: BaseException) -> bool:
    """Return True if *error* came out of a signal handler that is still installed.

    For the parts of a call in which code of the user takes part: there `is_foreign` is True of the results of that code too.
    """
    codes = {_code_of(signal.getsignal(number)) for number in signal.valid_signals()}
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in codes:
            return True
        trace = trace.tb_next
    return False


def _code_of(handler: Any) -> Any:
    while isinstance(handler, functools.partial):
        handler = handler.func
    function = getattr(handler, "__func__", handler)  # of a bound method
    if not hasattr(function, "__code__"):
        function = vars(type(handler)).get("__call__")  # of an object that can be called
    return getattr(function, "__code__", None)


def raise_foreign(
    error: BaseException,
    *,
    but: Tuple[Type[BaseException], ...] = (),
    foreign: Callable[[BaseException], bool] = is_foreign,
) -> None:
    """Raise *error*, or the cause of it, that is *foreign* and none of *but*. Return if there is none.

    The causes are examined, since libraries wrap what reaches them in exceptions of their own.
    """
    try:
        for one in with_causes(error):
            if foreign(one) and not isinstance(one, but):
                raise one
    finally:
        del error  # this frame is in the traceback of what is raised


def with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield *error*, its causes, and the errors in its arguments and groups, where requests, urllib3 and cattrs put them."""
    found: List[BaseException] = []
    waiting: List[Any] = [error]
    while waiting and len(found) < _MOST:
        item = waiting.pop(0)
        if not isinstance(item, BaseException) or any(item is one for one in found):
            continue
        found.append(item)
        yield item
        waiting += [item.__cause__, item.__context__, getattr(item, "reason", None), *item.args, *getattr(item, "exceptions", ())]
