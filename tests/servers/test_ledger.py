"""The ledger in PostgreSQL: what holds for every ledger, and connections that break."""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
import requests
import urllib3

from langgraph_runs import BatchResult, Client, InvalidRequestError, Ledger, LedgerError, LedgerUnavailableError
from langgraph_runs.batch.ledger import Changes, Finish, Purpose, Wanted
from langgraph_runs.batch.ledger.postgresql import owner_session

from ..ledgers import MADE_FOR, LedgerTests, claim_all, claim_input, finish, open_store, record_of
from ..readme import CHAPTERS
from ..waiting import wait_until
from .conftest import QUICK, RunningServer, or_skipped
from .postgresql import Cluster, cluster
from .processes import free_port, running, wait_listening

psycopg = pytest.importorskip("psycopg")

#: Seconds. Longer than anything here takes.
LONG = 30.0
_numbers = itertools.count()


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    with or_skipped(cluster()) as server:
        yield server


@pytest.fixture
def ledger(server: Cluster) -> Ledger:
    return Ledger(f"{server.url}?ledger=test-{next(_numbers)}")


@pytest.fixture
def store(ledger: Ledger) -> Iterator[Any]:
    store = open_store(ledger)
    yield store
    store.close()


@pytest.fixture
def sql(server: Cluster) -> Iterator[Callable[..., list[Any]]]:
    """Runs a statement as another user of the database would."""
    with psycopg.connect(server.url, autocommit=True) as connection:

        def run(statement: str, *values: Any) -> list[Any]:
            cursor = connection.execute(statement, values)
            return list(cursor.fetchall()) if cursor.description else []

        yield run


END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'langgraph_runs %%'"


class TestPostgresql(LedgerTests):
    """What holds for every ledger."""


# -- connections that break


def test_a_map_keeps_its_claims_when_its_connection_is_ended(ledger: Ledger, store: Any, sql: Any) -> None:
    lost: list[str] = []
    store.watch(lambda: lost.append("lost"), None)
    claim = claim_input(store, "a")
    for _ in range(3):
        session = store._session._connection
        assert [(True,)] == sql(END)
        assert {"a"} == claim_all(store, "a").claims.keys(), "the statement is sent again on a new connection"
        assert store._session._connection is not session
    sql(END)
    session = store._session._connection
    wait_until(lambda: store._session._connection not in (session, None), "the session is replaced without a statement", LONG)
    other = open_store(ledger)
    assert None is claim_input(other, "a") and store.holds(claim)
    assert {"a"} == finish(store, claim, values=1).held
    assert [] == lost
    other.close()


def test_a_statement_whose_response_was_lost_is_written_once(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server has committed it; on a new connection it has the same effect."""
    losing = [False]
    execute = psycopg.Connection.execute

    def lossy(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        cursor = execute(self, query, *args, **kwargs)
        if losing[0] and "WITH finished" in str(query):
            losing[0] = False
            self.close()
            raise psycopg.OperationalError("consuming input failed: server closed the connection unexpectedly")
        return cursor

    monkeypatch.setattr(psycopg.Connection, "execute", lossy)
    old = claim_input(store, "old")
    store.write(Changes(finished=[], released=[]))
    losing[0] = True
    written = store.write(
        Changes(
            finished=[Finish(BatchResult(index=0, key="old", values=7, thread_id=old.thread_id), True)],
            wanted=[Wanted("new", "d", 1)],
        )
    )
    assert not losing[0]
    claim = written.claims["new"]
    assert (1, False) == (claim.attempts, claim.may_exist), "no run can exist: it was claimed now"
    assert {"old"} == written.held
    assert [old.thread_id] == store.orphaned_threads(10)


def test_tasks_end_before_others_may_claim_their_inputs(ledger: Ledger, server: Cluster) -> None:
    """While the database is away, no map may start a run. When it is back, each has the claims that it had."""
    stores = [open_store(ledger) for _ in range(3)]
    lost: list[int] = []
    for place, store in enumerate(stores):
        store.watch(functools.partial(lost.append, place), None)
    claims = [claim_input(store, f"k{place}") for place, store in enumerate(stores)]
    server.stop(signal.SIGQUIT)
    done: list[Any] = []
    writing = threading.Thread(target=lambda: done.append(claim_all(stores[0], "another")))
    try:
        writing.start()
        wait_until(lambda: len(lost) == 3, "every map to end its tasks", LONG)
    finally:
        server.start()
    writing.join(LONG)
    assert ["another"] == list(done[0].claims)
    for store, claim in zip(stores, claims):
        assert 0 == store.release_dead_owners()
        assert store.holds(claim) and {claim.key} == finish(store, claim, values=1).held
        store.close()
    assert [0, 1, 2] == sorted(lost)


def test_the_claims_of_a_machine_that_is_cut_off_are_taken_over(
    ledger: Ledger, store: Any, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[str] = []
    store.watch(lambda: lost.append("lost"), None)
    other = open_store(ledger)
    claims = claim_all(store, "a", "b").claims
    cut = threading.Event()
    open_session = type(store._session)._open

    def refused(self: Any, *, new: bool) -> Any:
        if self is store._session and cut.is_set():
            raise psycopg.OperationalError("no route to host")
        return open_session(self, new=new)

    monkeypatch.setattr(type(store._session), "_open", refused)
    cut.set()
    sql(f"{END} AND application_name = %s", f"langgraph_runs {store._session.owner:016x}")
    wait_until(lambda: lost, "the map to end its tasks", LONG)
    assert None is claim_input(other, "a"), "not before the other map has had time to come back"
    wait_until(other.release_dead_owners, "the claims to be taken over", LONG)
    theirs = claim_input(other, "a")
    assert (claims["a"].thread_id, True, 2) == (theirs.thread_id, theirs.may_exist, theirs.attempts)
    cut.clear()
    wait_until(lambda: not store.holds(claims["a"]), "the map to be back", LONG)
    assert set() == finish(store, claims["a"], values=1).held, "only its owner may write the result"
    again = claim_all(store, "a", "b").claims
    assert (["b"], True, 2) == (list(again), again["b"].may_exist, again["b"].attempts)
    finish(other, theirs, values=2)
    result = record_of(store, "a").result("digest of a", index=0)
    assert result is not None and 2 == result.values
    other.close()


class Relay:
    """Passes bytes between clients and the server, until it is frozen: then it passes nothing of its connections, and closes none."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._frozen = threading.Event()
        self._sockets: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        """Only new connections are passed."""
        self._frozen.set()
        self._frozen = threading.Event()

    def close(self) -> None:
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += [client, server]
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._pass, args=(source, target, self._frozen), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, frozen: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if frozen.is_set():
                    return
                target.sendall(data)
            if not frozen.is_set():
                target.shutdown(socket.SHUT_RDWR)


def relayed(ledger: Ledger, server: Cluster) -> tuple[Relay, str]:
    """A relay to the server, and the URL of the ledger through it."""
    port = psycopg.conninfo.conninfo_to_dict(server.url)["port"]
    relay = Relay(int(port))
    return relay, ledger.path.replace(f":{port}/", f":{relay.port}/")


def test_a_machine_that_is_cut_off_creates_no_run_when_the_server_has_ended_its_session(
    server: Cluster, ledger: Ledger, sql: Any
) -> None:
    """Its connection seems to exist, and another machine has its inputs."""
    relay, url = relayed(ledger, server)
    store: Any = Ledger(url).open_store(Purpose(**MADE_FOR))
    other = open_store(ledger)
    try:
        claim = claim_input(store, "a")
        time.sleep(owner_session.CONFIRMED)
        wait_until(store.may_create, "a statement that shows that the session exists", LONG)
        relay.freeze()
        sql(f"{END} AND application_name = %s", f"langgraph_runs {store._session.owner:016x}")
        forbidden: list[float] = []

        def taken_over() -> int:
            if not store.may_create() and not forbidden:
                forbidden.append(time.monotonic())
            return other.release_dead_owners()

        wait_until(taken_over, "the claims to be taken over", LONG)
        assert forbidden and time.monotonic() - forbidden[0] >= (owner_session.GRACE - owner_session.CONFIRMED) / 2
        assert store.holds(claim), "it does not know"
    finally:
        store.interrupt()
        store._session._cut()
        store.close()
        other.close()
        relay.close()


class RefusingFirst(requests.adapters.HTTPAdapter):
    """Refuses the first create, for a longer time than another machine needs to take its input over."""

    refused = threading.Event()
    sent = 0

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        if request.method == "POST" and "/runs" in request.path_url:
            if not self.refused.is_set():
                self.refused.set()
                raw = urllib3.HTTPResponse(io.BytesIO(b"{}"), headers={"Retry-After": "10"}, status=429, preload_content=False)
                return self.build_response(request, raw)
            self.sent += 1
        return super().send(request, *args, **kwargs)


def test_an_input_that_was_taken_over_is_not_run_by_the_machine_that_was_cut_off(
    server: Cluster, ledger: Ledger, python_server: RunningServer, sql: Any
) -> None:
    """Its create was refused. When it may be sent, the input has been run elsewhere, and this machine does not know that."""
    relay, url = relayed(ledger, server)
    adapter = RefusingFirst()
    session = requests.Session()
    session.mount("http://", adapter)
    found: list[BatchResult] = []

    def work(client: Client, ledger: Any) -> None:
        found.extend(client.runs.map("work", [("a", {"k": 1})], ledger=ledger, keep_threads=True))

    with Client(python_server.url, api_key=None, session=session) as cut_off, Client(python_server.url, api_key=None) as client:
        thread = threading.Thread(target=work, args=(cut_off, url))
        thread.start()
        try:
            assert adapter.refused.wait(LONG)
            owners = sql(
                "SELECT o.id FROM langgraph_runs_owner o JOIN langgraph_runs_ledger l ON l.id = o.ledger WHERE l.url = %s",
                python_server.url,
            )
            relay.freeze()
            sql(f"{END} AND application_name = %s", f"langgraph_runs {owners[-1][0]:016x}")
            work(client, ledger)
            thread.join(2 * LONG)
            assert [False, True] == [result.from_ledger for result in found]
            thread_id = str(found[0].thread_id)
            assert [found[0].run_id] == [run.run_id for run in client.runs.list(thread_id)]
            assert 0 == adapter.sent
            client.threads.delete(thread_id)
        finally:
            thread.join(2 * LONG)
            relay.close()


@pytest.mark.parametrize("busy", [True, False])
def test_a_connection_that_is_silent_is_replaced(
    server: Cluster, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, busy: bool
) -> None:
    """While a statement waits for its response, and while nothing is sent."""
    monkeypatch.setattr(owner_session, "_SLOWEST", 1.0)
    monkeypatch.setattr(owner_session, "_HEARTBEAT", 600.0 if busy else 0.2)
    relay, url = relayed(ledger, server)
    store: Any = Ledger(url).open_store(Purpose(**MADE_FOR))
    other = open_store(ledger)
    try:
        claim = claim_input(store, "a")
        session = store._session._connection
        relay.freeze()
        if not busy:
            wait_until(lambda: store._session._connection not in (session, None), "a new session", LONG)
        assert {"b"} == claim_all(store, "b").claims.keys()
        assert store._session._connection is not session
        assert store.holds(claim) and None is claim_input(other, "a")
    finally:
        store.close()
        other.close()
        relay.close()


def test_a_wait_for_the_database_has_a_limit(server: Cluster, ledger: Ledger, store: Any) -> None:
    store.watch(lambda: None, 0.5)
    server.stop(signal.SIGINT)
    try:
        with pytest.raises(LedgerUnavailableError, match="Connection refused"):
            claim_input(store, "a")
    finally:
        server.start()
    assert claim_input(store, "a")


def test_a_wait_for_the_database_can_be_ended(server: Cluster, ledger: Ledger) -> None:
    store = open_store(ledger)
    claim_input(store, "a")
    server.stop(signal.SIGINT)
    try:
        store.interrupt()
        with pytest.raises(LedgerUnavailableError, match="Connection refused"):
            claim_input(store, "b")
        store.close()
    finally:
        server.start()
    assert {"pending": 0, "started": 1, "done": 0, "failed": 0} == ledger.counts()
    other = open_store(ledger)
    wait_until(other.release_dead_owners, "the claims to be taken over", LONG)
    other.close()


def test_a_child_process_does_not_keep_the_claims_of_its_parent(ledger: Ledger, store: Any) -> None:
    code = f"""
import os, pickle, sys, time
from langgraph_runs.batch.ledger import Changes, Purpose, Wanted
store = pickle.loads({pickle.dumps(ledger)!r}).open_store(Purpose(**{MADE_FOR!r}))
store.write(Changes(wanted=[Wanted("a", "digest of a", 0)]))
child = os.fork()
if child:
    print(child, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            assert 0 == store.release_dead_owners()
            process.kill()
            wait_until(store.release_dead_owners, "the claims of the dead parent to be released", LONG)
        finally:
            os.kill(child, signal.SIGKILL)


def test_maps_on_two_machines_run_each_input_once(ledger: Ledger, python_server: RunningServer, sql: Any) -> None:
    series = f"pg-{os.getpid()}-{next(_numbers)}"
    found: list[list[BatchResult]] = [[], []]

    def work(place: int) -> None:
        with Client(python_server.url, api_key=None, retry=QUICK) as client:
            inputs = [(f"k{n}", {"k": n}) for n in range(60)]
            options: Any = {"metadata": {"series": series}, "concurrency": 4, "ledger": ledger, "keep_threads": True}
            for result in client.runs.map("work", inputs, **options):
                found[place].append(result)
                if place == 0 and len(found[0]) % 10 == 5:
                    sql(END)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for results in found:
        assert list(range(60)) == sorted(one.index for one in results)
        assert [] == [one.error for one in results if one.error is not None]
    assert 60 == sum(not one.from_ledger for results in found for one in results)
    with Client(python_server.url, api_key=None, retry=QUICK) as client:
        threads_found = client.threads.search(limit=100, metadata={"series": series})
        assert 60 == len(threads_found)
        assert [1] * 60 == [len(client.runs.list(thread.thread_id)) for thread in threads_found]
        for found_thread in threads_found:
            client.threads.delete(found_thread.thread_id)


def test_the_example_of_the_documentation(
    server: Cluster, python_server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    text = CHAPTERS["batch"].block_below("A ledger for many machines").text
    text = text.replace("http://langgraph:2024", python_server.url).replace('"agent"', '"chat"')
    text = text.replace("postgresql://jobs@db.example/work", server.url)
    for from_ledger in (False, True):
        exec(text, {"orders": {"order-1": {"text": "Why?"}}})
        assert f"order-1 {from_ledger}\n" == capsys.readouterr().out


# -- opening


def test_a_new_database_may_be_opened_by_several_at_the_same_time() -> None:
    errors: list[BaseException] = []
    with or_skipped(cluster()) as fresh:

        def open_it() -> None:
            barrier.wait()
            try:
                open_store(Ledger(fresh.url)).close()
            except BaseException as error:
                errors.append(error)

        for _ in range(3):
            barrier = threading.Barrier(6)
            threads = [threading.Thread(target=open_it) for _ in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            with psycopg.connect(fresh.url, autocommit=True) as connection:
                connection.execute("DROP SCHEMA public CASCADE")
                connection.execute("CREATE SCHEMA public")
    assert [] == errors


def test_tables_of_a_newer_version_are_refused(ledger: Ledger, store: Any, sql: Any) -> None:
    sql("UPDATE langgraph_runs_schema SET version = version + 1")
    try:
        for use in (ledger.counts, lambda: open_store(ledger)):
            with pytest.raises(LedgerError, match="newer version of langgraph_runs"):
                use()
    finally:
        sql("UPDATE langgraph_runs_schema SET version = version - 1")


def test_ledgers_of_one_database_are_separate(server: Cluster, sql: Any) -> None:
    one, other = Ledger(f"{server.url}?ledger=one"), Ledger(f"{server.url}?application_name=x&ledger=other")
    for ledger, purpose in ((one, Purpose("u", "a")), (other, Purpose("v", "b"))):
        store = ledger.open_store(purpose)
        assert store.write(Changes(wanted=[Wanted("k", "d", 0)])).claims
        store.close()
    assert ("a", "b") == (one.about()["assistant_id"], other.about()["assistant_id"])
    sql("DELETE FROM langgraph_runs_ledger WHERE name = 'one'")
    assert (False, True) == (one.exists, other.exists)


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_a_pooler_that_shares_sessions_is_refused(server: Cluster, tmp_path: Path, mode: str) -> None:
    """The lock that makes a map the owner of its claims would belong to none, or to all."""
    program = next((path for path in ("/usr/sbin/pgbouncer", "/usr/bin/pgbouncer") if os.path.exists(path)), None)
    if program is None:
        pytest.skip("PgBouncer is needed: apt-get install pgbouncer")
    parts, port = psycopg.conninfo.conninfo_to_dict(server.url), free_port()
    (tmp_path / "pgbouncer.ini").write_text(
        f"[databases]\npostgres = host=127.0.0.1 port={parts['port']} dbname=postgres user=postgres\n"
        f"[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port={port}\nauth_type=any\npool_mode={mode}\nunix_socket_dir=\n"
        "ignore_startup_parameters=extra_float_digits\n"
    )
    command = [program, str(tmp_path / "pgbouncer.ini")]
    options: dict[str, Any] = {"user": "nobody"} if os.getuid() == 0 else {}
    for directory in (tmp_path, *tmp_path.parents) if options else ():
        with contextlib.suppress(OSError):
            directory.chmod(directory.stat().st_mode | 0o055)
    with running(command, tmp_path / "log", **options) as process:
        wait_listening(process, port, "PgBouncer", tmp_path / "log")
        ledger = Ledger(f"postgresql://postgres@127.0.0.1:{port}/postgres?ledger=pooled-{mode}")
        if mode == "transaction":
            with pytest.raises(LedgerError, match="a pooler in session mode"):
                open_store(ledger)
            return
        store, other = open_store(ledger), open_store(ledger)
        assert claim_input(store, "a") and not claim_input(other, "a")
        store.close()
        assert claim_input(other, "a")
        other.close()


# -- passwords


def test_a_password_is_not_shown(server: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    parts = psycopg.conninfo.conninfo_to_dict(server.url)
    place = f"127.0.0.1:{parts['port']}/postgres"
    secret = "pa55%40word"
    texts: list[str] = []
    for url in (
        f"postgresql://postgres:{secret}@127.0.0.1:1/postgres?connect_timeout=2",
        f"postgresql://postgres@{place}-missing?password={secret}",
        f"postgresql://postgres:{secret}@{place}?options=-c%20nonsense%3D1",
    ):
        ledger = Ledger(url)
        assert secret not in pickle.loads(pickle.dumps(ledger)).path
        texts += [ledger.path, repr(ledger), str(ledger)]
        with pytest.raises(LedgerError) as caught:
            open_store(ledger)
        with pytest.raises(LedgerError) as also_caught:
            ledger.counts()
        for error in (caught.value, also_caught.value):
            texts += [str(error), repr(error), repr(error.__cause__), repr(error.__context__)]
    for url in (f"postgresql://postgres:{secret}%zz@host/db", f"postgresql://u:{secret}@host/db?nonsense={secret}"):
        with pytest.raises(InvalidRequestError, match="not a URL of PostgreSQL") as refused:
            Ledger(url)
        texts += [str(refused.value), repr(refused.value), repr(refused.value.__cause__)]
    store = Ledger(f"postgresql://postgres:{secret}@{place}?ledger=secret").open_store(Purpose(**MADE_FOR))
    store.close()
    shown = "\n".join([*texts, caplog.text])
    assert "pa55" not in shown and "ledger=default" in shown
