"""Exceptions of the user's own code that this package runs during a call: hooks, log handlers, authentication.

Such code may use a client itself. Then its errors have the same classes as those of the call. They must not be taken for the
result of an attempt, for the absence of a run, or for the deadline of the call.
"""

from __future__ import annotations

from types import TracebackType
from typing import NoReturn, Optional, Type

from ..errors import LangGraphRunsError

__all__ = ["UserCodeError", "user_code"]


class UserCodeError(BaseException):
    """Carries a `LangGraphRunsError` of the user's code past the handlers for errors of the call. The end of the call unwraps it.

    It is not an `Exception`, so that no handler catches it. The user never sees it.
    """

    def __init__(self, error: LangGraphRunsError) -> None:
        super().__init__(error)

    def unwrap(self) -> NoReturn:
        """Raise the error itself. This exception does not refer to it any more, so that there is no cycle of references."""
        (error,) = self.args
        self.args = ()
        self.__traceback__ = None  # its frames refer to the error
        try:
            raise error from error.__cause__
        finally:
            del error  # this frame is in the traceback of the error


class user_code:
    """Context manager for a block that calls code of the user. It raises a `LangGraphRunsError` of the block as `UserCodeError`."""

    # A class, since the frames of a generator would stay in the traceback of the error, and refer to it.

    __slots__ = ()

    def __enter__(self) -> None:
        """Begin the block."""

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        if isinstance(error, LangGraphRunsError):
            try:
                raise UserCodeError(error) from None
            finally:
                del error  # this frame is in the traceback of the exception that is raised
