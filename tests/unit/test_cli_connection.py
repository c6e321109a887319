"""The options for the server: usage errors."""

from __future__ import annotations

import argparse
import os
from typing import List

import pytest

from langgraph_runs import cli
from langgraph_runs.cli.connection import repeated


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--api-key-file", "/nowhere"], "--api-key-file /nowhere: No such file or directory"),
        (["--api-key-file", os.devnull], f"--api-key-file {os.devnull}: the file is empty"),
        (["--api-key", "k", "--api-key-file", "f"], "--api-key excludes --api-key-file"),
        (["--header", "nonsense"], "--header nonsense: give NAME:VALUE"),
        (["--url", "localhost:2024"], "url='localhost:2024': give http:// or https://"),
    ],
)
def test_a_wrong_server_option_is_exit_code_2_and_is_named(
    arguments: List[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 2 == cli.main(["list", "3fa85f64-5717-4562-b3fc-2c963f66afa6", *arguments])

    out, err = capsys.readouterr()
    assert ("", 1) == (out, err.count("\n"))
    assert err.startswith(f"langgraph-runs: {told}")


def test_a_command_line_in_a_message_names_the_same_server() -> None:
    given = argparse.Namespace(url="https://ada:s3cret@host/my api", api_key_file="key file", ca_file=None)
    assert "langgraph-runs join t r --url 'https://host/my api' --api-key-file 'key file'" == repeated("join t r", given)
    assert "langgraph-runs doctor" == repeated("doctor", argparse.Namespace(url=None, api_key_file=None, ca_file=None))
