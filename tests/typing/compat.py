"""What type checkers see of `langgraph_runs.compat`, where the official SDK is installed. Checked by mypy, never run."""

from typing import Optional, Tuple

from langgraph.pregel.remote import RemoteGraph
from langgraph_sdk.client import SyncLangGraphClient
from langgraph_sdk.schema import Run
from typing_extensions import assert_type

from langgraph_runs import NotFoundError, RetryPolicy
from langgraph_runs.compat import APIStatusError, StreamPart, get_sync_client
from langgraph_runs.compat import NotFoundError as OfTheSdk

client = get_sync_client(url="http://localhost:2024", api_key=None, headers={"x-a": "b"}, timeout=60, retry=RetryPolicy(attempts=1))


def code_that_was_checked_before_stays_correct() -> None:
    assert_type(client, SyncLangGraphClient)
    run = client.runs.create("t", "agent", input={"n": 1})
    assert_type(run, Run)
    assert_type(run["run_id"], str)
    for event, data, event_id in client.runs.stream("t", "agent", input={"n": 1}):
        assert_type((event, event_id), Tuple[str, Optional[str]])
        assert isinstance(data, dict)
    RemoteGraph("agent", sync_client=client)
    client.runs.create("t", "agent", inputs={"n": 1})  # type: ignore[call-overload]


def errors_have_the_attributes_of_this_library() -> None:
    try:
        client.runs.get("t", "r")
    except OfTheSdk as error:
        assert_type(error, NotFoundError)
        assert_type(error.status_code, int)
    except APIStatusError as error:
        assert_type(error.message, str)


def events(part: StreamPart) -> None:
    assert_type(part.event, str)
    assert_type(part.text, str)
    get_sync_client(headers=5)  # type: ignore[arg-type]
