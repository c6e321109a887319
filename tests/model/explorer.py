"""Explores all states that a model can reach, breadth first, and finds a shortest way to a bad one."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Callable, Generic, Optional, TypeVar

__all__ = ["Exploration", "explore"]

S = TypeVar("S", bound=Hashable)


@dataclass
class Exploration(Generic[S]):
    """What `explore` has found."""

    states: int
    transitions: int
    #: States without a next one.
    ends: int
    #: What is wrong with the first bad state, or None.
    problem: Optional[str] = None
    #: The names of the steps from the first state to the bad one, a shortest way.
    steps: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """One line with the counts, and the way to the bad state below it."""
        counts = f"{self.states:,} states, {self.transitions:,} transitions, {self.ends:,} ends"
        if self.problem is None:
            return counts
        return "\n".join([f"{counts}: {self.problem}", *(f"    {number}. {step}" for number, step in enumerate(self.steps, 1))])


def explore(
    first: S,
    successors: Callable[[S], Iterable[tuple[str, S]]],
    problem_of: Callable[[S, bool], Optional[str]],
    *,
    canonical: Optional[Callable[[S], S]] = None,
) -> Exploration[S]:
    """Visit every state that can be reached from *first*; stop at the first one with a problem.

    *problem_of* gets a state, and whether it is an end: no step leads out of it. From every state an end must be reachable, else
    that is a problem too: calls that wait for ever. *canonical* returns one of several states that are alike.
    """
    came_from: dict[S, Optional[tuple[S, str]]] = {first: None}
    before: dict[S, list[S]] = {}
    ends: list[S] = []
    queue, transitions = deque([first]), 0
    while queue:
        state = queue.popleft()
        end = True
        for name, following in successors(state):
            transitions += 1
            end = False
            if canonical is not None:
                following = canonical(following)
            if following not in came_from:
                came_from[following] = (state, name)
                queue.append(following)
            before.setdefault(following, []).append(state)
        if end:
            ends.append(state)
        problem = problem_of(state, end)
        if problem is not None:
            return Exploration(len(came_from), transitions, len(ends), problem, _way(came_from, state))
    good, reached = list(ends), set(ends)
    while good:
        for state in before.get(good.pop(), ()):
            if state not in reached:
                reached.add(state)
                good.append(state)
    stuck = next((state for state in came_from if state not in reached), None)
    if stuck is not None:
        return Exploration(len(came_from), transitions, len(ends), "a call waits for ever", _way(came_from, stuck))
    return Exploration(len(came_from), transitions, len(ends))


def _way(came_from: dict[S, Optional[tuple[S, str]]], state: S) -> tuple[str, ...]:
    steps: list[str] = []
    while True:
        link = came_from[state]
        if link is None:
            return tuple(reversed(steps))
        state, name = link
        steps.append(name)
