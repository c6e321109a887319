"""What type checkers see of the package: tests/typing is checked here, and never run."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from .readme import ROOT

CASES = sorted(path.name for path in (ROOT / "tests" / "typing").glob("*.py"))

needs_mypy = pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason='mypy is not installed: pip install ".[lint]"')
needs_pyright = pytest.mark.skipif(
    importlib.util.find_spec("pyright") is None, reason="pyright is not installed: pip install pyright (it needs npm)"
)


def test_there_is_something_to_check() -> None:
    assert ["calls.py", "compat.py", "failures.py", "streams.py", "testing.py"] == CASES


@needs_mypy
@pytest.mark.slow
def test_types_are_what_tests_typing_asserts(tmp_path: Path) -> None:
    """A wrong call there must be refused: an ``ignore`` that ignores nothing is an error."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", f"--cache-dir={tmp_path}", "tests/typing"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)

    assert "" == done.stdout + done.stderr


@needs_pyright
@pytest.mark.slow
def test_pyright_sees_the_same(tmp_path: Path) -> None:
    settings = {
        "include": [str(ROOT / "tests" / "typing")],
        "extraPaths": [str(ROOT)],
        "reportUnnecessaryTypeIgnoreComment": "error",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, "-m", "pyright", "-p", str(tmp_path), "--pythonpath", sys.executable]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)

    assert 0 == done.returncode, done.stdout
    assert "0 errors, 0 warnings" in done.stdout
