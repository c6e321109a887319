"""Windows and macOS, of which this is none: programs from which all is hidden that those systems do not have."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, Iterator, List

import pytest

from langgraph_runs.testing import fake_server, succeeds

from ..hosts.hosts import PROBES, Place, place
from ..hosts.other_systems import PATCHES
from ..hosts.probes import CALLS
from .scripted import closed_port

ROOT = Path(__file__).resolve().parent.parent.parent

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the simulation needs Linux")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    with place(tmp_path) as made:
        yield made


def run_on(system: str, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The script on a simulated system."""
    code = f"from tests.hosts import other_systems; other_systems.PATCHES[{system!r}]()\n{textwrap.dedent(script)}"
    return subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60)


def result_of(system: str, script: str, *arguments: str) -> Any:
    done = run_on(system, script, *arguments)
    assert (0, "") == (done.returncode, done.stderr)
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("system", PATCHES)
def test_all_calls_work(here: Place, system: str) -> None:
    assert dict.fromkeys(CALLS, "") == here.results(sys.executable, "-m", "tests.hosts.other_systems", system, PROBES)


@pytest.mark.slow
def test_each_module_can_be_imported_on_windows() -> None:
    """But those that run in a process of the local server, which Windows does not have."""
    script = """
        import importlib, json, pathlib, sys
        root = pathlib.Path("langgraph_runs")
        outside = ("devserver/child", "demo/", "conformance/graphs", "django/", "compat/")
        names = [str(path.with_suffix("")) for path in sorted(root.rglob("*.py"))]
        failed = []
        for name in (name for name in names if not any(part in name for part in outside) and not name.endswith("__main__")):
            try:
                importlib.import_module(name.replace("/__init__", "").replace("/", "."))
            except BaseException as error:
                failed.append(f"{name}: {error!r}")
        print(json.dumps(failed))
    """
    assert [] == result_of("windows", script)


def test_the_error_of_a_refused_connection_says_so_on_windows() -> None:
    """``os.strerror`` does not know the numbers of sockets there."""
    script = """
        import json, sys
        from langgraph_runs import Client, APIConnectionError, RetryPolicy
        try:
            Client(sys.argv[1], api_key=None, retry=RetryPolicy(attempts=1)).ok()
        except APIConnectionError as error:
            print(json.dumps([str(error), error.sent]))
    """
    with closed_port() as url:
        text, sent = result_of("windows", script, url)
    assert "The connection was refused" in text and "Unknown error" not in text and sent is False


@pytest.mark.slow
def test_a_batch_renames_its_finished_output_on_windows(tmp_path: Path) -> None:
    """Windows renames no open file."""
    (tmp_path / "inputs").write_text('{"n": 1}\n{"n": 2}\n')
    with fake_server() as fake:
        fake.script(succeeds({"done": True}), repeat=True)
        arguments = ["batch", "agent", str(tmp_path / "inputs"), "--url", fake.url, "-o", str(tmp_path / "out")]
        command = [sys.executable, "-m", "tests.hosts.other_systems", "windows", "-m", "langgraph_runs", *arguments, "--quiet"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (0, "") == (done.returncode, done.stderr)
    rows = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert [{"done": True}] * 2 == [row["values"] for row in rows]
    assert ["inputs", "out"] == sorted(path.name for path in tmp_path.iterdir())


@pytest.mark.slow
def test_the_lock_of_a_ledger_lasts_as_long_as_its_process(tmp_path: Path) -> None:
    """Another process sees that the owner of a claim lives, and that it was killed."""
    path = tmp_path / "lock"
    code = """
        from tests.hosts import other_systems; other_systems.PATCHES["windows"]()
        import sys
        from langgraph_runs.batch.ledger.sqlite_file import LockFile
        lock = LockFile(sys.argv[1]); print("locked", flush=True); sys.stdin.read()
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout is not None and "locked\n" == owner.stdout.readline()
            script = """
                import json, sys
                from langgraph_runs.batch.ledger.sqlite_file import LockFile
                print(json.dumps(LockFile.break_if_dead(sys.argv[1])))
            """
            assert False is result_of("windows", script, str(path))
        finally:
            owner.kill()
    assert True is result_of("windows", script, str(path))
    assert [] == list(tmp_path.iterdir())


def test_a_ledger_with_a_relative_path_stays_where_it_was(tmp_path: Path) -> None:
    """The directory is changed between the call and its first result."""
    script = """
        import json, os, sys
        from langgraph_runs import Client
        client = Client(sys.argv[1], api_key=None)
        os.chdir(sys.argv[2])
        os.mkdir("other")
        results = client.runs.map("agent", [{"n": 1}, {"n": 2}], ledger="jobs.sqlite")
        os.chdir("other")
        succeeded = [next(results).succeeded]
        os.chdir("/")
        succeeded += [result.succeeded for result in results]
        print(json.dumps(succeeded))
    """
    with fake_server() as fake:
        fake.script(succeeds({"done": True}), repeat=True)
        assert [True, True] == result_of("macos", script, fake.url, str(tmp_path))
    found: List[str] = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert ["jobs.sqlite", "other"] == found
