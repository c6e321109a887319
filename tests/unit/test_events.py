"""Events: which class for which name, and their mode, namespace, time and tags."""

from __future__ import annotations

import datetime
import inspect
import pickle
from typing import Any, Tuple

import attrs
import pytest

import langgraph_runs
from langgraph_runs import (
    CheckpointsStreamEvent,
    CustomStreamEvent,
    DebugStreamEvent,
    EndStreamEvent,
    ErrorStreamEvent,
    EventsStreamEvent,
    FeedbackStreamEvent,
    MessagesStreamEvent,
    MetadataStreamEvent,
    StreamEvent,
    TasksStreamEvent,
    UpdatesStreamEvent,
    ValuesStreamEvent,
)
from langgraph_runs.streaming import events
from langgraph_runs.streaming.events import build_event, event_class

UTC = datetime.timezone.utc
KINDS = [item for item in vars(events).values() if inspect.isclass(item) and issubclass(item, StreamEvent)]


@pytest.mark.parametrize(
    ("name", "cls", "mode", "namespace"),
    [
        ("values", ValuesStreamEvent, "values", ()),
        ("values|child:1f0c", ValuesStreamEvent, "values", ("child:1f0c",)),
        ("updates|a:1|b:2", UpdatesStreamEvent, "updates", ("a:1", "b:2")),
        ("messages", MessagesStreamEvent, "messages", ()),
        ("messages/partial", MessagesStreamEvent, "messages", ()),
        ("messages/metadata|child:1", MessagesStreamEvent, "messages", ("child:1",)),
        ("messages-tuple", MessagesStreamEvent, "messages-tuple", ()),
        ("events", EventsStreamEvent, "events", ()),
        ("debug", DebugStreamEvent, "debug", ()),
        ("metadata", MetadataStreamEvent, "metadata", ()),
        ("custom|x", CustomStreamEvent, "custom", ("x",)),
        ("tasks", TasksStreamEvent, "tasks", ()),
        ("checkpoints", CheckpointsStreamEvent, "checkpoints", ()),
        ("error", ErrorStreamEvent, "error", ()),
        ("feedback", FeedbackStreamEvent, "feedback", ()),
        ("end", EndStreamEvent, "end", ()),
        ("lifecycle", StreamEvent, "lifecycle", ()),
        ("valuesx", StreamEvent, "valuesx", ()),
        ("Values", StreamEvent, "Values", ()),
        ("message", StreamEvent, "message", ()),
        ("", StreamEvent, "", ()),
    ],
)
def test_class_mode_and_namespace(name: str, cls: Any, mode: str, namespace: Tuple[str, ...]) -> None:
    """An event keeps the name that the server sent; its class, mode and namespace are read from it."""
    assert cls is event_class(name)
    event = cls(name)
    assert (name, mode, namespace) == (event.event, event.mode, event.namespace)


@pytest.mark.parametrize("cls", KINDS, ids=lambda cls: cls.__name__)
def test_events_are_frozen_values(cls: Any) -> None:
    """They cannot be changed, pickle, and compare without the time of their arrival and their text."""
    event = cls("x", {"n": 1}, "5", "raw", 1.0)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.data = 2
    assert cls("x", {"n": 1}, "5", "other", 2.0) == event == pickle.loads(pickle.dumps(event))
    assert cls("x", {"n": 2}, "5") != event
    assert f"{cls.__name__}(event='x', data={{'n': 1}}, id='5')" == repr(event)


@pytest.mark.parametrize("cls", KINDS, ids=lambda cls: cls.__name__)
def test_the_fast_way_to_build_one_gives_the_same(cls: Any) -> None:
    """An event that was built for a stream has every field that the constructor sets."""
    fields = ("values|a", {"n": 1}, "5-0", '{"n":1}', 12.5)
    made, built = cls(*fields), build_event(cls, *fields)
    assert cls is type(built)
    names = [field.name for field in attrs.fields(cls)]
    assert [getattr(made, name) for name in names] == [getattr(built, name) for name in names]


def test_every_kind_is_public() -> None:
    """A user can name each class that a stream gives."""
    assert [] == [cls.__name__ for cls in KINDS if not cls.__name__.startswith("_") and not hasattr(langgraph_runs, cls.__name__)]


MOMENT = datetime.datetime(2026, 11, 21, 1, 9, 53, 104205, UTC)
ID_MOMENT = datetime.datetime(2026, 11, 21, 1, 17, 13, 885000, UTC)
CLOCK_ID = f"{int(ID_MOMENT.timestamp() * 1000)}-0"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-21T01:09:53.104205+00:00", MOMENT),
        ("2026-11-21T01:09:53.104205Z", MOMENT),
        ("2026-11-21T03:09:53.104205+02:00", MOMENT),
        ("2026-11-21T01:09:53.104205", MOMENT),
    ],
)
def test_the_time_in_the_data_takes_precedence(text: str, moment: datetime.datetime) -> None:
    """A debug event says when it happened. That counts for more than its id, and is UTC whatever its offset was."""
    event = DebugStreamEvent("debug", {"timestamp": text}, CLOCK_ID)
    assert moment == event.timestamp
    assert UTC == event.timestamp.tzinfo


@pytest.mark.parametrize(
    "text", [None, "", 5, "yesterday, at about noon", "0001-01-01T00:00:00+05:00", "2026-99-21T01:09:53Z", {"a": 1}, "x" * 100_000]
)
def test_a_time_that_is_none_is_no_error(text: Any) -> None:
    """Then it is the id's, which is the clock of this server."""
    assert ID_MOMENT == DebugStreamEvent("debug", {"timestamp": text}, CLOCK_ID).timestamp


@pytest.mark.parametrize("event_id", [None, "", "5", "abc", "1795224633885", "17952246338851-0", "1795224633885-0x", "-1-0"])
def test_without_any_time_it_is_the_time_of_arrival(event_id: Any) -> None:
    """An id that is no clock says nothing."""
    arrived = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert arrived == StreamEvent("x", [1], event_id, received_at=arrived.timestamp()).timestamp


def test_the_time_of_arrival_is_taken_when_the_event_is_made() -> None:
    """It is now, unless it is given."""
    before = datetime.datetime.now(UTC)
    moment = StreamEvent("x").timestamp
    assert before - datetime.timedelta(seconds=1) <= moment <= datetime.datetime.now(UTC)


def test_a_users_state_is_not_interpreted() -> None:
    """``timestamp`` and ``tags`` in values and updates are the graph's own fields and say nothing of the event."""
    for cls in (ValuesStreamEvent, UpdatesStreamEvent):
        event = cls("values", {"timestamp": "2020-01-01T00:00:00Z", "tags": ["x"]}, CLOCK_ID)
        assert (ID_MOMENT, ()) == (event.timestamp, event.tags)


@pytest.mark.parametrize(
    ("data", "tags"),
    [({"tags": ["a", 1]}, ("a", "1")), ({"tags": "ab"}, ()), ({"tags": None}, ()), ({}, ()), ([1], ()), (None, ()), ("tags", ())],
)
def test_tags_are_text(data: Any, tags: Tuple[str, ...]) -> None:
    """They are text, and () if there are none."""
    assert tags == EventsStreamEvent("events", data).tags


def test_the_tags_of_a_message_are_in_its_metadata() -> None:
    """The tuple form has the message first and what is known of it second."""
    assert ("a",) == MessagesStreamEvent("messages", [{"content": "x", "tags": ["no"]}, {"tags": ["a"]}]).tags
    assert () == MessagesStreamEvent("messages/partial", [{"tags": ["no"]}]).tags
    assert () == MessagesStreamEvent("messages", {"tags": ["no"]}).tags


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ({"error": "ValueError", "message": "boom"}, "ValueError", "boom"),
        ({"error": "boom"}, None, "boom"),
        ({"message": "boom"}, None, "boom"),
        ("boom", None, "boom"),
        ({"error": "ValueError", "message": 5}, "ValueError", "5"),
        ({}, None, None),
        (None, None, None),
        ([1], None, None),
    ],
)
def test_errors_in_the_shapes_of_servers(data: Any, error: Any, message: Any) -> None:
    """Class and message if the server sends both, the message if it sends only that."""
    event = ErrorStreamEvent("error", data)
    assert (error, message) == (event.error, event.message)


@pytest.mark.parametrize(("data", "attempt"), [({"attempt": 2}, 2), ({}, 1), (None, 1), ({"attempt": "2"}, 1)])
def test_the_metadata_event_has_the_servers_attempt(data: Any, attempt: int) -> None:
    """It is the first if the event does not say."""
    assert attempt == MetadataStreamEvent("metadata", data).attempt


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("messages", [{"content": "Hi"}, {"tags": ["draft"], "content": "no text"}], "Hi"),
        ("messages|child:1", [{"content": [{"type": "text", "text": "H"}, {"text": "i"}, "!"]}, {}], "Hi!"),
        ("messages", [{"content": [{"type": "output_text", "text": "a"}, {"type": "text_delta", "text": "b"}]}, {}], "ab"),
        ("messages", [{"content": [{"type": "reasoning", "text": "Hm."}, {"type": "tool_use", "text": "x"}]}, {}], ""),
        ("messages", [{"content": [{"type": "image_url", "image_url": "u"}, {"type": "text", "text": None}, 5, None]}, {}], ""),
        ("messages", [{"content": None}, {}], ""),
        ("messages", [], ""),
        ("messages", None, ""),
        ("messages/partial", [{"content": "Hi"}, {"content": " there"}], "Hi there"),
        ("messages/complete", [{"content": "Hi"}], "Hi"),
        ("messages/metadata", {"id": {"metadata": {}}}, ""),
        ("values", {"content": "Hi"}, ""),
        ("custom", [{"content": "Hi"}], ""),
    ],
)
def test_the_text_of_a_message_event(name: str, data: Any, text: str) -> None:
    assert text == event_class(name)(name, data).text
