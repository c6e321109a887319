"""Aegra (PyPI: aegra-api), an independent server of the same API, on PostgreSQL."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

from . import postgresql
from .processes import ENVIRONMENT, Unavailable, answers, environment, free_port, install, installed, running, wait_ready

#: aegra-api does not ask for the last two in the form in which it needs them.
REQUIREMENTS = ("aegra-api==0.6.0", "sqlalchemy[asyncio]", "langgraph")
#: A Python that has them. Without it an environment is made, in the cache directory.
PYTHON_VARIABLE = "LANGGRAPH_RUNS_TEST_AEGRA"
GRAPHS = ("work", "ask", "burst", "steps", "chat")
HOW = (
    "Aegra needs Python 3.11 or newer and PostgreSQL (apt-get install postgresql); pip then installs it into an environment of its"
    f" own, unless {PYTHON_VARIABLE} names a Python that has {', '.join(REQUIREMENTS)}"
)


def unavailable_reason() -> str:
    """Why this machine cannot run it, and how to get it; empty if it can."""
    if postgresql.programs() is None:
        return f"{HOW}; there is no initdb"
    if PYTHON_VARIABLE not in ENVIRONMENT and base_python() is None:
        return f"{HOW}; there is no such Python"
    return ""


def base_python() -> Optional[str]:
    """A Python that is new enough to make an environment with: this one, or another of this machine."""
    names = [sys.executable, *(f"python3.{minor}" for minor in (12, 13, 11, 14))]
    # A name may only pretend: a shim of a version that is not chosen.
    code = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))"
    for found in filter(None, map(shutil.which, names)):
        if subprocess.run([found, "-c", code], capture_output=True, check=False).returncode == 0:
            return found
    return None


def python() -> str:
    """The Python that has Aegra; pip installs it the first time, which takes half a minute and 250 MB."""
    if PYTHON_VARIABLE in ENVIRONMENT:
        return ENVIRONMENT[PYTHON_VARIABLE]
    base = base_python()
    if base is None:
        raise Unavailable(HOW)
    with installed("aegra", f"{base} {REQUIREMENTS}") as (directory, filled):
        own = str(directory / "venv" / "bin" / "python")
        if not filled:
            install([base, "-m", "venv", "--clear", str(directory / "venv")], "an environment for Aegra")
            install([own, "-m", "pip", "install", "-q", "--disable-pip-version-check", *REQUIREMENTS], "Aegra")
        return own


@contextlib.contextmanager
def serve(directory: Path, port: int = 0) -> Iterator[str]:
    """Run PostgreSQL and the server in the directory, which is new, and yield the server's URL."""
    reason = unavailable_reason()
    if reason:
        raise Unavailable(reason)
    interpreter = python()
    shutil.copy(Path(__file__).parent / "graphs.py", directory)
    (directory / "aegra.json").write_text(json.dumps({"graphs": {name: f"./graphs.py:{name}" for name in GRAPHS}}))
    port = port or free_port()
    log = directory / "log"
    with postgresql.database() as database_url:
        env = environment(
            DATABASE_URL=database_url,
            AEGRA_CONFIG=str(directory / "aegra.json"),
            LOG_LEVEL="WARNING",
            # Of 60 connections; the default of two makes requests wait for each other.
            SQLALCHEMY_POOL_SIZE="10",
            SQLALCHEMY_MAX_OVERFLOW="10",
            LANGGRAPH_MAX_POOL_SIZE="20",
        )
        command = [interpreter, "-m", "uvicorn", "aegra_api.main:app", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--log-level", "warning", "--no-access-log"]
        with running(command, log, cwd=directory, env=env) as process:
            url = f"http://127.0.0.1:{port}"
            wait_ready(process, lambda: answers(f"{url}/info"), "Aegra", log)
            yield url
