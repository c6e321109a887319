"""Events as the official SDK gives them."""

from __future__ import annotations

import pickle

from langgraph_runs.compat import StreamPart
from langgraph_runs.compat.streams import as_part, as_part_v2
from langgraph_runs.testing import values_event


def test_an_event_is_a_tuple_of_three() -> None:
    part = as_part(values_event({"n": 1}, id="7"))
    event, data, event_id = part
    assert ("values", {"n": 1}, "7") == (event, data, event_id) == tuple(part)
    assert ("values", {"n": 1}, "7") == (part.event, part.data, part.id)
    assert ("values", ()) == (part.mode, part.namespace)


def test_a_changed_copy_is_a_part_too() -> None:
    changed = StreamPart("messages|child:1", [1, 2])._replace(data=(1, 2))
    assert isinstance(changed, StreamPart) and (1, 2) == changed.data and ("child:1",) == changed.namespace
    assert changed == pickle.loads(pickle.dumps(changed))


def test_version_2_gives_dicts_with_the_open_questions() -> None:
    event = values_event({"n": 1, "__interrupt__": [{"value": "who?"}]})
    assert {"type": "values", "ns": [], "data": {"n": 1}, "interrupts": [{"value": "who?"}]} == as_part_v2(event)
    assert "__interrupt__" in event.data  # which the stream keeps as its last values


def test_a_part_has_the_text_of_a_message() -> None:
    assert "Hi" == StreamPart("messages|child:1", [{"content": [{"type": "text", "text": "Hi"}]}, {}]).text
    assert "" == StreamPart("values", [{"content": "Hi"}]).text
