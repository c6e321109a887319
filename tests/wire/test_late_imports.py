"""A call imports nothing: from the moment that a client exists, all that its calls and their failures need is there.

The calls are made in a process of their own, in which every import is noted and refused.
"""

from __future__ import annotations

import gzip
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from langgraph_runs import Client
from langgraph_runs.testing import fails, fake_server, succeeds

from .scripted import ScriptedServer, closed_port, reply, reply_json, stall

ROOT = Path(__file__).resolve().parent.parent.parent
LONG_AGO = "Wed, 21 Oct 2015 07:28:00 GMT"
#: Responses for one ``info`` each, but for the first two: a request is repeated after a 503.
RESPONSES = [
    reply_json(503, {"detail": "busy"}, [("Retry-After", LONG_AGO)]),
    reply_json(200, {"version": "1"}, [("Date", LONG_AGO)]),
    reply(404, b"<html><h1>gone &amp; away</h1></html>", [("content-type", "text/html")]),
    reply(302, b"", [("location", "http://127.0.0.1:1/")]),
    reply_json(500, {"detail": "no"}),
    reply_json(500, {"detail": "no"}),
    reply(200, gzip.compress(b'{"version":"1"}'), [("content-encoding", "gzip"), ("content-type", "application/json")]),
    reply(200, b"{no json", [("content-type", "application/json")]),
    reply(200, b"\xff\xfe{}", [("content-type", "application/json; charset=latin-1")]),
    reply_json(401, {"detail": "login"}),
]


def run_alone(program: str, argument: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, with options of Python."""
    return subprocess.run(
        [sys.executable, *options, "-c", program, argument], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


PROGRAM = """
import dataclasses, datetime, decimal, enum, json, os, pathlib, sys, tempfile, traceback, uuid
sys.argv[1:] = json.loads(sys.argv[1])
sys.path.insert(0, "tests/hosts")
from probes import CALLS, Probe
import langgraph_runs
from langgraph_runs import Client, LangGraphRunsError, RetryPolicy

fake, silent, scripted, closed = sys.argv[1:]
probe = Probe(fake, silent)
once = RetryPolicy(attempts=2, wait_initial=0.01)
other, refused, unknown, foreign = [
    Client(url, api_key=None, retry=once, timeout=20) for url in (scripted, closed, "http://unknown.invalid", "http://bücher.invalid")
]
imported, results = {}, []

class Refusing:
    @staticmethod
    def find_spec(name, path=None, target=None):
        imported.setdefault(name, "".join(traceback.format_stack(limit=8)[:-1]))
        raise ImportError(f"{name} was imported by a call")

@dataclasses.dataclass
class Data:
    number: int = 1

def tried(work):
    try:
        results.append(str(work()))
    except LangGraphRunsError as error:
        results.append(type(error).__name__)

sys.meta_path.insert(0, Refusing)
for name in CALLS:
    tried(lambda: probe.run(name))
for _ in range(8):
    tried(lambda: other.info().version)
for client in refused, unknown, foreign:
    tried(client.ok)
runs, threads = probe.client.runs, probe.client.threads
thread_id = threads.create().thread_id
run_id = runs.create(thread_id, "agent").run_id
values = [datetime.datetime.now(), uuid.uuid4(), Data(), pathlib.Path("x"), decimal.Decimal(1), {1}, datetime.timedelta(1)]
for work in (
    lambda: runs.wait(thread_id, "agent", input={"fail": True}),
    lambda: runs.wait(thread_id, "agent", input={"values": values}),
    lambda: runs.wait(thread_id, "agent", input={"value": "\\ud800"}),
    lambda: runs.wait(None, "agent"),
    lambda: len(runs.create_batch([langgraph_runs.RunCreate(assistant_id="agent", thread_id=thread_id)])),
    lambda: len(list(runs.iter(thread_id))) > 2,
    lambda: threads.get_state(thread_id).next,
    lambda: len(threads.get_history(thread_id)) > 0,
    lambda: len(threads.search()) > 0,
    lambda: runs.get(thread_id, "no-uuid"),
    lambda: len(list(runs.join_stream(thread_id, run_id))),
    lambda: [result.values for result in runs.join_all([(thread_id, run_id)])],
    lambda: runs.delete(thread_id, run_id),
    lambda: probe.client.close(),
):
    tried(work)
sys.meta_path.remove(Refusing)
print(json.dumps([imported, results]))
"""


def test_a_call_imports_nothing() -> None:
    script = succeeds({"done": True}, events=[("custom", 1), 0.05, ("custom", 2)])
    with fake_server() as fake, ScriptedServer(always=stall()) as silent, ScriptedServer(*RESPONSES) as scripted:
        fake.script(script.cut_after(1), repeat=True, input={"cut": True})
        fake.script(fails("ValueError", "no ink"), repeat=True, input={"fail": True})
        fake.script(script, repeat=True)
        with closed_port() as closed:
            urls = json.dumps([fake.url, silent.url, scripted.url, closed])
        done = run_alone(PROGRAM, urls)
    assert not done.returncode and not done.stderr, done.stderr
    imported, results = json.loads(done.stdout)
    assert {} == imported
    assert [""] * 5 == results[:5]
    assert ["1", "NotFoundError", "APIStatusError", "InternalServerError", "1"] == results[5:10]
    assert ["ResponseDecodeError", "ResponseDecodeError", "AuthenticationError"] == results[10:13]
    assert ["APIConnectionError"] * 3 == results[13:16]
    assert ["RunFailedError", "{'done': True}"] == results[16:18]


UNPICKLING = """
import pickle, sys

runs = pickle.loads(bytes.fromhex(sys.argv[1]))
finders, sys.meta_path[:] = sys.meta_path[:], []  # without them nothing can be imported
print(runs.wait(None, "agent"))
sys.meta_path[:] = finders
"""


def test_a_call_of_an_object_from_a_pickle_imports_nothing() -> None:
    """As of ``client.runs`` in a process that multiprocessing has started."""
    with fake_server() as fake, Client(fake.url, api_key=None) as client:
        fake.script(succeeds({"done": True}))
        done = run_alone(UNPICKLING, pickle.dumps(client.runs).hex())
    assert ("", "{'done': True}\n") == (done.stderr, done.stdout)


INTERRUPTED = """
import os, signal, sys
from langgraph_runs import Client

class Interrupting:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "requests.models":
            sys.meta_path.remove(Interrupting)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting)
try:
    Client(sys.argv[1], api_key=None)
except KeyboardInterrupt:
    print("interrupted")
print(Client(sys.argv[1], api_key=None).ok())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_an_interrupt_while_the_first_client_is_made_leaves_no_half_imported_module() -> None:
    """As with the Stop button of a notebook. Without modules that were left out, no later client could be made."""
    with ScriptedServer(reply_json(200, {"ok": True})) as server:
        done = run_alone(INTERRUPTED, server.url)
    assert ("", "interrupted\nTrue\n") == (done.stderr, done.stdout)


WITHOUT_THREADS = """
import _thread, sys
def refuse(*_):
    raise RuntimeError("can't start new thread")
_thread.start_new_thread = refuse
from langgraph_runs import Client
print(Client(sys.argv[1], api_key=None).ok())
"""


def test_a_client_is_made_where_no_thread_can_be_started() -> None:
    with ScriptedServer(reply_json(200, {"ok": True})) as server:
        done = run_alone(WITHOUT_THREADS, server.url)
    assert ("", "True\n") == (done.stderr, done.stdout)


FORKED = """
import os, sys, threading
from langgraph_runs import Client, _late_imports
_late_imports._LONGEST_IMPORT = 0.01
begun, ended = threading.Event(), threading.Event()
def import_slowly():
    with _late_imports._importing:
        begun.set()
        ended.wait()
thread = threading.Thread(target=import_slowly)
thread.start()
begun.wait()
pid = os.fork()
if pid == 0:
    try:
        Client(sys.argv[1], api_key=None)
    except RuntimeError as error:
        os._exit(0 if "before the process is forked" in str(error) else 2)
    os._exit(1)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
ended.set()
thread.join()
print(code, Client(sys.argv[1], api_key=None).ok())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_that_did_not_wait_for_the_whole_import_is_an_error_in_the_child() -> None:
    """The thread that imports does not exist in the child. A client there would wait for it for ever."""
    with ScriptedServer(reply_json(200, {"ok": True})) as server:
        done = run_alone(FORKED, server.url, "-W", "ignore")
    assert ("", "0 True\n") == (done.stderr, done.stdout)
