"""The hosts: for each, how the calls of `probes` are made inside of it."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import queue
import shutil
import subprocess
import sys
import urllib.request
import zipapp
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from langgraph_runs.testing import fake_server, succeeds

from ..servers.processes import free_port, running, tail, wait_listening
from ..wire.scripted import ScriptedServer, stall
from . import probes
from .probes import FAKE_VARIABLE, SILENT_VARIABLE

__all__ = ["HOSTS", "Host", "Place", "place"]

ROOT = Path(__file__).resolve().parent.parent.parent
#: Seconds for everything that one host does: to build a program takes most of a minute, and many on a busy machine.
LIMIT = 900.0
Results = dict[str, str]


@dataclass
class Place:
    """Where the calls of one host are made: the two servers, and a directory for its files."""

    fake_url: str
    silent_url: str
    directory: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("LANGGRAPH_", "PYTHONWARNINGS"))}
        return {**kept, FAKE_VARIABLE: self.fake_url, SILENT_VARIABLE: self.silent_url, "PYTHONPATH": str(ROOT)}

    @property
    def log(self) -> Path:
        return self.directory / "log"

    def output(self, *command: str, **added: str) -> str:
        """What a command prints to stdout. Raises if it fails, or prints anything to stderr."""
        done = subprocess.run(
            command, cwd=ROOT, env={**self.environment, **added}, capture_output=True, text=True, timeout=LIMIT, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), f"{command}: {done.returncode}\n{done.stderr}"
        return done.stdout

    def results(self, *command: str, **added: str) -> Results:
        found: Results = json.loads(self.output(*command, self.fake_url, self.silent_url, **added).splitlines()[-1])
        return found


@contextlib.contextmanager
def place(directory: Path) -> Iterator[Place]:
    """Both servers, while the block runs. They are in this process."""
    with fake_server() as fake, ScriptedServer(always=stall()) as silent:
        script = succeeds({"done": True}, events=[("custom", 1), 0.05, ("custom", 2)])
        fake.script(script.cut_after(1), repeat=True, input={"cut": True})
        fake.script(script, repeat=True)
        yield Place(fake.url, silent.url, directory)


@dataclass(frozen=True)
class Host:
    """One host of the table."""

    #: How the program is started, for the table.
    command: str
    #: Makes all calls of `probes`.
    calls: Callable[[Place], Results]
    #: The modules that must be installed.
    needs: tuple[str, ...] = ()
    #: Why this machine cannot run it although all is installed; "" if it can.
    obstacle: Callable[[], str] = lambda: ""

    def unavailable_reason(self) -> str:
        missing = [name for name in self.needs if importlib.util.find_spec(name) is None]
        return f"not installed: {', '.join(missing)}" if missing else self.obstacle()


PROBES = str(Path(probes.__file__))


def script(*options: str) -> Callable[[Place], Results]:
    """`probes` as a program."""
    return lambda place: place.results(sys.executable, *options, PROBES)


def patched(statement: str) -> Callable[[Place], Results]:
    """`probes` in a program that first replaces the standard library."""
    code = f"{statement}; import runpy; runpy.run_path({PROBES!r}, run_name='__main__')"
    return lambda place: place.results(sys.executable, "-c", code)


def processes(method: str) -> Callable[[Place], Results]:
    return lambda place: place.results(sys.executable, "-m", "tests.hosts.processes", method)


# -- web servers


def get(url: str) -> Any:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=LIMIT) as response:
        return json.loads(response.read())


@contextlib.contextmanager
def web_server(place: Place, *command: str) -> Iterator[str]:
    """The URL of `wsgi` under a web server. ``{port}`` in the command is a free port."""
    port = free_port()
    with running([part.format(port=port) for part in command], place.log, cwd=ROOT, env=place.environment) as process:
        wait_listening(process, port, command[0], place.log)
        yield f"http://127.0.0.1:{port}"


def served(*command: str) -> Callable[[Place], Results]:
    def calls(place: Place) -> Results:
        with web_server(place, *command) as url:
            found: Results = get(f"{url}/all")["result"]
            return found

    return calls


UWSGI = Path(sys.executable).with_name("uwsgi")


def uwsgi(*options: str) -> tuple[str, ...]:
    """uWSGI, which imports the application before it forks its two workers."""
    main = (str(UWSGI), "--http-socket", "127.0.0.1:{port}", "--module", "tests.hosts.wsgi", "--virtualenv", sys.prefix)
    return (*main, "--master", "--processes", "2", "--need-app", "--die-on-term", *options)


def no_uwsgi() -> str:
    return "" if UWSGI.exists() else "not installed: uwsgi"


def gunicorn(*options: str) -> tuple[str, ...]:
    main = (sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:{port}", "--preload", "--workers", "1", "--timeout", "120")
    return (*main, *options, "tests.hosts.wsgi")


WAITRESS = (sys.executable, "-m", "waitress", "--listen", "127.0.0.1:{port}", "tests.hosts.wsgi:application")

# -- task queues


@contextlib.contextmanager
def celery_worker(place: Place, pool: str, *, stop_within: float = 20.0) -> Iterator[dict[str, str]]:
    """A worker with that pool; the environment for a program that sends tasks. The worker must stop when it is told to."""
    for name in ("queue", "control", "results"):
        (place.directory / name).mkdir(exist_ok=True)
    added = {"TEST_HOSTS_CELERY_DIRECTORY": str(place.directory)}
    worker = ("worker", "--pool", pool, "--concurrency", "2", "--without-gossip", "--without-mingle", "--without-heartbeat")
    command = (sys.executable, "-m", "celery", "-A", "tests.hosts.celery_app", *worker, "--loglevel", "INFO")
    with running(command, place.log, cwd=ROOT, env={**place.environment, **added}) as process:
        yield added
        process.terminate()
        try:
            code = process.wait(stop_within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the worker did not stop within {stop_within:g} s:\n{tail(place.log)}") from None
        assert code == 0, f"the worker ended with {code}:\n{tail(place.log)}"


def celery(pool: str) -> Callable[[Place], Results]:
    def calls(place: Place) -> Results:
        with celery_worker(place, pool) as added:
            found: Results = json.loads(place.output(sys.executable, "-m", "tests.hosts.celery_app", **added))
            return found

    return calls


# -- notebooks


class Kernel:
    """A Jupyter kernel of this environment, in which code is executed."""

    def __init__(self, place: Place) -> None:
        from jupyter_client.manager import KernelManager

        self.manager: Any = KernelManager(kernel_name="python3")
        self.manager.kernel_spec.argv[0] = sys.executable
        self.manager.start_kernel(cwd=str(ROOT), env={**place.environment, "IPYTHONDIR": str(place.directory)})
        self.client: Any = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def start(self, code: str) -> str:
        request: str = self.client.execute(code, store_history=False)
        return request

    def wait_for_text(self, request: str, text: str) -> None:
        """Block until the code has printed the text, which `finish` then leaves out."""
        while True:
            message = self.client.get_iopub_msg(timeout=LIMIT)
            if message["parent_header"].get("msg_id") == request and text in message["content"].get("text", ""):
                return

    def finish(self, request: str) -> str:
        """The text that the code printed, or the name of the exception that it raised."""
        text = ""
        while True:
            message = self.client.get_iopub_msg(timeout=LIMIT)
            if message["parent_header"].get("msg_id") != request:
                continue
            content = message["content"]
            if message["msg_type"] == "stream":
                text += content["text"]
            elif message["msg_type"] == "error":
                text += content["ename"]
            elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                break
        with contextlib.suppress(queue.Empty):
            self.client.get_shell_msg(timeout=5)
        return text

    def execute(self, code: str) -> str:
        return self.finish(self.start(code))

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


@contextlib.contextmanager
def kernel(place: Place) -> Iterator[Kernel]:
    with contextlib.closing(Kernel(place)) as made:
        yield made


def notebook(place: Place) -> Results:
    with kernel(place) as running_kernel:
        code = "import json\nfrom tests.hosts.probes import from_environment\nprint(json.dumps(from_environment().run_all()))"
        found: Results = json.loads(running_kernel.execute(code))
        return found


# -- programs in one file


def one_file(place: Place) -> Results:
    """A program that PyInstaller has made of `probes`; it has no Python and no package of this machine."""
    build = ("--onefile", "--noconfirm", "--log-level", "ERROR", "--distpath", ".", "--workpath", "build", "--specpath", ".")
    command = [sys.executable, "-m", "PyInstaller", *build, "--paths", str(ROOT), "--name", "probes_program", PROBES]
    built = subprocess.run(command, cwd=place.directory, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return place.results(str(place.directory / "probes_program"), PYTHONPATH="")


#: What goes into the zip file, besides the package: what it needs, but orjson, which is not written in Python.
PURE = ("requests", "urllib3", "idna", "certifi", "charset_normalizer", "sseclient", "tenacity", "attr", "attrs", "cattr", "cattrs")
PURE_FOR_SOME = ("typing_extensions", "exceptiongroup")


def zipped(place: Place) -> Results:
    """A zip file with `probes`, the package and what it needs. Without ``site``, Python finds nothing else."""
    content = place.directory / "content"
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd")
    shutil.copytree(ROOT / "langgraph_runs", content / "langgraph_runs", ignore=ignored)
    for name in (*PURE, *PURE_FOR_SOME):
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            assert name in PURE_FOR_SOME, f"{name} is not installed"
        elif spec.submodule_search_locations:
            shutil.copytree(Path(spec.origin).parent, content / name, ignore=ignored)
        else:
            shutil.copy(spec.origin, content)
    shutil.copy(PROBES, content / "__main__.py")
    zipapp.create_archive(content, place.directory / "probes.pyz", compressed=True)
    return place.results(sys.executable, "-I", "-S", str(place.directory / "probes.pyz"))


def has_start_method(method: str) -> Callable[[], str]:
    def obstacle() -> str:
        import multiprocessing

        return "" if method in multiprocessing.get_all_start_methods() else f"this system cannot {method}"

    return obstacle


GEVENT = "from gevent import monkey; monkey.patch_all()"
EVENTLET = "import warnings; warnings.simplefilter('ignore'); import eventlet; eventlet.monkey_patch()"  # it is deprecated


def simulated(system: str) -> Callable[[Place], Results]:
    return script("-m", "tests.hosts.other_systems", system)


def no_proc() -> str:
    return "" if Path("/proc/self/fd").exists() else "this system is not Linux"


HOSTS: dict[str, Host] = {
    "script": Host("python program.py", script()),
    "dev mode": Host("python -W error -X dev program.py", script("-W", "error", "-X", "dev")),
    "spawn": Host("multiprocessing, spawn", processes("spawn")),
    "fork": Host("multiprocessing, fork", processes("fork"), obstacle=has_start_method("fork")),
    "forkserver": Host("multiprocessing, forkserver", processes("forkserver"), obstacle=has_start_method("forkserver")),
    "gevent": Host("gevent, all patched", patched(GEVENT), ("gevent",)),
    "eventlet": Host("eventlet, all patched", patched(EVENTLET), ("eventlet",)),
    "gunicorn threads": Host("gunicorn -k gthread --preload", served(*gunicorn("-k", "gthread", "--threads", "4")), ("gunicorn",)),
    "gunicorn gevent": Host("gunicorn -k gevent --preload", served(*gunicorn("-k", "gevent")), ("gunicorn", "gevent")),
    "uwsgi": Host("uwsgi", served(*uwsgi()), obstacle=no_uwsgi),
    "uwsgi threads": Host("uwsgi --enable-threads", served(*uwsgi("--enable-threads")), obstacle=no_uwsgi),
    "waitress": Host("waitress", served(*WAITRESS), ("waitress",)),
    "celery prefork": Host("celery worker --pool prefork", celery("prefork"), ("celery",)),
    "celery threads": Host("celery worker --pool threads", celery("threads"), ("celery",)),
    "celery gevent": Host("celery worker --pool gevent", celery("gevent"), ("celery", "gevent")),
    "jupyter": Host("a Jupyter kernel", notebook, ("ipykernel", "jupyter_client")),
    "pyinstaller": Host("pyinstaller --onefile", one_file, ("PyInstaller",)),
    "zipapp": Host("python program.pyz", zipped),
    "windows": Host("Windows, simulated", simulated("windows"), obstacle=no_proc),
    "macos": Host("macOS, simulated", simulated("macos"), obstacle=no_proc),
}
