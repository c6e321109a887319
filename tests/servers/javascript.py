"""The official JavaScript server (npm: @langchain/langgraph-api), in memory."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from .processes import Unavailable, answers, environment, free_port, install, installed, running, wait_ready

SOURCE = Path(__file__).parent / "js"
HOW = (
    "the JavaScript server needs node 20 or newer and npm (Debian: apt-get install nodejs npm, or nodejs.org); npm then installs it"
)
#: Runs that it executes at a time: those of all processes of the tests.
WORKERS = 60


def unavailable_reason() -> str:
    """Why this machine cannot run it, and how to get it; empty if it can."""
    if not shutil.which("node") or not shutil.which("npm"):
        return HOW
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return "" if int(version.lstrip("v").split(".")[0]) >= 20 else f"{HOW}; this is node {version}"


def packages() -> Path:
    """The directory with node_modules; npm fills it the first time, which takes half a minute and 160 MB."""
    recipe = (SOURCE / "package.json").read_text(encoding="utf-8")
    with installed("javascript", recipe) as (directory, filled):
        if not filled:
            shutil.copy(SOURCE / "package.json", directory)
            install(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"], "the JavaScript server", cwd=directory)
        return directory / "node_modules"


@contextlib.contextmanager
def serve(directory: Path, port: int = 0) -> Iterator[str]:
    """Run the server in the directory, which is new, and yield its URL."""
    reason = unavailable_reason()
    if reason:
        raise Unavailable(reason)
    modules = packages()
    for name in ("graphs.mjs", "langgraph.json", "package.json"):
        shutil.copy(SOURCE / name, directory)
    (directory / "node_modules").symlink_to(modules)
    port = port or free_port()
    log = directory / "log"
    command = [str(modules / ".bin" / "langgraphjs"), "dev", "--host", "127.0.0.1", "--port", str(port), "--no-browser"]
    command += ["--n-jobs-per-worker", str(WORKERS)]
    with running(command, log, cwd=directory, env=environment()) as process:
        url = f"http://127.0.0.1:{port}"
        wait_ready(process, lambda: answers(f"{url}/ok"), "the JavaScript server", log)
        yield url
