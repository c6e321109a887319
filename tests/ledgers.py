"""What holds for a ledger of every kind: what it has after each step, and which map has claimed what.

A test module makes a subclass of `LedgerTests` with the fixture ``ledger``: a `Ledger` that does not exist yet.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Iterator

import pytest

from langgraph_runs import BatchResult, InvalidRequestError, Ledger, LedgerEntry, LedgerError, RunFailedError
from langgraph_runs.batch.ledger import Changes, Claim, Finish, LedgerStore, Move, Purpose, Record, Release, Wanted, Written

from .waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent
MADE_FOR: Any = {"url": "http://server", "assistant_id": "agent"}


def open_store(ledger: Ledger, **purpose: Any) -> LedgerStore:
    return ledger.open_store(Purpose(**{**MADE_FOR, **purpose}))


def claim_all(store: LedgerStore, *keys: str, index: int = 0) -> Written:
    return store.write(Changes(wanted=[Wanted(key, f"digest of {key}", index) for key in keys]))


def claim_input(store: LedgerStore, key: str, index: int = 0) -> Any:
    """The claim; None if another map has it, or if the input has its result."""
    return claim_all(store, key, index=index).claims.get(key)


def record_of(store: LedgerStore, key: str) -> Record:
    return store.look_up([key])[key]


def finish(store: LedgerStore, claim: Claim, *, delete: bool = True, **result: Any) -> Written:
    fields = {"index": 0, "key": claim.key, "thread_id": claim.thread_id, "attempts": claim.attempts, **result}
    return store.write(Changes(finished=[Finish(BatchResult(**fields), delete)]))


def release(store: LedgerStore, claim: Claim, *, cancelled: bool = False, may_exist: bool = True) -> Written:
    return store.write(Changes(released=[Release(claim, error=None, cancelled=cancelled, may_exist=may_exist)]))


def only(ledger: Ledger) -> LedgerEntry:
    (entry,) = ledger.entries()
    return entry


class LedgerTests:
    """The tests. Each has a ledger of its own."""

    @pytest.fixture
    def store(self, ledger: Ledger) -> Iterator[LedgerStore]:
        store = open_store(ledger)
        yield store
        store.close()

    # -- claims and results

    def test_a_claim_is_recorded_with_its_thread(self, ledger: Ledger, store: LedgerStore) -> None:
        claim = claim_input(store, "a", 7)
        entry = only(ledger)
        assert ("a", 7, "started", claim.thread_id, 1, None) == (
            entry.key,
            entry.index,
            entry.status,
            entry.thread_id,
            entry.attempts,
            entry.values,
        )
        assert (False, False) == (claim.may_exist, claim.rerun_failed)

    def test_a_final_result_is_read_back(self, ledger: Ledger, store: LedgerStore) -> None:
        good, bad = claim_input(store, "a"), claim_input(store, "b")
        assert {"a"} == finish(store, good, values={"n": [1, None, "é\u0000"]}, run_id="r1", seconds=1.5).held
        finish(store, bad, error=RunFailedError("ValueError", "no ink", run_id="r2"), values={"n": 1}, delete=False)
        item = object()
        found = record_of(store, "a").result("digest of a", key="a", index=3, input=item)
        assert found is not None and found.input is item
        assert ({"n": [1, None, "é\u0000"]}, None, "r1", 1.5, 3, True) == (
            found.values,
            found.error,
            found.run_id,
            found.seconds,
            found.index,
            found.from_ledger,
        )
        failed = record_of(store, "b").result("digest of b", index=0)
        assert failed is not None and isinstance(failed.error, RunFailedError)
        assert ("no ink", "r2", {"n": 1}, bad.thread_id) == (
            failed.error.message,
            failed.error.run_id,
            failed.values,
            failed.thread_id,
        )
        assert [good.thread_id] == store.orphaned_threads(10)
        assert {"pending": 0, "started": 0, "done": 1, "failed": 1} == ledger.counts()
        written = claim_all(store, "a", "b", "c")
        assert (["c"], {"a": "done", "b": "failed"}) == (
            list(written.claims),
            {key: record.status for key, record in written.records.items()},
        )

    def test_a_value_of_null_is_a_value(self, store: LedgerStore) -> None:
        finish(store, claim_input(store, "a"), values=None)
        found = record_of(store, "a").result("digest of a", index=0)
        assert found is not None and (None, None) == (found.values, found.error)

    def test_a_changed_input_is_an_error(self, store: LedgerStore) -> None:
        claim_input(store, "a")
        written = store.write(Changes(wanted=[Wanted("a", "another", 0)]))
        assert not written.claims
        found = written.records["a"].result("another", key="a", index=0)
        assert found is not None and isinstance(found.error, LedgerError)
        assert "'a' has changed" in str(found.error)

    def test_a_deleted_thread_is_no_longer_orphaned(self, store: LedgerStore) -> None:
        claim = claim_input(store, "a")
        finish(store, claim, values=1)
        store.write(Changes(deleted=[claim.thread_id, "another"]))
        assert [] == store.orphaned_threads(10)

    def test_all_changes_are_written_at_once(self, ledger: Ledger, store: LedgerStore) -> None:
        claims = claim_all(store, "done", "failed", "released", "moved", "forgotten").claims
        release(store, claims["forgotten"], cancelled=True)
        old = claims["moved"].thread_id
        written = store.write(
            Changes(
                finished=[
                    Finish(BatchResult(index=0, key="done", values=1, thread_id=claims["done"].thread_id), True),
                    Finish(BatchResult(index=0, key="failed", error=RunFailedError("E", "m"), thread_id="kept"), False),
                    Finish(BatchResult(index=0, key="of another map", values=1, thread_id="not ours"), True),
                ],
                released=[Release(claims["released"], error=RunFailedError("E", "m"), cancelled=False, may_exist=True)],
                moved=[Move(claims["moved"], "new", True)],
                forgotten={"forgotten": claims["forgotten"].thread_id},
                deleted=["none"],
                wanted=[Wanted("first", "d", 8), Wanted("second", "d", 9)],
            )
        )
        assert {"done", "failed", "released", "moved"} == written.held
        assert {"first", "second"} == set(written.claims)
        assert {
            "done": ("done", None),
            "failed": ("failed", "kept"),
            "released": ("started", claims["released"].thread_id),
            "moved": ("started", "new"),
            "forgotten": ("pending", None),
            "first": ("started", written.claims["first"].thread_id),
            "second": ("started", written.claims["second"].thread_id),
        } == {entry.key: (entry.status, entry.thread_id) for entry in ledger.entries()}
        assert {claims["done"].thread_id, old} == set(store.orphaned_threads(10))

    # -- releasing claims

    @pytest.mark.parametrize(
        ("cancelled", "may_exist", "status", "found_may_exist", "rerun_failed"),
        [
            (False, True, "started", True, False),  # joined by the next map
            (True, True, "pending", True, True),  # looked up by the next map, and run again if it was cancelled
            (True, False, "pending", False, False),  # never sent
            (False, False, "pending", False, False),
        ],
    )
    def test_a_released_input_is_claimed_by_the_next_map(
        self,
        ledger: Ledger,
        store: LedgerStore,
        cancelled: bool,
        may_exist: bool,
        status: str,
        found_may_exist: bool,
        rerun_failed: bool,
    ) -> None:
        claim = claim_input(store, "a")
        release(store, claim, cancelled=cancelled, may_exist=may_exist)
        assert status == only(ledger).status
        again = claim_input(store, "a")
        assert (found_may_exist, rerun_failed, 2) == (again.may_exist, again.rerun_failed, again.attempts)
        assert (again.thread_id == claim.thread_id) is found_may_exist

    def test_a_cancelled_input_is_run_again_even_if_the_next_map_dies(self, store: LedgerStore) -> None:
        """Otherwise the cancelled run would become the result of the input."""
        release(store, claim_input(store, "a"), cancelled=True)
        release(store, claim_input(store, "a"))
        assert claim_input(store, "a").rerun_failed

    def test_an_input_on_a_new_thread_has_no_run_yet(self, store: LedgerStore) -> None:
        release(store, claim_input(store, "a"), cancelled=True)
        old = claim_input(store, "a")
        move = Move(old, "new", True)
        assert {"a"} == store.write(Changes(moved=[move])).held
        assert (False, False, 2) == (move.new_claim.may_exist, move.new_claim.rerun_failed, move.new_claim.attempts)
        assert [old.thread_id] == store.orphaned_threads(10)
        release(store, move.new_claim)
        assert ("new", False) == (record_of(store, "a").thread_id, claim_input(store, "a").rerun_failed)

    def test_a_deleted_thread_is_replaced(self, store: LedgerStore) -> None:
        claim = claim_input(store, "a")
        release(store, claim, cancelled=True)
        store.write(Changes(forgotten={"a": claim.thread_id}))
        again = claim_input(store, "a")
        assert not again.may_exist and again.thread_id != claim.thread_id

    @pytest.mark.parametrize("keys", [None, ["b"], ["a", "b"], ["none"], []])
    def test_failed_inputs_can_be_run_again(self, ledger: Ledger, store: LedgerStore, keys: Any) -> None:
        finish(store, claim_input(store, "a"), values=1)
        finish(store, claim_input(store, "b"), error=RunFailedError("E", "m"))
        changed = ledger.retry_failed(None if keys is None else iter(keys))
        assert (1 if keys is None or "b" in keys else 0) == changed
        again = claim_input(store, "b")
        assert (again is not None) is bool(changed)
        assert None is claim_input(store, "a")

    # -- owners

    def test_two_maps_do_not_claim_the_same_input(self, ledger: Ledger, store: LedgerStore) -> None:
        other = open_store(ledger)
        claim = claim_input(store, "a")
        assert ({}, {}) == ((written := claim_all(other, "a")).claims, written.records)
        assert record_of(other, "a").claimed
        assert 0 == other.release_dead_owners()
        assert set() == finish(other, claim, values=1).held == release(other, claim).held, "only its owner may end it"
        release(store, claim)
        assert not record_of(other, "a").claimed
        assert claim.thread_id == claim_input(other, "a").thread_id
        other.close()

    def test_maps_that_claim_at_the_same_time_share_the_inputs(self, ledger: Ledger) -> None:
        keys = [f"k{n:03}" for n in range(200)]
        claimed: list[list[str]] = [[], [], [], []]

        def work(place: int) -> None:
            store = open_store(ledger)
            for start in range(0, 200, 8):
                part = keys[start : start + 8]
                claims = claim_all(store, *(reversed(part) if place % 2 else part)).claims
                claimed[place] += claims
                store.write(Changes(finished=[Finish(BatchResult(index=0, key=key, values=place), False) for key in claims]))
            store.close()

        threads = [threading.Thread(target=work, args=(place,)) for place in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert keys == sorted(key for part in claimed for key in part)
        assert 200 == ledger.counts()["done"]

    def test_closing_a_map_releases_its_claims(self, ledger: Ledger) -> None:
        one = open_store(ledger)
        claim = claim_input(one, "a")
        one.close()
        other = open_store(ledger)
        again = claim_input(other, "a")
        assert (claim.thread_id, True, False) == (again.thread_id, again.may_exist, again.rerun_failed)
        other.close()

    def test_claims_of_a_killed_process_are_released(self, ledger: Ledger, store: LedgerStore) -> None:
        """And not before it has ended, however long that takes."""
        code = f"""
import pickle, sys, time
from langgraph_runs.batch.ledger import Changes, Purpose, Wanted
store = pickle.loads({pickle.dumps(ledger)!r}).open_store(Purpose(**{MADE_FOR!r}))
store.write(Changes(wanted=[Wanted("a", "digest of a", 0)]))
print("claimed", flush=True)
time.sleep(60)
"""
        with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert b"claimed\n" == process.stdout.readline()
            assert 0 == store.release_dead_owners()
            assert None is claim_input(store, "a")
            process.kill()
        wait_until(lambda: store.release_dead_owners() == 1, "the claims of the dead process to be released", 30)
        assert claim_input(store, "a").may_exist

    # -- what a ledger is for

    def test_a_ledger_belongs_to_one_server_and_assistant(self, ledger: Ledger, store: LedgerStore) -> None:
        assert MADE_FOR == ledger.about()
        for other in ({"url": "http://other"}, {"assistant_id": "other"}):
            with pytest.raises(LedgerError, match="is for another"):
                open_store(ledger, **other)

    def test_a_ledger_belongs_to_one_set_of_options(self, ledger: Ledger) -> None:
        def purpose(**options: Any) -> Purpose:
            return Purpose.of_map("http://server", "agent", options)

        ledger.open_store(purpose(context={"model": "secret-model", "n": 1}, metadata={"night": 1})).close()
        ledger.open_store(purpose(metadata={"night": 2}, context={"n": 1, "model": "secret-model"}, config=None)).close()
        assert {**MADE_FOR, "options": "context"} == ledger.about()
        for differing, names in (
            ({"context": {"model": "other"}}, "context"),
            ({}, "context"),
            ({"context": {"model": "secret-model", "n": 1}, "config": {"recursion_limit": 3}}, "config"),
            ({"config": {}}, "config, context"),
        ):
            with pytest.raises(LedgerError, match=f"other options: {names};") as caught:
                ledger.open_store(purpose(**differing))
            assert "secret-model" not in str(caught.value)
        assert 0 == ledger.retry_failed(new_options=True)
        ledger.open_store(purpose(context={"model": "new"})).close()
        with pytest.raises(LedgerError, match="other options: context;"):
            ledger.open_store(purpose())

    def test_a_missing_ledger_cannot_be_read(self, ledger: Ledger) -> None:
        for read in (ledger.counts, ledger.about, ledger.retry_failed, lambda: list(ledger.entries())):
            with pytest.raises(LedgerError, match="there is no ledger at"):
                read()
        assert not ledger.exists
        open_store(ledger).close()
        assert ledger.exists

    def test_an_unknown_status_is_refused(self, ledger: Ledger) -> None:
        with pytest.raises(InvalidRequestError, match="give one of pending, started, done, failed"):
            list(ledger.entries("finished"))
        with pytest.raises(InvalidRequestError, match="give a list of keys"):
            ledger.retry_failed("a")

    # -- reading

    def test_entries_come_page_by_page_in_order(self, ledger: Ledger, store: LedgerStore) -> None:
        for n in range(1203):
            if n % 401 == 0:
                store.write(Changes(wanted=[Wanted(f"k{one:04}", "d", one) for one in range(n, n + 401)]))
        results = [BatchResult(index=n, key=f"k{n:04}", values=n) for n in range(0, 1203, 2)]
        store.write(Changes(finished=[Finish(result, True) for result in results]))
        assert list(range(1203)) == [entry.index for entry in ledger.entries()]
        assert list(range(0, 1203, 2)) == [entry.values for entry in ledger.entries("done")]
        assert list(range(1, 1203, 2)) == [one["index"] for one in ledger.export("started")]
        assert {"pending": 0, "started": 601, "done": 602, "failed": 0} == ledger.counts()

    def test_an_export_has_the_errors(self, ledger: Ledger, store: LedgerStore) -> None:
        claim = claim_input(store, "a")
        finish(store, claim, error=RunFailedError("ValueError", "no ink"), values={"n": 1}, seconds=0.12345, delete=False)
        assert [
            {
                "key": "a",
                "index": 0,
                "status": "failed",
                "values": {"n": 1},
                "error": {"class": "RunFailedError", "message": "the run failed: ValueError: no ink"},
                "run_id": None,
                "thread_id": claim.thread_id,
                "attempts": 1,
                "seconds": 0.123,
                "paused": False,
            }
        ] == list(ledger.export())
