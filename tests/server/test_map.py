"""``client.runs.map`` on the real server: killed and restarted, in two processes at once, stopped early. Nothing is run twice or left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from langgraph_runs import Client, Ledger
from langgraph_runs.devserver import DevServer

from ..bench.killing import experiment
from .conftest import PATIENCE, Gate, wait_until

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "inputs", "kills", "keep"), [(1, 40, 2, False), (2, 40, 2, True)])
def test_maps_that_are_killed_run_each_input_once(processes: int, inputs: int, kills: int, keep: bool) -> None:
    """SIGKILL at random moments, behind a proxy that breaks connections. ``python -m tests.bench.killing`` does more of this.

    If threads are not kept, none is left.
    """
    found = experiment(inputs=inputs, kills=kills, processes=processes, concurrency=12, seed=7, workers=40, latest=1.8, keep=keep)
    assert found.good, found
    assert found.kills > 0


PROGRAM = """
import sys
from langgraph_runs import Client

url, gate, ledger, on_interrupt = sys.argv[1:]
client = Client(url)
inputs = [{"gate": gate, "tag": f"run{n}"} for n in range(4)]
results = client.runs.map("gated", inputs, ledger=ledger or None, concurrency=4, on_interrupt=on_interrupt, metadata={"of": gate})
for result in results:
    print(result.index, flush=True)
"""


@pytest.mark.parametrize("on_interrupt", ["cancel", "detach"])
def test_ctrl_c_ends_a_program_at_once(server: DevServer, client: Client, gate: Gate, tmp_path: Path, on_interrupt: str) -> None:
    """Its runs are cancelled and their threads deleted; or they go on, and the next map gets their results."""
    ledger = Ledger(tmp_path / "jobs.sqlite")
    arguments = [server.url, gate.input()["gate"], ledger.path, on_interrupt]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        try:
            wait_until(lambda: all(gate.begun(f"run{n}") for n in range(4)), "four runs to begin")
            program.send_signal(signal.SIGINT)
            out, err = program.communicate(timeout=PATIENCE)
        finally:
            program.kill()
    assert ("", True, -signal.SIGINT) == (out, err.rstrip().endswith("KeyboardInterrupt"), program.returncode)
    left = client.threads.search(metadata={"of": arguments[1]})
    counts = ledger.counts()
    if on_interrupt == "cancel":
        assert (0, 4, 0) == (len(left), counts["pending"], counts["started"])
    else:
        assert (4, 0, 4) == (len(left), counts["pending"], counts["started"])
    gate.open()
    inputs = [{"gate": arguments[1], "tag": f"run{n}"} for n in range(4)]
    results = list(client.runs.map("gated", inputs, ledger=ledger, metadata={"of": arguments[1]}))
    assert [["begun", f"run{n}"] for n in range(4)] == [one.values["passed"] for one in sorted(results, key=lambda one: one.index)]
    assert [] == client.threads.search(metadata={"of": arguments[1]})
    assert {"pending": 0, "started": 0, "done": 4, "failed": 0} == ledger.counts()


BROKEN = """
import sys
from langgraph_runs import Client

def main():
    inputs = [{"gate": sys.argv[2] if n else "/dev/null", "tag": f"run{n}"} for n in range(4)]
    for result in Client(sys.argv[1]).runs.map("gated", inputs, concurrency=4, ledger=sys.argv[3], metadata={"of": sys.argv[2]}):
        raise RuntimeError("an error in the loop")

main()
"""


def test_a_program_that_ends_with_an_exception_leaves_nothing(
    server: DevServer, client: Client, gate: Gate, tmp_path: Path
) -> None:
    """Although the iterator still exists when the interpreter exits, which does not wait for runs."""
    ledger = Ledger(tmp_path / "jobs.sqlite")
    arguments = [server.url, gate.input()["gate"], ledger.path]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, *arguments], env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert (1, True) == (done.returncode, done.stderr.rstrip().endswith("RuntimeError: an error in the loop"))
    assert [] == client.threads.search(metadata={"of": arguments[1]})
    assert {"pending": 3, "started": 0, "done": 1, "failed": 0} == ledger.counts()


def test_an_iterator_without_references_leaves_nothing(client: Client, gate: Gate) -> None:
    """As after a ``break``: the runs are cancelled and their threads deleted."""
    inputs = [{"gate": gate.input()["gate"], "tag": f"run{n}"} for n in range(5)]
    results = client.runs.map("gated", inputs, metadata={"of": inputs[0]["gate"]}, concurrency=5)
    opener = threading.Thread(target=lambda: (gate.wait_begun("run4"), gate.open()))
    opener.start()
    assert next(results).succeeded
    opener.join()
    del results
    assert [] == client.threads.search(metadata={"of": inputs[0]["gate"]})


def test_paused_runs_of_both_kinds_can_be_resumed(client: Client) -> None:
    """An interrupt, and a pause before a node: both threads are kept."""
    (interrupted,) = client.runs.map("asker", [{"questions": ["Send this?"]}])
    assert interrupted.paused and interrupted.thread_id is not None
    values = client.runs.wait(interrupted.thread_id, "asker", command={"resume": "yes"})
    assert [{"Send this?": "yes"}] == values["answers"]
    (before,) = client.runs.map("steps", [{"path": []}], interrupt_before=["two"])
    assert before.paused and before.values == {"path": ["one"]} and before.thread_id is not None
    assert {"path": ["one", "two", "three"]} == client.runs.wait(before.thread_id, "steps")
    for result in (interrupted, before):
        client.threads.delete(result.thread_id or "")
