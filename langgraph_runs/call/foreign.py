"""Exceptions that are not the result of an operation of a call, although their class says so: those of signal handlers.

Job limits raise ``TimeoutError``, another ``OSError``, or a ``ValueError`` in the handler of a signal. It arrives at any moment of
a call, and must end the call unchanged. Only where it was raised tells it from the error of a socket or of a parser.
"""

from __future__ import annotations

import functools
import inspect
import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any, Callable, FrozenSet, Iterator, List, Optional, Tuple, Type

__all__ = ["is_foreign", "is_from_signal_handler", "raise_foreign", "start_thread", "with_causes"]

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
    return _is_other(trace) and (not on_socket or is_from_signal_handler(error))


def _is_other(trace: TracebackType) -> bool:
    """Return True if the function of *trace* belongs neither to the code that carries out calls nor to Python."""
    file, name = trace.tb_frame.f_code.co_filename, _module_of(trace).partition(".")[0]
    if name in _LIBRARIES or (not name and file.startswith("<")):  # cattrs generates functions without a module
        return False
    if _STANDARD is not None:
        return name not in _STANDARD
    return not file.startswith(("<frozen ", _STANDARD_PLACE)) or "site-packages" in file or "dist-packages" in file


def _module_of(trace: TracebackType) -> str:
    return str(trace.tb_frame.f_globals.get("__name__", ""))


def is_from_signal_handler(error: BaseException) -> bool:
    """Return True if *error* came out of a signal handler: one that is still installed, or was given the interrupted frame.

    For the parts of a call in which code of the user takes part: there `is_foreign` is True of the results of that code too.
    """
    codes = {_code_of(signal.getsignal(number)) for number in signal.valid_signals()}
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in codes or (_is_other(trace) and _has_frame_below(trace.tb_frame)):
            return True
        trace = trace.tb_next
    return False


def _has_frame_below(frame: FrameType) -> bool:
    """Return True if the arguments of *frame* are those of a signal handler: a number, and the frame that it has interrupted.

    A handler may have installed another one in its place before it raises.
    """
    code = frame.f_code
    names = code.co_varnames[: code.co_argcount + bool(code.co_flags & inspect.CO_VARARGS)]
    given: List[Any] = []
    for value in map(frame.f_locals.get, names):
        given += value if isinstance(value, tuple) else [value]
    return any(value is frame.f_back for value in given if value is not None)


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

    The causes are examined, since libraries wrap what reaches them in exceptions of their own, which may get its traceback.
    """
    one: Optional[BaseException] = None
    found: List[BaseException] = []
    try:
        found += with_causes(error)
        while found:
            one = found.pop(0)
            if foreign(one) and not isinstance(one, but) and not any(_origin(one) is _origin(inner) for inner in found):
                raise one
    finally:
        del error, one, found  # this frame is in the traceback of what is raised


def _origin(error: BaseException) -> Optional[TracebackType]:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace


def with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield *error*, its causes, and the errors in its arguments and groups, where requests, urllib3 and cattrs put them.

    If the call is made in an ``except`` or ``finally`` block, Python makes the exception of that block the context of all that is
    raised meanwhile. It is no cause, and is left out.
    """
    found: List[BaseException] = []
    waiting: List[Any] = [error]
    while waiting and len(found) < _MOST:
        item = waiting.pop(0)
        if not isinstance(item, BaseException) or any(item is one for one in found):
            continue
        found.append(item)
        yield item
        context = item.__context__
        if context is not None and context is not item.__cause__ and _is_being_handled(context):
            context = None
        waiting += [item.__cause__, context, getattr(item, "reason", None), *item.args, *getattr(item, "exceptions", ())]


def _is_being_handled(error: BaseException) -> bool:
    """Return True if the block that caught *error* is still running: a block of a caller of this function."""
    trace = error.__traceback__
    frame: Optional[FrameType] = sys._getframe(1)
    while trace is not None and frame is not None:
        if frame is trace.tb_frame:
            return True
        frame = frame.f_back
    return False


def start_thread(thread: threading.Thread) -> bool:
    """Start *thread*. Return False if the system or the interpreter, which may be ending, allows no further thread.

    If a signal handler interrupts the start of a thread, `threading` may raise a ``KeyError`` in place of its exception.
    """
    try:
        thread.start()
    except (KeyError, RuntimeError) as error:
        raise_foreign(error, foreign=is_from_signal_handler)  # `Thread.start` may be replaced by code of others
        if isinstance(error, KeyError):
            raise
        return False
    return True
