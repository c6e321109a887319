"""The recipes for many inputs in langgraph_runs/batch/README.rst, run as they stand there: cron, Dask with processes, Celery with a real worker."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from langgraph_runs import Client, Ledger
from langgraph_runs.devserver import DevServer

from ..readme import CHAPTERS, ROOT
from .conftest import PATIENCE

ANSWER = "Because the Earth turns under two bulges of water."
#: The server of the examples.
URL = "http://localhost:2024"


def recipe(name: str) -> str:
    """The code below the heading *name*."""
    return CHAPTERS["batch"].block_below(name).text


def needs(module: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(importlib.util.find_spec(module) is None, reason=f"{module} is not installed")


@pytest.fixture(scope="module")
def agent() -> Iterator[DevServer]:
    """A server with the agent of the examples."""
    with DevServer({"agent": f"{ROOT / 'tests' / 'docs_agent.py'}:graph"}, workers=20) as server:
        yield server


def bare_environment(**more: str) -> dict[str, str]:
    """What cron gives a program, and where our package is."""
    return {"HOME": "/nonexistent", "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh", "PYTHONPATH": str(ROOT), **more}


def threads_left(agent: DevServer) -> int:
    with Client(agent.url) as client:
        return len(client.threads.search(limit=100))


def test_cron(agent: DevServer, tmp_path: Path) -> None:
    """Started again it runs nothing twice and writes the same; its exit status tells of what failed."""
    (tmp_path / "nightly.py").write_text(recipe("Cron").replace(URL, agent.url))
    rows = [{"id": f"row-{n}", "text": f"Why {n}?"} for n in range(6)]
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    for attempt in range(2):
        command = [sys.executable, "nightly.py", str(tmp_path)]
        done = subprocess.run(command, cwd=tmp_path, env=bare_environment(), capture_output=True, text=True, timeout=60)
        assert (0, "") == (done.returncode, done.stdout), done.stderr
        assert done.stderr.startswith("langgraph_runs: 6, 0 in flight")
        out = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
        assert {row["id"]: ANSWER for row in rows} == {one["id"]: one["answer"] for one in out}
        assert [1] * 6 == [entry.attempts for entry in Ledger(tmp_path / "jobs.sqlite").entries()], attempt
    assert 0 == threads_left(agent)


@needs("pyarrow")
def test_parquet(agent: DevServer, tmp_path: Path) -> None:
    """The second start runs nothing again, and writes the same file."""
    parquet = pytest.importorskip("pyarrow.parquet")
    pyarrow = pytest.importorskip("pyarrow")
    (tmp_path / "answers.py").write_text(recipe("Parquet").replace(URL, agent.url))
    messages = [json.dumps([{"role": "user", "content": f"Why {n}?"}]) for n in range(5)]
    parquet.write_table(pyarrow.table({"id": list(range(6)), "messages": [*messages, None]}), tmp_path / "in.parquet")
    command = [sys.executable, "answers.py", "in.parquet", "out.parquet"]
    for attempt in range(2):
        done = subprocess.run(command, cwd=tmp_path, env=bare_environment(), capture_output=True, text=True, timeout=60)
        assert (1, "") == (done.returncode, done.stdout), done.stderr
        rows = {row["key"]: row for row in parquet.read_table(tmp_path / "out.parquet").to_pylist()}
        assert [ANSWER] * 5 == [json.loads(rows[str(n)]["values"])["messages"][-1]["content"] for n in range(5)]
        assert "in.parquet, row 5: column 'messages': a missing value; " in str(rows["5"]["error_message"]), attempt
        assert [1] * 5 == [entry.attempts for entry in Ledger(tmp_path / "out.parquet.sqlite").entries()], attempt
    assert 0 == threads_left(agent)


@pytest.mark.slow
@needs("distributed")
def test_dask(agent: DevServer, tmp_path: Path) -> None:
    """On two worker processes, from a program of its own."""
    begin = """
        from dask.distributed import LocalCluster

        def main():
            questions = [{"messages": [{"role": "user", "content": f"Why {n}?"}]} for n in range(12)]
            with LocalCluster(n_workers=2, threads_per_worker=4, processes=True, dashboard_address=":0") as local:
                assert 2 == len({worker["nanny"] for worker in local.scheduler_info["workers"].values()})
    """
    text = recipe("Dask").replace(URL, agent.url).replace('"tcp://scheduler:8786"', "local.scheduler_address")
    program = textwrap.dedent(begin) + textwrap.indent(text, " " * 8) + "\nif __name__ == '__main__':\n    main()\n"
    (tmp_path / "program.py").write_text(program)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DASK_TEMPORARY_DIRECTORY": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert 0 == done.returncode, done.stderr
    assert sorted(f"{n} {ANSWER}" for n in range(12)) == sorted(done.stdout.splitlines())
    assert 12 == Ledger(tmp_path / "dask.sqlite").counts()["done"]
    assert 0 == threads_left(agent)


@pytest.mark.slow
@needs("celery")
def test_celery(agent: DevServer, tmp_path: Path) -> None:
    """With a broker of files and a worker of two processes; a portion that is sent twice is run once."""
    for name in ("in", "control", "results"):
        (tmp_path / name).mkdir()
    (tmp_path / "tasks.py").write_text(recipe("Celery").replace(URL, agent.url))
    more = f"""
        from tasks import answer, app

        app.conf.broker_transport_options = {{
            "data_folder_in": {str(tmp_path / "in")!r},
            "data_folder_out": {str(tmp_path / "in")!r},
            "control_folder": {str(tmp_path / "control")!r},
        }}
    """
    (tmp_path / "here.py").write_text(textwrap.dedent(more))
    send = f"""
        import json
        from here import answer

        rows = [[f"row-{{n}}", f"Why {{n}}?"] for n in range(5)]
        sent = [answer.delay(portion, rows) for portion in ("one", "two", "one")]
        print(json.dumps([one.get(timeout={PATIENCE}) for one in sent]))
    """
    (tmp_path / "send.py").write_text(textwrap.dedent(send))
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}",
        "BROKER_URL": "filesystem://",
        "RESULT_URL": f"file://{tmp_path / 'results'}",
        "LEDGER": str(tmp_path / "ledger"),
    }
    command = [sys.executable, "-m", "celery", "--app", "here:app", "worker", "--concurrency", "2", "--loglevel", "WARNING"]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
        try:
            done = subprocess.run(
                [sys.executable, "send.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=2 * PATIENCE
            )
        finally:
            worker.terminate()
            end_of(worker)
    assert 0 == done.returncode, done.stderr + (tmp_path / "log").read_text()
    assert [{"answers": {f"row-{n}": ANSWER for n in range(5)}, "errors": {}}] * 3 == json.loads(done.stdout)
    for portion in ("one", "two"):
        assert [1] * 5 == [entry.attempts for entry in Ledger(tmp_path / f"ledger-{portion}").entries()]
    assert 0 == threads_left(agent)


def end_of(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def test_every_recipe_is_python() -> None:
    found = {name: recipe(name) for name in ("Cron", "Dask", "Celery", "Airflow", "Spark")}
    for name, text in found.items():
        compile(text, name, "exec", dont_inherit=True)
