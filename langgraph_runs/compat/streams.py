"""Streams whose events are tuples, as those of the official SDK are."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Callable, Dict, Iterator, NamedTuple, Optional, Tuple, Type

from .. import MessagesStreamEvent, StreamEvent
from .errors import translated

__all__ = ["Stream", "StreamPart", "as_part", "as_part_v2"]


class _Part(NamedTuple):
    event: str
    data: Any
    id: Optional[str] = None


class StreamPart(_Part):
    """One event of a stream, as a tuple of its name, its data and its id.

    >>> event, data, event_id = StreamPart("values|child:1f0c", {"n": 1})
    >>> StreamPart("values|child:1f0c", {"n": 1}).namespace
    ('child:1f0c',)
    """

    __slots__ = ()

    @property
    def mode(self) -> str:
        """The stream mode of the event, without namespace and detail."""
        return StreamEvent(self.event).mode

    @property
    def namespace(self) -> Tuple[str, ...]:
        """The path of the subgraph that sent the event; empty for the graph itself."""
        return StreamEvent(self.event).namespace

    @property
    def text(self) -> str:
        """The text of the message in a message event; empty for any other event."""
        return MessagesStreamEvent(self.event, self.data).text if self.mode == "messages" else ""


def as_part(event: StreamEvent) -> StreamPart:
    """Return an event as the SDK gives it.

    >>> as_part(StreamEvent("values", {"n": 1}, "7"))
    StreamPart(event='values', data={'n': 1}, id='7')
    """
    return StreamPart(event.event, event.data, event.id)


def as_part_v2(event: StreamEvent) -> Optional[Dict[str, Any]]:
    """Return an event as the SDK gives it with ``version="v2"``; None for the end of the stream, which it leaves out.

    >>> as_part_v2(StreamEvent("values|child:1f0c", {"n": 1}))
    {'type': 'values', 'ns': ['child:1f0c'], 'data': {'n': 1}, 'interrupts': []}
    """
    kind, *namespace = event.event.split("|")
    if event.event == "end":
        return None
    data, interrupts = event.data, []
    if kind == "values" and isinstance(data, dict):
        interrupts = data.get("__interrupt__", [])
        data = {name: value for name, value in data.items() if name != "__interrupt__"}
    return {"type": kind, "ns": namespace, "data": data, "interrupts": interrupts}


class Stream(Iterator[Any]):
    """The events of a `RunStream` or `ThreadStream`, converted. Has the attributes of that as well, such as ``run_id``."""

    def __init__(self, stream: Any, convert: Callable[[StreamEvent], Any]) -> None:
        self._stream = stream
        self._convert = convert

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Any:
        with translated():
            while True:
                event = self._convert(next(self._stream))
                if event is not None:
                    return event

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        with translated():
            return getattr(self._stream, name)

    def cancel(self, **options: Any) -> None:
        """Cancel the run, as `RunStream.cancel` does."""
        with translated():
            self._stream.cancel(**options)

    def close(self) -> None:
        """Close the connection; the run goes on."""
        self._stream.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(self._stream)
