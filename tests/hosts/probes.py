"""Five calls that are made inside of a host: a plain call, a stream, a timeout, an abort and a map. Each says what went wrong.

Imports only the standard library and the package, so that it runs wherever the package does. As a program, ``python probes.py URL
SILENT_URL`` prints the results as one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
import traceback
from typing import Any, Callable, Dict, List, Tuple

from langgraph_runs import AbortController, AbortedError, APITimeoutError, Client, DeadlineExceededError, LangGraphRunsError

__all__ = ["CALLS", "FAKE_VARIABLE", "SILENT_VARIABLE", "Probe", "from_environment", "main"]

#: The variables that name the two servers: a fake one, whose runs succeed, and one that never responds.
FAKE_VARIABLE, SILENT_VARIABLE = "TEST_HOSTS_FAKE_URL", "TEST_HOSTS_SILENT_URL"
#: Seconds after which a call that must end after LIMIT has taken too long, also on a busy machine.
LATEST = 8.0
LIMIT = 0.5


class Probe:
    """The clients of one process. Make it before a fork to try the calls on both sides of it."""

    def __init__(self, fake_url: str, silent_url: str) -> None:
        self.client = Client(fake_url, api_key=None, timeout=60)
        self.silent = Client(silent_url, api_key=None, read_timeout=30)

    def plain(self) -> None:
        thread_id = self.client.threads.create().thread_id
        expect({"done": True}, self.client.runs.wait(thread_id, "agent", input={"n": 1}))
        run = self.client.runs.create(thread_id, "agent", input={"n": 2})
        expect({"done": True}, self.client.runs.join(thread_id, run.run_id))
        expect("success", self.client.runs.get(thread_id, run.run_id).status)

    def stream(self) -> None:
        """The first connection is cut after one event."""
        thread_id = self.client.threads.create().thread_id
        with self.client.runs.stream(thread_id, "agent", input={"cut": True}, stream_mode="custom") as events:
            expect([1, 2], [event.data for event in events if event.mode == "custom"])

    def timeout(self) -> None:
        ended(DeadlineExceededError, lambda: self.silent.ok(timeout=LIMIT))
        ended(APITimeoutError, lambda: once(self.silent).with_options(read_timeout=LIMIT).ok())

    def abort(self) -> None:
        controller = AbortController()
        timer = threading.Timer(LIMIT, controller.abort)
        timer.start()
        ended(AbortedError, lambda: self.silent.ok(signal=controller.signal))
        timer.join()

    def map(self) -> None:
        inputs = {f"key-{number}": {"n": number} for number in range(6)}
        with tempfile.TemporaryDirectory() as directory:
            ledger = os.path.join(directory, "ledger.sqlite")
            for _ in range(2):  # the second time, all results come from the ledger
                with self.client.runs.map("agent", inputs.items(), concurrency=3, ledger=ledger) as results:
                    found = {result.key: result.values for result in results}
                expect(dict.fromkeys(inputs, {"done": True}), found)
                expect(["ledger.sqlite"], os.listdir(directory))  # also without the lock of the process that had the claims

    def run(self, name: str) -> str:
        """Make one of CALLS. Return "" if all went as it should, else what went wrong."""
        try:
            getattr(self, name)()
        except Exception:
            return traceback.format_exc()
        return ""

    def run_all(self) -> Dict[str, str]:
        return {name: self.run(name) for name in CALLS}


#: The calls, in the order of the columns of the table.
CALLS: Tuple[str, ...] = ("plain", "stream", "timeout", "abort", "map")


def once(client: Client) -> Client:
    from langgraph_runs import RetryPolicy

    return client.with_options(retry=RetryPolicy(attempts=1))


def expect(wanted: Any, found: Any) -> None:
    if wanted != found:
        raise AssertionError(f"wanted {wanted!r}, got {found!r}")


def ended(kind: type, work: Callable[[], Any]) -> None:
    """The call raises this error about LIMIT seconds from now."""
    began = time.monotonic()
    try:
        found: Any = work()
    except LangGraphRunsError as error:
        found = error
    seconds = time.monotonic() - began
    if type(found) is not kind or not LIMIT * 0.8 <= seconds < LATEST:
        raise AssertionError(f"wanted {kind.__name__} after {LIMIT} s, got {found!r} after {seconds:.2f} s")


def from_environment() -> Probe:
    return Probe(os.environ[FAKE_VARIABLE], os.environ[SILENT_VARIABLE])


def main(arguments: List[str]) -> None:
    print(json.dumps(Probe(*arguments).run_all()))


if __name__ == "__main__":
    main(sys.argv[1:])
