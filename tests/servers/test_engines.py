"""The recipes for engines that run work on many machines, as they stand in langgraph_runs/batch/README.rst: with one ledger in
PostgreSQL, while a worker of the engine is killed."""

from __future__ import annotations

import importlib.util
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
from .processes import ENVIRONMENT

pytest.importorskip("psycopg")

#: Seconds that a program may take, on a machine that is busy.
LONG = 300.0
ROWS = 40
#: Enough for a worker to be killed in the middle of some runs; the runs are kept, so that they can be counted.
SLOWLY = 'context={"seconds": 0.5}, keep_threads=True'

#: Names the Python of an environment with Airflow, whose requirements are not those of the server.
AIRFLOW_VARIABLE = "LANGGRAPH_RUNS_TEST_AIRFLOW"

#: Kills one process of those that `workers` returns, when some inputs are done and others are not.
KILL = """
import os, signal, subprocess, sys, threading, time
from langgraph_runs import Ledger

def children():
    lines = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True).stdout.splitlines()[1:]
    rows = [line.split(None, 2) for line in lines]
    mine, found = {os.getpid()}, []
    for _ in range(6):
        mine |= {int(pid) for pid, parent, _ in rows if int(parent) in mine}
    return [(int(pid), args) for pid, _, args in rows if int(pid) in mine]

def kill_one(ledger, name):
    def watch():
        while not Ledger(ledger).exists or not 4 <= Ledger(ledger).counts()["done"] < ROWS // 2:
            time.sleep(0.05)
        pid = next(pid for pid, args in children() if name in args)
        os.kill(pid, signal.SIGKILL)
        print("killed", file=sys.stderr, flush=True)
    threading.Thread(target=watch, daemon=True).start()
"""


@pytest.fixture(scope="module")
def agent() -> Iterator[DevServer]:
    with DevServer({"agent": f"{ROOT / 'tests' / 'docs_agent.py'}:graph"}, workers=20) as server:
        yield server


@pytest.fixture(scope="module")
def database() -> Iterator[Cluster]:
    with or_skipped(cluster()) as server:
        yield server


def text_of(name: str, agent: DevServer, ledger: str) -> str:
    text = recipe(name)
    for url in ("http://localhost:2024", "http://langgraph:2024"):
        text = text.replace(url, agent.url)
    text = text.replace("postgresql://jobs@db.example/work?ledger=nightly", ledger)
    return text.replace("concurrency=8", f"concurrency=4, {SLOWLY}")


def run_program(folder: Path, text: str, **environment: str) -> Any:
    """The JSON that the program prints. It must have killed a worker."""
    (folder / "program.py").write_text(f"ROWS = {ROWS}\n{KILL}\n{text}")
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=LONG,
    )
    assert 0 == done.returncode, done.stderr[-5000:]
    assert "killed" in done.stderr.splitlines()
    return json.loads(done.stdout.splitlines()[-1])


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


@pytest.mark.skipif(importlib.util.find_spec("pyspark") is None, reason="pyspark is not installed")
@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed")
@pytest.mark.skipif(shutil.which("java") is None, reason="Java is not installed")
def test_spark_loses_an_executor(agent: DevServer, database: Cluster, tmp_path: Path) -> None:
    """Two executors, in processes of their own; the result is used twice."""
    ledger = f"{database.url}?ledger=spark"
    begin = f"""
        import json, os, pyspark
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
        kill_one({ledger!r}, "CoarseGrainedExecutorBackend")
    """
    end = """
        rows = answers.collect()
        again = answers.count()
        spark.stop()
        print(json.dumps([again, {row["id"]: [row["answer"], row["error"]] for row in rows}]))
    """
    text = textwrap.dedent(begin) + text_of("Spark", agent, ledger) + textwrap.dedent(end)
    again, found = run_program(tmp_path, text, SPARK_LOCAL_IP="127.0.0.1")
    assert {f"row-{n}": [ANSWER, None] for n in range(ROWS)} == found
    assert ROWS == again
    assert_run_once(agent, ledger)


@needs("distributed")
def test_dask_loses_a_worker(agent: DevServer, database: Cluster, tmp_path: Path) -> None:
    ledger = f"{database.url}?ledger=dask"
    begin = f"""
        import json
        from dask.distributed import LocalCluster

        def main():
            rows = [{{"id": f"row-{{n}}", "text": f"Why {{n}}?"}} for n in range({ROWS})]
            with LocalCluster(n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None) as local:
                kill_one({ledger!r}, "multiprocessing.spawn")
    """
    text = text_of("Dask, a map on each worker", agent, ledger).replace('"tcp://scheduler:8786"', "local.scheduler_address")
    text = textwrap.dedent(begin) + textwrap.indent(text, " " * 8)
    text += "\n        print(json.dumps(answers))\n\nif __name__ == '__main__':\n    main()\n"
    found = run_program(tmp_path, text, DASK_TEMPORARY_DIRECTORY=str(tmp_path))
    assert {f"row-{n}": ANSWER for n in range(ROWS)} == found
    assert_run_once(agent, ledger)


@needs("celery")
def test_celery_loses_a_worker(agent: DevServer, database: Cluster, tmp_path: Path) -> None:
    """The task is delivered again, to another process, and the portion is delivered twice besides."""
    ledger = f"{database.url}?ledger=celery"
    for name in ("in", "control", "results"):
        (tmp_path / name).mkdir()
    text = text_of("Celery", agent, ledger).replace("ledger=f", f"concurrency=4, {SLOWLY}, ledger=f")
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
        import json
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

            def watch():
                name = {ledger + "-one"!r}
                while not Ledger(name).exists or not 4 <= Ledger(name).counts()["done"] < ROWS // 2:
                    time.sleep(0.05)
                os.kill(busy()[0], signal.SIGKILL)
                print("killed", file=sys.stderr, flush=True)

            threading.Thread(target=watch, daemon=True).start()
            sent = [answer.delay("one", rows) for _ in range(2)]
            print(json.dumps([one.get(timeout={LONG / 2}) for one in sent]))
        finally:
            worker.terminate()
            worker.wait()
    """
    found = run_program(tmp_path, textwrap.dedent(send), **environment)
    assert [{f"row-{n}": ANSWER for n in range(ROWS)}] * 2 == found
    assert_run_once(agent, f"{ledger}-one")


@pytest.mark.skipif(AIRFLOW_VARIABLE not in ENVIRONMENT, reason=f"{AIRFLOW_VARIABLE} does not name a Python with Airflow")
def test_airflow_runs_a_dag_again(agent: DevServer, database: Cluster, tmp_path: Path) -> None:
    """The second run of the tasks has the same results and starts nothing; a task that is killed cancels its runs."""
    ledger = f"{database.url}?ledger=airflow"
    text = text_of("Airflow", agent, ledger)
    end = """
        import threading
        from langgraph_runs import AbortedError, Ledger

        print([nightly().test().state for _ in range(2)], file=sys.stderr)
        slow = RunOnPortion(task_id="slow", portion=[["row-4", "Why?"]])
        threading.Timer(2.0, slow.on_kill).start()
        context_of["seconds"] = 60
        LEDGER += "-slow"  # other options have a ledger of their own
        try:
            slow.execute({})
        except AbortedError as error:
            print(error.reason)
    """
    main = '\n\nif __name__ == "__main__":\n' + textwrap.indent(textwrap.dedent(end), "    ")  # Airflow imports the file as well
    text = text.replace('"agent", inputs,', '"agent", inputs, context=dict(context_of) or None,')
    (tmp_path / "nightly.py").write_text("import sys\ncontext_of = {}\n" + text + main)
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path),
        "PYTHONPATH": str(ROOT),
    }
    python = ENVIRONMENT[AIRFLOW_VARIABLE]
    for command in (["-m", "airflow", "db", "migrate"], ["nightly.py"]):
        done = subprocess.run(
            [python, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=LONG, check=False
        )
        assert 0 == done.returncode, done.stderr[-3000:]
    assert ["the task was killed"] == done.stdout.splitlines()[-1:]
    assert 2 == done.stderr.count("success")
    entries = [(entry.key, entry.status, entry.attempts) for entry in Ledger(ledger).entries()]
    assert [(f"row-{n}", "done", 1) for n in (1, 2, 3)] == sorted(entries)
    assert ["pending"] == [entry.status for entry in Ledger(f"{ledger}-slow").entries()]
    with Client(agent.url, api_key=None) as client:
        assert [] == client.threads.search(limit=10)
