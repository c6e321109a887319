"""The tree of errors: its shape, its texts, its attributes, and its pickles."""

from __future__ import annotations

import copy
import inspect
import pickle
import typing
from typing import Any, Dict, List, Type

import pytest

import langgraph_runs
from langgraph_runs import Run, errors
from langgraph_runs.errors import LangGraphRunsError, RequestInfo, status_error

CLASSES: List[Type[LangGraphRunsError]] = [
    item for item in vars(errors).values() if inspect.isclass(item) and issubclass(item, LangGraphRunsError)
]
INFO = RequestInfo("POST", "http://server/threads/t/runs")


def made(cls: Type[LangGraphRunsError]) -> LangGraphRunsError:
    """An error of this class with everything on it that it can carry."""
    own: Dict[str, Any] = {}
    if issubclass(cls, errors.APIStatusError):
        own = {"status_code": 404, "body": {"detail": "x"}, "headers": {"a": "b"}, "request_id": "rq", "retry_after": 1.5}
    elif issubclass(cls, errors.RunError):
        own = {"run": Run(run_id="r", thread_id="t", status="error"), "values": {"n": 1}}
    elif issubclass(cls, errors.ResponseDecodeError):
        own = {"problems": ["$: empty"]}
    elif issubclass(cls, errors.StreamInterruptedError):
        own = {"last_event_id": "5-0", "events_seen": 3}
    elif issubclass(cls, errors.OutageError):
        own = {"done": 2, "failed": 1, "total": 5, "seconds": 600.0}
    elif issubclass(cls, errors.CreateUncertainError):
        own = {"request_id": "rq", "sent": None}
    elif issubclass(cls, errors.DeadlineExceededError):
        own = {"timeout": 2.0}
    elif issubclass(cls, errors.AbortedError):
        own = {"reason": "enough"}
    error = cls("it did not work", request=INFO, run_id="r", thread_id="t", attempts=2, **own)
    error.created, error.uncertain = {0: Run(run_id="r0", thread_id="t", status="pending")}, (1, 2)
    return error


def test_the_tree_is_the_documented_one() -> None:
    """Every error is where the design says, with the built-in class that people catch by habit beside it."""
    direct = {cls.__name__: [base.__name__ for base in cls.__bases__] for cls in CLASSES}
    connection, status, run = ["APIConnectionError"], ["APIStatusError"], ["RunError"]
    assert {
        "LangGraphRunsError": ["Exception"],
        "InvalidRequestError": ["LangGraphRunsError", "ValueError"],
        "IdempotencyConflictError": ["InvalidRequestError"],
        "AbortedError": ["LangGraphRunsError"],
        "LedgerError": ["LangGraphRunsError"],
        "LedgerUnavailableError": ["LedgerError"],
        "APIConnectionError": ["LangGraphRunsError"],
        "APITimeoutError": ["APIConnectionError", "TimeoutError"],
        "DeadlineExceededError": ["APITimeoutError"],
        "StreamInterruptedError": connection,
        "CreateUncertainError": connection,
        "OutageError": connection,
        "ResponseDecodeError": connection,
        "APIStatusError": ["LangGraphRunsError"],
        "BadRequestError": status,
        "AuthenticationError": status,
        "PermissionDeniedError": status,
        "NotFoundError": status,
        "ConflictError": status,
        "UnprocessableEntityError": status,
        "RateLimitError": status,
        "InternalServerError": status,
        "RunError": ["LangGraphRunsError"],
        "RunFailedError": run,
        "RunCancelledError": run,
        "RunTimedOutError": run,
    } == direct


def test_every_error_is_public() -> None:
    """No class of the tree has to be imported from a module below the package."""
    assert [] == [cls.__name__ for cls in CLASSES if not hasattr(langgraph_runs, cls.__name__)]


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (409, "ConflictError"),
        (422, "UnprocessableEntityError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
        (503, "InternalServerError"),
        (599, "InternalServerError"),
        (302, "APIStatusError"),
        (418, "APIStatusError"),
    ],
)
def test_each_status_has_its_class(status: int, name: str) -> None:
    """A status maps to the class that the field knows, unknown ones to the common base."""
    assert name == status_error(status).__name__


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_errors_pickle_and_copy(cls: Type[LangGraphRunsError]) -> None:
    """Every error comes out of pickle (in every protocol), copy and deepcopy with its class, text and attributes."""
    error = made(cls)
    pickled = [pickle.dumps(error, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for again in (*map(pickle.loads, pickled), copy.copy(error), copy.deepcopy(error)):
        assert cls is type(again)
        assert str(error) == str(again)
        assert repr(error) == repr(again)
        assert error.args == again.args
        assert vars(error) == vars(again)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_str_is_one_line_and_names_the_request_and_the_run(cls: Type[LangGraphRunsError]) -> None:
    """The text fits a log line and names the request and the run."""
    text = str(made(cls))
    assert 1 == len(text.splitlines())
    assert "it did not work" in text
    assert "POST http://server/threads/t/runs" in text


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_repr_shows_what_the_error_knows(cls: Type[LangGraphRunsError]) -> None:
    """The repr begins with the class and holds every attribute that is set, but for the run and its values."""
    error = made(cls)
    shown = repr(error)
    assert shown.startswith(cls.__name__ + "(")
    assert [] == [name for name in ("attempts=2", "run_id='r'", "thread_id='t'", "request=") if name not in shown]
    assert "values=" not in shown


def attributes_of(cls: Type[LangGraphRunsError]) -> Dict[str, Any]:
    """The types of the attributes that the class documents, by name."""
    return {name: hint for name, hint in typing.get_type_hints(cls).items() if not name.startswith("_")}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_attribute_is_declared_with_a_default(cls: Type[LangGraphRunsError]) -> None:
    """Each attribute is declared on its class with a type and a default that cannot be changed."""
    declared = attributes_of(cls)
    assert set() == {name for name in vars(made(cls)) if not name.startswith("_")} - set(declared)
    assert {"created", "uncertain"} <= set(declared)
    for name in declared:
        default = getattr(cls, name)
        assert default in (None, 0, "", (), {}) and not isinstance(default, (dict, list)), name


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_an_error_of_text_alone_has_every_attribute(cls: Type[LangGraphRunsError]) -> None:
    """An error that was read back from a ledger has the defaults for what was not kept."""
    error = cls._restored("it did not work", {"run_id": "r1"})
    assert ("it did not work (run r1)", ("it did not work",), "r1") == (str(error), error.args, error.run_id)
    assert [] == [name for name in attributes_of(cls) if not hasattr(error, name)]
    assert ({}, ()) == (error.created, error.uncertain)


@pytest.mark.parametrize(
    "error",
    [
        errors.APIStatusError("x" * 10_000, status_code=400, body={"detail": "x" * 10_000}, headers={"x-long": "y" * 10_000}),
        errors.RunFailedError("E" * 10_000, "m" * 10_000),
    ],
    ids=lambda error: type(error).__name__,
)
def test_long_texts_of_the_server_are_cut_in_messages_only(error: Any) -> None:
    """500 characters in str(), about 2,000 in repr(); the attributes keep everything."""
    assert 500 <= len(str(error)) < 600
    assert 2000 <= len(repr(error)) < 3500
    assert 10_000 == len(error.message)


@pytest.mark.parametrize("cls", [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")])
def test_no_text_from_elsewhere_makes_a_long_message(cls: Any) -> None:
    """Whatever is long, the message, an id or an attribute: a megabyte stays out of logs."""
    long = "x" * 1_000_000
    options: Dict[str, Any] = {"run_id": long, "thread_id": long, "request": errors.RequestInfo("GET", long)}
    if issubclass(cls, errors.APIStatusError):
        options.update(status_code=500, body=long, headers={"a": long}, request_id=long)
    error = cls(long, **options)
    assert len(str(error)) < 2_000
    assert len(repr(error)) < 2_500
    assert long == pickle.loads(pickle.dumps(error)).run_id


def test_short_attributes_stay_in_a_long_repr() -> None:
    """A long body does not push the ids out."""
    error = errors.NotFoundError("x" * 5000, status_code=404, body="x" * 5000, run_id="r1", request=INFO, request_id="rq")
    assert [] == [text for text in ("run_id='r1'", "request_id='rq'", "status_code=404", "RequestInfo(") if text not in repr(error)]


def test_a_body_of_any_depth_has_a_repr() -> None:
    """JSON may be nested deeper than Python can print."""
    body: Any = []
    for _ in range(100_000):
        body = [body]
    assert "body=<list that is nested too deep to be shown>" in repr(errors.NotFoundError("x", status_code=404, body=body))
    while body:
        body = body.pop()  # taken apart here: the interpreter would do it recursively


def test_a_text_of_several_lines_becomes_one_line() -> None:
    """No line end of a server or a caller reaches the log."""
    error = errors.NotFoundError("a\nb\r\nc\u2028d\x85e", status_code=404, run_id="r\n1")
    assert "404: a b c d e (run r 1)" == str(error)
    assert "a\nb\r\nc\u2028d\x85e" == error.message


def test_the_run_is_not_named_twice() -> None:
    """A run id that the text has already is not appended again."""
    assert "run r1 is gone" == str(LangGraphRunsError("run r1 is gone", run_id="r1"))


def test_a_failed_run_has_class_and_message_in_its_text() -> None:
    """A failed run says class and message, or that the server did not say why."""
    assert "the run failed: ValueError: boom" == str(errors.RunFailedError("ValueError", "boom"))
    assert "the run failed: boom" == str(errors.RunFailedError(None, "boom"))
    assert "the run failed; the server did not say why" == str(errors.RunFailedError())


def test_a_status_error_begins_with_its_status() -> None:
    """The status is in the text, also if the body was empty."""
    assert "404: Not Found" == str(errors.NotFoundError("Not Found", status_code=404))
    assert "502" == str(errors.InternalServerError("", status_code=502))


def test_headers_of_an_error_are_a_copy() -> None:
    """Changing the dict of the caller does not change the error."""
    given = {"a": "b"}
    error = errors.APIStatusError("x", status_code=418, headers=given)
    given["a"] = "c"
    assert {"a": "b"} == error.headers


def test_a_decode_error_means_that_a_response_arrived() -> None:
    """ResponseDecodeError says that the request was sent."""
    assert True is errors.ResponseDecodeError("x").sent
    assert None is errors.APIConnectionError("x").sent


def test_the_deadline_error_is_the_builtin_timeout_error() -> None:
    """``except TimeoutError`` catches it, without an errno."""
    with pytest.raises(TimeoutError) as caught:
        raise errors.DeadlineExceededError("late", timeout=1.0)
    assert None is caught.value.errno


def test_notes_survive_pickling() -> None:
    """Notes (PEP 678) are still on an error in another process."""
    error = LangGraphRunsError("x")
    error.__dict__["__notes__"] = ["a note"]
    assert ["a note"] == pickle.loads(pickle.dumps(error)).__notes__
