"""What the errors carry. Checked by mypy, never run (tests/test_typing.py)."""

from typing import Any, List, Mapping, Optional, Tuple

from typing_extensions import assert_type

from langgraph_runs import (
    AbortedError,
    APIConnectionError,
    APIStatusError,
    Client,
    CreateUncertainError,
    DeadlineExceededError,
    InvalidRequestError,
    LangGraphRunsError,
    NotFoundError,
    RateLimitError,
    RequestInfo,
    ResponseDecodeError,
    Run,
    RunError,
    RunFailedError,
    StreamInterruptedError,
)
from langgraph_runs.devserver import DevServerError

client = Client()


def every_error(error: LangGraphRunsError) -> None:
    assert_type(error.run_id, Optional[str])
    assert_type(error.thread_id, Optional[str])
    assert_type(error.attempts, int)
    if error.request is not None:
        assert_type(error.request, RequestInfo)
        assert_type(error.request.method, str)
        assert_type(error.request.url, str)
    assert_type(error.created, Mapping[int, Run])
    assert_type(error.uncertain, Tuple[int, ...])
    print(error.unknown)  # type: ignore[attr-defined]


def a_batch_that_failed() -> List[str]:
    try:
        return [run.run_id for run in client.runs.create_batch([{"assistant_id": "agent"}])]
    except LangGraphRunsError as error:
        missing = [index for index in range(1) if index not in error.created and index not in error.uncertain]
        print(missing)
        return [run.run_id for run in error.created.values()]


def each_error() -> None:
    try:
        client.runs.wait("t", "agent", input=1)
    except RunFailedError as error:
        assert_type(error.error, Optional[str])
        assert_type(error.message, Optional[str])
        assert_type(error.values, Any)
        assert_type(error.run, Optional[Run])
    except RunError as error:
        assert_type(error.run_id, Optional[str])
        assert_type(error.values, Any)
    except RateLimitError as error:
        assert_type(error.retry_after, Optional[float])
    except NotFoundError as error:
        assert_type(error.status_code, int)
        assert_type(error.values, Any)
    except APIStatusError as error:
        assert_type(error.message, str)
        assert_type(error.body, Any)
        assert_type(error.headers, Mapping[str, str])
        assert_type(error.request_id, Optional[str])
    except StreamInterruptedError as error:
        assert_type(error.last_event_id, Optional[str])
        assert_type(error.events_seen, int)
    except CreateUncertainError as error:
        assert_type(error.request_id, Optional[str])
    except ResponseDecodeError as error:
        assert_type(error.problems, Tuple[str, ...])
    except DeadlineExceededError as error:
        assert_type(error.timeout, Optional[float])
    except APIConnectionError as error:
        assert_type(error.sent, Optional[bool])
    except AbortedError as error:
        assert_type(error.reason, Any)
    except DevServerError as error:
        assert_type(error.log, str)


def which_builtin_each_is(late: DeadlineExceededError, wrong: InvalidRequestError) -> None:
    as_timeout: TimeoutError = late
    as_value: ValueError = wrong
    not_timeout: TimeoutError = wrong  # type: ignore[assignment]
    print(as_timeout, as_value, not_timeout)
