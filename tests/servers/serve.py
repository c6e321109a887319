"""Runs one of the servers until it is stopped, and removes all of it then.

    python -m tests.servers.serve javascript            # or aegra, or python; prints {"url": ...} when it accepts requests
    python -m tests.servers.serve aegra --port 8123
    python -m tests.servers.serve --missing             # what this machine lacks for any of them, and how to get it

It is stopped by Ctrl-C, by SIGTERM, or by the end of its standard input: so it does not outlive a program that started it, however
that ends. `start` starts it from a program.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from . import aegra, javascript, nginx, python
from .processes import ENVIRONMENT, INSTALL_LIMIT, START_LIMIT, Unavailable

__all__ = ["SERVERS", "start"]

SERVERS: dict[str, ModuleType] = {"python": python, "javascript": javascript, "aegra": aegra}
CHECKOUT = Path(__file__).resolve().parent.parent.parent
#: Seconds for the end of a server and its database.
STOP_LIMIT = 30.0


@contextlib.contextmanager
def start(name: str) -> Iterator[str]:
    """Run the server of that name in other processes, and yield its URL. Raises `Unavailable` if this machine cannot run it."""
    # Without a name: nothing is left of it, however this process ends.
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.serve", name],
            cwd=CHECKOUT,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
        assert process.stdin is not None and process.stdout is not None
        try:
            ready = select.select([process.stdout], [], [], INSTALL_LIMIT + START_LIMIT)[0]
            status: dict[str, Any] = json.loads(process.stdout.readline() or b"{}") if ready else {}
            if "unavailable" in status:
                raise Unavailable(status["unavailable"])
            if "url" not in status:
                log.seek(0)
                end = log.read()[-3000:].decode(errors="replace")
                raise RuntimeError(f"the server {name} did not start: {status.get('error') or end}")
            yield status["url"]
        finally:
            process.stdin.close()
            try:
                process.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise
            finally:
                process.stdout.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.servers.serve", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("name", choices=sorted(SERVERS), nargs="?")
    parser.add_argument("--missing", action="store_true", help="print what this machine lacks, and start nothing")
    parser.add_argument("--port", type=int, default=0, help="a free one if it is not given")
    arguments = parser.parse_args()
    if arguments.missing:
        print("\n".join(filter(None, [*(server.unavailable_reason() for server in SERVERS.values()), nginx.unavailable_reason()])))
        return
    if arguments.name is None:
        parser.error("which server?")

    def report(**fields: str) -> None:
        print(json.dumps(fields), flush=True)

    def end(*_: Any) -> None:
        raise SystemExit

    signal.signal(signal.SIGTERM, end)
    with tempfile.TemporaryDirectory(prefix="langgraph-runs-") as directory:
        try:
            with SERVERS[arguments.name].serve(Path(directory), arguments.port) as url, contextlib.suppress(KeyboardInterrupt):
                report(url=url)
                while os.read(0, 4096):
                    pass
        except Unavailable as error:
            report(unavailable=str(error))
        except Exception as error:
            report(error=str(error))
            raise


if __name__ == "__main__":
    main()
