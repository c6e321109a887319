"""The Stop button of a notebook: the kernel gets a signal, and the cell that runs ends with `KeyboardInterrupt`."""

from __future__ import annotations

import json
import time

import pytest

from .hosts import HOSTS, Place, kernel
from .probes import CALLS

REASON = HOSTS["jupyter"].unavailable_reason()
PRELUDE = """
import json
from tests.hosts.probes import from_environment
probe = from_environment()
thread_id = probe.client.threads.create().thread_id
def endless():
    yield from ({"n": n} for n in iter(int, 1))
"""
#: Cells that would take very long, each with the seconds in which the kernel is free again. A map that is stopped waits until its
#: runs are cancelled, but no longer than for two seconds and fifteen.
CELLS = {
    "print('begun', flush=True); probe.silent.ok()": 5,
    "print('begun', flush=True); list(probe.silent.runs.join_stream(thread_id, thread_id))": 5,
    "print('begun', flush=True); list(probe.client.runs.map('agent', endless(), concurrency=2))": 5,
    "print('begun', flush=True); list(probe.silent.runs.map('agent', [{'n': 1}]))": 60,
}


@pytest.mark.skipif(bool(REASON), reason=REASON or "-")
def test_the_stop_button_ends_a_cell_and_the_next_one_works(here: Place) -> None:
    with kernel(here) as notebook:
        assert "" == notebook.execute(PRELUDE)
        for cell, seconds in CELLS.items():
            request = notebook.start(cell)
            notebook.wait_for_text(request, "begun")
            time.sleep(0.2)  # not in the first instruction
            began = time.monotonic()
            notebook.manager.interrupt_kernel()
            assert notebook.finish(request).endswith("KeyboardInterrupt"), cell
            assert time.monotonic() - began < seconds, cell
        found = json.loads(notebook.execute("print(json.dumps(probe.run_all()))"))
    assert dict.fromkeys(CALLS, "") == found
