"""The recipes for engines that run work on many machines, as they stand in langgraph_runs/batch/README.rst: with one ledger in
PostgreSQL, while a worker of the engine is killed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from langgraph_runs import Client, Ledger
from langgraph_runs.devserver import DevServer

from ..readme import ROOT
from ..server.test_recipes import ANSWER, needs, recipe
from .conftest import or_skipped
from .postgresql import Cluster, cluster
from .processes import ENVIRONMENT, running, tail

pytest.importorskip("psycopg")

#: Seconds that a program may take, on a machine that is busy.
LONG = 300.0
ROWS = 40
#: Runs that end before a worker is killed. The others wait for that.
FIRST = 8

#: They name the Python of an environment with pyspark and pyarrow, which are large, and of one with Airflow, whose requirements are
#: not those of the server. Each has the requirements of this package, psycopg included; the package itself is the checkout.
SPARK_VARIABLE = "LANGGRAPH_RUNS_TEST_SPARK"
AIRFLOW_VARIABLE = "LANGGRAPH_RUNS_TEST_AIRFLOW"

#: What the programs have in common. `kill_one` kills the process that `choose` returns, when some inputs are done and others are active; those end afterwards.
PREAMBLE = """
import json, os, signal, subprocess, sys, threading, time
from langgraph_runs import Ledger

def children():
    # Without -ww the lines are cut to COLUMNS, which is 80 in the processes that pytest-xdist starts.
    lines = subprocess.run(["ps", "-ww", "-eo", "pid,ppid,args"], capture_output=True, text=True).stdout.splitlines()[1:]
    rows = [line.split(None, 2) for line in lines]
    mine = {os.getpid()}
    for _ in range(6):
        mine |= {int(pid) for pid, parent, _ in rows if int(parent) in mine}
    return [(int(pid), args) for pid, _, args in rows if int(pid) in mine]

def report(found):
    with open("report.json", "w") as file:
        json.dump(found, file)

def child(name):
    return next((pid for pid, args in children() if name in args), None)

def kill_one(ledger, choose):
    def watch():
        while not Ledger(ledger).exists or Ledger(ledger).counts()["done"] < FIRST:
            time.sleep(0.05)
        pid = choose()
        while pid is None:
            print("no process to kill among", children(), file=sys.stderr, flush=True)
            time.sleep(1)
            pid = choose()
        os.kill(pid, signal.SIGKILL)
        open(GATE, "w").close()
    threading.Thread(target=watch, daemon=True).start()
"""


@pytest.fixture(scope="module")
def agent() -> Iterator[DevServer]:
    with DevServer({"agent": f"{ROOT / 'tests' / 'servers' / 'gated_agent.py'}:graph"}, workers=20) as server:
        yield server


@pytest.fixture(scope="module")
def database() -> Iterator[Cluster]:
    with or_skipped(cluster()) as server:
        yield server


def gate_of(folder: Path) -> str:
    """The file for which runs wait; it is there when a worker has been killed."""
    return str(folder / "killed")


def text_of(name: str, agent: DevServer, ledger: str, folder: Path) -> str:
    """The recipe, with addresses of this machine. The threads are kept, so that the runs can be counted."""
    text = recipe(name)
    for url in ("http://localhost:2024", "http://langgraph:2024"):
        text = text.replace(url, agent.url)
    text = text.replace("postgresql://jobs@db.example/work?ledger=nightly", ledger)
    return text.replace("concurrency=8", gated(folder))


def gated(folder: Path) -> str:
    """Options for a map."""
    return f"concurrency=4, keep_threads=True, context={{'gate': {gate_of(folder)!r}, 'first': {FIRST}}}"


def run_program(folder: Path, text: str, python: str = sys.executable, **environment: str) -> Any:
    """What the program gives to `report`. It must have killed a worker."""
    (folder / "program.py").write_text(f"FIRST = {FIRST}\nGATE = {gate_of(folder)!r}\n{PREAMBLE}\n{text}")
    run_python(folder, ["program.py"], python, **environment)
    assert os.path.exists(gate_of(folder)), "no worker was killed"
    return json.loads((folder / "report.json").read_text())


def run_python(folder: Path, arguments: list[str], python: str = sys.executable, **environment: str) -> None:
    """Run Python to its end, and end what it has started; fail with the last lines that it has written."""
    log = folder / "log.txt"
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    with running([python, *arguments], log, cwd=folder, env=variables) as process:
        try:
            status = process.wait(LONG)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{arguments[0]} does not end:\n{tail(log, 100)}", pytrace=False)
    if status:
        pytest.fail(f"{arguments[0]} ended with {status}:\n{tail(log, 100)}", pytrace=False)


def number(row: dict[str, Any]) -> int:
    return int(row["id"].partition("-")[2])


def assert_run_once(agent: DevServer, ledger: str) -> None:
    """Each input has one thread, with one run, and the ledger has its result. Removes the threads."""
    entries = list(Ledger(ledger).entries())
    assert ["done"] * ROWS == [entry.status for entry in entries]
    with Client(agent.url, api_key=None) as client:
        threads = client.threads.search(limit=1000)
        assert sorted(thread.thread_id for thread in threads) == sorted(str(entry.thread_id) for entry in entries)
        assert ["success"] * ROWS == [run.status for thread in threads for run in client.runs.iter(thread.thread_id)]
        for thread in threads:
            client.threads.delete(thread.thread_id)


@pytest.mark.skipif(SPARK_VARIABLE not in ENVIRONMENT, reason=f"{SPARK_VARIABLE} does not name a Python with pyspark")
@pytest.mark.skipif(shutil.which("java") is None, reason="Java is not installed")
def test_spark_loses_an_executor(agent: DevServer, database: Cluster, tmp_path: Path) -> None:
    """Two executors, in processes of their own; the result is used twice."""
    ledger = f"{database.url}?ledger=spark"
    begin = f"""
        import pyspark
        os.environ["SPARK_HOME"] = os.path.dirname(pyspark.__file__)
        os.environ["PYSPARK_PYTHON"] = sys.executable
        from pyspark.sql import SparkSession

        settings = {{
            "spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
            "spark.executor.memory": "512m", "spark.executorEnv.PYTHONPATH": os.environ["PYTHONPATH"],
            "spark.local.dir": {str(tmp_path)!r}, "spark.sql.shuffle.partitions": "4",
        }}
        builder = SparkSession.builder.master("local-cluster[2,2,1024]")
        for name, value in settings.items():
            builder = builder.config(name, value)
        spark = builder.getOrCreate()
        columns = ["concat('row-', id) AS id", "concat('Why ', id, '?') AS text"]
        table = spark.range({ROWS}).repartition(4).selectExpr(*columns)
        kill_one({ledger!r}, lambda: child("CoarseGrainedExecutorBackend"))
    """
    end = """
        rows = answers.collect()
        again = answers.count()
        spark.stop()
        report([again, {row["id"]: [row["answer"], row["error"]] for row in rows}])
    """
    text = textwrap.dedent(begin) + text_of("Spark", agent, ledger, tmp_path) + textwrap.dedent(end)
    again, found = run_program(tmp_path, text, ENVIRONMENT[SPARK_VARIABLE], SPARK_LOCAL_IP="127.0.0.1")
    assert {f"row-{n}": [ANSWER, None] for n in range(ROWS)} == found
    assert ROWS == again
    assert_run_once(agent, ledger)


@needs("distributed")
def test_dask_loses_a_worker(agent: DevServer, database: Cluster, tmp_path: Path) -> None:
    ledger = f"{database.url}?ledger=dask"
    begin = f"""
        from dask.distributed import LocalCluster

        def main():
            rows = [{{"id": f"row-{{n}}", "text": f"Why {{n}}?"}} for n in range({ROWS})]
            with LocalCluster(n_workers=2, threads_per_worker=2, processes=True, dashboard_address=":0") as local:
                kill_one({ledger!r}, lambda: child("multiprocessing.spawn"))
    """
    text = text_of("Dask, a map on each worker", agent, ledger, tmp_path).replace(
        '"tcp://scheduler:8786"', "local.scheduler_address"
    )
    text = textwrap.dedent(begin) + textwrap.indent(text, " " * 8)
    text += "\n        report(answers)\n\nif __name__ == '__main__':\n    main()\n"
    found = run_program(tmp_path, text, DASK_TEMPORARY_DIRECTORY=str(tmp_path))
    assert [{"id": f"row-{n}", "answer": ANSWER, "error": None} for n in range(ROWS)] == sorted(found, key=number)
    assert_run_once(agent, ledger)


@needs("celery")
def test_celery_loses_a_worker(agent: DevServer, database: Cluster, tmp_path: Path) -> None:
    """The task is delivered again, to another process, and the portion is delivered twice besides."""
    ledger = f"{database.url}?ledger=celery"
    for name in ("in", "control", "results"):
        (tmp_path / name).mkdir()
    text = text_of("Celery", agent, ledger, tmp_path).replace("ledger=f", f"{gated(tmp_path)}, ledger=f")
    (tmp_path / "tasks.py").write_text(text)
    more = f"""
        from tasks import answer, app

        app.conf.broker_transport_options = {{
            "data_folder_in": {str(tmp_path / "in")!r},
            "data_folder_out": {str(tmp_path / "in")!r},
            "control_folder": {str(tmp_path / "control")!r},
        }}
    """
    (tmp_path / "here.py").write_text(textwrap.dedent(more))
    environment = {
        "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}",
        "BROKER_URL": "filesystem://",
        "RESULT_URL": f"file://{tmp_path / 'results'}",
        "LEDGER": ledger,
    }
    send = f"""
        from here import answer

        command = [sys.executable, "-m", "celery", "--app", "here:app", "worker", "--concurrency", "2", "--loglevel", "WARNING"]
        command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        rows = [[f"row-{{n}}", f"Why {{n}}?"] for n in range({ROWS})]
        with open("log", "wb") as log:
            worker = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            def busy():
                import psycopg
                with psycopg.connect({database.url!r}) as connection:
                    owners = "SELECT pid FROM langgraph_runs_owner AS o JOIN langgraph_runs_ledger AS l ON l.id = o.ledger"
                    pids = [pid for pid, in connection.execute(owners + " WHERE name = 'celery-one'").fetchall()]
                return [pid for pid, _ in children() if pid in pids]

            kill_one({ledger + "-one"!r}, lambda: next(iter(busy()), None))
            sent = [answer.delay("one", rows) for _ in range(2)]
            report([one.get(timeout={LONG / 2}) for one in sent])
        finally:
            worker.terminate()
            worker.wait()
    """
    found = run_program(tmp_path, textwrap.dedent(send), **environment)
    assert [{"answers": {f"row-{n}": ANSWER for n in range(ROWS)}, "errors": {}}] * 2 == found
    assert_run_once(agent, f"{ledger}-one")


@pytest.mark.skipif(AIRFLOW_VARIABLE not in ENVIRONMENT, reason=f"{AIRFLOW_VARIABLE} does not name a Python with Airflow")
def test_airflow_runs_a_dag_again(agent: DevServer, database: Cluster, tmp_path: Path) -> None:
    """A DAG run that is done again has the same results and starts nothing. The retry of a task runs what failed, and no more. A task
    that is killed cancels its runs."""
    ledger = f"{database.url}?ledger=airflow"
    text = text_of("Airflow", agent, ledger, tmp_path)
    end = f"""
        import datetime, json, threading, time, types

        when = datetime.datetime(2026, 11, 28, tzinfo=datetime.timezone.utc)
        runs = [nightly().test(run_after=when, logical_date=when) for _ in range(2)]

        def failure(task, try_number, run_id):
            try:
                task.execute({{"run_id": run_id, "ti": types.SimpleNamespace(try_number=try_number)}})
            except Exception as error:
                return repr(error)

        task = RunOnPortion(task_id="again", portion=[["row-4", "Fail"], ["row-5", "Why?"]])
        retried = [failure(task, n, "again") for n in (1, 2)]

        def kill():
            ledger = Ledger(LEDGER + "-slow")
            while not ledger.exists or not ledger.counts()["started"]:
                time.sleep(0.05)
            slow.on_kill()

        context_of["seconds"] = {LONG}
        slow = RunOnPortion(task_id="slow", portion=[["row-6", "Why?"]])
        threading.Thread(target=kill, daemon=True).start()
        killed = failure(slow, 1, "slow")
        with open("report.json", "w") as file:
            json.dump([[run.run_id for run in runs], [run.state for run in runs], retried, killed], file)
    """
    main = '\n\nif __name__ == "__main__":\n' + textwrap.indent(textwrap.dedent(end), "    ")  # Airflow imports the file as well
    text = text.replace('"agent", inputs,', '"agent", inputs, context=dict(context_of) or None,')
    (tmp_path / "nightly.py").write_text("import sys\ncontext_of = {}\n" + text + main)
    environment = {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path),
    }
    for arguments in (["-m", "airflow", "db", "migrate"], ["nightly.py"]):
        run_python(tmp_path, arguments, ENVIRONMENT[AIRFLOW_VARIABLE], **environment)
    names, states, retried, killed = json.loads((tmp_path / "report.json").read_text())
    assert ["success"] * 2 == states
    assert names[0] == names[1]
    entries = [(entry.key, entry.status, entry.attempts) for entry in Ledger(f"{ledger}-{names[0]}").entries()]
    assert [(f"row-{n}", "done", 1) for n in (1, 2, 3)] == sorted(entries)
    assert "for the first time" in str(retried[0])
    assert retried[1] is None
    entries = [(entry.key, entry.status, entry.attempts) for entry in Ledger(f"{ledger}-again").entries()]
    assert [("row-4", "done", 2), ("row-5", "done", 1)] == sorted(entries)
    assert "the task was killed" in str(killed)
    assert ["pending"] == [entry.status for entry in Ledger(f"{ledger}-slow").entries()]
    with Client(agent.url, api_key=None) as client:
        assert [] == client.threads.search(limit=10)
