"""What the checks of a server found, as records."""

from __future__ import annotations

import enum
from typing import Any, Dict, Mapping, Optional, Tuple, Union

import attrs

from ... import InvalidRequestError

__all__ = ["Conformance", "ConformanceRow", "Graph", "Graphs", "Verdict"]


class Verdict(str, enum.Enum):
    """What a check found. A member is equal to its text.

    >>> Verdict.HOLDS == "holds"
    True
    """

    #: The server does what the API defines, and the library kept the promise.
    HOLDS = "holds"
    #: The server does something else. The library kept the promise, or raised an error that says what is not known.
    DIFFERS = "differs"
    #: The library did not keep the promise on this server.
    BROKEN = "broken"
    #: It was not tried, for example since no graph that fails was named.
    NOT_TRIED = "not tried"


@attrs.frozen
class Graph:
    """A graph of the server, or another assistant, with an input.

    >>> Graph("agent", {"topic": "tides"})
    Graph(assistant_id='agent', input={'topic': 'tides'})
    """

    assistant_id: str
    input: Any = None


#: The graphs of `Graphs` beside the main one.
_OTHERS = ("failing", "pausing", "lasting", "streaming", "exceeding")


@attrs.frozen
class Graphs:
    """The graphs that the checks run. Checks that need a graph that is None are not tried."""

    #: A graph that succeeds, best within a second.
    main: Graph
    #: A graph that raises.
    failing: Optional[Graph] = None
    #: A graph that calls ``interrupt()``.
    pausing: Optional[Graph] = None
    #: A graph that takes about ten seconds or longer.
    lasting: Optional[Graph] = None
    #: A graph that streams at least 20 custom events, the same ones for each run.
    streaming: Optional[Graph] = None
    #: A graph that takes longer than the server lets a run take.
    exceeding: Optional[Graph] = None

    def as_arguments(self) -> Dict[str, Any]:
        """Return the graphs as arguments of `check_conformance`."""
        return {"assistant_id": self.main, **{name: getattr(self, name) for name in _OTHERS}}

    @classmethod
    def of(cls, main: Union[str, Graph], input: Any = None, **others: Union[str, Graph, None]) -> Graphs:
        """Return the graphs that are named by their ids or as `Graph`."""
        for name, graph in {"assistant_id": main, **others}.items():
            if not isinstance(graph, (str, Graph)) and (graph is not None or name == "assistant_id"):
                raise InvalidRequestError(f"{name}={graph!r}: give the id of an assistant, or a Graph")
        if isinstance(main, Graph) and input is not None:
            raise InvalidRequestError("input= is for an assistant that is named by its id; the Graph has an input")
        first = main if isinstance(main, Graph) else Graph(main, input)
        return cls(first, **{name: Graph(graph) if isinstance(graph, str) else graph for name, graph in others.items()})


@attrs.frozen
class ConformanceRow:
    """What one check found."""

    #: The short name of the check, such as ``wait-succeeds``.
    name: str
    #: The group of the promise, such as ``Each run once``.
    area: str
    #: The promise of the library, in a sentence.
    promise: str
    verdict: Verdict
    #: What the server does, if it differs; what went wrong, if the promise is broken; the reason, if it was not tried.
    found: str = ""
    #: What the library does about a server that differs.
    handling: str = ""
    #: How long the check took.
    seconds: float = 0.0

    def as_dict(self) -> Dict[str, Any]:
        """Return the row as JSON values."""
        return {**attrs.asdict(self), "verdict": self.verdict.value, "seconds": round(self.seconds, 3)}


@attrs.frozen
class Conformance:
    """What all checks found on one server."""

    #: The URL of the server, without credentials.
    base_url: str
    #: One row for each check, in a fixed order.
    rows: Tuple[ConformanceRow, ...]
    #: The ids of threads that the checks created and could not delete.
    left_threads: Tuple[str, ...] = ()

    @property
    def conforms(self) -> bool:
        """True if no promise is broken: each holds, is kept in another way, or was not tried."""
        return not self.broken

    @property
    def broken(self) -> Tuple[ConformanceRow, ...]:
        """The rows of the promises that do not hold on this server."""
        return self.having(Verdict.BROKEN)

    def having(self, verdict: Union[Verdict, str]) -> Tuple[ConformanceRow, ...]:
        """Return the rows with a verdict."""
        return tuple(row for row in self.rows if row.verdict == verdict)

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of rows with each verdict."""
        return {verdict.value: len(self.having(verdict)) for verdict in Verdict}
