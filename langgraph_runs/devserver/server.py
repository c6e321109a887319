"""`DevServer`: a real LangGraph server on this machine, for tests and for trying things out.

Starts the server as a child process, waits until it accepts requests, and removes everything afterwards. Sends no requests itself.
The server is installed by the extra: ``pip install "langgraph_runs[server]"``, on Python 3.11 or newer.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Dict, Mapping, Optional, Type, Union, cast

from .. import LangGraphRunsError

__all__ = ["DevServer", "DevServerError", "unavailable_reason"]

#: Seconds that a server may take to end after SIGTERM before it is killed; an idle one takes 0.1.
STOP_TIMEOUT = 1.0
#: The same for a server with persistence, which first writes its state to the directory.
PERSISTENCE_STOP_TIMEOUT = 30.0
#: Environment variables that are not passed on: they would configure the server, or make it send data to other hosts.
_FOREIGN_PREFIXES = ("LANGGRAPH_", "LANGSERVE_", "LANGSMITH_", "LANGCHAIN_")
_FOREIGN_NAMES = {"MOUNT_PREFIX", "DATABASE_URI", "REDIS_URI", "MIGRATIONS_PATH", "N_JOBS_PER_WORKER", "PYTHONWARNINGS"}
_OFFLINE = {"LANGGRAPH_NO_VERSION_CHECK": "true", "LANGGRAPH_CLI_NO_ANALYTICS": "1", "LANGSMITH_TRACING": "false"}
#: The options of the server that contain a path of code, each with the key of the path.
_CODE_OPTIONS = {"auth": "path", "http": "app", "checkpointer": "path"}


class DevServerError(LangGraphRunsError):
    """The local server cannot be started, or has ended by itself.

    ``str()`` is one line with the reason. ``log`` is the end of the server's log, which Python 3.11 and newer also show below the
    traceback.
    """

    #: The last lines of the server's log; empty if the server was not started.
    log: str

    def __init__(self, message: str, *, log: str = "") -> None:
        super().__init__(message)
        self.log = log
        if log and sys.version_info >= (3, 11):
            self.add_note("The end of the server's log:\n" + log)


def unavailable_reason() -> Optional[str]:
    """Return one line that says why this Python cannot run the server and what to do about it; None if it can."""
    if os.name != "posix":
        return "the local server needs Linux or macOS; on Windows use WSL"
    if sys.version_info < (3, 11):
        running = ".".join(map(str, sys.version_info[:3]))
        return (
            f"the LangGraph server needs Python 3.11 or newer, and this is {running}: "
            'with a newer one, pip install "langgraph_runs[server]"'
        )
    for module in ("langgraph_api", "langgraph_runtime_inmem"):
        if importlib.util.find_spec(module) is None:
            return 'the LangGraph server is not installed: pip install "langgraph_runs[server]"'
    return None


class DevServer:
    """A LangGraph server with your graphs, in memory, on a free port of this machine.

    ::

        with DevServer(graphs={"agent": "my_agent.py:graph"}) as server:
            client = Client(server.url)

    It is the real server, in a process and a new temporary directory of its own, silent and offline. Variables of the caller's
    environment that configure the server (``LANGGRAPH_*``, ``LANGSMITH_*``, ``LANGCHAIN_*``) are not passed on; those in ``env``
    are. The process is ended and the directory removed at the end of the ``with`` block, and also if the program ends in any other
    way: exit, exception, Ctrl-C, a signal, even SIGKILL (then within a second).

    :param graphs: graph name to ``"path.py:variable"`` (relative to the caller's working directory) or
        ``"module:variable"``.
    :param port: the port; 0 for a free one. A fixed port that is in use is an error.
    :param env: environment variables for the server and the graphs, in addition to the caller's.
    :param workers: the number of runs that are executed at the same time.
    :param startup_timeout: seconds until the server must accept requests; most of that time the graphs are imported.
    :param log: a file to which the server's output is appended. By default it is written to the temporary directory.
    :param log_level: the level of the server's log.
    :param persistence: keep threads and runs in the directory, so that they survive :meth:`restart` (the server writes them
        every ten seconds and when it is ended by SIGTERM). By default the server is empty after each start.
    :param options: further settings of the server, as in langgraph.json: ``auth={"path": "auth.py:auth"}``,
        ``http={"app": "app.py:app", "mount_prefix": "/api"}``, ``webhooks={...}``, ``store={...}``.

    May be used from any thread. The constructor does not start the server. Methods raise :class:`DevServerError` if the server
    cannot be started or does not run. The graphs can import everything that the caller can import.

    >>> server = DevServer(graphs={"agent": "my_agent.py:graph"})
    >>> server.running
    False
    """

    def __init__(
        self,
        graphs: Mapping[str, Union[str, Mapping[str, Any]]],
        *,
        port: int = 0,
        env: Optional[Mapping[str, str]] = None,
        workers: int = 10,
        startup_timeout: float = 60.0,
        log: Union[str, os.PathLike[str], None] = None,
        log_level: str = "ERROR",
        persistence: bool = False,
        **options: Any,
    ) -> None:
        if not graphs:
            raise DevServerError('a server needs at least one graph: DevServer(graphs={"agent": "my_agent.py:graph"})')
        self._graphs = dict(graphs)
        self._port = port
        self._env = dict(env or {})
        self._workers = workers
        self._startup_timeout = startup_timeout
        self._log = None if log is None else Path(log).absolute()
        self._log_level = log_level.upper()
        self._persistence = persistence
        self._options = options
        self._url: Optional[str] = None
        self._directory: Optional[_Directory] = None
        self._process: Optional[_Process] = None
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        state = f"pid={self.pid} url={self._url!r}" if self.running else "not running"
        return f"<DevServer {', '.join(self._graphs)}: {state}>"

    def __enter__(self) -> DevServer:
        return self.start()

    def __exit__(
        self,
        exc_type: Optional[Type[BaseException]],
        exc: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The base URL for a client, with the mount prefix; it stays the same after a restart. Raises before the first start."""
        if self._url is None:
            raise DevServerError("the server was not started: use `with DevServer(...)`, or start()")
        return self._url

    @property
    def port(self) -> int:
        """The port, chosen at the first start; 0 before that."""
        return self._port

    @property
    def pid(self) -> Optional[int]:
        """The id of the server's process, or None if it does not run."""
        process = self._process
        return process.pid if process is not None and process.alive() else None

    @property
    def running(self) -> bool:
        """True if the server's process is alive."""
        return self.pid is not None

    @property
    def log_path(self) -> Path:
        """The file with the server's output."""
        if self._log is not None:
            return self._log
        if self._directory is None:
            raise DevServerError("the server does not run, and its log was removed with its directory; pass log= to keep it")
        return self._directory.path / "server.log"

    def log_tail(self, lines: int = 20) -> str:
        """Return the last *lines* lines of the server's output."""
        return _tail(self.log_path, lines)

    def start(self) -> DevServer:
        """Start the server and block until it accepts requests, at most ``startup_timeout`` seconds.

        Does nothing if it runs already.
        """
        with self._lock:
            if self.running:
                return self
            reason = unavailable_reason()
            if reason is not None:
                raise DevServerError(reason)
            settings = self._settings()
            if self._directory is None:
                self._directory = _Directory()
            elif not self._persistence:
                shutil.rmtree(self._directory.path / ".langgraph_api", ignore_errors=True)
            try:
                self._launch(settings)
            except BaseException:
                self.stop()
                raise
            return self

    def stop(self) -> None:
        """End the server and remove its directory. Does nothing if it does not run.

        Sends SIGTERM, kills the process if it has not ended after a second, and blocks until it has ended. Runs that are being
        executed are lost.
        """
        with self._lock:
            process, self._process = self._process, None
            directory, self._directory = self._directory, None
            if process is not None:
                process.end()
            if directory is not None:
                directory.remove()

    def restart(self) -> DevServer:
        """End the server and start it on the same port, also after :meth:`kill`. It is empty, unless ``persistence`` was given."""
        with self._lock:
            process, self._process = self._process, None
            if process is not None:
                if self._persistence and process.alive():
                    process.signal(signal.SIGTERM)
                    process.wait(PERSISTENCE_STOP_TIMEOUT)
                process.end()
            return self.start()

    def send_signal(self, signum: int) -> None:
        """Send a signal to the server and return at once. SIGSTOP makes the server hang, SIGTERM shuts it down."""
        process = self._process
        if process is None or not process.alive():
            raise DevServerError("the server does not run")
        process.signal(signum)

    def kill(self, signum: Optional[int] = None, *, timeout: float = 30.0) -> None:
        """End the server with a signal, by default SIGKILL, as a crash or a shutdown would, and block until the process has ended.

        The directory stays until :meth:`stop`; :meth:`restart` brings the server back at the same URL.
        """
        signum = signal.SIGKILL if signum is None else signum  # not a default value: Windows does not have it
        self.send_signal(signum)
        process = self._process
        if process is not None and not process.wait(timeout):
            message = f"the server had not ended {timeout:g} s after signal {int(signum)}"
            raise DevServerError(message, log=self.log_tail())

    def _settings(self) -> Dict[str, Any]:
        graphs = {name: _located(f"graph {name!r}", value, "path") for name, value in self._graphs.items()}
        options: Dict[str, Any] = {
            "reload": False,
            "open_browser": False,
            "allow_blocking": True,
            "server_level": self._log_level,
            **{
                name: _located(name, value, _CODE_OPTIONS[name]) if name in _CODE_OPTIONS and value else value
                for name, value in self._options.items()
            },
            "graphs": graphs,
            "n_jobs_per_worker": self._workers,
            "disable_persistence": not self._persistence,
        }
        return {
            "parent": os.getpid(),
            "port": self._port,
            "sys_path": [os.getcwd(), *(os.path.abspath(entry) for entry in sys.path)],
            "options": options,
        }

    def _environment(self) -> Dict[str, str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_FOREIGN_PREFIXES) and name not in _FOREIGN_NAMES
        }
        defaults = {**_OFFLINE, "LOG_LEVEL": self._log_level, "LOG_COLOR": "false", "PYTHONUNBUFFERED": "1"}
        encoding = {"PYTHONIOENCODING": os.environ.get("PYTHONIOENCODING", "utf-8:backslashreplace")}
        return {**inherited, **defaults, **encoding, **self._env}

    def _launch(self, settings: Dict[str, Any]) -> None:
        assert self._directory is not None
        settings["directory"] = str(self._directory.path)
        try:
            encoded = json.dumps(settings).encode() + b"\n"
        except (TypeError, ValueError) as error:
            raise DevServerError(f"the server's options must be JSON: {error}") from error
        begun = time.monotonic()
        with open(self.log_path, "ab") as log:
            self._process = process = _Process(self, self._directory.path, self._environment(), log)
        status = process.begin(encoded, self._startup_timeout)
        if "url" in status:
            self._url, self._port = status["url"], status["port"]
            return
        log_tail = self.log_tail(60)  # long enough to contain the traceback of a graph, which other tracebacks follow
        if "error" in status:
            raise DevServerError(status["error"])
        if process.alive():
            waited = time.monotonic() - begun
            raise DevServerError(f"the server did not accept requests within {waited:.0f} s of its start", log=log_tail)
        raise DevServerError(f"the server ended while starting: {_reason_in(log_tail)}", log=log_tail)


class _Directory:
    """A temporary directory. It is removed by `remove`, when this object is garbage-collected, or when the program exits."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="langgraph-runs-"))
        self.remove = weakref.finalize(self, _remove, self.path, os.getpid())


def _remove(path: Path, owner: int) -> None:
    if os.getpid() == owner:  # not in a forked child
        shutil.rmtree(path, ignore_errors=True)


class _Process:
    """A process of the server, in a session of its own, so that a Ctrl-C in the terminal does not reach it.

    Its standard input is a pipe that the operating system closes when this program ends or is killed; then the child process ends
    itself (``child.py``). Its standard output is a pipe that is open as long as it lives: so its end is noticed without waiting for
    the process, and until the whole process group is killed, its id cannot be reused by another process.
    """

    def __init__(self, owner: object, directory: Path, env: Mapping[str, str], log: IO[bytes]) -> None:
        self._popen = subprocess.Popen(
            # -P: not to put the script's directory on the import path, where a graph's "import server" would find this file.
            [sys.executable, "-P", str(Path(__file__).with_name("child.py"))],
            cwd=directory,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            bufsize=0,
            start_new_session=True,
        )
        self._stdin, self._stdout = cast("IO[bytes]", self._popen.stdin), cast("IO[bytes]", self._popen.stdout)
        self._owner_pid = os.getpid()
        #: Ends the process and waits for it, once; also called when the owner is garbage-collected or the program exits.
        self.end = weakref.finalize(owner, self._end)

    @property
    def pid(self) -> int:
        return self._popen.pid

    def begin(self, settings: bytes, timeout: float) -> Dict[str, Any]:
        """Send the settings and return the status line of the child process; an empty dict if it ended, or sent none in time."""
        deadline = time.monotonic() + timeout
        try:
            while settings:
                settings = settings[os.write(self._stdin.fileno(), settings) :]
        except BrokenPipeError:
            return {}
        line = b""
        while not line.endswith(b"\n"):
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not self._poll(select.POLLIN, remaining):
                return {}
            piece = os.read(self._stdout.fileno(), 4096)
            if not piece:
                return {}
            line += piece
        return cast("Dict[str, Any]", json.loads(line))

    def alive(self) -> bool:
        return self._popen.returncode is None and not self._poll(0, 0)

    def wait(self, timeout: float) -> bool:
        """Block until the process has ended; return False if it has not ended after *timeout* seconds."""
        return self._popen.returncode is not None or self._poll(0, timeout)

    def signal(self, signum: int) -> None:
        if signum == signal.SIGKILL:
            os.killpg(self.pid, signum)
        else:
            os.kill(self.pid, signum)

    def _poll(self, events: int, timeout: float) -> bool:
        """Return True if standard output has one of the events, or is closed, within *timeout* seconds."""
        poll = select.poll()
        poll.register(self._stdout.fileno(), events)
        return bool(poll.poll(max(0.0, timeout) * 1000))

    def _end(self) -> None:
        if os.getpid() == self._owner_pid:  # not in a forked child
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGTERM)
                os.kill(self.pid, signal.SIGCONT)
                self._poll(0, STOP_TIMEOUT)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self._popen.wait()
        self._stdin.close()
        self._stdout.close()


def _located(what: str, value: Any, key: str) -> Any:
    """Make the path of code in *value* absolute, since the server runs in another directory; raise if there is no such file."""
    if isinstance(value, Mapping):
        return {**value, key: _located(what, value[key], key)} if key in value else dict(value)
    if not isinstance(value, str) or ":" not in value:
        raise DevServerError(f'{what} must be "path.py:variable" or "module:variable", not {value!r}')
    place, _, variable = value.rpartition(":")
    if "/" not in place and not place.endswith(".py"):
        return value
    path = Path(place).expanduser().absolute()
    if not path.is_file():
        raise DevServerError(f"{what}: there is no file {path}")
    return f"{path}:{variable}"


def _tail(path: Path, lines: int) -> str:
    try:
        with open(path, "rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 65536))
            return "\n".join(log.read().decode("utf-8", "replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def _reason_in(log: str) -> str:
    """Return the line of the log that most likely says why the server ended."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return (errors or lines or ["it printed nothing"])[-1][:300]
