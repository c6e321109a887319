"""DevServer: the real server as a process that answers when it should and leaves nothing behind."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Iterator, List

import pytest

from langgraph_runs.devserver import DevServer, DevServerError

from .. import waiting

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(sys.version_info < (3, 11), reason="the LangGraph server needs Python 3.11 or newer"),
]

GRAPH = """
import os
from typing import Any, TypedDict
from langgraph.graph import StateGraph

class State(TypedDict, total=False):
    echo: Any

def say(state):
    return {"echo": [state.get("echo"), os.environ.get("GRAPH_SAYS"), os.environ.get("LANGGRAPH_RUNS_API_KEY")]}

graph = StateGraph(State).add_node(say).add_edge("__start__", "say").compile()
"""

CHECKOUT = str(Path(__file__).resolve().parents[2])


@pytest.fixture(autouse=True)
def _own_temp_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Temporary directories of these tests are in a place of their own, and none is left there."""
    place = tmp_path / "temp"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    monkeypatch.setenv("TMPDIR", str(place))
    yield
    wait_until(lambda: not list(place.glob("langgraph-runs-*")), "the temporary directory is gone")


@pytest.fixture
def graph(tmp_path: Path) -> str:
    file = tmp_path / "my_agent.py"
    file.write_text(GRAPH, encoding="utf-8")
    return f"{file}:graph"


def post(url: str, body: Any) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url + "/ok", timeout=5) as answer:
            return bool(json.load(answer)["ok"])
    except OSError:
        return False


wait_until = functools.partial(waiting.wait_until, seconds=30.0)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    with contextlib.suppress(OSError):  # not collected yet by init, or by whoever took over
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return False


def test_runs_the_graph_and_leaves_no_process_and_no_directory(graph: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph runs with the environment it was given; those of another server and of tracing do not reach it."""
    monkeypatch.setenv("LANGGRAPH_RUNS_API_KEY", "secret")
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    monkeypatch.setenv("MOUNT_PREFIX", "/elsewhere")

    with DevServer(graphs={"agent": graph}, env={"GRAPH_SAYS": "hello"}) as server:
        pid, directory = server.pid, server.log_path.parent
        values = post(server.url + "/runs/wait", {"assistant_id": "agent", "input": {"echo": 1}})

        assert {"echo": [1, "hello", None]} == values
        assert f"http://127.0.0.1:{server.port}" == server.url
        assert "secret" not in server.log_tail(1000)
        assert f"<DevServer agent: pid={pid} url='{server.url}'>" == repr(server)

    assert pid is not None
    assert gone(pid)
    assert not directory.exists()
    assert not server.running
    assert server.pid is None
    server.stop()


def test_the_server_prints_nothing(graph: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing of the server reaches our standard output and error."""
    with DevServer(graphs={"agent": graph}):
        pass

    assert ("", "") == capfd.readouterr()


def test_restart_after_kill_brings_an_empty_server_back_at_the_same_url(graph: str) -> None:
    with DevServer(graphs={"agent": graph}) as server:
        url, first = server.url, server.pid
        post(url + "/threads", {"thread_id": "6f2f9f6e-59f4-4f3a-9f3e-1d2f5a6b7c8d"})
        server.kill()

        assert not server.running
        assert not answers(url)
        assert server.log_path.exists()

        server.restart()

        assert url == server.url
        assert first != server.pid
        assert [] == post(url + "/threads/search", {})


def test_with_persistence_threads_survive_a_restart(graph: str) -> None:
    with DevServer(graphs={"agent": graph}, persistence=True) as server:
        post(server.url + "/threads", {"thread_id": "6f2f9f6e-59f4-4f3a-9f3e-1d2f5a6b7c8d"})
        server.restart()

        assert ["6f2f9f6e-59f4-4f3a-9f3e-1d2f5a6b7c8d"] == [
            thread["thread_id"] for thread in post(server.url + "/threads/search", {})
        ]


def test_a_server_after_sigstop_hangs_continues_and_can_be_ended(graph: str) -> None:
    with DevServer(graphs={"agent": graph}) as server:
        server.send_signal(signal.SIGSTOP)
        with pytest.raises(OSError, match="timed out"):
            urllib.request.urlopen(server.url + "/ok", timeout=0.2)
        server.send_signal(signal.SIGCONT)

        assert answers(server.url)

        server.kill(signal.SIGTERM)

        assert not server.running
        with pytest.raises(DevServerError, match="does not run"):
            server.kill()


def test_paths_are_relative_to_the_callers_directory_and_siblings_can_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``path.py:graph`` is found from here, although the server runs elsewhere, and so are the modules beside it."""
    (tmp_path / "beside.py").write_text(GRAPH, encoding="utf-8")
    (tmp_path / "agent.py").write_text("from beside import graph\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    with DevServer(graphs={"a": "agent.py:graph", "b": {"path": "./agent.py:graph"}, "c": "beside:graph"}) as server:
        found = post(server.url + "/assistants/search", {})

    assert ["a", "b", "c"] == sorted(assistant["graph_id"] for assistant in found)


def test_options_reach_the_server(graph: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in langgraph.json; the mount prefix is part of the URL."""
    (tmp_path / "auth.py").write_text(
        textwrap.dedent(
            """
            from langgraph_sdk import Auth
            auth = Auth()
            @auth.authenticate
            async def authenticate(headers: dict):
                raise Auth.exceptions.HTTPException(status_code=401, detail="who are you?")
            """
        ),
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)

    with DevServer(graphs={"agent": graph}, http={"mount_prefix": "/api"}, auth={"path": "auth.py:auth"}) as server:
        assert server.url.endswith(f":{server.port}/api")
        assert answers(server.url)
        with pytest.raises(urllib.error.HTTPError) as refused:
            post(server.url + "/threads", {})
        with refused.value as error:
            assert (401, b'{"detail":"who are you?"}') == (error.code, error.read())


@pytest.mark.parametrize(
    ("source", "variable", "says"),
    [
        ("raise RuntimeError('not today')", "graph", "the server ended while starting: .*not today"),
        ("graph = 1", "grpah", "the server ended while starting: .*Could not find graph 'grpah'"),
    ],
)
def test_a_graph_that_cannot_be_loaded_is_named_with_the_reason(tmp_path: Path, source: str, variable: str, says: str) -> None:
    """One line says why; the log follows under the traceback."""
    file = tmp_path / "broken.py"
    file.write_text(source, encoding="utf-8")

    with pytest.raises(DevServerError, match=says) as raised:
        DevServer(graphs={"agent": f"{file}:{variable}"}).start()

    assert "\n" not in str(raised.value)
    assert "Traceback" in raised.value.log
    assert raised.value.log == pickle.loads(pickle.dumps(raised.value)).log


def test_a_fixed_port_that_is_in_use_is_an_error_and_never_another_port(graph: str) -> None:
    with DevServer(graphs={"agent": graph}) as server:
        with pytest.raises(DevServerError, match=f"port {server.port} .*in use"):
            DevServer(graphs={"agent": graph}, port=server.port).start()

        assert answers(server.url)


def test_an_option_that_the_server_does_not_have_is_refused(graph: str) -> None:
    """The server itself would ignore it."""
    with pytest.raises(DevServerError, match="no option 'webhoks'; did you mean 'webhooks'"):
        DevServer(graphs={"agent": graph}, webhoks={}).start()


def test_a_server_that_does_not_answer_in_time_is_ended(tmp_path: Path) -> None:
    file = tmp_path / "slow.py"
    file.write_text("import time; time.sleep(60)", encoding="utf-8")
    server = DevServer(graphs={"agent": f"{file}:graph"}, startup_timeout=0.5)

    with pytest.raises(DevServerError, match="did not accept requests within"):
        server.start()

    assert not server.running


def test_many_servers_can_be_started_from_threads(graph: str) -> None:
    """Each has its own port, without any coordination."""
    servers = [DevServer(graphs={"agent": graph}) for _ in range(3)]
    threads = [threading.Thread(target=server.start) for server in servers]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert 3 == len({server.port for server in servers})
        assert all(answers(server.url) for server in servers)
    finally:
        for server in servers:
            server.stop()


def test_a_server_ends_when_its_object_is_collected(graph: str) -> None:
    server = DevServer(graphs={"agent": graph}).start()
    pid, directory = server.pid, server.log_path.parent
    assert pid is not None
    del server

    wait_until(lambda: gone(pid), "the process is gone")
    assert not directory.exists()


PROGRAM = """
import os, signal, sys, threading, time
from langgraph_runs.devserver import DevServer

server = DevServer(graphs={"agent": sys.argv[1]}).start()
print(server.pid, server.log_path.parent, flush=True)
%s
"""

SLEEP = "print('ready', flush=True)\ntime.sleep(60)"
#: What the program does then, the signal that it gets, and its exit code.
ENDINGS = {
    "it ends without stop()": ("", None, 0),
    "sys.exit in the with block": ("with server: sys.exit(7)", None, 7),
    "an exception": ("raise RuntimeError('boom')", None, 1),
    "os._exit": ("os._exit(3)", None, 3),
    "Ctrl-C": (SLEEP, signal.SIGINT, -signal.SIGINT),
    "SIGTERM": (SLEEP, signal.SIGTERM, -signal.SIGTERM),
    "SIGKILL": (SLEEP, signal.SIGKILL, -signal.SIGKILL),
    "SIGKILL while a fork of it lives on": (
        f"if os.fork() == 0:\n    time.sleep(5)\n    os._exit(0)\n{SLEEP}",
        signal.SIGKILL,
        -signal.SIGKILL,
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_process_or_directory_is_left_however_the_program_ends(graph: str, ending: str) -> None:
    """Process and directory are gone within a second or two of the program's own end."""
    code, signum, expected = ENDINGS[ending]
    environment = {**os.environ, "PYTHONPATH": CHECKOUT}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM % code, graph],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
        start_new_session=True,
    ) as program:
        assert program.stdout is not None
        pid_text, directory = program.stdout.readline().split()
        if signum is not None:
            assert "ready\n" == program.stdout.readline()
            program.send_signal(signum)

        assert expected == program.wait(20)

    wait_until(lambda: gone(int(pid_text)), "the server's process is gone", seconds=3)
    wait_until(lambda: not Path(directory).exists(), "its directory is gone", seconds=3)


def test_a_program_that_is_killed_while_the_server_starts_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "slow.py"
    file.write_text(
        f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)",
        encoding="utf-8",
    )
    environment = {**os.environ, "PYTHONPATH": CHECKOUT}
    with subprocess.Popen([sys.executable, "-c", PROGRAM % "", f"{file}:graph"], env=environment) as program:
        wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "the graph is imported")
        program.kill()

    wait_until(lambda: gone(int((tmp_path / "pid").read_text())), "the server's process is gone", seconds=3)


def test_a_fork_of_the_program_does_not_end_the_server(graph: str) -> None:
    """Its copy of the object owns neither process nor directory."""
    with DevServer(graphs={"agent": graph}) as server:
        pid = os.fork()
        if pid == 0:
            server.stop()
            os._exit(0)
        os.waitpid(pid, 0)

        assert answers(server.url)
        assert server.running


def test_processes_that_the_graph_started_end_with_the_server(tmp_path: Path) -> None:
    file = tmp_path / "agent.py"
    note = str(tmp_path / "pid")
    starts = f"import subprocess\nopen({note!r}, 'w').write(str(subprocess.Popen(['sleep', '60']).pid))\n"
    file.write_text(GRAPH + starts, encoding="utf-8")

    with DevServer(graphs={"agent": f"{file}:graph"}):
        helper = int((tmp_path / "pid").read_text())
        assert not gone(helper)

    wait_until(lambda: gone(helper), "the helper is gone", seconds=3)


def test_the_log_can_be_kept(graph: str, tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with DevServer(graphs={"agent": graph}, log=log, log_level="info") as server:
        assert log == server.log_path

    lines: List[str] = log.read_text(encoding="utf-8").splitlines()
    assert any("Welcome" in line for line in lines)


def test_needs_a_graph() -> None:
    with pytest.raises(DevServerError, match="at least one graph"):
        DevServer(graphs={})


@pytest.mark.parametrize(
    ("value", "says"),
    [("agent", 'must be "path.py:variable"'), ("nowhere.py:graph", "there is no file .*nowhere.py"), (3, "not 3")],
)
def test_a_graph_that_cannot_be_found_is_refused_before_anything_starts(value: Any, says: str) -> None:
    with pytest.raises(DevServerError, match=says):
        DevServer(graphs={"agent": value}).start()


def test_url_before_the_start_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(DevServerError, match="use `with DevServer"):
        _ = DevServer(graphs={"agent": "agent.py:graph"}).url
