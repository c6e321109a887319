"""Why this Python cannot run the server. DevServer itself is tested in tests/server/test_devserver.py."""

from __future__ import annotations

import sys

import pytest

from langgraph_runs.devserver import unavailable_reason


@pytest.mark.skipif(sys.version_info < (3, 11), reason="an older Python is the reason by itself")
@pytest.mark.parametrize("missing", ["langgraph_api", "langgraph_runtime_inmem"])
def test_a_missing_extra_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)

    assert 'the LangGraph server is not installed: pip install "langgraph_runs[server]"' == unavailable_reason()


@pytest.mark.skipif(sys.version_info >= (3, 11), reason="this Python can run the server")
def test_a_python_that_is_too_old_is_named_with_a_remedy() -> None:
    reason = unavailable_reason()

    assert reason is not None
    assert "needs Python 3.11 or newer, and this is 3." in reason
    assert 'pip install "langgraph_runs[server]"' in reason
    assert "\n" not in reason
