"""What type checkers see of the package: tests/typing is checked here, and never run."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from .readme import ROOT

CASES = sorted(path.name for path in (ROOT / "tests" / "typing").glob("*.py"))

pytestmark = pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason='mypy is not installed: pip install ".[lint]"')


def test_there_is_something_to_check() -> None:
    assert ["calls.py", "failures.py", "streams.py", "testing.py"] == CASES


@pytest.mark.slow
def test_types_are_what_tests_typing_asserts(tmp_path: Path) -> None:
    """A wrong call there must be refused: an ``ignore`` that ignores nothing is an error."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", f"--cache-dir={tmp_path}", "tests/typing"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)

    assert "" == done.stdout + done.stderr
