"""A model of the protocol of idempotency keys: its steps have the names of those in ``langgraph_runs/runs/keyed_start.py``.

    python -m tests.model.idempotency            # all configurations, exhaustively; prints the number of states of each
    python -m tests.model.idempotency --broken   # variants of the protocol that lack one rule, and how each of them fails

Several calls with one key run the protocol on one server. Between any two steps a call may die, a run may end, a delayed message may
arrive or get lost, time may pass until a lock expires, or the server may restart. Each request may get lost, or its response may, it
may be delayed beyond the end of its call, or be executed twice by a proxy. All orders of all of this are explored. A call that dies is
one that makes no further step, which is an order like any other: so what must hold is checked in every state, not only at the end.
With ``World.deaths`` it is a step of its own, which shows that the other calls do not wait for it.

What is assumed of the world: a delayed create is executed before the lock of its call expires or, on a given thread, before its
call has looked for it for the last time (``World.late`` drops that); and a proxy repeats a request only before it passes a response
on. Calls are alike, so that of states which differ in the numbers of calls alone, one is explored.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Optional

from .explorer import Exploration, explore

__all__ = ["BROKEN", "CONFIGURATIONS", "Protocol", "World", "run"]


@dataclass(frozen=True)
class Protocol:
    """The rules; a variant that lacks one is broken."""

    #: A call that finds the thread may not post at once: it takes the next lock first.
    locks_takeovers: bool = True
    #: A call posts only while it holds its lock.
    posts_in_time: bool = True
    #: A call that has taken over looks before it posts.
    looks_before: bool = True
    #: A call looks again after it has posted.
    looks_again: bool = True
    #: Of two runs the older one stays. Else each call removes the run of the other.
    older_stays: bool = True
    #: A call whose create was lost does not send it again with the same lock.
    posts_once: bool = True


@dataclass(frozen=True)
class World:
    """What happens around the protocol."""

    name: str
    calls: int = 2
    #: True: the calls name the thread. False: it is derived from the key.
    given: bool = False
    #: The server refuses a run while another one is unfinished.
    reject: bool = True
    #: Another program's run is on the thread at the beginning, and keeps it busy for a while.
    foreign: bool = False
    #: How many messages may get lost or be delayed.
    losses: int = 1
    #: How many creates a proxy may repeat.
    duplicates: int = 0
    #: How often the server may restart.
    restarts: int = 0
    #: How many calls may die.
    deaths: int = 0
    #: How many creates the server may refuse for a moment.
    refusals: int = 0
    #: A delayed create may be executed at any time, also after its call's lock has expired.
    late: bool = False
    #: The highest number of locks.
    locks: int = 3
    #: True if it takes more than about a second.
    large: bool = False


class Call(NamedTuple):
    """One call: the step that comes next, and what it knows."""

    step: str = "take_lock"
    lock: int = 0
    #: The run that its own response has named.
    own: int = -1
    #: The result, or the run that stays, while others are removed.
    run: int = -1


class Lock(NamedTuple):
    """A lock that exists."""

    holder: int
    released: bool = False
    expired: bool = False


class Run(NamedTuple):
    """A run of the key, in the order of their creation."""

    #: The call that created it, whose marker it has.
    call: int
    #: ``active``, ``ended`` or ``removed`` (cancelled and deleted).
    state: str = "active"


class Message(NamedTuple):
    """A request that is on its way, and whose call does not wait for it any more."""

    kind: str
    call: int
    lock: int
    reject: bool = True


class State(NamedTuple):
    """The whole world at one moment."""

    calls: tuple[Call, ...]
    locks: tuple[Lock, ...] = ()
    runs: tuple[Run, ...] = ()
    network: tuple[Message, ...] = ()
    #: True while the run of another program is unfinished.
    busy: bool = False
    losses: int = 0
    duplicates: int = 0
    restarts: int = 0
    deaths: int = 0
    refusals: int = 0


#: The steps after which a call has ended.
ENDED = frozenset({"done", "error", "dead"})
Next = Iterator[tuple[str, State]]


class Model:
    """The steps of all calls and of the world around them."""

    def __init__(self, protocol: Protocol, world: World) -> None:
        self.protocol = protocol
        self.world = world

    def first(self) -> State:
        world = self.world
        call = Call("look" if world.given else "take_lock")
        budget = (world.losses, world.duplicates, world.restarts, world.deaths, world.refusals)
        return State((call,) * world.calls, (), (), (), world.foreign, *budget)

    def successors(self, state: State) -> Next:
        for number, call in enumerate(state.calls):
            if call.step in ENDED:
                continue
            for name, following in getattr(self, call.step)(state, number, call):
                yield f"call {number}: {name}", following
            if state.deaths and call.step != "has_expired":
                yield f"call {number} dies", _with_call(state._replace(deaths=state.deaths - 1), number, call._replace(step="dead"))
        yield from self._world(state)

    # -- the server

    def _execute_lock(self, state: State, number: int, lock: int) -> tuple[bool, State]:
        """Return whether the lock is the call's, and the state afterwards."""
        if lock < len(state.locks):
            return state.locks[lock].holder == number, state
        return True, state._replace(locks=(*state.locks, Lock(number)))

    def _execute_post(self, state: State, number: int, *, reject: bool) -> tuple[int, State]:
        """Return the number of the new run, or -1 for a refusal, and the state afterwards."""
        active = state.busy or any(run.state == "active" for run in state.runs)
        if reject and self.world.reject and active:
            return -1, state
        return len(state.runs), state._replace(runs=(*state.runs, Run(number)))

    # -- the world

    def _world(self, state: State) -> Next:
        if not state.network and all(call.step in ENDED for call in state.calls):
            return
        for index, run in enumerate(state.runs):
            if run.state == "active" and self.world.reject:
                yield f"run {index} ends", _with_run(state, index, "ended")
        if state.busy:
            yield "the run of another program ends", state._replace(busy=False)
        for index, message in enumerate(state.network):
            rest = state._replace(network=state.network[:index] + state.network[index + 1 :])
            yield f"{message.kind} of call {message.call} is lost", rest
            if message.kind == "take_lock":
                yield f"take_lock of call {message.call} arrives", self._execute_lock(rest, message.call, message.lock)[1]
            else:
                following = self._execute_post(rest, message.call, reject=message.reject)[1]
                yield f"post of call {message.call} arrives", following
        for number, lock in enumerate(state.locks):
            on_its_way = any(message.kind == "post" and message.lock == number for message in state.network)
            is_newest = number == len(state.locks) - 1
            if is_newest and not lock.expired and (self.world.late or not on_its_way):
                yield f"lock {number} expires", _with_lock(state, number, lock._replace(expired=True))
        if state.restarts:
            yield "the server restarts", state._replace(restarts=state.restarts - 1, network=())

    # -- the steps of a call, on the derived thread

    def take_lock(self, state: State, number: int, call: Call) -> Next:
        granted, executed = self._execute_lock(state, number, call.lock)
        if granted:
            looks = call.lock > 0 and self.protocol.looks_before
            yield f"take_lock {call.lock}", _with_call(executed, number, call._replace(step="look_as_holder" if looks else "post"))
        else:
            yield f"finds lock {call.lock}", _with_call(state, number, call._replace(step="wait_for_run"))
        if state.losses:
            less = state._replace(losses=state.losses - 1)
            if granted and executed != state:
                yield f"take_lock {call.lock}, the response is lost", executed._replace(losses=less.losses)
            yield f"take_lock {call.lock} is delayed", _sent(less, Message("take_lock", number, call.lock))

    def wait_for_run(self, state: State, number: int, call: Call) -> Next:
        if _present(state):
            yield from self._found(state, number, call, "look: the run is there")
            return
        yield "look: there is none", _with_call(state, number, call._replace(step="has_expired"))

    def has_expired(self, state: State, number: int, call: Call) -> Next:
        lock = state.locks[call.lock]
        if not (lock.released or lock.expired or call.lock < len(state.locks) - 1):
            yield "waits", _with_call(state, number, call._replace(step="wait_for_run"))
        else:
            if not self.protocol.locks_takeovers:
                yield "takes over", _with_call(state, number, call._replace(step="post"))
            elif call.lock + 1 < self.world.locks:
                yield "takes over", _with_call(state, number, call._replace(step="take_lock", lock=call.lock + 1))
            else:
                yield "gives up", _with_call(state, number, call._replace(step="error"))

    def look_as_holder(self, state: State, number: int, call: Call) -> Next:
        if _present(state):
            yield from self._found(state, number, call, "look: the run is there")
        else:
            yield "look: there is none", _with_call(state, number, call._replace(step="post"))

    def post(self, state: State, number: int, call: Call) -> Next:
        checks = self.protocol.posts_in_time and self.protocol.locks_takeovers and not self.world.given
        if checks and state.locks[call.lock].expired:
            yield "is too late to post", _with_call(state, number, call._replace(step="release"))
            return
        yield from self._post(state, number, call, reject=True)

    def _post(self, state: State, number: int, call: Call, *, reject: bool) -> Next:
        yield self._after_post(*self._execute_post(state, number, reject=reject), number, call, "post")
        if state.duplicates:
            first, once = self._execute_post(state._replace(duplicates=state.duplicates - 1), number, reject=reject)
            if first >= 0:
                for between, name in (
                    (once, "post, twice"),
                    (_with_run(once, first, "ended"), "post, twice, the first run has ended"),
                ):
                    yield self._after_post(*self._execute_post(between, number, reject=reject), number, call, name)
        if state.losses:
            less = state._replace(losses=state.losses - 1)
            looks_up = call._replace(step="look_up")
            executed = self._execute_post(less, number, reject=reject)[1]
            yield "post, the response is lost", _with_call(executed, number, looks_up)
            yield "post is delayed", _with_call(_sent(less, Message("post", number, call.lock, reject)), number, looks_up)
        if state.refusals:
            refused = state._replace(refusals=state.refusals - 1)
            yield "post is refused for a moment", _with_call(refused, number, call._replace(step="release"))

    def _after_post(self, run: int, state: State, number: int, call: Call, name: str) -> tuple[str, State]:
        if run < 0:
            return f"{name}: refused, the thread is busy", _with_call(state, number, call._replace(step="look_at_conflict"))
        if self.protocol.looks_again:
            return f"{name}: run {run}", _with_call(state, number, call._replace(step="look_again", own=run))
        return f"{name}: run {run}", _with_call(state, number, call._replace(step="done", own=run, run=run))

    def look_up(self, state: State, number: int, call: Call) -> Next:
        """After a create whose response was lost."""
        if any(state.runs[index].call == number for index in _present(state)):
            yield from self._found(state, number, call, "look_up: the run is there")
            return
        if self.world.given or not self.protocol.posts_once:
            on_its_way = any(message.kind == "post" and message.call == number for message in state.network)
            if not on_its_way or self.world.late or not self.world.given:
                yield "look_up: there is none", _with_call(state, number, call._replace(step="post"))
        else:
            yield "look_up: there is none", _with_call(state, number, call._replace(step="wait_for_run"))

    def look_at_conflict(self, state: State, number: int, call: Call) -> Next:
        if _present(state):
            yield from self._found(state, number, call, "look: the run is there")
        elif self.world.given:
            yield "look: another run", _with_call(state, number, call._replace(step="post_as_given"))
        else:
            yield "look: another run", _with_call(state, number, call._replace(step="release"))

    def release(self, state: State, number: int, call: Call) -> Next:
        if self.world.given:
            yield "posts again", _with_call(state, number, call._replace(step="post"))
            yield "raises", _with_call(state, number, call._replace(step="error"))
            return
        released = _with_lock(state, call.lock, state.locks[call.lock]._replace(released=True))
        yield "release", _with_call(released, number, call._replace(step="wait_for_run"))
        yield "release, and raise", _with_call(released, number, call._replace(step="error"))

    # -- on a given thread

    def look(self, state: State, number: int, call: Call) -> Next:
        if _present(state):
            yield from self._found(state, number, call, "look: the run is there")
        else:
            yield "look: there is none", _with_call(state, number, call._replace(step="post"))

    def post_as_given(self, state: State, number: int, call: Call) -> Next:
        yield from self._post(state, number, call, reject=False)

    # -- on both

    def look_again(self, state: State, number: int, call: Call) -> Next:
        yield from self._found(state, number, call, "look_again")

    def _found(self, state: State, number: int, call: Call, name: str) -> Next:
        present = _present(state)
        if not present:
            yield f"{name}: it was removed", _with_call(state, number, call._replace(step="error"))
            return
        stays = present[0] if self.protocol.older_stays or call.own not in present else call.own
        if len(present) == 1:
            yield f"{name}: run {stays}", _with_call(state, number, call._replace(step="done", run=stays))
        else:
            yield (
                f"{name}: run {stays} of {len(present)}",
                _with_call(state, number, call._replace(step="remove_younger", run=stays)),
            )

    def remove_younger(self, state: State, number: int, call: Call) -> Next:
        others = [index for index in _present(state) if index != call.run]
        if others:
            yield f"remove_younger: run {others[-1]}", _with_run(state, others[-1], "removed")
        else:
            yield f"returns run {call.run}", _with_call(state, number, call._replace(step="done"))

    # -- what must hold

    def problem_of(self, state: State, end: bool) -> Optional[str]:
        """What is wrong with a state, or None."""
        if self._never_two and len(state.runs) > 1:
            return "two runs exist at a time"
        present = _present(state)
        results = {call.run for call in state.calls if call.step == "done"}
        if len(results) > 1:
            return "two calls have returned different runs"
        if results - set(present):
            return "a call has returned a run that was cancelled"
        if end and any(call.step not in ENDED for call in state.calls):
            return "a call waits for ever"
        if end and len(present) > 1 and not self._may_leave_two(state):
            return "two runs are left that are not cancelled"
        return None

    @property
    def _never_two(self) -> bool:
        """True if not even for a moment two runs may exist."""
        return not (self.world.given or self.world.late or self.world.duplicates)

    def _may_leave_two(self, state: State) -> bool:
        """True if the call that would have removed the second run has ended without looking; the next call with the key removes it."""
        return any(state.calls[state.runs[index].call].step in ("dead", "error") for index in _present(state)[1:])


def _present(state: State) -> list[int]:
    return [index for index, run in enumerate(state.runs) if run.state != "removed"]


def _with_call(state: State, number: int, call: Call) -> State:
    if call.step in ENDED:
        call = Call(call.step, run=call.run if call.step == "done" else -1)
    return state._replace(calls=(*state.calls[:number], call, *state.calls[number + 1 :]))


def _with_run(state: State, number: int, to: str) -> State:
    return state._replace(runs=(*state.runs[:number], state.runs[number]._replace(state=to), *state.runs[number + 1 :]))


def _with_lock(state: State, number: int, lock: Lock) -> State:
    return state._replace(locks=(*state.locks[:number], lock, *state.locks[number + 1 :]))


def _canonical(state: State) -> State:
    """Return the one of all states that differ in the numbers of calls alone. A run or a message keeps its call."""
    count = len(state.calls)
    marks = [
        (
            call,
            tuple(index for index, lock in enumerate(state.locks) if lock.holder == number),
            tuple(index for index, run in enumerate(state.runs) if run.call == number),
            tuple(message for message in state.network if message.call == number),
        )
        for number, call in enumerate(state.calls)
    ]
    order = sorted(range(count), key=lambda number: (marks[number][:3], tuple(m._replace(call=0) for m in marks[number][3])))
    if order == list(range(count)):
        return state
    new = {old: number for number, old in enumerate(order)}
    return state._replace(
        calls=tuple(state.calls[old] for old in order),
        locks=tuple(lock._replace(holder=new[lock.holder]) for lock in state.locks),
        runs=tuple(run._replace(call=new[run.call]) for run in state.runs),
        network=tuple(sorted(message._replace(call=new[message.call]) for message in state.network)),
    )


def _sent(state: State, message: Message) -> State:
    return state._replace(network=tuple(sorted((*state.network, message))))


#: The worlds that are explored exhaustively.
CONFIGURATIONS = (
    World("derived thread, three calls", calls=3, losses=1, large=True),
    World("derived thread, two locks", calls=3, losses=1, locks=2),
    World("derived thread, many faults", calls=2, losses=2, restarts=1, refusals=1, large=True),
    World("derived thread, deaths and refusals", calls=2, losses=1, deaths=2, refusals=1, large=True),
    World("derived thread, deaths", calls=2, losses=1, deaths=1, locks=2),
    World("derived thread, proxy that repeats", calls=2, losses=1, duplicates=1, restarts=1, refusals=1, large=True),
    World("derived thread, server ignores reject", calls=3, losses=1, locks=2, reject=False),
    World("derived thread, server ignores reject, proxy that repeats", calls=2, losses=1, duplicates=1, reject=False, large=True),
    World("given thread, three calls", calls=3, given=True, losses=2, duplicates=1, large=True),
    World("given thread, deaths", calls=2, given=True, losses=2, deaths=2, refusals=1),
    World("given thread that is busy", calls=3, given=True, foreign=True, losses=0),
    World("given thread, server ignores reject", calls=3, given=True, losses=1, reject=False),
    World("given thread, proxy that repeats", calls=2, given=True, losses=1, duplicates=1),
)
#: Variants that lack one rule, each in a world in which that shows.
BROKEN = {
    "every waiting call takes over": (Protocol(locks_takeovers=False), World("", calls=3, losses=0, deaths=1, reject=False)),
    "a call posts although its lock has expired": (Protocol(posts_in_time=False), World("", calls=2, losses=0, reject=False)),
    "a call that takes over does not look before it posts": (Protocol(looks_before=False), World("", calls=2, losses=1)),
    "a call does not look again": (Protocol(looks_again=False), World("", calls=2, given=True, losses=0)),
    "each call removes the run of the other": (Protocol(older_stays=False), World("", calls=2, given=True, losses=0)),
    "a call sends a lost create again with the same lock": (Protocol(posts_once=False), World("", calls=2, losses=1)),
    "the assumption: a create arrives after the lock of its call has expired": (
        Protocol(),
        World("", calls=2, losses=1, deaths=1, late=True),
    ),
}


def run(protocol: Protocol, world: World) -> Exploration[State]:
    """Explore one world."""
    model = Model(protocol, world)
    alike = protocol == Protocol() and world.calls > 2
    return explore(model.first(), model.successors, model.problem_of, canonical=_canonical if alike else None)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.model.idempotency", description=__doc__)
    parser.add_argument("--broken", action="store_true", help="explore the broken variants")
    arguments = parser.parse_args()
    failed = False
    for name, (protocol, world) in (
        BROKEN.items() if arguments.broken else {world.name: (Protocol(), world) for world in CONFIGURATIONS}.items()
    ):
        began = time.process_time()
        found = run(protocol, world)
        failed = failed or (found.problem is None) is arguments.broken
        print(f"{name} ({time.process_time() - began:.1f} s of CPU time)\n  {found.text}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
