"""The protocol of idempotency keys holds in the smaller configurations of its model, and each variant that lacks a rule fails.

``python -m tests.model.idempotency`` explores all configurations.
"""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from langgraph_runs.runs import key_lookup, keyed_start, locks

from ..structure import ROOT
from .explorer import explore
from .idempotency import BROKEN, CONFIGURATIONS, ENDED, Model, Protocol, World, run

#: The configurations that take less than a second.
SMALL = [world for world in CONFIGURATIONS if not world.large]


@pytest.mark.parametrize("world", SMALL, ids=lambda world: world.name)
def test_there_is_one_run_for_a_key_and_no_call_waits_for_ever(world: World) -> None:
    found = run(Protocol(), world)
    assert found.problem is None, found.text
    assert found.states > 500 and found.ends > 5


@pytest.mark.parametrize("name", BROKEN)
def test_a_protocol_that_lacks_a_rule_is_found_to_be_broken(name: str) -> None:
    """So each rule is needed, and the model is fine enough to show it."""
    protocol, world = BROKEN[name]
    found = run(protocol, world)
    assert found.problem is not None
    assert 4 <= len(found.steps) <= 16
    assert found.problem in found.text


def test_the_steps_have_the_names_of_the_code() -> None:
    """A step of the model is a function of the protocol's modules, or a use of one that its docstrings name."""
    code = "".join(inspect.getsource(module) for module in (keyed_start, key_lookup, locks))
    model = Model(Protocol(), World(""))
    steps = {
        name
        for name, function in inspect.getmembers(model, inspect.ismethod)
        if list(inspect.signature(function).parameters) == ["state", "number", "call"] and not name.startswith("_")
    }
    assert {"take_lock", "post", "look", "look_again", "remove_younger", "release", "wait_for_run"} < steps
    assert [] == sorted(name for name in steps if name not in code)
    assert not steps & ENDED


def test_a_call_that_waits_for_ever_is_found() -> None:
    """Between 1 and 2 there is no way out."""
    ways = {0: [("stop", 3), ("begin", 1)], 1: [("go", 2)], 2: [("come back", 1)], 3: []}
    found = explore(0, lambda state: ways[state], lambda state, end: None)
    assert ("a call waits for ever", ("begin",)) == (found.problem, found.steps)


def test_the_command_shows_how_each_broken_variant_fails() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.model.idempotency", "--broken"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert 0 == done.returncode, done.stderr
    assert len(BROKEN) == done.stdout.count(" states, ")
