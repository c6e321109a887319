"""Errors under the names of the official SDK, with it and without it."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import pytest

import langgraph_runs
from langgraph_runs import compat
from langgraph_runs.compat.errors import restated, sdk_class, translated

NAMES = sorted(name for name in compat.__all__ if name.endswith("Error"))
#: A program in which neither the SDK nor httpx can be imported.
WITHOUT_SDK = """
import sys
sys.modules.update(dict.fromkeys(["langgraph_sdk", "langgraph_sdk.errors", "httpx"]))
import pickle
from langgraph_runs import APITimeoutError, NotFoundError, compat
from langgraph_runs.compat.errors import restated
compat.get_sync_client(api_key=None)
try:
    compat.get_sync_client(api_key=None).threads.stream(assistant_id="agent")
except NotImplementedError as refused:
    assert "pip install langgraph-sdk" in str(refused)
else:
    raise AssertionError
error = restated(NotFoundError("gone", status_code=404, body={"code": "c"}, headers={"x-a": "b"}))
assert isinstance(error, compat.NotFoundError) and isinstance(error, compat.LangGraphError)
assert not issubclass(compat.NotFoundError, NotFoundError)
assert (error.response.status_code, error.response.headers, error.code) == (404, {"x-a": "b"}, "c")
assert isinstance(pickle.loads(pickle.dumps(error)), compat.NotFoundError)
late = restated(APITimeoutError("silent"))
assert isinstance(late, compat.APITimeoutError) and isinstance(late, TimeoutError) and not late.response
assert not [name for name in sys.modules if name.split(".")[0] in ("langgraph_sdk", "httpx") and sys.modules[name]]
"""


def status(name: str = "NotFoundError", code: int = 404, **options: Any) -> Any:
    return restated(getattr(langgraph_runs, name)("it is gone", status_code=code, **options))


@pytest.mark.parametrize("name", NAMES)
def test_the_names_are_classes_in_the_tree_of_the_sdk(name: str) -> None:
    found = getattr(compat, name)
    assert found.__name__ == name and issubclass(found, compat.LangGraphError)
    assert found is sdk_class(name)


def test_a_name_that_the_sdk_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="NoSuchError"):
        _ = compat.NoSuchError


@pytest.mark.parametrize(
    "name",
    ["BadRequestError", "AuthenticationError", "PermissionDeniedError", "NotFoundError", "ConflictError"]
    + ["UnprocessableEntityError", "RateLimitError", "InternalServerError", "APIStatusError"],
)
def test_an_error_of_a_status_has_both_classes(name: str) -> None:
    error = status(name, 400)
    assert isinstance(error, getattr(langgraph_runs, name)) and isinstance(error, getattr(compat, name))
    assert isinstance(error, compat.APIError)


def test_it_keeps_its_text_its_attributes_and_its_repr() -> None:
    plain = langgraph_runs.NotFoundError("it is gone", status_code=404, body={"detail": "it is gone"}, run_id="r")
    text, shown = str(plain), repr(plain)
    error: Any = restated(plain)
    assert error is plain
    assert (text, shown, "r", 404) == (str(error), repr(error), error.run_id, error.status_code)
    assert error.request is None and error.message == "it is gone"


def test_the_response_has_status_body_and_headers() -> None:
    pytest.importorskip("httpx", exc_type=ImportError)
    headers = {"x-a": "b", "content-length": "999", "content-encoding": "gzip"}
    response = status(body={"detail": "gone"}, headers=headers).response
    assert (404, {"detail": "gone"}, "b") == (response.status_code, response.json(), response.headers["x-a"])
    assert "<page>" == status(body="<page>").response.text


@pytest.mark.parametrize(
    ("sent", "cls", "expected"),
    [
        (False, "APITimeoutError", "ConnectTimeout"),
        (None, "APITimeoutError", "ReadTimeout"),
        (False, "APIConnectionError", "ConnectError"),
        (None, "APIConnectionError", "RemoteProtocolError"),
        (None, "StreamInterruptedError", "RemoteProtocolError"),
        (None, "CreateUncertainError", "RemoteProtocolError"),
    ],
)
def test_a_broken_connection_is_an_error_of_httpx_too(sent: Any, cls: str, expected: str) -> None:
    httpx = pytest.importorskip("httpx", exc_type=ImportError)
    error: Any = restated(getattr(langgraph_runs, cls)("it broke", sent=sent))
    assert isinstance(error, getattr(httpx, expected)) and isinstance(error, getattr(langgraph_runs, cls))
    assert not error.response and 0 == error.response.status_code and error.body is None
    assert "it broke" in error.message and isinstance(error, compat.APIConnectionError)


def test_a_response_of_another_shape_has_the_class_of_the_sdk() -> None:
    assert isinstance(restated(langgraph_runs.ResponseDecodeError("no run")), compat.APIResponseValidationError)


@pytest.mark.parametrize("cls", ["RunFailedError", "InvalidRequestError", "AbortedError"])
def test_what_the_sdk_has_no_class_for_stays_as_it_is(cls: str) -> None:
    error = restated(getattr(langgraph_runs, cls)("no"))
    assert type(error) is getattr(langgraph_runs, cls)


@pytest.mark.parametrize("name", ["NotFoundError", "DeadlineExceededError", "StreamInterruptedError", "ResponseDecodeError"])
def test_errors_pickle_with_both_classes(name: str) -> None:
    options = {"status_code": 404} if name == "NotFoundError" else {}
    error = restated(getattr(langgraph_runs, name)("no", run_id="r", **options))
    copied = pickle.loads(pickle.dumps(error))
    assert type(copied) is type(error) and str(copied) == str(error) and copied.run_id == "r"


def test_errors_of_a_block_are_restated_and_others_pass() -> None:
    with pytest.raises(compat.NotFoundError), translated():
        raise langgraph_runs.NotFoundError("gone", status_code=404)
    with pytest.raises(KeyError), translated():
        raise KeyError("k")


def test_without_the_sdk_the_names_are_there_and_nothing_else_is_imported() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_SDK], capture_output=True, text=True, timeout=60, check=False)
    assert "" == done.stdout + done.stderr
