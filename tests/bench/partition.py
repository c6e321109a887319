"""Machines with one ledger in PostgreSQL, of which one is cut off from the database for a minute: is every input run exactly once?

    python -m tests.bench.partition                  # about three minutes; exits 1 if anything is doubled or lost

Each of four machines is a process in a network namespace, with one network to the database and another one to the server. The first
machine loses the one to the database, in silence: nothing closes its connections. It is done twice; the second time, PostgreSQL
restarts meanwhile, so that it ends all sessions, and the machine that is cut off does not hear of it. Needs the extra ``server``,
PostgreSQL, root, and `ip` and `bridge` (iproute2).
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from langgraph_runs import Client, Ledger
from langgraph_runs.devserver import DevServer

from ..servers.postgresql import Cluster, cluster

ROOT = Path(__file__).resolve().parent.parent.parent
GRAPHS = {"agent": f"{ROOT / 'tests' / 'docs_agent.py'}:graph"}
MACHINES = 4
#: Seconds of one run, and those that the machines may take to end.
RUN, TIMEOUT = 0.5, 200.0
#: The host's address in each network, and the first two numbers of the machines' addresses.
NETWORKS = {"database": "10.77", "server": "10.78"}


def work(url: str, ledger: str, inputs: int) -> None:
    """What a machine does. Prints for each result its key, whether it is from the ledger, and its error."""
    items = ((f"n-{n}", {"messages": [{"role": "user", "content": f"Why {n}?"}]}) for n in range(inputs))
    with Client(url, api_key=None) as client:
        options: Any = {"concurrency": 8, "keep_threads": True, "context": {"seconds": RUN}}
        for result in client.runs.map("agent", items, ledger=ledger, **options):
            print(json.dumps([result.key, result.from_ledger, result.error and str(result.error)]), flush=True)


# -- the network


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def link(network: str, machine: int) -> str:
    """The host's end of a machine's link to a network."""
    return f"lgr{os.getpid() % 10_000}{network[0]}{machine}"


@contextlib.contextmanager
def machines() -> Iterator[list[str]]:
    """Make the namespaces and networks, and yield the names of the namespaces."""
    names = [f"langgraph-runs-{os.getpid()}-{machine}" for machine in range(MACHINES)]
    with contextlib.ExitStack() as stack:
        for network, numbers in NETWORKS.items():
            switch = link(network, MACHINES)
            run("ip", "link", "add", switch, "type", "bridge")
            stack.callback(run, "ip", "link", "del", switch)
            run("ip", "addr", "add", f"{numbers}.100.1/16", "dev", switch)
            run("ip", "link", "set", switch, "up")
        for machine, name in enumerate(names):
            run("ip", "netns", "add", name)
            stack.callback(run, "ip", "netns", "del", name)
            inside = ("ip", "netns", "exec", name, "ip")
            for network, numbers in NETWORKS.items():
                run("ip", "link", "add", link(network, machine), "type", "veth", "peer", "name", network, "netns", name)
                run("ip", "link", "set", link(network, machine), "master", link(network, MACHINES), "up")
                run(*inside, "addr", "add", f"{numbers}.{machine}.1/16", "dev", network)
                run(*inside, "link", "set", network, "up")
        yield names


def cut_off(machine: int, state: bool) -> None:
    """Pass no packets between the machine and the database, or pass them again. The machine's own link stays up."""
    run("bridge", "link", "set", "dev", link("database", machine), "state", "0" if state else "3")


@contextlib.contextmanager
def forwarded(address: str, port: int) -> Iterator[int]:
    """Forward connections to *address* to a port of the loopback interface. Yields the port there."""

    def copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def serve(client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            back = threading.Thread(target=copy, args=(server, client), daemon=True)
            back.start()
            copy(client, server)
            back.join()

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server((address, 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]


@contextlib.contextmanager
def database() -> Iterator[tuple[Cluster, str]]:
    """A cluster, and its URL for the machines."""
    address = f"{NETWORKS['database']}.100.1"
    with cluster(listen_addresses=f"127.0.0.1,{address}") as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            ((rules,),) = connection.execute("SHOW hba_file").fetchall()
            with open(rules, "a") as file:
                file.write(f"\nhost all all {NETWORKS['database']}.0.0/16 trust\n")
            connection.execute("SELECT pg_reload_conf()")
        yield server, server.url.replace("127.0.0.1", address)


# -- the experiment


def experiment(inputs: int, seconds: float, restarts: bool) -> dict[str, Any]:
    with contextlib.ExitStack() as stack:
        names = stack.enter_context(machines())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(DevServer(GRAPHS, workers=8 * MACHINES))
        postgresql, url = stack.enter_context(database())
        address = f"{NETWORKS['server']}.100.1"
        port = stack.enter_context(forwarded(address, int(server.url.rpartition(":")[2])))
        ledger = Ledger(f"{postgresql.url}?ledger=partition")
        processes = []
        for name in names:
            command = ["ip", "netns", "exec", name, sys.executable, "-m", "tests.bench.partition", "--work"]
            command += [f"http://{address}:{port}", f"{url}?ledger=partition", str(inputs)]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            with open(folder / name, "wb") as out:
                processes.append(subprocess.Popen(command, cwd=folder, env=environment, stdout=out))
            stack.callback(processes[-1].kill)
        wait(processes, lambda: ledger.exists and ledger.counts()["done"] >= inputs // 8)
        cut_off(0, True)
        began = time.monotonic()
        if restarts:
            postgresql.stop(signal.SIGQUIT)
            postgresql.start()
        while time.monotonic() - began < seconds:
            time.sleep(1.0)
        found = {"done when it comes back": ledger.counts()["done"]}
        cut_off(0, False)
        statuses = [process.wait(TIMEOUT) for process in processes]
        results = [[json.loads(line) for line in (folder / name).read_text().splitlines()] for name in names]
        errors = [error for lines in results for _, _, error in lines if error is not None]
        with Client(server.url, api_key=None) as client:
            threads: list[Any] = []
            while len(page := client.threads.search(limit=1000, offset=len(threads), sort_by="created_at")) == 1000:
                threads += page
            runs = collections.Counter(len(client.runs.list(thread.thread_id)) for thread in threads + page)
    ran = sum(not from_ledger for lines in results for _, from_ledger, _ in lines)
    return {
        **found,
        "machines that failed": sum(status != 0 for status in statuses),
        "results missing": sum(inputs - len({key for key, _, _ in lines}) for lines in results),
        "errors": len(errors),
        "recorded by one machine": ran,
        "inputs with one run": runs[1],
        "doubled": sum(count for number, count in runs.items() if number > 1),
        "lost": inputs - sum(count for number, count in runs.items() if number >= 1),
    }


def wait(processes: list[subprocess.Popen[bytes]], ready: Any) -> None:
    while not ready():
        if any(process.poll() is not None for process in processes):
            raise SystemExit("a machine has ended too early")
        time.sleep(0.1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the first machine is cut off")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        url, ledger, inputs = options.work
        work(url, ledger, int(inputs))
        return 0
    columns = [experiment(options.inputs, options.seconds, restarts) for restarts in (False, True)]
    print(f"{'of ' + str(options.inputs) + ' inputs':26}{'cut off':>12}{'and restart':>14}")
    for name in columns[0]:
        print(f"{name:26}{columns[0][name]:>12}{columns[1][name]:>14}")
    bad = ("machines that failed", "results missing", "errors", "doubled", "lost")
    return 1 if any(column[name] for column in columns for name in bad) else 0


if __name__ == "__main__":
    sys.exit(main())
