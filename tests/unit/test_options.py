"""The options: one definition of each, read by editors, by ``help()`` and by the payload classes."""

from __future__ import annotations

import inspect
import typing
from typing import Any, Dict

import attrs
import pytest

from langgraph_runs import RunCreate, RunsCreatePayload, RunsInvokePayload, RunsStreamPayload, RunsWaitPayload, options
from langgraph_runs.options import (
    CallOptions,
    CreateOptions,
    InvokeOptions,
    JoinOptions,
    JoinStreamOptions,
    MapOptions,
    ModeOption,
    StreamOptions,
    WaitOptions,
    documented,
    option_docs,
)

OPTION_CLASSES = [
    CallOptions,
    InvokeOptions,
    ModeOption,
    CreateOptions,
    WaitOptions,
    StreamOptions,
    MapOptions,
    JoinOptions,
    JoinStreamOptions,
]
#: Options of the client that are not in a request body.
CLIENT_OPTIONS = {"timeout", "signal", "headers", "params", "on_run_created", "on_timeout", "on_gap", "raise_error"} | {
    "idempotency_key"
}


def hints(cls: Any) -> Dict[str, Any]:
    """Names and types, a missing value being None."""
    return {name: typing.Optional[hint] for name, hint in typing.get_type_hints(cls).items()}


@pytest.mark.parametrize("cls", OPTION_CLASSES, ids=lambda cls: cls.__name__)
def test_every_option_has_a_doc_of_its_own(cls: Any) -> None:
    """Each is a sentence or more that ends in a full stop, and no option is required."""
    docs = option_docs(cls)
    assert list(typing.get_type_hints(cls)) == list(docs)
    assert [] == [name for name, doc in docs.items() if not doc.strip().endswith(".")]
    assert frozenset() == cls.__required_keys__


@pytest.mark.parametrize(
    ("payload", "keywords"),
    [
        (RunsCreatePayload, {**hints(CreateOptions)}),
        (RunsWaitPayload, {**hints(WaitOptions)}),
        (RunsStreamPayload, {**hints(StreamOptions), **hints(ModeOption)}),
    ],
    ids=["create", "wait", "stream"],
)
def test_options_and_payload_fields_are_the_same(payload: Any, keywords: Dict[str, Any]) -> None:
    """A payload class has the fields that the keywords name, with their types, and no others."""
    fields = {name: typing.Optional[hint] for name, hint in typing.get_type_hints(payload).items()}
    keywords = {name: hint for name, hint in keywords.items() if name not in CLIENT_OPTIONS}
    assert keywords == fields


@pytest.mark.parametrize("payload", [RunsInvokePayload, RunsCreatePayload, RunsStreamPayload, RunsWaitPayload])
def test_a_payload_without_anything_is_possible(payload: Any) -> None:
    """Every field is by keyword and None by default, so that None means: not sent."""
    assert [] == [field.name for field in attrs.fields(payload) if field.default is not None or not field.kw_only]
    payload()


def test_a_batch_item_is_a_payload_with_its_assistant() -> None:
    """RunCreate has what create has, and the two ids."""
    names = {field.name for field in attrs.fields(RunCreate)}
    assert {field.name for field in attrs.fields(RunsCreatePayload)} | {"assistant_id", "thread_id"} == names


def test_documented_shows_the_keywords_without_changing_the_call() -> None:
    """The signature and the docstring list the options behind ``**options``; the function is the same one."""

    def method(self: Any, thread_id: str, *, params: int = 3, **options: Any) -> str:
        """The first line."""
        return "called"

    shown = documented(CallOptions, JoinOptions)(method)
    assert method is shown
    parameters = inspect.signature(shown).parameters
    assert ["self", "thread_id", "params", "timeout", "signal", "headers", "on_timeout", "raise_error"] == list(parameters)
    assert (3, None, True) == tuple(parameters[name].default for name in ("params", "signal", "raise_error"))
    assert "<the client's>" == repr(parameters["timeout"].default)
    doc = (shown.__doc__ or "").splitlines()
    assert ["The first line.", "", "Options:"] == doc[:3]
    assert 5 == len([line for line in doc[3:] if line.startswith("    ")])
    assert "called" == shown(None, "t", anything="else")


def test_an_option_of_several_calls_is_documented_once() -> None:
    """Its type and its text are the same in each of them."""
    found: Dict[str, Any] = {}
    for cls in OPTION_CLASSES:
        for name, hint in typing.get_type_hints(cls, include_extras=True).items():
            assert hint == found.setdefault(name, hint), name


def test_map_has_the_options_of_its_runs() -> None:
    """All options of create, but for those that map decides for each run."""
    decided = {"input", "command", "checkpoint", "checkpoint_id", "on_completion", "multitask_strategy", "if_not_exists"}
    others = {"timeout", "signal", "on_run_created", "idempotency_key"}
    assert set(option_docs(CreateOptions)) - decided - others == set(option_docs(MapOptions))


def test_defaults_that_are_shown_are_the_real_ones() -> None:
    """Defaults that are not None are in one table, and each belongs to an option."""
    known = {name for cls in OPTION_CLASSES for name in option_docs(cls)}
    assert set() == set(options._DEFAULTS) - known
