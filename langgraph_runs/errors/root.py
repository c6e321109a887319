"""The base class of all errors of this package, and what all errors show of texts from elsewhere."""

import types
from typing import Any, Mapping, NamedTuple, Optional, Tuple

from ..models import Run

__all__ = ["LangGraphRunsError", "NOTHING", "RequestInfo", "shortened"]

#: Characters of text from elsewhere (the server, the graph, an argument) in the text of an error.
_TEXT_LIMIT = 500
#: Characters of a whole message: the words of this library and the text from elsewhere.
_MESSAGE_LIMIT = 1000
#: Characters of an id, and of a URL, in the text of an error.
_ID_LIMIT = 100
#: Characters of a repr. The attributes share what the message leaves; the short ones are shown whole.
_REPR_LIMIT = 2000
#: The mapping of an error that has none: it cannot be changed, so that all errors may share it.
NOTHING: Mapping[Any, Any] = types.MappingProxyType({})


class RequestInfo(NamedTuple):
    """The HTTP method and the URL of a request, without credentials and without the query.

    >>> RequestInfo("GET", "http://localhost:2024/ok").url
    'http://localhost:2024/ok'
    """

    method: str
    url: str


def shortened(text: str, limit: int = _TEXT_LIMIT) -> str:
    """Return *text* for a message: at most *limit* characters and, if it is cut, the number of all characters.

    >>> shortened("x" * 600, 10)
    'xxxxxxxxxx... (600 characters)'
    """
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _repr_of(value: Any) -> str:
    try:
        return repr(value)
    except RecursionError:  # JSON may be nested deeper than Python can print
        return f"<{type(value).__name__} that is nested too deep to be shown>"


class LangGraphRunsError(Exception):
    """The base class of all errors of this package.

    >>> error = LangGraphRunsError("it did not work", run_id="1f0c")
    >>> error.run_id
    '1f0c'
    """

    #: The request that failed; None if none was made.
    request: Optional[RequestInfo] = None
    #: The run of the call, if it was known when the error was raised.
    run_id: Optional[str] = None
    #: The thread of that run.
    thread_id: Optional[str] = None
    #: How many times the request was tried; 0 if nothing was sent.
    attempts: int = 0
    #: For ``create_batch``: the runs that were created before the error, by the index of their payload.
    created: Mapping[int, Run] = NOTHING
    #: For ``create_batch``: the indexes of the payloads whose runs may have been created.
    uncertain: Tuple[int, ...] = ()

    #: Attributes that a repr leaves out: the state of the user's graph.
    _not_shown = frozenset({"run", "values"})

    def __init__(
        self,
        message: str,
        *,
        request: Optional[RequestInfo] = None,
        run_id: Optional[str] = None,
        thread_id: Optional[str] = None,
        attempts: int = 0,
    ) -> None:
        super().__init__(message)
        self._text = message
        self.request = request
        self.run_id = run_id
        self.thread_id = thread_id
        self.attempts = attempts

    def __str__(self) -> str:
        text = shortened(_one_line(self._text), _MESSAGE_LIMIT)
        if self.request is not None:
            text += f" [{self.request.method} {shortened(self.request.url)}]"
        if self.run_id is not None and self.run_id not in text:
            text += f" (run {shortened(_one_line(self.run_id), _ID_LIMIT)})"
        return text

    def __repr__(self) -> str:
        shown = [repr(shortened(self._text, _MESSAGE_LIMIT))]
        texts = {
            name: _repr_of(value)
            for name, value in sorted(self.__dict__.items())
            if value is not None and not name.startswith("_") and name not in self._not_shown
        }
        left, limits = _REPR_LIMIT - len(shown[0]), dict.fromkeys(texts, 0)
        for number, name in enumerate(sorted(texts, key=lambda name: len(texts[name]))):
            limits[name] = max(0, left // (len(texts) - number))
            left -= min(len(texts[name]), limits[name])
        shown += [f"{name}={shortened(text, limits[name])}" for name, text in texts.items()]
        return f"{type(self).__name__}({', '.join(shown)})"

    def __reduce__(self) -> Tuple[Any, ...]:
        return self._restored, (self._text, self.__dict__.copy())

    @classmethod
    def _restored(cls, text: str, attributes: Mapping[str, Any]) -> "LangGraphRunsError":
        """Return an error from another process or a ledger. Attributes that *attributes* leaves out have their default."""
        error = cls.__new__(cls, text)
        error.args = (text,)
        error._text = text
        error.__dict__.update(attributes)
        return error
