"""``--lock``: nothing is started while another command holds the lock."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from langgraph_runs import cli


def test_a_held_lock_is_exit_code_75_and_nothing_is_started(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing listens at that address, so that a request would be 5."""
    file = tmp_path / "job.lock"
    command = ["create", "agent", "--lock", str(file), "--url", "http://127.0.0.1:9", "--attempts", "1"]
    with file.open("w") as held:
        held.write("4711\n")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)

        assert 75 == cli.main(command)
        assert ("", f"langgraph-runs: --lock {file}: held by process 4711; nothing was started\n") == capsys.readouterr()

    assert 5 == cli.main(command)
    assert f"{os.getpid()}\n" == file.read_text()


def test_a_lock_file_that_cannot_be_created_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == cli.main(["create", "agent", "--lock", str(tmp_path / "no" / "job.lock")])
    assert f"langgraph-runs: --lock {tmp_path}/no/job.lock: No such file or directory\n" == capsys.readouterr().err


def test_a_file_with_other_content_is_no_lock_and_stays_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text('{"n": 1}\n')
    assert 2 == cli.main(["create", "agent", "--lock", str(file), "--url", "http://127.0.0.1:9", "--attempts", "1"])
    assert f"--lock {file}: the file has other content; give one that is used for nothing else" in capsys.readouterr().err
    assert '{"n": 1}\n' == file.read_text()
