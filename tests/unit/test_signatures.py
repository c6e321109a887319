"""The calls have the names, the order of arguments and the options of the official SDK's sync client."""

from __future__ import annotations

import inspect
import pydoc
import typing
from typing import Any, Callable, Dict, Iterator, List, Set, Tuple

import pytest

from langgraph_runs import Client
from langgraph_runs.options import (
    CallOptions,
    CreateOptions,
    CronOptions,
    CronUpdateOptions,
    JoinOptions,
    JoinStreamOptions,
    LimitOptions,
    MapOptions,
    ModeOption,
    StreamOptions,
    ThreadCronOptions,
    WaitOptions,
    option_docs,
)
from langgraph_runs.resources.assistants import AssistantsClient
from langgraph_runs.resources.crons import CronsClient
from langgraph_runs.resources.runs import RunsClient
from langgraph_runs.resources.store import StoreClient
from langgraph_runs.resources.threads import ThreadsClient

#: The options of all calls of ``client.runs`` that start a run.
PROMISED = {
    "input",
    "command",
    "stream_mode",
    "stream_subgraphs",
    "stream_resumable",
    "metadata",
    "config",
    "context",
    "checkpoint",
    "checkpoint_id",
    "checkpoint_during",
    "interrupt_before",
    "interrupt_after",
    "feedback_keys",
    "on_completion",
    "webhook",
    "multitask_strategy",
    "if_not_exists",
    "after_seconds",
    "langsmith_tracing",
    "durability",
    "strict_resume",
    "headers",
    "params",
    "on_run_created",
    "timeout",
    "signal",
}
CALLS = {"create", "create_batch", "stream", "wait", "list", "get", "cancel", "cancel_many", "join", "join_stream", "delete"}
#: Calls that the official client does not have.
EXTRA = {"RunsClient.iter", "RunsClient.join_all", "RunsClient.map", "CronsClient.get"}
#: The options behind ``**options``, by method; the common ones for all others.
BEHIND: Dict[Any, Tuple[Any, ...]] = {
    RunsClient.create: (CreateOptions,),
    RunsClient.wait: (WaitOptions,),
    RunsClient.stream: (ModeOption, StreamOptions),
    RunsClient.join: (JoinOptions,),
    RunsClient.join_stream: (JoinStreamOptions,),
    RunsClient.map: (MapOptions,),
    RunsClient.join_all: (),
    CronsClient.create: (CronOptions,),
    CronsClient.create_for_thread: (ThreadCronOptions,),
    CronsClient.update: (CronUpdateOptions,),
    StoreClient.put_item: (LimitOptions,),
    StoreClient.delete_item: (LimitOptions,),
    StoreClient.search_items: (LimitOptions,),
    AssistantsClient.create: (LimitOptions,),
    AssistantsClient.update: (LimitOptions,),
}
#: Options of the official client that this library does not have, each with the reason.
LEFT_OUT: Dict[str, Set[str]] = {
    "RunsClient.stream": {"version"},  # the shape of its own event objects
}


#: Positional arguments of ``client.runs`` after the official ones: payloads, and what the JavaScript client has there.
MORE_POSITIONS: Dict[str, List[Tuple[str, Any]]] = {
    **dict.fromkeys(("create", "wait", "stream"), [("payload", None)]),
    **dict.fromkeys(("list", "join_stream"), [("arguments", None)]),
    "cancel": [("wait", False), ("action", "interrupt")],
}


def public(cls: Any) -> Iterator[Tuple[str, Callable[..., Any]]]:
    for name, item in inspect.getmembers(cls, inspect.isfunction):
        if not name.startswith("_"):
            yield name, item


METHODS: List[Any] = [
    pytest.param(cls, name, method, id=f"{cls.__name__}.{name}")
    for cls in (RunsClient, ThreadsClient, AssistantsClient, CronsClient, StoreClient)
    for name, method in public(cls)
]


def keywords_of(method: Callable[..., Any]) -> Set[str]:
    """All that the method takes by keyword, also behind ``**options``."""
    shown = inspect.signature(method).parameters.values()
    names = {one.name for one in shown if one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD)}
    return names | {option for options in BEHIND.get(method, (CallOptions,)) for option in option_docs(options)}


def official(cls: Any) -> Any:
    """The class of the official SDK's sync client that corresponds to *cls*."""
    client = pytest.importorskip("langgraph_sdk.client")
    return getattr(client, "SyncCronClient" if cls is CronsClient else f"Sync{cls.__name__}")


def test_the_eleven_calls_are_there() -> None:
    """``client.runs`` has them, ``iter``, which pages, and ``map`` and ``join_all`` for many."""
    assert CALLS | {"iter", "join_all", "map"} == {name for name, _ in public(RunsClient)}


@pytest.mark.parametrize("name", ["create", "wait", "stream"])
def test_every_call_that_starts_a_run_takes_all_options(name: str) -> None:
    """Each of the promised options is one of create, wait and stream alike; the last two know more."""
    names = keywords_of(getattr(RunsClient, name))
    assert set() == PROMISED - names
    assert ({"on_disconnect", "on_timeout", "raise_error"} <= names) is (name != "create")
    assert ("on_gap" in names) is (name == "stream")


@pytest.mark.parametrize(("cls", "name", "method"), METHODS)
def test_positional_order_is_the_official_one(cls: Any, name: str, method: Callable[..., Any]) -> None:
    """Positional arguments are the same, in the same order with the same defaults; calls that start a run take a payload after them."""
    official_method = getattr(official(cls), name, None)
    if official_method is None:
        assert f"{cls.__name__}.{name}" in EXTRA
        return

    def positional(function: Any) -> List[Tuple[str, Any]]:
        shown = inspect.signature(function).parameters.values()
        return [(one.name, one.default) for one in shown if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]

    more = MORE_POSITIONS.get(name, []) if cls is RunsClient else []
    assert positional(official_method) + more == positional(method)


@pytest.mark.parametrize(("cls", "name", "method"), METHODS)
def test_option_names_are_the_official_ones(cls: Any, name: str, method: Callable[..., Any]) -> None:
    """Every option of the official call is there, except those in the table; every call takes the common options as well."""
    official_method = getattr(official(cls), name, None)
    names = keywords_of(method)
    if official_method is not None:
        theirs = inspect.signature(official_method).parameters.values()
        missing = {one.name for one in theirs if one.kind is not one.POSITIONAL_ONLY} - names - {"self"}
        assert LEFT_OUT.get(f"{cls.__name__}.{name}", set()) == missing
    # Those for many bound each of them, with timeout_each.
    assert ({"signal"} if name in ("map", "join_all") else {"timeout", "signal", "headers", "params"}) <= names


@pytest.mark.parametrize(("cls", "name", "method"), METHODS)
def test_help_shows_every_option(cls: Any, name: str, method: Callable[..., Any]) -> None:
    """help() has the signature with all keywords, and a line for each option that is not the method's own."""
    shown = pydoc.render_doc(method, renderer=pydoc.plaintext)  # type: ignore[attr-defined]
    assert "**options" not in shown.split("\n\n")[1].splitlines()[0]
    own = set(inspect.signature(inspect.unwrap(method)).parameters)
    for option in keywords_of(method):
        assert f"{option}:" in shown or option in own, option
    for options in BEHIND.get(method, (CallOptions,)):
        assert [] == [option for option, doc in option_docs(options).items() if f"{option}: {doc}" not in (method.__doc__ or "")]


@pytest.mark.parametrize("name", ["ok", "info", "request"])
def test_the_clients_own_calls_take_the_common_options(name: str) -> None:
    """They are shown, too."""
    assert {"timeout", "signal", "headers", "params"} <= set(inspect.signature(getattr(Client, name)).parameters)


@pytest.mark.parametrize(("cls", "name", "method"), METHODS)
def test_every_call_has_a_docstring_and_types(cls: Any, name: str, method: Callable[..., Any]) -> None:
    """Its docstring begins with a sentence, and its types resolve without an error."""
    first = (method.__doc__ or "").strip().splitlines()[0]
    assert first and first[0].isupper()
    for options in BEHIND.get(method, (CallOptions,)):
        assert typing.get_type_hints(options)


def test_an_unknown_option_is_refused_by_every_call() -> None:
    """``**options`` is not a hole: a name that no option has is refused, with the nearest one."""
    client = Client("http://server", api_key=None)
    for call in (
        lambda: client.runs.get("t", "r", header={}),  # type: ignore[call-arg]
        lambda: client.threads.get("t", header={}),  # type: ignore[call-arg]
        lambda: client.assistants.get("a", header={}),  # type: ignore[call-arg]
        lambda: client.crons.get("c", header={}),  # type: ignore[call-arg]
        lambda: client.store.get_item(["n"], "k", header={}),  # type: ignore[call-arg]
        lambda: client.ok(header={}),  # type: ignore[call-arg]
        lambda: client.request("GET", "/ok", header={}),  # type: ignore[call-arg]
        lambda: client.runs.create(None, "a", header={}),  # type: ignore[call-arg]
    ):
        with pytest.raises(ValueError, match="has no option 'header'; did you mean 'headers'?"):
            call()
